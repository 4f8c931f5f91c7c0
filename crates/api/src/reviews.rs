//! Kinds that are questions, not objects: access reviews, token reviews, self reviews. Created, answered, never stored.

use crate::access_control;
use crate::authenticate;
use crate::call::{Call, Target};
use crate::codec;
use crate::respond::{self, Answer};
use access::attributes::Attributes;
use access::rbac::{self, Decision};
use access::{UserInfo, tokens};
use object::{ApiError, Result, Value, json, meta};

/// Answers a create of a review; `None` for every other kind.
pub(crate) async fn answer(call: &Call, target: &Target) -> Option<Result<Answer>> {
    let storage = &target.resource.storage;
    let known = matches!(
        (storage.group.as_str(), storage.resource.as_str()),
        ("authorization.k8s.io", _)
            | ("authentication.k8s.io", "tokenreviews" | "selfsubjectreviews")
            | ("", "bindings" | "componentstatuses")
    );
    if !known {
        return None;
    }
    Some(review(call, target).await)
}

async fn review(call: &Call, target: &Target) -> Result<Answer> {
    if call.method == http::Method::GET {
        return components(call, target);
    }
    codec::check_options(call, "CreateOptions")?;
    let mut object = codec::decode_body(call, target, &target.resource)?;
    if target.resource.storage.resource == "bindings" {
        codec::match_path(target, &mut object)?;
        return crate::subresources::bind_named(call, target, object).await;
    }
    let errors = crate::pending::validation::validate_create(&target.resource.gvk(), &object);
    if !errors.is_empty() {
        return Err(ApiError::Invalid {
            kind: target.resource.group_kind(),
            name: meta::name(&object).into(),
            errors,
        });
    }
    let status = match target.resource.storage.resource.as_str() {
        "selfsubjectaccessreviews" => access_review(call, call.user.clone(), &object["spec"]).await?,
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            access_review(call, subject(&object["spec"]), &object["spec"]).await?
        }
        "selfsubjectrulesreviews" => {
            let namespace = object["spec"]["namespace"].as_str().unwrap_or("");
            rbac::rules_review_status(&call.api.access.read().await?.state.index, &call.user, namespace)
        }
        "selfsubjectreviews" => json!({"userInfo": call.user.to_json()}),
        _ => token_review(call, &object["spec"]).await?,
    };
    object["status"] = status;
    if target.resource.storage.resource.starts_with("selfsubjectreview") {
        meta::set(&mut object, "creationTimestamp", object::time::format(call.now));
    }
    respond::object(call, target, 201, object.into())
}

fn subject(spec: &Value) -> UserInfo {
    let mut user = UserInfo::from_json(spec);
    user.username = spec["user"].as_str().unwrap_or("").to_owned();
    user
}

async fn access_review(call: &Call, user: UserInfo, spec: &Value) -> Result<Value> {
    let attributes = Attributes::from_review_spec(user, spec);
    Ok(match access_control::decide(&call.api, &attributes).await? {
        Decision::Allow(reason) if reason.is_empty() => json!({"allowed": true}),
        Decision::Allow(reason) => json!({"allowed": true, "reason": reason}),
        Decision::NoOpinion(reason) if reason.is_empty() => json!({"allowed": false}),
        Decision::NoOpinion(reason) => json!({"allowed": false, "reason": reason}),
    })
}

async fn token_review(call: &Call, spec: &Value) -> Result<Value> {
    let token = spec["token"].as_str().unwrap_or("");
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let found = authenticate::token_user(&call.api, token, &audiences, call.now).await?;
    Ok(match found {
        Ok((user, audiences)) => tokens::token_review_status(&user.authenticated(), &audiences),
        Err(error) => tokens::token_review_failed(&[error]),
    })
}

/// Component statuses: deprecated, and about processes that are all this one.
fn components(call: &Call, target: &Target) -> Result<Answer> {
    call.warn("v1 ComponentStatus is deprecated in v1.19+");
    let all: Vec<Value> = ["controller-manager", "etcd-0", "scheduler"]
        .iter()
        .map(|name| {
            json!({"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name},
                "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]})
        })
        .collect();
    if target.at.name.is_empty() {
        let accepted = call.accept(target, false)?;
        return respond::list_of_values(call, target, accepted, all, &Default::default());
    }
    let one = all.into_iter().find(|c| meta::name(c) == target.at.name).ok_or_else(|| target.not_found())?;
    respond::object(call, target, 200, one.into())
}
