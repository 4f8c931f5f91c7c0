//! IP addresses and networks.

use super::{Extension, fail};
use crate::error::{EvalError, Result};
use crate::library::Library;
use crate::value::Value;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// As written, with its host bits.
    pub address: IpAddr,
    /// Bits that count.
    pub prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    fn masked(self) -> Self {
        let prefix = u32::from(self.prefix);
        let address = match self.address {
            IpAddr::V4(ip) => {
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)))
            }
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(
                ip.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0),
            )),
        };
        Self { address, prefix: self.prefix }
    }

    fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4() && Self { address: ip, ..self }.masked() == self.masked()
    }
}

fn parse_ip(text: &str) -> std::result::Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    match text.parse() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        Ok(ip) => Ok(ip),
        Err(_) => {
            Err(format!("IP Address {text:?} parse error during conversion from string: {}", unparsed(text)))
        }
    }
}

/// Why a text is no address, as Go's `ParseAddr` says.
fn unparsed(text: &str) -> String {
    let why = match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => not_ip4(text),
        Some(b'%') => "missing IPv6 address".into(),
        _ => "unable to parse IP".into(),
    };
    format!("ParseAddr({text:?}): {why}")
}

fn not_ip4(text: &str) -> String {
    let (mut value, mut digits, mut dots) = (0u32, 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '0'..='9' => {
                if digits == 1 && value == 0 {
                    return "IPv4 field has octet with leading zero".into();
                }
                value = value * 10 + (c as u32 - '0' as u32);
                digits += 1;
                if value > 255 {
                    return "IPv4 field has value >255".into();
                }
            }
            '.' if digits == 0 || at + 1 == text.len() => {
                return format!("IPv4 field must have at least one digit (at {:?})", &text[at..]);
            }
            '.' if dots == 3 => return "IPv4 address too long".into(),
            '.' => (value, digits, dots) = (0, 0, dots + 1),
            _ => return format!("unexpected character (at {:?})", &text[at..]),
        }
    }
    "IPv4 address too short".into()
}

const UNPARSED: &str = "network address parse error during conversion from string: ";

fn parse_cidr(text: &str) -> std::result::Result<Cidr, String> {
    let wrong = |why: &str| Err(format!("{UNPARSED}{UNPARSED}netip.ParsePrefix({text:?}): {why}"));
    let Some((address, prefix)) = text.rsplit_once('/') else { return wrong("no '/'") };
    if address.contains('%') {
        return wrong("IPv6 zones cannot be present in a prefix");
    }
    let address = match address.parse() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            return Err(format!("{UNPARSED}IPv4-mapped IPv6 address {text:?} is not allowed"));
        }
        Ok(address) => address,
        Err(_) => return wrong(&unparsed(address)),
    };
    let plain = prefix.chars().all(|c| c.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    let most = if address.is_ipv4() { 32 } else { 128 };
    match prefix.parse::<u32>().ok().filter(|_| plain) {
        None => wrong(&format!("bad bits after slash: {prefix:?}")),
        Some(bits) if bits > most => wrong("prefix length out of range"),
        Some(bits) => Ok(Cidr { address, prefix: bits as u8 }),
    }
}

pub(super) fn register(library: &mut Library) {
    library.add(&["ip(string): net.IP"], |_, a| {
        parse_ip(a[0].as_str()?).map_or_else(fail, |ip| Ok(wrap(Extension::Ip(ip))))
    });
    library.add(&["cidr(string): net.CIDR"], |_, a| {
        parse_cidr(a[0].as_str()?).map_or_else(fail, |cidr| Ok(wrap(Extension::Cidr(cidr))))
    });
    library.add(&["isIP(string): bool"], |_, a| Ok(Value::Bool(parse_ip(a[0].as_str()?).is_ok())));
    library.add(&["isCIDR(string): bool"], |_, a| Ok(Value::Bool(parse_cidr(a[0].as_str()?).is_ok())));
    library.add(&["ip.isCanonical(string): bool"], |_, args| {
        let text = args[0].as_str()?;
        parse_ip(text).map_or_else(fail, |ip| Ok(Value::Bool(ip.to_string() == text)))
    });
    library.add(&["net.IP->family(): int"], |_, a| Ok(Value::Int(if ip(&a[0])?.is_ipv4() { 4 } else { 6 })));
    library.add(&["net.IP->isUnspecified(): bool"], |_, a| Ok(Value::Bool(ip(&a[0])?.is_unspecified())));
    library.add(&["net.IP->isLoopback(): bool"], |_, a| Ok(Value::Bool(ip(&a[0])?.is_loopback())));
    library.add(&["net.IP->isLinkLocalMulticast(): bool"], |_, a| {
        Ok(Value::Bool(match ip(&a[0])? {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
        }))
    });
    library.add(&["net.IP->isLinkLocalUnicast(): bool"], |_, a| Ok(Value::Bool(link_local(ip(&a[0])?))));
    library.add(&["net.IP->isGlobalUnicast(): bool"], |_, a| {
        let ip = ip(&a[0])?;
        let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        let special =
            broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local(ip);
        Ok(Value::Bool(!special))
    });
    library.add(&["net.CIDR->ip(): net.IP"], |_, a| Ok(wrap(Extension::Ip(cidr(&a[0])?.address))));
    library.add(&["net.CIDR->masked(): net.CIDR"], |_, a| Ok(wrap(Extension::Cidr(cidr(&a[0])?.masked()))));
    library.add(&["net.CIDR->prefixLength(): int"], |_, a| Ok(Value::Int(cidr(&a[0])?.prefix.into())));
    library.add(&["net.CIDR->containsIP(string): bool", "net.CIDR->containsIP(net.IP): bool"], |_, args| {
        let whole = cidr(&args[0])?;
        let ip = match &args[1] {
            Value::String(text) => parse_ip(text).map_err(|_| EvalError::no_overload())?,
            other => ip(other)?,
        };
        Ok(Value::Bool(whole.contains(ip)))
    });
    library.add(
        &["net.CIDR->containsCIDR(string): bool", "net.CIDR->containsCIDR(net.CIDR): bool"],
        |_, args| {
            let whole = cidr(&args[0])?;
            let part = match &args[1] {
                Value::String(text) => parse_cidr(text).map_err(|_| EvalError::no_overload())?,
                other => cidr(other)?,
            };
            Ok(Value::Bool(part.prefix >= whole.prefix && whole.contains(part.address)))
        },
    );
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn wrap<'a>(extension: Extension) -> Value<'a> {
    Value::Extension(Arc::new(extension))
}

fn ip(value: &Value<'_>) -> Result<IpAddr> {
    match value {
        Value::Extension(extension) => match &**extension {
            Extension::Ip(ip) => Ok(*ip),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn cidr(value: &Value<'_>) -> Result<Cidr> {
    match value {
        Value::Extension(extension) => match &**extension {
            Extension::Cidr(cidr) => Ok(*cidr),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}
