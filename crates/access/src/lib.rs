//! Who is asking and may they: identities, credentials and authorization, as pure functions of values.
//!
//! Nothing here reads a clock, a file or a socket: callers pass the time as seconds since 1970 and objects as values.
//! The one impurity is randomness, where keys and serial numbers are made.

pub mod access_review;
pub mod attributes;
pub mod authenticator;
pub mod authorizer;
pub mod bootstrap_policy;
pub mod bootstrap_tokens;
pub mod certificates;
mod der;
pub mod front_proxy;
pub mod impersonation;
pub mod keys;
pub mod node_authorizer;
pub mod oidc;
pub mod rbac;
mod rsa_keys;
pub mod static_tokens;
pub mod tokens;
pub mod user;

pub use attributes::{Attributes, SelectorRequirement};
pub use authorizer::authorize;
pub use certificates::CertificateAuthority;
pub use keys::{CryptoError, PrivateKey, PublicKey};
pub use rbac::{Decision, RbacIndex, RulePool};
pub use user::UserInfo;

/// Compares secrets in a time that does not depend on where they differ.
pub(crate) fn same_secret(a: &[u8], b: &[u8]) -> bool {
    let mut difference = u8::from(a.len() != b.len());
    for (x, y) in a.iter().zip(b) {
        difference |= x ^ y;
    }
    std::hint::black_box(difference) == 0
}
