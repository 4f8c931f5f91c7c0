//! The fence around a virtual cluster's pods: where they may go, and who may come to them. NetworkPolicies add up, so the
//! fence is a refusal of everything, and each policy that allows something allows no more than what is said here.

use crate::marks;
use ipnet::IpNet;
use object::{Value, json};
use std::net::IpAddr;

/// Networks that a fenced pod does not reach outside of its virtual cluster: private ones, and those of the link, where clouds
/// keep their metadata.
const FENCED: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"];
/// The same of IPv6, and of IPv4 where it is translated.
const FENCED_V6: [&str; 8] = [
    "fc00::/7",
    "fe80::/10",
    "64:ff9b::a00:0/104",
    "64:ff9b::ac10:0/108",
    "64:ff9b::c0a8:0/112",
    "64:ff9b::6440:0/106",
    "64:ff9b::a9fe:0/112",
    "64:ff9b:1::/48",
];
/// Any address.
const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Ports that pods use to reach what belongs to their virtual cluster but runs outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Where joey listens.
    pub ip: IpAddr,
    /// The API server's port.
    pub api: u16,
    /// The DNS server's ports: datagrams, streams.
    pub dns: (u16, u16),
}

impl Ways {
    /// joey's own address as a peer.
    pub fn peer(&self) -> Value {
        json!({"ipBlock": {"cidr": IpNet::from(self.ip).to_string()}})
    }

    /// All of its ports, as a policy has them.
    pub fn ports(&self) -> [Value; 3] {
        [port("UDP", self.dns.0), port("TCP", self.dns.1), port("TCP", self.api)]
    }
}

pub(crate) fn port(protocol: &str, port: u16) -> Value {
    json!({"protocol": protocol, "port": port})
}

/// All pods of a virtual cluster, as a peer.
pub fn own_pods(cluster: &str) -> Value {
    json!({"podSelector": {"matchLabels": {marks::CLUSTER: cluster}}})
}

/// Every public address, as peers.
pub fn public() -> Vec<Value> {
    ANY.iter().filter_map(|cidr| public_part(&json!({"cidr": cidr}))).map(|b| json!({"ipBlock": b})).collect()
}

/// What of an `ipBlock` a fenced pod may reach: nothing inside of a fenced network.
pub(crate) fn public_part(block: &Value) -> Option<Value> {
    let all = parse(&block["cidr"])?;
    // IPv4 in the clothes of IPv6: who enforces policies may see through them.
    if matches!(all.addr(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return None;
    }
    let fenced =
        FENCED.iter().chain(&FENCED_V6).filter_map(|cidr| Some((*cidr, cidr.parse::<IpNet>().ok()?)));
    let mut except = block["except"].as_array().cloned().unwrap_or_default();
    for (text, network) in fenced {
        if network.contains(&all) {
            return None;
        }
        if all.contains(&network) && !except.iter().any(|e| e == text) {
            except.push(text.into());
        }
    }
    Some(if except.is_empty() {
        json!({"cidr": block["cidr"]})
    } else {
        json!({"cidr": block["cidr"], "except": except})
    })
}

/// Whether an `ipBlock` holds an address.
pub(crate) fn holds(block: &Value, address: IpAddr) -> bool {
    let excepted =
        || block["except"].as_array().into_iter().flatten().filter_map(parse).any(|e| e.contains(&address));
    parse(&block["cidr"]).is_some_and(|all| all.contains(&address)) && !excepted()
}

fn parse(cidr: &Value) -> Option<IpNet> {
    cidr.as_str()?.parse::<IpNet>().ok().map(|network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_loses_what_is_fenced() {
        let part = |cidr: &str| public_part(&json!({"cidr": cidr})).map_or("none".into(), |b| b.to_string());
        assert_eq!(part("10.1.0.0/16"), "none");
        assert_eq!(part("169.254.169.254/32"), "none");
        assert_eq!(part("fd00::/8"), "none");
        assert_eq!(part("nonsense"), "none");
        assert_eq!(part("::ffff:10.0.0.0/104"), "none");
        assert_eq!(part("1.1.1.1/32"), r#"{"cidr":"1.1.1.1/32"}"#);
        assert_eq!(part("8.0.0.0/6"), r#"{"cidr":"8.0.0.0/6","except":["10.0.0.0/8"]}"#);
        assert_eq!(public()[1]["ipBlock"], json!({"cidr": "::/0", "except": FENCED_V6}));
        assert_eq!(part("64:ff9b::a9fe:a9fe/128"), "none");
        assert_eq!(part("64:ff9b::101:101/128"), r#"{"cidr":"64:ff9b::101:101/128"}"#);
        // Kubernetes takes blocks with bits beyond their length; they mean the network all the same.
        assert_eq!(part("10.1.2.3/8"), "none");
    }

    #[test]
    fn an_exception_is_not_held() {
        let block = json!({"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]});
        assert!(holds(&block, [10, 1, 2, 3].into()));
        assert!(!holds(&block, [10, 9, 2, 3].into()));
    }
}
