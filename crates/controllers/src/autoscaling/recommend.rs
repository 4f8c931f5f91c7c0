//! From what pods use to how many there should be: pure.

use crate::common::pods as common;
use crate::policy::quota_usage::pod_resources;
use jiff::Timestamp;
use object::{meta, time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ratios this close to 1 change nothing, unless the autoscaler says otherwise.
const TOLERANCE: f64 = 0.1;
/// How long after its start a pod's CPU use says little, seconds.
const CPU_START: i64 = 300;
/// How long a pod may take to become ready for the first time, seconds.
const READY_START: i64 = 30;

/// How far from 1 a ratio may be before the size changes, downwards and upwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    down: f64,
    up: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { down: TOLERANCE, up: TOLERANCE }
    }
}

impl Tolerance {
    /// Of an autoscaler (`spec.behavior.scaleUp.tolerance`).
    pub(super) fn of(autoscaler: &Value) -> Self {
        let read = |direction: &str| {
            let given = &autoscaler["spec"]["behavior"][direction]["tolerance"];
            let given = object::Quantity::from_json(given).ok().filter(|_| !given.is_null());
            given.map_or(TOLERANCE, |given| given.milli_value() as f64 / 1000.0)
        };
        Self { down: read("scaleDown"), up: read("scaleUp") }
    }

    /// Whether the size is good enough as it is.
    pub(super) fn holds(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What a metric recommends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recommendation {
    pub(super) replicas: i64,
    /// As messages name it: `cpu resource utilization (percentage of request)`.
    pub(super) metric: String,
    /// An entry of `status.currentMetrics`.
    pub(super) shown: Value,
}

/// Pods by what their numbers are worth.
pub(super) struct Groups {
    pub(super) ready: usize,
    /// Not ready yet: they count as using nothing.
    pub(super) unready: Vec<String>,
    /// Without a number.
    pub(super) missing: Vec<String>,
}

/// Sorts pods; those that failed or are going are left out, also from `usage`.
pub(super) fn group(
    pods: &[Arc<Value>],
    usage: &mut BTreeMap<String, i64>,
    is_cpu: bool,
    now: Timestamp,
) -> Groups {
    let mut groups = Groups { ready: 0, unready: vec![], missing: vec![] };
    for pod in pods {
        let name = meta::name(pod).to_owned();
        if meta::deletion_timestamp(pod).is_some() || pod["status"]["phase"] == "Failed" {
            usage.remove(&name);
        } else if pod["status"]["phase"] == "Pending" {
            usage.remove(&name);
            groups.unready.push(name);
        } else if !usage.contains_key(&name) {
            groups.missing.push(name);
        } else if is_cpu && is_starting(pod, now) {
            usage.remove(&name);
            groups.unready.push(name);
        } else {
            groups.ready += 1;
        }
    }
    groups
}

fn is_starting(pod: &Value, now: Timestamp) -> bool {
    let start = pod["status"]["startTime"].as_str().and_then(|text| time::parse(text).ok());
    let Some(start) = start else { return !common::is_ready(pod) };
    let age = now.as_second() - start.as_second();
    let changed = crate::common::conditions::find(&pod["status"]["conditions"], "Ready")
        .and_then(|condition| time::parse(condition["lastTransitionTime"].as_str()?).ok());
    if age < CPU_START {
        return !common::is_ready(pod);
    }
    !common::is_ready(pod)
        && changed.is_none_or(|changed| changed.as_second() - start.as_second() < READY_START)
}

/// Requests of all pods together, of one resource, in thousandths; an error names a container without any.
pub(super) fn requests(
    pods: &[Arc<Value>],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<String, i64>, String> {
    let mut all = BTreeMap::new();
    for pod in pods {
        let containers = || {
            let all = pod["spec"]["containers"].as_array().into_iter().flatten();
            all.filter(|each| container.is_none_or(|name| each["name"] == name))
        };
        let request =
            |each: &Value| object::Quantity::from_json(&each["resources"]["requests"][resource]).ok();
        let found = match container {
            None => pod_resources(&pod["spec"], "requests").get(resource).map(object::Quantity::milli_value),
            Some(_) => containers().filter_map(request).map(|amount| amount.milli_value()).next(),
        };
        let lacking = containers().find(|container| container["resources"]["requests"][resource].is_null());
        match (found, lacking) {
            (Some(amount), None) => drop(all.insert(meta::name(pod).to_owned(), amount)),
            (_, lacking) => {
                let container = lacking.and_then(|container| container["name"].as_str()).unwrap_or("");
                return Err(format!(
                    "missing request for {resource} in container {container} of Pod {}",
                    meta::name(pod)
                ));
            }
        }
    }
    Ok(all)
}

/// By utilization: percent of what the pods ask for. Answers replicas, utilization in percent and use per pod.
pub(super) fn by_utilization(
    current: i64,
    target: i64,
    usage: &BTreeMap<String, i64>,
    requests: &BTreeMap<String, i64>,
    groups: &Groups,
    tolerance: Tolerance,
) -> Option<(i64, i64, i64)> {
    let asked =
        |names: &BTreeMap<String, i64>| -> i64 { names.keys().filter_map(|name| requests.get(name)).sum() };
    let ratio = |usage: &BTreeMap<String, i64>| {
        let asked = asked(usage);
        (asked > 0).then(|| usage.values().sum::<i64>() * 100 / asked)
    };
    let now = ratio(usage)?;
    let average = usage.values().sum::<i64>() / usage.len().max(1) as i64;
    let filled = |name: &str, share: i64| requests.get(name).map(|asked| asked * share / 100);
    let first = now as f64 / target as f64;
    let replicas = settle(
        current,
        first,
        usage,
        (groups, tolerance),
        |usage| ratio(usage).map(|now| now as f64 / target as f64),
        filled,
        target,
    );
    Some((replicas, now, average))
}

/// By the average value per pod. Answers replicas and the average.
pub(super) fn by_value(
    current: i64,
    target: i64,
    usage: &BTreeMap<String, i64>,
    groups: &Groups,
    tolerance: Tolerance,
) -> Option<(i64, i64)> {
    let average = |usage: &BTreeMap<String, i64>| {
        (!usage.is_empty()).then(|| usage.values().sum::<i64>() / usage.len() as i64)
    };
    let now = average(usage)?;
    let filled = |_: &str, share: i64| Some(target * share / 100);
    let first = now as f64 / target as f64;
    let replicas = settle(
        current,
        first,
        usage,
        (groups, tolerance),
        |usage| average(usage).map(|now| now as f64 / target as f64),
        filled,
        100,
    );
    Some((replicas, now))
}

/// The new size. Pods without a number count as on target when shrinking, as idle when growing; if that turns the direction,
/// nothing is done.
fn settle(
    current: i64,
    first: f64,
    usage: &BTreeMap<String, i64>,
    (groups, tolerance): (&Groups, Tolerance),
    ratio: impl Fn(&BTreeMap<String, i64>) -> Option<f64>,
    filled: impl Fn(&str, i64) -> Option<i64>,
    target: i64,
) -> i64 {
    let growing = first > 1.0;
    if groups.missing.is_empty() && (groups.unready.is_empty() || !growing) {
        return if tolerance.holds(first) { current } else { (first * groups.ready as f64).ceil() as i64 };
    }
    let mut usage = usage.clone();
    let share = if growing { 0 } else { target.max(100) };
    for name in &groups.missing {
        usage.insert(name.clone(), filled(name, share).unwrap_or(0));
    }
    if growing {
        usage.extend(groups.unready.iter().map(|name| (name.clone(), 0)));
    }
    let Some(second) = ratio(&usage) else { return current };
    let turned = (growing && second < 1.0) || (!growing && second > 1.0);
    if tolerance.holds(second) || turned {
        return current;
    }
    let next = (second * usage.len() as f64).ceil() as i64;
    let against = (growing && next < current) || (!growing && next > current);
    if against { current } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(values: &[i64]) -> BTreeMap<String, i64> {
        values.iter().enumerate().map(|(index, value)| (format!("p{index}"), *value)).collect()
    }

    fn groups(ready: usize, unready: &[&str], missing: &[&str]) -> Groups {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Groups { ready, unready: owned(unready), missing: owned(missing) }
    }

    #[test]
    fn size_follows_use() {
        let requests = usage(&[1000, 1000, 1000]);
        let by = |values: &[i64], groups| {
            by_utilization(3, 50, &usage(values), &requests, &groups, Tolerance::default()).unwrap().0
        };
        assert_eq!(by(&[1000, 1000, 1000], groups(3, &[], &[])), 6);
        assert_eq!(by(&[520, 520, 520], groups(3, &[], &[])), 3);
        assert_eq!(by(&[100, 100, 100], groups(3, &[], &[])), 1);
    }

    #[test]
    fn what_is_unknown_holds_back() {
        let requests = usage(&[1000, 1000, 1000]);
        // Growing: the pod without a number counts as idle.
        assert_eq!(
            by_utilization(
                3,
                50,
                &usage(&[900, 900]),
                &requests,
                &groups(2, &[], &["p2"]),
                Tolerance::default()
            )
            .unwrap()
            .0,
            4
        );
        // Shrinking: as busy.
        assert_eq!(
            by_utilization(
                3,
                50,
                &usage(&[100, 100]),
                &requests,
                &groups(2, &[], &["p2"]),
                Tolerance::default()
            )
            .unwrap()
            .0,
            3
        );
        assert_eq!(
            by_value(2, 100, &usage(&[300, 100]), &groups(2, &[], &[]), Tolerance::default()),
            Some((4, 200))
        );
    }
}
