//! `SubjectAccessReview` and its kin: what is asked, whether it is asked well, and the answer.

use crate::attributes::Attributes;
use crate::rbac::Decision;
use crate::user::UserInfo;
use object::{ApiError, FieldError, GroupKind, Path, Result};
use serde_json::{Map, Value, json};

/// Which of the reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessReview<'a> {
    /// `SelfSubjectAccessReview`: about the requestor.
    Own(&'a UserInfo),
    /// `SubjectAccessReview`: about the user its spec names.
    Subject,
    /// `LocalSubjectAccessReview`: the same, within this namespace.
    Local(&'a str),
}

impl AccessReview<'_> {
    /// Checks the review and gives the attributes it asks about.
    pub fn attributes(&self, review: &Value) -> Result<Attributes> {
        let errors = self.validate(review);
        if !errors.is_empty() {
            // The kind is left out, as Kubernetes leaves it out here.
            let kind = GroupKind { group: "authorization.k8s.io".into(), kind: String::new() };
            return Err(ApiError::Invalid { kind, name: String::new(), errors });
        }
        let spec = &review["spec"];
        let user = match self {
            Self::Own(user) => (*user).clone(),
            _ => UserInfo::from_json(spec),
        };
        Ok(Attributes::from_review_spec(user, spec))
    }

    fn validate(&self, review: &Value) -> Vec<FieldError> {
        let (spec, path) = (&review["spec"], Path::new("spec"));
        let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let (resource_path, other_path) =
            (path.field("resourceAttributes"), path.field("nonResourceAttributes"));
        let shown = || {
            let text = |key: &str| other[key].as_str().unwrap_or("");
            json!({"Path": text("path"), "Verb": text("verb")})
        };
        let mut errors = Vec::new();
        if resource.is_object() && other.is_object() {
            let message = "cannot be specified in combination with resourceAttributes";
            errors.push(FieldError::invalid(&other_path, &shown(), message));
        }
        if !resource.is_object() && !other.is_object() {
            let message = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(FieldError::invalid(&resource_path, &Value::Null, message));
        }
        let no_groups = spec["groups"].as_array().is_none_or(Vec::is_empty);
        if !matches!(self, Self::Own(_)) && no_groups && spec["user"].as_str().unwrap_or("").is_empty() {
            let message = "at least one of user or group must be specified";
            errors.push(FieldError::invalid(&path.field("user"), &"".into(), message));
        }
        for (key, judge) in [
            ("fieldSelector", judge_field as fn(&Value, &Path) -> Vec<FieldError>),
            ("labelSelector", judge_label),
        ] {
            errors.extend(validate_selector(&resource[key], &resource_path.field(key), judge));
        }
        errors.extend(self.validate_metadata(&review["metadata"]));
        if let Self::Local(namespace) = self {
            let asked = resource["namespace"].as_str().unwrap_or("");
            if resource.is_object() && asked != *namespace {
                let path = resource_path.field("namespace");
                errors.push(FieldError::invalid(&path, &asked.into(), "must match metadata.namespace"));
            }
            if other.is_object() {
                errors.push(FieldError::invalid(&other_path, &shown(), "disallowed on this kind of request"));
            }
        }
        errors
    }
}

impl AccessReview<'_> {
    /// A review is no object: it has no name, labels or the like (managed fields are the server's own).
    fn validate_metadata(&self, metadata: &Value) -> Option<FieldError> {
        let local = matches!(self, Self::Local(_));
        let given = metadata.as_object()?.iter().any(|(key, value)| {
            let allowed = key == "managedFields" || (key == "namespace" && local);
            !allowed && !value.is_null() && value != ""
        });
        let message = if local { "must be empty except for namespace" } else { "must be empty" };
        let shown = || in_order(metadata, METADATA);
        given.then(|| FieldError::invalid_shown(&Path::new("metadata"), &shown(), message))
    }
}

/// Fields of `ObjectMeta`, in the order in which a message shows them.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
/// The same of a `managedFields` entry.
const MANAGED_FIELDS: &[&str] =
    &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

fn in_order(object: &Value, keys: &[&str]) -> String {
    let pairs = keys.iter().filter_map(|key| {
        let value = object.get(*key)?;
        let shown = match value.as_array() {
            Some(entries) if *key == "managedFields" => {
                let entries: Vec<_> = entries.iter().map(|entry| in_order(entry, MANAGED_FIELDS)).collect();
                format!("[{}]", entries.join(","))
            }
            _ => value.to_string(),
        };
        Some(format!("\"{key}\":{shown}"))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn validate_selector(
    selector: &Value,
    path: &Path,
    judge: fn(&Value, &Path) -> Vec<FieldError>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !selector.is_object() {
        return errors;
    }
    let raw = selector["rawSelector"].as_str().unwrap_or("");
    let requirements = requirements(selector);
    if !raw.is_empty() && !requirements.is_empty() {
        let message = "may not specified at the same time as requirements";
        errors.push(FieldError::invalid(&path.field("rawSelector"), &raw.into(), message));
    }
    if raw.is_empty() && requirements.is_empty() {
        errors.push(FieldError::required(
            &path.field("requirements"),
            &format!("when {path} is specified, requirements or rawSelector is required"),
        ));
    }
    for (index, requirement) in requirements.iter().enumerate() {
        errors.extend(judge(requirement, &path.field("requirements").index(index)));
    }
    errors
}

fn requirements(selector: &Value) -> &[Value] {
    selector["requirements"].as_array().map_or(&[], Vec::as_slice)
}

fn values(requirement: &Value) -> impl Iterator<Item = &str> {
    requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn judge_field(requirement: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if requirement["key"].as_str().unwrap_or("").is_empty() {
        errors.push(FieldError::required(&path.field("key"), "must be specified"));
    }
    errors.extend(judge_operator(requirement, path));
    errors
}

fn judge_label(requirement: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::from_iter(judge_operator(requirement, path));
    let key = requirement["key"].as_str().unwrap_or("");
    for message in object::names::qualified_name(key) {
        errors.push(FieldError::invalid(&path.field("key"), &key.into(), &message));
    }
    for (index, value) in values(requirement).enumerate() {
        let path = path.field("values").index(index);
        let messages = object::names::label_value(value);
        errors.extend(messages.iter().map(|message| FieldError::invalid(&path, &value.into(), message)));
    }
    errors
}

fn judge_operator(requirement: &Value, path: &Path) -> Option<FieldError> {
    let valueless = requirement["values"].as_array().is_none_or(Vec::is_empty);
    let path = path.field("values");
    match requirement["operator"].as_str().unwrap_or("") {
        "In" | "NotIn" if valueless => {
            Some(FieldError::required(&path, "must be specified when `operator` is 'In' or 'NotIn'"))
        }
        "Exists" | "DoesNotExist" if !valueless => Some(FieldError::forbidden(
            &path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        // Operators of later versions are let through: an authorizer that does not know them ignores them.
        _ => None,
    }
}

/// What a review's answer says of selectors that no authorizer understands; empty when there are none.
pub fn ignored_selectors(spec: &Value) -> String {
    let of = |key: &str| &spec["resourceAttributes"][key];
    let raw = |key: &str| of(key)["rawSelector"].as_str().unwrap_or("");
    let field = object::FieldSelector::parse(raw("fieldSelector")).is_err()
        || requirements(of("fieldSelector")).iter().any(|requirement| {
            let known = matches!(requirement["operator"].as_str(), Some("In" | "NotIn"));
            !known || values(requirement).count() != 1
        });
    let label = object::LabelSelector::parse(raw("labelSelector")).is_err()
        || requirements(of("labelSelector")).iter().any(|requirement| {
            !matches!(requirement["operator"].as_str(), Some("In" | "NotIn" | "Exists" | "DoesNotExist"))
        });
    let said = |wrong: bool, key: &str| {
        wrong.then(|| format!("spec.resourceAttributes.{key} ignored due to parse error"))
    };
    let said: Vec<_> =
        [said(field, "fieldSelector"), said(label, "labelSelector")].into_iter().flatten().collect();
    said.join("; ")
}

/// The `status` of an access review.
pub fn access_review_status(decision: &Decision) -> Value {
    let mut status = Map::new();
    status.insert("allowed".into(), decision.is_allowed().into());
    if !decision.reason().is_empty() {
        status.insert("reason".into(), decision.reason().into());
    }
    status.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let other = json!({"path": "/", "verb": "get"});
        let user = UserInfo::default();
        for (review, spec, error) in [
            (AccessReview::Subject, json!({"user": "x", "resourceAttributes": {"verb": "get"}}), ""),
            (AccessReview::Subject, json!({"groups": ["x"], "resourceAttributes": {}}), ""),
            (AccessReview::Own(&user), json!({"nonResourceAttributes": other}), ""),
            (
                AccessReview::Subject,
                json!({"user": "x", "resourceAttributes": {}, "nonResourceAttributes": other}),
                r#"spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":"get"}: cannot be specified in combination with resourceAttributes"#,
            ),
            (
                AccessReview::Subject,
                json!({"user": "x"}),
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ),
            (
                AccessReview::Subject,
                json!({"resourceAttributes": {}}),
                r#"spec.user: Invalid value: "": at least one of user or group must be specified"#,
            ),
            (
                AccessReview::Local("ns"),
                json!({"user": "x", "resourceAttributes": {"namespace": "default"}}),
                r#"spec.resourceAttributes.namespace: Invalid value: "default": must match metadata.namespace"#,
            ),
            (
                AccessReview::Local("ns"),
                json!({"user": "x", "nonResourceAttributes": other}),
                r#"spec.nonResourceAttributes: Invalid value: {"Path":"/","Verb":"get"}: disallowed on this kind of request"#,
            ),
            (
                AccessReview::Own(&user),
                json!({"resourceAttributes": {"fieldSelector": {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]}}}),
                r#"spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements"#,
            ),
        ] {
            let result = review.attributes(&json!({"spec": spec}));
            let expected = if error.is_empty() {
                String::new()
            } else {
                format!(".authorization.k8s.io \"\" is invalid: {error}")
            };
            assert_eq!(result.err().map(|error| error.message()).unwrap_or_default(), expected, "{spec}");
        }
    }

    #[test]
    fn attributes() {
        let spec = json!({"user": "x", "groups": ["g"], "uid": "u", "resourceAttributes":
            {"namespace": "ns", "verb": "get", "group": "apps", "resource": "deployments", "subresource": "scale", "name": "d"}});
        let asked = AccessReview::Subject.attributes(&json!({"spec": spec})).unwrap();
        assert_eq!(
            (asked.user.username.as_str(), asked.combined_resource().as_str()),
            ("x", "deployments/scale")
        );
        assert!(asked.resource_request);
        assert_eq!(access_review_status(&Decision::NoOpinion(String::new())), json!({"allowed": false}));
        assert_eq!(
            access_review_status(&Decision::Allow("why".into())),
            json!({"allowed": true, "reason": "why"})
        );
    }

    #[test]
    fn metadata_must_be_empty() {
        let managed = json!([{"fieldsV1": {}, "manager": "m", "operation": "Update"}]);
        let spec = json!({"user": "x", "resourceAttributes": {"verb": "get"}});
        for (review, metadata, error) in [
            (AccessReview::Subject, json!({"managedFields": managed}), ""),
            (
                AccessReview::Subject,
                json!({"managedFields": managed, "name": "n"}),
                r#"metadata: Invalid value: {"name":"n","managedFields":[{"manager":"m","operation":"Update","fieldsV1":{}}]}: must be empty"#,
            ),
            (AccessReview::Local(""), json!({"namespace": "ns"}), ""),
            (
                AccessReview::Local(""),
                json!({"labels": {"a": "b"}}),
                r#"metadata: Invalid value: {"labels":{"a":"b"}}: must be empty except for namespace"#,
            ),
        ] {
            let result = review.attributes(&json!({"metadata": metadata, "spec": spec}));
            let expected = if error.is_empty() {
                String::new()
            } else {
                format!(".authorization.k8s.io \"\" is invalid: {error}")
            };
            assert_eq!(result.err().map(|error| error.message()).unwrap_or_default(), expected);
        }
    }
}
