//! One request under way: who asks for what, of which resource, and the warnings gathered so far.

use crate::Api;
use crate::negotiate::{self, Accepted, Offer};
use crate::request::{RequestInfo, ResourcePath};
use access::UserInfo;
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use kinds::{Resource, Subresource};
use node::Query;
use object::{ApiError, GroupResource, Result, Value};
use parking_lot::Mutex;
use schema::decode::Empty;
use std::borrow::Cow;
use std::sync::Arc;

/// A request that was read but not yet answered.
pub(crate) struct Call {
    pub api: Arc<Api>,
    pub info: RequestInfo,
    pub query: Query,
    pub raw_query: String,
    pub headers: HeaderMap,
    pub method: http::Method,
    pub body: Bytes,
    /// The connection, when the client wants to take it over.
    pub upgrade: Option<node::Upgrade>,
    pub user: UserInfo,
    pub now: Timestamp,
    /// Text of `Warning` headers; a set in order.
    pub warnings: Arc<Mutex<Vec<String>>>,
    /// Empty lists and maps that its object came with.
    pub empties: Mutex<Vec<Empty>>,
    /// What the options in the body of a deletion say of a dry run; what the query says then does not count.
    pub body_dry_run: std::sync::OnceLock<bool>,
    /// Names the request in logs.
    pub audit_id: String,
    /// What the audit log is told, if anything.
    pub audit: Option<Arc<audit::Recording>>,
    /// What webhooks converted for this request.
    pub conversions: crate::conversion::Learned,
}

/// A resource as a request names it.
pub(crate) struct Target {
    pub resource: Arc<Resource>,
    pub at: ResourcePath,
    /// All versions that the same objects are served in, when there are several.
    pub versions: Vec<Arc<Resource>>,
}

impl Target {
    /// A target of one version.
    pub fn new(resource: Arc<Resource>, at: ResourcePath) -> Self {
        Self { resource, at, versions: Vec::new() }
    }

    /// The version `api_version` of the objects, if it is served.
    pub fn version(&self, api_version: &str) -> Option<&Arc<Resource>> {
        self.versions.iter().find(|r| r.gvr.group_version().to_string() == api_version)
    }

    pub fn group_resource(&self) -> GroupResource {
        self.resource.group_resource()
    }

    pub fn subresource(&self) -> Option<&Subresource> {
        self.resource.subresource(&self.at.subresource)
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::NotFound { resource: self.group_resource(), name: self.at.name.clone() }
    }

    /// The resource as access rules name it: `pods` or `pods/exec`.
    pub fn key(&self) -> String {
        crate::keys::key(&self.resource, &self.at.namespace, &self.at.name)
    }
}

impl Call {
    /// Lets the store find out how far it is when the request names a later version: another server on the same data may
    /// have told the client of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn learn_version(&self) -> Result<()> {
        let wanted = self.query.get("resourceVersion").parse().unwrap_or(0);
        if wanted > self.api.store.revision().0 {
            self.api.store.latest().await.map_err(crate::failure::store)?;
        }
        Ok(())
    }

    /// What the server does for itself.
    pub fn of_server(api: Arc<Api>) -> Self {
        Self {
            api,
            info: RequestInfo::default(),
            query: Query::parse(""),
            raw_query: String::new(),
            headers: HeaderMap::new(),
            method: http::Method::GET,
            body: Bytes::new(),
            upgrade: None,
            user: UserInfo::new(access::user::USER_APISERVER, &[access::user::GROUP_MASTERS]),
            now: object::time::now(),
            warnings: Arc::default(),
            empties: Mutex::default(),
            body_dry_run: Default::default(),
            audit_id: Default::default(),
            audit: None,
            conversions: Default::default(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The raw query string.
    pub fn query_text(&self) -> String {
        self.raw_query.clone()
    }

    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        // A header cannot say everything.
        if text.is_empty() || text.chars().any(char::is_control) {
            return;
        }
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// `object` as its rules see it: with the empty lists and maps that are lost when it is stored.
    pub fn with_empties<'a>(&self, object: &'a Value, old: Option<&Value>) -> Cow<'a, Value> {
        let mut object = Cow::Borrowed(object);
        for empty in self.empties.lock().iter().filter(|empty| old.is_none_or(|old| empty.changes(old))) {
            empty.restore(object.to_mut());
        }
        object
    }

    pub fn accept(&self, target: &Target, stream: bool) -> Result<Accepted> {
        // Questions are answered, never listed.
        let review = matches!(
            target.resource.storage.group.as_str(),
            "authorization.k8s.io" | "authentication.k8s.io"
        );
        let names = match self.info.verb {
            "list" | "watch" => negotiate::COLLECTIONS,
            _ => negotiate::OBJECTS,
        };
        let custom = target.resource.custom;
        let first = (!custom).then_some(names);
        let offer = Offer { protobuf: !custom, shapes: true, tables: !review, stream, first };
        negotiate::accept(&self.headers, offer)
    }

    /// Pretty-printed JSON was asked for, or a person seems to look.
    pub fn pretty(&self) -> bool {
        if self.query.has("pretty") {
            return self.query.flag("pretty");
        }
        let agent = self.header("user-agent");
        ["curl", "Wget", "Mozilla/5.0"].iter().any(|p| agent.starts_with(p))
    }

    pub fn dry_run(&self) -> bool {
        let in_body = self.body_dry_run.get().copied();
        in_body.unwrap_or_else(|| self.query.all("dryRun").any(|v| v == "All"))
    }
}
