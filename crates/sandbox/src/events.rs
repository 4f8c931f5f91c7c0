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
    pub fn identity(&self, about: &About) -> u64 {
        hash(&format!("{}\0{}\0{}\0{}", about.uid, self.reason, self.message, self.field_path))
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

/// What an event says of its object: all that is kept of that until the event is written.
#[derive(Clone, Debug)]
pub struct About {
    api_version: Box<str>,
    kind: Box<str>,
    namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    resource_version: Box<str>,
}

impl About {
    /// About `object` as it is now.
    pub fn of(object: &Value) -> Self {
        let text = |field: &str| object[field].as_str().unwrap_or("").into();
        Self {
            api_version: text("apiVersion"),
            kind: text("kind"),
            namespace: meta::namespace(object).into(),
            name: meta::name(object).into(),
            uid: meta::uid(object).into(),
            resource_version: meta::resource_version(object).into(),
        }
    }

    /// Where its events are: in its namespace, or in `default`.
    pub fn events_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }

    fn reference(&self) -> Value {
        let mut reference = json!({
            "apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid,
            "resourceVersion": self.resource_version,
        });
        if !self.namespace.is_empty() {
            reference["namespace"] = (*self.namespace).into();
        }
        reference
    }
}

/// The `v1.Event` object `name` of what was told at `at`.
pub fn object_of(event: &Event, about: &About, name: &str, source: Source<'_>, at: Timestamp) -> Value {
    let time = object::time::format(at);
    let mut involved = about.reference();
    if !event.field_path.is_empty() {
        involved["fieldPath"] = event.field_path.clone().into();
    }
    let mut told = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": about.events_namespace()},
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
        told["eventTime"] = object::time::format_micro(at).into();
        told["reportingInstance"] = format!("{}-sandbox", source.component).into();
    }
    told
}

/// FNV-1a: the same on every run.
pub fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
