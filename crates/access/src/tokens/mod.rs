//! Service account tokens: requested, signed, verified, published.

mod bound;
mod claims;
mod discovery;
pub(crate) mod jwt;
mod pending;
mod request;
mod review;
#[cfg(test)]
mod tests;
mod verify;

pub use bound::{INVALID_SINCE, check_bound, is_kept_in};
pub use claims::{Claims, LEGACY_ISSUER, ObjectRef, TokenIssuer, legacy_claims};
pub use discovery::{jwks, openid_configuration};
pub use pending::PendingIssuer;
pub use request::{BoundObject, EXTENDED_SECONDS, TokenRequest, WARN_ONLY_SECONDS};
pub use review::{token_review_failed, token_review_status};
pub use verify::{TokenError, TokenVerifier, VerifiedToken};
