//! Room on nodes: resources, number of pods, host ports.

use super::{Node, Placed, Refusal};
use crate::spec;
use object::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource name; CPU in thousandths, all else in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources(BTreeMap<String, i64>);

impl Resources {
    /// A `requests` or `allocatable` map; what is no quantity counts as nothing.
    pub fn of_map(map: &Value) -> Self {
        let amounts = map.as_object().into_iter().flatten().filter_map(|(name, value)| {
            let quantity = Quantity::from_json(value).ok()?;
            Some((name.clone(), if name == "cpu" { quantity.milli_value() } else { quantity.value() }))
        });
        Self(amounts.collect())
    }

    /// What a pod asks for: its containers and sidecars together, or an init container that needs more, and overhead.
    pub fn of_pod(pod: &Value) -> Self {
        let of = |container: &Value| Self::of_map(&container["resources"]["requests"]);
        let mut total = Self::default();
        spec::list(pod, "containers").iter().for_each(|c| total.add(&of(c)));
        let (mut sidecars, mut highest) = (Self::default(), Self::default());
        for container in spec::list(pod, "initContainers") {
            let mut alone = of(container);
            if spec::is_sidecar(container) {
                sidecars.add(&alone);
                highest.raise(&sidecars);
            } else {
                alone.add(&sidecars);
                highest.raise(&alone);
            }
        }
        total.add(&sidecars);
        total.raise(&highest);
        // Requests of the pod as a whole go before those of its containers.
        total.0.extend(Self::of_map(&pod["spec"]["resources"]["requests"]).0);
        total.add(&Self::of_map(&pod["spec"]["overhead"]));
        total
    }

    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let rest = self.0.entry(name.clone()).or_default();
            *rest = rest.saturating_sub(*amount);
        }
    }

    fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let highest = self.0.entry(name.clone()).or_default();
            *highest = (*highest).max(*amount);
        }
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// How much of CPU and memory is left, of 100.
    pub fn room(&self, used: &Self, more: &Self) -> i64 {
        let share = |name: &str| {
            let all = self.get(name).max(1);
            let rest = all.saturating_sub(used.get(name)).saturating_sub(more.get(name));
            (rest as i128 * 100 / i128::from(all)) as i64
        };
        (share("cpu") + share("memory")) / 2
    }
}

/// What the node has too little of; `promised` is kept for others.
pub(super) fn lacks(requests: &Resources, node: &Node, promised: Option<&Resources>) -> Vec<Refusal> {
    let mut lacks = vec![];
    if node.pods.len() as i64 >= node.allocatable.get("pods") {
        lacks.push(Refusal::of_pods("Too many pods"));
    }
    for (name, amount) in requests.0.iter().filter(|(_, amount)| **amount > 0) {
        let taken = node.used.get(name).saturating_add(promised.map_or(0, |p| p.get(name)));
        let free = node.allocatable.get(name).saturating_sub(taken);
        if *amount > free {
            let refusal = format!("Insufficient {name}");
            lacks.push(match *amount > node.allocatable.get(name) {
                true => Refusal::of_node(refusal),
                false => Refusal::of_pods(refusal),
            });
        }
    }
    lacks
}

/// The first thing that the node has too little of beside its `others`, as a kubelet tells it. What the node does not know
/// at all does not count.
pub(super) fn shortage<'a>(
    pod: &Value,
    node: &Node,
    others: impl Iterator<Item = &'a Placed>,
) -> Option<(String, String)> {
    let (mut used, mut count) = (Resources::default(), 0);
    for other in others {
        used.add(&other.requests);
        count += 1;
    }
    used.0.insert("pods".into(), count);
    let mut requests = Resources::of_pod(pod);
    requests.0.insert("pods".into(), 1);
    requests.0.iter().find_map(|(name, requested)| {
        let capacity = *node.allocatable.0.get(name)?;
        let used = used.get(name);
        (*requested > 0 && requested.saturating_add(used) > capacity).then(|| {
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            );
            (format!("OutOf{name}"), message)
        })
    })
}

/// The node's ports that a pod wants: protocol, address, port.
pub(super) fn host_ports(pod: &Value) -> Vec<(String, String, i64)> {
    let host_network = spec::host_network(pod);
    let containers = spec::list(pod, "containers").iter();
    let sidecars = spec::list(pod, "initContainers").iter().filter(|c| spec::is_sidecar(c));
    let ports = containers.chain(sidecars).flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports
        .filter_map(|port| {
            let own = port["hostPort"].as_i64().filter(|p| *p > 0);
            let number = own.or(port["containerPort"].as_i64().filter(|_| host_network))?;
            let ip = port["hostIP"].as_str().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
            Some((port["protocol"].as_str().unwrap_or("TCP").to_owned(), ip.to_owned(), number))
        })
        .collect()
}

/// Whether `port` is among `taken`, on the same address or on all of them.
pub(super) fn conflicts(taken: &[(String, String, i64)], port: &(String, String, i64)) -> bool {
    let any = |ip: &str| ip == "0.0.0.0" || ip == "::";
    taken.iter().any(|t| t.0 == port.0 && t.2 == port.2 && (t.1 == port.1 || any(&t.1) || any(&port.1)))
}
