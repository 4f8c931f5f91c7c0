//! What can be asked along with a verb, and how it is spelled in a query or body.

use crate::path::Query;
use serde_json::{Map, Value, json};

/// Of list and deletecollection.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Label selector in its string form; empty selects everything.
    pub label_selector: String,
    /// Field selector in its string form; empty selects everything.
    pub field_selector: String,
    /// Items per page; 0 asks for all at once.
    pub limit: u32,
    /// Token of the page before.
    pub continue_token: String,
    /// `resourceVersion`; empty means the newest.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: String,
}

impl ListOptions {
    /// Only what carries these labels.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { label_selector: selector.into(), ..Self::default() }
    }

    /// Only what these fields select.
    pub fn fields(selector: impl Into<String>) -> Self {
        Self { field_selector: selector.into(), ..Self::default() }
    }

    pub(crate) fn query(&self, query: &mut Query) {
        query.text("labelSelector", &self.label_selector);
        query.text("fieldSelector", &self.field_selector);
        if self.limit > 0 {
            query.text("limit", &self.limit.to_string());
        }
        query.text("continue", &self.continue_token);
        query.text("resourceVersion", &self.resource_version);
        query.text("resourceVersionMatch", &self.resource_version_match);
    }
}

/// Of watch.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// Label selector in its string form.
    pub label_selector: String,
    /// Field selector in its string form.
    pub field_selector: String,
    /// Events after this version; empty starts with what there is, in any order.
    pub resource_version: String,
    /// Ask for bookmarks.
    pub bookmarks: bool,
    /// Ask for what exists first, then a bookmark that says so (`sendInitialEvents`).
    pub initial_events: bool,
    /// Seconds after which the server ends the watch; 0 leaves it to the server.
    pub timeout_seconds: u32,
}

impl WatchOptions {
    pub(crate) fn query(&self, query: &mut Query) {
        query.text("watch", "true");
        query.text("labelSelector", &self.label_selector);
        query.text("fieldSelector", &self.field_selector);
        query.text("resourceVersion", &self.resource_version);
        if self.bookmarks || self.initial_events {
            query.text("allowWatchBookmarks", "true");
        }
        if self.initial_events {
            query.text("sendInitialEvents", "true");
            query.text("resourceVersionMatch", "NotOlderThan");
        }
        if self.timeout_seconds > 0 {
            query.text("timeoutSeconds", &self.timeout_seconds.to_string());
        }
    }
}

/// What becomes of the dependents of what is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes them afterwards.
    Background,
    /// They go first; the object waits.
    Foreground,
    /// They stay and lose the owner.
    Orphan,
}

impl Propagation {
    /// As `propagationPolicy` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// Of delete and deletecollection.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds; `None` leaves it to the kind.
    pub grace_period_seconds: Option<i64>,
    /// `None` leaves it to the kind.
    pub propagation: Option<Propagation>,
    /// Only an object with this uid.
    pub uid: Option<String>,
    /// Only this very version.
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Only the object with this uid.
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: Some(uid.into()), ..Self::default() }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = propagation.as_str().into();
        }
        let mut preconditions = Map::new();
        if let Some(uid) = &self.uid {
            preconditions.insert("uid".into(), uid.clone().into());
        }
        if let Some(version) = &self.resource_version {
            preconditions.insert("resourceVersion".into(), version.clone().into());
        }
        if !preconditions.is_empty() {
            options["preconditions"] = preconditions.into();
        }
        options
    }
}

/// One of the four kinds of patch.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, for built-in kinds.
    Strategic(Value),
    /// Server-side apply of the object's fields.
    Apply {
        /// `fieldManager`.
        manager: String,
        /// Take fields over from other managers.
        force: bool,
        /// `apiVersion`, `kind` and the fields wanted.
        object: Value,
    },
}

impl Patch {
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
            Self::Apply { .. } => "application/apply-patch+yaml",
        }
    }

    pub(crate) fn body(&self) -> &Value {
        match self {
            Self::Json(value) | Self::Merge(value) | Self::Strategic(value) => value,
            Self::Apply { object, .. } => object,
        }
    }

    pub(crate) fn query(&self, query: &mut Query) {
        if let Self::Apply { manager, force, .. } = self {
            query.text("fieldManager", manager);
            if *force {
                query.text("force", "true");
            }
        }
    }
}
