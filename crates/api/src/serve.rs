//! The order of every request: read → who are you → on whose behalf → is it your turn → may you → answer.

use crate::call::{Call, Target};
use crate::metrics::About;
use crate::request::{RequestInfo, ResourcePath};
use crate::respond::{self, Answer};
use crate::{
    Api, access_control, aggregation, auditing, authenticate, documents, flow, resource_metrics,
    subresources, verbs,
};
use access::UserInfo;
use bytes::Bytes;
use client::Body;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response};
use kinds::{Registry, Resource};
use node::Query;
use object::{ApiError, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// Who is at the other end of the connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Set for callers inside this process, who need no credentials.
    pub user: Option<UserInfo>,
    /// The DER of the client certificate, verified by the TLS layer against this cluster's CA.
    pub certificate: Option<Arc<[u8]>>,
    /// DER of the certificates that the client sent along to lead from its own to an authority.
    pub intermediates: Arc<[Box<[u8]>]>,
    /// Where it connects from.
    pub address: Option<std::net::IpAddr>,
}

impl Api {
    /// Answers one request. Never fails: what goes wrong is a `Status`.
    ///
    /// Boxed here, so that the whole pipeline is compiled once, as this crate is, and not again in each crate that awaits it.
    pub fn serve(&self, request: Request<Bytes>, peer: Peer) -> BoxFuture<'_, Response<Body>> {
        Box::pin(self.answer_one(request, peer))
    }

    async fn answer_one(&self, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let upgrade = node::Upgrade::take(&mut parts.extensions);
        let accept = parts.headers.clone();
        let query = Query::parse(parts.uri.query().unwrap_or(""));
        let audit_id = auditing::id(self, &parts.headers, &peer);
        let api = match self.shared() {
            Ok(api) => api,
            Err(error) => return respond::error(&accept, &error, false),
        };
        let mut call = Call {
            api,
            raw_query: parts.uri.query().unwrap_or("").to_owned(),
            info: RequestInfo::new(&parts.method, parts.uri.path(), &query),
            query,
            headers: parts.headers,
            method: parts.method,
            body,
            upgrade,
            user: UserInfo::anonymous(),
            now: object::time::now(),
            warnings: Arc::new(Mutex::new(Vec::new())),
            empties: Mutex::default(),
            body_dry_run: Default::default(),
            audit_id,
            audit: None,
            conversions: Default::default(),
        };
        let warnings = call.warnings.clone();
        let (began, about) = (Instant::now(), About::of(&call));
        let mut admission = flow::Admission::default();
        let answer = self.authorized(&mut call, &peer, &mut admission).await;
        let user = call.user.username.clone();
        let recorded = auditing::Unfinished::of(&call);
        let routed = answer.is_ok();
        let answer = match answer {
            Ok(()) => route(call).await,
            Err(error) => admission.refusal().ok_or(error),
        };
        let mut answer = answer.unwrap_or_else(|error| respond::error(&accept, &error, routed));
        admission.leave(&mut answer);
        admission.mark(&mut answer);
        let (code, took) = (answer.status().as_u16(), began.elapsed());
        tracing::debug!(
            verb = about.verb(),
            path = about.path,
            user,
            code,
            micros = took.as_micros() as u64,
            "request"
        );
        self.metrics.answered(about, code, took);
        if let Body::Stream(stream) = answer.body_mut() {
            let streaming = self.metrics.streaming();
            let inner = std::mem::replace(stream, futures::stream::empty().boxed());
            *stream = inner.inspect(move |_| _ = &streaming).boxed();
        }
        recorded.answer(&mut answer);
        for text in warnings.lock().iter() {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
                answer.headers_mut().append(http::header::WARNING, value);
            }
        }
        answer
    }

    async fn authorized(&self, call: &mut Call, peer: &Peer, admission: &mut flow::Admission) -> Result<()> {
        check_timeout(call)?;
        let known = authenticate::user(self, call, peer).await;
        call.user = known.inspect_err(|_| auditing::refused(self, call, peer))?;
        auditing::begin(self, call, peer);
        call.user = access_control::impersonated(self, call).await?;
        flow::admit(self, call, admission).await?;
        access_control::authorize(self, call).await
    }
}

/// `timeout` has to be a duration, except where requests are meant to last.
fn check_timeout(call: &Call) -> Result<()> {
    const LASTING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];
    let subresource = call.info.resource.as_ref().map_or("", |at| at.subresource.as_str());
    let timeout = call.query.get("timeout");
    if timeout.is_empty() || matches!(call.info.verb, "watch" | "proxy") || LASTING.contains(&subresource) {
        return Ok(());
    }
    let refused = |why| ApiError::BadRequest(format!("invalid timeout specified in the request URL - {why}"));
    object::time::duration::parse(timeout).map_err(refused).map(|_| ())
}

/// Larger bodies are refused.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Finds who answers.
async fn route(call: Call) -> Result<Answer> {
    if call.body.len() > MAX_BODY {
        return Err(ApiError::TooLarge(format!("Request entity too large: limit is {MAX_BODY}")));
    }
    if let Some(remote) = aggregation::find(&call).await? {
        return aggregation::pass_on(call, &remote).await;
    }
    if let Some(answer) = resource_metrics::answer(&call).await? {
        return Ok(answer);
    }
    let Some(at) = call.info.resource.clone() else {
        return documents::answer(&call).await;
    };
    let Some(target) = find(&call, at).await? else {
        return documents::answer_unknown(&call).await;
    };
    let served = |verb| target.resource.verbs.contains(&verb);
    let refused = call.method == Method::DELETE && !served(kinds::Verb::Delete);
    if let Some(warning) = target.resource.deprecation().filter(|_| !refused) {
        call.warn(warning);
    }
    if let Some(warning) = target.resource.definition.as_ref().and_then(|d| d.deprecation.as_ref()) {
        call.warn(warning.clone());
    }
    if !target.at.subresource.is_empty() {
        return subresources::answer(call, target).await;
    }
    if takes_several_writes(&call, &target) {
        to_the_end(call, target).await
    } else {
        answer(call, target).await
    }
}

/// A deletion may mark before it removes; services take and give back addresses.
fn takes_several_writes(call: &Call, target: &Target) -> bool {
    match call.method {
        Method::GET => false,
        Method::DELETE => true,
        _ => target.resource.storage.group.is_empty() && target.resource.storage.resource == "services",
    }
}

/// Answers also when the client is gone, which would leave the rest undone.
async fn to_the_end(call: Call, target: Target) -> Result<Answer> {
    match tokio::spawn(answer(call, target)).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ApiError::ServiceUnavailable("the server is shutting down".into())),
    }
}

/// The resource that a path names, if it is served.
async fn find(call: &Call, at: ResourcePath) -> Result<Option<Target>> {
    let registry = call.api.registry().await?;
    let Some(resource) = registry.get(&at.group, &at.version, &at.resource).cloned() else { return Ok(None) };
    // Objects of namespaces need one; a collection may span all; what has no namespace may not be asked for in one.
    let fits = if resource.namespaced() {
        at.in_namespace || at.name.is_empty()
    } else {
        !at.in_namespace || at.resource == "namespaces"
    };
    let watched =
        !resource.custom && resource.verbs.contains(&kinds::Verb::Watch) && at.subresource.is_empty();
    let fits = fits && (at.special.is_empty() || (at.special == "watch" && watched));
    let known =
        (at.subresource.is_empty() && at.rest.is_empty()) || resource.subresource(&at.subresource).is_some();
    if resource.custom && fits && !known {
        return Err(ApiError::NotFound { resource: resource.group_resource(), name: at.name });
    }
    let versions = versions(&registry, &resource);
    Ok((fits && known).then_some(Target { resource, at, versions }))
}

/// Every version that a resource's objects are served in; nothing when there is only one.
fn versions(registry: &Registry, resource: &Resource) -> Vec<Arc<Resource>> {
    let of =
        |group: &str| registry.served_versions(group, &resource.gvr.resource).cloned().collect::<Vec<_>>();
    let mut all = of(&resource.gvr.group);
    if resource.storage.group.is_empty() && resource.storage.resource == "events" {
        // The one resource of two groups.
        all = of("");
        all.extend(of("events.k8s.io"));
    }
    if all.len() > 1 { all } else { Vec::new() }
}

/// The verbs on objects and collections.
async fn answer(call: Call, mut target: Target) -> Result<Answer> {
    use kinds::Verb;
    let named = !target.at.name.is_empty();
    // Kinds whose objects are never named have no path for one.
    let of_one = [Verb::Get, Verb::Update, Verb::Patch, Verb::Delete];
    if named && !of_one.iter().any(|verb| target.resource.verbs.contains(verb)) {
        return documents::answer_unknown(&call).await;
    }
    let verb = match (&call.method, named) {
        (&Method::GET, _) if !target.at.special.is_empty() => Verb::Watch,
        _ if !target.at.special.is_empty() => return Err(not_allowed()),
        (&Method::GET, true) => Verb::Get,
        (&Method::GET, false) => Verb::List,
        (&Method::POST, false) => Verb::Create,
        (&Method::PUT, true) => Verb::Update,
        (&Method::PATCH, true) => Verb::Patch,
        (&Method::DELETE, true) => Verb::Delete,
        (&Method::DELETE, false) => Verb::DeleteCollection,
        _ => return Err(not_allowed()),
    };
    let everywhere = target.resource.namespaced() && !target.at.in_namespace;
    if !target.resource.verbs.contains(&verb) || (everywhere && !matches!(verb, Verb::List | Verb::Watch)) {
        return Err(not_allowed());
    }
    if let Some(virtual_kind) = crate::reviews::answer(&call, &target).await {
        return virtual_kind;
    }
    match verb {
        Verb::Get => verbs::get::get(&call, &target).await,
        Verb::List | Verb::Watch if call.info.verb == "watch" => verbs::watch::watch(call, target).await,
        Verb::List | Verb::Watch => verbs::list::list(call, target).await,
        Verb::Create => verbs::create::create(&call, &mut target).await,
        Verb::Update => verbs::update::update(&call, &mut target).await,
        Verb::Patch => verbs::patch::patch(&call, &mut target).await,
        Verb::Delete => verbs::delete::delete(&call, &target).await,
        Verb::DeleteCollection => verbs::delete::delete_collection(&call, &target).await,
    }
}

/// 405 of a method that a path does not have.
pub(crate) fn not_allowed() -> ApiError {
    ApiError::Status(Box::new(object::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "details": {},
        "message": "the server does not allow this method on the requested resource", "reason": "MethodNotAllowed", "code": 405,
    })))
}
