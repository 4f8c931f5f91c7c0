//! `/openapi/v3`: an index of documents with their hashes, and one document per group version.
//!
//! A document's hash is part of its URL in the index, so that clients may keep it for ever.

use crate::accept::clauses;
use crate::describe::describe;
use crate::paths::{self, Flavor};
use crate::{Document, Documents, custom, facts, hash, header, not_modified};
use bytes::Bytes;
use http::HeaderMap;
use kinds::{Resource, Version};
use object::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Documents {
    pub(crate) fn openapi_v3_index(&self) -> Document {
        let body = self.kept.index.get_or_init(|| {
            let mut hashes: BTreeMap<String, String> =
                facts::v3().map(|(path, hash)| (path.to_owned(), hash.to_owned())).collect();
            for group in self.registry.groups() {
                for version in group.versions.iter().filter(|v| has_custom(v)) {
                    let path = format!("apis/{}", version.group_version);
                    hashes.insert(path.clone(), document_hash(&path, version));
                }
            }
            let url = |path: &str, hash: &str| format!("/openapi/v3/{path}?hash={hash}");
            let mut paths: Map<String, Value> = hashes
                .iter()
                .map(|(path, hash)| (path.clone(), json!({"serverRelativeURL": url(path, hash)})))
                .collect();
            for other in self.others.iter() {
                if let Some(url) = &other.openapi_v3 {
                    let path = format!("apis/{}", other.group_version);
                    paths.insert(path, json!({"serverRelativeURL": url}));
                }
            }
            json!({"paths": paths}).to_string().into()
        });
        // Kubernetes forgets to say that this is JSON.
        Document::new("text/plain; charset=utf-8", body.clone())
    }

    pub(crate) fn openapi_v3(&self, path: &str, headers: &HeaderMap, query: &str) -> Document {
        let path = path.trim_end_matches('/');
        let version = path.strip_prefix("apis/").and_then(|p| p.split_once('/'));
        let version = version
            .and_then(|(group, version)| self.registry.version(group, version))
            .filter(|v| has_custom(v));
        let hash = match version {
            Some(version) => document_hash(path, version),
            None => match facts::v3_hash(path) {
                Some(hash) => hash.to_owned(),
                None => return Document::empty(404),
            },
        };
        let accept = header(headers, http::header::ACCEPT);
        if !clauses(&accept).iter().any(|c| c.takes("application/json")) {
            return Document::empty(406).with("vary", "Accept");
        }
        let etag = format!("\"{hash}\"");
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("hash="));
        if asked.is_some_and(|asked| !asked.is_empty() && asked != hash) {
            return Document::empty(301)
                .with("location", format!("/openapi/v3/{path}?hash={hash}"))
                .with("etag", etag);
        }
        let known = not_modified(headers, &etag);
        let mut document = match (known, version) {
            (true, _) => Document::empty(304),
            (_, Some(version)) => Document::new("application/json", custom_document(path, version)),
            (_, None) => Document::new("application/json", built_in_document(path)),
        };
        document = document.with("etag", etag).with("vary", "Accept");
        if asked.is_some_and(|asked| !asked.is_empty()) {
            // With its hash in the URL, what the URL names never changes.
            document = document.with("cache-control", "public, max-age=31536000, immutable");
        }
        document
    }
}

fn has_custom(version: &Version) -> bool {
    version.resources.values().any(|r| r.custom)
}

fn custom_resources(version: &Version) -> impl Iterator<Item = &Arc<Resource>> {
    version.resources.values().filter(|r| r.custom)
}

/// Changes whenever what is published of a group version does.
fn document_hash(path: &str, version: &Version) -> String {
    let mut parts = vec![path.as_bytes().to_vec(), facts::v3_hash(path).unwrap_or("").as_bytes().to_vec()];
    for resource in custom_resources(version) {
        parts.push(resource_digest(resource));
    }
    hash(parts)
}

/// What makes up a custom resource's part of a document.
pub(crate) fn resource_digest(resource: &Resource) -> Vec<u8> {
    let subresources: Vec<&str> = resource.subresources.iter().map(|s| s.name.as_str()).collect();
    let custom = resource.definition.as_deref();
    let fields: Vec<&str> =
        custom.into_iter().flat_map(|c| &c.selectable_fields).map(|f| f.name.as_str()).collect();
    let names = [
        &resource.gvr.group,
        &resource.gvr.version,
        &resource.gvr.resource,
        &resource.kind,
        &resource.list_kind,
    ];
    let mut out = format!("{names:?}{subresources:?}{fields:?}{}", resource.namespaced()).into_bytes();
    out.extend(custom.map_or(&[][..], |c| c.schema.digest()));
    out.push(u8::from(custom.is_some_and(|c| c.preserve_unknown_fields)));
    out
}

/// The document of a group or version without custom resources.
fn built_in_document(path: &str) -> Bytes {
    let text = facts::v3_text(path).unwrap_or_default();
    let mut document: Value = serde_json::from_slice(&text).unwrap_or_default();
    describe_all(&mut document);
    document.to_string().into()
}

fn describe_all(document: &mut Value) {
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        describe(schemas, Flavor::V3);
    }
}

/// The document of a group version that custom resources are part of.
fn custom_document(path: &str, version: &Version) -> Bytes {
    let mut document =
        facts::v3_text(path).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_else(|| {
            json!({
                "openapi": "3.0.0", "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
                "paths": {}, "components": {"schemas": {}},
            })
        });
    let mut schemas = Map::new();
    for resource in custom_resources(version) {
        if let Some(paths) = document["paths"].as_object_mut() {
            paths.extend(paths::paths(resource, Flavor::V3));
        }
        schemas.extend(custom::schemas(resource, Flavor::V3));
    }
    let scales = custom_resources(version).any(|r| r.subresource("scale").is_some());
    let shared =
        facts::shared_schemas().into_iter().filter(|(name, _)| scales || !name.contains(".autoscaling."));
    schemas.extend(shared);
    if let Some(known) = document["components"]["schemas"].as_object_mut() {
        known.extend(schemas);
    }
    describe_all(&mut document);
    document.to_string().into()
}
