//! How much of a quota one object uses: pure, for the controller that sums up and for admission that refuses.

use jiff::Timestamp;
use object::{Quantity, meta, time};
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource name, as in a quota's `hard`.
pub type Usage = BTreeMap<String, Quantity>;

const GPU_LIKE_PREFIX: &str = "requests.";

/// What a pod uses. Finished pods only count as objects.
pub fn of_pod(pod: &Value, now: Timestamp) -> Usage {
    let mut usage = Usage::new();
    one(&mut usage, "count/pods");
    if is_over(pod, now) {
        return usage;
    }
    one(&mut usage, "pods");
    for (name, amount) in pod_resources(&pod["spec"], "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            add(&mut usage, &name, &amount);
        }
        add(&mut usage, &format!("{GPU_LIKE_PREFIX}{name}"), &amount);
    }
    for (name, amount) in pod_resources(&pod["spec"], "limits") {
        add(&mut usage, &format!("limits.{name}"), &amount);
    }
    usage
}

fn is_over(pod: &Value, now: Timestamp) -> bool {
    if matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")) {
        return true;
    }
    // Past its grace period a pod that is being deleted holds nothing any more.
    let end = meta::deletion_timestamp(pod).and_then(|text| time::parse(text).ok());
    end.is_some_and(|end| end < now)
}

/// A pod's requests or limits: of all containers together, or of the hungriest step of its start.
pub fn pod_resources(spec: &Value, field: &str) -> Usage {
    let of = |container: &Value| amounts(&container["resources"][field]);
    let list = |name: &str| spec[name].as_array().map_or(&[][..], Vec::as_slice);
    let mut total = Usage::new();
    list("containers").iter().for_each(|container| sum(&mut total, &of(container)));
    let (mut sidecars, mut start) = (Usage::new(), Usage::new());
    for container in list("initContainers") {
        let mut step = of(container);
        if container["restartPolicy"] == "Always" {
            sum(&mut total, &step);
            sum(&mut sidecars, &step);
            step = sidecars.clone();
        } else {
            sum(&mut step, &sidecars);
        }
        highest(&mut start, &step);
    }
    highest(&mut total, &start);
    // What is said for the pod as a whole stands.
    for (name, amount) in amounts(&spec["resources"][field]) {
        total.insert(name, amount);
    }
    for (name, amount) in amounts(&spec["overhead"]) {
        if field == "requests" || total.contains_key(&name) {
            add(&mut total, &name, &amount);
        }
    }
    total
}

fn amounts(map: &Value) -> Usage {
    let read = |(name, value): (&String, &Value)| Some((name.clone(), Quantity::from_json(value).ok()?));
    map.as_object().into_iter().flatten().filter_map(read).collect()
}

/// What a service uses.
pub fn of_service(service: &Value) -> Usage {
    let mut usage = Usage::new();
    one(&mut usage, "count/services");
    one(&mut usage, "services");
    let ports = service["spec"]["ports"].as_array().map_or(0, Vec::len) as i64;
    let zero = Quantity::from_int(0);
    let (mut node_ports, mut balancers) = (zero.clone(), zero);
    match service["spec"]["type"].as_str() {
        Some("NodePort") => node_ports = Quantity::from_int(ports),
        Some("LoadBalancer") => {
            balancers = Quantity::from_int(1);
            if service["spec"]["allocateLoadBalancerNodePorts"] != false {
                node_ports = Quantity::from_int(ports);
            }
        }
        _ => {}
    }
    usage.insert("services.nodeports".into(), node_ports);
    usage.insert("services.loadbalancers".into(), balancers);
    usage
}

/// What a claim uses, also of its storage class.
pub fn of_claim(claim: &Value) -> Usage {
    let mut usage = Usage::new();
    one(&mut usage, "count/persistentvolumeclaims");
    one(&mut usage, "persistentvolumeclaims");
    let class = claim["spec"]["storageClassName"]
        .as_str()
        .or(meta::annotation(claim, "volume.beta.kubernetes.io/storage-class"));
    let class =
        class.filter(|class| !class.is_empty()).map(|class| format!("{class}.storageclass.storage.k8s.io"));
    if let Some(class) = &class {
        one(&mut usage, &format!("{class}/persistentvolumeclaims"));
    }
    let wanted = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]).ok();
    let given = Quantity::from_json(&claim["status"]["allocatedResources"]["storage"]).ok();
    if let Some(size) = wanted.map(|wanted| given.filter(|given| more(given, &wanted)).unwrap_or(wanted)) {
        add(&mut usage, "requests.storage", &size);
        if let Some(class) = &class {
            add(&mut usage, &format!("{class}/requests.storage"), &size);
        }
    }
    usage
}

/// Whether a quota with these scopes concerns a pod.
pub fn scopes_match(quota: &Value, pod: &Value) -> bool {
    all_scopes(quota, |scope, operator, values| in_scope(scope, operator, values, pod))
}

/// Whether a quota with these scopes concerns a claim: only those that choose by its attributes class do.
pub fn scopes_match_claim(quota: &Value, claim: &Value) -> bool {
    let status = &claim["status"];
    let classes = [
        &claim["spec"]["volumeAttributesClassName"],
        &status["currentVolumeAttributesClassName"],
        &status["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
    ];
    let classes: Vec<_> =
        classes.into_iter().filter(|class| class.as_str().is_some_and(|c| !c.is_empty())).collect();
    all_scopes(quota, |scope, operator, values| {
        scope == "VolumeAttributesClass"
            && match operator {
                "In" => classes.iter().any(|class| values.contains(class)),
                "NotIn" => classes.is_empty() || classes.iter().any(|class| !values.contains(class)),
                "DoesNotExist" => classes.is_empty(),
                _ => !classes.is_empty(),
            }
    })
}

/// Whether every scope of a quota, by its name, operator and values, takes something in.
fn all_scopes(quota: &Value, holds: impl Fn(&str, &str, &[Value]) -> bool) -> bool {
    let mut plain = quota["spec"]["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut selected = quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
    plain.all(|scope| holds(scope, "Exists", &[]))
        && selected.all(|expression| {
            let values = expression["values"].as_array().map_or(&[][..], Vec::as_slice);
            let text = |field: &str| expression[field].as_str().unwrap_or("");
            holds(text("scopeName"), text("operator"), values)
        })
}

/// Whether a quota is limited to some pods or claims.
pub fn has_scopes(quota: &Value) -> bool {
    let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    some(&quota["spec"]["scopes"]) || some(&quota["spec"]["scopeSelector"]["matchExpressions"])
}

fn in_scope(scope: &str, operator: &str, values: &[Value], pod: &Value) -> bool {
    let terminating = pod["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0);
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = pod["spec"]["priorityClassName"].as_str().filter(|class| !class.is_empty());
            let listed = class.is_some_and(|class| values.iter().any(|value| value == class));
            match operator {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_none(),
                _ => class.is_some(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(&pod["spec"]["affinity"]),
        _ => false,
    }
}

/// No container asks for or is limited in CPU or memory.
fn is_best_effort(pod: &Value) -> bool {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut containers = lists.into_iter().flatten().flatten().chain(std::iter::once(&pod["spec"]));
    containers.all(|container| {
        let sets = |field: &str| {
            amounts(&container["resources"][field])
                .iter()
                .any(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && !amount.is_zero())
        };
        !sets("requests") && !sets("limits")
    })
}

fn crosses_namespaces(affinity: &Value) -> bool {
    let crosses = |term: &Value| {
        term["namespaceSelector"].is_object()
            || term["namespaces"].as_array().is_some_and(|names| !names.is_empty())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &affinity[*kind];
        let required =
            affinity["requiredDuringSchedulingIgnoredDuringExecution"].as_array().into_iter().flatten();
        let preferred =
            affinity["preferredDuringSchedulingIgnoredDuringExecution"].as_array().into_iter().flatten();
        required.chain(preferred.map(|weighted| &weighted["podAffinityTerm"])).any(crosses)
    })
}

fn one(usage: &mut Usage, name: &str) {
    add(usage, name, &Quantity::from_int(1));
}

fn add(usage: &mut Usage, name: &str, amount: &Quantity) {
    let sum = usage.get(name).map_or_else(|| amount.clone(), |known| known.add(amount));
    usage.insert(name.to_owned(), sum);
}

/// Adds one usage to another.
pub fn sum(total: &mut Usage, more: &Usage) {
    more.iter().for_each(|(name, amount)| add(total, name, amount));
}

fn highest(total: &mut Usage, other: &Usage) {
    for (name, amount) in other {
        if total.get(name).is_none_or(|known| more(amount, known)) {
            total.insert(name.clone(), amount.clone());
        }
    }
}

/// Whether one amount is more than another.
pub fn more(a: &Quantity, b: &Quantity) -> bool {
    a.sub(b).signum() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(usage: &Usage) -> Vec<String> {
        usage.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn a_pod_uses_what_its_hungriest_step_needs() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("100m");
        sidecar["restartPolicy"] = "Always".into();
        let spec = json!({"containers": [container("200m"), container("300m")], "initContainers": [sidecar, container("1")]});
        assert_eq!(shown(&pod_resources(&spec, "requests")), ["cpu=1100m"]);
        let pod = json!({"spec": spec, "status": {"phase": "Running"}});
        assert_eq!(
            shown(&of_pod(&pod, Timestamp::UNIX_EPOCH)),
            ["count/pods=1", "cpu=1100m", "pods=1", "requests.cpu=1100m"]
        );
        let over = json!({"spec": pod["spec"], "status": {"phase": "Failed"}});
        assert_eq!(shown(&of_pod(&over, Timestamp::UNIX_EPOCH)), ["count/pods=1"]);
    }

    #[test]
    fn scopes_select_pods() {
        let quota = |scope: &str| json!({"spec": {"scopes": [scope]}});
        let pod = json!({"spec": {"activeDeadlineSeconds": 5, "containers": [{}]}});
        let matching: Vec<_> =
            ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass"]
                .into_iter()
                .filter(|scope| scopes_match(&quota(scope), &pod))
                .collect();
        assert_eq!(matching, ["Terminating", "BestEffort"]);
    }

    #[test]
    fn a_scope_selects_claims_by_all_classes_they_have_or_shall_have() {
        let matching = |claim: Value| {
            let matches = |(operator, values): (&str, Value)| {
                let one =
                    json!({"scopeName": "VolumeAttributesClass", "operator": operator, "values": values});
                scopes_match_claim(&json!({"spec": {"scopeSelector": {"matchExpressions": [one]}}}), &claim)
            };
            let cases = [
                ("In", json!(["gold"])),
                ("NotIn", json!(["gold"])),
                ("Exists", json!([])),
                ("DoesNotExist", json!([])),
            ];
            cases.map(matches)
        };
        assert_eq!(matching(json!({})), [false, true, false, true]);
        assert_eq!(
            matching(json!({"spec": {"volumeAttributesClassName": "gold"}})),
            [true, false, true, false]
        );
        let changing = json!({"spec": {"volumeAttributesClassName": "gold"},
            "status": {"currentVolumeAttributesClassName": "silver"}});
        assert_eq!(matching(changing), [true, true, true, false]);
        assert!(scopes_match_claim(&json!({"spec": {}}), &json!({})));
        assert!(!scopes_match_claim(&json!({"spec": {"scopes": ["Terminating"]}}), &json!({})));
    }

    #[test]
    fn services_and_claims_use_what_they_say() {
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        assert_eq!(
            shown(&of_service(&service)),
            ["count/services=1", "services=1", "services.loadbalancers=1", "services.nodeports=2"]
        );
        let claim =
            json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}});
        assert!(
            shown(&of_claim(&claim))
                .contains(&"gold.storageclass.storage.k8s.io/requests.storage=1Gi".to_owned())
        );
    }
}
