use super::*;
use object::json;

fn defaulted(api_version: &str, kind: &str, mut object: Value) -> Value {
    let gvk = object::GroupVersion::parse(api_version).expect("well-formed").kind(kind);
    default(&gvk, &mut object);
    let once = object.clone();
    default(&gvk, &mut object);
    assert_eq!(once, object, "defaulting twice changed something");
    object
}

#[test]
fn every_rule_is_known() {
    for line in include_str!("../../facts/defaults.txt").lines() {
        if let Some(name) = line.strip_prefix('!') {
            assert!(rules::named(name).is_some(), "no rule {name}");
        }
    }
}

#[test]
fn every_type_with_defaults_is_reached() {
    let reached: Vec<usize> = TABLE.types.iter().flat_map(|t| &t.ways).map(|way| way.to).collect();
    for (name, &at) in &TABLE.names {
        let mut roots = crate::builtin()
            .iter()
            .flat_map(|r| r.subresources.iter().map(|s| s.gvk.clone()).chain([r.gvk()]));
        let root = roots.any(|gvk| crate::type_name(&gvk).ends_with(name));
        assert!(root || reached.contains(&at), "{name} occurs nowhere");
    }
}

#[test]
fn containers_are_filled_in_wherever_they_occur() {
    let pod = json!({"containers": [{"name": "c", "image": "i", "livenessProbe": {"httpGet": {"port": 1}}}]});
    let cron = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": pod.clone()}}}}});
    let cron = defaulted("batch/v1", "CronJob", cron);
    let inner = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(inner["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(inner["containers"][0]["livenessProbe"]["httpGet"]["scheme"], "HTTP");
    assert_eq!(inner["enableServiceLinks"], Value::Null);
    let pod = defaulted("v1", "Pod", json!({"spec": pod}));
    assert_eq!(pod["spec"]["containers"], inner["containers"]);
    assert_eq!(pod["spec"]["enableServiceLinks"], true);
}

#[test]
fn what_was_sent_stays() {
    let sent = json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 0}});
    let deployment = defaulted("apps/v1", "Deployment", sent);
    assert_eq!(deployment["spec"]["replicas"], 0);
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(deployment["spec"]["revisionHistoryLimit"], 0);
}

#[test]
fn malformed_objects_pass_through() {
    for object in
        [json!(null), json!([]), json!({"spec": []}), json!({"spec": {"containers": {}, "volumes": [1]}})]
    {
        assert_eq!(defaulted("v1", "ConfigMap", object.clone()), object);
        defaulted("v1", "Pod", object);
    }
}

#[test]
fn services_get_ports_and_policies() {
    let service = json!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": ""}]}});
    let service = defaulted("v1", "Service", service);
    assert_eq!(
        service["spec"],
        json!({
            "type": "LoadBalancer", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true,
        })
    );
}

#[test]
fn limit_ranges_fill_from_max_and_min() {
    let sent =
        json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}});
    let stored = defaulted("v1", "LimitRange", sent);
    assert_eq!(stored["spec"]["limits"][0]["default"], json!({"cpu": "2"}));
    assert_eq!(stored["spec"]["limits"][0]["defaultRequest"], json!({"cpu": "2", "memory": "1Mi"}));
}

#[test]
fn pods_ask_for_what_their_containers_do() {
    let container = |cpu: &str| json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}});
    let pod = json!({"spec": {
        "containers": [container("100m"), container("200m")], "initContainers": [container("1")],
        "resources": {"limits": {"cpu": "2", "memory": "1Gi", "example.com/x": "1"}},
    }});
    let pod = defaulted("v1", "Pod", pod);
    assert_eq!(pod["spec"]["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
}

#[test]
fn fine_quantities_are_rounded_up() {
    let quota = json!({"spec": {"hard": {"a": "1500u", "b": "0.5", "c": "1", "d": "1n", "e": "100Mi"}}});
    let hard = defaulted("v1", "ResourceQuota", quota)["spec"]["hard"].clone();
    assert_eq!(hard, json!({"a": "2m", "b": "0.5", "c": "1", "d": "1m", "e": "100Mi"}));
}

#[test]
fn jobs_default_by_what_they_say() {
    let job = |spec| defaulted("batch/v1", "Job", json!({"spec": spec}))["spec"].clone();
    assert_eq!(job(json!({"parallelism": 2}))["completions"], Value::Null);
    assert_eq!(job(json!({"backoffLimitPerIndex": 1}))["backoffLimit"], i32::MAX);
    assert_eq!(job(json!({"podFailurePolicy": {"rules": []}}))["podReplacementPolicy"], "Failed");
}

/// What a real server stored for each kind, less what admission, strategies and the encoder's zero values add.
#[test]
fn defaults_match_a_real_server() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kubernetes-1.36/defaults.json");
    let Ok(text) = std::fs::read(path) else {
        eprintln!("SKIPPED: {path} is missing");
        return;
    };
    let cases: Value = serde_json::from_slice(&text).expect("JSON");
    let mut wrong = Vec::new();
    for (name, case) in cases.as_object().expect("an object") {
        let mut object = case["sent"].clone();
        let gvk = object::meta::gvk(&object).expect("has a kind");
        default(&gvk, &mut object);
        compare(name, "", &object, &case["stored"], &mut wrong);
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Paths that something other than defaulting decides.
const OTHERS: &[&str] = &[
    "v1/namespaces.spec",
    "v1/nodes.spec",
    "v1/nodes.status",
    "v1/persistentvolumes.status.lastPhaseTransitionTime",
    "v1/pods.spec.volumes",
    "v1/pods.spec.containers[0].volumeMounts",
    "v1/pods.spec.serviceAccountName",
    "v1/pods.spec.serviceAccount",
    "v1/pods.spec.tolerations",
    "v1/pods.spec.priority",
    "v1/pods.spec.preemptionPolicy",
    "v1/pods.status",
    "v1/services.spec.clusterIP",
    "v1/services.spec.clusterIPs",
    "v1/services.spec.ipFamilies",
    "v1/services.spec.ipFamilyPolicy",
    "batch/v1/jobs.spec.selector",
    "batch/v1/jobs.spec.template.metadata",
    "certificates.k8s.io/v1/certificatesigningrequests.spec.username",
    "certificates.k8s.io/v1/certificatesigningrequests.spec.uid",
    "certificates.k8s.io/v1/certificatesigningrequests.spec.groups",
    "apiextensions.k8s.io/v1/customresourcedefinitions.status",
    // Spelling of quantities and empty lists is the decoder's.
    "v1/limitranges.spec.limits[0].default.cpu",
    "v1/limitranges.spec.limits[0].defaultRequest.cpu",
    "v1/resourcequotas.spec.hard.configmaps",
    "storage.k8s.io/v1/csinodes.spec.drivers",
];

fn compare(name: &str, path: &str, ours: &Value, real: &Value, wrong: &mut Vec<String>) {
    let here = format!("{name}{path}");
    if path == ".metadata" || OTHERS.contains(&here.as_str()) {
        return;
    }
    match (ours, real) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let at = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(name, &format!("{path}.{key}"), &at(a), &at(b), wrong);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(name, &format!("{path}[{i}]"), a, b, wrong);
            }
        }
        // Go spells out the zero values of fields without omitempty; the encoder does the same here.
        (Value::Null, zero) if only_zeros(zero) => {}
        (a, b) if a == b => {}
        (a, b) => wrong.push(format!("{here}: {a} instead of {b}")),
    }
}

fn only_zeros(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(only_zeros),
        other => is_zero(Some(other)),
    }
}
