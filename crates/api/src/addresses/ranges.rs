//! Where cluster IPs come from: the server's own range, and those of further ServiceCIDRs that are ready. Read when an address
//! is asked for: that is rare, and there are few.

use super::{Assigned, Cidr, LocalAddresses, TRIES, refuse_ip};
use crate::{failure, stored};
use object::{ApiError, Result, Value, meta};
use std::net::Ipv4Addr;
use store::ListRequest;

const PREFIX: &str = "/networking.k8s.io/servicecidrs/";

impl Cidr {
    /// Reads a range of a ServiceCIDR, which may be of any size; `None` for IPv6.
    fn of_object(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let base = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let bits: u32 = bits.parse().ok().filter(|bits| (1..=32).contains(bits))?;
        Some(Self { base: base & (u32::MAX << (32 - bits)), bits })
    }

    /// Whether the address is of the range, and neither the network's own nor the one for all.
    fn gives(self, address: Ipv4Addr) -> bool {
        let n = u32::from(address).wrapping_sub(self.base);
        n > 0 && n < self.size() - 1
    }

    /// What to try, in this order. Addresses at the beginning are left for services that ask for theirs (as Kubernetes does)
    /// as long as there are others.
    fn candidates(self) -> impl Iterator<Item = Ipv4Addr> {
        let size = self.size();
        let low = if size <= 16 { 1 } else { (size / 16).clamp(16, 256) };
        let spans = [low..(size - 1).max(low), 1..low];
        spans.into_iter().flat_map(some_of).map(move |n| self.nth(n))
    }
}

/// All numbers of a small span, beginning anywhere; of a large one as many as are tried.
fn some_of(span: std::ops::Range<u32>) -> Box<dyn Iterator<Item = u32> + Send> {
    let count = span.end - span.start;
    match count {
        0 => Box::new(std::iter::empty()),
        1..=TRIES => {
            let start = rand::random_range(0..count);
            Box::new((0..count).map(move |n| span.start + (start + n) % count))
        }
        _ => Box::new((0..TRIES).map(move |_| rand::random_range(span.clone()))),
    }
}

impl LocalAddresses {
    /// The ranges that are ready, the server's own first. While nobody has said so of any, its own is.
    async fn ranges(&self) -> Result<Vec<Cidr>> {
        let request = ListRequest { prefix: PREFIX.into(), ..ListRequest::default() };
        let entries = self.store.list(request).await.map_err(failure::store)?.entries;
        if entries.is_empty() {
            return Ok(vec![self.cidr]);
        }
        let mut ranges: Vec<Cidr> = entries
            .iter()
            .filter_map(stored::decode)
            .filter(is_ready)
            .flat_map(|object| of_spec(&object))
            .collect();
        ranges.sort_by_key(|range| *range != self.cidr);
        Ok(ranges)
    }

    pub(super) async fn address(&self, service: &Value, assigned: &mut Assigned) -> Result<Ipv4Addr> {
        let ranges = self.ranges().await?;
        if let Some(wanted) = service["spec"]["clusterIP"].as_str().filter(|address| !address.is_empty()) {
            return self.wanted(service, wanted, &ranges, assigned).await;
        }
        for address in ranges.into_iter().flat_map(Cidr::candidates) {
            if self.take_address(service, address, assigned).await? {
                return Ok(address);
            }
        }
        Err(ApiError::Internal("failed to allocate a serviceIP: range is full".into()))
    }

    /// The address that a service asks for.
    async fn wanted(
        &self,
        service: &Value,
        wanted: &str,
        ranges: &[Cidr],
        assigned: &mut Assigned,
    ) -> Result<Ipv4Addr> {
        let refused =
            |why: &str| Err(refuse_ip(service, wanted, &format!("failed to allocate IP {wanted}: {why}")));
        let address: Option<Ipv4Addr> = wanted.parse().ok();
        let Some(address) = address.filter(|a| ranges.iter().any(|range| range.gives(*a))) else {
            return refused("the provided network does not match the current range");
        };
        match self.take_address(service, address, assigned).await? {
            true => Ok(address),
            false => refused("provided IP is already allocated"),
        }
    }
}

fn is_ready(object: &Value) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    meta::deletion_timestamp(object).is_none()
        && conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn of_spec(object: &Value) -> Vec<Cidr> {
    let cidrs = object["spec"]["cidrs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    cidrs.filter_map(Cidr::of_object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceAddresses;
    use object::json;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use store::memory::MemoryStore;
    use store::{Expect, Store, Write};

    async fn put(store: &dyn Store, name: &str, cidr: &str, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let object = json!({"metadata": {"name": name}, "spec": {"cidrs": [cidr]},
            "status": {"conditions": [{"type": "Ready", "status": status}]}});
        let key = format!("{PREFIX}{name}").into();
        let (old, _) = store.get(&format!("{PREFIX}{name}")).await.unwrap();
        let expect = old.map_or(Expect::Absent, |old| Expect::At(old.mod_revision));
        let value = Some(stored::encode(&object));
        store.write(Write { key, expect, value, ttl: None }).await.unwrap();
    }

    fn service(address: &str) -> Value {
        json!({"metadata": {"name": "s", "namespace": "a"}, "spec": {"clusterIP": address}})
    }

    /// What services get who do not care, until there is no more.
    async fn all(addresses: &LocalAddresses) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        loop {
            let mut next = service("");
            match addresses.assign(&mut next, None).await {
                Ok(_) => assert!(all.insert(next["spec"]["clusterIP"].as_str().unwrap().to_owned())),
                Err(error) => {
                    assert!(error.message().ends_with("failed to allocate a serviceIP: range is full"));
                    return all;
                }
            }
        }
    }

    #[tokio::test]
    async fn addresses_come_from_every_range_that_is_ready() {
        let store: Arc<dyn Store> = MemoryStore::new();
        let addresses = LocalAddresses::new(store.clone(), Cidr::parse("10.96.0.0/29").unwrap());
        assert_eq!(all(&addresses).await.len(), 6, "before there are any ServiceCIDRs");
        put(&*store, "kubernetes", "10.96.0.0/29", true).await;
        put(&*store, "more", "10.7.0.0/30", true).await;
        put(&*store, "late", "10.8.0.0/30", false).await;
        put(&*store, "six", "fd00::/120", true).await;
        let more = all(&addresses).await;
        assert_eq!(more.into_iter().collect::<Vec<_>>(), ["10.7.0.1", "10.7.0.2"]);
        put(&*store, "late", "10.8.0.0/30", true).await;
        assert_eq!(all(&addresses).await.len(), 2);
    }

    #[tokio::test]
    async fn an_address_that_is_asked_for_has_to_be_in_a_range() {
        let store: Arc<dyn Store> = MemoryStore::new();
        let addresses = LocalAddresses::new(store.clone(), Cidr::parse("10.96.0.0/16").unwrap());
        put(&*store, "kubernetes", "10.96.0.0/16", true).await;
        let ask = async |address: &str| {
            let error = addresses.assign(&mut service(address), None).await.err();
            error.map(|error| error.message()).unwrap_or_default()
        };
        assert!(ask("10.7.0.9").await.ends_with("the provided network does not match the current range"));
        put(&*store, "more", "10.7.0.0/24", true).await;
        assert_eq!(ask("10.7.0.9").await, "");
        assert!(ask("10.7.0.9").await.ends_with("provided IP is already allocated"));
        assert!(ask("10.7.0.255").await.ends_with("the provided network does not match the current range"));
    }
}
