//! Cluster IPs and node ports: handed out once, remembered in the store.
//!
//! A stand-alone control plane allocates from its own range ([`LocalAddresses`]); inside of a host, the host allocates
//! and the syncer implements [`ServiceAddresses`].

mod ranges;
mod repair;

use futures::future::BoxFuture;
use object::{ApiError, FieldError, GroupKind, Path, Result, Value, json, meta};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use store::{Expect, Store, StoreError, Write};

/// What one assignment took; given back when the service is not stored after all.
#[derive(Default, Debug)]
pub struct Assigned {
    /// What was taken, as the one who gave it names it.
    pub keys: Vec<String>,
}

/// Who gives services their addresses.
pub trait ServiceAddresses: Send + Sync {
    /// Fills in cluster IPs, IP families and node ports of a service about to be stored (over `old`, if any).
    fn assign<'a>(
        &'a self,
        service: &'a mut Value,
        old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Assigned>>;

    /// Fills in what a dry run shows: addresses and ports that are nobody's.
    fn pretend(&self, _service: &mut Value) {}

    /// Gives back what [`assign`](Self::assign) took: the service was not stored.
    fn undo<'a>(&'a self, service: &'a Value, assigned: Assigned) -> BoxFuture<'a, ()>;

    /// The service is gone.
    fn release<'a>(&'a self, service: &'a Value) -> BoxFuture<'a, ()>;

    /// A server starts: what an earlier one may have left behind is looked for.
    fn repair(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// The ranges that cluster IPs come from, when they are this server's to give.
    fn cidrs(&self) -> Vec<String> {
        Vec::new()
    }

    /// The service was updated: what `old` held and `new` does not is free.
    fn release_dropped<'a>(&'a self, _new: &'a Value, _old: &'a Value) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// An IPv4 range, such as `10.96.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: u32,
    bits: u32,
}

impl Cidr {
    /// Reads `a.b.c.d/bits`; at least 8 addresses, host bits zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let base = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let bits: u32 = bits.parse().ok().filter(|b| (8..=29).contains(b))?;
        (base & ((1u32 << (32 - bits)) - 1) == 0).then_some(Self { base, bits })
    }

    fn size(self) -> u32 {
        1 << (32 - self.bits)
    }

    /// The `n`th address: 1 is the API's own.
    pub fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base + n)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}

/// Allocates from a range of its own and those of ServiceCIDRs; every address is an `IPAddress` object, so two servers on one store never give the same.
pub struct LocalAddresses {
    store: Arc<dyn Store>,
    cidr: Cidr,
}

const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;
const TRIES: u32 = 4096;

impl LocalAddresses {
    /// Allocates from `cidr`.
    pub fn new(store: Arc<dyn Store>, cidr: Cidr) -> Self {
        Self { store, cidr }
    }

    async fn take(&self, key: &str, value: &Value) -> Result<bool> {
        let value = crate::stored::encode(value);
        let write = Write { key: key.into(), expect: Expect::Absent, value: Some(value), ttl: None };
        match self.store.write(write).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(e) => Err(crate::failure::store(e)),
        }
    }

    async fn drop_key(&self, key: &str) {
        if let Ok((Some(entry), _)) = self.store.get(key).await {
            let write =
                Write { key: entry.key, expect: Expect::At(entry.mod_revision), value: None, ttl: None };
            if let Err(error) = self.store.write(write).await {
                tracing::warn!(key, %error, "an address was not given back");
            }
        }
    }

    async fn take_address(
        &self,
        service: &Value,
        address: Ipv4Addr,
        assigned: &mut Assigned,
    ) -> Result<bool> {
        let key = address_key(&address.to_string());
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {
                "name": address.to_string(), "uid": uuid::Uuid::new_v4().to_string(),
                "creationTimestamp": object::time::format(object::time::now()),
                "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"},
            },
            "spec": {"parentRef": {
                "group": "", "resource": "services", "namespace": meta::namespace(service), "name": meta::name(service),
            }},
        });
        let taken = self.take(&key, &object).await?;
        if taken {
            assigned.keys.push(key);
        }
        Ok(taken)
    }

    async fn node_port(
        &self,
        service: &Value,
        wanted: Option<i64>,
        path: &Path,
        assigned: &mut Assigned,
    ) -> Result<i64> {
        let tries = if wanted.is_some() { 1 } else { TRIES };
        for _ in 0..tries {
            let port = wanted.unwrap_or_else(|| rand::random_range(NODE_PORTS));
            if !NODE_PORTS.contains(&port) {
                let detail =
                    "provided port is not in the valid range. The range of valid ports is 30000-32767";
                return Err(invalid(service, FieldError::invalid(path, &port.into(), detail)));
            }
            let key = port_key(port);
            let owner = format!("{}/{}", meta::namespace(service), meta::name(service));
            if self
                .take(
                    &key,
                    &json!({"apiVersion": "joey.dev/v1", "kind": "NodePort", "metadata": {"name": owner}}),
                )
                .await?
            {
                assigned.keys.push(key);
                return Ok(port);
            }
            if wanted.is_some() {
                return Err(invalid(
                    service,
                    FieldError::invalid(path, &port.into(), "provided port is already allocated"),
                ));
            }
        }
        Err(ApiError::Internal("failed to allocate a nodePort: range is full".into()))
    }

    async fn assign_all(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        assigned: &mut Assigned,
    ) -> Result<()> {
        let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
        if kind == "ExternalName" {
            return Ok(());
        }
        if service["spec"]["clusterIPs"][0] == "None" {
            return Ok(());
        }
        let had =
            old.map(|o| &o["spec"]["clusterIP"]).filter(|ip| ip.as_str().is_some_and(|ip| !ip.is_empty()));
        if had.is_none() || had != Some(&service["spec"]["clusterIP"]) {
            let address = self.address(service, assigned).await?.to_string();
            service["spec"]["clusterIP"] = address.clone().into();
            service["spec"]["clusterIPs"] = json!([address]);
        }
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            self.assign_ports(service, old, assigned).await?;
        }
        if crate::strategy::needs_health_port(service) {
            let wanted = service["spec"]["healthCheckNodePort"].as_i64().filter(|p| *p != 0);
            let held = old.map(node_ports).unwrap_or_default();
            if wanted.is_none_or(|w| !held.contains(&w)) {
                let path = Path::new("spec.healthCheckNodePort");
                let port = self.node_port(service, wanted, &path, assigned).await.map_err(|error| {
                    let ApiError::Invalid { errors, .. } = &error else { return error };
                    let why = errors.first().and_then(|e| e.message.rsplit(": ").next()).unwrap_or_default();
                    let wanted = wanted.unwrap_or_default();
                    let what = format!("failed to allocate requested HealthCheck NodePort {wanted}: {why}");
                    ApiError::Internal(what)
                })?;
                service["spec"]["healthCheckNodePort"] = port.into();
            }
        }
        Ok(())
    }

    async fn assign_ports(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        assigned: &mut Assigned,
    ) -> Result<()> {
        let held = old.map(node_ports).unwrap_or_default();
        let mut chosen = PortsChosen::default();
        let count = service["spec"]["ports"].as_array().map_or(0, Vec::len);
        for index in 0..count {
            let Some(wanted) = chosen.wanted(service, index) else { continue };
            let path = Path::new("spec.ports").index(index).field("nodePort");
            let number = match wanted {
                Some(number) if held.contains(&number) => number,
                wanted => self.node_port(service, wanted, &path, assigned).await?,
            };
            chosen.take(service, index, number);
        }
        Ok(())
    }

    /// What nobody is given: the range itself, and ports above it.
    fn pretend_all(&self, service: &mut Value) {
        let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
        if kind == "ExternalName" {
            return;
        }
        let unset = service["spec"]["clusterIP"].as_str().is_none_or(str::is_empty);
        if unset {
            let address = self.cidr.nth(0).to_string();
            service["spec"]["clusterIP"] = address.clone().into();
            service["spec"]["clusterIPs"] = json!([address]);
        }
        let mut last = None;
        let mut next = |wanted: Option<i64>| {
            let port = wanted.unwrap_or_else(|| last.map_or(PRETENDED, |last: i64| last + 1));
            last = last.max(Some(port));
            port
        };
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            let mut chosen = PortsChosen::default();
            for index in 0..service["spec"]["ports"].as_array().map_or(0, Vec::len) {
                if let Some(wanted) = chosen.wanted(service, index) {
                    let number = next(wanted);
                    chosen.take(service, index, number);
                }
            }
        }
        if crate::strategy::needs_health_port(service) {
            let wanted = service["spec"]["healthCheckNodePort"].as_i64().filter(|p| *p != 0);
            service["spec"]["healthCheckNodePort"] = next(wanted).into();
        }
    }
}

/// The first port that a dry run shows.
const PRETENDED: i64 = 32769;

/// Node ports of one service by the port they lead to: a port that is served over two protocols has one.
#[derive(Default)]
struct PortsChosen(BTreeMap<i64, i64>);

impl PortsChosen {
    /// Which node port the port at `index` asks for; `None` when it needs none to be taken.
    fn wanted(&self, service: &mut Value, index: usize) -> Option<Option<i64>> {
        let ports = &service["spec"]["ports"];
        let asked = |port: &Value| port["nodePort"].as_i64().filter(|p| *p != 0);
        let (own, number) = (asked(&ports[index]), ports[index]["port"].as_i64().unwrap_or(0));
        if own.is_none() && service["spec"]["allocateLoadBalancerNodePorts"] == false {
            return None;
        }
        match (self.0.get(&number), own) {
            (None, _) => {
                let same = ports.as_array().into_iter().flatten().filter(|p| p["port"] == number);
                Some(same.into_iter().find_map(asked))
            }
            (Some(chosen), None) => {
                let chosen = *chosen;
                service["spec"]["ports"][index]["nodePort"] = chosen.into();
                None
            }
            (Some(chosen), Some(own)) => (*chosen != own).then_some(Some(own)),
        }
    }

    fn take(&mut self, service: &mut Value, index: usize, number: i64) {
        let port = service["spec"]["ports"][index]["port"].as_i64().unwrap_or(0);
        self.0.entry(port).or_insert(number);
        service["spec"]["ports"][index]["nodePort"] = number.into();
    }
}

fn address_key(address: &str) -> String {
    format!("/networking.k8s.io/ipaddresses/{address}")
}

fn port_key(port: i64) -> String {
    format!("/joey/nodeports/{port}")
}

fn node_ports(service: &Value) -> Vec<i64> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let health = service["spec"]["healthCheckNodePort"].as_i64();
    ports.filter_map(|p| p["nodePort"].as_i64()).chain(health).filter(|p| *p != 0).collect()
}

/// The store keys of all that a service holds.
fn held_keys(service: &Value) -> Vec<String> {
    let addresses = service["spec"]["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let addresses = addresses.filter(|a| *a != "None").map(address_key);
    addresses.chain(node_ports(service).into_iter().map(port_key)).collect()
}

fn refuse_ip(service: &Value, wanted: &str, detail: &str) -> ApiError {
    let path = Path::new("spec.clusterIPs");
    invalid(service, FieldError::invalid_shown(&path, &format!("[{}]", object::error::quote(wanted)), detail))
}

fn invalid(service: &Value, error: FieldError) -> ApiError {
    let kind = GroupKind { group: String::new(), kind: "Service".into() };
    ApiError::Invalid { kind, name: meta::name(service).into(), errors: vec![error] }
}

impl ServiceAddresses for LocalAddresses {
    fn pretend(&self, service: &mut Value) {
        self.pretend_all(service);
    }

    fn assign<'a>(
        &'a self,
        service: &'a mut Value,
        old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Assigned>> {
        Box::pin(async move {
            let mut assigned = Assigned::default();
            match self.assign_all(service, old, &mut assigned).await {
                Ok(()) => Ok(assigned),
                Err(error) => {
                    self.undo(service, assigned).await;
                    Err(error)
                }
            }
        })
    }

    fn undo<'a>(&'a self, _: &'a Value, assigned: Assigned) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for key in assigned.keys {
                self.drop_key(&key).await;
            }
        })
    }

    fn repair(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.look_for_orphans())
    }

    fn cidrs(&self) -> Vec<String> {
        vec![self.cidr.to_string()]
    }

    fn release<'a>(&'a self, service: &'a Value) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for key in held_keys(service) {
                self.drop_key(&key).await;
            }
        })
    }

    fn release_dropped<'a>(&'a self, new: &'a Value, old: &'a Value) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let kept = held_keys(new);
            for key in held_keys(old).iter().filter(|key| !kept.contains(key)) {
                self.drop_key(key).await;
            }
        })
    }
}
