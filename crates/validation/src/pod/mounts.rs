//! Volume mounts and block devices of a container.

use super::containers::Scope;
use crate::node::{Errors, Node};
use crate::paths::{local_descending, no_backsteps};
use object::FieldError;
use serde_json::json;
use std::collections::BTreeSet;

/// `volumeMounts`. Errors of paths and modes name the list, as upstream.
pub fn mounts(e: &mut Errors, container: &Node<'_>, scope: &Scope<'_>) {
    let mounts = container.get("volumeMounts");
    let devices = container.get("volumeDevices");
    let mut seen = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        if name.is_empty() {
            e.push(name.required(""));
        }
        let volume = scope.volumes.get(name.text());
        if volume.is_none() {
            e.push(FieldError::not_found(&name.path, &json!(name.text())));
        }
        if path.is_empty() {
            e.push(path.required(""));
        }
        if !seen.insert(path.text()) {
            e.push(path.invalid_text("must be unique"));
        }
        if devices.list().iter().any(|d| d["name"] == name.text()) {
            e.push(name.invalid("must not already exist in volumeDevices"));
        }
        if devices.list().iter().any(|d| d["devicePath"] == path.text()) {
            e.push(path.invalid("must not already exist as a path in volumeDevices"));
        }
        let (sub_path, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
        if volume.is_some_and(|v| v.get("image").is_some()) {
            for field in [&sub_path, &expression].into_iter().filter(|f| !f.is_empty()) {
                e.push(field.invalid("not allowed in image volume sources"));
            }
        }
        if !sub_path.is_empty() {
            local_descending(e, &sub_path.moved(mounts.path.field("subPath")));
        }
        if !expression.is_empty() {
            if !sub_path.is_empty() {
                e.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
            }
            local_descending(e, &expression.moved(mounts.path.field("subPathExpr")));
        }
        propagation(e, &mount, &mounts, container);
        recursive_read_only(e, &mount, &mounts);
    }
}

fn propagation(e: &mut Errors, mount: &Node<'_>, mounts: &Node<'_>, container: &Node<'_>) {
    let mode = mount.get("mountPropagation").moved(mounts.path.field("mountPropagation"));
    if !mode.is_set() {
        return;
    }
    if !matches!(mode.text(), "Bidirectional" | "HostToContainer" | "None") {
        e.push(mode.not_supported(&["Bidirectional", "HostToContainer", "None"]));
    }
    let privileged = container.get("securityContext").get("privileged").is_true();
    if mode.text() == "Bidirectional" && !privileged {
        e.push(mode.forbidden("Bidirectional mount propagation is available only to privileged containers"));
    }
}

fn recursive_read_only(e: &mut Errors, mount: &Node<'_>, mounts: &Node<'_>) {
    let mode = mount.get("recursiveReadOnly").moved(mounts.path.field("recursiveReadOnly"));
    match mode.text() {
        _ if !mode.is_set() => {}
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").is_true() {
                e.push(mode.forbidden("may only be specified when readOnly is true"));
            }
            if !matches!(mount.get("mountPropagation").text(), "" | "None") {
                e.push(
                    mode.forbidden("may only be specified when mountPropagation is None or not specified"),
                );
            }
        }
        _ => e.push(mode.not_supported(&["Disabled", "Enabled", "IfPossible"])),
    }
}

/// `volumeDevices`.
pub fn devices(e: &mut Errors, container: &Node<'_>, scope: &Scope<'_>) {
    let mounts = container.get("volumeMounts");
    let (mut paths, mut device_names) = (BTreeSet::new(), BTreeSet::new());
    for device in container.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        if name.is_empty() {
            e.push(name.required(""));
        }
        if device_names.contains(name.text()) {
            e.push(name.invalid_text("must be unique"));
        }
        match scope.volumes.get(name.text()) {
            None => e.push(FieldError::not_found(&name.path, &json!(name.text()))),
            Some(v) if v.get("persistentVolumeClaim").is_none() && v.get("ephemeral").is_none() => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                e.push(name.invalid(detail));
            }
            Some(_) => {}
        }
        if path.is_empty() {
            e.push(path.required(""));
        }
        if paths.contains(path.text()) {
            e.push(path.invalid_text("must be unique"));
        }
        let mut backsteps = vec![];
        no_backsteps(&mut backsteps, &path);
        if backsteps.is_empty() {
            paths.insert(path.text());
        } else {
            e.push(path.invalid("can not contain backsteps ('..')"));
        }
        if mounts.list().iter().any(|m| m["name"] == name.text()) {
            e.push(name.invalid("must not already exist in volumeMounts"));
        }
        if mounts.list().iter().any(|m| m["mountPath"] == path.text()) {
            e.push(path.invalid("must not already exist as a path in volumeMounts"));
        }
        if !name.is_empty() {
            device_names.insert(name.text());
        }
    }
}
