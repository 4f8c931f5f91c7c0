//! What resources a server has: aggregated discovery, or group by group where it is not known.

use crate::client::Client;
use object::{ApiError, GroupVersion, GroupVersionKind, GroupVersionResource, Result};
use serde_json::Value;

/// One resource that can be listed, read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Where it is.
    pub gvr: GroupVersionResource,
    /// What its objects are.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, …
    pub verbs: Vec<String>,
    /// Whether this is the version that the server prefers for the group.
    pub preferred: bool,
}

impl Resource {
    /// Whether the resource has all these verbs.
    pub fn can(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|wanted| self.verbs.iter().any(|verb| verb == wanted))
    }

    /// The kind with its group and version.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(&self.gvr.group, &self.gvr.version, &self.kind)
    }
}

/// All that the server has, and the groups it could not tell about.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Resources in the server's order (the preferred version of a group first), subresources left out.
    pub resources: Vec<Resource>,
    /// Group versions that could not be read, with the reason.
    pub failed: Vec<(GroupVersion, String)>,
}

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// Asks the server what it has.
pub async fn discover(client: &Client) -> Result<Discovery> {
    let mut all = Discovery::default();
    for root in ["/api", "/apis"] {
        let bytes = match client.raw(root, AGGREGATED).await {
            Err(error) if error.is_not_found() => continue,
            answer => answer?,
        };
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::Internal(format!("discovery of {root} is not JSON: {error}")))?;
        if answer["kind"] == "APIGroupDiscoveryList" {
            read_aggregated(&answer, &mut all);
        } else {
            read_legacy(client, &answer, &mut all).await;
        }
    }
    Ok(all)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn read_aggregated(answer: &Value, all: &mut Discovery) {
    for group in list(&answer["items"]) {
        let name = group["metadata"]["name"].as_str().unwrap_or("");
        for (index, version) in list(&group["versions"]).enumerate() {
            let gv = GroupVersion::new(name, version["version"].as_str().unwrap_or(""));
            if version["freshness"] == "Stale" {
                all.failed.push((gv.clone(), format!("stale GroupVersion discovery: {gv}")));
            }
            for resource in list(&version["resources"]) {
                let verbs = list(&resource["verbs"]).filter_map(Value::as_str).map(str::to_owned).collect();
                all.resources.push(Resource {
                    gvr: gv.resource(resource["resource"].as_str().unwrap_or("")),
                    kind: resource["responseKind"]["kind"].as_str().unwrap_or("").to_owned(),
                    namespaced: resource["scope"] == "Namespaced",
                    verbs,
                    preferred: index == 0,
                });
            }
        }
    }
}

async fn read_legacy(client: &Client, answer: &Value, all: &mut Discovery) {
    let mut versions: Vec<(GroupVersion, bool)> = vec![];
    for (index, version) in list(&answer["versions"]).filter_map(Value::as_str).enumerate() {
        versions.push((GroupVersion::new("", version), index == 0));
    }
    for group in list(&answer["groups"]) {
        let preferred = group["preferredVersion"]["groupVersion"].as_str().unwrap_or("");
        let of_group = list(&group["versions"]).filter_map(|version| version["groupVersion"].as_str());
        versions.extend(of_group.filter_map(|text| Some((GroupVersion::parse(text)?, text == preferred))));
    }
    for (gv, preferred) in versions {
        let path = if gv.group.is_empty() { format!("/api/{gv}") } else { format!("/apis/{gv}") };
        match client.raw(&path, "application/json").await.map(|bytes| serde_json::from_slice::<Value>(&bytes))
        {
            Ok(Ok(found)) => read_group_version(&gv, preferred, &found, all),
            Ok(Err(error)) => all.failed.push((gv, error.to_string())),
            Err(error) => all.failed.push((gv, error.message())),
        }
    }
}

fn read_group_version(gv: &GroupVersion, preferred: bool, found: &Value, all: &mut Discovery) {
    for resource in list(&found["resources"]) {
        let name = resource["name"].as_str().unwrap_or("");
        if name.is_empty() || name.contains('/') {
            continue;
        }
        all.resources.push(Resource {
            gvr: gv.resource(name),
            kind: resource["kind"].as_str().unwrap_or("").to_owned(),
            namespaced: resource["namespaced"] == true,
            verbs: list(&resource["verbs"]).filter_map(Value::as_str).map(str::to_owned).collect(),
            preferred,
        });
    }
}
