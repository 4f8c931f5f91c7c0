//! The restricted standard: hardened pods. Checks in Kubernetes' order, one function each.

use super::baseline::{forbidden_capabilities, has_user_namespace, proc_mount, seccomp};
use super::policy::Standard;
use super::violation::{Violation, containers_named, named, plural, quoted, set, setters, violation};
use object::Value;

const VOLUMES: [&str; 10] = [
    "name",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(super) fn check(standard: &Standard, pod: &Value, found: &mut Vec<Violation>) {
    let windows = standard.since(25) && pod["spec"]["os"]["name"] == "windows";
    // Pods with a user namespace of their own may be root in it.
    let relaxed = standard.since(35) && has_user_namespace(pod);
    if !windows {
        if standard.since(8) {
            found.extend(privilege_escalation(pod));
        }
        if standard.since(22) {
            found.extend(capabilities(pod));
        }
    }
    if standard.since(35) {
        found.extend(proc_mount(pod, false));
    }
    found.extend(volume_types(pod));
    if !relaxed {
        found.extend(run_as_non_root(pod));
        if standard.since(23) {
            found.extend(run_as_user(pod));
        }
    }
    if standard.since(19) && !windows {
        found.extend(seccomp(pod).or_else(|| seccomp_unset(pod)));
    }
}

fn privilege_escalation(pod: &Value) -> Option<Violation> {
    let names = named(pod, |c| c["securityContext"]["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| {
        violation(
            "allowPrivilegeEscalation != false",
            format!("{} must set securityContext.allowPrivilegeEscalation=false", containers_named(&names)),
        )
    })
}

fn capabilities(pod: &Value) -> Option<Violation> {
    let drops_all = |c: &Value| {
        let drop = c["securityContext"]["capabilities"]["drop"].as_array();
        drop.is_some_and(|list| list.iter().any(|d| d == "ALL"))
    };
    let keeping = named(pod, |c| !drops_all(c));
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = containers_named(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    details.extend(forbidden_capabilities(pod, &["NET_BIND_SERVICE"]));
    (!details.is_empty()).then(|| violation("unrestricted capabilities", details.join("; ")))
}

fn volume_types(pod: &Value) -> Option<Violation> {
    let volumes = || pod["spec"]["volumes"].as_array().into_iter().flatten();
    let bad = |volume: &Value| {
        let fields = volume.as_object();
        fields.into_iter().flatten().map(|(key, _)| key.clone()).find(|key| !VOLUMES.contains(&key.as_str()))
    };
    let names: Vec<&str> =
        volumes().filter(|v| bad(v).is_some()).filter_map(|v| v["name"].as_str()).collect();
    let types = set(volumes().filter_map(bad));
    (!names.is_empty()).then(|| {
        let volumes = plural("volume", "volumes", names.len());
        let uses = plural("uses", "use", names.len());
        let word = plural("type", "types", types.len());
        violation(
            "restricted volume types",
            format!("{volumes} {} {uses} restricted volume {word} {}", quoted(&names), quoted(&types)),
        )
    })
}

fn run_as_non_root(pod: &Value) -> Option<Violation> {
    let of = |holder: &Value| holder["securityContext"]["runAsNonRoot"].as_bool();
    let by_pod = of(&pod["spec"]);
    let explicit = named(pod, |c| of(c) == Some(false));
    if by_pod == Some(false) || !explicit.is_empty() {
        let who = setters(by_pod == Some(false), &explicit);
        return Some(violation(
            "runAsNonRoot != true",
            format!("{who} must not set securityContext.runAsNonRoot=false"),
        ));
    }
    let silent = named(pod, |c| of(c).is_none());
    (by_pod != Some(true) && !silent.is_empty()).then(|| {
        let who = containers_named(&silent);
        violation("runAsNonRoot != true", format!("pod or {who} must set securityContext.runAsNonRoot=true"))
    })
}

fn run_as_user(pod: &Value) -> Option<Violation> {
    let root = |holder: &Value| holder["securityContext"]["runAsUser"] == 0;
    let (by_pod, names) = (root(&pod["spec"]), named(pod, root));
    (by_pod || !names.is_empty())
        .then(|| violation("runAsUser=0", format!("{} must not set runAsUser=0", setters(by_pod, &names))))
}

fn seccomp_unset(pod: &Value) -> Option<Violation> {
    let unset = |holder: &Value| holder["securityContext"]["seccompProfile"]["type"].is_null();
    let names = named(pod, unset);
    (unset(&pod["spec"]) && !names.is_empty()).then(|| {
        let who = containers_named(&names);
        violation(
            "seccompProfile",
            format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""),
        )
    })
}
