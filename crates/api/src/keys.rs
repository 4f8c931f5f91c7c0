//! Where objects live in the store: `/<group or core>/<resource>/[<namespace>/]<name>`.

use kinds::Resource;

/// The prefix of a collection; with an empty namespace, of all of them.
pub fn prefix(resource: &Resource, namespace: &str) -> String {
    let group = if resource.storage.group.is_empty() { "core" } else { &resource.storage.group };
    if namespace.is_empty() || !resource.namespaced() {
        format!("/{group}/{}/", resource.storage.resource)
    } else {
        format!("/{group}/{}/{namespace}/", resource.storage.resource)
    }
}

/// The key of one object.
pub fn key(resource: &Resource, namespace: &str, name: &str) -> String {
    format!("{}{name}", prefix(resource, namespace))
}
