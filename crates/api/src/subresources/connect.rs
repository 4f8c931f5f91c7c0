//! Connections to what runs: logs, exec, attach, port-forward, proxy.

use crate::call::{Call, Target};
use crate::respond::{self, Answer};
use crate::{failure, keys, stored};
use http::Method;
use node::proxy::Named;
use object::{ApiError, Result, Value, json, meta};
use store::ListRequest;

pub(super) fn is_connect(target: &Target) -> bool {
    matches!(target.at.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

pub(super) async fn answer(mut call: Call, target: Target) -> Result<Answer> {
    let resource = target.resource.storage.resource.clone();
    let proxied = target.at.subresource == "proxy";
    // Names may carry a scheme and a port.
    let Some(named) = Named::parse(&target.at.name).filter(|n| proxied || n.name == target.at.name) else {
        let kind = resource.trim_end_matches('s');
        let asked = object::error::quote(&target.at.name);
        return Err(ApiError::BadRequest(format!("invalid {kind} request {asked}")));
    };
    if target.at.subresource != "log" {
        crate::admission::connect(&call, &target, &options(&call, &target)).await?;
    }
    let key = keys::key(&target.resource, &target.at.namespace, named.name);
    let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
    let missing = || ApiError::NotFound { resource: target.group_resource(), name: named.name.to_owned() };
    let found = entry.as_ref().and_then(stored::decode).ok_or_else(missing)?;
    let kubelet = call.api.config.kubelet.clone();
    let Some(kubelet) = kubelet else { return nowhere(&target, &found, &call) };
    let wants_slash = proxied && target.at.rest.is_empty() && !call.info.path.ends_with('/');
    if wants_slash
        && matches!(call.method, Method::GET | Method::HEAD)
        && resource != "nodes"
        && let Some(answer) = node::proxy::redirect(&call.info.path, &call.raw_query)
    {
        return Ok(answer);
    }
    let request = node::Request {
        method: call.method.clone(),
        headers: call.headers.clone(),
        query: call.query.clone(),
        rest: target.at.rest.clone(),
        raw_query: call.raw_query.clone(),
        body: call.body.clone(),
        upgrade: call.upgrade.take(),
    };
    match &*resource {
        "nodes" => node::connect::node(&kubelet, meta::name(&found), request).await,
        "services" => {
            let slices = slices(&call, &found).await?;
            node::connect::service(&kubelet, &found, &slices, &target.at.name, request).await
        }
        _ => node::connect::pod(&kubelet, &found, &target.at.subresource, &target.at.name, request).await,
    }
}

/// What is asked of a connection, as admission sees it: the options of its kind.
fn options(call: &Call, target: &Target) -> Value {
    let kind = target.subresource().map_or("", |s| s.gvk.kind.as_str());
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    let last = |name: &str| call.query.get(name);
    match target.at.subresource.as_str() {
        "exec" | "attach" => {
            for flag in ["stdin", "stdout", "stderr", "tty"] {
                if call.query.flag(flag) {
                    options[flag] = true.into();
                }
            }
            if !last("container").is_empty() {
                options["container"] = last("container").into();
            }
            let command: Vec<&str> = call.query.all("command").collect();
            if target.at.subresource == "exec" {
                options["command"] = if command.is_empty() { Value::Null } else { command.into() };
            }
        }
        "portforward" => {
            let ports: Vec<i64> =
                call.query.all("ports").flat_map(|p| p.split(',')).filter_map(|p| p.parse().ok()).collect();
            if !ports.is_empty() {
                options["ports"] = ports.into();
            }
        }
        _ => {
            let path = if target.at.rest.is_empty() { String::new() } else { format!("/{}", target.at.rest) };
            if !path.is_empty() {
                options["path"] = path.into();
            }
        }
    }
    options
}

/// The EndpointSlices of a service.
async fn slices(call: &Call, service: &Value) -> Result<Vec<Value>> {
    let registry = call.api.registry().await?;
    let Some(resource) = registry.get("discovery.k8s.io", "v1", "endpointslices") else { return Ok(vec![]) };
    let request =
        ListRequest { prefix: keys::prefix(resource, meta::namespace(service)), ..Default::default() };
    let listing = call.api.store.list(request).await.map_err(failure::store)?;
    let all = listing.entries.iter().filter_map(stored::decode);
    Ok(all.filter(|s| meta::label(s, "kubernetes.io/service-name") == Some(meta::name(service))).collect())
}

/// There are no nodes: a pod has no logs, and nothing to connect to.
fn nowhere(target: &Target, object: &Value, call: &Call) -> Result<Answer> {
    let name = meta::name(object);
    match (target.resource.storage.resource.as_ref(), target.at.subresource.as_str()) {
        (_, "log") => {
            let options = node::LogOptions::parse(&node::Query::parse(&call.raw_query), &target.at.name)?;
            node::choose_container(object, &options.container)?;
            let mut answer = respond::bytes(204, "text/plain", "");
            answer.headers_mut().remove(http::header::CONTENT_TYPE);
            Ok(answer)
        }
        ("services", _) => Err(ApiError::ServiceUnavailable(format!(
            "no endpoints available for service {}",
            object::error::quote(name)
        ))),
        ("nodes", _) => Err(ApiError::ServiceUnavailable(format!(
            "error trying to reach service: node {name} cannot be proxied to"
        ))),
        _ => Err(ApiError::BadRequest(format!("pod {name} does not have a host assigned"))),
    }
}
