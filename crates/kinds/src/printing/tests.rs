use super::*;
use crate::{Registry, builtin};
use object::json;

fn now() -> Timestamp {
    "2001-01-01T01:00:00Z".parse().expect("a time")
}

fn cells(group: &str, version: &str, resource: &str, object: Value) -> Vec<Value> {
    let registry = Registry::builtin();
    row(registry.get(group, version, resource).expect("served"), &object, now())
}

fn pod(status: Value, extra: Value) -> (String, String, String) {
    let mut object = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": status});
    merge(&mut object, extra);
    let row = cells("", "v1", "pods", object);
    let text = |i: usize| row[i].as_str().unwrap_or("").to_owned();
    (text(1), text(2), text(3))
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(a), Value::Object(b)) => {
            b.into_iter().for_each(|(k, v)| merge(a.entry(k).or_insert(Value::Null), v))
        }
        (a, b) => *a = b,
    }
}

#[test]
fn every_column_is_described_and_every_row_fits() {
    for resource in builtin().iter().filter(|r| r.verbs.contains(&crate::Verb::List)) {
        let columns = columns(resource);
        assert!(
            columns.iter().all(|c| c.description.is_empty() == (c.name == "Handler")),
            "{}: {columns:?}",
            resource.gvr.resource
        );
        let row = row(resource, &json!({"kind": resource.kind}), now());
        // Kubernetes gives this one a cell too many.
        let extra = usize::from(resource.gvr.resource == "ipaddresses");
        assert_eq!(row.len(), columns.len() + extra, "{}", resource.gvr.resource);
    }
}

#[test]
fn pods_tell_how_far_they_got() {
    let none = || json!({});
    let status = |statuses: Value| json!({"phase": "Running", "containerStatuses": statuses});
    let up = json!({"ready": true, "state": {"running": {}}, "restartCount": 1});
    let is = |ready: &str, reason: &str, restarts: &str| {
        (ready.to_owned(), reason.to_owned(), restarts.to_owned())
    };
    assert_eq!(pod(status(json!([up, up])), none()), is("2/2", "Running", "2"));
    let waiting = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2,
        "lastState": {"terminated": {"finishedAt": "2001-01-01T00:50:00Z"}}});
    assert_eq!(pod(status(json!([up, waiting])), none()), is("1/2", "CrashLoopBackOff", "3 (10m ago)"));
    let done = json!({"state": {"terminated": {"reason": "Completed", "exitCode": 0}}});
    assert_eq!(pod(status(json!([done, up])), none()), is("1/2", "NotReady", "1"));
    assert_eq!(
        pod(status(json!([{"state": {"terminated": {"exitCode": 7}}}])), none()),
        is("0/2", "ExitCode:7", "0")
    );
    assert_eq!(
        pod(status(json!([{"state": {"terminated": {"signal": 9}}}])), none()),
        is("0/2", "Signal:9", "0")
    );
    let deleted = json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}});
    assert_eq!(pod(status(json!([up, up])), deleted.clone()), is("2/2", "Terminating", "2"));
    assert_eq!(pod(json!({"phase": "Failed", "reason": "NodeLost"}), deleted), is("0/2", "Unknown", "0"));
    let gated =
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]});
    assert_eq!(pod(gated, none()), is("0/2", "SchedulingGated", "0"));
}

#[test]
fn init_containers_come_first() {
    let spec = json!({"spec": {"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}});
    let reason =
        |statuses: Value| pod(json!({"phase": "Pending", "initContainerStatuses": statuses}), spec.clone());
    let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}, "restartCount": 4});
    let is = |ready: &str, reason: &str, restarts: &str| {
        (ready.to_owned(), reason.to_owned(), restarts.to_owned())
    };
    assert_eq!(reason(json!([{"name": "i", "state": {"running": {}}}])), is("0/3", "Init:0/2", "0"));
    assert_eq!(
        reason(json!([{"name": "i", "state": {"terminated": {"exitCode": 3}}}])),
        is("0/3", "Init:ExitCode:3", "0")
    );
    let pull = json!({"name": "s", "state": {"waiting": {"reason": "ErrImagePull"}}});
    assert_eq!(reason(json!([done, pull])), is("0/3", "Init:ErrImagePull", "4"));
    let sidecar =
        json!({"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}});
    assert_eq!(reason(json!([done, sidecar])), is("1/3", "Pending", "1"));
}

#[test]
fn services_show_their_addresses() {
    let of = |spec: Value, status: Value| {
        cells("", "v1", "services", json!({"spec": spec, "status": status}))[3].clone()
    };
    assert_eq!(of(json!({"type": "ClusterIP"}), json!({})), "<none>");
    assert_eq!(of(json!({"type": "LoadBalancer"}), json!({})), "<pending>");
    let balanced =
        json!({"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "h"}, {"ip": "1.1.1.1"}]}});
    assert_eq!(
        of(json!({"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}), balanced),
        "1.1.1.1,2.2.2.2,h,9.9.9.9"
    );
    assert_eq!(of(json!({"type": "ExternalName", "externalName": "e"}), json!({})), "e");
    let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 443, "nodePort": 30443, "protocol": "TCP"}]);
    assert_eq!(cells("", "v1", "services", json!({"spec": {"ports": ports}}))[4], "80/TCP,443:30443/TCP");
}

#[test]
fn long_lists_are_cut() {
    let addresses = json!([{"ip": "1.1.1.1"}, {"ip": "::2"}, {"ip": "3.3.3.3"}, {"ip": "4.4.4.4"}]);
    let endpoints = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(cells("", "v1", "endpoints", endpoints)[1], "1.1.1.1:80,[::2]:80,3.3.3.3:80 + 1 more...");
    let rules = json!([{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}, {}]);
    assert_eq!(
        cells("networking.k8s.io", "v1", "ingresses", json!({"spec": {"rules": rules}}))[2],
        "a,b,c + 2 more..."
    );
}

#[test]
fn autoscalers_show_their_metrics_in_both_versions() {
    let v2 = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]},
        "status": {"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 5}}}]}});
    assert_eq!(cells("autoscaling", "v2", "horizontalpodautoscalers", v2)[2], "cpu: 5%/80%");
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "spec": {"targetCPUUtilizationPercentage": 70}, "status": {}});
    assert_eq!(cells("autoscaling", "v1", "horizontalpodautoscalers", v1)[2], "cpu: <unknown>/70%");
}

#[test]
fn malformed_objects_are_printed() {
    for resource in builtin() {
        for object in [
            json!(null),
            json!({"spec": [], "status": 1, "metadata": "x"}),
            json!({"spec": {"ports": 1, "rules": [1]}}),
        ] {
            row(resource, &object, now());
        }
    }
}

/// Where golden transcripts of a real server are.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/cases");

/// Rows of transcripts whose object was shown right before, by GET or as part of the row itself.
#[test]
fn rows_match_a_real_server() {
    let Ok(areas) = std::fs::read_dir(GOLDEN) else {
        eprintln!("SKIPPED: {GOLDEN} is missing");
        return;
    };
    let mut compared = 0;
    let mut wrong = Vec::new();
    for file in
        areas.flatten().flat_map(|area| std::fs::read_dir(area.path()).into_iter().flatten().flatten())
    {
        let case: Value =
            serde_json::from_slice(&std::fs::read(file.path()).expect("readable")).expect("JSON");
        compared += compare_case(&case, &mut wrong);
    }
    eprintln!("{compared} rows compared");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 50, "only {compared} rows compared");
}

/// Objects seen so far in a case, by their URL path.
fn compare_case(case: &Value, wrong: &mut Vec<String>) -> usize {
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut compared = 0;
    let mut registry = Registry::builtin();
    for step in case["steps"].as_array().into_iter().flatten() {
        let body = &step["expect"]["body"];
        let path =
            step["path"].as_str().unwrap_or("").trim_end_matches("/status").trim_end_matches("/approval");
        if body["kind"] == "CustomResourceDefinition" {
            for resource in crate::custom::resources(body) {
                registry.insert(resource);
            }
        }
        if body["kind"] == "Table" {
            let resource = resource_of(&registry, path);
            for shown in body["rows"].as_array().into_iter().flatten() {
                let name = shown["cells"].as_array().and_then(|c| {
                    c.iter().find_map(|c| {
                        seen.contains_key(&format!("{path}/{}", c.as_str()?))
                            .then(|| c.as_str().unwrap_or("").to_owned())
                    })
                });
                let object = seen.get(path).or_else(|| seen.get(&format!("{path}/{}", name?)));
                let (Some(resource), Some(object)) = (&resource, object) else { continue };
                // Shows what was used since it was read.
                let changed = case["case"] == "admission/resource-quota";
                if path.ends_with("/scale") || changed {
                    continue;
                }
                compared += 1;
                let ours = row(resource, object, Timestamp::now());
                if !same(&ours, &shown["cells"], &columns(resource)) {
                    let step = format!("{}: {}", case["case"], step["name"]);
                    wrong.push(format!("{step}: {} instead of {}", Value::from(ours), shown["cells"]));
                }
            }
        } else if step["method"] == "PATCH" && body.is_null() {
            if let Some(object) = seen.get_mut(path) {
                merge(object, step["body"].clone());
            }
        } else if let Some(name) =
            body["metadata"]["name"].as_str().filter(|_| body["kind"] != "PartialObjectMetadata")
        {
            let at =
                if path.ends_with(&format!("/{name}")) { path.to_owned() } else { format!("{path}/{name}") };
            seen.insert(at, body.clone());
        }
    }
    compared
}

fn resource_of(registry: &Registry, path: &str) -> Option<std::sync::Arc<Resource>> {
    let mut words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if words.get(3).is_some_and(|w| *w == "namespaces") && words.len() > 5 {
        words.drain(3..5);
    } else if words.get(2).is_some_and(|w| *w == "namespaces") && words.len() > 4 {
        words.drain(2..4);
    }
    match words.as_slice() {
        ["api", version, resource, ..] => registry.get("", version, resource).cloned(),
        ["apis", group, version, resource, ..] => registry.get(group, version, resource).cloned(),
        _ => None,
    }
}

/// Times are not comparable; `<age>` stands for anything in a column of ages.
fn same(ours: &[Value], real: &Value, columns: &[Column]) -> bool {
    let real = real.as_array().map_or(&[][..], Vec::as_slice);
    ours.len() == real.len()
        && ours.iter().zip(real).zip(columns).all(|((a, b), _)| {
            a == b
                || b == "<age>" && a.is_string()
                || b == "<time>"
                || b.as_str().is_some_and(|b| b.contains("<uid:"))
        })
}
