//! Resource claims (DRA): makes those of pods' templates, and gives back what no pod uses any more.
//!
//! Allocating is the scheduler's. A reservation counts as stale only when the API itself says that its pod is gone.

use crate::common::pods;
use crate::driver::Shell;
use crate::plan::{Action, Controller, Event, Key, Plan, Verb};
use crate::resources::{PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS};
use client::{Cache, Change, Patch};
use futures::future::BoxFuture;
use object::{GroupVersionResource, Result, meta};
use serde_json::{Value, json};
use std::sync::Arc;

const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
const POD_CLAIM: &str = "resource.kubernetes.io/pod-claim-name";
/// The longest name before the five letters that the server adds.
const LONGEST: usize = 57;
/// The most pods that may share a claim.
const SHARED: usize = 256;
/// What keys of claims begin with; those of pods are plain names.
const OF_CLAIM: &str = "claim/";

pub(crate) struct ResourceClaimController;

impl Controller for ResourceClaimController {
    fn name(&self) -> &'static str {
        "resourceclaim-controller"
    }

    fn component(&self) -> &'static str {
        "resource_claim"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PODS, &RESOURCE_CLAIMS, &RESOURCE_CLAIM_TEMPLATES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        let namespace = &entry.namespace;
        if change.is(&RESOURCE_CLAIMS) {
            if change.new.is_some() {
                add(Key::new(namespace, &format!("{OF_CLAIM}{}", entry.name)));
            }
            let pod = entry.owners.iter().find(|owner| owner.controller && &*owner.kind == "Pod");
            pod.into_iter().for_each(|pod| add(Key::new(namespace, &pod.name)));
        } else if change.is(&RESOURCE_CLAIM_TEMPLATES) {
            if change.new.is_some() {
                let waiting = cache.values(&PODS, namespace);
                let waiting = waiting.iter().filter(|pod| claims(pod).next().is_some());
                waiting.for_each(|pod| add(Key::new(namespace, meta::name(pod))));
            }
        } else {
            if entry.at(&["spec", "resourceClaims"]).is_none() {
                return;
            }
            let Some(pod) = entry.value().filter(|pod| claims(pod).next().is_some()) else { return };
            if change.new.is_some() && !is_done(&pod) {
                add(Key::new(namespace, &entry.name));
                return;
            }
            for claim in claims(&pod).filter_map(|claim| named(&pod, claim)) {
                add(Key::new(namespace, &format!("{OF_CLAIM}{claim}")));
            }
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let cache = &shell.cache;
            let Some(name) = key.name.strip_prefix(OF_CLAIM) else {
                let pod = cache.get(&PODS, &key.namespace, &key.name);
                return Ok(pod.map_or_else(Plan::nothing, |pod| of_pod(cache, &pod)));
            };
            let Some(claim) = cache.get(&RESOURCE_CLAIMS, &key.namespace, name) else {
                return Ok(Plan::nothing());
            };
            let mut stale = vec![];
            for consumer in consumers(&claim).filter(|consumer| is_pod(consumer)) {
                if !is_used_by(shell, &key.namespace, consumer).await? {
                    stale.push(consumer["uid"].clone());
                }
            }
            Ok(of_claim(cache, &claim, &stale))
        })
    }
}

fn claims(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["resourceClaims"].as_array().into_iter().flatten()
}

fn consumers(claim: &Value) -> impl Iterator<Item = &Value> {
    claim["status"]["reservedFor"].as_array().into_iter().flatten()
}

fn is_pod(consumer: &Value) -> bool {
    consumer["resource"] == "pods" && consumer["apiGroup"].as_str().unwrap_or("").is_empty()
}

/// It will not run (any more).
fn is_done(pod: &Value) -> bool {
    let unscheduled = pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    pods::is_finished(pod) || (meta::deletion_timestamp(pod).is_some() && unscheduled)
}

/// The claim that a pod's entry leads to, once it is known.
fn named<'a>(pod: &'a Value, entry: &'a Value) -> Option<&'a str> {
    if let Some(name) = entry["resourceClaimName"].as_str() {
        return Some(name);
    }
    status_of(pod, entry)?["resourceClaimName"].as_str()
}

fn status_of<'a>(pod: &'a Value, entry: &Value) -> Option<&'a Value> {
    let all = pod["status"]["resourceClaimStatuses"].as_array()?;
    all.iter().find(|status| status["name"] == entry["name"])
}

async fn is_used_by(shell: &Shell, namespace: &str, consumer: &Value) -> Result<bool> {
    let name = consumer["name"].as_str().unwrap_or("");
    let found = match shell.cache.get(&PODS, namespace, name) {
        Some(pod) => Some(pod),
        None => shell.client.find(&PODS, namespace, name).await?.map(Arc::new),
    };
    Ok(found.is_some_and(|pod| pod["metadata"]["uid"] == consumer["uid"] && !is_done(&pod)))
}

/// Makes a pod's claims, tells the pod their names, and reserves them for a pod that nobody scheduled.
fn of_pod(cache: &Cache, pod: &Value) -> Plan {
    // What will not run any more needs no claims: those it had are being taken away.
    if is_done(pod) || meta::deletion_timestamp(pod).is_some() {
        return Plan::nothing();
    }
    let mut plan = Plan::nothing();
    let mut statuses = vec![];
    for entry in claims(pod) {
        if let Err(error) = of_template(cache, pod, entry, &mut plan, &mut statuses) {
            let message = format!("PodResourceClaim {}: {error}", entry["name"].as_str().unwrap_or(""));
            let event = Event::warning(pod, "FailedResourceClaimCreation", message.clone());
            plan.push(Action::event(event));
            plan.error = Some(message);
            return plan;
        }
    }
    if !statuses.is_empty() {
        plan.push(tell(pod, statuses));
    }
    if pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty()) {
        let named = claims(pod).filter_map(|entry| named(pod, entry));
        let found = named.filter_map(|name| cache.get(&RESOURCE_CLAIMS, meta::namespace(pod), name));
        plan.actions.extend(found.filter_map(|claim| reserve(pod, &claim)));
    }
    plan
}

fn of_template(
    cache: &Cache,
    pod: &Value,
    entry: &Value,
    plan: &mut Plan,
    statuses: &mut Vec<Value>,
) -> std::result::Result<(), String> {
    let Some(template) = entry["resourceClaimTemplateName"].as_str() else { return Ok(()) };
    let namespace = meta::namespace(pod);
    if let Some(status) = status_of(pod, entry) {
        // Without a name none is needed.
        let Some(name) = status["resourceClaimName"].as_str() else { return Ok(()) };
        let known = cache.entry(&RESOURCE_CLAIMS, namespace, name);
        if known.is_some_and(|claim| claim.controller().is_some_and(|owner| *owner.uid == *meta::uid(pod))) {
            return Ok(());
        }
    }
    // It may have been made before the pod could be told.
    let owned = cache.owned_by(&RESOURCE_CLAIMS, meta::uid(pod));
    let mut owned = owned.iter().filter(|claim| !claim.deleting).filter_map(|claim| claim.value());
    let made = owned.find(|claim| meta::annotation(claim, POD_CLAIM) == entry["name"].as_str());
    if let Some(made) = made {
        statuses.push(json!({"name": entry["name"], "resourceClaimName": meta::name(&made)}));
        return Ok(());
    }
    let found = cache.get(&RESOURCE_CLAIM_TEMPLATES, namespace, template).ok_or_else(|| {
        format!("resource claim template {template:?}: resourceclaimtemplate.resource.k8s.io {template:?} not found")
    })?;
    let claim = claim(pod, entry["name"].as_str().unwrap_or(""), &found);
    plan.push(Action::create(&RESOURCE_CLAIMS, claim));
    Ok(())
}

fn claim(pod: &Value, name: &str, template: &Value) -> Value {
    let spec = &template["spec"];
    let mut claim = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "spec": spec["spec"],
        "metadata": {"namespace": meta::namespace(pod), "generateName": prefix(meta::name(pod), name),
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod),
                "controller": true}]}});
    for field in ["labels", "annotations"] {
        if spec["metadata"][field].is_object() {
            claim["metadata"][field] = spec["metadata"][field].clone();
        }
    }
    meta::set_annotation(&mut claim, POD_CLAIM, name);
    claim
}

/// `pod-claim-`, both shortened by the same part when that is too long.
fn prefix(pod: &str, claim: &str) -> String {
    let whole = format!("{pod}-{claim}-");
    if whole.len() <= LONGEST {
        return whole;
    }
    let part = |name: &str| name.chars().take(name.len() * LONGEST / whole.len()).collect::<String>();
    format!("{}-{}", part(pod), part(claim))
}

fn tell(pod: &Value, statuses: Vec<Value>) -> Action {
    // What the pod was told before is applied again: what is left out would be taken away.
    let known = pod["status"]["resourceClaimStatuses"].as_array().cloned().unwrap_or_default();
    let kept = known.into_iter().filter(|known| !statuses.iter().any(|new| new["name"] == known["name"]));
    let all: Vec<Value> = kept.chain(statuses.iter().cloned()).collect();
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": meta::name(pod),
        "namespace": meta::namespace(pod), "uid": meta::uid(pod)}, "status": {"resourceClaimStatuses": all}});
    let mut action = Action::merge(&PODS, pod, Value::Null);
    if let Verb::Patch { patch, subresource, .. } = &mut action.verb {
        *subresource = "status";
        *patch = Patch::Apply { manager: "ResourceClaimController".into(), force: true, object };
    }
    action
}

fn reserve(pod: &Value, claim: &Value) -> Option<Action> {
    let known = consumers(claim).any(|consumer| consumer["uid"] == pod["metadata"]["uid"]);
    if known || !claim["status"]["allocation"].is_object() || consumers(claim).count() >= SHARED {
        return None;
    }
    let mut next = claim.clone();
    let reserved = meta::child_mut(&mut next, "status").entry("reservedFor").or_insert_with(|| json!([]));
    reserved
        .as_array_mut()?
        .push(json!({"resource": "pods", "name": meta::name(pod), "uid": meta::uid(pod)}));
    Some(Action::update_status(&RESOURCE_CLAIMS, next))
}

/// Drops reservations that are stale; a claim that nobody uses is free again, or goes with what it was made for.
fn of_claim(cache: &Cache, claim: &Value, stale: &[Value]) -> Plan {
    let mut plan = Plan::nothing();
    let before = consumers(claim).count();
    let left: Vec<Value> =
        consumers(claim).filter(|c| !is_pod(c) || !stale.contains(&c["uid"])).cloned().collect();
    let held = meta::finalizers(claim).any(|finalizer| finalizer == FINALIZER);
    let unused = left.is_empty();
    let freed = unused && held && (before > 0 || meta::deletion_timestamp(claim).is_some());
    let allocated = claim["status"]["allocation"].is_object();
    if left.len() < before || (freed && allocated) {
        let mut next = claim.clone();
        let status = meta::child_mut(&mut next, "status");
        status.remove("reservedFor");
        if !unused {
            status.insert("reservedFor".into(), left.into());
        }
        if freed {
            status.remove("allocation");
        }
        plan.push(Action::update_status(&RESOURCE_CLAIMS, next));
    }
    if freed {
        let others: Vec<_> = meta::finalizers(claim).filter(|finalizer| *finalizer != FINALIZER).collect();
        let patch = json!({"metadata": {"uid": meta::uid(claim), "finalizers": others}});
        plan.push(Action::merge(&RESOURCE_CLAIMS, claim, patch));
    }
    if unused && meta::deletion_timestamp(claim).is_none() && was_made_in_vain(cache, claim) {
        plan.push(Action::delete(&RESOURCE_CLAIMS, claim));
    }
    plan
}

/// Made for a pod that was replaced or will not run any more. (Of a pod that is gone it is the garbage collector's.)
fn was_made_in_vain(cache: &Cache, claim: &Value) -> bool {
    let Some(owner) = meta::controller_of(claim).filter(|owner| owner["kind"] == "Pod") else { return false };
    let pod = cache.get(&PODS, meta::namespace(claim), owner["name"].as_str().unwrap_or(""));
    pod.is_some_and(|pod| pod["metadata"]["uid"] != owner["uid"] || is_done(&pod))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn pod(phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a", "uid": "p"},
            "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}, "status": {"phase": phase}})
    }

    fn template() -> Value {
        json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "t", "namespace": "a"},
            "spec": {"metadata": {"labels": {"l": "v"}}, "spec": {"devices": {}}}})
    }

    fn made() -> Value {
        let mut claim = claim(&pod("Pending"), "gpu", &template());
        meta::set(&mut claim, "name", "p-gpu-x");
        claim
    }

    #[test]
    fn a_pod_gets_its_claim_and_is_told_its_name() {
        let plan = |objects| {
            let cache = snapshot(objects);
            let plan = of_pod(&cache, &cache.get(&PODS, "a", "p").unwrap());
            (plan.error.is_some(), shown(plan, &cache))
        };
        assert_eq!(plan(vec![pod("Pending"), template()]).1, ["create resourceclaims a/p-gpu-"]);
        assert!(plan(vec![pod("Succeeded"), template()]).1.is_empty());
        let (failed, lines) = plan(vec![pod("Pending")]);
        assert!(
            failed && lines[0].contains("resourceclaimtemplate.resource.k8s.io \"t\" not found"),
            "{lines:?}"
        );
        let (_, lines) = plan(vec![pod("Pending"), template(), made()]);
        assert!(lines.len() == 1 && lines[0].contains("p-gpu-x") && lines[0].contains("Apply"), "{lines:?}");
        let mut told = pod("Pending");
        told["status"]["resourceClaimStatuses"] = json!([{"name": "gpu", "resourceClaimName": "p-gpu-x"}]);
        assert!(plan(vec![told, template(), made()]).1.is_empty());
    }

    #[test]
    fn what_nobody_uses_is_given_back() {
        let mut shared = made();
        meta::unset(&mut shared, "ownerReferences");
        meta::set(&mut shared, "finalizers", vec![FINALIZER]);
        shared["status"] = json!({"allocation": {}, "reservedFor": [{"resource": "pods", "name": "p", "uid": "p"},
            {"resource": "pods", "name": "q", "uid": "q"}]});
        let plan = |claim: &Value, stale: &[&str]| {
            let cache = snapshot(vec![]);
            let stale: Vec<Value> = stale.iter().map(|uid| (*uid).into()).collect();
            shown(of_claim(&cache, claim, &stale), &cache)
        };
        assert!(plan(&shared, &[]).is_empty());
        let one = plan(&shared, &["p"]);
        assert!(one.len() == 1 && one[0].contains("allocation") && !one[0].contains("\"p\""), "{one:?}");
        let none = plan(&shared, &["p", "q"]);
        assert!(
            none[0] == "update resourceclaims p-gpu-x/status {}" && none[1].contains("finalizers"),
            "{none:?}"
        );
    }

    #[test]
    fn a_generated_claim_goes_when_its_pod_is_over() {
        let lines = |phase| {
            let cache = snapshot(vec![pod(phase), made()]);
            shown(of_claim(&cache, &cache.get(&RESOURCE_CLAIMS, "a", "p-gpu-x").unwrap(), &[]), &cache)
        };
        assert!(lines("Running").is_empty());
        assert_eq!(lines("Succeeded"), ["delete resourceclaims p-gpu-x"]);
    }

    #[test]
    fn long_names_are_shortened_alike() {
        assert_eq!(prefix("p", "c"), "p-c-");
        assert!(prefix(&"p".repeat(60), &"c".repeat(60)).len() <= LONGEST);
    }
}
