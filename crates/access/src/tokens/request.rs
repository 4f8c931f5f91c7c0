//! A `TokenRequest`: defaults, validation, and the token that answers it.

use super::claims::{Claims, ObjectRef, TokenIssuer};
use object::{ApiError, FieldError, GroupKind, GroupResource, Path, Result, meta};
use serde_json::{Value, json};

/// What a projected token asks for when it may be used for a year (warned about after this many seconds), so that
/// clients which never read it again keep working.
pub const WARN_ONLY_SECONDS: i64 = 3607;
/// The year.
pub const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;

/// A request that passed validation.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    object: Value,
    audiences: Vec<String>,
    seconds: i64,
    /// The token's `jti`.
    pub id: String,
    /// May a token of a pod live for a year, when it is one of those that are asked for again anyway?
    pub extend: bool,
    /// A warning for the client, when what it asked for was cut down.
    pub warning: Option<String>,
}

/// What a token is to be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundObject {
    /// `pods`, `secrets` or `nodes`.
    pub resource: &'static str,
    /// Its name.
    pub name: String,
    uid: String,
}

fn kind() -> GroupKind {
    GroupKind { group: "authentication.k8s.io".into(), kind: "TokenRequest".into() }
}

impl TokenRequest {
    /// Reads the body of a request for the account's token: fills in defaults (`audiences`: the API server's), checks
    /// it, cuts the duration to `max_seconds` (0: no limit).
    pub fn read(
        mut object: Value,
        namespace: &str,
        service_account: &str,
        audiences: &[String],
        max_seconds: i64,
    ) -> Result<Self> {
        let given = |field: &str| object["metadata"][field].as_str().unwrap_or("");
        if !given("namespace").is_empty() && given("namespace") != namespace {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::BadRequest(message.into()));
        }
        if !given("name").is_empty() && given("name") != service_account {
            let message = "must match the service account name if specified";
            let error =
                FieldError::invalid(&Path::new("metadata").field("name"), &given("name").into(), message);
            return Err(ApiError::Invalid {
                kind: kind(),
                name: service_account.into(),
                errors: vec![error],
            });
        }
        let spec = meta::child_mut(&mut object, "spec");
        if spec.get("audiences").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            spec.insert("audiences".into(), audiences.to_vec().into());
        }
        let given = spec.get("expirationSeconds").filter(|seconds| !seconds.is_null());
        let mut seconds = given.map_or(DEFAULT_SECONDS, |seconds| seconds.as_i64().unwrap_or(0));
        let refused = match seconds {
            ..MIN_SECONDS => Some("may not specify a duration less than 10 minutes"),
            MIN_SECONDS..=MAX_SECONDS => None,
            _ => Some("may not specify a duration larger than 2^32 seconds"),
        };
        if let Some(message) = refused {
            let error = FieldError::invalid(&Path::new("spec.expirationSeconds"), &seconds.into(), message);
            return Err(ApiError::Invalid { kind: kind(), name: String::new(), errors: vec![error] });
        }
        let mut warning = None;
        if max_seconds > 0 && seconds > max_seconds {
            warning =
                Some(format!("requested expiration of {seconds} seconds shortened to {max_seconds} seconds"));
            seconds = max_seconds;
        }
        spec.insert("expirationSeconds".into(), seconds.into());
        spec.entry("boundObjectRef").or_insert(Value::Null);
        let audiences = super::jwt::audiences(&json!({"aud": spec["audiences"]}));
        Ok(Self { object, audiences, seconds, id: uuid::Uuid::new_v4().to_string(), extend: true, warning })
    }

    /// The object the token is to be bound to, to be looked up and given to [`grant`](Self::grant).
    pub fn bound_object(&self) -> Result<Option<BoundObject>> {
        let reference = &self.object["spec"]["boundObjectRef"];
        if !reference.is_object() {
            return Ok(None);
        }
        let text = |key: &str| reference[key].as_str().unwrap_or("");
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let resource = match (group, text("kind")) {
            ("", "Pod") => "pods",
            ("", "Secret") => "secrets",
            ("", "Node") => "nodes",
            (group, kind) => {
                let message = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
                return Err(ApiError::BadRequest(message));
            }
        };
        if text("name").is_empty() {
            return Err(ApiError::BadRequest("Name parameter required.".into()));
        }
        Ok(Some(BoundObject { resource, name: text("name").into(), uid: text("uid").into() }))
    }

    /// Makes the token. `service_account` and `bound` are the objects; `node` is the bound pod's node, if known.
    /// Gives the `TokenRequest` to answer.
    pub fn grant(
        mut self,
        issuer: &TokenIssuer,
        api_audiences: &[String],
        service_account: &Value,
        bound: Option<(&BoundObject, &Value)>,
        node: Option<&Value>,
        now: i64,
    ) -> Result<Value> {
        let mut claims = Claims {
            namespace: meta::namespace(service_account).into(),
            service_account: ObjectRef::of(service_account),
            issued_at: now,
            expires_at: now + self.seconds,
            audiences: self.audiences,
            id: self.id,
            ..Claims::default()
        };
        if let Some((wanted, object)) = bound {
            bind(&mut claims, wanted, object, node)?;
        }
        let for_api = claims.audiences.iter().all(|audience| api_audiences.contains(audience));
        if self.extend && claims.pod.is_some() && self.seconds == WARN_ONLY_SECONDS && for_api {
            claims.warn_after = Some(now + self.seconds);
            claims.expires_at = now + EXTENDED_SECONDS;
        }
        let token = issuer
            .issue(&claims)
            .map_err(|e| ApiError::Internal(format!("failed to generate token: {e}")))?;
        let time = |seconds: i64| {
            jiff::Timestamp::from_second(seconds).map(object::time::format).unwrap_or_default()
        };
        self.object["apiVersion"] = "authentication.k8s.io/v1".into();
        self.object["kind"] = "TokenRequest".into();
        meta::set(&mut self.object, "name", claims.service_account.name);
        meta::set(&mut self.object, "namespace", claims.namespace);
        meta::set(&mut self.object, "uid", claims.service_account.uid);
        meta::set(&mut self.object, "creationTimestamp", time(now));
        self.object["status"] = json!({"token": token, "expirationTimestamp": time(now + self.seconds)});
        Ok(self.object)
    }
}

fn bind(claims: &mut Claims, wanted: &BoundObject, object: &Value, node: Option<&Value>) -> Result<()> {
    let kind = match wanted.resource {
        "pods" => {
            let account = object["spec"]["serviceAccountName"].as_str().unwrap_or("");
            if account != claims.service_account.name {
                return Err(ApiError::BadRequest(format!(
                    "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                    object::error::quote(&claims.service_account.name)
                )));
            }
            claims.pod = Some(ObjectRef::of(object));
            let node_name = object["spec"]["nodeName"].as_str().filter(|name| !name.is_empty());
            claims.node = node_name.map(|name| match node {
                Some(node) => ObjectRef::of(node),
                None => ObjectRef { name: name.into(), uid: String::new() },
            });
            "Pod"
        }
        "secrets" => {
            claims.secret = Some(ObjectRef::of(object));
            "Secret"
        }
        _ => {
            claims.node = Some(ObjectRef::of(object));
            "Node"
        }
    };
    if !wanted.uid.is_empty() && wanted.uid != meta::uid(object) {
        return Err(ApiError::Conflict {
            resource: GroupResource::new("", kind),
            name: wanted.name.clone(),
            reason: format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
                 deleted and then recreated",
                wanted.uid
            ),
        });
    }
    Ok(())
}
