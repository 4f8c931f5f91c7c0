//! A write whose only effect would be new times in managedFields is none.

use super::entries::{managed_fields, store_entries};
use crate::fields::value_order::equal;
use object::meta;
use serde_json::Value;

/// Puts the live managedFields into `new` if the two objects differ in nothing but the times there (and the
/// resourceVersion, where `new` names none). Then `new` is the live object, and nothing needs to be written.
pub fn ignore_timestamps(live: &Value, new: &mut Value) {
    if timeless(managed_fields(live)) != timeless(managed_fields(new)) {
        return;
    }
    let entries = managed_fields(live).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut same = new.clone();
    store_entries(&mut same, entries);
    if meta::resource_version(&same).is_empty() {
        meta::set(&mut same, "resourceVersion", meta::resource_version(live));
    }
    if equal(live, &same) {
        let entries = managed_fields(live).and_then(Value::as_array).cloned().unwrap_or_default();
        store_entries(new, entries);
    }
}

fn timeless(entries: Option<&Value>) -> Vec<Value> {
    let mut entries = entries.and_then(Value::as_array).cloned().unwrap_or_default();
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        entry.remove("time");
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(time: &str, data: &str) -> Value {
        json!({"metadata": {"resourceVersion": "5", "managedFields": [{"manager": "m", "time": time}]}, "data": data})
    }

    #[test]
    fn keeps_the_live_times_when_nothing_else_differs() {
        let live = object("2026-01-01T00:00:00Z", "a");
        let mut new = object("2026-01-02T00:00:00Z", "a");
        ignore_timestamps(&live, &mut new);
        assert_eq!(new, live);
        let mut other = object("2026-01-02T00:00:00Z", "b");
        let before = other.clone();
        ignore_timestamps(&live, &mut other);
        assert_eq!(other, before);
    }
}
