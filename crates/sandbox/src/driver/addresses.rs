//! Which pod has which address. Known addresses come from the pods' own status.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// Hosts of a node's /24 that pods may have.
const FIRST: u8 = 2;
const LAST: u8 = 254;

/// Addresses in use.
#[derive(Default)]
pub(crate) struct Addresses {
    by_pod: HashMap<String, Ipv4Addr>,
    used: BTreeSet<Ipv4Addr>,
    /// Per network: the host given out last, so that an address is not used again at once.
    last: HashMap<Ipv4Addr, u8>,
}

impl Addresses {
    /// The pod has this address.
    pub fn claim(&mut self, pod: &str, ip: Ipv4Addr) {
        if let Some(old) = self.by_pod.insert(pod.to_owned(), ip).filter(|old| *old != ip) {
            self.used.remove(&old);
        }
        self.used.insert(ip);
    }

    /// The pod's address, a new one of `network` if it has none. A node with more pods than addresses gives the last one
    /// out again.
    pub fn of(&mut self, pod: &str, network: Ipv4Addr) -> Ipv4Addr {
        if let Some(ip) = self.by_pod.get(pod) {
            return *ip;
        }
        let start = self.last.get(&network).copied().unwrap_or(FIRST - 1);
        let at = |host: u8| Ipv4Addr::from(u32::from(network) + u32::from(host));
        let order = (start.saturating_add(1)..=LAST).chain(FIRST..=start.min(LAST));
        let host =
            order.into_iter().find(|host| *host >= FIRST && !self.used.contains(&at(*host))).unwrap_or(LAST);
        self.last.insert(network, host);
        self.claim(pod, at(host));
        at(host)
    }

    /// The pod is over.
    pub fn release(&mut self, pod: &str) {
        if let Some(ip) = self.by_pod.remove(pod) {
            self.used.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_and_come_back_late() {
        let mut addresses = Addresses::default();
        let network = Ipv4Addr::new(10, 244, 1, 0);
        addresses.claim("old", Ipv4Addr::new(10, 244, 1, 3));
        assert_eq!(addresses.of("a", network).to_string(), "10.244.1.2");
        assert_eq!(addresses.of("b", network).to_string(), "10.244.1.4");
        assert_eq!(addresses.of("a", network).to_string(), "10.244.1.2");
        addresses.release("a");
        assert_eq!(addresses.of("c", network).to_string(), "10.244.1.5");
        for pod in 0..249 {
            addresses.of(&pod.to_string(), network);
        }
        assert_eq!(addresses.of("more", network).to_string(), "10.244.1.2");
    }
}
