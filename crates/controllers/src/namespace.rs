//! Empties namespaces that are being deleted, then lets them go.
//!
//! Pods go first and must be gone before the rest is touched; what remains, and why, is told by the namespace's conditions.

use crate::common::conditions;
use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::NAMESPACES;
use client::discovery::{Resource, discover};
use client::{Cache, Change, Client, DeleteOptions, ListOptions, Propagation};
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use object::{GroupVersionResource, Result, meta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Resources emptied at a time.
const AT_A_TIME: usize = 8;
/// How long finalizers are expected to take.
const FINALIZER_SECONDS: i64 = 15;

pub(crate) struct NamespaceController;

/// What was found in one resource after its deletion was asked for.
#[derive(Default)]
struct Remaining {
    count: usize,
    finalizers: Vec<String>,
    /// Seconds until it may be gone.
    estimate: i64,
    error: Option<String>,
}

/// What was found in the whole namespace.
#[derive(Default)]
struct Findings {
    discovery_failure: Option<String>,
    errors: Vec<String>,
    /// `resource.group` and how many.
    remaining: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    estimate: i64,
}

impl Controller for NamespaceController {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NAMESPACES]
    }

    fn watches_everything(&self) -> bool {
        true
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&NAMESPACES) {
            if entry.deleting {
                add(Key::new("", &entry.name));
            }
        } else if change.new.is_none()
            && !entry.namespace.is_empty()
            && cache.entry(&NAMESPACES, "", &entry.namespace).is_some_and(|namespace| namespace.deleting)
        {
            add(Key::new("", &entry.namespace));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let Some(namespace) = shell.cache.get(&NAMESPACES, "", &key.name) else {
                return Ok(Plan::nothing());
            };
            let finalizers = namespace["spec"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
            if meta::deletion_timestamp(&namespace).is_none() || !finalizers {
                return Ok(Plan::nothing());
            }
            let findings = empty(&shell.client, &key.name).await;
            Ok(decide(&namespace, &findings, shell.now()))
        })
    }
}

async fn empty(client: &Client, namespace: &str) -> Findings {
    let mut findings = Findings::default();
    let discovery = match discover(client).await {
        Ok(discovery) => discovery,
        Err(error) => {
            findings.discovery_failure = Some(error.message());
            return findings;
        }
    };
    if !discovery.failed.is_empty() {
        let failed: Vec<_> = discovery.failed.iter().map(|(gv, why)| format!("{gv}: {why}")).collect();
        findings.discovery_failure = Some(format!(
            "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {}",
            failed.len(),
            failed.join(", ")
        ));
    }
    let deletable =
        |resource: &&Resource| resource.preferred && resource.namespaced && resource.can(&["list", "delete"]);
    let (pods, others): (Vec<_>, Vec<_>) = discovery
        .resources
        .iter()
        .filter(deletable)
        .partition(|r| r.gvr.group.is_empty() && r.gvr.resource == "pods");
    for resources in [pods, others] {
        for some in resources.chunks(AT_A_TIME) {
            let results =
                join_all(some.iter().map(|resource| empty_resource(client, resource, namespace))).await;
            for (resource, remaining) in some.iter().zip(results) {
                findings.add(&resource.gvr, remaining);
            }
        }
        if !findings.remaining.is_empty() || !findings.errors.is_empty() {
            break;
        }
    }
    findings
}

async fn empty_resource(client: &Client, resource: &Resource, namespace: &str) -> Remaining {
    let gvr = &resource.gvr;
    let failed = |error: object::ApiError| Remaining { error: Some(error.message()), ..Remaining::default() };
    let gone = |error: &object::ApiError| error.is_not_found() || error.code() == 405;
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let listed = match client.list_all(gvr, namespace, &ListOptions::default()).await {
        Ok(list) => list,
        Err(error) if gone(&error) => return Remaining::default(),
        Err(error) => return failed(error),
    };
    if listed.items.is_empty() {
        return Remaining::default();
    }
    let outcome = if resource.can(&["deletecollection"]) {
        client.delete_collection(gvr, namespace, &ListOptions::default(), &options).await.map(|_| ())
    } else {
        delete_each(client, gvr, namespace, &listed.items, &options).await
    };
    if let Err(error) = outcome
        && !gone(&error)
    {
        return failed(error);
    }
    match client.list_all(gvr, namespace, &ListOptions::default()).await {
        Ok(list) => remaining(&list.items),
        Err(error) if gone(&error) => Remaining::default(),
        Err(error) => failed(error),
    }
}

async fn delete_each(
    client: &Client,
    gvr: &GroupVersionResource,
    namespace: &str,
    items: &[Value],
    options: &DeleteOptions,
) -> Result<()> {
    for item in items {
        match client.delete(gvr, namespace, meta::name(item), options).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn remaining(items: &[Value]) -> Remaining {
    let finalizers: Vec<_> = items.iter().flat_map(meta::finalizers).map(str::to_owned).collect();
    let graces = items.iter().filter_map(|item| item["metadata"]["deletionGracePeriodSeconds"].as_i64());
    let estimate = if finalizers.is_empty() { graces.max().unwrap_or(0) } else { FINALIZER_SECONDS };
    Remaining { count: items.len(), finalizers, estimate, error: None }
}

impl Findings {
    fn add(&mut self, gvr: &GroupVersionResource, of: Remaining) {
        self.errors.extend(of.error);
        self.estimate = self.estimate.max(of.estimate);
        if of.count > 0 {
            *self.remaining.entry(format!("{}.{}", gvr.resource, gvr.group)).or_default() += of.count;
        }
        for finalizer in of.finalizers {
            *self.finalizers.entry(finalizer).or_default() += 1;
        }
    }

    fn is_clean(&self) -> bool {
        self.discovery_failure.is_none() && self.errors.is_empty() && self.remaining.is_empty()
    }

    fn conditions(&self, known: &Value, now: Timestamp) -> Value {
        let counted = |map: &BTreeMap<String, usize>, word: &str| {
            let shown: Vec<_> =
                map.iter().map(|(name, count)| format!("{name} {word} {count} resource instances")).collect();
            shown.join(", ")
        };
        let failed_content = (!self.errors.is_empty()).then(|| {
            let joined = if self.errors.len() == 1 {
                self.errors[0].clone()
            } else {
                format!("[{}]", self.errors.join(", "))
            };
            format!("Failed to delete all resource types, {} remaining: {joined}", self.errors.len())
        });
        let resources = (!self.remaining.is_empty())
            .then(|| format!("Some resources are remaining: {}", counted(&self.remaining, "has")));
        let finalizers = (!self.finalizers.is_empty()).then(|| {
            format!(
                "Some content in the namespace has finalizers remaining: {}",
                counted(&self.finalizers, "in")
            )
        });
        let mut conditions = known.clone();
        let mut tell = |kind, bad_reason, bad: Option<String>, good_reason, good: &str| {
            let reason = if bad.is_some() { bad_reason } else { good_reason };
            let message = bad.as_deref().unwrap_or(good);
            conditions::set(&mut conditions, conditions::new(kind, bad.is_some(), reason, message, now));
        };
        tell(
            "NamespaceDeletionDiscoveryFailure",
            "DiscoveryFailed",
            self.discovery_failure.clone(),
            "ResourcesDiscovered",
            "All resources successfully discovered",
        );
        tell(
            "NamespaceDeletionGroupVersionParsingFailure",
            "GroupVersionParsingFailed",
            None,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        );
        tell(
            "NamespaceDeletionContentFailure",
            "ContentDeletionFailed",
            failed_content,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        );
        tell(
            "NamespaceContentRemaining",
            "SomeResourcesRemain",
            resources,
            "ContentRemoved",
            "All content successfully removed",
        );
        tell(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            finalizers,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        );
        conditions
    }
}

fn decide(namespace: &Value, findings: &Findings, now: Timestamp) -> Plan {
    let mut next = namespace.clone();
    let known = namespace["status"]["conditions"].clone();
    let conditions = findings.conditions(&known, now);
    if findings.is_clean() {
        if let Some(finalizers) = next["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
        return Plan::of(vec![Action::update_subresource(&NAMESPACES, next, "finalize")]);
    }
    let mut plan = Plan::nothing();
    if conditions != known {
        meta::child_mut(&mut next, "status").insert("conditions".into(), conditions);
        next["status"]["phase"] = json!("Terminating");
        plan.push(Action::update_status(&NAMESPACES, next));
    }
    if findings.estimate > 0 {
        plan.requeue(Duration::from_secs(findings.estimate.unsigned_abs() / 2 + 1));
    } else {
        plan.error = Some("content remains".into());
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn namespace() -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}})
    }

    #[test]
    fn an_empty_namespace_is_let_go() {
        let plan = decide(&namespace(), &Findings::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(shown(plan, &snapshot(vec![])), ["update namespaces a/finalize"]);
    }

    #[test]
    fn what_remains_is_told() {
        let mut findings = Findings::default();
        let pod = json!({"metadata": {"finalizers": ["x/y"]}});
        findings.add(&GroupVersionResource::new("", "v1", "pods"), remaining(&[pod]));
        let conditions = findings.conditions(&Value::Null, Timestamp::UNIX_EPOCH);
        let message =
            |kind| conditions::find(&conditions, kind).unwrap()["message"].as_str().unwrap().to_owned();
        assert_eq!(
            message("NamespaceContentRemaining"),
            "Some resources are remaining: pods. has 1 resource instances"
        );
        assert_eq!(
            message("NamespaceFinalizersRemaining"),
            "Some content in the namespace has finalizers remaining: x/y in 1 resource instances"
        );
        let plan = decide(&namespace(), &findings, Timestamp::UNIX_EPOCH);
        assert_eq!(plan.requeue_after, Some(Duration::from_secs(8)));
        assert_eq!(plan.actions.len(), 1);
    }
}
