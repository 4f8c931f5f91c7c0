//! What tenants may ask of the host beyond ordinary pods. Everything is off unless the platform team says otherwise.

use crate::Refusal;
use object::Value;

/// The switches of a virtual cluster's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `hostPath` volumes.
    pub host_paths: bool,
    /// `hostNetwork`, `hostPID`, `hostIPC` and host ports.
    pub host_namespaces: bool,
    /// Privileged containers and capabilities beyond the runtime's default set.
    pub privileged: bool,
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

impl Policy {
    /// Refuses a pod that asks for more than the policy gives.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(self, pod: &Value) -> Result<(), Refusal> {
        let spec = &pod["spec"];
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
        for field in ["initContainers", "containers", "ephemeralContainers"] {
            for (i, container) in list(&spec[field]).iter().enumerate() {
                self.check_container(&format!("spec.{field}[{i}]"), container)?;
            }
        }
        let windows = &spec["securityContext"]["windowsOptions"]["hostProcess"];
        if *windows == true && !self.privileged {
            return refuse("spec.securityContext.windowsOptions.hostProcess");
        }
        Ok(())
    }

    /// As [`check`](Self::check), for one container at `path`.
    pub(crate) fn check_container(self, path: &str, container: &Value) -> Result<(), Refusal> {
        if !self.host_namespaces
            && list(&container["ports"]).iter().any(|p| p["hostPort"].as_i64().unwrap_or(0) != 0)
        {
            return refuse(&format!("{path}.ports.hostPort"));
        }
        if self.privileged {
            return Ok(());
        }
        let security = &container["securityContext"];
        if security["privileged"] == true {
            return refuse(&format!("{path}.securityContext.privileged"));
        }
        if security["windowsOptions"]["hostProcess"] == true {
            return refuse(&format!("{path}.securityContext.windowsOptions.hostProcess"));
        }
        if security["procMount"].as_str().is_some_and(|m| m != "Default") {
            return refuse(&format!("{path}.securityContext.procMount"));
        }
        let added = list(&security["capabilities"]["add"]);
        if let Some(extra) = added.iter().filter_map(Value::as_str).find(|c| !HARMLESS.contains(c)) {
            return refuse(&format!("{path}.securityContext.capabilities.add ({extra})"));
        }
        Ok(())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn refuse(what: &str) -> Result<(), Refusal> {
    Err(Refusal(format!("{what} is not allowed by this virtual cluster's policy")))
}
