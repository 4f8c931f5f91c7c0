//! LIST: consistent pages of a collection.

use crate::call::{Call, Target};
use crate::negotiate::Accepted;
use crate::respond::{self, Answer, ListMeta};
use crate::selection::Selection;
use crate::{failure, keys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use object::{ApiError, FieldError, GroupKind, Path, Result, Value, json};
use store::{Entry, ListRequest, Revision, StoreError};

pub(crate) async fn list(call: &Call, target: &Target) -> Result<Answer> {
    let accepted = call.accept(target, false)?;
    let selection = Selection::new(call, target)?;
    call.learn_version().await?;
    let page = Page::new(call)?;
    answer(call, target, accepted, &selection, page).await
}

async fn answer(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    selection: &Selection,
    page: Page,
) -> Result<Answer> {
    let prefix = keys::prefix(&target.resource, &target.at.namespace);
    let gathered = gather(call, target, selection, &page, &prefix).await.map_err(|e| match e {
        Gather::Store(StoreError::Compacted(_)) => page.expired(call.api.store.revision()),
        Gather::Store(e) => failure::store(e),
        Gather::Api(e) => e,
    })?;
    let about = ListMeta {
        revision: gathered.revision,
        continue_token: gathered.last.map(|key| page.token(gathered.revision, &key[prefix.len()..])),
        remaining: gathered.remaining,
    };
    respond::list(call, target, accepted, gathered.entries, &about).await
}

struct Gathered {
    entries: Vec<Entry>,
    revision: Revision,
    /// The last key seen, when there is more.
    last: Option<String>,
    remaining: Option<usize>,
}

enum Gather {
    Store(StoreError),
    Api(ApiError),
}

impl From<StoreError> for Gather {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Reads pages off the store until `limit` objects match.
async fn gather(
    call: &Call,
    target: &Target,
    selection: &Selection,
    page: &Page,
    prefix: &str,
) -> std::result::Result<Gathered, Gather> {
    let mut request = ListRequest {
        prefix: prefix.to_owned(),
        after: page.after.as_ref().map(|rest| format!("{prefix}{rest}")),
        limit: page.limit,
        at: page.at,
    };
    let mut entries = Vec::new();
    let mut seen = 0;
    loop {
        let listing = call.api.store.list(request.clone()).await?;
        seen += listing.entries.len();
        if page.limit == 0 || listing.remaining == 0 {
            call.api.flow.learn(prefix, seen);
        }
        let last = listing.entries.last().map(|e| e.key.to_string());
        if selection.is_everything() {
            let more = listing.remaining > 0;
            let remaining = (more && page.limit > 0).then_some(listing.remaining);
            return Ok(Gathered {
                entries: listing.entries,
                revision: listing.revision,
                last: last.filter(|_| more),
                remaining,
            });
        }
        let mut full = None;
        let objects = call.api.read_all(target, &listing.entries).await.map_err(Gather::Api)?;
        for (entry, object) in listing.entries.into_iter().zip(objects) {
            if selection.matches(target, &object) {
                let key = entry.key.to_string();
                entries.push(entry);
                if page.limit > 0 && entries.len() == page.limit {
                    full = Some(key);
                    break;
                }
            }
        }
        let more = listing.remaining > 0 || (full.is_some() && full != last);
        if full.is_some() || listing.remaining == 0 {
            return Ok(Gathered {
                entries,
                revision: listing.revision,
                last: full.filter(|_| more),
                remaining: None,
            });
        }
        request.after = last;
        request.at = Some(listing.revision);
        // Few matches so far: look further at a time.
        request.limit = (request.limit * 2).min(10_000);
    }
}

/// Where a list starts, how long it may be, and what it shows.
struct Page {
    limit: usize,
    after: Option<String>,
    at: Option<Revision>,
}

impl Page {
    fn new(call: &Call) -> Result<Self> {
        let limit = call.query.int64("limit")?.unwrap_or(0).max(0) as usize;
        let version = call.query.get("resourceVersion");
        let matching = call.query.get("resourceVersionMatch");
        let token = call.query.get("continue");
        check_match(call, version, matching, token)?;
        if !token.is_empty() {
            return Self::resume(limit, token, version);
        }
        let wanted = parse_version(version).map_err(unreadable)?;
        let exact = matching == "Exact" || (matching.is_empty() && limit > 0 && wanted > 0);
        if wanted > 0 {
            failure::check_future(Revision(wanted), call.api.store.revision())?;
        }
        Ok(Self { limit, after: None, at: (exact && wanted > 0).then_some(Revision(wanted)) })
    }

    fn resume(limit: usize, token: &str, version: &str) -> Result<Self> {
        let bad = |why: &str| ApiError::BadRequest(format!("continue key is not valid: {why}"));
        if !version.is_empty() && version != "0" {
            return Err(ApiError::BadRequest(
                "specifying resource version is not allowed when using continue".into(),
            ));
        }
        let text = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|e| bad(&e.to_string()))?;
        let token: Value = serde_json::from_slice(&text).map_err(|e| bad(&e.to_string()))?;
        if token["v"] != "meta.k8s.io/v1" {
            return Err(bad("server does not recognize this encoded version"));
        }
        let start = token["start"].as_str().unwrap_or("").trim_end_matches('\0');
        let revision = token["rv"].as_i64().unwrap_or(0);
        if start.is_empty() || start.contains("..") {
            return Err(bad("invalid start"));
        }
        // A negative version marks a token that goes on without consistency.
        let at = (revision > 0).then_some(Revision(revision as u64));
        Ok(Self { limit, after: Some(start.to_owned()), at })
    }

    fn token(&self, revision: Revision, last: &str) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision.0, "start": format!("{last}\0")});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn expired(&self, _current: Revision) -> ApiError {
        match &self.after {
            None => ApiError::Expired {
                message: "The provided resource version is too old.".into(),
                continue_token: None,
            },
            Some(after) => {
                let token = json!({"v": "meta.k8s.io/v1", "rv": -1, "start": format!("{after}\0")});
                ApiError::Expired {
                    message: "The provided continue parameter is too old to display a consistent list result. You can start a new \
                        list without the continue parameter, or use the continue token in this response to retrieve the remainder \
                        of the results. Continuing with the provided token results in an inconsistent list - objects that were \
                        created, modified, or deleted between the time the first chunk was returned and now may show up in the list."
                        .into(),
                    continue_token: Some(URL_SAFE_NO_PAD.encode(token.to_string())),
                }
            }
        }
    }
}

/// How a list says that it cannot read a resourceVersion.
fn unreadable(error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid { errors, .. } if errors.len() == 1 => {
            let FieldError { path, message, .. } = &errors[0];
            ApiError::BadRequest(format!("invalid resource version: {path}: {message}"))
        }
        other => other,
    }
}

/// A resourceVersion as a number; empty is 0.
pub(crate) fn parse_version(version: &str) -> Result<u64> {
    match version {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            let quoted = object::error::quote(text);
            let detail = format!("strconv.ParseUint: parsing {quoted}: invalid syntax");
            invalid_options(vec![FieldError::invalid(&Path::new("resourceVersion"), &text.into(), &detail)])
        }),
    }
}

pub(super) fn invalid_options(errors: Vec<FieldError>) -> ApiError {
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: "ListOptions".into() };
    ApiError::Invalid { kind, name: String::new(), errors }
}

/// The rules for `resourceVersionMatch` and `sendInitialEvents`.
fn check_match(call: &Call, version: &str, matching: &str, token: &str) -> Result<()> {
    let path = Path::new("resourceVersionMatch");
    let mut errors = Vec::new();
    let mut forbid = |detail: &str| errors.push(FieldError::forbidden(&path, detail));
    if !matching.is_empty() {
        if !token.is_empty() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        } else if version.is_empty() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        } else if matching == "Exact" && version == "0" {
            forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        } else if !matches!(matching, "Exact" | "NotOlderThan") {
            let known = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported(&path, &matching.into(), &known));
        }
    }
    if call.query.has("sendInitialEvents") {
        let detail = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::forbidden(&Path::new("sendInitialEvents"), detail));
    }
    if errors.is_empty() { Ok(()) } else { Err(invalid_options(errors)) }
}
