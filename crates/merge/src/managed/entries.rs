//! The entries of `metadata.managedFields`, decoded and encoded.

use crate::fields::FieldSet;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Who an entry belongs to. Appliers are the same whatever version they use; updaters are told apart by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ManagerKey {
    pub(crate) manager: String,
    pub(crate) applied: bool,
    /// Empty for appliers.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) set: FieldSet,
    /// The version whose schema the paths are of.
    pub(crate) api_version: String,
    /// When the manager last changed something, as written.
    pub(crate) time: Option<String>,
}

/// All entries of an object.
pub(crate) type Managed = BTreeMap<ManagerKey, Owned>;

impl ManagerKey {
    /// The key of a manager at an endpoint.
    pub(crate) fn new(manager: &str, applied: bool, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: if manager.is_empty() { "unknown" } else { manager }.into(),
            applied,
            api_version: if applied { "" } else { api_version }.into(),
            subresource: subresource.into(),
        }
    }
}

/// The managedFields of an object, undecoded.
pub(crate) fn managed_fields(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields").filter(|value| !value.is_null())
}

/// Decodes entries. `Err`: at least one of them is malformed.
pub(crate) fn decode(entries: Option<&Value>) -> Result<Managed, String> {
    let mut managed = Managed::new();
    let Some(entries) = entries else { return Ok(managed) };
    let entries = entries.as_array().ok_or("managedFields must be a list")?;
    for (index, entry) in entries.iter().enumerate() {
        let text = |field: &str| entry[field].as_str().unwrap_or("");
        let applied = match text("operation") {
            "Apply" => true,
            "Update" => false,
            _ => return Err("operation must be `Apply` or `Update`".into()),
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".into());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
            other => return Err(format!("invalid fieldsType \"{other}\" in managed fields entry {index}")),
        }
        let set = match entry.get("fieldsV1") {
            Some(fields) => {
                FieldSet::from_value(fields).map_err(|e| format!("error decoding set: {}", e.0))?
            }
            None => FieldSet::new(),
        };
        let key = ManagerKey {
            manager: text("manager").into(),
            applied,
            api_version: if applied { String::new() } else { api_version.into() },
            subresource: text("subresource").into(),
        };
        let time = entry["time"].as_str().map(Into::into);
        managed.insert(key, Owned { set, api_version: api_version.into(), time });
    }
    Ok(managed)
}

/// Encodes entries in their order: appliers first, then by time (whole seconds), manager, version and subresource.
pub(crate) fn encode(managed: &Managed) -> Vec<Value> {
    let mut entries: Vec<_> = managed.iter().collect();
    entries.sort_by(|(a, owned_a), (b, owned_b)| {
        b.applied
            .cmp(&a.applied)
            .then_with(|| seconds(owned_a.time.as_deref()).cmp(seconds(owned_b.time.as_deref())))
            .then_with(|| a.manager.cmp(&b.manager))
            .then_with(|| owned_a.api_version.cmp(&owned_b.api_version))
            .then_with(|| a.subresource.cmp(&b.subresource))
    });
    entries.into_iter().map(|(key, owned)| encode_one(key, owned)).collect()
}

fn encode_one(key: &ManagerKey, owned: &Owned) -> Value {
    let mut entry = Map::new();
    if !key.manager.is_empty() {
        entry.insert("manager".into(), key.manager.clone().into());
    }
    entry.insert("operation".into(), if key.applied { "Apply" } else { "Update" }.into());
    entry.insert("apiVersion".into(), owned.api_version.clone().into());
    if let Some(time) = &owned.time {
        entry.insert("time".into(), time.clone().into());
    }
    entry.insert("fieldsType".into(), "FieldsV1".into());
    entry.insert("fieldsV1".into(), owned.set.to_value());
    if !key.subresource.is_empty() {
        entry.insert("subresource".into(), key.subresource.clone().into());
    }
    entry.into()
}

/// Writes the entries into an object; none at all removes the field.
pub(crate) fn store(object: &mut Value, managed: &Managed) {
    store_entries(object, encode(managed));
}

/// Writes encoded entries into an object.
pub(crate) fn store_entries(object: &mut Value, entries: Vec<Value>) {
    if entries.is_empty() {
        object::meta::unset(object, "managedFields");
    } else {
        object::meta::set(object, "managedFields", entries);
    }
}

/// The part of an RFC 3339 UTC time that sorts by seconds. Kubernetes writes no other form.
pub(crate) fn seconds(time: Option<&str>) -> &str {
    time.map_or("", |time| time.split(['.', 'Z']).next().unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, time: &str) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}},
        })
    }

    #[test]
    fn sorts_appliers_first_then_by_time_and_name() {
        let entries = json!([
            entry("z", "Update", "2026-01-01T00:00:00Z"),
            entry("a", "Update", "2026-01-02T00:00:00Z"),
            entry("b", "Apply", "2026-01-03T00:00:00Z"),
            entry("b", "Update", "2026-01-01T00:00:00Z"),
        ]);
        let encoded = encode(&decode(Some(&entries)).unwrap());
        let order: Vec<_> = encoded
            .iter()
            .map(|e| format!("{}{}", &e["operation"].as_str().unwrap()[..1], e["manager"].as_str().unwrap()))
            .collect();
        assert_eq!(order, ["Ab", "Ub", "Uz", "Ua"]);
    }

    #[test]
    fn refuses_malformed_entries() {
        for (field, value) in [
            ("operation", json!("Replace")),
            ("apiVersion", json!("")),
            ("fieldsType", json!("")),
            ("fieldsType", json!("FieldsV2")),
            ("fieldsV1", json!({"x": {}})),
        ] {
            let mut one = entry("m", "Apply", "2026-01-01T00:00:00Z");
            one[field] = value;
            assert!(decode(Some(&json!([one]))).is_err(), "{field}");
        }
        assert!(decode(Some(&json!("text"))).is_err());
    }
}
