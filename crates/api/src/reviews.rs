//! Kinds that are questions, not objects: access reviews, token reviews, self reviews. Created, answered, never stored.

use crate::access_control;
use crate::authenticate;
use crate::call::{Call, Target};
use crate::codec;
use crate::negotiate::Accepted;
use crate::respond::{self, Answer};
use access::access_review::{AccessReview, access_review_status};
use access::{rbac, tokens};
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
        return components(call, target).await;
    }
    call.accept(target, false)?;
    codec::check_options(call, "CreateOptions")?;
    let mut object = codec::decode_body(call, target, &target.resource)?;
    if target.resource.storage.resource == "bindings" {
        codec::match_path(target, &mut object)?;
        return crate::subresources::bind_named(call, target, object).await;
    }
    let what = target.resource.storage.resource.as_str();
    codec::match_path(target, &mut object)?;
    // What only the server says is not looked at.
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        meta::unset(&mut object, field);
    }
    crate::managed::on_token(call, target, &mut object);
    object["status"] = match what {
        "selfsubjectaccessreviews" => access_review(call, AccessReview::Own(&call.user), &object).await?,
        "subjectaccessreviews" => access_review(call, AccessReview::Subject, &object).await?,
        "localsubjectaccessreviews" => {
            access_review(call, AccessReview::Local(&target.at.namespace), &object).await?
        }
        "selfsubjectrulesreviews" => {
            let namespace = object["spec"]["namespace"].as_str().unwrap_or("").to_owned();
            if namespace.is_empty() {
                return Err(ApiError::BadRequest("no namespace on request".into()));
            }
            // Kubernetes answers with the status alone.
            object = json!({"kind": object["kind"], "apiVersion": object["apiVersion"], "metadata": {}, "spec": {}});
            rbac::rules_review_status(&call.api.access.read().await?.state.index, &call.user, &namespace)
        }
        "selfsubjectreviews" => {
            // As of the rules, nothing is left of what was sent.
            object = json!({"kind": object["kind"], "apiVersion": object["apiVersion"], "metadata": {}});
            meta::set(&mut object, "creationTimestamp", object::time::format(call.now));
            json!({"userInfo": call.user.to_json()})
        }
        _ => token_review(call, &object["spec"]).await?,
    };
    if what == "selfsubjectrulesreviews" && !call.pretty() && call.accept(target, false)? == Accepted::PLAIN {
        return Ok(respond::bytes(201, "application/json", rules_text(&object)));
    }
    respond::object(call, target, 201, object.into()).await
}

/// A rules review with the fields of rules in Kubernetes' order, for people who read it.
fn rules_text(review: &Value) -> String {
    let fields = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
    let rule = |rule: &Value| {
        let present = fields.iter().filter_map(|f| rule.get(*f).map(|v| format!("\"{f}\":{v}")));
        format!("{{{}}}", present.collect::<Vec<_>>().join(","))
    };
    let list = |field: &str| {
        let rules = review["status"][field].as_array().into_iter().flatten();
        rules.map(rule).collect::<Vec<_>>().join(",")
    };
    format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{{}},\"spec\":{{}},\"status\":{{\"resourceRules\":[{}],\"nonResourceRules\":[{}],\"incomplete\":{}}}}}",
        review["kind"],
        review["apiVersion"],
        list("resourceRules"),
        list("nonResourceRules"),
        review["status"]["incomplete"] == true
    )
}

async fn access_review(call: &Call, review: AccessReview<'_>, object: &Value) -> Result<Value> {
    let attributes = review.attributes(object)?;
    let mut status = access_review_status(&access_control::decide(&call.api, &attributes).await?);
    let ignored = access::access_review::ignored_selectors(&object["spec"]);
    if !ignored.is_empty() {
        status["evaluationError"] = ignored.into();
    }
    Ok(status)
}

async fn token_review(call: &Call, spec: &Value) -> Result<Value> {
    let token = spec["token"].as_str().unwrap_or("");
    if token.is_empty() {
        return Err(ApiError::BadRequest("token is required for TokenReview in authentication".into()));
    }
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let found = authenticate::token_user(call, token, &audiences).await?;
    Ok(match found {
        Ok(found) => tokens::token_review_status(&found.user, &found.audiences),
        Err(errors) => tokens::token_review_failed(&errors),
    })
}

/// Component statuses: deprecated, and about processes that are all this one.
async fn components(call: &Call, target: &Target) -> Result<Answer> {
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
    respond::object(call, target, 200, one.into()).await
}
