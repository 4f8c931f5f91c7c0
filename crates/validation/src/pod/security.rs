//! Security contexts of pods and containers.

use crate::node::{Errors, Node, check_supported};
use crate::paths::local_descending;
use object::{FieldError, names};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
static SYSCTL_NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SYSCTL).ok());
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// A user or group id.
fn id(e: &mut Errors, node: &Node<'_>) {
    if node.number().is_some_and(|id| !(0..=ID_MAX).contains(&id)) {
        e.push(node.invalid(&names::range_error(0, ID_MAX)));
    }
}

/// `spec.securityContext`.
pub fn pod(e: &mut Errors, spec: &Node<'_>) {
    let context = spec.get("securityContext");
    let share =
        Node { value: spec.raw("shareProcessNamespace"), path: context.path.field("shareProcessNamespace") };
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(e, &context.get(field));
    }
    for group in context.get("supplementalGroups").items() {
        id(e, &group);
    }
    if share.is_true() && spec.get("hostPID").is_true() {
        e.push(share.invalid("ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    sysctls(e, &context.get("sysctls"), spec);
    check_supported(e, &context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    seccomp(e, &context.get("seccompProfile"));
    windows(e, &context.get("windowsOptions"));
    app_armor(e, &context.get("appArmorProfile"));
    check_supported(e, &context.get("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    check_supported(e, &context.get("seLinuxChangePolicy"), &["Recursive"]);
}

fn sysctls(e: &mut Errors, sysctls: &Node<'_>, spec: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.get("name");
        let ok = name.len() <= 253 && SYSCTL_NAME.as_ref().is_some_and(|r| r.is_match(name.text()));
        if name.is_empty() {
            e.push(name.required(""));
        } else if !ok {
            e.push(name.invalid(&format!("must have at most 253 characters and match regex {SYSCTL}")));
        } else if seen.contains(name.text()) {
            e.push(name.duplicate());
        }
        let normal = name.text().replace('/', ".");
        if spec.get("hostNetwork").is_true() && normal.starts_with("net.") {
            e.push(name.invalid("may not be specified when 'hostNetwork' is true"));
        } else if spec.get("hostIPC").is_true() && is_ipc(&normal) {
            e.push(name.invalid("may not be specified when 'hostIPC' is true"));
        }
        seen.insert(name.text());
    }
}

fn is_ipc(sysctl: &str) -> bool {
    sysctl == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| sysctl.starts_with(prefix))
}

/// A container's `securityContext`.
pub fn container(e: &mut Errors, context: &Node<'_>, host_users: bool) {
    for field in ["runAsUser", "runAsGroup"] {
        id(e, &context.get(field));
    }
    let proc_mount = context.get("procMount");
    if proc_mount.is_set() {
        if !matches!(proc_mount.text(), "Default" | "Unmasked") {
            e.push(proc_mount.not_supported(&["Default", "Unmasked"]));
        }
        if host_users && proc_mount.text() == "Unmasked" {
            e.push(proc_mount.invalid("`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(e, &context.get("seccompProfile"));
    if context.get("allowPrivilegeEscalation").value == &json!(false) {
        let shown = go_shown(context.value);
        if context.get("privileged").is_true() {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            e.push(FieldError::invalid_shown(&context.path, &shown, detail));
        }
        for capability in context.get("capabilities").get("add").texts() {
            if capability == "CAP_SYS_ADMIN" {
                let detail =
                    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
                e.push(FieldError::invalid_shown(&context.path, &shown, detail));
            }
        }
    }
    windows(e, &context.get("windowsOptions"));
    app_armor(e, &context.get("appArmorProfile"));
}

/// A security context as Go shows its internal struct: its own field names, all of them.
fn go_shown(context: &Value) -> String {
    const FIELDS: [(&str, &str); 12] = [
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ];
    let show = |(go, field): &(&str, &str)| match (*field, &context[*field]) {
        ("capabilities", Value::Object(c)) => {
            let list = |name: &str| c.get(name).cloned().unwrap_or(Value::Null);
            format!("\"{go}\":{{\"Add\":{},\"Drop\":{}}}", list("add"), list("drop"))
        }
        (_, value) => format!("\"{go}\":{value}"),
    };
    format!("{{{}}}", FIELDS.iter().map(show).collect::<Vec<_>>().join(","))
}

fn seccomp(e: &mut Errors, profile: &Node<'_>) {
    if !profile.is_set() {
        return;
    }
    let (kind, localhost) = (profile.get("type"), profile.get("localhostProfile"));
    if kind.is_empty() {
        e.push(kind.required("type is required when seccompProfile is set"));
    } else if !PROFILE_TYPES.contains(&kind.text()) {
        e.push(kind.not_supported(&PROFILE_TYPES));
    }
    if kind.text() == "Localhost" {
        if localhost.is_set() {
            local_descending(e, &localhost);
        } else {
            e.push(localhost.required("must be set when seccomp type is Localhost"));
        }
    } else if localhost.is_set() {
        let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", json!(kind.text()), localhost.value);
        let detail = "can only be set when seccomp type is Localhost";
        e.push(FieldError::invalid_shown(&localhost.path, &shown, detail));
    }
}

fn app_armor(e: &mut Errors, profile: &Node<'_>) {
    if !profile.is_set() {
        return;
    }
    let (kind, localhost) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            let text = localhost.text();
            if localhost.is_set() && text.trim() != text {
                e.push(localhost.invalid("must not be padded with whitespace"));
            } else if text.is_empty() {
                e.push(localhost.required("must be set when AppArmor type is Localhost"));
            }
            if text.len() > 4095 {
                e.push(localhost.too_long(4095));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if localhost.is_set() {
                e.push(localhost.invalid("can only be set when AppArmor type is Localhost"));
            }
        }
        "" => e.push(kind.required("type is required when appArmorProfile is set")),
        _ => e.push(kind.not_supported(&PROFILE_TYPES)),
    }
}

fn windows(e: &mut Errors, options: &Node<'_>) {
    let (spec_name, spec) = (options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec"));
    if spec_name.is_set() {
        crate::node::check_text(e, &spec_name, names::dns1123_subdomain);
    }
    if spec.is_set() && spec.is_empty() {
        e.push(spec.invalid("gmsaCredentialSpec cannot be an empty string"));
    } else if spec.len() > 64 * 1024 {
        e.push(spec.invalid("gmsaCredentialSpec size must be under 64 KiB"));
    }
    let user_name = options.get("runAsUserName");
    if user_name.is_set() {
        e.extend(windows_user(user_name.text()).iter().map(|detail| user_name.invalid(detail)));
    }
}

fn windows_user(name: &str) -> Vec<String> {
    let parts: Vec<_> = name.split('\\').collect();
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string".into()];
    } else if name.chars().any(|c| c.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters".into()];
    } else if parts.len() > 2 {
        return vec!["runAsUserName cannot contain more than one backslash".into()];
    }
    let mut errors = vec![];
    let (domain, user) = if let [domain, user] = parts[..] { (Some(domain), user) } else { (None, name) };
    if domain.is_some_and(|d| d.len() >= 256) {
        errors.push("runAsUserName's Domain length must be under 256 characters".into());
    }
    if domain.is_some_and(|d| !net_bios(d) && !dns_domain(d)) {
        errors.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".into());
    }
    if user.is_empty() {
        errors.push("runAsUserName's User cannot be empty".into());
    } else if user.len() > 104 {
        errors.push("runAsUserName's User length must not be longer than 104 characters".into());
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        errors.push("runAsUserName's User cannot contain only periods or spaces".into());
    }
    if user.contains(|c| r#""/\:;|=,+*?<>@[]"#.contains(c)) {
        errors
            .push(r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#.into());
    }
    errors
}

fn net_bios(domain: &str) -> bool {
    let count = domain.chars().count();
    (1..=15).contains(&count) && !domain.starts_with('.') && !domain.contains(|c| r#"\/:*?"<>|"#.contains(c))
}

fn dns_domain(domain: &str) -> bool {
    domain.split('.').all(|label| names::dns1123_label(&label.to_ascii_lowercase()).is_empty())
}
