//! LIST: consistent pages of a collection.

use crate::call::{Call, Target};
use crate::list_options::{ListOptions, parse_version};
use crate::respond::{self, Answer, ListMeta};
use crate::selection::Selection;
use crate::verbs::large::{Large, PIECE};
use crate::{failure, keys};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use object::{ApiError, Result, Value, json};
use store::{Entry, ListRequest, Revision, StoreError};

pub(crate) async fn list(call: Call, target: Target) -> Result<Answer> {
    let accepted = call.accept(&target, false)?;
    let (options, selection) = ListOptions::new(&call, &target)?;
    call.learn_version().await?;
    let (entries, mut about) = select(&call, &target, &options, &selection).await?;
    if options.limit > 0 || about.continue_token.is_none() {
        return respond::list(&call, &target, accepted, entries, &about).await;
    }
    // There is more, and no pages were asked for.
    drop(entries);
    about.continue_token = None;
    let after = start(&options, &keys::prefix(&target.resource, &target.at.namespace));
    Large { call, target, accepted, selection, after, about }.answer().await
}

/// The key that a list begins after.
fn start(options: &ListOptions, prefix: &str) -> Option<String> {
    let (rest, _) = read_token(&options.token).ok()?;
    Some(format!("{prefix}{rest}"))
}

/// The stored objects that are asked for, at most a page or a [piece](PIECE), and what is said about the list of them: if it
/// goes on, there is a token to go on with, whether or not pages were asked for.
pub(super) async fn select(
    call: &Call,
    target: &Target,
    options: &ListOptions,
    selection: &Selection,
) -> Result<(Vec<Entry>, ListMeta)> {
    let page = Page::new(call, options)?;
    let prefix = keys::prefix(&target.resource, &target.at.namespace);
    let gathered = gather(call, target, selection, &page, &prefix).await.map_err(|e| match e {
        Gather::Store(StoreError::Compacted(_)) => page.expired(),
        Gather::Store(e) => failure::store(e),
        Gather::Api(e) => e,
    })?;
    let about = ListMeta {
        revision: gathered.revision,
        continue_token: gathered.last.map(|key| page.token(gathered.revision, &key[prefix.len()..])),
        remaining: gathered.remaining,
    };
    Ok((gathered.entries, about))
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
        most_bytes: PIECE,
        at: page.at,
    };
    let mut entries = Vec::new();
    let (mut seen, mut bytes) = (0, 0);
    loop {
        let listing = call.api.store.list(request.clone()).await?;
        seen += listing.entries.len();
        if page.limit == 0 || listing.remaining == 0 {
            call.api.flow.learn(prefix, seen + listing.remaining);
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
                bytes += entry.value.len();
                entries.push(entry);
                if bytes >= PIECE || (page.limit > 0 && entries.len() == page.limit) {
                    full = Some(key);
                    break;
                }
            }
        }
        // One named object is not followed by others.
        let single =
            selection.name.is_some() && (!target.resource.namespaced() || !target.at.namespace.is_empty());
        let more = !single && (listing.remaining > 0 || (full.is_some() && full != last));
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
    fn new(call: &Call, options: &ListOptions) -> Result<Self> {
        let limit = options.limit;
        if !options.token.is_empty() {
            return Self::resume(options);
        }
        let wanted = parse_version(&options.version)
            .map_err(|why| ApiError::BadRequest(format!("invalid resource version: {why}")))?;
        let exact = options.matching == "Exact" || (options.matching.is_empty() && limit > 0 && wanted > 0);
        let current = call.api.store.revision();
        if wanted > current.0 {
            return Err(failure::too_large(Revision(wanted), current));
        }
        // At "any version", pages are not asked for.
        let limit = if options.version == "0" && options.matching != "Exact" { 0 } else { limit };
        Ok(Self { limit, after: None, at: (exact && wanted > 0).then_some(Revision(wanted)) })
    }

    /// Goes on where a token says.
    fn resume(options: &ListOptions) -> Result<Self> {
        let (start, revision) = read_token(&options.token).map_err(|why| {
            ApiError::BadRequest(format!("invalid continue token: continue key is not valid: {why}"))
        })?;
        if !matches!(options.version.as_str(), "" | "0") {
            return Err(ApiError::BadRequest(
                "specifying resource version is not allowed when using continue".into(),
            ));
        }
        // A negative version marks a token that goes on without consistency.
        let at = (revision > 0).then_some(Revision(revision as u64));
        let limit = if options.version == "0" { 0 } else { options.limit };
        Ok(Self { limit, after: Some(start), at })
    }

    fn token(&self, revision: Revision, last: &str) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision.0, "start": format!("{last}\0")});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn expired(&self) -> ApiError {
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

/// Bits beyond the last byte do not matter.
const AS_GO_READS: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a continue token goes on, and at which version.
fn read_token(token: &str) -> std::result::Result<(String, i64), String> {
    let text = AS_GO_READS.decode(token).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                token.len() / 4 * 4
            }
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    let token: Value = serde_json::from_slice(&text)
        .map_err(|e| schema::decode::check_json(&text).err().unwrap_or_else(|| e.to_string()))?;
    let version = token["v"].as_str().unwrap_or("");
    if version != "meta.k8s.io/v1" {
        return Err(format!("server does not recognize this encoded version {version}"));
    }
    let revision = token["rv"].as_i64().unwrap_or(0);
    let start = token["start"].as_str().unwrap_or("");
    if revision == 0 {
        return Err("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into());
    }
    if start.is_empty() {
        return Err("encoded start key empty (version meta.k8s.io/v1)".into());
    }
    let parts: Vec<&str> = start.strip_prefix('/').unwrap_or(start).split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err(start.to_owned());
    }
    Ok((parts.join("/").trim_end_matches('\0').to_owned(), revision))
}
