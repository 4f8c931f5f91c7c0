//! Server-side tables: the columns of a kind and a row per object, as `kubectl get` shows them.

use crate::call::{Call, Target};
use crate::negotiate::Accepted;
use crate::respond::partial;
use kinds::printing;
use object::{ApiError, Result, Value, json};

pub(crate) fn of_object(call: &Call, target: &Target, accepted: Accepted, object: &Value) -> Result<Value> {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    of_list(call, target, accepted, std::slice::from_ref(object), metadata)
}

pub(crate) fn of_list(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    objects: &[Value],
    metadata: Value,
) -> Result<Value> {
    let mut objects: Vec<&Value> = objects.iter().collect();
    printing::sort(&target.resource, &mut objects);
    let rows = objects.into_iter().map(|o| row(call, target, accepted, o)).collect::<Result<Vec<_>>>()?;
    Ok(table(target, accepted, true, rows, metadata))
}

/// The table of one watch event; only the first one repeats the columns.
pub(crate) fn of_event(
    call: &Call,
    target: &Target,
    accepted: Accepted,
    object: &Value,
    with_columns: bool,
) -> Result<Value> {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    Ok(table(target, accepted, with_columns, vec![row(call, target, accepted, object)?], metadata))
}

/// A scale, which has columns of its own whatever it scales.
pub(crate) fn of_scale(call: &Call, accepted: Accepted, scale: Value, custom: bool) -> Value {
    let (format, time) = if custom { ("name", "date") } else { ("", "string") };
    let column = |name: &str, kind: &str, format: &str, description: &str| json!({"name": name, "type": kind, "format": format, "description": description, "priority": 0});
    let columns = json!([
        column("Name", "string", format, "The name of what is scaled"),
        column("Desired", "integer", "", "Replicas wanted"),
        column("Available", "integer", "", "Replicas there are"),
        column("Age", time, "", "Time since it was made"),
    ]);
    let number = |v: &Value| v.as_i64().unwrap_or(0);
    let cells = json!([
        scale["metadata"]["name"],
        number(&scale["spec"]["replicas"]),
        number(&scale["status"]["replicas"]),
        object::time::age(object::meta::creation_timestamp(&scale), call.now),
    ]);
    let metadata = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
    let row = json!({"cells": cells, "object": partial(scale, accepted)});
    json!({
        "kind": "Table", "apiVersion": accepted.meta_version(), "metadata": metadata, "columnDefinitions": columns,
        "rows": [row],
    })
}

fn table(
    target: &Target,
    accepted: Accepted,
    with_columns: bool,
    rows: Vec<Value>,
    metadata: Value,
) -> Value {
    // A subresource of another kind, such as a scale, has columns of its own.
    let other =
        target.subresource().map(|s| s.gvk.kind.as_str()).filter(|kind| *kind != target.resource.kind);
    let columns = other.map_or_else(|| printing::columns(&target.resource), printing::subresource_columns);
    let columns: Value =
        if with_columns { columns.iter().map(|c| c.to_json()).collect() } else { Value::Null };
    json!({"kind": "Table", "apiVersion": accepted.meta_version(), "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn row(call: &Call, target: &Target, accepted: Accepted, object: &Value) -> Result<Value> {
    let mut row = json!({"cells": printing::row(&target.resource, object, call.now)});
    if let Some(conditions) = ended(object) {
        row["conditions"] = conditions;
    }
    match call.query.get("includeObject") {
        "" | "Metadata" => row["object"] = partial(object.clone(), accepted),
        "Object" => row["object"] = object.clone(),
        "None" => row["object"] = Value::Null,
        other => {
            return Err(ApiError::BadRequest(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or empty",
                object::error::quote(other)
            )));
        }
    }
    Ok(row)
}

/// Clients show rows of pods that have ended apart.
fn ended(object: &Value) -> Option<Value> {
    if object["kind"] != "Pod" || object["apiVersion"] != "v1" {
        return None;
    }
    let (reason, message) = match object["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}
