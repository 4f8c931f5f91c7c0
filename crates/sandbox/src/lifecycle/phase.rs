//! `status.phase`.

use super::container::{Role, restarts};
use crate::spec;
use serde_json::Value;

/// Ended for good.
pub(super) fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// The phase that follows from the containers' states. `init_failed`: an init container ended badly and stays so.
pub(super) fn of(pod: &Value, inits: &[Value], regular: &[Value], init_failed: bool) -> &'static str {
    if init_failed {
        return "Failed";
    }
    let containers = spec::list(pod, "initContainers");
    let initializing =
        containers.iter().zip(inits).any(|(container, status)| match spec::is_sidecar(container) {
            true => status["started"] != true && !status["lastState"]["terminated"].is_object(),
            false => status["state"]["terminated"]["exitCode"].as_i64() != Some(0),
        });
    if initializing {
        return "Pending";
    }
    let (mut ended, mut succeeded) = (true, true);
    for (container, status) in spec::list(pod, "containers").iter().zip(regular) {
        let state = &status["state"];
        if state["waiting"].is_object() && !status["lastState"]["terminated"].is_object() {
            return "Pending";
        }
        match state["terminated"]["exitCode"].as_i64() {
            Some(code) => {
                ended &= !restarts(pod, container, code, Role::Regular);
                succeeded &= code == 0;
            }
            None => ended = false,
        }
    }
    match (ended, succeeded) {
        (false, _) => "Running",
        (true, true) => "Succeeded",
        (true, false) => "Failed",
    }
}
