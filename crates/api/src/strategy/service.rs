//! Services: who gives them addresses and ports, and what an update may not lose.

use crate::addresses::Assigned;
use crate::call::{Call, Target};
use crate::pipeline::Write;
use object::{Result, Value};

/// What was taken for an object that is not stored yet.
#[derive(Default)]
pub(crate) struct Allocation(Option<(Value, Assigned)>);

impl Allocation {
    /// Gives everything back: the object was not stored after all.
    pub async fn undo(self, call: &Call) {
        if let Some((service, assigned)) = self.0 {
            call.api.config.addresses.undo(&service, assigned).await;
        }
    }
}

pub(super) fn is_service(target: &Target) -> bool {
    target.resource.storage.group.is_empty() && target.resource.storage.resource == "services"
}

pub(super) async fn allocate(write: &Write<'_>, object: &mut Value) -> Result<Allocation> {
    if !is_service(write.target) || !write.target.at.subresource.is_empty() {
        return Ok(Allocation::default());
    }
    let assigned = write.call.api.config.addresses.assign(object, write.old).await?;
    Ok(Allocation(Some((object.clone(), assigned))))
}

pub(super) async fn release(call: &Call, target: &Target, object: &Value) {
    if is_service(target) {
        call.api.config.addresses.release(object).await;
    }
}

/// Addresses and ports that an update gave up.
pub(super) async fn release_dropped(call: &Call, target: &Target, new: &Value, old: &Value) {
    if is_service(target) && target.at.subresource.is_empty() {
        call.api.config.addresses.release_dropped(new, old).await;
    }
}

/// A client that read the service before it had its addresses does not take them away.
pub(super) fn prepare_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    if subresource == "status"
        || object["spec"]["type"] == "ExternalName"
        || old["spec"]["type"] == "ExternalName"
    {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        let absent = |v: &Value| v.is_null() || v == "" || v == 0 || v.as_array().is_some_and(Vec::is_empty);
        if absent(&object["spec"][field]) && !absent(&old["spec"][field]) {
            object["spec"][field] = old["spec"][field].clone();
        }
    }
    keep_node_ports(object, old);
    drop_nulls(&mut object["spec"]);
}

fn keep_node_ports(object: &mut Value, old: &Value) {
    if !matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return;
    }
    let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port["nodePort"].as_i64().unwrap_or(0) == 0 {
            let same =
                old_ports.iter().find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
            if let Some(number) = same.and_then(|o| o["nodePort"].as_i64()).filter(|n| *n != 0) {
                port["nodePort"] = number.into();
            }
        }
    }
}

/// Indexing made absent fields null on the way.
fn drop_nulls(spec: &mut Value) {
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, v| !v.is_null());
    }
}
