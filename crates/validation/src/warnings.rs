//! What a server warns of though it accepts the object: deprecated fields, and those that do not do what one may think.

mod labels;
mod network;
mod objects;
mod pods;
mod storage;
mod volumes;

use crate::crds;
use crate::node::{Node, same};
use object::error::quote;
use object::{GroupVersionKind, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// Warnings, in the order found.
pub(crate) type Warnings = Vec<String>;

/// The warnings about an object that is created or, with the `old` one, updated.
pub fn warnings(gvk: &GroupVersionKind, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut w = vec![];
    let root = Node::root(object);
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod(&mut w, &root, old),
        ("", "PodTemplate") => template(&mut w, &root.get("template"), &root, old),
        ("", "ReplicationController") | ("apps", "ReplicaSet" | "Deployment") => workload(&mut w, &root, old),
        ("apps", "DaemonSet") => template(&mut w, &root.get("spec").get("template"), &root, old),
        ("apps", "StatefulSet") => stateful_set(&mut w, &root, old),
        ("batch", "Job") => job(&mut w, &root, old),
        ("batch", "CronJob") => cron_job(&mut w, &root, old),
        ("", "Service") => network::service(&mut w, &root),
        ("", "Endpoints") => network::endpoints(&mut w, &root),
        ("", "Node") => network::node(&mut w, &root),
        ("", "ResourceQuota") if old.is_none() => objects::quota(&mut w, &root),
        ("", "Secret") => objects::secret(&mut w, &root),
        ("", "ServiceAccount") => service_account(&mut w, &root, old),
        ("", "PersistentVolume") => storage::volume(&mut w, &root),
        ("", "PersistentVolumeClaim") => storage::claim(&mut w, &root),
        ("storage.k8s.io", "StorageClass") => storage::class(&mut w, &root),
        ("storage.k8s.io", "CSIDriver") => objects::csi_driver(&mut w, &root, old),
        ("resource.k8s.io", "ResourceSlice") => objects::resource_slice(&mut w, &root),
        ("storage.k8s.io", "CSIStorageCapacity") => labels::selector(&mut w, &root.get("nodeTopology")),
        ("node.k8s.io", "RuntimeClass") => storage::runtime_class(&mut w, &root),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(&mut w, &root, old.is_none()),
        ("networking.k8s.io", "NetworkPolicy") => network::policy(&mut w, &root),
        ("networking.k8s.io", "Ingress") if old.is_none() => network::ingress(&mut w, &root),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(&mut w, object, old),
        _ => {}
    }
    w
}

/// What Go prints for a list of texts.
fn go_list(texts: &[String]) -> String {
    format!("[{}]", texts.join(" "))
}

/// Updates of what has no new spec repeat no warnings.
fn unchanged(root: &Node<'_>, old: Option<&Value>) -> bool {
    let part =
        |name: &str| old.is_some_and(|old| same(root.raw(name), old.get(name).unwrap_or(&Value::Null)));
    old.is_some() && part("spec") && part("template")
}

fn dns_label(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>, used: &str) {
    let messages = names::dns1123_label(root.get("metadata").get("name").text());
    if old.is_none() && !messages.is_empty() {
        w.push(format!(
            "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is recommended: {}",
            go_list(&messages)
        ));
    }
}

const PODS: &str = "Pod names and hostnames";

fn pod(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    // People rarely write to pods that exist.
    if old.is_none() {
        dns_label(w, root, old, "the Pod's hostname");
        pods::all(w, root, true);
    }
}

fn template(w: &mut Warnings, template: &Node<'_>, root: &Node<'_>, old: Option<&Value>) {
    if !unchanged(root, old) {
        pods::all(w, template, false);
    }
}

fn workload(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    dns_label(w, root, old, PODS);
    template(w, &root.get("spec").get("template"), root, old);
}

fn stateful_set(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    let spec = root.get("spec");
    template(w, &spec.get("template"), root, old);
    for claim in spec.get("volumeClaimTemplates").items() {
        // Kubernetes leaves the step to the spec out on creation, and spells it so of an update.
        let path = if old.is_some() { claim.path.field("Spec") } else { claim.path.clone() };
        storage::claim_spec(w, &claim.get("spec").moved(path));
    }
    if spec.get("revisionHistoryLimit").int() < 0 {
        w.push(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                .to_owned(),
        );
    }
}

fn job(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    dns_label(w, root, old, PODS);
    if !unchanged(root, old) {
        job_spec(w, &root.get("spec"));
    }
}

fn cron_job(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    dns_label(w, root, old, PODS);
    if !unchanged(root, old) {
        job_spec(w, &root.get("spec").get("jobTemplate").get("spec"));
    }
    if old.is_some() && root.get("spec").get("schedule").text().contains("TZ") {
        w.push(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                .to_owned(),
        );
    }
}

fn job_spec(w: &mut Warnings, spec: &Node<'_>) {
    let many = spec.get("completions").int() > 100_000 && spec.get("parallelism").int() > 10_000;
    if spec.get("completionMode").text() == "Indexed" && many {
        w.push(format!(
            "{}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
            spec.path
        ));
    }
    pods::all(w, &spec.get("template"), false);
}

fn service_account(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    const KEY: &str = "kubernetes.io/enforce-mountable-secrets";
    let has = |object: &Value| object::meta::annotation(object, KEY).is_some();
    if has(root.value) && !old.is_some_and(has) {
        w.push(format!(
            "metadata.annotations[{KEY}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        ));
    }
}

fn definition(w: &mut Warnings, object: &Value, old: Option<&Value>) {
    let about = |object: &Value| -> Vec<String> {
        let schemas = crds::schemas(object);
        let formats = schemas.iter().flat_map(schema::custom::unrecognized_formats);
        formats.map(|f| format!("unrecognized format {}", quote(&f))).collect()
    };
    let known = old.map(about).unwrap_or_default();
    w.extend(about(object).into_iter().filter(|warning| !known.contains(warning)));
}

/// What is dubious about a custom resource: finalizers, whose names should say whose they are.
pub fn custom_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
    let listed = |object: &Value| -> BTreeSet<String> {
        let all = object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.map(str::to_owned).collect()
    };
    let known = old.map(listed).unwrap_or_default();
    let mut found = Vec::new();
    for name in listed(object).difference(&known) {
        let at = format!("metadata.finalizers: {}", quote(name));
        found.extend(names::qualified_name(name).into_iter().map(|why| format!("{at}: {why}")));
        if !name.contains('/') && !STANDARD.contains(&name.as_str()) {
            let path = if name.contains('.') { " including a path (/)" } else { "" };
            found.push(format!(
                "{at}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            ));
        }
    }
    found
}
