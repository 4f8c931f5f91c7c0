//! What an API server says of itself: discovery, OpenAPI and health documents, as functions of a [`Registry`].
//!
//! Those of built-in groups are facts, packed in `facts/documents.bin` and unpacked when asked for; they are the same for
//! every server and not kept. Custom resources' are built out of their definitions as apiextensions does. What is costly to find
//! out (the aggregated list, OpenAPI v2, the hashes) is kept with the [`Documents`] of one registry.

mod accept;
mod aggregated;
mod custom;
mod describe;
mod discovery;
mod facts;
mod health;
mod packed;
mod paths;
mod protobuf;
mod v2;
mod v3;

pub use aggregated::AggregatedVersion;
pub use health::health;

use aggregated::{Form, Ranked};
use bytes::Bytes;
use http::HeaderMap;
use kinds::{Group, Registry};
use object::{Result, Value};
use packed::Packed;
use sha2::{Digest, Sha512};
use std::sync::{Arc, LazyLock, OnceLock};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its status.
    pub code: u16,
    /// Empty when there is no body.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// Headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
}

impl Document {
    fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { code: 200, content_type: content_type.to_owned(), body: body.into(), headers: Vec::new() }
    }

    /// Without a body.
    fn empty(code: u16) -> Self {
        Self { code, ..Self::new("", Bytes::new()) }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The documents of the server that serves one registry.
#[derive(Debug)]
pub struct Documents {
    registry: Arc<Registry>,
    others: Arc<[AggregatedVersion]>,
    kept: Arc<Kept>,
}

/// What is kept once it was built.
#[derive(Debug, Default)]
struct Kept {
    /// Aggregated discovery with its ETag: `/apis` and `/api`.
    aggregated: [OnceLock<(Packed, String)>; 2],
    /// The index of OpenAPI v3.
    index: OnceLock<Bytes>,
    /// OpenAPI v2: its hash, and the document as JSON and as protobuf.
    v2_hash: OnceLock<String>,
    v2: [OnceLock<Packed>; 2],
}

/// What servers without custom resources have in common.
static BUILTIN: LazyLock<Arc<Kept>> = LazyLock::new(Arc::default);

impl Documents {
    /// Those of `registry`; nothing is built yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self::aggregating(registry, Arc::default())
    }

    /// Those of `registry`, and of what other servers serve beside it.
    pub fn aggregating(registry: Arc<Registry>, others: Arc<[AggregatedVersion]>) -> Self {
        let common = registry.custom().next().is_none() && others.is_empty();
        Self { registry, others, kept: if common { Arc::clone(&BUILTIN) } else { Arc::default() } }
    }

    /// The groups beside core that discovery lists, in its order.
    fn ranked(&self, form: Form, show: impl Fn(&Group) -> Value) -> Vec<Ranked> {
        let groups = self.registry.groups();
        let named = groups.iter().filter(|g| !g.name.is_empty());
        let ranked =
            |g: &&Group| Ranked { priority: g.priority.into(), name: g.name.to_string(), value: show(g) };
        let mut all: Vec<Ranked> = named.map(|g| ranked(&&**g)).collect();
        let here = |group: &str, version: &str| {
            self.registry.version(group, version).map_or(i64::MAX, |v| v.priority.into())
        };
        aggregated::merge(&mut all, &self.others, form, here);
        all
    }

    /// The document at `path`: the list of paths (`/`), discovery (`/api`, `/apis`, `/api/v1`, `/apis/G`, `/apis/G/V`) or OpenAPI (`/openapi/…`); `None` when there is none.
    ///
    /// # Errors
    /// `NotAcceptable` when the `Accept` header rules out all forms of a discovery document; `NoSuchPath` for versions that
    /// a known group does not have.
    pub fn get(&self, path: &str, headers: &HeaderMap, query: &str) -> Result<Option<Document>> {
        if let Some(rest) = path.strip_prefix("/openapi/") {
            return Ok(match rest {
                "v2" => Some(self.openapi_v2(headers)),
                "v3" => Some(self.openapi_v3_index()),
                "v3/" => None,
                _ => rest.strip_prefix("v3/").map(|path| self.openapi_v3(path, headers, query)),
            });
        }
        self.discovery(path, headers)
    }
}

/// How a request's header reads; empty when absent, joined when repeated.
fn header(headers: &HeaderMap, name: http::HeaderName) -> String {
    headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",")
}

/// The client already has what `etag` names.
fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let known = header(headers, http::header::IF_NONE_MATCH);
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
}

/// Upper-case hexadecimal SHA-512, as Kubernetes shows it.
fn hash(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut digest = Sha512::new();
    for part in parts {
        digest.update(part.as_ref());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}
