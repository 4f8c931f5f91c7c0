//! TokenRequest: a short-lived token of a service account, bound to a pod, secret or node if asked.

use crate::call::{Call, Target};
use crate::respond::{self, Answer};
use crate::{codec, failure, stored};
use access::tokens::{BoundObject, TokenRequest};
use object::{ApiError, GroupResource, Result, Value, meta};

pub(super) async fn answer(call: &Call, target: &Target) -> Result<Answer> {
    codec::check_options(call, "CreateOptions")?;
    let account = get(call, target.key()).await?.ok_or_else(|| target.not_found())?;
    let body = codec::decode_body(call, target, &target.resource)?;
    crate::admission::node_restriction::token(call, target, &body).await?;
    let mut asked = body.clone();
    crate::managed::on_token(call, target, &mut asked);
    let config = &call.api.config;
    let audiences = &config.verifier.api_audiences;
    let limit = config.access.max_token_seconds;
    let mut request =
        TokenRequest::read(body, meta::namespace(&account), meta::name(&account), audiences, limit)?;
    request.extend = config.access.extend_tokens;
    if let Some(warning) = &request.warning {
        call.warn(warning.clone());
    }
    let wanted = request.bound_object()?;
    let bound = match &wanted {
        None => None,
        Some(wanted) => Some((wanted, bound_object(call, &account, wanted).await?)),
    };
    let node = match &bound {
        Some((wanted, pod)) if wanted.resource == "pods" => {
            let name = pod["spec"]["nodeName"].as_str().unwrap_or("");
            get(call, format!("/core/nodes/{name}")).await?
        }
        _ => None,
    };
    let bound = bound.as_ref().map(|(wanted, object)| (*wanted, object));
    let issuer = config.issuer.get().await;
    let issuer = issuer.map_err(|e| ApiError::Internal(format!("failed to generate token: {e}")))?;
    call.annotate("authentication.kubernetes.io/issued-credential-id", &format!("JTI={}", request.id));
    let mut granted =
        request.grant(&issuer, audiences, &account, bound, node.as_ref(), call.now.as_second())?;
    if let Some(managed) = asked["metadata"].get("managedFields") {
        meta::set(&mut granted, "managedFields", managed.clone());
    }
    let accepted = call.accept(target, false)?;
    Ok(respond::bytes(201, accepted.media.name(), respond::encode(call, target, accepted, &granted)?))
}

async fn get(call: &Call, key: String) -> Result<Option<Value>> {
    let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
    Ok(entry.as_ref().and_then(stored::decode))
}

async fn bound_object(call: &Call, account: &Value, wanted: &BoundObject) -> Result<Value> {
    let key = match wanted.resource {
        "nodes" => format!("/core/nodes/{}", wanted.name),
        resource => format!("/core/{resource}/{}/{}", meta::namespace(account), wanted.name),
    };
    let missing = || ApiError::NotFound {
        resource: GroupResource::new("", wanted.resource),
        name: wanted.name.clone(),
    };
    get(call, key).await?.ok_or_else(missing)
}
