//! ServiceCIDRs: ready from the start, and not to go while an address of theirs is in use.

use crate::common::conditions;
use crate::plan::{Action, Controller, Key, Plan, Verb};
use crate::resources::{IP_ADDRESSES, SERVICE_CIDRS};
use client::{Cache, Change, Patch};
use jiff::Timestamp;
use object::{GroupVersionResource, meta, time};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
/// So long a range that is to go is kept, for allocators that have not heard of it yet, seconds.
const GRACE: i64 = 10;

pub(crate) struct ServiceCidrController;

impl Controller for ServiceCidrController {
    fn name(&self) -> &'static str {
        "service-cidr-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICE_CIDRS]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&IP_ADDRESSES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&SERVICE_CIDRS) {
            add(Key::new("", &change.entry().name));
        }
        // What comes and goes may be what keeps a range, or what lets it go.
        if change.is(&SERVICE_CIDRS) || change.new.is_none() {
            let going = cache.list(&SERVICE_CIDRS, "").into_iter().filter(|range| range.deleting);
            going.for_each(|range| add(Key::new("", &range.name)));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(range) = cache.get(&SERVICE_CIDRS, "", &key.name) else { return Plan::nothing() };
        let held = meta::finalizers(&range).any(|finalizer| finalizer == FINALIZER);
        let Some(since) = meta::deletion_timestamp(&range) else {
            let mut plan = Plan::nothing();
            if !held {
                plan.push(finalize(&range, json!({"finalizers": [FINALIZER]})));
            }
            plan.actions.extend(ready(&range, true, "", "Kubernetes Service CIDR is ready", now));
            return plan;
        };
        if !held {
            return Plan::nothing();
        }
        if is_in_use(cache, &range) {
            let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
            return Plan::of(ready(&range, false, "Terminating", message, now).into_iter().collect());
        }
        let left = time::parse(since).map_or(0, |since| since.as_second() + GRACE - now.as_second());
        if left > 0 {
            return Plan { requeue_after: Some(Duration::from_secs(left.unsigned_abs())), ..Plan::nothing() };
        }
        Plan::of(vec![finalize(&range, json!({"$deleteFromPrimitiveList/finalizers": [FINALIZER]}))])
    }
}

fn finalize(range: &Value, metadata: Value) -> Action {
    let mut action = Action::merge(&SERVICE_CIDRS, range, Value::Null);
    if let Verb::Patch { patch, .. } = &mut action.verb {
        *patch = Patch::Strategic(json!({"metadata": metadata}));
    }
    action
}

/// Sets the condition, unless it says the same already.
fn ready(range: &Value, status: bool, reason: &str, message: &str, now: Timestamp) -> Option<Action> {
    let known = conditions::find(&range["status"]["conditions"], "Ready");
    let word = if status { "True" } else { "False" };
    let same = |known: &Value| {
        known["status"] == word
            && known["reason"].as_str().unwrap_or("") == reason
            && known["message"] == message
    };
    if known.is_some_and(same) {
        return None;
    }
    let condition = conditions::new("Ready", status, reason, message, now);
    let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": meta::name(range)}, "status": {"conditions": [condition]}});
    let mut action = Action::merge(&SERVICE_CIDRS, range, Value::Null);
    if let Verb::Patch { patch, subresource, .. } = &mut action.verb {
        *subresource = "status";
        *patch = Patch::Apply { manager: "service-cidr-controller".into(), force: true, object };
    }
    Some(action)
}

/// An address range: its first address as a number, and how many bits are fixed.
#[derive(Clone, Copy, PartialEq)]
struct Range {
    v6: bool,
    base: u128,
    bits: u32,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (v6, base) = number(address)?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if v6 { 128 } else { 32 })?;
        Some(Self { v6, base, bits })
    }

    fn contains(self, (v6, address): (bool, u128)) -> bool {
        let free = if self.v6 { 128 } else { 32 } - self.bits;
        self.v6 == v6 && (self.base ^ address).checked_shr(free).unwrap_or(0) == 0
    }

    fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains((other.v6, other.base))
    }
}

fn number(address: &str) -> Option<(bool, u128)> {
    match address.parse().ok()? {
        IpAddr::V4(address) => Some((false, u128::from(u32::from(address)))),
        IpAddr::V6(address) => Some((true, u128::from(address))),
    }
}

fn ranges(object: &Value) -> Vec<Range> {
    let all = object["spec"]["cidrs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.filter_map(Range::parse).collect()
}

/// Whether an address would be in no range any more if this one went.
fn is_in_use(cache: &Cache, range: &Value) -> bool {
    let others: Vec<Range> = cache
        .values(&SERVICE_CIDRS, "")
        .iter()
        .filter(|other| meta::name(other) != meta::name(range) && meta::deletion_timestamp(other).is_none())
        .flat_map(|other| ranges(other))
        .collect();
    let own = ranges(range);
    if own.iter().all(|own| others.iter().any(|other| other.covers(*own))) {
        return false;
    }
    let addresses = cache.list(&IP_ADDRESSES, "");
    let ours = addresses.iter().filter(|address| address.label(MANAGED_BY) == Some(ALLOCATOR));
    let mut numbers = ours.filter_map(|address| number(&address.name));
    numbers.any(|address| {
        own.iter().any(|own| own.contains(address)) && !others.iter().any(|other| other.contains(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn range(name: &str, cidr: &str, deleted: Option<&str>) -> Value {
        let mut range = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": name, "finalizers": [FINALIZER]}, "spec": {"cidrs": [cidr]}});
        if let Some(at) = deleted {
            meta::set(&mut range, "deletionTimestamp", at);
        }
        range
    }

    fn address(ip: &str) -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {"name": ip, "labels": {MANAGED_BY: ALLOCATOR}}})
    }

    fn plan(objects: Vec<Value>, second: i64) -> (Vec<String>, Option<u64>) {
        let cache = snapshot(objects);
        let plan =
            ServiceCidrController.plan(&cache, &Key::new("", "r"), Timestamp::from_second(second).unwrap());
        let wait = plan.requeue_after.map(|wait| wait.as_secs());
        (shown(plan, &cache), wait)
    }

    #[test]
    fn a_range_is_ready_and_held() {
        let mut fresh = range("r", "10.0.0.0/24", None);
        meta::unset(&mut fresh, "finalizers");
        let (lines, _) = plan(vec![fresh], 0);
        assert!(
            lines[0].contains("finalizers") && lines[1].contains("Kubernetes Service CIDR is ready"),
            "{lines:?}"
        );
        let mut done = range("r", "10.0.0.0/24", None);
        done["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}]);
        assert!(plan(vec![done], 0).0.is_empty());
    }

    #[test]
    fn a_range_goes_when_no_address_needs_it() {
        let going = || range("r", "10.0.0.0/24", Some("1970-01-01T00:00:00Z"));
        let (lines, _) = plan(vec![going(), address("10.0.0.7"), address("10.1.0.7")], 60);
        assert!(lines[0].contains("There are still IPAddresses"), "{lines:?}");
        assert_eq!(plan(vec![going(), address("10.1.0.7")], 3), (vec![], Some(7)));
        let (lines, _) = plan(vec![going(), address("10.1.0.7")], 10);
        assert!(lines[0].contains("$deleteFromPrimitiveList"), "{lines:?}");
        let larger = range("larger", "10.0.0.0/8", None);
        assert!(
            plan(vec![going(), larger, address("10.0.0.7")], 10).0[0].contains("$deleteFromPrimitiveList")
        );
        let half = range("half", "10.0.0.0/25", None);
        assert!(plan(vec![going(), half, address("10.0.0.200")], 10).0[0].contains("There are still"));
    }
}
