//! `os`, and what a Linux or Windows pod may not have.

use super::all_containers;
use crate::node::{Errors, Node};
use object::FieldError;
use serde_json::json;

/// `spec.os` and the fields of the other system.
pub fn validate(e: &mut Errors, spec: &Node<'_>) {
    let os = spec.get("os");
    if !os.is_set() {
        return;
    }
    let name = os.get("name").moved(os.path.clone());
    match name.text() {
        "" => e.push(os.get("name").required("")),
        "linux" => linux(e, spec),
        "windows" => windows(e, spec),
        _ => e.push(name.not_supported(&["linux", "windows"])),
    }
}

fn linux(e: &mut Errors, spec: &Node<'_>) {
    for holder in std::iter::once(spec.clone()).chain(all_containers(spec)) {
        let options = holder.get("securityContext").get("windowsOptions");
        if options.is_set() {
            e.push(options.forbidden("windows options cannot be set for a linux pod"));
        }
    }
}

fn windows(e: &mut Errors, spec: &Node<'_>) {
    const POD: [&str; 15] = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ];
    const CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    for path in POD {
        let node = match path.split_once('.') {
            Some((context, field)) => spec.get(context).get(field),
            None => spec.get(path),
        };
        let absent = match path {
            "hostPID" | "hostIPC" => !node.is_true(),
            "securityContext.sysctls" => node.is_empty(),
            _ => !node.is_set(),
        };
        if !absent {
            e.push(node.forbidden("cannot be set for a windows pod"));
        }
    }
    for container in all_containers(spec) {
        for field in CONTAINER {
            let node = container.get("securityContext").get(field);
            if node.is_set() {
                e.push(node.forbidden("cannot be set for a windows pod"));
            }
        }
    }
}

/// Windows host-process containers: all or none, on the host's network.
pub fn host_process(e: &mut Errors, spec: &Node<'_>) {
    let setting =
        |holder: &Node<'_>| holder.get("securityContext").get("windowsOptions").raw("hostProcess").as_bool();
    let pod = setting(spec);
    let containers = all_containers(spec);
    let mut count = 0;
    for container in &containers {
        let own = setting(container);
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let path = container.path.field("securityContext.windowsOptions.hostProcess");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            e.push(FieldError::invalid(&path, &json!(own), &detail));
        }
        count += usize::from(own.or(pod).unwrap_or(false));
    }
    if count == 0 {
        return;
    }
    if count != containers.len() {
        let detail =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        e.push(spec.invalid_as("", detail));
    }
    if !spec.get("hostNetwork").is_true() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        e.push(spec.get("hostNetwork").invalid_as(false, detail));
    }
}
