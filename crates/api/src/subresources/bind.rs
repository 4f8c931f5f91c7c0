//! Binding: a scheduler's word that a pod runs on a node.

use crate::call::{Call, Target};
use crate::pipeline::Manage;
use crate::respond::{self, Answer};
use crate::verbs::update;
use crate::{admission, codec, failure};
use kinds::Resource;
use object::{ApiError, FieldError, Path, Result, Value, json, meta};
use std::sync::Arc;

pub(super) async fn answer(call: &Call, target: &Target) -> Result<Answer> {
    codec::check_options(call, "CreateOptions")?;
    let mut binding = codec::decode_body(call, target, &target.resource)?;
    codec::match_path(target, &mut binding)?;
    bind(call, target, &binding).await
}

/// POST to `bindings` itself: the binding's name is the pod's.
pub(crate) async fn named(call: &Call, target: &Target, binding: Value) -> Result<Answer> {
    let registry = call.api.registry().await?;
    let pods: Arc<Resource> = registry.get("", "v1", "pods").cloned().ok_or_else(|| target.not_found())?;
    let mut at = target.at.clone();
    at.resource = "pods".into();
    at.name = meta::name(&binding).to_owned();
    at.subresource = "binding".into();
    bind(call, &Target::new(pods, at), &binding).await
}

async fn bind(call: &Call, target: &Target, binding: &Value) -> Result<Answer> {
    let node = binding["target"]["name"].as_str().unwrap_or("");
    let kind = binding["target"]["kind"].as_str().unwrap_or("");
    let path = Path::new("target");
    let mut errors = Vec::new();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported(&path.field("kind"), &kind.into(), &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    }
    if let Some(first) = errors.first() {
        // Passed on as it is, without a reason.
        return Err(failure::plain(format!("{}: {}", first.path, first.message)));
    }
    let wanted_uid = meta::uid(binding).to_owned();
    let mut binding = binding.clone();
    if kind == "Node" {
        admission::defaults::topology_labels(call, node, &mut binding).await?;
    }
    let transform = |pod: &Value| assign(target, pod, node, &binding, &wanted_uid);
    update::change(call, target, Manage::Nobody, transform).await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let accepted = call.accept(target, false)?;
    Ok(respond::bytes(201, accepted.media.name(), respond::encode(call, target, accepted, &status)?))
}

fn assign(target: &Target, pod: &Value, node: &str, binding: &Value, uid: &str) -> Result<Value> {
    let conflict = |reason: String| ApiError::Conflict {
        resource: object::GroupResource::new("", "pods/binding"),
        name: target.at.name.clone(),
        reason,
    };
    if !uid.is_empty() && uid != meta::uid(pod) {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        )));
    }
    if meta::deletion_timestamp(pod).is_some() {
        return Err(conflict(format!(
            "pod {} is being deleted, cannot be assigned to a host",
            meta::name(pod)
        )));
    }
    if let Some(host) = pod["spec"]["nodeName"].as_str().filter(|h| !h.is_empty()) {
        return Err(conflict(format!(
            "pod {} is already assigned to node {}",
            meta::name(pod),
            object::error::quote(host)
        )));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|g| !g.is_empty()) {
        return Err(conflict(format!("pod {} has non-empty .spec.schedulingGates", meta::name(pod))));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = node.into();
    for (key, value) in meta::annotations(binding) {
        meta::set_annotation(&mut pod, key, value);
    }
    for (key, value) in meta::labels(binding) {
        meta::set_label(&mut pod, key, value);
    }
    let now = object::time::format(object::time::now());
    let condition =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|c| c["type"] != "PodScheduled");
        list.push(condition);
    }
    Ok(pod)
}
