//! Compares our causes with those a real API server gave, case by case.
//!
//! Walks the transcripts in `../shared/golden/cases` (skipped where that folder is missing): each POST that was refused
//! as Invalid, and each PUT of a saved object. What an API server does between decoding and validation is imitated in
//! [`prepare`] as far as the cases need it. Some causes come from CEL or allocation and stay different; the floor at
//! the end only goes up.

use object::{FieldErrorKind, GroupVersionKind};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Steps that must agree. Raise it when more do.
const FLOOR: usize = 815;
const NAMESPACE: &str = "golden-abcde";
const UID: &str = "00000000-1111-4222-8333-444444444444";

#[test]
fn causes_are_those_of_a_real_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/cases");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no golden transcripts in {}", folder.display());
        return;
    }
    let only = std::env::var("GOLDEN_ONLY").unwrap_or_default();
    let (mut passed, mut failed) = (0, vec![]);
    for file in files(&folder).iter().filter(|f| f.to_string_lossy().contains(&only)) {
        let text = std::fs::read_to_string(file).expect("readable");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let mut saved = None;
        for step in case["steps"].as_array().into_iter().flatten() {
            match check(step, &mut saved) {
                None => {}
                Some(Ok(())) => passed += 1,
                Some(Err(difference)) => {
                    failed.push(format!("{}: {}\n{difference}", case["case"], step["name"]));
                }
            }
        }
    }
    for difference in &failed {
        eprintln!("{difference}");
    }
    eprintln!("{passed} passed, {} failed", failed.len());
    assert!(passed >= FLOOR || !only.is_empty(), "{passed} steps agree, {FLOOR} did before");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for area in ["validation", "query", "crud", "lifecycle", "patch", "crd"] {
        let Ok(entries) = std::fs::read_dir(folder.join(area)) else { continue };
        files.extend(
            entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "json")),
        );
    }
    files.sort();
    files
}

/// `None` when the step is not about validation.
fn check(step: &Value, saved: &mut Option<Value>) -> Option<Result<(), String>> {
    let (method, code) = (step["method"].as_str()?, step["expect"]["code"].as_u64()?);
    let path = step["path"].as_str()?;
    let collection = path
        .split_once("/namespaces/")
        .is_none_or(|(_, rest)| rest.split('/').count() == 2 || !rest.contains('/'));
    let answer = expand(&step["expect"]["body"]);
    let body = expand(step.get("body")?);
    let (new, old) = match method {
        "POST" if collection && !path.contains("/pods/") => (body, None),
        "PUT"
            if body.get("$from").is_some()
                && saved.is_some()
                && path.ends_with(saved.as_ref()?["metadata"]["name"].as_str()?) =>
        {
            let old = saved.clone()?;
            (edit(&old, &body), Some(old))
        }
        _ => return None,
    };
    let gvk = object::meta::gvk(&new)?;
    if gvk.group.ends_with(".example.com") {
        return None; // Custom resources have their schemas' rules.
    }
    let mut new = new;
    prepare(&gvk, &mut new, path, old.as_ref());
    if method == "POST" && code == 201 {
        *saved = Some(answer.clone());
    }
    // Parameters of the request are not the object's matter. The store itself refuses unconditional updates of kinds that do not allow them.
    if answer.to_string().contains("Invalid value: 0: must be specified for an update")
        || answer.to_string().contains("\"field\":\"dryRun\"")
    {
        return None;
    }
    let expected = match code {
        422 if answer["reason"] == "Invalid" => causes(&answer),
        200 | 201 => vec![],
        _ => return None,
    };
    let errors = match &old {
        Some(old) => validation::validate_update(&gvk, &new, old),
        None => validation::validate_create(&gvk, &new),
    };
    let ours: Vec<_> = errors.iter().map(|e| (reason(e.kind), e.path.clone(), e.message.clone())).collect();
    if ours == expected {
        // What is refused is not warned of.
        return Some(if ours.is_empty() { check_warnings(step, &gvk, &new, old.as_ref()) } else { Ok(()) });
    }
    let show = |list: &[(String, String, String)]| {
        list.iter()
            .map(|(r, f, m)| format!("      {} | {f} | {m}\n", r.trim_start_matches("FieldValue")))
            .collect::<String>()
    };
    Some(Err(format!("    expected\n{}    ours\n{}", show(&expected), show(&ours))))
}

fn check_warnings(
    step: &Value,
    gvk: &GroupVersionKind,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), String> {
    let listed = step["expect"]["headers"]["Warning"].as_array();
    let expected: Vec<_> =
        listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let unknown = |w: &String| {
        w.contains("unknown field")
            || w.contains("is deprecated in v")
            || w.contains("duplicate field")
            || w.contains("would violate PodSecurity")
            || w.contains("golden")
    };
    let expected: Vec<_> = expected.into_iter().filter(|w| !unknown(w)).collect();
    let ours: Vec<_> =
        validation::warnings(gvk, new, old).iter().map(|w| format!("299 - {}", quoted(w))).collect();
    if ours == expected {
        Ok(())
    } else {
        Err(format!("    expected warnings {expected:#?}\n    ours {ours:#?}"))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn reason(kind: FieldErrorKind) -> String {
    kind.reason().to_owned()
}

fn causes(status: &Value) -> Vec<(String, String, String)> {
    let text = |c: &Value, f: &str| c[f].as_str().unwrap_or("").to_owned();
    let listed = status["details"]["causes"].as_array();
    listed.into_iter().flatten().map(|c| (text(c, "reason"), text(c, "field"), text(c, "message"))).collect()
}

/// Applies a `{"$from", "$set", "$remove"}` body to a saved object.
fn edit(saved: &Value, body: &Value) -> Value {
    let mut object = saved.clone();
    for pointer in body["$remove"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // A PUT without a resourceVersion is given the stored one before it is validated.
        if pointer != "/metadata/resourceVersion" {
            remove(&mut object, pointer);
        }
    }
    for (pointer, value) in body["$set"].as_object().into_iter().flatten() {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let key = key.replace("~1", "/").replace("~0", "~");
        if let Some(parent) = make(&mut object, parent) {
            parent[key.as_str()] = value.clone();
        }
    }
    object
}

fn remove(object: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    if let Some(map) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

fn make<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    let mut at = object;
    for key in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?)?,
            other => &mut other[key],
        };
    }
    Some(at)
}

/// Placeholders of the transcripts, spelled out.
fn expand(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(expand_text(text)),
        Value::Array(list) => list.iter().map(expand).collect(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (expand_text(k), expand(v))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn expand_text(text: &str) -> String {
    let mut text = text.replace("${ns}", NAMESPACE);
    for number in 1..10 {
        text = text.replace(&format!("<gen:{number}>"), "abcde");
        text = text.replace(&format!("<uid:{number}>"), UID);
    }
    while let Some(start) = text.find("${repeat:") {
        let end = start + text[start..].find('}').expect("closed");
        let (what, count) = text[start + 9..end].rsplit_once(':').expect("a count");
        let long = what.repeat(count.parse().expect("a number"));
        text.replace_range(start..=end, &long);
    }
    while let Some((start, length, long)) = repetition(&text) {
        text.replace_range(start..start + length, &long);
    }
    text
}

/// `<a x 300>`
fn repetition(text: &str) -> Option<(usize, usize, String)> {
    let mut from = 0;
    while let Some(found) = text[from..].find('<') {
        let start = from + found;
        if let Some(end) = text[start..].find('>')
            && let Some((what, count)) = text[start + 1..start + end].split_once(" x ")
            && let Ok(count) = count.parse()
        {
            return Some((start, end + 1, what.repeat(count)));
        }
        from = start + 1;
    }
    None
}

/// What a server does to an object before it validates it.
fn prepare(gvk: &GroupVersionKind, object: &mut Value, path: &str, old: Option<&Value>) {
    drop_nulls(object);
    if let Some((_, rest)) = path.split_once("/namespaces/")
        && rest.contains('/')
        && object::meta::namespace(object).is_empty()
    {
        object::meta::set(object, "namespace", NAMESPACE);
    }
    let generated = object::meta::generate_name(object).to_owned();
    if old.is_none() && object::meta::name(object).is_empty() && !generated.is_empty() {
        let cut: String = generated.chars().take(58).collect();
        object::meta::set(object, "name", format!("{cut}abcde"));
    }
    if gvk.kind == "Secret" {
        string_data(object);
    }
    structs(&gvk.kind, object);
    kinds::defaulting::default(gvk, object);
    match (gvk.kind.as_str(), old) {
        ("Pod", None) if object["spec"]["serviceAccountName"].is_null() => {
            object["spec"]["serviceAccountName"] = json!("default");
        }
        ("Job", None) => job(object),
        ("Service", None) => service(object),
        ("Namespace", None) => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        ("CustomResourceDefinition", None) => stored_versions(object),
        _ => {}
    }
}

/// What Go decodes into structs rather than pointers is always there.
fn structs(kind: &str, object: &mut Value) {
    let pointers: &[&str] = match kind {
        "Pod" => &["/spec"],
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" => {
            &["/spec", "/spec/template", "/spec/template/spec"]
        }
        "CronJob" => &[
            "/spec",
            "/spec/jobTemplate",
            "/spec/jobTemplate/spec",
            "/spec/jobTemplate/spec/template",
            "/spec/jobTemplate/spec/template/spec",
        ],
        "PodTemplate" => &["/template", "/template/spec"],
        _ => &[],
    };
    for pointer in pointers {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.entry(key).or_insert_with(|| json!({}));
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn string_data(secret: &mut Value) {
    use base64::Engine;
    let Some(map) = secret.as_object_mut() else { return };
    for (key, value) in map.remove("stringData").and_then(|d| d.as_object().cloned()).into_iter().flatten() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or(""));
        secret["data"][key] = encoded.into();
    }
}

fn job(job: &mut Value) {
    object::meta::set(job, "uid", UID);
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let name = job["metadata"]["name"].clone();
    job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = UID.into();
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for (key, value) in [("controller-uid", json!(UID)), ("job-name", name)] {
        labels[key] = value.clone();
        labels[format!("batch.kubernetes.io/{key}")] = value;
    }
}

fn service(service: &mut Value) {
    let spec = &mut service["spec"];
    if spec["type"] != "ExternalName" && spec["clusterIP"].is_string() && spec["clusterIPs"].is_null() {
        spec["clusterIPs"] = json!([spec["clusterIP"].clone()]);
    }
}

fn stored_versions(crd: &mut Value) {
    let versions = crd["spec"]["versions"].as_array().cloned().unwrap_or_default();
    if let Some(stored) = versions.iter().find(|v| v["storage"] == true) {
        crd["status"]["storedVersions"] = json!([stored["name"]]);
    }
}
