//! What simulated pods and nodes use: nothing real, so what their annotations say, or little.
//!
//! `sandbox.joey.dev/cpu` and `sandbox.joey.dev/memory` (or `cpu.sandbox.joey.dev/NAME` for one container) are quantities.
//! Without, a running container idles. A node uses what its pods do and a little for itself.

use crate::spec;
use object::{Quantity, Value, json, meta};

/// Of a container about which nothing is said.
const IDLE: Usage = Usage { cpu: 1_000_000, memory: 8 << 20 };
/// Of a node without pods.
const NODE: Usage = Usage { cpu: 25_000_000, memory: 256 << 20 };

/// CPU in billionths of a core, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Billionths of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
    }

    /// As `usage` of a metrics server: nanocores and kibibytes.
    pub fn quantities(self) -> Value {
        let cpu = match self.cpu {
            0 => "0".to_owned(),
            cpu if cpu % 1_000_000 == 0 => format!("{}m", cpu / 1_000_000),
            cpu => format!("{cpu}n"),
        };
        json!({"cpu": cpu, "memory": format!("{}Ki", self.memory / 1024)})
    }
}

/// What a container uses while it runs.
pub fn of_container(pod: &Value, container: &Value) -> Usage {
    let said =
        |what: &str| spec::script(pod, container, what).and_then(|text| Quantity::parse(text.trim()).ok());
    Usage {
        cpu: said("cpu").map_or(IDLE.cpu, |q| q.scaled_value(-9).max(0)),
        memory: said("memory").map_or(IDLE.memory, |q| q.value().max(0)),
    }
}

/// The running containers of a pod with what they use.
pub fn of_pod(pod: &Value) -> Vec<(&str, Usage)> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    let running: Vec<&str> = statuses.filter(|s| s["state"]["running"].is_object()).map(spec::name).collect();
    let containers = spec::containers(pod).filter(|c| running.contains(&spec::name(c)));
    containers.map(|c| (spec::name(c), of_container(pod, c))).collect()
}

/// What a node with these pods uses.
pub fn of_node<'a>(pods: impl Iterator<Item = &'a Value>) -> Usage {
    let mut total = NODE;
    pods.flat_map(of_pod).for_each(|(_, usage)| total.add(usage));
    total
}

/// The kubelet's `/stats/summary` of a node; `time` is now, `started` when the node was made.
pub fn summary(node: &Value, pods: &[&Value], time: &str) -> Value {
    let started = meta::creation_timestamp(node).unwrap_or(time);
    let measured = |usage: Usage| {
        json!({
            "cpu": {"time": time, "usageNanoCores": usage.cpu},
            "memory": {
                "time": time, "usageBytes": usage.memory, "workingSetBytes": usage.memory, "rssBytes": usage.memory,
            },
        })
    };
    let with = |mut base: Value, more: Value| {
        if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
            base.extend(more);
        }
        base
    };
    let pod = |pod: &&Value| {
        let mut total = Usage::default();
        let containers: Vec<Value> = of_pod(pod)
            .into_iter()
            .map(|(name, usage)| {
                total.add(usage);
                with(json!({"name": name, "startTime": pod["status"]["startTime"]}), measured(usage))
            })
            .collect();
        let reference =
            json!({"name": meta::name(pod), "namespace": meta::namespace(pod), "uid": meta::uid(pod)});
        let base =
            json!({"podRef": reference, "startTime": pod["status"]["startTime"], "containers": containers});
        with(base, measured(total))
    };
    let all = of_node(pods.iter().copied());
    json!({
        "node": with(json!({"nodeName": meta::name(node), "startTime": started}), measured(all)),
        "pods": pods.iter().map(pod).collect::<Vec<_>>(),
    })
}

/// The kubelet's `/metrics/resource`. CPU is counted as if it had been used evenly since the start; `now` is in seconds.
pub fn resource_metrics(node: &Value, pods: &[&Value], now: f64) -> String {
    let millis = (now * 1000.0) as i64;
    let mut samples: [Vec<String>; 6] = Default::default();
    let seconds = |since: &Value| {
        let since = spec::time(since).map_or(now, |t| t.as_millisecond() as f64 / 1000.0);
        (since, (now - since).max(0.0))
    };
    let used = |usage: Usage, seconds: f64| usage.cpu as f64 / 1e9 * seconds;
    for pod in pods {
        let of = format!("namespace=\"{}\",pod=\"{}\"", meta::namespace(pod), meta::name(pod));
        let (started, ran) = seconds(&pod["status"]["startTime"]);
        let mut total = Usage::default();
        for (name, usage) in of_pod(pod) {
            total.add(usage);
            let labels = format!("container=\"{name}\",{of}");
            samples[0].push(format!("{{{labels}}} {} {millis}", used(usage, ran)));
            samples[1].push(format!("{{{labels}}} {} {millis}", usage.memory));
            samples[2].push(format!("{{{labels}}} {started}"));
        }
        samples[3].push(format!("{{{of}}} {} {millis}", used(total, ran)));
        samples[4].push(format!("{{{of}}} {} {millis}", total.memory));
    }
    let all = of_node(pods.iter().copied());
    let (_, up) = seconds(&node["metadata"]["creationTimestamp"]);
    let named = [
        (
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
        ),
        ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes"),
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds"),
        ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds"),
        ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes"),
        (
            "resource_scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
        ),
    ];
    samples[5].push(" 0".into());
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: &[String]| {
        text.push_str(&format!("# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("{name}{line}\n")));
    };
    for ((name, kind, help), lines) in named.iter().zip(&samples) {
        if !lines.is_empty() {
            family(name, kind, help, lines);
        }
    }
    let node_cpu = format!(" {} {millis}", used(all, up));
    let node_memory = format!(" {} {millis}", all.memory);
    family(
        "node_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the node in core-seconds",
        &[node_cpu],
    );
    family(
        "node_memory_working_set_bytes",
        "gauge",
        "Current working set of the node in bytes",
        &[node_memory],
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "n", "annotations": {
                "sandbox.joey.dev/memory": "64Mi", "cpu.sandbox.joey.dev/a": "250m",
            }},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
            "status": {"startTime": "1970-01-01T00:00:10Z", "containerStatuses": [
                {"name": "a", "state": {"running": {}}}, {"name": "b", "state": {"running": {}}},
                {"name": "c", "state": {"waiting": {}}},
            ]},
        })
    }

    #[test]
    fn annotations_say_what_is_used() {
        let pod = pod();
        let used: Vec<String> = of_pod(&pod).iter().map(|(n, u)| format!("{n} {}", u.quantities())).collect();
        assert_eq!(used, [r#"a {"cpu":"250m","memory":"65536Ki"}"#, r#"b {"cpu":"1m","memory":"65536Ki"}"#]);
        assert_eq!(of_node([&pod].into_iter()).quantities(), json!({"cpu": "276m", "memory": "393216Ki"}));
    }

    #[test]
    fn the_kubelet_tells_it_in_two_ways() {
        let (pod, node) =
            (pod(), json!({"metadata": {"name": "n1", "creationTimestamp": "1970-01-01T00:00:00Z"}}));
        let summary = summary(&node, &[&pod], "1970-01-01T00:00:20Z");
        assert_eq!(summary["pods"][0]["containers"][0]["cpu"]["usageNanoCores"], 250_000_000);
        assert_eq!(summary["node"]["memory"]["workingSetBytes"], 393_216 * 1024);
        let text = resource_metrics(&node, &[&pod], 20.0);
        assert!(
            text.contains(
                "container_cpu_usage_seconds_total{container=\"a\",namespace=\"n\",pod=\"p\"} 2.5 20000\n"
            ),
            "{text}"
        );
        assert!(text.contains("node_memory_working_set_bytes 402653184 20000\n"), "{text}");
    }
}
