//! The `scale` subresource: how many replicas an object has and wants, whatever its kind.

use crate::resource::Resource;
use object::{ApiError, LabelSelector, Map, Result, Value, json};

/// The `Scale` of an object of a resource that has one.
///
/// # Errors
/// `Internal` when a custom resource does not say how many replicas it wants.
pub fn read(resource: &Resource, object: &Value) -> Result<Value> {
    if let Some(paths) = resource.definition.as_ref().and_then(|d| d.scale.as_ref())
        && object.pointer(&paths.spec_replicas).and_then(Value::as_i64).is_none()
    {
        let path = object::error::quote(&paths.spec_replicas_path);
        return Err(ApiError::Internal(format!("the spec replicas field {path} does not exist")));
    }
    read_to_change(resource, object)
}

/// As [`read`], for a change: whoever wants no number of replicas yet wants none.
///
/// # Errors
/// `Internal` for a selector that is none.
pub fn read_to_change(resource: &Resource, object: &Value) -> Result<Value> {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata.extend(object["metadata"].get(field).map(|v| (field.to_owned(), v.clone())));
    }
    let (wanted, current, selector) = match resource.definition.as_ref().and_then(|d| d.scale.as_ref()) {
        Some(paths) => {
            let at = |pointer: &str| object.pointer(pointer);
            let wanted = at(&paths.spec_replicas).and_then(Value::as_i64).unwrap_or(0);
            let selector = paths.label_selector.as_deref().and_then(at).and_then(Value::as_str);
            let current = at(&paths.status_replicas).and_then(Value::as_i64).unwrap_or(0);
            (wanted, current, selector.unwrap_or("").to_owned())
        }
        None => (
            object["spec"]["replicas"].as_i64().unwrap_or(0),
            object["status"]["replicas"].as_i64().unwrap_or(0),
            selector(resource, &object["spec"]["selector"])?,
        ),
    };
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {}, "status": {"replicas": current},
    });
    if wanted != 0 {
        scale["spec"]["replicas"] = wanted.into();
    }
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}

fn selector(resource: &Resource, selector: &Value) -> Result<String> {
    if resource.gvr.resource == "replicationcontrollers" {
        return Ok(LabelSelector::from_map(selector).to_string());
    }
    LabelSelector::from_object(selector).map(|s| s.to_string()).map_err(ApiError::Internal)
}

/// Writes what `scale` wants into the object.
pub fn write(resource: &Resource, object: &mut Value, scale: &Value) {
    let wanted = Value::from(scale["spec"]["replicas"].as_i64().unwrap_or(0));
    let pointer = match resource.definition.as_ref().and_then(|d| d.scale.as_ref()) {
        Some(paths) => paths.spec_replicas.as_str(),
        None => "/spec/replicas",
    };
    let mut at = object;
    for field in pointer.split('/').skip(1) {
        let field = field.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[field.as_str()];
    }
    *at = wanted;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[test]
    fn deployments_scale() {
        let registry = Registry::builtin();
        let deployments = registry.get("apps", "v1", "deployments").expect("served");
        let mut object = json!({
            "metadata": {"name": "d", "uid": "u", "labels": {"x": "y"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "d"}}}, "status": {"replicas": 1},
        });
        let scale = read(deployments, &object).expect("scales");
        assert_eq!(
            scale,
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "d", "uid": "u"},
                "spec": {"replicas": 2}, "status": {"replicas": 1, "selector": "app=d"}})
        );
        write(deployments, &mut object, &json!({"spec": {}}));
        assert_eq!(object["spec"]["replicas"], 0);
        assert_eq!(read(deployments, &object).expect("scales")["spec"], json!({}));
    }
}
