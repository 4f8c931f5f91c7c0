//! LimitRanger: defaults for what containers ask for, and bounds on it, by the LimitRanges of the namespace.

use super::{Operation, is, refused};
use crate::pipeline::Write;
use crate::{failure, stored};
use object::{Quantity, Result, Value, json, meta};
use std::collections::BTreeMap;
use store::ListRequest;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

async fn ranges(write: &Write<'_>) -> Result<Vec<Value>> {
    let prefix = format!("/core/limitranges/{}/", write.target.at.namespace);
    let request = ListRequest { prefix, ..Default::default() };
    let listing = write.call.api.store.list(request).await.map_err(failure::store)?;
    Ok(listing.entries.iter().filter_map(stored::decode).collect())
}

/// Fills in default requests and limits of a new pod's containers.
pub(super) async fn mutate(write: &Write<'_>, pod: &mut Value) -> Result<()> {
    if !is(write, "", "pods") {
        return Ok(());
    }
    for range in ranges(write).await? {
        let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
        for limit in items(&range).filter(|limit| limit["type"] == "Container") {
            requests.extend(amounts(&limit["defaultRequest"]));
            limits.extend(amounts(&limit["default"]));
        }
        let mut notes = Vec::new();
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or("").to_owned();
                for (field, defaults, what) in
                    [("requests", &requests, "request"), ("limits", &limits, "limit")]
                {
                    let filled = fill(container, field, defaults);
                    if !filled.is_empty() {
                        notes.push(format!("{} {what} for {word} {name}", filled.join(", ")));
                    }
                }
            }
        }
        if !notes.is_empty() {
            meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
        }
    }
    Ok(())
}

/// The names of what was missing.
fn fill(container: &mut Value, field: &str, defaults: &Amounts) -> Vec<String> {
    let mut filled = Vec::new();
    for (name, amount) in defaults {
        if container["resources"][field].get(name).is_none() {
            if !container["resources"][field].is_object() {
                container["resources"][field] = json!({});
            }
            container["resources"][field][name] = amount.to_string().into();
            filled.push(name.clone());
        }
    }
    // Indexing leaves a null where there was nothing.
    if let Some(resources) = container["resources"].as_object_mut() {
        resources.retain(|_, v| !v.is_null());
    }
    filled
}

/// Refuses pods and claims out of bounds.
pub(super) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let subresource = write.target.at.subresource.as_str();
    let pod = is(write, "", "pods")
        && ((operation == Operation::Create && subresource.is_empty()) || subresource == "resize");
    let claim =
        is(write, "", "persistentvolumeclaims") && operation != Operation::Delete && subresource.is_empty();
    if !pod && !claim {
        return Ok(());
    }
    for range in ranges(write).await? {
        let errors = if pod { pod_errors(&range, object) } else { claim_errors(&range, object) };
        match errors.as_slice() {
            [] => {}
            [one] => return Err(refused(write, object, one)),
            many => return Err(refused(write, object, &format!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}

fn items(range: &Value) -> impl Iterator<Item = &Value> {
    range["spec"]["limits"].as_array().into_iter().flatten()
}

fn amounts(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), Quantity::from_json(v).ok()?))).collect()
}

fn pod_errors(range: &Value, pod: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    for limit in items(range) {
        match limit["type"].as_str() {
            Some("Container") => {
                for list in ["containers", "initContainers"] {
                    for container in pod["spec"][list].as_array().into_iter().flatten() {
                        let resources = &container["resources"];
                        let asked = (amounts(&resources["requests"]), amounts(&resources["limits"]));
                        bounds(limit, "Container", &asked.0, &asked.1, &mut errors);
                    }
                }
            }
            Some("Pod") => {
                let (requests, limits) = (pod_total(pod, "requests"), pod_total(pod, "limits"));
                bounds(limit, "Pod", &requests, &limits, &mut errors);
            }
            _ => {}
        }
    }
    errors
}

fn claim_errors(range: &Value, claim: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let requests = amounts(&claim["spec"]["resources"]["requests"]);
    let nothing = Amounts::new();
    for limit in items(range).filter(|limit| limit["type"] == "PersistentVolumeClaim") {
        for (name, bound) in amounts(&limit["min"]) {
            errors.extend(at_least("PersistentVolumeClaim", &name, &bound, &requests, &nothing));
        }
        for (name, bound) in amounts(&limit["max"]) {
            errors.extend(match requests.get(&name) {
                None => Some(format!(
                    "maximum {name} usage per PersistentVolumeClaim is {bound}.  No request is specified"
                )),
                Some(request) if *request > bound => Some(format!(
                    "maximum {name} usage per PersistentVolumeClaim is {bound}, but request is {request}"
                )),
                Some(_) => None,
            });
        }
    }
    errors
}

fn bounds(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    for (name, bound) in amounts(&limit["min"]) {
        errors.extend(at_least(kind, &name, &bound, requests, limits));
    }
    for (name, bound) in amounts(&limit["max"]) {
        errors.extend(at_most(kind, &name, &bound, requests, limits));
    }
    for (name, bound) in amounts(&limit["maxLimitRequestRatio"]) {
        errors.extend(ratio(kind, &name, &bound, requests, limits));
    }
}

fn at_least(
    kind: &str,
    name: &str,
    bound: &Quantity,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let head = format!("minimum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (None, _) => Some(format!("{head}.  No request is specified")),
        (Some(request), _) if request < bound => Some(format!("{head}, but request is {request}")),
        (_, Some(limit)) if limit < bound => Some(format!("{head}, but limit is {limit}")),
        _ => None,
    }
}

fn at_most(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("maximum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (_, None) => Some(format!("{head}.  No limit is specified")),
        (_, Some(limit)) if limit > bound => Some(format!("{head}, but limit is {limit}")),
        (Some(request), _) if request > bound => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn ratio(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {bound}");
    let set = |amounts: &Amounts| amounts.get(name).filter(|q| !q.is_zero()).map(Quantity::as_f64);
    let Some(request) = set(requests) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = set(limits) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    let ratio = limit / request;
    (ratio > bound.as_f64()).then(|| format!("{head}, but provided ratio is {ratio:.6}"))
}

/// What a pod asks for in all: its containers together, or its largest init container if that is more.
pub(super) fn pod_total(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][field]);
    let mut total = Amounts::new();
    let list = |name: &str| pod["spec"][name].as_array().cloned().unwrap_or_default();
    for container in list("containers") {
        plus(&mut total, &of(&container));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let mut now = of(&container);
        if container["restartPolicy"] == "Always" {
            plus(&mut sidecars, &now);
            plus(&mut total, &now);
            now = sidecars.clone();
        } else {
            plus(&mut now, &sidecars);
        }
        at_least_each(&mut peak, &now);
    }
    at_least_each(&mut total, &peak);
    // Pod-level resources stand for those of the containers.
    total.extend(amounts(&pod["spec"]["resources"][field]));
    let overhead = amounts(&pod["spec"]["overhead"]);
    for (name, amount) in overhead {
        if field == "requests" || total.contains_key(&name) {
            plus(&mut total, &Amounts::from([(name, amount)]));
        }
    }
    total
}

fn plus(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or_else(|| amount.clone(), |held| held.add(amount));
        total.insert(name.clone(), sum);
    }
}

fn at_least_each(total: &mut Amounts, floor: &Amounts) {
    for (name, amount) in floor {
        if total.get(name).is_none_or(|held| held < amount) {
            total.insert(name.clone(), amount.clone());
        }
    }
}
