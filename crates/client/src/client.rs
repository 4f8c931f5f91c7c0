//! The verbs, for any resource. A namespace of `""` means a cluster-scoped object, or all namespaces.
//!
//! Refusals come back as the server's own [`ApiError`]; a server that cannot be reached is `ServiceUnavailable`.

use crate::options::{DeleteOptions, ListOptions, Patch, WatchOptions};
use crate::path::{Query, path};
use crate::transport::{Body, Transport, TransportError};
use crate::watch::WatchStream;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response, header};
use object::{ApiError, GroupVersionResource, Result, meta};
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest answer read whole; a longer one is an error.
const MAX_ANSWER: usize = 1 << 30;

/// Speaks to one API server as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    user_agent: Arc<str>,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Objects, each with `apiVersion` and `kind`.
    pub items: Vec<Value>,
    /// The list's version: what a watch goes on from.
    pub resource_version: String,
    /// Token of the next page, empty on the last.
    pub continue_token: String,
}

/// An object as the server sent it.
#[derive(Clone, Debug)]
pub struct Encoded(pub(crate) Bytes);

impl Encoded {
    /// The object.
    pub fn parse(&self) -> Result<Value> {
        parse(&self.0)
    }
}

impl Client {
    /// A client over `transport`; the part of `user_agent` before `/` is the field manager of its writes.
    pub fn new(transport: Arc<dyn Transport>, user_agent: &str) -> Self {
        Self { transport, user_agent: user_agent.into() }
    }

    /// The same connection and identity under another user agent.
    pub fn with_user_agent(&self, user_agent: &str) -> Self {
        Self { transport: self.transport.clone(), user_agent: user_agent.into() }
    }

    /// Reads one object.
    pub async fn get(&self, gvr: &GroupVersionResource, namespace: &str, name: &str) -> Result<Value> {
        parse(&self.call(Method::GET, &path(gvr, namespace, name, ""), None).await?)
    }

    /// Reads one object, `None` when it is not there.
    pub async fn find(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>> {
        match self.get(gvr, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one page (all, without a limit).
    pub async fn list(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<List> {
        let mut list: Value = parse(&self.list_bytes(gvr, namespace, options).await?)?;
        let api_version = list["apiVersion"].clone();
        let kind =
            list["kind"].as_str().and_then(|k| k.strip_suffix("List")).map(|k| Value::from(k.to_owned()));
        let mut items = match list["items"].take() {
            Value::Array(items) => items,
            _ => vec![],
        };
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(kind) = &kind {
                item.entry("kind").or_insert_with(|| kind.clone());
                item.entry("apiVersion").or_insert_with(|| api_version.clone());
            }
        }
        let of = |field: &str| list["metadata"][field].as_str().unwrap_or("").to_owned();
        Ok(List { items, resource_version: of("resourceVersion"), continue_token: of("continue") })
    }

    /// Reads all pages, `options.limit` (default 500) objects each.
    pub async fn list_all(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<List> {
        let mut options = options.clone();
        if options.limit == 0 {
            options.limit = 500;
        }
        let mut all = self.list(gvr, namespace, &options).await?;
        while !all.continue_token.is_empty() {
            options.continue_token = std::mem::take(&mut all.continue_token);
            options.resource_version.clear();
            options.resource_version_match.clear();
            let page = self.list(gvr, namespace, &options).await?;
            all.items.extend(page.items);
            all.resource_version = page.resource_version;
            all.continue_token = page.continue_token;
        }
        Ok(all)
    }

    /// Reads one page as the server sent it.
    pub async fn list_bytes(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Bytes> {
        let mut query = Query::of(path(gvr, namespace, "", ""));
        options.query(&mut query);
        self.call(Method::GET, &query.finish(), None).await
    }

    /// Creates an object in its `metadata.namespace`; answers it as stored.
    pub async fn create(&self, gvr: &GroupVersionResource, object: &Value) -> Result<Value> {
        self.create_encoded(gvr, object).await?.parse()
    }

    /// As [`create`](Self::create), for who need not look at the answer, or only puts it in a cache.
    pub async fn create_encoded(&self, gvr: &GroupVersionResource, object: &Value) -> Result<Encoded> {
        let path = path(gvr, meta::namespace(object), "", "");
        self.call(Method::POST, &path, Some((JSON, encode(object)))).await.map(Encoded)
    }

    /// As [`create`](Self::create), of what a person wrote: fields that the server does not know are refused, not dropped.
    pub async fn create_strictly(&self, gvr: &GroupVersionResource, object: &Value) -> Result<Value> {
        let mut query = Query::of(path(gvr, meta::namespace(object), "", ""));
        query.text("fieldValidation", "Strict");
        parse(&self.call(Method::POST, &query.finish(), Some((JSON, encode(object)))).await?)
    }

    /// Posts `body` to a subresource (`binding`, `eviction`, `token`).
    pub async fn create_subresource(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &Value,
    ) -> Result<Value> {
        let path = path(gvr, namespace, name, subresource);
        parse(&self.call(Method::POST, &path, Some((JSON, encode(body)))).await?)
    }

    /// Replaces an object; its `resourceVersion`, if any, must be the newest.
    pub async fn update(&self, gvr: &GroupVersionResource, object: &Value) -> Result<Value> {
        self.update_subresource(gvr, object, "").await
    }

    /// Replaces an object's status.
    pub async fn update_status(&self, gvr: &GroupVersionResource, object: &Value) -> Result<Value> {
        self.update_subresource(gvr, object, "status").await
    }

    /// Replaces a subresource that looks like the object (`status`, `scale`, `approval`, `finalize`).
    pub async fn update_subresource(
        &self,
        gvr: &GroupVersionResource,
        object: &Value,
        subresource: &str,
    ) -> Result<Value> {
        self.update_encoded(gvr, object, subresource).await?.parse()
    }

    /// As [`update_subresource`](Self::update_subresource), of the object itself where none is named; see
    /// [`create_encoded`](Self::create_encoded).
    pub async fn update_encoded(
        &self,
        gvr: &GroupVersionResource,
        object: &Value,
        subresource: &str,
    ) -> Result<Encoded> {
        let path = path(gvr, meta::namespace(object), meta::name(object), subresource);
        self.call(Method::PUT, &path, Some((JSON, encode(object)))).await.map(Encoded)
    }

    /// Patches an object, or a subresource of it.
    pub async fn patch(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
    ) -> Result<Value> {
        self.patch_encoded(gvr, namespace, name, subresource, patch).await?.parse()
    }

    /// As [`patch`](Self::patch); see [`create_encoded`](Self::create_encoded).
    pub async fn patch_encoded(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
    ) -> Result<Encoded> {
        let mut query = Query::of(path(gvr, namespace, name, subresource));
        patch.query(&mut query);
        let body = Some((patch.content_type(), encode(patch.body())));
        self.call(Method::PATCH, &query.finish(), body).await.map(Encoded)
    }

    /// Deletes an object; answers it, or a `Status` that names it.
    pub async fn delete(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Value> {
        let path = path(gvr, namespace, name, "");
        parse(&self.call(Method::DELETE, &path, Some((JSON, encode(&options.to_json())))).await?)
    }

    /// Deletes all objects that `list` selects.
    pub async fn delete_collection(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Value> {
        let mut query = Query::of(path(gvr, namespace, "", ""));
        list.query(&mut query);
        parse(&self.call(Method::DELETE, &query.finish(), Some((JSON, encode(&options.to_json())))).await?)
    }

    /// Starts a watch.
    pub async fn watch(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        options: &WatchOptions,
    ) -> Result<WatchStream> {
        let mut query = Query::of(path(gvr, namespace, "", ""));
        options.query(&mut query);
        let request = self.request(Method::GET, &query.finish(), None, JSON)?;
        let answer = self.answered(request).await?;
        Ok(WatchStream::new(answer.into_body()))
    }

    /// See [`Transport::touched`].
    pub(crate) fn touched(&self, gvr: &GroupVersionResource, after: u64) -> Option<BoxFuture<'static, u64>> {
        self.transport.touched(gvr, after)
    }

    /// Gets any path, such as `/apis` or `/version`, in the form `accept` asks for.
    pub async fn raw(&self, path: &str, accept: &str) -> Result<Bytes> {
        let request = self.request(Method::GET, path, None, accept)?;
        collect(self.answered(request).await?.into_body()).await
    }

    /// Sends any request as it is, with this client's user agent; refusals are answers like any other.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
    ) -> std::result::Result<Response<Body>, TransportError> {
        if let Ok(agent) = self.user_agent.parse() {
            request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
        }
        self.transport.send(request).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Result<Bytes> {
        let request = self.request(method, path, body, JSON)?;
        collect(self.answered(request).await?.into_body()).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
        accept: &str,
    ) -> Result<Request<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        let body = match body {
            Some((content_type, bytes)) => {
                request = request.header(header::CONTENT_TYPE, content_type);
                bytes
            }
            None => Bytes::new(),
        };
        request.body(body).map_err(|error| ApiError::BadRequest(error.to_string()))
    }

    /// Sends, and turns a refusal into an error.
    async fn answered(&self, request: Request<Bytes>) -> Result<Response<Body>> {
        let answer = self.send(request).await.map_err(unreachable_server)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let code = answer.status().as_u16();
        let body = collect(answer.into_body()).await?;
        Err(refusal(code, &body))
    }
}

const JSON: &str = "application/json";

fn unreachable_server(error: TransportError) -> ApiError {
    ApiError::ServiceUnavailable(error.to_string())
}

/// The error that a non-2xx answer says: a `Status`, or any text.
fn refusal(code: u16, body: &[u8]) -> ApiError {
    match serde_json::from_slice::<Value>(body) {
        Ok(status) if status["kind"] == "Status" => ApiError::from_status(status),
        _ => ApiError::Status(Box::new(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "message": String::from_utf8_lossy(&body[..body.len().min(1024)]),
        }))),
    }
}

fn encode(value: &Value) -> Bytes {
    // A Value has string keys only, so that encoding cannot fail.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::Internal(format!("the server's answer is not JSON: {error}")))
}

async fn collect(body: Body) -> Result<Bytes> {
    let mut stream = match body {
        Body::Full(bytes) => return Ok(bytes),
        Body::Stream(stream) => stream,
    };
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk.map_err(unreachable_server)?);
        if all.len() > MAX_ANSWER {
            return Err(ApiError::TooLarge(format!("the server's answer is longer than {MAX_ANSWER} bytes")));
        }
    }
    Ok(all.freeze())
}
