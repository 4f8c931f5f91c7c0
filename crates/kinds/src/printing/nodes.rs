//! Nodes and what runs or is claimed on them.

use super::cells::{age, list, row, text, text_or};
use jiff::Timestamp;
use object::{Value, meta};
use std::collections::BTreeSet;

pub(super) fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    let mut kernel = text_or(&info["kernelVersion"], "<unknown>").to_owned();
    if let Some(architecture) =
        info["architecture"].as_str().filter(|a| !a.is_empty() && kernel != "<unknown>")
    {
        kernel = format!("{kernel} ({architecture})");
    }
    row![
        meta::name(node),
        status(node),
        roles(node),
        age(node, now),
        text(&info["kubeletVersion"]),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        text_or(&info["osImage"], "<unknown>"),
        kernel,
        text_or(&info["containerRuntimeVersion"], "<unknown>"),
    ]
}

fn status(node: &Value) -> String {
    let ready = list(&node["status"]["conditions"]).iter().rev().find(|c| c["type"] == "Ready");
    let mut out = match ready {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        out.push_str(",SchedulingDisabled");
    }
    out
}

fn roles(node: &Value) -> String {
    let role = |(key, value): (&'_ str, &'_ str)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None => (key == "kubernetes.io/role").then(|| value.to_owned()),
    };
    let roles: BTreeSet<String> = meta::labels(node).filter_map(role).filter(|r| !r.is_empty()).collect();
    if roles.is_empty() { "<none>".into() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = list(&node["status"]["addresses"]).iter().find(|a| a["type"] == kind);
    found.map_or("<none>", |a| text(&a["address"]))
}

pub(super) fn runtime_class(class: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(class), text(&class["handler"]), age(class, now)]
}

pub(super) fn resource_claim(claim: &Value, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    let deleted = meta::deletion_timestamp(claim).is_some();
    if deleted {
        states.push("deleted");
    }
    if claim["status"]["allocation"].is_object() {
        states.push("allocated");
        if !list(&claim["status"]["reservedFor"]).is_empty() {
            states.push("reserved");
        }
    } else if !deleted {
        states.push("pending");
    }
    row![meta::name(claim), states.join(","), age(claim, now)]
}

pub(super) fn resource_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &slice["spec"];
    row![
        meta::name(slice),
        text(&spec["nodeName"]),
        text(&spec["driver"]),
        text(&spec["pool"]["name"]),
        age(slice, now),
    ]
}
