//! APIServices of what this server serves itself: one per group version, made and removed with the definitions.

use crate::call::Call;
use crate::{failure, stored};
use kinds::Registry;
use object::{GroupVersion, Result, Value, json};
use std::collections::BTreeSet;
use store::{Expect, StoreError, Write};

/// Where they are kept.
pub(crate) const PREFIX: &str = "/apiregistration.k8s.io/apiservices/";

/// `v1.apps`; the core group's is `v1.`.
fn name(version: &GroupVersion) -> String {
    format!("{}.{}", version.version, version.group)
}

/// The APIService of a group version that is served here; `kept` says by whose will it is there.
fn local(version: &GroupVersion, group_priority: i32, priority: i32, kept: &str) -> Value {
    let mut spec = json!({"groupPriorityMinimum": group_priority, "version": version.version, "versionPriority": priority});
    if !version.group.is_empty() {
        spec["group"] = version.group.clone().into();
    }
    let now = object::time::format(object::time::now());
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name(version), "labels": {"kube-aggregator.kubernetes.io/automanaged": kept}},
        "spec": spec,
        "status": {"conditions": [{
            "type": "Available", "status": "True", "reason": "Local", "lastTransitionTime": now,
            "message": "Local APIServices are always available",
        }]},
    })
}

/// Those of the built-in groups, by store key.
pub(crate) fn builtin() -> Vec<(String, Value)> {
    let registry = Registry::builtin();
    let groups = registry.groups().into_iter().flat_map(|group| {
        group.versions.iter().map(|version| {
            let service = local(&version.group_version, group.priority, version.priority, "onstart");
            (format!("{PREFIX}{}", name(&version.group_version)), service)
        })
    });
    groups.collect()
}

/// Makes the APIServices that a definition's versions need, and removes those that nothing serves any longer.
///
/// # Errors
/// When the store fails.
pub(crate) async fn follow(call: &Call, definition: &Value) -> Result<()> {
    let registry = call.api.registry().await?;
    let group = definition["spec"]["group"].as_str().unwrap_or("");
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let named: BTreeSet<&str> = versions.filter_map(|v| v["name"].as_str()).collect();
    for version in named {
        let version = GroupVersion::new(group, version);
        let served = registry.version(group, &version.version).is_some_and(|v| !v.resources.is_empty());
        let key = format!("{PREFIX}{}", name(&version));
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let write = match (served, entry) {
            (true, None) => {
                let priorities = (kinds::CUSTOM_GROUP_PRIORITY, kinds::CUSTOM_VERSION_PRIORITY);
                let mut service = local(&version, priorities.0, priorities.1, "true");
                crate::bootstrap::complete(&mut service, &object::time::format(call.now));
                crate::managed::as_server(call, &mut service).await?;
                Write {
                    key: key.into(),
                    expect: Expect::Absent,
                    value: Some(stored::encode(&service)),
                    ttl: None,
                }
            }
            (false, Some(entry)) if is_managed(&entry) => {
                Write { key: entry.key, expect: Expect::At(entry.mod_revision), value: None, ttl: None }
            }
            _ => continue,
        };
        match call.api.store.write(write).await {
            Ok(_) | Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
    Ok(())
}

fn is_managed(entry: &store::Entry) -> bool {
    let service = stored::decode(entry);
    service.is_some_and(|s| s["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "true")
}
