//! The baseline standard: no known ways out of a container. Checks in Kubernetes' order, one function each.

use super::policy::{Level, Standard};
use super::violation::{
    Violation, containers, containers_named, named, plural, quoted, set, setters, violation,
};
use object::{Value, meta};

const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "",
];
const SYSCTLS: [(&str, u32); 11] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
];
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn check(standard: &Standard, pod: &Value, found: &mut Vec<Violation>) {
    // The restricted standard has stricter checks in place of these.
    let stricter = standard.level == Level::Restricted;
    found.extend(app_armor(pod));
    if !(stricter && standard.since(22)) {
        found.extend(capabilities(pod));
    }
    found.extend(host_namespaces(pod));
    if !stricter {
        found.extend(host_path(pod));
    }
    found.extend(host_ports(pod));
    if standard.since(34) {
        found.extend(probe_hosts(pod));
    }
    found.extend(privileged(pod));
    if !(stricter && standard.since(35)) {
        found.extend(proc_mount(pod, standard.since(35)));
    }
    found.extend(selinux(pod));
    if !standard.since(19) {
        found.extend(seccomp_annotations(pod));
    } else if !stricter {
        found.extend(seccomp(pod));
    }
    found.extend(sysctls(standard, pod));
    found.extend(windows_host_process(pod));
}

/// With a user namespace of its own, root in the pod is nobody outside.
pub(super) fn has_user_namespace(pod: &Value) -> bool {
    pod["spec"]["hostUsers"] == false
}

fn app_armor(pod: &Value) -> Option<Violation> {
    let bad = |profile: &Value| {
        let kind = profile["type"].as_str();
        kind.filter(|k| !matches!(*k, "RuntimeDefault" | "Localhost")).map(str::to_owned)
    };
    let of = |holder: &Value| bad(&holder["securityContext"]["appArmorProfile"]);
    let by_pod = of(&pod["spec"]);
    let by_containers = named(pod, |c| of(c).is_some());
    let values = set(by_pod.iter().cloned().chain(containers(pod).filter_map(of)));
    let annotations: Vec<String> = meta::annotations(pod)
        .filter(|(key, value)| {
            let fine = matches!(*value, "" | "runtime/default") || value.starts_with("localhost/");
            key.starts_with(APPARMOR) && !fine
        })
        .map(|(key, value)| format!("{key}={}", object::error::quote(value)))
        .collect();
    let mut annotations = annotations;
    annotations.sort_unstable();
    let mut who =
        Vec::from_iter(Some(setters(by_pod.is_some(), &by_containers)).filter(|who| !who.is_empty()));
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    let bad = [values, annotations].concat();
    (!bad.is_empty()).then(|| {
        violation(
            plural("forbidden AppArmor profile", "forbidden AppArmor profiles", bad.len()),
            format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&bad)),
        )
    })
}

fn added(container: &Value) -> impl Iterator<Item = &str> {
    let list = container["securityContext"]["capabilities"]["add"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Containers that add other capabilities than `allowed`, and which.
pub(super) fn forbidden_capabilities<'a>(pod: &'a Value, allowed: &[&str]) -> Option<String> {
    let bad: Vec<&'a str> = named(pod, |c| added(c).any(|a| !allowed.contains(&a)));
    let words = set(containers(pod).flat_map(added).filter(|a| !allowed.contains(a)).map(str::to_owned));
    (!bad.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers_named(&bad),
            quoted(&words)
        )
    })
}

fn capabilities(pod: &Value) -> Option<Violation> {
    forbidden_capabilities(pod, &CAPABILITIES).map(|d| violation("non-default capabilities", d))
}

fn host_namespaces(pod: &Value) -> Option<Violation> {
    let used: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| pod["spec"][**field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    (!used.is_empty()).then(|| violation("host namespaces", used.join(", ")))
}

fn host_path(pod: &Value) -> Option<Violation> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let names: Vec<&str> =
        volumes.filter(|v| v["hostPath"].is_object()).filter_map(|v| v["name"].as_str()).collect();
    (!names.is_empty()).then(|| {
        violation(
            "hostPath volumes",
            format!("{} {}", plural("volume", "volumes", names.len()), quoted(&names)),
        )
    })
}

fn host_ports(pod: &Value) -> Option<Violation> {
    let ports = |c: &Value| -> Vec<i64> {
        let all = c["ports"].as_array().into_iter().flatten();
        all.filter_map(|p| p["hostPort"].as_i64()).filter(|p| *p != 0).collect()
    };
    let names = named(pod, |c| !ports(c).is_empty());
    let numbers = set(containers(pod).flat_map(ports).map(|p| p.to_string()));
    (!names.is_empty()).then(|| {
        let uses = plural("uses", "use", names.len());
        let word = plural("hostPort", "hostPorts", numbers.len());
        violation("hostPort", format!("{} {uses} {word} {}", containers_named(&names), numbers.join(", ")))
    })
}

fn probe_hosts(pod: &Value) -> Option<Violation> {
    let hosts = |container: &Value| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|p| &container[p]);
        let hooks = ["postStart", "preStop"].map(|h| &container["lifecycle"][h]);
        let handlers = probes.into_iter().chain(hooks);
        let named = handlers.flat_map(|h| [&h["httpGet"]["host"], &h["tcpSocket"]["host"]]);
        named.filter_map(|h| h.as_str()).filter(|h| !h.is_empty()).map(str::to_owned).collect()
    };
    let mut names = named(pod, |c| !hosts(c).is_empty());
    names.sort_unstable();
    let hosts = set(containers(pod).flat_map(hosts));
    (!names.is_empty()).then(|| {
        let verb = plural("uses", "use", names.len());
        let what = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len());
        violation(
            "probe or lifecycle host",
            format!("{} {verb} {what} {}", containers_named(&names), quoted(&hosts)),
        )
    })
}

fn privileged(pod: &Value) -> Option<Violation> {
    let names = named(pod, |c| c["securityContext"]["privileged"] == true);
    (!names.is_empty()).then(|| {
        violation(
            "privileged",
            format!("{} must not set securityContext.privileged=true", containers_named(&names)),
        )
    })
}

/// `relaxed`: what pods with a user namespace of their own do is their business.
pub(super) fn proc_mount(pod: &Value, relaxed: bool) -> Option<Violation> {
    if relaxed && has_user_namespace(pod) {
        return None;
    }
    let value = |c: &Value| {
        let mount = c["securityContext"]["procMount"].as_str();
        mount.filter(|m| *m != "Default").map(str::to_owned)
    };
    let names = named(pod, |c| value(c).is_some());
    let values = set(containers(pod).filter_map(value));
    (!names.is_empty()).then(|| {
        let who = containers_named(&names);
        violation("procMount", format!("{who} must not set securityContext.procMount to {}", quoted(&values)))
    })
}

fn selinux(pod: &Value) -> Option<Violation> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let options = |holder: &Value| holder["securityContext"]["seLinuxOptions"].clone();
    let set_text = |o: &Value, field: &str| o[field].as_str().is_some_and(|t| !t.is_empty());
    let bad_type = |o: &Value| o["type"].as_str().filter(|t| !TYPES.contains(t)).map(str::to_owned);
    let bad = |o: &Value| bad_type(o).is_some() || set_text(o, "user") || set_text(o, "role");
    let by_pod = bad(&options(&pod["spec"]));
    let names = named(pod, |c| bad(&options(c)));
    if !by_pod && names.is_empty() {
        return None;
    }
    let all: Vec<Value> =
        std::iter::once(options(&pod["spec"])).chain(containers(pod).map(options)).collect();
    let types = set(all.iter().filter_map(bad_type));
    let mut parts = Vec::new();
    if !types.is_empty() {
        parts.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    for field in ["user", "role"] {
        if all.iter().any(|o| set_text(o, field)) {
            parts.push(format!("{field} may not be set"));
        }
    }
    let who = setters(by_pod, &names);
    Some(violation(
        "seLinuxOptions",
        format!("{who} set forbidden securityContext.seLinuxOptions: {}", parts.join("; ")),
    ))
}

/// Before there was a field, annotations said it.
fn seccomp_annotations(pod: &Value) -> Option<Violation> {
    const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let names: Vec<&str> = named(pod, |_| true);
    let bad = meta::annotations(pod).filter(|(key, value)| {
        let fine = matches!(*value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
        let known =
            *key == OF_POD || key.strip_prefix(OF_CONTAINER).is_some_and(|name| names.contains(&name));
        known && !fine
    });
    let bad = set(bad.map(|(key, value)| format!("{key}={}", object::error::quote(value))));
    (!bad.is_empty()).then(|| {
        let word = plural("annotation", "annotations", bad.len());
        violation("seccompProfile", format!("forbidden {word} {}", bad.join(", ")))
    })
}

/// Who unconfines what, as a refusal; shared with the restricted standard.
pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    let value = |holder: &Value| {
        let kind = holder["securityContext"]["seccompProfile"]["type"].as_str();
        kind.filter(|k| !matches!(*k, "RuntimeDefault" | "Localhost")).map(str::to_owned)
    };
    let by_pod = value(&pod["spec"]);
    let names = named(pod, |c| value(c).is_some());
    let values = set(by_pod.iter().cloned().chain(containers(pod).filter_map(value)));
    (!values.is_empty()).then(|| {
        let who = setters(by_pod.is_some(), &names);
        violation(
            "seccompProfile",
            format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&values)),
        )
    })
}

fn sysctls(standard: &Standard, pod: &Value) -> Option<Violation> {
    let fine = |name: &str| {
        SYSCTLS.iter().any(|(known, since)| *known == name && standard.since(*since))
            || (name == "net.ipv4.tcp_wmem" && standard.since(32))
    };
    let all = pod["spec"]["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let names: Vec<&str> = all.filter_map(|s| s["name"].as_str()).filter(|n| !fine(n)).collect();
    (!names.is_empty()).then(|| violation("forbidden sysctls", names.join(", ")))
}

fn windows_host_process(pod: &Value) -> Option<Violation> {
    let set = |holder: &Value| holder["securityContext"]["windowsOptions"]["hostProcess"] == true;
    let (by_pod, names) = (set(&pod["spec"]), named(pod, set));
    (by_pod || !names.is_empty()).then(|| {
        let who = setters(by_pod, &names);
        violation(
            "hostProcess",
            format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
        )
    })
}
