//! Who leads, decided from a Lease and a clock of one's own, as client-go decides it. Pure.
//!
//! Other machines' clocks are not trusted: a Lease is good for its duration from when *we* saw it change last.

use jiff::Timestamp;
use object::{Value, json, meta, time};
use std::time::Duration;
use tokio::time::Instant;

/// How an election is run.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name; its events come from a component of the same name.
    pub name: String,
    /// Who we are: unlike anybody else.
    pub identity: String,
    /// Others wait this long after a renewal they saw before they take over.
    pub lease_duration: Duration,
    /// A leader that could not renew for this long stops.
    pub renew_deadline: Duration,
    /// Between attempts.
    pub retry_period: Duration,
}

impl Rules {
    /// kube-controller-manager's Lease and its defaults: 15, 10 and 2 seconds.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            namespace: "kube-system".into(),
            name: "kube-controller-manager".into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What we saw of the Lease.
#[derive(Default)]
pub(super) struct Observed {
    spec: Value,
    at: Option<Instant>,
}

impl Observed {
    /// Notes the Lease as it is now.
    pub(super) fn see(&mut self, lease: &Value, now: Instant) {
        if self.at.is_none() || self.spec != lease["spec"] {
            self.spec = lease["spec"].clone();
            self.at = Some(now);
        }
    }

    /// Who holds it; empty for nobody.
    pub(super) fn holder(&self) -> &str {
        self.spec["holderIdentity"].as_str().unwrap_or("")
    }

    /// Whether the holder may still rely on it.
    fn is_valid(&self, now: Instant) -> bool {
        let seconds = self.spec["leaseDurationSeconds"].as_u64().unwrap_or(0);
        self.at.is_some_and(|at| at + Duration::from_secs(seconds.min(86_400)) > now)
    }

    /// Whether we must leave the Lease alone.
    pub(super) fn is_anothers(&self, rules: &Rules, now: Instant) -> bool {
        !self.holder().is_empty() && self.holder() != rules.identity && self.is_valid(now)
    }
}

/// The Lease when there is none.
pub(super) fn first(rules: &Rules, now: Timestamp) -> Value {
    let now = time::format_micro(now);
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": rules.namespace, "name": rules.name},
        "spec": {
            "holderIdentity": rules.identity, "leaseDurationSeconds": rules.lease_duration.as_secs(),
            "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
        },
    })
}

/// The Lease renewed, or taken over from whoever held it.
pub(super) fn held(rules: &Rules, lease: &Value, now: Timestamp) -> Value {
    let mut lease = lease.clone();
    let now = time::format_micro(now);
    let spec = &mut lease["spec"];
    if spec["holderIdentity"] != rules.identity.as_str() {
        let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0);
        spec["leaseTransitions"] = transitions.saturating_add(1).into();
        spec["acquireTime"] = now.clone().into();
    }
    spec["holderIdentity"] = rules.identity.clone().into();
    spec["leaseDurationSeconds"] = rules.lease_duration.as_secs().into();
    spec["renewTime"] = now.into();
    lease
}

/// The Lease given up: whoever wants it may have it at once.
pub(super) fn released(lease: &Value, now: Timestamp) -> Value {
    let mut lease = lease.clone();
    let now = time::format_micro(now);
    let spec = &mut lease["spec"];
    spec["holderIdentity"] = "".into();
    spec["leaseDurationSeconds"] = 1.into();
    spec["acquireTime"] = now.clone().into();
    spec["renewTime"] = now.into();
    lease
}

/// What is told of the Lease.
pub(super) fn event(rules: &Rules, lease: &Value, what: &str, now: Timestamp) -> Value {
    let time = time::format(now);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"namespace": rules.namespace, "name": format!("{}.{:x}", rules.name, now.as_nanosecond())},
        "involvedObject": {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": rules.namespace, "name": rules.name,
            "uid": meta::uid(lease), "resourceVersion": meta::resource_version(lease),
        },
        "type": "Normal", "reason": "LeaderElection", "message": format!("{} {what}", rules.identity),
        "source": {"component": rules.name}, "reportingComponent": rules.name, "reportingInstance": "",
        "firstTimestamp": time, "lastTimestamp": time, "count": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_good_for_its_duration_from_when_it_was_seen_to_change() {
        let (one, two) = (Rules::new("one"), Rules::new("two"));
        let mut seen = Observed::default();
        let mut lease = first(&one, at(0));
        seen.see(&lease, Instant::now());
        assert!(seen.is_anothers(&two, Instant::now()) && !seen.is_anothers(&one, Instant::now()));
        tokio::time::advance(Duration::from_secs(14)).await;
        // As it was: no new time.
        seen.see(&lease, Instant::now());
        assert!(seen.is_anothers(&two, Instant::now()));
        // A clock that goes wrong elsewhere changes nothing: that it was renewed counts.
        lease = held(&one, &lease, at(-3_000));
        seen.see(&lease, Instant::now());
        tokio::time::advance(Duration::from_secs(14)).await;
        assert!(seen.is_anothers(&two, Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!seen.is_anothers(&two, Instant::now()));
    }

    #[test]
    fn transitions_are_counted_and_renewals_are_not() {
        let (one, two) = (Rules::new("one"), Rules::new("two"));
        let lease = held(&one, &first(&one, at(0)), at(2));
        assert_eq!(
            (&lease["spec"]["leaseTransitions"], &lease["spec"]["leaseDurationSeconds"]),
            (&json!(0), &json!(15))
        );
        assert_eq!(lease["spec"]["acquireTime"], "2023-11-14T22:13:20.000000Z");
        assert_eq!(lease["spec"]["renewTime"], "2023-11-14T22:13:22.000000Z");
        let lease = held(&two, &lease, at(20));
        assert_eq!(lease["spec"]["leaseTransitions"], 1);
        assert_eq!(lease["spec"]["acquireTime"], lease["spec"]["renewTime"]);
        let mut seen = Observed::default();
        seen.see(&released(&lease, at(21)), Instant::now());
        assert!(!seen.is_anothers(&one, Instant::now()), "at once");
        assert_eq!(held(&one, &released(&lease, at(21)), at(22))["spec"]["leaseTransitions"], 2);
    }
}
