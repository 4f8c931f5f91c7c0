//! What the audit log is told of a request, and when. Nothing is gathered, cloned or parsed when there is no log, or when
//! the policy keeps nothing of a request.

use crate::call::Call;
use crate::respond::Answer;
use crate::{Api, Peer, access_control};
use access::UserInfo;
use audit::{Asked, Recording, Stage};
use client::Body;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use object::{Value, json, time};
use std::net::IpAddr;
use std::sync::Arc;

/// Names a request, to clients and in the log.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Longer names are cut.
const MAX_ID: usize = 64;

/// Begins to record a request whose user is known.
pub(crate) fn begin(api: &Api, call: &mut Call, peer: &Peer) {
    call.audit = recording(api, call, peer, call.user.clone());
    if let Some(recording) = &call.audit {
        recording.stage(Stage::RequestReceived, call.now);
    }
}

/// A request whose credentials are no good has one event, and no user.
pub(crate) fn refused(api: &Api, call: &Call, peer: &Peer) {
    if let Some(recording) = recording(api, call, peer, UserInfo::default()) {
        let status = object::ApiError::Unauthorized.to_status();
        recording.response(401, Some(&status));
        recording.response_object(&status);
        recording.stage(Stage::ResponseStarted, time::now());
    }
}

fn recording(api: &Api, call: &Call, peer: &Peer, user: UserInfo) -> Option<Arc<Recording>> {
    let audit = api.config.access.audit.as_ref()?;
    let attributes = access::Attributes { user, ..access_control::attributes(call) };
    let uri = match call.raw_query.as_str() {
        "" => call.info.path.clone(),
        query => format!("{}?{query}", call.info.path),
    };
    let asked = Asked {
        id: &call.audit_id,
        uri: &uri,
        user_agent: call.header("user-agent"),
        source_ips: source_ips(&call.headers, peer.address),
        attributes: &attributes,
        received: call.now,
    };
    Recording::begin(audit, &asked)
}

/// The name a client gave the request, or a new one. Empty for callers inside this process while nobody writes it down.
pub(crate) fn id(api: &Api, headers: &HeaderMap, peer: &Peer) -> String {
    match headers.get(AUDIT_ID).and_then(|value| value.to_str().ok()).filter(|id| !id.is_empty()) {
        Some(given) => given.chars().take(MAX_ID).collect(),
        None if peer.user.is_some() && api.config.access.audit.is_none() => String::new(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

/// Whoever the headers say the request came through, then who connected.
fn source_ips(headers: &HeaderMap, peer: Option<IpAddr>) -> Vec<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let forwarded = text("x-forwarded-for").split(',').filter_map(|ip| ip.trim().parse::<IpAddr>().ok());
    let mut all: Vec<IpAddr> = forwarded.collect();
    if let Some(real) = text("x-real-ip").trim().parse().ok().filter(|real| !all.contains(real)) {
        all.push(real);
    }
    let peer = peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    if all.last() != Some(&peer) {
        all.push(peer);
    }
    all.iter().map(ToString::to_string).collect()
}

/// The recording of a request that is not finished yet. Dropped before, it says how the request ended.
pub(crate) struct Unfinished {
    recording: Option<Arc<Recording>>,
    id: String,
    streams: bool,
    deletes: bool,
    about_resource: bool,
    answered: bool,
}

impl Unfinished {
    /// To be held while the request is answered.
    pub fn of(call: &Call) -> Self {
        let resource = call.info.resource.as_ref();
        let subresource = resource.map_or("", |at| at.subresource.as_str());
        Self {
            recording: call.audit.clone(),
            id: call.audit_id.clone(),
            streams: matches!(call.info.verb, "watch" | "proxy")
                || matches!(subresource, "attach" | "exec" | "log" | "portforward" | "proxy"),
            deletes: matches!(call.info.verb, "delete" | "deletecollection"),
            about_resource: resource.is_some(),
            answered: false,
        }
    }

    /// The answer's head is known. Streams are finished when they end.
    pub fn answer(mut self, answer: &mut Answer) {
        if let Ok(id) = HeaderValue::from_str(&self.id)
            && !self.id.is_empty()
        {
            answer.headers_mut().insert(AUDIT_ID, id);
        }
        let Some(recording) = self.recording.clone() else { return };
        let code = answer.status().as_u16();
        let failed = code >= 400;
        let looked_at = failed || self.deletes || (recording.keeps_responses() && self.about_resource);
        let body = looked_at.then(|| parsed(answer)).flatten();
        let status = body.as_ref().filter(|body| body["kind"] == "Status" && body["apiVersion"] == "v1");
        recording.response(code, status);
        if let Some(body) = &body {
            recording.response_object(body);
        }
        self.answered = true;
        if self.streams {
            recording.stage(Stage::ResponseStarted, time::now());
        }
        if let Body::Stream(stream) = answer.body_mut() {
            let inner = std::mem::replace(stream, futures::stream::empty().boxed());
            *stream = inner.inspect(move |_| _ = &self).boxed();
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        let now = time::now();
        if std::thread::panicking() {
            let status =
                json!({"status": "Failure", "reason": "InternalError", "message": "APIServer panic'd"});
            recording.response(500, Some(&status));
            return recording.stage(Stage::Panic, now);
        }
        if !self.answered {
            recording
                .response(200, Some(&json!({"status": "Success", "message": "Connection closed early"})));
            if self.streams {
                recording.stage(Stage::ResponseStarted, now);
            }
        }
        recording.stage(Stage::ResponseComplete, now);
    }
}

/// The body of an answer, if it is an object.
fn parsed(answer: &Answer) -> Option<Value> {
    let Body::Full(bytes) = answer.body() else { return None };
    let media = answer.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    match media.split(';').next().unwrap_or("") {
        "application/json" => serde_json::from_slice(bytes).ok(),
        "application/yaml" => serde_saphyr::from_slice(bytes).ok(),
        "application/vnd.kubernetes.protobuf" => schema::proto::decode_envelope(bytes).ok(),
        _ => None,
    }
}

impl Call {
    /// Notes a fact for the audit log.
    pub fn annotate(&self, key: &str, value: &str) {
        if let Some(recording) = &self.audit {
            recording.annotate(key, value);
        }
    }

    /// Notes the object of the request.
    pub fn record_object(&self, object: &Value) {
        if let Some(recording) = &self.audit {
            recording.request_object(object);
        }
    }

    /// Notes the patch that the body is.
    pub fn record_patch(&self) {
        if let Some(recording) = self.audit.as_ref().filter(|recording| recording.keeps_requests()) {
            let json = serde_json::from_slice(&self.body).ok();
            if let Some(patch) = json.or_else(|| serde_saphyr::from_slice(&self.body).ok()) {
                recording.request_patch(&patch);
            }
        }
    }

    /// Notes how a deletion is to be done, as Kubernetes spells it there.
    pub fn record_delete_options(&self, options: &Value) {
        if let Some(recording) = self.audit.as_ref().filter(|recording| recording.keeps_requests()) {
            let mut options = options.clone();
            options["apiVersion"] = "meta.k8s.io/__internal".into();
            recording.request_patch(&options);
        }
    }

    /// Notes on whose behalf the request is made.
    pub fn record_impersonation(&self, user: &UserInfo, constraint: &str) {
        if let Some(recording) = &self.audit {
            recording.impersonated(user, constraint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_request_came_through() {
        let peer = "10.0.0.9".parse().ok();
        for (forwarded, real, ips) in [
            ("", "", "10.0.0.9"),
            ("1.2.3.4, junk, 5.6.7.8", "", "1.2.3.4 5.6.7.8 10.0.0.9"),
            ("1.2.3.4", "1.2.3.4", "1.2.3.4 10.0.0.9"),
            ("1.2.3.4, 10.0.0.9", "", "1.2.3.4 10.0.0.9"),
            ("", "::1", "::1 10.0.0.9"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            headers.insert("x-real-ip", real.parse().unwrap());
            assert_eq!(source_ips(&headers, peer).join(" "), ips);
        }
    }
}
