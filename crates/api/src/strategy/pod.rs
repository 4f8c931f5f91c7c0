//! Pods: quality of service, graceful deletion, and which parts of them each subresource may change.

use crate::call::Call;
use object::{Quantity, Value, json, meta};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn prepare_create(call: &Call, object: &mut Value) {
    if object["spec"]["os"]["name"] != "windows" {
        take_app_armor_annotations(call, object);
    }
    let class = qos_class(object);
    object["status"] = json!({"phase": "Pending", "qosClass": class});
    if object["spec"]["schedulingGates"].as_array().is_some_and(|g| !g.is_empty()) {
        object["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": object::time::format(call.now),
        }]);
    }
}

/// What annotations say of AppArmor becomes the containers' own fields.
fn take_app_armor_annotations(call: &Call, pod: &mut Value) {
    let of_pod = pod["spec"]["securityContext"].get("appArmorProfile").cloned();
    let said: Vec<(String, String)> = meta::annotations(pod)
        .filter_map(|(key, value)| Some((key.strip_prefix(APP_ARMOR)?.to_owned(), value.to_owned())))
        .collect();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some((name, text)) = said.iter().find(|(name, _)| container["name"] == **name) else {
                continue;
            };
            if container["securityContext"].get("appArmorProfile").is_some_and(|profile| !profile.is_null()) {
                continue;
            }
            let profile = app_armor_profile(text);
            if profile.is_some() && profile == of_pod {
                continue;
            }
            call.warn(format!(
                "metadata.annotations[{APP_ARMOR}{name}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
            if let Some(profile) = profile {
                meta::child_mut(container, "securityContext").insert("appArmorProfile".into(), profile);
            }
        }
    }
}

/// The profile that an annotation names; none for what is no profile.
fn app_armor_profile(annotation: &str) -> Option<Value> {
    const LONGEST: usize = 4095;
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let name = annotation.strip_prefix("localhost/")?;
            let fits = !name.is_empty() && name.trim() == name && name.len() <= LONGEST;
            fits.then(|| json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

pub(super) fn prepare_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    match subresource {
        "status" => {
            let class = &old["status"]["qosClass"];
            if object["status"].is_object() && !class.is_null() {
                object["status"]["qosClass"] = class.clone();
            }
        }
        "ephemeralcontainers" => {
            let containers = object["spec"].get("ephemeralContainers").cloned();
            only_spec(object, old, |spec| {
                if let Some(containers) = containers {
                    spec["ephemeralContainers"] = containers;
                }
            });
        }
        "resize" => {
            let wanted = object["spec"].take();
            only_spec(object, old, |spec| {
                for list in ["containers", "initContainers"] {
                    resize(spec.get_mut(list), &wanted[list]);
                }
            });
        }
        _ => {}
    }
    let changed = object["spec"] != old["spec"];
    if changed && matches!(subresource, "ephemeralcontainers" | "resize") {
        meta::set(object, "generation", meta::generation(old) + 1);
    } else if subresource != "status" && !subresource.is_empty() {
        meta::set(object, "generation", meta::generation(old));
    }
}

/// Everything but the managed fields and this change of the spec stays as it was.
fn only_spec(object: &mut Value, old: &Value, change: impl FnOnce(&mut Value)) {
    let managed = object["metadata"].get("managedFields").cloned();
    *object = old.clone();
    if let Some(managed) = managed {
        meta::set(object, "managedFields", managed);
    }
    change(&mut object["spec"]);
}

/// Containers get their new resources; nothing else of them can be resized.
fn resize(containers: Option<&mut Value>, wanted: &Value) {
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        let new = wanted.as_array().into_iter().flatten().find(|w| w["name"] == container["name"]);
        for field in ["resources", "resizePolicy"] {
            if let Some(value) = new.and_then(|new| new.get(field)) {
                container[field] = value.clone();
            }
        }
    }
}

/// The seconds a pod may take to end: nothing for one that never started or has ended.
pub(super) fn grace(pod: &Value, asked: Option<i64>) -> i64 {
    let default = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let period = asked.unwrap_or(default);
    let scheduled = pod["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty());
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    if !scheduled || ended {
        return 0;
    }
    // Older objects may hold negative periods; they mean "at once, but not by force".
    if period < 0 { 1 } else { period }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by requests and limits of CPU and memory.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    if let Some(resources) = spec.get("resources").filter(|r| r.is_object()) {
        return class_of(std::iter::once(resources));
    }
    let lists = [&spec["containers"], &spec["initContainers"]];
    class_of(lists.into_iter().flat_map(|l| l.as_array().into_iter().flatten()).map(|c| &c["resources"]))
}

fn class_of<'a>(all: impl Iterator<Item = &'a Value>) -> &'static str {
    let (mut guaranteed, mut any, mut seen) = (true, false, false);
    for resources in all {
        seen = true;
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(&resources["requests"][name]), amount(&resources["limits"][name]));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed && seen) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn amount(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?).ok().filter(|q| q.milli_value() > 0)
}
