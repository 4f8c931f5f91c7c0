//! Connections to what runs: logs, exec, attach, port-forward, proxy.

use crate::call::{Call, Target};
use crate::respond::{self, Answer};
use crate::{failure, stored};
use object::{ApiError, Result};

pub(super) fn is_connect(target: &Target) -> bool {
    matches!(target.at.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

pub(super) async fn answer(mut call: Call, target: Target) -> Result<Answer> {
    if target.resource.storage.resource != "pods" {
        return Err(ApiError::ServiceUnavailable("only pods can be proxied to here".into()));
    }
    // proxy names may carry a scheme and a port.
    let name = match target.at.name.split(':').collect::<Vec<_>>().as_slice() {
        [name] | [name, _] | [_, name, _] => (*name).to_owned(),
        _ => return Err(target.not_found()),
    };
    let key = crate::keys::key(&target.resource, &target.at.namespace, &name);
    let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
    let pod = entry.as_ref().and_then(stored::decode).ok_or_else(|| target.not_found())?;
    let kubelet = call.api.config.kubelet.clone();
    let Some(kubelet) = kubelet else { return nowhere(&target, &pod, &call) };
    let request = node::Request {
        method: call.method.clone(),
        headers: call.headers.clone(),
        query: node::Query::parse(&call.raw_query),
        rest: target.at.rest.clone(),
        raw_query: call.raw_query.clone(),
        body: call.body.clone(),
        upgrade: call.upgrade.take(),
    };
    node::connect::pod(&kubelet, &pod, &target.at.subresource, &target.at.name, request).await
}

/// There are no nodes: a pod has no logs, and nothing to connect to.
fn nowhere(target: &Target, pod: &object::Value, call: &Call) -> Result<Answer> {
    if target.at.subresource == "log" {
        let options = node::LogOptions::parse(&node::Query::parse(&call.raw_query), &target.at.name)?;
        node::choose_container(pod, &options.container)?;
        let mut answer = respond::bytes(204, "text/plain", "");
        answer.headers_mut().remove(http::header::CONTENT_TYPE);
        return Ok(answer);
    }
    Err(ApiError::BadRequest(format!("pod {} does not have a host assigned", target.at.name)))
}
