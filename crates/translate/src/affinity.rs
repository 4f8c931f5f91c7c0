//! Affinity and topology spread: selectors that meant one virtual cluster's pods must not match anybody else's on the host.

use crate::marks::{self, Spelled};
use crate::pod::PodContext;
use crate::{Cluster, Refusal};
use object::{Map, Value, json};

pub(crate) fn add(
    cluster: &Cluster,
    namespace: &str,
    spec: &Value,
    context: &PodContext,
    out: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    if let Some(affinity) = spec.get("affinity").filter(|a| a.is_object()) {
        let (mut affinity, spelled) = (affinity.clone(), Spelled::new(&context.namespaces));
        for kind in ["podAffinity", "podAntiAffinity"] {
            terms(&mut affinity, kind, |term| narrow(cluster, namespace, &spelled, term))?;
        }
        out.insert("affinity".into(), affinity);
    }
    if let Some(list) = spec["topologySpreadConstraints"].as_array() {
        let narrowed = list.iter().cloned().map(|mut constraint| {
            restrict(cluster, Some(&[namespace.to_owned()]), &mut constraint);
            constraint
        });
        out.insert("topologySpreadConstraints".into(), narrowed.collect::<Vec<_>>().into());
    }
    Ok(())
}

/// Ties a pod to a node, as a DaemonSet's pods are: the host's scheduler, its taints and its room still count.
pub(crate) fn pin(node: &str, out: &mut Map<String, Value>) {
    let affinity = out.entry("affinity").or_insert_with(|| json!({}));
    let required = &mut affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    if required["nodeSelectorTerms"].as_array().is_none_or(Vec::is_empty) {
        *required = json!({"nodeSelectorTerms": [{}]});
    }
    for term in required["nodeSelectorTerms"].as_array_mut().into_iter().flatten() {
        let mut fields = term["matchFields"].as_array().cloned().unwrap_or_default();
        fields.push(json!({"key": "metadata.name", "operator": "In", "values": [node]}));
        term["matchFields"] = fields.into();
    }
}

fn terms(
    affinity: &mut Value,
    kind: &str,
    change: impl Fn(&mut Value) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(holder) = affinity.get_mut(kind) else { return Ok(()) };
    if let Some(list) =
        holder.get_mut("requiredDuringSchedulingIgnoredDuringExecution").and_then(Value::as_array_mut)
    {
        list.iter_mut().try_for_each(&change)?;
    }
    let preferred =
        holder.get_mut("preferredDuringSchedulingIgnoredDuringExecution").and_then(Value::as_array_mut);
    for weighted in preferred.into_iter().flatten() {
        change(&mut weighted["podAffinityTerm"])?;
    }
    Ok(())
}

/// Virtual namespaces become labels: on the host all of them are one namespace.
fn narrow(
    cluster: &Cluster,
    namespace: &str,
    spelled: &Spelled<'_>,
    term: &mut Value,
) -> Result<(), Refusal> {
    let listed =
        term["namespaces"].as_array().into_iter().flatten().filter_map(|n| n.as_str().map(str::to_owned));
    let mut namespaces: Vec<String> = listed.collect();
    let mut all = false;
    if let Some(selector) = term.get("namespaceSelector").filter(|s| s.is_object()) {
        let selected = spelled.matching(selector)?;
        all = selected.is_none();
        namespaces.extend(selected.into_iter().flatten());
    } else if namespaces.is_empty() {
        namespaces.push(namespace.to_owned());
    }
    if let Some(map) = term.as_object_mut() {
        map.remove("namespaces");
        map.remove("namespaceSelector");
    }
    restrict(cluster, (!all).then_some(&namespaces), term);
    Ok(())
}

fn restrict(cluster: &Cluster, namespaces: Option<&[String]>, holder: &mut Value) {
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        for key in holder.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            *key = marks::host_key("labels", key.as_str().unwrap_or_default()).into();
        }
    }
    // An absent selector matches nothing and stays that way.
    let Some(selector) = holder.get_mut("labelSelector").filter(|s| s.is_object()) else { return };
    marks::narrow(cluster, namespaces, selector);
}
