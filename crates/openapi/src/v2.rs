//! `/openapi/v2`: one document for everything, for clients that do not know v3.

use crate::accept::{Clause, clauses};
use crate::describe::describe;
use crate::paths::{self, Flavor};
use crate::{Document, Documents, aggregated, custom, facts, hash, header, not_modified, protobuf, v3};
use http::HeaderMap;
use object::Value;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients call it that do not know that `@` has no place in a media type.
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The media type that an accepted one gets.
fn media(clause: &Clause<'_>) -> Option<&'static str> {
    if clause.takes(JSON) {
        return Some(JSON);
    }
    matches!(clause.media, PROTOBUF | OLD_PROTOBUF).then_some(PROTOBUF)
}

impl Documents {
    pub(crate) fn openapi_v2(&self, headers: &HeaderMap) -> Document {
        let accept = header(headers, http::header::ACCEPT);
        let Some(media) = clauses(&accept).iter().find_map(media) else {
            return Document::empty(406).with("vary", "Accept-Encoding").with("vary", "Accept");
        };
        let etag = format!("\"{}\"", self.v2_hash());
        let document = if not_modified(headers, &etag) {
            Document::empty(304)
        } else if media == PROTOBUF {
            Document::new(media, protobuf::encode(&self.v2_document()))
        } else {
            Document::new(media, self.v2_document().to_string())
        };
        document.with("etag", etag).with("vary", "Accept-Encoding").with("vary", "Accept")
    }

    fn v2_hash(&self) -> String {
        let builtin = facts::v3_hash("api/v1").unwrap_or("").as_bytes().to_vec();
        let others = self.others.iter().filter_map(|o| Some(o.openapi_v2.as_ref()?.to_string().into_bytes()));
        hash(
            std::iter::once(builtin)
                .chain(self.registry.custom().map(|r| v3::resource_digest(r)))
                .chain(others),
        )
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
        aggregated::merge_v2(&mut document, &self.others);
        document
    }
}
