//! What tenants may ask of the host beyond ordinary pods. Everything is off unless the platform team says otherwise.

use crate::Refusal;
use object::Value;
use std::collections::BTreeMap;

/// A virtual cluster's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `hostPath` volumes.
    pub host_paths: bool,
    /// `hostNetwork`, `hostPID`, `hostIPC` and host ports.
    pub host_namespaces: bool,
    /// What the baseline Pod Security Standard forbids otherwise: privileged containers, capabilities beyond the runtime's default
    /// set, unsafe sysctls, no seccomp, AppArmor or SELinux; and tolerations of the taints of a control plane's nodes.
    pub privileged: bool,
    /// Kinds of volumes, besides the usual, that pods may have: `csi`, `nfs`. Nodes mount them with an authority of their own.
    pub volumes: Vec<String>,
    /// The host's RuntimeClasses that pods may name.
    pub runtime_classes: Vec<String>,
    /// The host's PriorityClasses that come along when pods name them.
    pub priority_classes: Vec<String>,
    /// The host's load balancers that services may name.
    pub load_balancer_classes: Vec<String>,
    /// The host's ingress controllers, by class, that get tenants' ingresses.
    pub ingress_classes: Vec<String>,
    /// The host names that those may be for; `*` at the beginning stands for any names below a domain, or alone for all.
    pub ingress_hosts: Vec<String>,
    /// The host's StorageClasses that claims may name; `None`: all.
    pub storage_classes: Option<Vec<String>>,
    /// Annotations that come along, besides harmless ones; `*` at the end stands for any rest.
    pub annotations: Vec<String>,
    /// The nodes that pods may be on, and that tenants see.
    pub node_selector: BTreeMap<String, String>,
}

/// What the baseline Pod Security Standard lets a container add.
const HARMLESS: [&str; 13] = [
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
];

/// Kernel settings that stay inside of a pod.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// SELinux types of ordinary containers.
const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

impl Policy {
    /// Refuses a pod that asks for more than the policy gives.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self, pod: &Value) -> Result<(), Refusal> {
        let spec = &pod["spec"];
        self.check_names(spec)?;
        if !self.host_namespaces {
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                if spec[field] == true {
                    return refuse(&format!("spec.{field}"));
                }
            }
        }
        if !self.host_paths {
            for (i, volume) in list(&spec["volumes"]).iter().enumerate() {
                if volume.get("hostPath").is_some_and(|p| !p.is_null()) {
                    return refuse(&format!("spec.volumes[{i}].hostPath"));
                }
            }
        }
        for field in ["initContainers", "containers"] {
            for (i, container) in list(&spec[field]).iter().enumerate() {
                self.check_container(&format!("spec.{field}[{i}]"), container)?;
            }
        }
        if self.privileged {
            return Ok(());
        }
        let security = &spec["securityContext"];
        check_windows("spec.securityContext", security)?;
        if let Some(name) = list(&security["sysctls"])
            .iter()
            .filter_map(|s| s["name"].as_str())
            .find(|n| !SYSCTLS.contains(n))
        {
            return refuse(&format!("spec.securityContext.sysctls ({name})"));
        }
        check_confinement("spec.securityContext", security)
    }

    /// Names of the host's own objects, which mean what the host says.
    fn check_names(&self, spec: &Value) -> Result<(), Refusal> {
        let runtime = spec["runtimeClassName"].as_str().unwrap_or_default();
        if !runtime.is_empty() && !self.runtime_classes.iter().any(|c| c == runtime) {
            return refuse(&format!("spec.runtimeClassName ({runtime})"));
        }
        let wanted = |key: &String| spec["nodeSelector"][key].as_str();
        match self.node_selector.iter().find(|(k, v)| wanted(k).is_some_and(|w| w != v.as_str())) {
            Some((key, _)) => refuse(&format!("spec.nodeSelector[{key}]")),
            None => Ok(()),
        }
    }

    /// Refuses a claim that asks for more than the policy gives.
    ///
    /// # Errors
    /// Names the field.
    pub fn check_claim(&self, claim: &Value) -> Result<(), Refusal> {
        let class = claim["spec"]["storageClassName"].as_str();
        match class.filter(|class| !self.has_storage_class(class)) {
            Some(class) => refuse(&format!("spec.storageClassName ({class})")),
            None => Ok(()),
        }
    }

    /// Whether claims may name this StorageClass of the host.
    pub fn has_storage_class(&self, name: &str) -> bool {
        self.storage_classes.as_ref().is_none_or(|all| all.iter().any(|c| c == name))
    }

    /// As [`check`](Self::check), for one container that joins a running pod. It may trace the pod's own processes, as
    /// `kubectl debug` asks for unless told otherwise; that reaches no other pod's.
    pub(crate) fn check_debugging(&self, container: &Value) -> Result<(), Refusal> {
        let mut container = container.clone();
        if let Some(added) =
            container.pointer_mut("/securityContext/capabilities/add").and_then(Value::as_array_mut)
        {
            added.retain(|c| c != "SYS_PTRACE");
        }
        let name = container["name"].as_str().unwrap_or_default();
        self.check_container(&format!("spec.ephemeralContainers[{name}]"), &container)
    }

    /// As [`check`](Self::check), for one container at `path`.
    fn check_container(&self, path: &str, container: &Value) -> Result<(), Refusal> {
        if !self.host_namespaces
            && list(&container["ports"]).iter().any(|p| p["hostPort"].as_i64().unwrap_or(0) != 0)
        {
            return refuse(&format!("{path}.ports.hostPort"));
        }
        if !self.host_namespaces {
            check_handlers(path, container)?;
        }
        if self.privileged {
            return Ok(());
        }
        let security = &container["securityContext"];
        if security["privileged"] == true {
            return refuse(&format!("{path}.securityContext.privileged"));
        }
        check_windows(&format!("{path}.securityContext"), security)?;
        if security["procMount"].as_str().is_some_and(|m| m != "Default") {
            return refuse(&format!("{path}.securityContext.procMount"));
        }
        let added = list(&security["capabilities"]["add"]);
        if let Some(extra) = added.iter().filter_map(Value::as_str).find(|c| !HARMLESS.contains(c)) {
            return refuse(&format!("{path}.securityContext.capabilities.add ({extra})"));
        }
        check_confinement(&format!("{path}.securityContext"), security)
    }
}

/// Kubelets run probes and hooks from the host's network: a host of their own would reach what pods cannot.
fn check_handlers(path: &str, container: &Value) -> Result<(), Refusal> {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|p| (p.to_owned(), &container[p]));
    let hooks = ["postStart", "preStop"].map(|h| (format!("lifecycle.{h}"), &container["lifecycle"][h]));
    for (name, handler) in probes.iter().chain(&hooks) {
        for kind in ["httpGet", "tcpSocket"] {
            if handler[kind]["host"].as_str().is_some_and(|h| !h.is_empty()) {
                return refuse(&format!("{path}.{name}.{kind}.host"));
            }
        }
    }
    Ok(())
}

/// On Windows: no way into the node, and no account of the host's domain.
fn check_windows(path: &str, security: &Value) -> Result<(), Refusal> {
    let options = &security["windowsOptions"];
    if options["hostProcess"] == true {
        return refuse(&format!("{path}.windowsOptions.hostProcess"));
    }
    match ["gmsaCredentialSpec", "gmsaCredentialSpecName"].iter().find(|field| options[**field].is_string()) {
        Some(field) => refuse(&format!("{path}.windowsOptions.{field}")),
        None => Ok(()),
    }
}

/// The kernel's fences around a container stay up.
fn check_confinement(path: &str, security: &Value) -> Result<(), Refusal> {
    for profile in ["seccompProfile", "appArmorProfile"] {
        if security[profile]["type"] == "Unconfined" {
            return refuse(&format!("{path}.{profile}.type (Unconfined)"));
        }
    }
    let label = &security["seLinuxOptions"];
    if label["type"].as_str().is_some_and(|t| !SELINUX_TYPES.contains(&t)) {
        return refuse(&format!("{path}.seLinuxOptions.type"));
    }
    for field in ["user", "role"] {
        if label[field].as_str().is_some_and(|t| !t.is_empty()) {
            return refuse(&format!("{path}.seLinuxOptions.{field}"));
        }
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn refuse(what: &str) -> Result<(), Refusal> {
    Err(Refusal(format!("{what} is not allowed by this virtual cluster's policy")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn what_the_baseline_standard_forbids_is_refused() {
        let container = |extra: Value| {
            let mut container = json!({"name": "c"});
            for (key, value) in extra.as_object().into_iter().flatten() {
                container[key] = value.clone();
            }
            json!({"containers": [container]})
        };
        let rows = [
            (json!({"hostPID": true}), "spec.hostPID"),
            (json!({"volumes": [{"hostPath": {"path": "/"}}]}), "spec.volumes[0].hostPath"),
            (
                json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}),
                "spec.securityContext.sysctls (kernel.msgmax)",
            ),
            (
                json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
                "spec.securityContext.seccompProfile.type (Unconfined)",
            ),
            (
                container(json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}})),
                "spec.containers[0].securityContext.appArmorProfile.type (Unconfined)",
            ),
            (
                container(json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}})),
                "spec.containers[0].securityContext.seLinuxOptions.type",
            ),
            (
                container(json!({"securityContext": {"privileged": true}})),
                "spec.containers[0].securityContext.privileged",
            ),
            (
                container(json!({"livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}}})),
                "spec.containers[0].livenessProbe.httpGet.host",
            ),
            (
                container(
                    json!({"lifecycle": {"postStart": {"tcpSocket": {"host": "10.0.0.1", "port": 22}}}}),
                ),
                "spec.containers[0].lifecycle.postStart.tcpSocket.host",
            ),
        ];
        let open = Policy { host_paths: true, host_namespaces: true, privileged: true, ..Policy::default() };
        for (spec, field) in rows {
            let pod = json!({"spec": spec});
            let refused = Policy::default().check(&pod).unwrap_err().0;
            assert_eq!(refused, format!("{field} is not allowed by this virtual cluster's policy"));
            assert_eq!(open.check(&pod), Ok(()));
        }
        let ordinary = json!({"containers": [{"name": "c", "readinessProbe": {"httpGet": {"port": 80}}, "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}]});
        assert_eq!(Policy::default().check(&json!({"spec": ordinary})), Ok(()));
    }
    #[test]
    fn the_hosts_classes_and_nodes_are_named_where_allowed() {
        let named = |spec: Value| json!({"spec": spec});
        let (runtime, claim) =
            (named(json!({"runtimeClassName": "kata"})), named(json!({"storageClassName": "fast"})));
        let elsewhere = named(json!({"nodeSelector": {"pool": "b"}}));
        let closed = Policy {
            storage_classes: Some(vec![]),
            node_selector: [("pool".to_owned(), "a".to_owned())].into(),
            ..Policy::default()
        };
        let said = |refused: Result<(), Refusal>| refused.unwrap_err().0;
        assert!(said(closed.check(&runtime)).starts_with("spec.runtimeClassName (kata)"));
        assert!(said(closed.check(&elsewhere)).starts_with("spec.nodeSelector[pool]"));
        assert!(said(closed.check_claim(&claim)).starts_with("spec.storageClassName (fast)"));
        let open = Policy { runtime_classes: vec!["kata".into()], ..Policy::default() };
        assert_eq!(
            (open.check(&runtime), open.check(&elsewhere), open.check_claim(&claim)),
            (Ok(()), Ok(()), Ok(()))
        );
    }
}
