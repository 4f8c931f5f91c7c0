//! Which fields a kind's objects can be selected by (`fieldSelector=`), and their values.
//!
//! Kinds answer for fields they do not know in three different wordings; all are Kubernetes' own.

use crate::resource::Resource;
use object::{ApiError, FieldSelector, Result, Value, error::quote, meta};

/// How a kind refuses fields it does not know.
enum Refusal {
    /// `field label not supported: x`
    Plain,
    /// `"x" is not a known field selector: only "metadata.name", "metadata.namespace"`
    Metadata,
    /// `field label "x" not supported for Job`
    Kind,
    /// `field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x`
    FullKind,
}

const OBJECT_REFERENCE: [&str; 7] =
    ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];

/// The fields beside name and namespace, and how others are refused.
fn known(resource: &Resource) -> (&'static [&'static str], Refusal) {
    match (resource.gvr.group.as_str(), resource.gvr.resource.as_str()) {
        ("", "pods") => (
            &[
                "spec.nodeName",
                "spec.host",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.podIPs",
                "status.nominatedNodeName",
            ],
            Refusal::Plain,
        ),
        ("", "nodes") => (&["spec.unschedulable"], Refusal::Plain),
        ("", "replicationcontrollers") => (&["status.replicas"], Refusal::Plain),
        ("", "namespaces") => (&["status.phase"], Refusal::Plain),
        ("", "secrets") => (&["type"], Refusal::Plain),
        ("", "services") => (&["spec.clusterIP", "spec.type"], Refusal::Plain),
        ("", "events") => (&["reason", "reportingComponent", "source", "type"], Refusal::Plain),
        ("events.k8s.io", "events") => (&["reason", "reportingController", "type"], Refusal::Plain),
        ("batch", "jobs") => (&["status.successful"], Refusal::Kind),
        ("certificates.k8s.io", "certificatesigningrequests") => (&["spec.signerName"], Refusal::Plain),
        ("resource.k8s.io", "resourceslices") => (&["spec.nodeName", "spec.driver"], Refusal::FullKind),
        _ if resource.custom => (&[], Refusal::Plain),
        _ => (&[], Refusal::Metadata),
    }
}

/// The fields that objects of `resource` can be selected by.
pub fn supported_fields(resource: &Resource) -> Vec<String> {
    let mut out = vec!["metadata.name".to_owned()];
    if knows_namespace(resource) {
        out.push("metadata.namespace".into());
    }
    out.extend(known(resource).0.iter().map(|f| (*f).to_owned()));
    if let Some(prefix) = reference_prefix(resource) {
        out.extend(OBJECT_REFERENCE.iter().map(|f| format!("{prefix}{f}")));
    }
    out.extend(resource.definition.iter().flat_map(|d| &d.selectable_fields).map(|f| f.name.clone()));
    out
}

/// Refuses selectors that name a field the kind does not know.
///
/// # Errors
/// `BadRequest` for the first such field.
pub fn check(resource: &Resource, selector: &FieldSelector) -> Result<()> {
    for requirement in selector.requirements() {
        if !supports(resource, &requirement.field) {
            return Err(ApiError::BadRequest(refusal(resource, &requirement.field)));
        }
    }
    Ok(())
}

fn supports(resource: &Resource, field: &str) -> bool {
    match field {
        "metadata.name" => true,
        "metadata.namespace" => knows_namespace(resource),
        _ => {
            known(resource).0.contains(&field)
                || reference_field(resource, field).is_some()
                || resource.definition.iter().flat_map(|d| &d.selectable_fields).any(|f| f.name == field)
        }
    }
}

/// Kinds that only know metadata take a namespace even where they have none; cluster-scoped ones with fields of
/// their own do not.
fn knows_namespace(resource: &Resource) -> bool {
    resource.namespaced() || matches!(known(resource).1, Refusal::Metadata)
}

fn refusal(resource: &Resource, field: &str) -> String {
    match known(resource).1 {
        Refusal::Plain => format!("field label not supported: {field}"),
        Refusal::Metadata => {
            let field = quote(field);
            format!("{field} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        Refusal::Kind => format!("field label {} not supported for {}", quote(field), resource.kind),
        Refusal::FullKind => format!("field label not supported for {}: {field}", resource.gvk()),
    }
}

/// What comes before the fields of the object an event is about.
fn reference_prefix(resource: &Resource) -> Option<&'static str> {
    match (resource.gvr.group.as_str(), resource.gvr.resource.as_str()) {
        ("", "events") => Some("involvedObject."),
        ("events.k8s.io", "events") => Some("regarding."),
        _ => None,
    }
}

fn reference_field<'a>(resource: &Resource, field: &'a str) -> Option<&'a str> {
    field.strip_prefix(reference_prefix(resource)?).filter(|f| OBJECT_REFERENCE.contains(f))
}

/// The value of a field that `resource` supports, as selectors compare it; `None` for other fields.
///
/// Absent values are empty strings; events may be given in either of their two shapes.
pub fn value(resource: &Resource, object: &Value, field: &str) -> Option<String> {
    if !supports(resource, field) {
        return None;
    }
    if let Some(custom) = &resource.definition
        && let Some(selectable) = custom.selectable_fields.iter().find(|f| f.name == field)
    {
        return Some(object.pointer(&selectable.pointer).map(spell).unwrap_or_default());
    }
    if let Some(inner) = reference_field(resource, field) {
        let reference = object.get("involvedObject").unwrap_or(&object["regarding"]);
        return Some(spell(&reference[inner]));
    }
    let either = |a: &str, b: &str| object.get(a).or(object.get(b)).map(spell).unwrap_or_default();
    Some(match field {
        "metadata.name" => meta::name(object).to_owned(),
        "metadata.namespace" => meta::namespace(object).to_owned(),
        "spec.host" => spell(&object["spec"]["nodeName"]),
        "spec.hostNetwork" | "spec.unschedulable" => {
            (object["spec"][field.trim_start_matches("spec.")] == true).to_string()
        }
        "status.podIP" => match &object["status"]["podIPs"][0]["ip"] {
            Value::Null => spell(&object["status"]["podIP"]),
            ip => spell(ip),
        },
        // Known by name, but no pod has a value there.
        "status.podIPs" => String::new(),
        "status.replicas" => object["status"]["replicas"].as_i64().unwrap_or(0).to_string(),
        "status.successful" => object["status"]["succeeded"].as_i64().unwrap_or(0).to_string(),
        "reportingComponent" | "reportingController" => either("reportingComponent", "reportingController"),
        "source" => match spell(&object.get("source").unwrap_or(&object["deprecatedSource"])["component"]) {
            source if source.is_empty() => either("reportingComponent", "reportingController"),
            source => source,
        },
        plain => object.pointer(&format!("/{}", plain.replace('.', "/"))).map(spell).unwrap_or_default(),
    })
}

fn spell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use object::json;

    fn refused(group: &str, version: &str, resource: &str, selector: &str) -> String {
        let registry = Registry::builtin();
        let resource = registry.get(group, version, resource).expect("served");
        let selector = FieldSelector::parse(selector).expect("parses");
        check(resource, &selector).map_or_else(|e| e.to_string(), |()| "ok".into())
    }

    #[test]
    fn unknown_fields_are_refused_in_the_kinds_own_words() {
        assert_eq!(refused("", "v1", "pods", "status.phase=Running,metadata.name!=x"), "ok");
        assert_eq!(refused("", "v1", "pods", "metadata.uid=x"), "field label not supported: metadata.uid");
        assert_eq!(
            refused("", "v1", "configmaps", "data.k=v"),
            "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(
            refused("batch", "v1", "jobs", "status.failed=1"),
            "field label \"status.failed\" not supported for Job"
        );
        assert_eq!(
            refused("resource.k8s.io", "v1", "resourceslices", "a=1"),
            "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: a"
        );
        assert_eq!(refused("", "v1", "events", "involvedObject.fieldPath=x,source=y"), "ok");
        assert_eq!(refused("events.k8s.io", "v1", "events", "regarding.name=x"), "ok");
        assert_eq!(
            refused("", "v1", "events", "regarding.name=x"),
            "field label not supported: regarding.name"
        );
        assert_eq!(
            refused("", "v1", "nodes", "metadata.namespace=x"),
            "field label not supported: metadata.namespace"
        );
        assert_eq!(refused("storage.k8s.io", "v1", "storageclasses", "metadata.namespace=x"), "ok");
    }

    #[test]
    fn values_are_spelled() {
        let registry = Registry::builtin();
        let pods = registry.get("", "v1", "pods").expect("served");
        let pod =
            json!({"spec": {"nodeName": "n"}, "status": {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]}});
        let of = |field| value(pods, &pod, field);
        assert_eq!(of("spec.host").as_deref(), Some("n"));
        assert_eq!(of("spec.hostNetwork").as_deref(), Some("false"));
        assert_eq!(of("status.podIP").as_deref(), Some("1.1.1.1"));
        assert_eq!(of("status.podIPs").as_deref(), Some(""));
        assert_eq!(of("status.phase").as_deref(), Some(""));
        assert_eq!(of("spec.containers"), None);
        let events = registry.get("events.k8s.io", "v1", "events").expect("served");
        let event = json!({"regarding": {"name": "x"}, "reportingController": "c"});
        assert_eq!(value(events, &event, "regarding.name").as_deref(), Some("x"));
        let core = registry.get("", "v1", "events").expect("served");
        assert_eq!(value(core, &event, "source").as_deref(), Some("c"));
    }
}
