//! IP addresses and CIDRs: Go's lenient reading, Kubernetes' strict rules, and the warnings between the two.

use crate::node::{Errors, Node};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads an address as Go once did: IPv4 parts may have leading zeros.
pub fn parse_sloppy(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        parse_v6_sloppy(text).map(IpAddr::V6)
    } else {
        parse_v4_sloppy(text).map(IpAddr::V4)
    }
}

fn parse_v4_sloppy(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let parts: Vec<_> = text.split('.').collect();
    if parts.len() != 4 {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(parts) {
        if part.is_empty() || part.len() > 8 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse::<u32>().ok().and_then(|n| u8::try_from(n).ok())?;
    }
    Some(octets.into())
}

fn parse_v6_sloppy(text: &str) -> Option<Ipv6Addr> {
    // Only an embedded IPv4 tail could be sloppy.
    match text.rsplit_once(':') {
        Some((head, tail)) if tail.contains('.') => format!("{head}:{}", parse_v4_sloppy(tail)?).parse().ok(),
        _ => text.parse().ok(),
    }
}

/// The address as Go's `net.IP` prints it: IPv4-mapped addresses as IPv4.
pub fn canonical(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string()),
        v4 => v4.to_string(),
    }
}

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// Reads a CIDR as Go once did; the address is not masked.
pub fn parse_cidr_sloppy(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let ip = parse_sloppy(address)?;
    let max = if ip.is_ipv4() { 32 } else { 128 };
    if length.is_empty() || length.len() > 8 || !length.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let length: u32 = length.parse().ok()?;
    (length <= max).then_some((ip, length as u8))
}

/// The network address of a CIDR.
pub fn masked(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn network(ip: IpAddr, length: u8) -> String {
    match masked(ip, length) {
        // Go prints an IPv4-mapped network with the IPv4 length.
        IpAddr::V6(v6) if is_mapped(IpAddr::V6(v6)) && length >= 96 => {
            format!("{}/{}", canonical(IpAddr::V6(v6)), length - 96)
        }
        ip => format!("{ip}/{length}"),
    }
}

/// Whether two IPs or CIDRs, one of each family, are meant by `values`.
pub fn is_dual_stack(values: &[&str]) -> bool {
    let v6 = values.iter().filter(|v| v.contains(':')).count();
    v6 > 0 && v6 < values.len()
}

/// An address in a field of old: leniently read, then strict about zeros and mapped addresses.
pub fn legacy_ip(e: &mut Errors, node: &Node<'_>, kept: &[&str]) {
    if !kept.contains(&node.text()) {
        strict(e, node);
    }
}

fn strict(e: &mut Errors, node: &Node<'_>) -> Option<IpAddr> {
    let text = node.text();
    let Some(ip) = parse_sloppy(text) else {
        e.push(node.invalid_text("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
        return None;
    };
    let before = e.len();
    if text.parse::<IpAddr>().is_err() {
        e.push(node.invalid_text("must not have leading 0s"));
    }
    if is_mapped(ip) {
        e.push(node.invalid_text("must not be an IPv4-mapped IPv6 address"));
    }
    (e.len() == before).then_some(ip)
}

/// An address in a newer field: also in canonical form.
pub fn canonical_ip(e: &mut Errors, node: &Node<'_>) {
    if let Some(ip) = strict(e, node)
        && canonical(ip) != node.text()
    {
        e.push(
            node.invalid_text(&format!(
                "must be in canonical form ({})",
                object::error::quote(&canonical(ip))
            )),
        );
    }
}

/// A CIDR in a field of old.
pub fn legacy_cidr(e: &mut Errors, node: &Node<'_>, kept: &[&str]) {
    if !kept.contains(&node.text()) {
        strict_cidr(e, node);
    }
}

fn strict_cidr(e: &mut Errors, node: &Node<'_>) -> Option<(IpAddr, u8)> {
    let text = node.text();
    let Some((ip, length)) = parse_cidr_sloppy(text) else {
        e.push(node.invalid_text("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
        return None;
    };
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let detail = if address.parse::<IpAddr>().is_err() || bits.len() > 1 && bits.starts_with('0') {
        "must not have leading 0s in IP or prefix length"
    } else if is_mapped(ip) {
        "must not have an IPv4-mapped IPv6 address"
    } else if masked(ip, length) != ip {
        "must not have bits set beyond the prefix length"
    } else {
        return Some((ip, length));
    };
    e.push(node.invalid_text(detail));
    None
}

/// A CIDR in a newer field: also in canonical form.
pub fn canonical_cidr(e: &mut Errors, node: &Node<'_>) {
    if let Some((ip, length)) = strict_cidr(e, node) {
        let canonical = network(ip, length);
        if canonical != node.text() {
            e.push(
                node.invalid_text(&format!(
                    "must be in canonical form ({})",
                    object::error::quote(&canonical)
                )),
            );
        }
    }
}

/// Addresses that mean nothing outside their host: unspecified, loopback, link-local.
pub fn non_special(e: &mut Errors, node: &Node<'_>) {
    let text = node.text();
    let Some(ip) = parse_sloppy(text) else {
        e.push(node.invalid_text("must be a valid IP address"));
        return;
    };
    let ip = ip.to_canonical();
    if ip.is_unspecified() {
        e.push(node.invalid_text(&format!("may not be unspecified ({text})")));
    }
    if ip.is_loopback() {
        e.push(node.invalid_text("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    let (unicast, multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if unicast {
        e.push(node.invalid_text("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if multicast {
        e.push(node.invalid_text("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
    }
}

/// Warnings for an address that is tolerated but not in the form it should have.
pub fn ip_warnings(node: &Node<'_>) -> Option<String> {
    use object::error::quote;
    let text = node.text();
    let ip = parse_sloppy(text)?;
    let (path, canonical) = (&node.path, canonical(ip));
    if text.parse::<IpAddr>().is_err() || is_mapped(ip) {
        return Some(format!(
            "{path}: non-standard IP address {} is invalid: use {}",
            quote(text),
            quote(&canonical)
        ));
    }
    (ip.is_ipv6() && canonical != text).then(|| {
        format!(
            "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
            quote(text),
            quote(&canonical)
        )
    })
}

/// Warnings for a CIDR that is tolerated but not in the form it should have.
pub fn cidr_warnings(node: &Node<'_>) -> Vec<String> {
    use object::error::quote;
    let text = node.text();
    let Some((ip, length)) = parse_cidr_sloppy(text) else { return vec![] };
    let (path, net) = (&node.path, network(ip, length));
    let mut warnings = vec![];
    if masked(ip, length) != ip {
        let single = format!("{}/{}", canonical(ip), if ip.to_canonical().is_ipv4() { 32 } else { 128 });
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            quote(text),
            quote(&net),
            quote(&single)
        ));
    }
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let standard = address.parse::<IpAddr>().is_ok() && !(bits.len() > 1 && bits.starts_with('0'));
    if !standard || is_mapped(ip) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} is invalid: use {}",
            quote(text),
            quote(&net)
        ));
    } else if warnings.is_empty() && ip.is_ipv6() && net != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            quote(text),
            quote(&net)
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(check: fn(&mut Errors, &Node<'_>), text: &str) -> Vec<String> {
        let (mut e, value) = (vec![], json!(text));
        check(&mut e, &Node::root(&value));
        e.into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn addresses() {
        assert!(
            messages(canonical_ip, "10.0.0.1").is_empty() && messages(canonical_ip, "2001:db8::1").is_empty()
        );
        assert_eq!(
            messages(canonical_ip, "010.0.0.1"),
            ["Invalid value: \"010.0.0.1\": must not have leading 0s"]
        );
        assert_eq!(
            messages(canonical_ip, "2001:DB8::1"),
            ["Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"]
        );
        assert!(messages(canonical_ip, "x")[0].contains("must be a valid IP address, (e.g."));
        assert!(messages(non_special, "127.0.0.1")[0].contains("loopback"));
        assert_eq!(messages(non_special, "169.254.1.1").len(), 1);
    }

    #[test]
    fn cidrs() {
        assert!(messages(canonical_cidr, "10.0.0.0/8").is_empty());
        assert_eq!(
            messages(canonical_cidr, "10.0.0.1/8"),
            ["Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length"]
        );
        assert!(messages(canonical_cidr, "10.0.0.0/33")[0].contains("must be a valid CIDR value"));
    }
}
