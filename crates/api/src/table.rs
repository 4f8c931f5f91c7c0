//! Server-side tables: the columns of a kind and a row per object, as `kubectl get` shows them.

use crate::call::{Call, Target};
use crate::respond::partial;
use kinds::printing;
use object::{ApiError, Result, Value, json};

pub(crate) fn of_object(call: &Call, target: &Target, object: &Value) -> Result<Value> {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    of_list(call, target, std::slice::from_ref(object), metadata)
}

pub(crate) fn of_list(call: &Call, target: &Target, objects: &[Value], metadata: Value) -> Result<Value> {
    let rows = objects.iter().map(|o| row(call, target, o)).collect::<Result<Vec<_>>>()?;
    Ok(table(target, true, rows, metadata))
}

/// The table of one watch event; only the first one repeats the columns.
pub(crate) fn of_event(call: &Call, target: &Target, object: &Value, with_columns: bool) -> Result<Value> {
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    Ok(table(target, with_columns, vec![row(call, target, object)?], metadata))
}

fn table(target: &Target, with_columns: bool, rows: Vec<Value>, metadata: Value) -> Value {
    let columns: Value = if with_columns {
        printing::columns(&target.resource).iter().map(|c| c.to_json()).collect()
    } else {
        Value::Null
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn row(call: &Call, target: &Target, object: &Value) -> Result<Value> {
    let mut row = json!({"cells": printing::row(&target.resource, object, call.now)});
    match call.query.get("includeObject") {
        "" | "Metadata" => row["object"] = partial(object.clone()),
        "Object" => row["object"] = object.clone(),
        "None" => {}
        other => {
            return Err(ApiError::BadRequest(format!(
                "unrecognized includeObject value: {}",
                object::error::quote(other)
            )));
        }
    }
    Ok(row)
}
