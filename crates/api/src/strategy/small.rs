//! What a few kinds fill in or take away, a function each.

use crate::call::Call;
use object::{Value, meta};

/// A LimitRange without a name gets one.
pub(super) fn name_limit_range(_: &Call, object: &mut Value) {
    if meta::name(object).is_empty() {
        meta::set(object, "name", uuid::Uuid::new_v4().to_string());
    }
}

/// Of the Secrets that a ServiceAccount lists, only the names are kept.
pub(super) fn clean_secrets(_: &Call, object: &mut Value) {
    for secret in object["secrets"].as_array_mut().into_iter().flatten() {
        if let Some(reference) = secret.as_object_mut() {
            reference.retain(|field, _| field == "name");
        }
    }
    if object["secrets"].is_null()
        && let Some(map) = object.as_object_mut()
    {
        map.remove("secrets");
    }
}

/// The same on an update.
pub(super) fn clean_secrets_update(call: &Call, _: &str, object: &mut Value, _: &Value) {
    clean_secrets(call, object);
}

/// A device is tainted from now on, unless its ResourceSlice says since when.
pub(super) fn date_taints(_: &Call, object: &mut Value) {
    let Some(devices) = object.pointer_mut("/spec/devices").and_then(Value::as_array_mut) else { return };
    let taints = devices.iter_mut().filter_map(|device| device.get_mut("taints")?.as_array_mut()).flatten();
    for taint in taints.filter_map(Value::as_object_mut) {
        taint.entry("timeAdded").or_insert_with(|| object::time::format(object::time::now()).into());
    }
}

/// The same on an update.
pub(super) fn date_taints_update(call: &Call, _: &str, object: &mut Value, _: &Value) {
    date_taints(call, object);
}
