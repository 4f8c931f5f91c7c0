//! `AdmissionReview`: what webhooks are asked, and what they may answer.

use crate::admission::{Operation, json_patch};
use crate::pipeline::Write;
use base64::Engine;
use object::{ApiError, Value, json, meta};

/// The review of a write.
pub(super) fn request(write: &Write<'_>, operation: Operation, object: &Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": attributes(write, operation, object),
    })
}

/// What there is to know of a write, as reviews and policies name it.
pub(crate) fn attributes(write: &Write<'_>, operation: Operation, object: &Value) -> Value {
    let (call, resource) = (write.call, &write.target.resource);
    let gvk = write.target.subresource().map_or_else(|| resource.gvk(), |s| s.gvk.clone());
    let kind = json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
    let gvr = &resource.gvr;
    let what = json!({"group": gvr.group, "version": gvr.version, "resource": gvr.resource});
    let options = match operation {
        Operation::Create => Some("CreateOptions"),
        Operation::Update => Some("UpdateOptions"),
        Operation::Delete => Some("DeleteOptions"),
        Operation::Connect => None,
    };
    let options = options.map(|kind| {
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if call.dry_run() {
            options["dryRun"] = json!(["All"]);
        }
        options
    });
    let operation = self::operation(operation);
    let deleting = operation == "DELETE";
    let name = if meta::name(object).is_empty() { write.target.at.name.as_str() } else { meta::name(object) };
    let mut request = json!({
        "uid": uuid::Uuid::new_v4().to_string(), "kind": kind, "resource": what, "requestKind": kind,
        "requestResource": what, "operation": operation, "userInfo": call.user.to_json(),
        "object": if deleting { Value::Null } else { object.clone() },
        "oldObject": write.old.cloned().unwrap_or_default(), "dryRun": call.dry_run(),
        "options": options,
    });
    for (field, value) in [
        ("name", name),
        ("namespace", write.target.at.namespace.as_str()),
        ("subResource", write.target.at.subresource.as_str()),
        ("requestSubResource", write.target.at.subresource.as_str()),
    ] {
        if !value.is_empty() {
            request[field] = value.into();
        }
    }
    request
}

/// An operation, as reviews name it.
pub(crate) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// The `response` of an answer to the review `uid`.
pub(super) fn response(answer: Value, uid: &Value, mutates: bool) -> Result<Value, String> {
    checked(answer, uid, mutates).map_err(|why| format!("received invalid webhook response: {why}"))
}

fn checked(mut answer: Value, uid: &Value, mutates: bool) -> Result<Value, String> {
    let response = answer["response"].take();
    if !response.is_object() {
        return Err("webhook response was absent".into());
    }
    if answer["kind"] != "AdmissionReview" || answer["apiVersion"] != "admission.k8s.io/v1" {
        let text = |field: &str| answer[field].as_str().unwrap_or("");
        let version = Some(text("apiVersion")).filter(|version| !version.is_empty()).unwrap_or("/");
        let got = format!("{version}, Kind={}", text("kind"));
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {got}"
        ));
    }
    if response["uid"] != *uid {
        let got = response["uid"].as_str().unwrap_or("");
        return Err(format!("expected response.uid={uid}, got {got:?}"));
    }
    let patched = response["patch"].as_str().is_some_and(|p| !p.is_empty());
    let wrong = match (mutates, patched, response["patchType"].is_string()) {
        (true, true, false) => "webhook returned response.patch but not response.patchType",
        (true, false, true) => "webhook returned response.patchType but not response.patch",
        (false, true, _) => "validating webhook may not return response.patch",
        (false, false, true) => "validating webhook may not return response.patchType",
        _ => return Ok(response),
    };
    Err(wrong.into())
}

/// A patch that is no base64 makes the whole answer unreadable.
pub(super) fn readable(answer: &Value) -> Result<(), String> {
    let Some(patch) = answer["response"]["patch"].as_str() else { return Ok(()) };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    match base64::engine::general_purpose::STANDARD.decode(patch) {
        Ok(_) => Ok(()),
        Err(_) => {
            let at = patch.bytes().position(|byte| !is_digit(byte)).unwrap_or(patch.len());
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// The JSON patch of a mutating webhook; `None` when it leaves the object as it is.
pub(super) fn patch(response: &Value) -> Result<Option<Value>, String> {
    let Some(patch) = response["patch"].as_str().filter(|p| !p.is_empty()) else { return Ok(None) };
    let wrong = |why: String| format!("received undecodable patch in webhook response: {why}");
    let text = base64::engine::general_purpose::STANDARD.decode(patch).map_err(|e| wrong(e.to_string()))?;
    match (serde_json::from_slice(&text), text.first()) {
        (Ok(operations @ Value::Array(_)), _) if response["patchType"] == "JSONPatch" => Ok(Some(operations)),
        (Ok(Value::Array(_)), _) => Err(format!("unsupported patch type {}", response["patchType"])),
        (Ok(Value::Object(_)), _) => {
            Err(wrong("json: cannot unmarshal object into Go value of type jsonpatch.Patch".into()))
        }
        (Ok(other), _) => {
            let what = if other.is_string() { "string" } else { "number" };
            Err(wrong(format!("json: cannot unmarshal {what} into Go value of type jsonpatch.Patch")))
        }
        (Err(_), Some(first)) if !b"[{\"-0123456789tfn \t\r\n".contains(first) => {
            let first = char::from(*first);
            Err(wrong(format!("invalid character '{first}' looking for beginning of value")))
        }
        (Err(error), _) => Err(wrong(error.to_string())),
    }
}

/// The object after a patch; what does not fit is an error of the server's, not of the client's.
pub(super) fn patched(operations: &Value, object: &Value) -> object::Result<Value> {
    json_patch::apply(object, operations).map_err(|unfit| ApiError::Internal(unfit.message))
}

/// The refusal of a webhook, as the client sees it.
pub(super) fn denied(name: &str, response: &Value) -> ApiError {
    let mut status = response["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let by = format!("admission webhook \"{name}\" denied the request");
    let text = |field: &str| status[field].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let message = match text("message").or_else(|| text("reason")) {
        Some(why) => format!("{by}: {why}"),
        None => format!("{by} without explanation"),
    };
    status["message"] = message.into();
    status["status"] = "Failure".into();
    if status["code"].as_i64().unwrap_or(0) < 400 {
        status["code"] = 400.into();
    }
    status["kind"] = "Status".into();
    status["apiVersion"] = "v1".into();
    status["metadata"] = json!({});
    ApiError::Status(Box::new(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_checked() {
        let answer = |uid: &str| json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {"uid": uid}});
        assert!(response(answer("a"), &json!("a"), true).is_ok());
        let invalid = |why: &str| Err(format!("received invalid webhook response: {why}"));
        assert_eq!(
            response(answer("b"), &json!("a"), true),
            invalid("expected response.uid=\"a\", got \"b\"")
        );
        assert_eq!(response(json!({}), &json!("a"), true), invalid("webhook response was absent"));
    }

    #[test]
    fn patches_are_applied() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let add = encode(r#"[{"op": "add", "path": "/data", "value": {"a": "b"}}]"#);
        let operations = patch(&json!({"patchType": "JSONPatch", "patch": add})).unwrap().unwrap();
        assert_eq!(patched(&operations, &json!({})).unwrap(), json!({"data": {"a": "b"}}));
        assert_eq!(patch(&json!({})), Ok(None));
        let why = "received undecodable patch in webhook response: invalid character 'x' looking for beginning of value";
        assert_eq!(patch(&json!({"patch": encode("x")})), Err(why.into()));
        let test = json!([{"op": "test", "path": "/x", "value": 1}]);
        assert_eq!(
            patched(&test, &json!({})).unwrap_err().to_status()["message"],
            "Internal error occurred: testing value /x failed: test failed"
        );
    }

    #[test]
    fn refusals_say_who_refused() {
        let refusal = |status: Value| denied("w", &json!({"status": status})).to_status();
        assert_eq!(
            refusal(Value::Null)["message"],
            "admission webhook \"w\" denied the request without explanation"
        );
        let coded = refusal(json!({"code": 403, "message": "no"}));
        assert_eq!(
            (&coded["code"], &coded["message"]),
            (&json!(403), &json!("admission webhook \"w\" denied the request: no"))
        );
    }
}
