//! Discovery: which groups, versions and resources are served, in the old form (a document per group version) and
//! aggregated (one document, KEP-3352).

use crate::accept::{Clause, clauses};
use crate::aggregated::Form;
use crate::packed::Packed;
use crate::{Document, Documents, hash, header, not_modified};
use bytes::Bytes;
use http::HeaderMap;
use kinds::{Group, Resource, Subresource, Verb, Version};
use object::{ApiError, GroupVersionKind, Result, Value, json};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// The same document; whoever sends it turns it into YAML.
const AGGREGATED_YAML: &str = "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const MEDIA: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

impl Documents {
    pub(crate) fn discovery(&self, path: &str, headers: &HeaderMap) -> Result<Option<Document>> {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        // The root answers whatever is liked; what is not there is not negotiated about.
        match words.as_slice() {
            [""] if path == "/" => return encode(&self.paths(), MEDIA[0]).map(Some),
            ["api" | "apis"] | ["apis", _, _] => {}
            ["api", version] if self.registry.version("", version).is_some() => {}
            ["apis", group] if self.ranked(Form::Plain, api_group).iter().any(|g| g.name == *group) => {}
            _ => return Ok(None),
        }
        let root = words == ["api"] || path == "/apis";
        let accept = header(headers, http::header::ACCEPT);
        let clauses = clauses(&accept);
        // Who takes the whole in one document gets it, whatever is liked better.
        let whole = clauses.iter().filter_map(|c| form(c, root)).find(|form| is_aggregated(form));
        let Some(form) = whole.or_else(|| clauses.iter().find_map(|clause| form(clause, root))) else {
            let names = MEDIA.join(", ");
            return Err(ApiError::NotAcceptable(format!(
                "only the following media types are accepted: {names}"
            )));
        };
        let value = match words.as_slice() {
            ["api" | "apis"] if is_aggregated(form) => {
                return Ok(Some(self.aggregated(words[0] == "api", form, headers)));
            }
            ["api"] => api_versions(),
            ["apis"] => self.groups(),
            ["api", version] => match self.registry.version("", version) {
                Some(version) => resource_list(version),
                None => return Ok(None),
            },
            ["apis", group] if !group.is_empty() => {
                match self.ranked(Form::Plain, api_group).into_iter().find(|g| g.name == *group) {
                    Some(group) => with_type(group.value, "APIGroup"),
                    None => return Ok(None),
                }
            }
            ["apis", group, version] if !group.is_empty() => match self.registry.version(group, version) {
                Some(version) => resource_list(version),
                None if self.registry.group(group).is_some() => return Err(ApiError::NoSuchPath),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        encode(&value, form).map(Some)
    }

    /// Everything there is to ask for but objects.
    fn paths(&self) -> Value {
        const OTHERS: [&str; 14] = [
            "/.well-known/openid-configuration",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/",
            "/flagz",
            "/metrics",
            "/metrics/slis",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/",
            "/openid/v1/jwks",
            "/statusz",
            "/version",
        ];
        let mut paths: Vec<String> =
            OTHERS.iter().map(|path| (*path).to_owned()).chain(crate::health::paths()).collect();
        for group in self.ranked(Form::Plain, api_group) {
            paths.push(format!("/apis/{}", group.name));
            let versions = group.value["versions"].as_array().into_iter().flatten();
            paths.extend(versions.filter_map(|v| Some(format!("/apis/{}", v["groupVersion"].as_str()?))));
        }
        paths.sort_unstable();
        json!({"paths": paths})
    }

    fn groups(&self) -> Value {
        let groups: Vec<Value> = self.ranked(Form::Plain, api_group).into_iter().map(|g| g.value).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    fn aggregated(&self, core: bool, form: &str, headers: &HeaderMap) -> Document {
        let (body, etag) = self.kept.aggregated[usize::from(core)].get_or_init(|| {
            let items: Vec<Value> = if core {
                self.registry.group("").map(group_discovery).into_iter().collect()
            } else {
                self.ranked(Form::Aggregated, group_discovery).into_iter().map(|g| g.value).collect()
            };
            let list = json!({
                "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
            });
            let text = list.to_string();
            let etag = format!("\"{}\"", hash([&text]));
            (Packed::new(text.as_bytes()), etag)
        });
        let document = if not_modified(headers, etag) {
            Document { code: 304, ..Document::new(form, Bytes::new()) }
        } else {
            Document::new(form, body.unpacked())
        };
        document.with("etag", etag.as_str()).with("cache-control", "public").with("vary", "Accept")
    }
}

/// The media type that an accepted one gets, `AGGREGATED` where that is asked for.
fn form(clause: &Clause<'_>, root: bool) -> Option<&'static str> {
    let media = MEDIA.iter().find(|media| clause.takes(media))?;
    match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
        ("", ..) => Some(media),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") if root => match *media {
            "application/json" => Some(AGGREGATED),
            "application/yaml" => Some(AGGREGATED_YAML),
            _ => None,
        },
        _ => None,
    }
}

fn is_aggregated(form: &str) -> bool {
    form == AGGREGATED || form == AGGREGATED_YAML
}

fn encode(value: &Value, media: &str) -> Result<Document> {
    if media == MEDIA[2] {
        let kind = value["kind"].as_str().unwrap_or("");
        let bytes = schema::proto::encode_envelope_as(&GroupVersionKind::new("", "v1", kind), value)
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        return Ok(Document::new(media, bytes));
    }
    // JSON is YAML too.
    Ok(Document::new(media, value.to_string()))
}

/// The core group's versions. Clients are told no address: they use the one they have.
fn api_versions() -> Value {
    let address = json!({"clientCIDR": "0.0.0.0/0", "serverAddress": ""});
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})
}

fn with_type(mut value: Value, kind: &str) -> Value {
    value["kind"] = kind.into();
    value["apiVersion"] = "v1".into();
    value
}

fn api_group(group: &Group) -> Value {
    let version = |version: &Version| json!({"groupVersion": version.group_version.to_string(), "version": version.group_version.version});
    let versions: Vec<Value> = group.versions.iter().map(|v| version(v)).collect();
    json!({"name": &*group.name, "preferredVersion": versions.first(), "versions": versions})
}

fn resource_list(version: &Version) -> Value {
    let mut resources = Vec::new();
    for resource in version.resources.values() {
        resources.push(api_resource(resource));
        resources.extend(subresources(resource).map(|s| api_subresource(resource, s)));
    }
    let group_version = version.group_version.to_string();
    let list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    // The core group's list is of the legacy API, which did not yet say its own version.
    if version.group_version.group.is_empty() { list } else { with_type(list, "APIResourceList") }
}

fn api_resource(resource: &Resource) -> Value {
    let mut out = json!({
        "name": resource.gvr.resource, "singularName": resource.singular, "namespaced": resource.namespaced(),
        "kind": resource.kind, "verbs": verbs(&resource.verbs, resource.custom),
    });
    add_names(&mut out, resource);
    if !resource.storage_version_hash.is_empty() {
        out["storageVersionHash"] = resource.storage_version_hash.as_str().into();
    }
    out
}

fn add_names(out: &mut Value, resource: &Resource) {
    for (field, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !names.is_empty() {
            out[field] = names.as_slice().into();
        }
    }
}

/// By name; those of custom resources the other way round, status before scale.
fn subresources(resource: &Resource) -> Box<dyn Iterator<Item = &Subresource> + '_> {
    if resource.custom {
        Box::new(resource.subresources.iter().rev())
    } else {
        Box::new(resource.subresources.iter())
    }
}

fn api_subresource(resource: &Resource, subresource: &Subresource) -> Value {
    let mut out = json!({
        "name": format!("{}/{}", resource.gvr.resource, subresource.name), "singularName": "",
        "namespaced": resource.namespaced(), "kind": subresource.gvk.kind,
        "verbs": verbs(&subresource.verbs, false),
    });
    if subresource.gvk.group_version() != resource.gvr.group_version() {
        out["group"] = subresource.gvk.group.as_str().into();
        out["version"] = subresource.gvk.version.as_str().into();
    }
    out
}

fn group_discovery(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = version.resources.values().map(|r| resource_discovery(r)).collect();
            json!({"version": version.group_version.version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": &*group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn resource_discovery(resource: &Resource) -> Value {
    let own = resource.gvr.group_version();
    // Built-in resources leave out what is theirs by place; apiextensions spells it.
    let kind = |gvk: &GroupVersionKind| {
        let implied = !resource.custom && gvk.group_version() == own;
        let of = |text: &str| if implied { String::new() } else { text.to_owned() };
        json!({"group": of(&gvk.group), "version": of(&gvk.version), "kind": gvk.kind})
    };
    let mut out = json!({
        "resource": resource.gvr.resource, "responseKind": kind(&resource.gvk()),
        "scope": if resource.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": verbs(&resource.verbs, resource.custom),
    });
    add_names(&mut out, resource);
    if !resource.subresources.is_empty() {
        let subresource = |s: &Subresource| json!({"subresource": s.name, "responseKind": kind(&s.gvk), "verbs": verbs(&s.verbs, false)});
        out["subresources"] = subresources(resource).map(subresource).collect();
    }
    out
}

/// Verbs by name, sorted; apiextensions has an order of its own.
fn verbs(verbs: &[Verb], custom: bool) -> Vec<&'static str> {
    if custom {
        return vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    }
    let mut names: Vec<&str> = verbs.iter().map(|verb| verb.name()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
