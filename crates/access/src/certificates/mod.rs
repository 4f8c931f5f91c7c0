//! Certificates: the cluster's own authority, and the users that client certificates name.

mod authority;
mod client;
mod request;
pub mod signers;
mod template;

pub use authority::{CertificateAuthority, Issued};
pub use client::{user_from_certificate, verify_client_certificate};
pub use request::CertificateRequest;
pub use template::{Subject, SubjectAltNames, Usages};
