//! Eviction: a deletion that disruption budgets may refuse.

use crate::call::{Call, Target};
use crate::respond::{self, Answer};
use crate::verbs::delete::{self, options_from};
use crate::{codec, failure, managed, stored};
use object::{ApiError, Cause, LabelSelector, Result, Value, json, meta};
use store::{Entry, Expect, ListRequest, StoreError};

pub(super) async fn answer(call: &Call, target: &Target) -> Result<Answer> {
    codec::check_options(call, "CreateOptions")?;
    let mut eviction = codec::decode_either(call, target, &["policy/v1beta1"])?;
    let name = meta::name(&eviction);
    if name != target.at.name {
        return Err(ApiError::BadRequest("name in URL does not match name in Eviction object".into()));
    }
    codec::match_path(target, &mut eviction)?;
    let (entry, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
    let pod = entry.as_ref().and_then(stored::decode).ok_or_else(|| target.not_found())?;
    crate::admission::node_restriction::eviction(call, target, &pod)?;
    let mut options = options_from(&eviction["deleteOptions"]);
    options.dry_run |= call.dry_run();
    if !is_free(&pod) {
        take_budget(call, target, &pod, options.dry_run).await?;
    }
    delete::check_preconditions(target, &options, &pod)?;
    if !options.dry_run {
        mark_disrupted(call, target).await?;
    }
    delete::delete_object(call, target, &options).await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let accepted = call.accept(target, false)?;
    Ok(respond::bytes(201, accepted.media.name(), respond::encode(call, target, accepted, &status)?))
}

/// The pod says why it goes.
async fn mark_disrupted(call: &Call, target: &Target) -> Result<()> {
    let now = object::time::format(call.now);
    for _ in 0..16 {
        let (entry, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
        let entry = entry.ok_or_else(|| target.not_found())?;
        let mut pod = stored::decode(&entry).ok_or_else(|| target.not_found())?;
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
            "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        });
        let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|c| c["type"] != "DisruptionTarget");
        conditions.push(condition);
        pod["status"]["conditions"] = conditions.into();
        let value = Some(stored::encode(&pod));
        let expect = Expect::At(entry.mod_revision);
        match call.api.store.write(store::Write { key: entry.key, expect, value, ttl: None }).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
    Err(crate::verbs::update::modified(target))
}

/// A pod that has ended, never started or is going away disrupts nothing.
fn is_free(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"))
        || meta::deletion_timestamp(pod).is_some()
}

async fn take_budget(call: &Call, target: &Target, pod: &Value, dry_run: bool) -> Result<()> {
    let prefix = format!("/policy/poddisruptionbudgets/{}/", target.at.namespace);
    for _ in 0..16 {
        let listing = call
            .api
            .store
            .list(ListRequest { prefix: prefix.clone(), ..Default::default() })
            .await
            .map_err(failure::store)?;
        let budgets: Vec<(Entry, Value)> = listing
            .entries
            .into_iter()
            .filter_map(|e| stored::decode(&e).map(|b| (e, b)))
            .filter(|(_, b)| {
                LabelSelector::from_object(&b["spec"]["selector"]).is_ok_and(|s| s.matches_object(pod))
            })
            .collect();
        let (entry, budget) = match budgets.as_slice() {
            [] => return Ok(()),
            [one] => one,
            _ => return Err(failure::plain("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.".into())),
        };
        if !is_ready(pod) && unhealthy_may_go(budget) {
            return Ok(());
        }
        let mut taken = disrupt(call, budget, pod)?;
        if let Some(resource) = call.api.registry().await?.get("policy", "v1", "poddisruptionbudgets") {
            managed::on_status(call, resource, "kube-apiserver", budget, &mut taken);
        }
        if dry_run {
            return Ok(());
        }
        let write = store::Write {
            key: entry.key.clone(),
            expect: Expect::At(entry.mod_revision),
            value: Some(stored::encode(&taken)),
            ttl: None,
        };
        match call.api.store.write(write).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
    Err(ApiError::TooManyRequests {
        message: "couldn't update the disruption budget".into(),
        retry_after: 10,
        causes: vec![],
    })
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn unhealthy_may_go(budget: &Value) -> bool {
    let status = &budget["status"];
    match budget["spec"]["unhealthyPodEvictionPolicy"].as_str() {
        Some("AlwaysAllow") => true,
        _ => {
            status["currentHealthy"].as_i64() >= status["desiredHealthy"].as_i64()
                && status["desiredHealthy"].as_i64().unwrap_or(0) > 0
        }
    }
}

fn disrupt(call: &Call, budget: &Value, pod: &Value) -> Result<Value> {
    let refuse = |retry_after, detail: String| {
        let cause = Cause { reason: "DisruptionBudget".into(), message: detail, field: String::new() };
        let message = "Cannot evict pod as it would violate the pod's disruption budget.".into();
        Err(ApiError::TooManyRequests { message, retry_after, causes: vec![cause] })
    };
    let name = meta::name(budget);
    let status = &budget["status"];
    if status["observedGeneration"].as_i64().unwrap_or(0) < meta::generation(budget) {
        return refuse(10, format!("The disruption budget {name} is still being processed by the server."));
    }
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    let forbidden = |reason: &str| {
        let resource = object::GroupResource::new("policy", "poddisruptionbudget");
        Err(ApiError::Forbidden { resource, name: name.into(), reason: reason.into() })
    };
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        return refuse(0, why_none(name, status));
    }
    let mut budget = budget.clone();
    disruption_condition(call, &mut budget, allowed - 1);
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    budget["status"]["disruptedPods"][meta::name(pod)] = object::time::format(call.now).into();
    Ok(budget)
}

/// More evictions than these are not let through before the disruption controller has seen them.
const MOST_DISRUPTED: usize = 2000;

/// Why a budget allows no disruption.
fn why_none(name: &str, status: &Value) -> String {
    let none = format!("The disruption budget {name} does not allow evicting pods currently");
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let refusal = conditions
        .into_iter()
        .find(|c| c["type"] == "DisruptionAllowed" && c["status"] == "False")
        .map(|c| (c["reason"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or("")))
        .filter(|(_, message)| !message.is_empty());
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    let (desired, current) = (number("desiredHealthy"), number("currentHealthy"));
    match refusal {
        Some(("SyncFailed", message)) => format!("{none} because it failed sync: {message}"),
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, message)) => format!("{none} ({reason}): {message}"),
        None => none,
    }
}

/// `DisruptionAllowed`, as the disruption controller keeps it.
fn disruption_condition(call: &Call, budget: &mut Value, allowed: i64) {
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut conditions = budget["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let held = conditions.iter().find(|c| c["type"] == "DisruptionAllowed" && c["status"] == status);
    let since =
        held.map_or_else(|| object::time::format(call.now).into(), |c| c["lastTransitionTime"].clone());
    conditions.retain(|c| c["type"] != "DisruptionAllowed");
    conditions.push(json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "lastTransitionTime": since,
        "observedGeneration": budget["status"]["observedGeneration"],
    }));
    budget["status"]["conditions"] = conditions.into();
}
