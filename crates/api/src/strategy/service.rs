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
    if object["spec"]["type"] == "ExternalName"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("internalTrafficPolicy");
    }
    let addresses = &write.call.api.config.addresses;
    let is_own = !addresses.cidrs().is_empty();
    super::service_families::settle(object, write.old, is_own)?;
    if write.call.dry_run() {
        addresses.pretend(object);
        return Ok(Allocation::default());
    }
    let assigned = addresses.assign(object, write.old).await?;
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
    if subresource == "status" {
        return;
    }
    drop_dependent(object, old);
    if object["spec"]["type"] == "ExternalName" || old["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        let absent = |v: &Value| v.is_null() || v == "" || v == 0 || v.as_array().is_some_and(Vec::is_empty);
        let unneeded = field == "healthCheckNodePort" && !needs_health_port(object);
        if !unneeded && absent(&object["spec"][field]) && !absent(&old["spec"][field]) {
            object["spec"][field] = old["spec"][field].clone();
        }
    }
    keep_node_ports(object, old);
    drop_nulls(&mut object["spec"]);
}

/// Fields that a change of the type made meaningless, unless the client changed them too.
fn drop_dependent(object: &mut Value, old: &Value) {
    let kind = |o: &Value| o["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
    let (was, is) = (kind(old), kind(object));
    let gone = |had: &[&str]| had.contains(&was.as_str()) && !had.contains(&is.as_str());
    let mut dropped: Vec<&str> = Vec::new();
    if gone(&["ClusterIP", "NodePort", "LoadBalancer"]) {
        dropped.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if is_external(old) && !is_external(object) {
        dropped.push("externalTrafficPolicy");
    }
    if gone(&["NodePort", "LoadBalancer"]) {
        drop_node_ports(object, old);
    }
    if gone(&["LoadBalancer"]) {
        dropped.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if needs_health_port(old) && !needs_health_port(object) {
        dropped.push("healthCheckNodePort");
    }
    let Some(spec) = object["spec"].as_object_mut() else { return };
    for field in dropped {
        if spec.get(field) == old["spec"].get(field) {
            spec.remove(field);
        }
    }
}

/// Traffic from outside may come to it: by its type, or over external addresses.
fn is_external(service: &Value) -> bool {
    match service["spec"]["type"].as_str() {
        Some("NodePort" | "LoadBalancer") => true,
        None | Some("ClusterIP") => {
            service["spec"]["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty())
        }
        _ => false,
    }
}

fn drop_node_ports(object: &mut Value, old: &Value) {
    let numbers = |o: &Value| -> Vec<Value> {
        o["spec"]["ports"].as_array().into_iter().flatten().map(|p| p["nodePort"].clone()).collect()
    };
    if numbers(object) != numbers(old) {
        return;
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// A load balancer that only sends to nodes with endpoints asks each node.
pub(crate) fn needs_health_port(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
}

fn keep_node_ports(object: &mut Value, old: &Value) {
    if !matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return;
    }
    // What the client says is one port's is no other's.
    let numbers = |service: &Value| -> Vec<i64> {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        ports.filter_map(|port| port["nodePort"].as_i64()).filter(|number| *number != 0).collect()
    };
    let (had, named) = (numbers(old), numbers(object));
    let used = |number: &i64| had.contains(number) && named.contains(number);
    let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port["nodePort"].as_i64().unwrap_or(0) == 0 {
            let same = old_ports.iter().rfind(|old| old["name"] == port["name"]);
            let number = same.and_then(|old| old["nodePort"].as_i64());
            if let Some(number) = number.filter(|number| *number != 0 && !used(number)) {
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
