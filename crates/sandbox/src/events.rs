//! Events: what the scheduler, the kubelets and the provisioner tell people about an object.

use jiff::Timestamp;
use object::meta;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// CamelCase.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// The part of the object, such as `spec.containers{web}`.
    pub field_path: String,
    /// What was being done. Whoever says so tells in the way of `events.k8s.io`, as the scheduler does.
    pub action: &'static str,
}

impl Event {
    /// All is well.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: "Normal",
            reason: reason.into(),
            message: message.into(),
            field_path: String::new(),
            action: "",
        }
    }

    /// Something is wrong.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "Warning", ..Self::normal(reason, message) }
    }

    /// The same for the same words about the same object.
    pub fn identity(&self, object: &Value) -> u64 {
        hash(&format!("{}\0{}\0{}\0{}", meta::uid(object), self.reason, self.message, self.field_path))
    }

    /// While doing `action`.
    pub fn doing(mut self, action: &'static str) -> Self {
        self.action = action;
        self
    }

    /// About one container.
    pub fn of_container(mut self, list: &str, name: &str) -> Self {
        self.field_path = format!("spec.{list}{{{name}}}");
        self
    }
}

/// Who tells.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `kubelet`, `default-scheduler`, …
    pub component: &'a str,
    /// The node, for kubelets.
    pub host: &'a str,
}

/// Where events about `object` are: in its namespace, or in `default`.
pub fn namespace_of(object: &Value) -> &str {
    match meta::namespace(object) {
        "" => "default",
        namespace => namespace,
    }
}

/// The `v1.Event` object `name` of `event` about `object`.
pub fn object_of(event: &Event, object: &Value, name: &str, source: Source<'_>, now: Timestamp) -> Value {
    let time = object::time::format(now);
    let mut involved = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": meta::name(object),
        "uid": meta::uid(object), "resourceVersion": meta::resource_version(object),
    });
    if !meta::namespace(object).is_empty() {
        involved["namespace"] = meta::namespace(object).into();
    }
    if !event.field_path.is_empty() {
        involved["fieldPath"] = event.field_path.clone().into();
    }
    let mut told = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace_of(object)},
        "involvedObject": involved, "reason": event.reason, "message": event.message, "type": event.kind,
        "reportingComponent": source.component, "reportingInstance": source.host,
    });
    if event.action.is_empty() {
        told["source"] = json!({"component": source.component});
        if !source.host.is_empty() {
            told["source"]["host"] = source.host.into();
        }
        told["firstTimestamp"] = time.clone().into();
        told["lastTimestamp"] = time.into();
        told["count"] = 1.into();
        told["eventTime"] = Value::Null;
    } else {
        told["action"] = event.action.into();
        told["eventTime"] = object::time::format_micro(now).into();
        told["reportingInstance"] = format!("{}-sandbox", source.component).into();
    }
    told
}

/// FNV-1a: the same on every run.
pub fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
