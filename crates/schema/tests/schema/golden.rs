//! What a real API server answered, decoded: nothing may change, for a server's answer is already canonical.
//!
//! Needs the recorded transcripts beside the project; without them the tests say so and pass.

use object::{GroupVersionKind, meta};
use schema::decode::{Strictness, decode};
use serde_json::Value;
use std::{fs, path::Path};

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/cases");
    let Ok(areas) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no transcripts at {}", folder.display());
        return Vec::new();
    };
    let mut cases = Vec::new();
    for area in areas.flatten() {
        for file in fs::read_dir(area.path()).into_iter().flatten().flatten() {
            let case = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
            cases.push((file.path().display().to_string(), case));
        }
    }
    cases
}

/// Placeholders of normalized values, made values of their type again.
fn denormalize(value: &mut Value) {
    match value {
        Value::String(text) if text == "<time>" => *text = "2026-01-02T03:04:05Z".into(),
        Value::String(text) if text == "<microtime>" => *text = "2026-01-02T03:04:05.000006Z".into(),
        Value::String(text) if text.starts_with("<gen:") || text.starts_with("<nodePort") => {
            *value = 30000.into()
        }
        Value::Array(list) => list.iter_mut().for_each(denormalize),
        Value::Object(map) => map.values_mut().for_each(denormalize),
        _ => {}
    }
}

pub(crate) fn differences(path: &str, theirs: &Value, ours: &Value, out: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                differences(&format!("{path}.{key}"), value, b.get(key).unwrap_or(&Value::Null), out);
                if value.is_null() && !b.contains_key(key) {
                    out.push(format!("{path}.{key}: null in theirs, absent in ours"));
                }
            }
            for key in b.keys().filter(|k| !a.contains_key(*k)) {
                out.push(format!("{path}.{key}: only in ours: {}", b[key]));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| differences(&format!("{path}[]"), a, b, out));
        }
        _ if theirs != ours => out.push(format!("{path}: {theirs} became {ours}")),
        _ => {}
    }
}

#[test]
fn answers_of_a_real_server_stay_as_they_are() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (file, case) in cases() {
        for step in case["steps"].as_array().into_iter().flatten() {
            if step.get("keep").is_some() || step.get("shape").is_some() {
                continue;
            }
            let mut body = step["expect"]["body"].clone();
            denormalize(&mut body);
            let Some(gvk) = meta::gvk(&body) else { continue };
            if gvk == GroupVersionKind::new("", "v1", "List") || gvk.kind == "Table" {
                continue;
            }
            let Some(schema) = schema::builtin().by_gvk(&gvk) else { continue };
            seen += 1;
            let mut found = Vec::new();
            match decode(schema, body.clone(), Strictness::Warn) {
                Ok(decoded) => {
                    found.extend(decoded.problems);
                    differences("", &body, &decoded.value, &mut found);
                }
                Err(error) => found.push(error.0),
            }
            // Lists are not stored; only they show that they are empty.
            found.retain(|d| d != ".items: [] became null");
            wrong.extend(found.into_iter().map(|d| format!("{file} {} {}: {d}", step["name"], gvk.kind)));
        }
    }
    eprintln!("{seen} answers decoded");
    assert!(wrong.is_empty(), "{}\n{} differences", wrong[..wrong.len().min(60)].join("\n"), wrong.len());
}

/// The compiled schemas of the definitions that a case creates, by version and kind.
fn definitions(case: &Value) -> Vec<(String, schema::custom::Compiled)> {
    let mut found = Vec::new();
    for step in case["steps"].as_array().into_iter().flatten() {
        let spec = &step["body"]["spec"];
        if step["body"]["kind"] != "CustomResourceDefinition"
            || step["method"] != "POST"
            || step["expect"]["code"] != 201
        {
            continue;
        }
        for version in spec["versions"].as_array().into_iter().flatten() {
            let api_version =
                format!("{}/{}", spec["group"].as_str().unwrap(), version["name"].as_str().unwrap());
            let key = format!("{api_version} {}", spec["names"]["kind"].as_str().unwrap());
            found.push((key, schema::custom::compile(&version["schema"]["openAPIV3Schema"])));
        }
    }
    found
}

#[test]
fn custom_resources_are_read_and_refused_as_by_a_real_server() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    let files = ["crd/validation.json", "crd/pruning-and-defaulting.json"];
    for (file, case) in cases().into_iter().filter(|(file, _)| files.iter().any(|f| file.ends_with(f))) {
        let definitions = definitions(&case);
        for step in case["steps"].as_array().unwrap() {
            let body = match &step["rawBody"] {
                Value::String(text) => text.clone(),
                _ => step["body"].to_string(),
            };
            let Ok(parsed) = serde_json::from_str::<Value>(&body) else { continue };
            let key = format!(
                "{} {}",
                parsed["apiVersion"].as_str().unwrap_or(""),
                parsed["kind"].as_str().unwrap_or("")
            );
            let Some((_, compiled)) = definitions.iter().find(|(k, _)| *k == key) else { continue };
            if step["method"] != "POST" {
                continue;
            }
            seen += 1;
            let expected = &step["expect"]["body"];
            let said = answer(compiled, &body, step["query"]["fieldValidation"] == "Strict");
            let asked = match step["expect"]["code"].as_i64().unwrap() {
                201 => {
                    let mut object = expected.clone();
                    denormalize(&mut object);
                    object.as_object_mut().unwrap().remove("metadata");
                    object
                }
                422 => expected["details"]["causes"].clone(),
                _ => {
                    expected["message"].as_str().unwrap().split_once("Widget: ").map_or("", |(_, m)| m).into()
                }
            };
            if said != asked {
                wrong.push(format!("{file} {}:\n  theirs {asked}\n  ours   {said}", step["name"]));
            }
        }
    }
    eprintln!("{seen} custom resources");
    assert!(wrong.is_empty(), "{}\n{} differences", wrong.join("\n"), wrong.len());
}

/// The object without its metadata, the causes of its refusal, or the message of one that could not be read.
fn answer(compiled: &schema::custom::Compiled, body: &str, strict: bool) -> Value {
    let decoded = match schema::decode::decode_json(compiled.schema(), body.as_bytes(), Strictness::Strict) {
        Ok(decoded) => decoded,
        Err(error) => return error.0.into(),
    };
    if strict && !decoded.problems.is_empty() {
        return schema::decode::strict_decoding_error(&decoded.problems).into();
    }
    let mut errors = schema::custom::validate_schema(compiled.schema(), &decoded.value, None);
    errors.extend(schema::custom::validate_rest(compiled.schema(), &decoded.value, None));
    if !errors.is_empty() {
        let cause = |e: &object::FieldError| serde_json::json!({"field": e.path, "message": e.message, "reason": e.kind.reason()});
        return errors.iter().map(cause).collect();
    }
    let mut object = decoded.value;
    object.as_object_mut().unwrap().remove("metadata");
    object
}

#[test]
fn schemas_of_definitions_are_refused_as_by_a_real_server() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (_, case) in cases().into_iter().filter(|(file, _)| file.ends_with("crds.json")) {
        for step in case["steps"].as_array().unwrap() {
            let versions = step["body"]["spec"]["versions"].as_array().map_or(&[][..], Vec::as_slice);
            let ([version], Some(body)) = (versions, step["expect"]["body"].as_object()) else { continue };
            let schema = &version["schema"]["openAPIV3Schema"];
            let message = body.get("message").and_then(Value::as_str).unwrap_or("");
            // Rules that do not compile are somebody else's to refuse.
            if schema.is_null()
                || message.contains("already exists")
                || step["name"].as_str().unwrap().starts_with("CEL ") && message.contains("ompil")
            {
                continue;
            }
            seen += 1;
            let path = object::Path::new("spec.validation.openAPIV3Schema");
            let status = version["subresources"].get("status").is_some();
            let ours = schema::custom::check_definition(schema, &path, status);
            let ours: Vec<_> = ours.iter().map(|e| format!("{} {}", e.path, e.message)).collect();
            let causes = step["expect"]["body"]["details"]["causes"].as_array().cloned().unwrap_or_default();
            let theirs = causes
                .iter()
                .map(|c| format!("{} {}", c["field"].as_str().unwrap(), c["message"].as_str().unwrap()));
            let theirs: Vec<_> =
                theirs.filter(|t| t.starts_with("spec.validation.openAPIV3Schema")).collect();
            let cel = ["evaluate to", "cost", "uncorrelatable"];
            if ours != theirs && !theirs.iter().any(|t| cel.iter().any(|c| t.contains(c))) {
                wrong.push(format!("{}:\n  theirs {theirs:?}\n  ours   {ours:?}", step["name"]));
            }
        }
    }
    eprintln!("{seen} definitions");
    assert!(wrong.is_empty(), "{}\n{} differences", wrong.join("\n"), wrong.len());
}
