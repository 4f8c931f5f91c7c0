//! CEL's standard functions and Kubernetes' libraries, a file each.

mod authorizer;
pub(crate) mod clause;
mod conversions;
mod format;
mod lists;
mod network;
mod operators;
mod optional;
mod quantity;
mod regex;
mod semver;
mod sets;
mod strings;
mod text_format;
mod time;
mod url;

use crate::error::EvalError;
use crate::library::Library;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// A value of a library's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Extension {
    /// `quantity('1Gi')`
    Quantity(object::Quantity),
    /// `url('https://…')`
    Url(url::Url),
    /// `ip('10.0.0.1')`
    Ip(std::net::IpAddr),
    /// `cidr('10.0.0.0/8')`
    Cidr(network::Cidr),
    /// `format.dns1123Label()`
    Format(&'static format::NamedFormat),
    /// `semver('1.0.0')`
    Semver(::semver::Version),
}

impl Extension {
    /// Equality as expressions see it: versions are told apart by what orders them.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Semver(a), Self::Semver(b)) => a.cmp_precedence(b).is_eq(),
            _ => self == other,
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Semver(_) => "kubernetes.Semver",
        }
    }

    /// Bytes of an address; 1 for the rest.
    pub fn size(&self) -> u64 {
        let bytes = |ip: &std::net::IpAddr| if ip.is_ipv4() { 4 } else { 16 };
        match self {
            Self::Ip(ip) => bytes(ip),
            Self::Cidr(cidr) => bytes(&cidr.address),
            _ => 1,
        }
    }
}

/// Fills in all functions.
pub(crate) fn register(library: &mut Library) {
    operators::register(library);
    conversions::register(library);
    strings::register(library);
    text_format::register(library);
    time::register(library);
    lists::register(library);
    optional::register(library);
    sets::register(library);
    regex::register(library);
    url::register(library);
    quantity::register(library);
    network::register(library);
    format::register(library);
    semver::register(library);
    authorizer::register(library);
}

/// base64, padded or not.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

pub(crate) fn fail<T>(message: impl Into<String>) -> crate::error::Result<T> {
    Err(EvalError::new(message))
}
