//! `ListOptions`: what a list, a watch or the deletion of a collection asks for in its query, read and judged in the order
//! that Kubernetes does, so that of several faults the same one is told.

use crate::call::{Call, Target};
use crate::selection::Selection;
use object::{ApiError, FieldError, GroupKind, Path, Result};

/// What is asked for, beside the selection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    /// A watch is judged by other rules than a list.
    watch: bool,
    /// At most so many objects; 0 is all.
    pub limit: usize,
    /// `continue`
    pub token: String,
    /// `resourceVersion`, unread.
    pub version: String,
    /// `resourceVersionMatch`
    pub matching: String,
    /// `sendInitialEvents`, if it was given.
    pub initial_events: Option<bool>,
    /// `allowWatchBookmarks`
    pub bookmarks: bool,
    /// `timeoutSeconds`
    pub timeout: Option<i64>,
}

impl ListOptions {
    /// Reads the query of `call`.
    ///
    /// # Errors
    /// `BadRequest` for what cannot be read, `Invalid` for what does not go together.
    pub fn new(call: &Call, target: &Target) -> Result<(Self, Selection)> {
        let query = &call.query;
        let timeout = query.int64("timeoutSeconds")?;
        let limit = query.int64("limit")?.unwrap_or(0).max(0) as usize;
        let selection = Selection::parse(call)?;
        let mut options = Self {
            watch: query.flag("watch") || call.info.verb == "watch",
            limit,
            token: query.get("continue").to_owned(),
            version: query.get("resourceVersion").to_owned(),
            matching: query.get("resourceVersionMatch").to_owned(),
            initial_events: query.has("sendInitialEvents").then(|| query.flag("sendInitialEvents")),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout,
        };
        // A watch from "any version" begins with what is there.
        let legacy = matches!(options.version.as_str(), "" | "0");
        if options.watch && legacy && options.initial_events.is_none() && options.matching.is_empty() {
            options.initial_events = Some(true);
            options.matching = "NotOlderThan".into();
        }
        let errors = if options.watch { options.watch_errors() } else { options.list_errors() };
        if !errors.is_empty() {
            let kind = GroupKind { group: "meta.k8s.io".into(), kind: "ListOptions".into() };
            return Err(ApiError::Invalid { kind, name: String::new(), errors });
        }
        Ok((options, selection.of(target)?))
    }

    fn list_errors(&self) -> Vec<FieldError> {
        let path = Path::new("resourceVersionMatch");
        let matching = self.matching.as_str();
        let mut errors = Vec::new();
        let mut check = |wrong: bool, error: FieldError| errors.extend(wrong.then_some(error));
        if !matching.is_empty() {
            let forbidden = |detail: &str| FieldError::forbidden(&path, detail);
            check(
                self.version.is_empty(),
                forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"),
            );
            check(
                !self.token.is_empty(),
                forbidden("resourceVersionMatch is forbidden when continue is provided"),
            );
            check(
                !matches!(matching, "Exact" | "NotOlderThan"),
                FieldError::not_supported(&path, &matching.into(), &["Exact", "NotOlderThan", ""]),
            );
            check(
                matching == "Exact" && self.version == "0",
                forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
            );
        }
        let detail = "sendInitialEvents is forbidden for list";
        check(self.initial_events.is_some(), FieldError::forbidden(&Path::new("sendInitialEvents"), detail));
        errors
    }

    fn watch_errors(&self) -> Vec<FieldError> {
        let path = Path::new("resourceVersionMatch");
        let matching = self.matching.as_str();
        let forbidden = |detail: &str| FieldError::forbidden(&path, detail);
        let mut errors = Vec::new();
        let mut check = |wrong: bool, error: FieldError| errors.extend(wrong.then_some(error));
        let other = matching != "NotOlderThan";
        check(
            self.initial_events.is_some() && other,
            forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        );
        if !matching.is_empty() {
            check(
                self.initial_events.is_none(),
                forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
            );
            check(other, FieldError::not_supported(&path, &matching.into(), &["NotOlderThan"]));
            check(
                !self.token.is_empty(),
                forbidden("resourceVersionMatch is forbidden when continue is provided"),
            );
        }
        errors
    }
}

/// A resourceVersion as a number; empty is 0.
///
/// # Errors
/// Why it is none, in Go's words.
pub(crate) fn parse_version(version: &str) -> std::result::Result<u64, String> {
    match version {
        "" => Ok(0),
        text => text.parse().map_err(|error: std::num::ParseIntError| {
            let quoted = object::error::quote(text);
            let range = *error.kind() == std::num::IntErrorKind::PosOverflow;
            let why = if range { "value out of range" } else { "invalid syntax" };
            format!("resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {why}")
        }),
    }
}
