//! What an API server says of itself: discovery, OpenAPI and health documents, as functions of a [`Registry`].
//!
//! Those of built-in groups are facts, packed in `facts/documents.bin` and unpacked when asked for; they are the same for
//! every server and not kept. Custom resources' are built out of their definitions as apiextensions does. What is costly to find
//! out (the aggregated list, the hashes) is kept with the [`Documents`] of one registry.

mod accept;
mod custom;
mod describe;
mod discovery;
mod facts;
mod health;
mod paths;
mod protobuf;
mod v2;
mod v3;

pub use health::health;

use bytes::Bytes;
use http::HeaderMap;
use kinds::Registry;
use object::Result;
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
    kept: Arc<Kept>,
}

/// What is kept once it was built.
#[derive(Debug, Default)]
struct Kept {
    /// Aggregated discovery with its ETag: `/apis` and `/api`.
    aggregated: [OnceLock<(Bytes, String)>; 2],
    /// The index of OpenAPI v3.
    index: OnceLock<Bytes>,
}

/// What servers without custom resources have in common.
static BUILTIN: LazyLock<Arc<Kept>> = LazyLock::new(Arc::default);

impl Documents {
    /// Those of `registry`; nothing is built yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        let custom = registry.custom().next().is_some();
        Self { registry, kept: if custom { Arc::default() } else { Arc::clone(&BUILTIN) } }
    }

    /// The document at `path`: the list of paths (`/`), discovery (`/api`, `/apis`, `/api/v1`, `/apis/G`, `/apis/G/V`) or OpenAPI (`/openapi/…`); `None` when there is none.
    ///
    /// # Errors
    /// `NotAcceptable` when the `Accept` header rules out all forms of a discovery document; `NoSuchPath` for versions that
    /// a known group does not have.
    pub fn get(&self, path: &str, headers: &HeaderMap, query: &str) -> Result<Option<Document>> {
        if let Some(rest) = path.strip_prefix("/openapi/") {
            return Ok(match rest.trim_end_matches('/') {
                "v2" => Some(self.openapi_v2(headers)),
                "v3" => Some(self.openapi_v3_index()),
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
