//! Namespaces: held by the `kubernetes` finalizer until the namespace controller emptied them.

use crate::call::Call;
use object::{Value, json, meta};

pub(super) fn prepare_create(_: &Call, object: &mut Value) {
    let finalizers = &mut object["spec"]["finalizers"];
    let held = finalizers.as_array().is_some_and(|f| f.iter().any(|f| f == "kubernetes"));
    if !held {
        let mut all = finalizers.as_array().cloned().unwrap_or_default();
        all.push("kubernetes".into());
        *finalizers = all.into();
    }
    object["status"] = json!({"phase": "Active"});
    name_label(object);
}

/// Every namespace carries its name as a label.
pub(super) fn name_label(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if !name.is_empty() {
        meta::set_label(object, "kubernetes.io/metadata.name", &name);
    }
}

pub(super) fn prepare_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    match subresource {
        "finalize" => super::copy_field(object, old, "status"),
        _ => {
            super::copy_field(object, old, "spec");
            name_label(object);
        }
    }
}

/// A namespace under deletion is emptied first.
pub(super) fn begin_deletion(_: &Call, object: &mut Value) {
    object["status"]["phase"] = "Terminating".into();
}
