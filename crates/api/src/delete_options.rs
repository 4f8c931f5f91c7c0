//! `DeleteOptions`: from the body if there is one, else from the query; never from both.

use crate::call::Call;
use crate::codec::{dry_run_errors, in_json, no_type_meta, refuse_options};
use crate::lenient;
use crate::negotiate::{self, Media};
use crate::verbs::delete::{Options, options_from};
use object::{ApiError, FieldError, GroupVersionKind, Path, Result, Value, json};
use schema::decode::{self, Strictness};

/// What a client asks of a deletion.
///
/// # Errors
/// `BadRequest` for what cannot be read, `Invalid` for what does not go together.
pub(crate) fn read(call: &Call) -> Result<Options> {
    let body = if call.body.is_empty() {
        from_query(call)?
    } else {
        let body = from_body(call)?;
        call.record_delete_options(&body);
        body
    };
    let mut errors = Vec::new();
    let policy = &body["propagationPolicy"];
    if !policy.is_null() && !body["orphanDependents"].is_null() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid(&Path::new("propagationPolicy"), policy, detail));
    }
    let known = ["Foreground", "Background", "Orphan", "nil"];
    if policy.as_str().is_some_and(|p| !known[..3].contains(&p)) {
        errors.push(FieldError::not_supported(&Path::new("propagationPolicy"), policy, &known));
    }
    let dry_run = body["dryRun"].as_array().into_iter().flatten();
    dry_run_errors(dry_run.filter_map(Value::as_str), &mut errors);
    refuse_options("DeleteOptions", errors)?;
    let options = options_from(&body);
    // A collection's options are read once, an object's too: the first word is the last.
    let _ = call.body_dry_run.set(options.dry_run);
    Ok(options)
}

fn from_query(call: &Call) -> Result<Value> {
    let query = &call.query;
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(grace) = query.int64("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = grace.into();
    }
    if query.has("orphanDependents") {
        options["orphanDependents"] = query.flag("orphanDependents").into();
    }
    if query.has("propagationPolicy") {
        options["propagationPolicy"] = query.get("propagationPolicy").into();
    }
    for field in ["uid", "resourceVersion"] {
        if !query.get(field).is_empty() {
            options["preconditions"][field] = query.get(field).into();
        }
    }
    options["dryRun"] = query.all("dryRun").collect();
    Ok(options)
}

fn from_body(call: &Call) -> Result<Value> {
    let expected = GroupVersionKind::new("", "v1", "DeleteOptions");
    let schema = schema::builtin()
        .by_gvk(&expected)
        .ok_or_else(|| ApiError::Internal("DeleteOptions is no known type".into()))?;
    let decoded = match negotiate::content_type(&call.headers, true)? {
        Media::Json => {
            let body = lenient::json_text(&call.body);
            let untyped = decode::decode_untyped(&body, Strictness::Ignore);
            let head = untyped.map_err(|e| ApiError::BadRequest(in_json(&e.0)))?.value;
            check_kind(&head)?;
            decode::decode_json(schema, &body, Strictness::Ignore)
        }
        Media::Yaml => {
            let read = lenient::yaml(&call.body);
            let (value, _) = read.map_err(|e| ApiError::BadRequest(format!("yaml: {e}")))?;
            check_kind(&value)?;
            decode::decode_json(schema, value.to_string().as_bytes(), Strictness::Ignore)
        }
        Media::Protobuf => {
            let value = schema::proto::decode_envelope(&call.body);
            let value = value.map_err(|e| ApiError::BadRequest(e.to_string()))?;
            check_kind(&value)?;
            return Ok(value);
        }
    };
    decoded.map(|decoded| decoded.value).map_err(|e| ApiError::BadRequest(e.0))
}

/// Options come as an object that says it is one, or says nothing. Their group and version do not matter.
fn check_kind(body: &Value) -> Result<()> {
    if !body.is_object() && !body.is_null() {
        return Err(ApiError::BadRequest(in_json(&no_type_meta(body))));
    }
    let text = |key: &str| body[key].as_str().unwrap_or("");
    let (kind, version) = (text("kind"), text("apiVersion"));
    if matches!(kind, "" | "DeleteOptions") {
        return Ok(());
    }
    let version = if version.is_empty() { "v1" } else { version };
    Err(ApiError::BadRequest(format!(
        "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
    )))
}
