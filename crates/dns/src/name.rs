//! What a name asks for. Pure: labels in, meaning out.

use hickory_proto::rr::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The meaning of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The domain itself.
    Domain,
    /// `dns-version`: which specification is followed.
    Version,
    /// `ns.dns`: this server.
    Server,
    /// `svc`, `pod` and `dns`: there, and nothing but a holder of names.
    Holder,
    /// `NAMESPACE.svc` and `NAMESPACE.pod`.
    Namespace(String),
    /// `NAME.NAMESPACE.svc`.
    Service { namespace: String, name: String },
    /// `_PORT._PROTOCOL.NAME.NAMESPACE.svc`.
    Port { namespace: String, name: String, port: String, protocol: String },
    /// `HOST.NAME.NAMESPACE.svc`.
    Endpoint { namespace: String, name: String, host: String },
    /// `A-B-C-D.NAMESPACE.pod`.
    Pod { namespace: String, address: IpAddr },
    /// Whose an address is.
    Reverse(IpAddr),
    /// A part of a private address, read backwards.
    PrivateHolder,
    /// A name of the domain that cannot be.
    Nothing,
    /// Not this server's business.
    Foreign,
}

/// The lowercase labels of a name; `None` if one is no text.
pub(crate) fn labels(name: &Name) -> Option<Vec<String>> {
    let text = |label: &[u8]| std::str::from_utf8(label).ok().map(str::to_ascii_lowercase);
    name.iter().map(text).collect()
}

/// What `labels` ask for where `domain` is the cluster's.
pub(crate) fn parse(labels: &[String], domain: &[String]) -> Asked {
    if let Some(own) = labels.strip_suffix(domain) {
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        return if own.iter().all(|label| is_plain(label)) { in_domain(&own) } else { Asked::Nothing };
    }
    reverse(labels).unwrap_or(Asked::Foreign)
}

/// Whether a label can be part of an object's name, and so of a path of the API.
fn is_plain(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn in_domain(labels: &[&str]) -> Asked {
    let text = |label: &&str| (*label).to_owned();
    match labels {
        [] => Asked::Domain,
        ["dns-version"] => Asked::Version,
        ["ns", "dns"] => Asked::Server,
        ["svc" | "pod" | "dns"] => Asked::Holder,
        [namespace, "svc" | "pod"] => Asked::Namespace(text(namespace)),
        [name, namespace, "svc"] => Asked::Service { namespace: text(namespace), name: text(name) },
        [host, name, namespace, "svc"] if !host.starts_with('_') => {
            Asked::Endpoint { namespace: text(namespace), name: text(name), host: text(host) }
        }
        [port, protocol, name, namespace, "svc"] => {
            match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
                (Some(port), Some(protocol)) => Asked::Port {
                    namespace: text(namespace),
                    name: text(name),
                    port: port.to_owned(),
                    protocol: protocol.to_owned(),
                },
                _ => Asked::Nothing,
            }
        }
        [address, namespace, "pod"] => match dashed(address) {
            Some(address) => Asked::Pod { namespace: text(namespace), address },
            None => Asked::Nothing,
        },
        _ => Asked::Nothing,
    }
}

/// An address written with dashes.
fn dashed(text: &str) -> Option<IpAddr> {
    let v4 = text.replace('-', ".").parse().map(IpAddr::V4);
    v4.or_else(|_| text.replace('-', ":").parse().map(IpAddr::V6)).ok()
}

/// The label that names an address.
pub(crate) fn to_dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

fn reverse(labels: &[String]) -> Option<Asked> {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    match labels.as_slice() {
        [octets @ .., "in-addr", "arpa"] if octets.len() <= 4 => {
            let known: Vec<u8> = octets.iter().rev().map(|o| o.parse().ok()).collect::<Option<_>>()?;
            if let Ok(all) = <[u8; 4]>::try_from(known.as_slice()) {
                return Some(Asked::Reverse(Ipv4Addr::from(all).into()));
            }
            is_private_prefix(&known).then_some(Asked::PrivateHolder)
        }
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let digit = |n: &&str| u128::from_str_radix(n, 16).ok().filter(|d| *d < 16 && n.len() == 1);
            let bits = nibbles.iter().rev().try_fold(0u128, |all, n| Some(all << 4 | digit(n)?))?;
            Some(Asked::Reverse(Ipv6Addr::from(bits).into()))
        }
        _ => None,
    }
}

fn is_private_prefix(octets: &[u8]) -> bool {
    match octets {
        [10 | 127, ..] | [192, 168, ..] | [169, 254, ..] => true,
        [172, second, ..] => (16..32).contains(second),
        [100, second, ..] => (64..128).contains(second),
        _ => false,
    }
}

/// Whether nobody outside of a private network knows whose `address` is.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_prefix(&v4.octets()) || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked {
        let domain = ["cluster".to_owned(), "local".to_owned()];
        parse(&labels(&Name::from_ascii(name).unwrap()).unwrap(), &domain)
    }

    #[test]
    fn names_mean_what_the_specification_says() {
        let (namespace, name) = (|| "shop".to_owned(), || "web".to_owned());
        let rows = [
            ("cluster.local.", Asked::Domain),
            ("dns-version.cluster.local.", Asked::Version),
            ("svc.cluster.local.", Asked::Holder),
            ("Shop.svc.cluster.local.", Asked::Namespace(namespace())),
            ("WEB.shop.SVC.cluster.local.", Asked::Service { namespace: namespace(), name: name() }),
            (
                "_http._tcp.web.shop.svc.cluster.local.",
                Asked::Port {
                    namespace: namespace(),
                    name: name(),
                    port: "http".into(),
                    protocol: "tcp".into(),
                },
            ),
            (
                "web-0.web.shop.svc.cluster.local.",
                Asked::Endpoint { namespace: namespace(), name: name(), host: "web-0".into() },
            ),
            (
                "10-244-0-7.shop.pod.cluster.local.",
                Asked::Pod { namespace: namespace(), address: "10.244.0.7".parse().unwrap() },
            ),
            ("nonsense.shop.pod.cluster.local.", Asked::Nothing),
            ("web.shop.svc.cluster.local.shop.svc.cluster.local.", Asked::Nothing),
            ("a\\.\\.b.shop.svc.cluster.local.", Asked::Nothing),
            ("kubernetes.io.", Asked::Foreign),
            ("notcluster.local.", Asked::Foreign),
            ("1.0.96.10.in-addr.arpa.", Asked::Reverse("10.96.0.1".parse().unwrap())),
            ("96.10.in-addr.arpa.", Asked::PrivateHolder),
            ("8.8.in-addr.arpa.", Asked::Foreign),
            (
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
                Asked::Reverse("fd00::1".parse().unwrap()),
            ),
        ];
        for (text, meaning) in rows {
            assert_eq!(asked(text), meaning, "{text}");
        }
    }
}
