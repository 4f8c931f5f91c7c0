//! Answers: objects, lists and errors in the encoding and shape the client accepts.

use crate::call::{Call, Target};
use crate::negotiate::{Accepted, Media, Shape};
use crate::stored::Stored;
use bytes::Bytes;
use client::Body;
use http::{HeaderValue, Response, header};
use object::{ApiError, Map, Result, Value, json, meta};
use store::{Entry, Revision};

/// An answer to a request.
pub(crate) type Answer = Response<Body>;

/// An object on its way out: as stored, as a value, or both, when it was just written.
pub(crate) enum Outgoing {
    Stored(Entry),
    Value(Value),
    Written(Value, Entry),
}

impl From<Value> for Outgoing {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// What a list says of itself.
#[derive(Default)]
pub(crate) struct ListMeta {
    pub revision: Revision,
    pub continue_token: Option<String>,
    pub remaining: Option<usize>,
}

impl ListMeta {
    /// Lists of custom resources always say whether they continue.
    fn to_json(&self, custom: bool) -> Value {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".into(), self.revision.0.to_string().into());
        if self.continue_token.is_some() || custom {
            metadata.insert("continue".into(), self.continue_token.clone().unwrap_or_default().into());
        }
        if let Some(remaining) = self.remaining {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
        metadata.into()
    }
}

/// A complete answer of raw bytes.
pub(crate) fn bytes(code: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::Full(body.into()));
    *answer.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// An object of `target`'s kind.
pub(crate) async fn object(call: &Call, target: &Target, code: u16, object: Outgoing) -> Result<Answer> {
    let accepted = call.accept(target, false)?;
    if let Outgoing::Stored(entry) | Outgoing::Written(_, entry) = &object
        && accepted == Accepted::PLAIN
        && let Some(stored) = served_as_stored(target, &entry.value)
        && !call.pretty()
    {
        let mut out = Vec::with_capacity(stored.len() + 128);
        stored.append_object(&mut out, entry.mod_revision);
        return Ok(bytes(code, Media::Json.name(), out));
    }
    let value = match object {
        Outgoing::Value(value) | Outgoing::Written(value, _) => value,
        Outgoing::Stored(entry) => call.api.read(target, &entry).await?,
    };
    let shaped = match accepted.shape {
        Shape::Whole => value,
        Shape::Table => crate::table::of_object(call, target, accepted, &value)?,
        Shape::Partial => partial(value, accepted),
        Shape::PartialList => return Err(not_acceptable_list(target)),
    };
    Ok(bytes(code, accepted.media.name(), encode(call, target, accepted, &shaped)?))
}

fn not_acceptable_list(target: &Target) -> ApiError {
    let what = if target.resource.custom {
        "*unstructured.Unstructured".to_owned()
    } else {
        format!("*{}.{}", go_package(&target.resource.gvr.group), target.resource.kind)
    };
    ApiError::NotAcceptable(format!(
        "you requested PartialObjectMetadataList, but the requested object is not a list ({what})"
    ))
}

/// The name of the Go package of a group's internal types.
pub(crate) fn go_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        _ => group.split('.').next().unwrap_or(group),
    }
}

/// The stored form, if it can be sent without conversion or defaulting.
pub(crate) fn served_as_stored<'a>(target: &Target, value: &'a [u8]) -> Option<Stored<'a>> {
    let stored = Stored::new(value)?;
    if target.resource.definition.as_ref().is_some_and(|d| d.schema.has_defaults()) {
        return None;
    }
    let gvr = &target.resource.gvr;
    let same = match stored.api_version.split_once('/') {
        Some((group, version)) => group == gvr.group && version == gvr.version,
        None => gvr.group.is_empty() && stored.api_version == gvr.version,
    };
    same.then_some(stored)
}

/// A list of `target`'s kind.
pub(crate) async fn list(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    entries: Vec<Entry>,
    about: &ListMeta,
) -> Result<Answer> {
    let plain = accepted == Accepted::PLAIN && !call.pretty();
    if plain && entries.iter().all(|e| served_as_stored(target, &e.value).is_some()) {
        return Ok(bytes(200, Media::Json.name(), plain_list(target, &entries, about)));
    }
    let values = call.api.read_all(target, &entries).await?;
    list_of_values(call, target, accepted, values, about)
}

/// As [`list`], of parsed objects.
pub(crate) fn list_of_values(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    values: Vec<Value>,
    about: &ListMeta,
) -> Result<Answer> {
    let list = shaped_list(call, target, accepted, values, about)?;
    Ok(bytes(200, accepted.media.name(), encode(call, target, accepted, &list)?))
}

/// The list of these objects in the shape that the client accepts.
pub(crate) fn shaped_list(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    mut values: Vec<Value>,
    about: &ListMeta,
) -> Result<Value> {
    Ok(match accepted.shape {
        Shape::Table => crate::table::of_list(call, target, accepted, &values, about.to_json(false))?,
        Shape::Partial => {
            let what = match target.resource.custom {
                true => "*unstructured.UnstructuredList".to_owned(),
                false => format!("*{}.{}", go_package(&target.resource.gvr.group), target.resource.list_kind),
            };
            return Err(ApiError::NotAcceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({what})"
            )));
        }
        Shape::PartialList => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": accepted.meta_version(), "metadata": about.to_json(false),
            // Go's nil slice.
            "items": if values.is_empty() { Value::Null } else {
                values.into_iter().map(|v| partial(v, accepted)).collect()
            },
        }),
        Shape::Whole => {
            if !target.resource.custom {
                values.iter_mut().for_each(untype);
            }
            json!({
                "kind": target.resource.list_kind, "apiVersion": target.resource.gvr.group_version().to_string(),
                "metadata": about.to_json(target.resource.custom), "items": values,
            })
        }
    })
}

fn untype(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
}

/// Encoded objects are copied into the list as they are.
fn plain_list(target: &Target, entries: &[Entry], about: &ListMeta) -> Vec<u8> {
    let size: usize = entries.iter().map(|e| e.value.len() + 64).sum();
    let mut out = Vec::with_capacity(size + 256);
    let api_version = target.resource.gvr.group_version().to_string();
    let head =
        json!({"kind": target.resource.list_kind, "apiVersion": api_version, "metadata": about.to_json(target.resource.custom)})
            .to_string();
    out.extend_from_slice(head.trim_end_matches('}').as_bytes());
    // The metadata object that ends `head` was closed too.
    out.extend_from_slice(b"},\"items\":[");
    append_items(&mut out, target, entries);
    out.extend_from_slice(b"]}");
    out
}

/// The items of a list, joined by commas, if all can be sent as they are stored.
pub(crate) fn plain_items(target: &Target, entries: &[Entry]) -> Option<Vec<u8>> {
    if !entries.iter().all(|e| served_as_stored(target, &e.value).is_some()) {
        return None;
    }
    let mut out = Vec::with_capacity(entries.iter().map(|e| e.value.len() + 64).sum());
    append_items(&mut out, target, entries);
    Some(out)
}

fn append_items(out: &mut Vec<u8>, target: &Target, entries: &[Entry]) {
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if let Some(stored) = Stored::new(&entry.value) {
            if target.resource.custom {
                stored.append_object(out, entry.mod_revision);
            } else {
                stored.append_untyped(out, entry.mod_revision);
            }
        }
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn partial(mut object: Value, accepted: Accepted) -> Value {
    crate::strategy::hide_derived_metadata(&mut object);
    let metadata = object["metadata"].take();
    json!({"kind": "PartialObjectMetadata", "apiVersion": accepted.meta_version(), "metadata": metadata})
}

/// Encodes any value (object, list, table, status).
pub(crate) fn encode(call: &Call, target: &Target, accepted: Accepted, value: &Value) -> Result<Vec<u8>> {
    match accepted.media {
        Media::Json => Ok(json_text(call, value)),
        Media::Yaml => Ok(crate::yaml::to_string(value).into_bytes()),
        Media::Protobuf => {
            let _ = target;
            crate::codec::encode_protobuf(value)
        }
    }
}

fn json_text(call: &Call, value: &Value) -> Vec<u8> {
    let text = if call.pretty() { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    text.unwrap_or_default()
}

/// The `Status` of a successful deletion.
pub(crate) fn deleted_status(target: &Target, object: &Value) -> Value {
    let group = &target.resource.gvr.group;
    let mut details =
        json!({"name": meta::name(object), "kind": target.resource.gvr.resource, "uid": meta::uid(object)});
    if !group.is_empty() {
        details["group"] = group.clone().into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// An error as its `Status`, in an encoding the client takes. Where the path was looked at, a client that takes none of its
/// encodings is told so instead.
pub(crate) fn error(headers: &http::HeaderMap, error: &ApiError, routed: bool) -> Answer {
    // Not where there is no such path or method.
    let found = !matches!(error, ApiError::NoSuchPath) && !matches!(error.code(), 405 | 406);
    let first = Some(crate::negotiate::OBJECTS).filter(|_| routed && found);
    let offer =
        crate::negotiate::Offer { protobuf: true, shapes: false, tables: false, stream: false, first };
    let refused;
    let (media, error) = match crate::negotiate::accept(headers, offer) {
        Ok(accepted) => (accepted.media, error),
        Err(other) if other.to_status()["message"].as_str().is_some_and(|m| m.starts_with("406")) => {
            refused = other;
            (Media::Json, &refused)
        }
        Err(_) => (Media::Json, error),
    };
    let status = error.to_status();
    let later =
        error.retry_after().or_else(|| status["details"]["retryAfterSeconds"].as_u64().map(|s| s as u32));
    let body = match media {
        Media::Json => serde_json::to_vec(&status).unwrap_or_default(),
        Media::Yaml => crate::yaml::to_string(&status).into_bytes(),
        Media::Protobuf => crate::codec::encode_protobuf(&status).unwrap_or_default(),
    };
    let mut answer = bytes(error.code(), media.name(), body);
    if let Some(seconds) = later {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}
