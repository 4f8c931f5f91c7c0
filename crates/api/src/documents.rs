//! Everything that is not a resource: discovery, OpenAPI, health, version, keys.

use crate::aggregation;
use crate::call::Call;
use crate::respond::{self, Answer};
use crate::serve::not_allowed;
use access::tokens;
use kinds::Registry;
use object::{ApiError, Result, json};
use openapi::{AggregatedVersion, Documents};
use parking_lot::Mutex;
use std::sync::Arc;

/// The documents of the registry last asked about, and of what other servers served beside it.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Option<(Arc<Registry>, Arc<[AggregatedVersion]>, Arc<Documents>)>>);

impl Cache {
    fn of(&self, registry: Arc<Registry>, others: Arc<[AggregatedVersion]>) -> Arc<Documents> {
        let mut held = self.0.lock();
        match &*held {
            Some((known, with, documents))
                if Arc::ptr_eq(known, &registry)
                    && (Arc::ptr_eq(with, &others) || others.is_empty() && with.is_empty()) =>
            {
                documents.clone()
            }
            _ => {
                let documents = Arc::new(Documents::aggregating(registry.clone(), others.clone()));
                *held = Some((registry, others, documents.clone()));
                documents
            }
        }
    }
}

pub(crate) async fn answer(call: &Call) -> Result<Answer> {
    let path = call.info.path.as_str();
    if let Some(health) = openapi::health(path, &call.query_text(), &[]) {
        return Ok(send(health));
    }
    match path {
        _ if is_restful(path) => restful(call).await,
        "/metrics" => Ok(respond::bytes(
            200,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            call.api.flow.text().await + &call.api.metrics.text(),
        )),
        _ => document(call).await,
    }
}

/// Paths that know methods and media types; the others answer whatever they are asked.
fn is_restful(path: &str) -> bool {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    matches!(
        words.as_slice(),
        ["api", ..]
            | ["apis", _, _, ..]
            | ["version", ..]
            | [".well-known", "openid-configuration"]
            | ["openid", "v1", "jwks"]
    )
}

async fn restful(call: &Call) -> Result<Answer> {
    let path = call.info.path.trim_end_matches('/');
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let registry = call.api.registry().await?;
    // A version that a group does not have is no path, whatever is asked of it.
    let missing = match words.as_slice() {
        ["api", version] => registry.version("", version).is_none(),
        ["apis", group, version] => {
            registry.group(group).is_some() && registry.version(group, version).is_none()
        }
        _ => false,
    };
    if missing {
        return Err(ApiError::NoSuchPath);
    }
    let found = match path {
        "/version" | "/openid/v1/jwks" | "/.well-known/openid-configuration" => None,
        _ if path.starts_with("/version/") => return Err(ApiError::NoSuchPath),
        _ => Some(document(call).await),
    };
    // What is not there has no methods; what is refused for its form is there.
    if let Some(Err(ApiError::NoSuchPath)) = found {
        return Err(ApiError::NoSuchPath);
    }
    if let Some(Ok(page)) = &found
        && page.status() == 404
    {
        let core = path.starts_with("/api/");
        return if core { Err(ApiError::NoSuchPath) } else { found.unwrap_or(Err(ApiError::NoSuchPath)) };
    }
    if call.method != http::Method::GET {
        return Err(not_allowed());
    }
    let only = if found.is_none() { "application/json" } else { crate::negotiate::OBJECTS };
    match found {
        Some(found) => {
            takes(call, only)?;
            found
        }
        None if path == "/version" => {
            takes(call, only)?;
            Ok(respond::bytes(200, "application/json", version().to_string()))
        }
        None => keys_of(call, path).await,
    }
}

/// One of the media types `names` has to be accepted by name.
fn takes(call: &Call, names: &str) -> Result<()> {
    let accept = call.header("accept");
    let taken = |clause: &str| {
        let name = clause.split(';').next().unwrap_or("").trim();
        name == "*/*" || names.split(", ").any(|known| known == name)
    };
    if accept.is_empty() || accept.split(',').any(taken) {
        return Ok(());
    }
    Err(crate::negotiate::no_representation(names))
}

/// How tokens are verified, for other programs.
async fn keys_of(call: &Call, path: &str) -> Result<Answer> {
    match path {
        "/openid/v1/jwks" => {
            let keys = tokens::jwks(&token_keys(call).await?);
            published(call, "application/jwk-set+json", keys.to_string())
        }
        _ => published(call, "application/json", openid_configuration(call).await?.to_string()),
    }
}

/// A document that others may keep for a while, in the one form it has.
fn published(call: &Call, media: &str, text: String) -> Result<Answer> {
    takes(call, media)?;
    let mut answer = respond::bytes(200, media, text);
    let public = http::HeaderValue::from_static("public, max-age=3600");
    answer.headers_mut().insert(http::header::CACHE_CONTROL, public);
    Ok(answer)
}

async fn openid_configuration(call: &Call) -> Result<object::Value> {
    let config = &call.api.config;
    let jwks_uri = match config.access.jwks_uri.as_str() {
        "" => format!("https://{}/openid/v1/jwks", config.advertise),
        elsewhere => elsewhere.to_owned(),
    };
    Ok(tokens::openid_configuration(config.issuer.url(), &jwks_uri, &token_keys(call).await?))
}

/// The keys that verify tokens, the one that signs them first.
async fn token_keys(call: &Call) -> Result<Vec<access::PublicKey>> {
    let config = &call.api.config;
    let issuer = config.issuer.get().await.map_err(|e| ApiError::Internal(e.0))?;
    let mut keys = vec![issuer.public_key().clone()];
    keys.extend(config.verifier.keys.iter().filter(|key| *key != issuer.public_key()).cloned());
    Ok(keys)
}

async fn document(call: &Call) -> Result<Answer> {
    if let Some(answer) = aggregation::openapi(call).await? {
        return Ok(answer);
    }
    let others = aggregation::versions(&call.api).await?;
    let documents = call.api.documents.of(call.api.registry().await?, others);
    let (path, headers, query) = (call.info.path.clone(), call.headers.clone(), call.query_text());
    let found = if path == "/openapi/v2" {
        // Of thousands of custom resources it takes a second to build, once for each change: not on others' time.
        let building = tokio::task::spawn_blocking(move || documents.get(&path, &headers, &query));
        building.await.map_err(|e| ApiError::Internal(e.to_string()))??
    } else {
        documents.get(&path, &headers, &query)?
    };
    Ok(found.map_or_else(page_not_found, send))
}

fn send(document: openapi::Document) -> Answer {
    let mut body = document.body;
    // Documents are kept as JSON.
    if document.content_type.starts_with("application/yaml")
        && let Ok(value) = serde_json::from_slice::<object::Value>(&body)
    {
        body = crate::yaml::to_string(&value).into();
    }
    let mut answer = respond::bytes(document.code, &document.content_type, body);
    if document.content_type.is_empty() {
        answer.headers_mut().remove(http::header::CONTENT_TYPE);
    }
    for (name, value) in document.headers {
        match http::HeaderValue::try_from(value) {
            Ok(value) if name == "vary" => _ = answer.headers_mut().append(name, value),
            Ok(value) => _ = answer.headers_mut().insert(name, value),
            Err(_) => {}
        }
    }
    answer
}

/// A path that looks like a resource's but is not served.
pub(crate) async fn answer_unknown(call: &Call) -> Result<Answer> {
    let Some(at) = &call.info.resource else { return Ok(page_not_found()) };
    let registry = call.api.registry().await?;
    let custom = || registry.custom().any(|resource| resource.gvr.group == at.group);
    if !at.group.is_empty() && (registry.group(&at.group).is_none() || custom()) {
        return Ok(page_not_found());
    }
    // The collection of a namespaced resource without its namespace can only be listed.
    let collection = registry
        .get(&at.group, &at.version, &at.resource)
        .is_some_and(|r| r.namespaced() && !at.in_namespace);
    if collection && at.name.is_empty() && call.method != http::Method::GET {
        return Err(not_allowed());
    }
    Err(ApiError::NoSuchPath)
}

fn page_not_found() -> Answer {
    respond::bytes(404, "text/plain; charset=utf-8", "404 page not found\n")
}

fn version() -> object::Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35", "gitVersion": format!("v1.36.2+joey.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "rust",
        "compiler": "rustc", "platform": "linux/amd64",
    })
}
