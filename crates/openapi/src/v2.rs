//! `/openapi/v2`: one document for everything, for clients that do not know v3.

use crate::accept::clauses;
use crate::describe::describe;
use crate::paths::{self, Flavor};
use crate::{Document, Documents, custom, facts, hash, header, not_modified, v3};
use bytes::Bytes;
use http::HeaderMap;
use object::Value;

impl Documents {
    pub(crate) fn openapi_v2(&self, headers: &HeaderMap) -> Document {
        let accept = header(headers, http::header::ACCEPT);
        if !clauses(&accept).iter().any(|c| c.takes("application/json")) {
            return Document::empty(406).with("vary", "Accept-Encoding").with("vary", "Accept");
        }
        let etag = format!("\"{}\"", self.v2_hash());
        let document = if not_modified(headers, &etag) {
            Document::empty(304)
        } else {
            Document::new("application/json", self.v2_body())
        };
        document.with("etag", etag).with("vary", "Accept-Encoding").with("vary", "Accept")
    }

    fn v2_hash(&self) -> String {
        let builtin = facts::v3_hash("api/v1").unwrap_or("").as_bytes().to_vec();
        hash(std::iter::once(builtin).chain(self.registry.custom().map(|r| v3::resource_digest(r))))
    }

    fn v2_body(&self) -> Bytes {
        self.v2_document().to_string().into()
    }

    fn v2_document(&self) -> Value {
        let mut document: Value = serde_json::from_slice(&facts::v2_text()).unwrap_or_default();
        for resource in self.registry.custom() {
            if let Some(all) = document["paths"].as_object_mut() {
                all.extend(paths::paths(resource, Flavor::V2));
            }
            if let Some(all) = document["definitions"].as_object_mut() {
                all.extend(custom::schemas(resource, Flavor::V2));
            }
        }
        if let Some(all) = document["definitions"].as_object_mut() {
            describe(all, Flavor::V2);
        }
        document
    }
}
