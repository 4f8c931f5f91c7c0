//! Plugins that fill in what the cluster decides: tolerations, priority, default classes, protection finalizers.

use super::{is, refused};
use crate::call::Call;
use crate::pipeline::Write;
use crate::{failure, stored};
use object::{Quantity, Result, Value, json, meta};
use store::ListRequest;

/// What admission gave a pod when it was created stays when an update leaves it out.
pub(super) fn keep_priority(write: &Write<'_>, pod: &mut Value) {
    let (true, Some(old)) = (is(write, "", "pods"), write.old) else { return };
    for field in ["priority", "preemptionPolicy"] {
        if pod["spec"][field].is_null() && !old["spec"][field].is_null() {
            pod["spec"][field] = old["spec"][field].clone();
        }
    }
}

/// DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or unreachable.
pub(super) fn tolerations(write: &Write<'_>, pod: &mut Value) {
    if !is(write, "", "pods") {
        return;
    }
    let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |t: &Value| {
            let effect = t["effect"].as_str().unwrap_or("");
            (t["key"] == key || t["key"].as_str().unwrap_or("").is_empty())
                && matches!(effect, "" | "NoExecute")
        };
        if !all.iter().any(covers) {
            all.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
    pod["spec"]["tolerations"] = all.into();
}

async fn all(write: &Write<'_>, prefix: &str) -> Result<Vec<Value>> {
    let request = ListRequest { prefix: prefix.into(), ..Default::default() };
    let listing = write.call.api.store.list(request).await.map_err(failure::store)?;
    Ok(listing.entries.iter().filter_map(stored::decode).collect())
}

/// Priority: the class's number, or the default class's, or 0.
pub(super) async fn priority(write: &Write<'_>, pod: &mut Value) -> Result<()> {
    if !is(write, "", "pods") {
        return Ok(());
    }
    let classes = all(write, "/scheduling.k8s.io/priorityclasses/").await?;
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or("").to_owned();
    let class =
        if name.is_empty() {
            classes.iter().filter(|c| c["globalDefault"] == true).min_by_key(|c| c["value"].as_i64())
        } else {
            let found = classes.iter().find(|c| meta::name(c) == name);
            Some(found.ok_or_else(|| {
                refused(write, pod, &format!("no PriorityClass with name {name} was found"))
            })?)
        };
    let value = class.map_or(0, |c| c["value"].as_i64().unwrap_or(0));
    let policy =
        class.and_then(|c| c["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority").to_owned();
    let computed = "must not be provided in pod spec; priority admission controller computed";
    let given = "from the given PriorityClass name";
    if let Some(asked) = pod["spec"]["priority"].as_i64().filter(|p| *p != value) {
        let reason = format!("the integer value of priority ({asked}) {computed} {value} {given}");
        return Err(refused(write, pod, &reason));
    }
    if let Some(asked) = pod["spec"]["preemptionPolicy"].as_str().filter(|p| *p != policy) {
        let reason = format!("the string value of PreemptionPolicy ({asked}) {computed} {policy} {given}");
        return Err(refused(write, pod, &reason));
    }
    if let Some(class) = class.filter(|_| name.is_empty()) {
        pod["spec"]["priorityClassName"] = meta::name(class).into();
    }
    pod["spec"]["priority"] = value.into();
    if pod["spec"]["preemptionPolicy"].is_null() {
        pod["spec"]["preemptionPolicy"] = policy.into();
    }
    Ok(())
}

/// There is one default class at most.
pub(super) async fn one_default_priority_class(write: &Write<'_>, class: &Value) -> Result<()> {
    if !is(write, "scheduling.k8s.io", "priorityclasses") || class["globalDefault"] != true {
        return Ok(());
    }
    let classes = all(write, "/scheduling.k8s.io/priorityclasses/").await?;
    let other = classes.iter().find(|c| c["globalDefault"] == true && meta::name(c) != meta::name(class));
    other.map_or(Ok(()), |other| {
        let name = meta::name(other);
        let reason = format!("PriorityClass {name} is already marked as default. Only one default can exist");
        Err(refused(write, class, &reason))
    })
}

/// TaintNodesByCondition: a new node is not ready until its conditions say so.
pub(super) fn node_taint(write: &Write<'_>, node: &mut Value) {
    const KEY: &str = "node.kubernetes.io/not-ready";
    if !is(write, "", "nodes") {
        return;
    }
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if !taints.iter().any(|t| t["key"] == KEY && t["effect"] == "NoSchedule") {
        taints.push(json!({"key": KEY, "effect": "NoSchedule"}));
    }
    node["spec"]["taints"] = taints.into();
}

/// RuntimeClass: what its pods cost on top, and where they can run.
pub(super) async fn runtime_class(write: &Write<'_>, pod: &mut Value) -> Result<()> {
    if !is(write, "", "pods") {
        return Ok(());
    }
    let Some(class) = class_of(write, pod).await? else { return Ok(()) };
    let fixed = &class["overhead"]["podFixed"];
    if fixed.is_object() {
        let given = &pod["spec"]["overhead"];
        if given.as_object().is_some_and(|o| !o.is_empty()) && given != fixed {
            return Err(refused(write, pod, OTHER_OVERHEAD));
        }
        pod["spec"]["overhead"] = fixed.clone();
    }
    if let Some(selector) = class["scheduling"]["nodeSelector"].as_object() {
        for (key, value) in selector {
            let conflict = pod["spec"]["nodeSelector"].get(key).is_some_and(|v| v != value);
            if conflict {
                let reason = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {}",
                    pod["spec"]["nodeSelector"][key]
                );
                return Err(refused(write, pod, &reason.replace('"', "")));
            }
            meta::child_mut(&mut pod["spec"], "nodeSelector").insert(key.clone(), value.clone());
        }
    }
    if let Some(more) = class["scheduling"]["tolerations"].as_array() {
        let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        for toleration in more {
            if !all.contains(toleration) {
                all.push(toleration.clone());
            }
        }
        pod["spec"]["tolerations"] = all.into();
    }
    Ok(())
}

const OTHER_OVERHEAD: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The class that a pod names.
async fn class_of(write: &Write<'_>, pod: &Value) -> Result<Option<Value>> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    if name.is_empty() {
        return Err(failure::plain("resource name may not be empty".into()));
    }
    let key = format!("/node.k8s.io/runtimeclasses/{name}");
    let (entry, _) = write.call.api.store.get(&key).await.map_err(failure::store)?;
    let class = entry.as_ref().and_then(stored::decode);
    class
        .map(Some)
        .ok_or_else(|| refused(write, pod, &format!("pod rejected: RuntimeClass \"{name}\" not found")))
}

/// RuntimeClass: an overhead, also an empty one, is the class's.
pub(super) async fn overhead(write: &Write<'_>, pod: &Value) -> Result<()> {
    if !is(write, "", "pods") || write.old.is_some() || !write.target.at.subresource.is_empty() {
        return Ok(());
    }
    let class = class_of(write, pod).await?;
    let fixed = class.as_ref().map_or(&Value::Null, |class| &class["overhead"]["podFixed"]);
    let pod = write.call.with_empties(pod, None);
    let given = &pod["spec"]["overhead"];
    if given == fixed {
        return Ok(());
    }
    let unfounded = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    Err(refused(write, &pod, if fixed.is_null() { unfounded } else { OTHER_OVERHEAD }))
}

/// PodTopologyLabels: where a node is, its pods say too.
pub(crate) async fn topology_labels(call: &Call, node: &str, object: &mut Value) -> Result<()> {
    if node.is_empty() {
        return Ok(());
    }
    let key = format!("/core/nodes/{node}");
    let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
    let Some(node) = entry.as_ref().and_then(stored::decode) else { return Ok(()) };
    for label in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
        if let Some(value) = node["metadata"]["labels"][label].as_str() {
            meta::set_label(object, label, value);
        }
    }
    Ok(())
}

/// DefaultStorageClass: a claim without a class gets the default one.
pub(super) async fn storage_class(write: &Write<'_>, claim: &mut Value) -> Result<()> {
    let unset = claim["spec"]["storageClassName"].is_null()
        && meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_none();
    if !is(write, "", "persistentvolumeclaims") || !unset {
        return Ok(());
    }
    let class = default_class(
        write,
        "/storage.k8s.io/storageclasses/",
        "storageclass.kubernetes.io/is-default-class",
    )
    .await?;
    match class {
        Some(name) => claim["spec"]["storageClassName"] = name.into(),
        None => drop(claim["spec"].as_object_mut().and_then(|s| s.remove("storageClassName"))),
    }
    Ok(())
}

/// The newest class that the annotation marks as default.
async fn default_class(write: &Write<'_>, prefix: &str, annotation: &str) -> Result<Option<String>> {
    let mut classes = all(write, prefix).await?;
    classes.retain(|c| meta::annotation(c, annotation) == Some("true"));
    classes.sort_by(|a, b| {
        (meta::creation_timestamp(b), meta::name(a)).cmp(&(meta::creation_timestamp(a), meta::name(b)))
    });
    Ok(classes.first().map(|c| meta::name(c).to_owned()))
}

/// DefaultIngressClass.
pub(super) async fn ingress_class(write: &Write<'_>, ingress: &mut Value) -> Result<()> {
    if !is(write, "networking.k8s.io", "ingresses")
        || ingress["spec"].get("ingressClassName").is_some_and(|c| !c.is_null())
        || meta::annotation(ingress, "kubernetes.io/ingress.class").is_some()
    {
        return Ok(());
    }
    let marks = "ingressclass.kubernetes.io/is-default-class";
    if let Some(name) = default_class(write, "/networking.k8s.io/ingressclasses/", marks).await? {
        ingress["spec"]["ingressClassName"] = name.into();
    }
    Ok(())
}

/// StorageObjectInUseProtection: volumes and claims stay while they are used.
pub(super) fn protection_finalizers(write: &Write<'_>, object: &mut Value) {
    let finalizer = if is(write, "", "persistentvolumes") {
        "kubernetes.io/pv-protection"
    } else if is(write, "", "persistentvolumeclaims") {
        "kubernetes.io/pvc-protection"
    } else if is(write, "storage.k8s.io", "volumeattributesclasses") {
        "kubernetes.io/vac-protection"
    } else {
        return;
    };
    let mut all: Vec<Value> = meta::finalizers(object).map(Value::from).collect();
    if !all.iter().any(|f| f == finalizer) {
        all.push(finalizer.into());
        meta::set(object, "finalizers", all);
    }
}

/// PersistentVolumeClaimResize: a bound claim grows if its class says that it can.
pub(super) async fn claim_resize(write: &Write<'_>, claim: &Value) -> Result<()> {
    let Some(old) = write.old.filter(|_| is(write, "", "persistentvolumeclaims")) else { return Ok(()) };
    if !write.target.at.subresource.is_empty() {
        return Ok(());
    }
    let size = |c: &Value| Quantity::from_json(&c["spec"]["resources"]["requests"]["storage"]).ok();
    let grows = matches!((size(claim), size(old)), (Some(new), Some(old)) if new > old);
    if !grows {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(refused(write, claim, "Only bound persistent volume claims can be expanded"));
    }
    let class = meta::annotation(claim, "volume.beta.kubernetes.io/storage-class")
        .or_else(|| claim["spec"]["storageClassName"].as_str())
        .unwrap_or("");
    let key = format!("/storage.k8s.io/storageclasses/{class}");
    let (entry, _) = write.call.api.store.get(&key).await.map_err(failure::store)?;
    let allowed = entry.as_ref().and_then(stored::decode).is_some_and(|c| c["allowVolumeExpansion"] == true);
    if allowed {
        return Ok(());
    }
    let reason = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                  support resize";
    Err(refused(write, claim, reason))
}
