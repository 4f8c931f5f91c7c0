//! Content negotiation: which media type and which shape a client gets, and which one it sent.

use http::HeaderMap;
use object::{ApiError, Result};

/// The encodings objects travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Media {
    /// The media type's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "application/json" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// What is made of objects before they are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As they are.
    Whole,
    /// `as=Table`
    Table,
    /// `as=PartialObjectMetadata` (of one object)
    Partial,
    /// `as=PartialObjectMetadataList`
    PartialList,
}

/// What the client accepts best of what can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The encoding.
    pub media: Media,
    /// The transformation.
    pub shape: Shape,
    /// Tables and partial metadata are wanted in `meta.k8s.io/v1beta1`.
    pub beta: bool,
}

impl Accepted {
    /// The object itself, as JSON: what the store keeps.
    pub const PLAIN: Self = Self { media: Media::Json, shape: Shape::Whole, beta: false };

    /// The `apiVersion` of tables and partial metadata.
    pub fn meta_version(self) -> &'static str {
        if self.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
    }
}

/// What every resource is offered in.
pub(crate) const OBJECTS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// What a path that can be watched is offered in.
pub(crate) const COLLECTIONS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf, \
    application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Which encodings an answer may be had in.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Whole objects can be had as protobuf, as built-in kinds can.
    pub protobuf: bool,
    /// Partial metadata can be had.
    pub shapes: bool,
    /// Tables can be had.
    pub tables: bool,
    /// A watch: no YAML.
    pub stream: bool,
    /// Built-in paths look at media types alone first, and tell a client that takes none of theirs what they have.
    pub first: Option<&'static str>,
}

/// Chooses by the `Accept` headers.
///
/// # Errors
/// `NotAcceptable` when nothing accepted can be served.
pub fn accept(headers: &HeaderMap, offer: Offer) -> Result<Accepted> {
    let header: Vec<&str> =
        headers.get_all(http::header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let header = header.join(",");
    if header.trim().is_empty() {
        return Ok(Accepted::PLAIN);
    }
    let mut clauses: Vec<Clause> = header.split(',').map(Clause::parse).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    // `application/*` is not understood there.
    let named = |clause: &Clause| clause.name != "application/*" && clause.media().is_some();
    if let Some(names) = offer.first.filter(|_| !clauses.iter().any(named)) {
        return Err(no_representation(names));
    }
    let only = |names: &str| {
        ApiError::NotAcceptable(format!("only the following media types are accepted: {names}"))
    };
    let accepted = clauses.iter().find_map(|c| c.accepts(offer)).ok_or_else(|| only(OBJECTS))?;
    if offer.stream && accepted.media == Media::Yaml {
        return Err(only(STREAMS));
    }
    Ok(accepted)
}

/// 406 of a client that accepts none of `names`.
pub fn no_representation(names: &str) -> ApiError {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {names}");
    ApiError::Status(Box::new(object::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "details": {}, "reason": "NotAcceptable",
        "message": message, "code": 406,
    })))
}

struct Clause<'a> {
    name: &'a str,
    quality: f64,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).collect();
        let quality =
            parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
        Self { name, quality, parameters }
    }

    fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| v)
    }

    fn media(&self) -> Option<Media> {
        if matches!(self.name, "*/*" | "application/*") { Some(Media::Json) } else { Media::parse(self.name) }
    }

    fn accepts(&self, offer: Offer) -> Option<Accepted> {
        let media = self.media()?;
        let stream = self.parameter("stream");
        if !stream.is_empty() && (media == Media::Yaml || stream != "watch") {
            return None;
        }
        if !matches!(self.parameter("sv"), "" | "v1") {
            return None;
        }
        let plain = !self.parameters.iter().any(|(key, _)| matches!(*key, "as" | "g" | "v"));
        let known = self.parameter("g") == "meta.k8s.io" && matches!(self.parameter("v"), "v1" | "v1beta1");
        let shape = match self.parameter("as") {
            _ if plain => Shape::Whole,
            _ if !offer.shapes || !known => return None,
            "Table" if offer.tables && media != Media::Protobuf => Shape::Table,
            "PartialObjectMetadata" => Shape::Partial,
            "PartialObjectMetadataList" => Shape::PartialList,
            _ => return None,
        };
        if shape == Shape::Whole && media == Media::Protobuf && !offer.protobuf {
            return None;
        }
        Some(Accepted { media, shape, beta: shape != Shape::Whole && self.parameter("v") == "v1beta1" })
    }
}

/// The media type of a request's body; absent means JSON.
///
/// # Errors
/// `UnsupportedMediaType` when it cannot be decoded.
pub fn content_type(headers: &HeaderMap, protobuf: bool) -> Result<Media> {
    let header = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let name = header.split(';').next().unwrap_or("").trim();
    let refused = || unknown_format(if protobuf { OBJECTS } else { "application/json, application/yaml" });
    match name {
        "" | "*/*" => Ok(Media::Json),
        name => Media::parse(name).filter(|m| protobuf || *m != Media::Protobuf).ok_or_else(refused),
    }
}

/// 415 of a body in none of the formats `names`.
pub fn unknown_format(names: &str) -> ApiError {
    ApiError::UnsupportedMediaType(format!(
        "the body of the request was in an unknown format - accepted media types include: {names}"
    ))
}
