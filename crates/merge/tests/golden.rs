//! What a real API server answered, step by step: every recorded write is done again here from the recorded state before
//! it, and managedFields, merged objects and refusals must be those recorded.

#![allow(clippy::unwrap_used)] // It is a test.

use merge::{
    FieldManager, ManagerInfo, SingleVersion, json_patch, merge_patch, reset_filter, strategic_merge_patch,
};
use object::{GroupVersion, GroupVersionKind, meta};
use schema::Schema;
use schema::custom::{Compiled, compile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const TIME: &str = "2026-01-01T00:00:00Z";

/// The folder `name` beside the repository.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not here", path.display());
    None
}

/// A recording, with a real time in place of the placeholder.
fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace("\"<time>\"", &format!("\"{TIME}\""))).unwrap()
}

/// managedFields without times, in an order that does not depend on them.
fn timeless(object: &Value) -> Vec<Value> {
    let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    for entry in &mut entries {
        entry.as_object_mut().unwrap().remove("time");
    }
    entries.sort_by_key(ToString::to_string);
    entries
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    meta::unset(&mut object, "managedFields");
    object
}

/// What a server adds to a new object after ownership is settled (admission, allocation), by JSON pointer.
const ADDED_LATER: &[(&str, &[&str])] = &[
    ("batch/v1/jobs", &["/spec/selector", "/spec/template/metadata/labels"]),
    ("storage.k8s.io/v1/volumeattributesclasses", &["/metadata/finalizers"]),
    ("v1/namespaces", &["/spec/finalizers"]),
    ("v1/nodes", &["/spec/taints"]),
    ("v1/persistentvolumeclaims", &["/metadata/finalizers"]),
    ("v1/persistentvolumes", &["/metadata/finalizers"]),
    (
        "v1/pods",
        &[
            "/spec/containers/0/volumeMounts",
            "/spec/preemptionPolicy",
            "/spec/priority",
            "/spec/serviceAccount",
            "/spec/serviceAccountName",
            "/spec/tolerations",
            "/spec/volumes",
        ],
    ),
    ("v1/services", &["/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies", "/spec/ipFamilyPolicy"]),
];

fn remove(object: &mut Value, pointer: &str) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).and_then(Value::as_object_mut).map(|map| map.remove(field));
}

#[test]
fn created_objects_belong_to_their_creator() {
    let Some(folder) = shared("kubernetes-1.36") else { return };
    let mut wrong = Vec::new();
    let all = read(&folder.join("defaults.json"));
    for (name, pair) in all.as_object().unwrap() {
        let stored = &pair["stored"];
        let gvk = meta::gvk(stored).unwrap();
        let mut new = without_managed_fields(stored);
        for (_, pointers) in ADDED_LATER.iter().filter(|(kind, _)| kind == name) {
            pointers.iter().for_each(|pointer| remove(&mut new, pointer));
        }
        if name == "storage.k8s.io/v1/csinodes" {
            // Sent as [], stored as null.
            new["spec"]["drivers"] = json!([]);
        }
        let versions = SingleVersion {
            api_version: &gvk.api_version(),
            schema: schema::builtin().by_gvk(&gvk),
            filter: reset_filter(&gvk.group_kind(), "", true, false),
        };
        let manager = FieldManager { kind: &gvk, subresource: "", versions: &versions };
        manager.update(None, &mut new, ManagerInfo { manager: "golden", time: TIME });
        let (ours, theirs) = (timeless(&new), timeless(stored));
        if ours != theirs {
            wrong.push(format!("{name}\n  ours   {}\n  theirs {}", json!(ours), json!(theirs)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What was recorded of one case so far.
#[derive(Default)]
struct Replay {
    /// The last state of every object, by path.
    objects: BTreeMap<String, Value>,
    custom: BTreeMap<(String, String), Compiled>,
    checked: usize,
    wrong: Vec<String>,
}

impl Replay {
    fn schema(&self, gvk: &GroupVersionKind) -> Option<Schema<'_>> {
        let custom = self.custom.get(&(gvk.api_version(), gvk.kind.clone()));
        custom.map(Compiled::schema).or_else(|| schema::builtin().by_gvk(gvk))
    }

    fn learn(&mut self, definition: &Value) {
        for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
            let (Some(group), Some(name)) = (definition["spec"]["group"].as_str(), version["name"].as_str())
            else {
                continue;
            };
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or("");
            let types = compile(&version["schema"]["openAPIV3Schema"]);
            self.custom.insert((GroupVersion::new(group, name).to_string(), kind.into()), types);
        }
    }

    fn step(&mut self, step: &Value) {
        let (method, path) = (step["method"].as_str().unwrap(), step["path"].as_str().unwrap());
        let body = &step["expect"]["body"];
        let code = step["expect"]["code"].as_i64().unwrap_or(0);
        let (object_path, subresource) = split(path);
        if method == "PUT" || method == "PATCH" {
            self.write(step, &object_path, &subresource, code, body);
        }
        let dry = step["query"]["dryRun"].is_string();
        if dry
            || !(200..300).contains(&code)
            || !body["metadata"]["name"].is_string()
            || body["kind"] == "Scale"
        {
            return;
        }
        if body["kind"] == "PartialObjectMetadata" {
            return;
        }
        if is_partial(step) {
            self.objects.remove(&object_path);
            return;
        }
        if body["kind"] == "CustomResourceDefinition" {
            self.learn(body);
        }
        let path = if method == "POST" { format!("{path}/{}", meta::name(body)) } else { object_path };
        if method != "DELETE" && body["kind"] != "Status" {
            self.objects.insert(path, body.clone());
        } else {
            self.objects.remove(&path);
        }
    }

    fn write(&mut self, step: &Value, path: &str, subresource: &str, code: i64, expected: &Value) {
        if matches!(subresource, "scale" | "binding" | "eviction" | "token") || is_partial(step) {
            return;
        }
        let content_type = step["headers"]["Content-Type"].as_str().unwrap_or("");
        let live = self.objects.get(path);
        let applying = content_type.contains("apply-patch");
        let sent = &step["body"];
        let Some(gvk) =
            meta::gvk(expected).filter(|gvk| gvk.kind != "Status").or_else(|| live.and_then(meta::gvk))
        else {
            return;
        };
        let Some(schema) = self.schema(&gvk) else { return };
        let name = step["query"]["fieldManager"].as_str().unwrap_or("golden");
        let info = ManagerInfo { manager: name, time: TIME };
        let custom = self.custom.contains_key(&(gvk.api_version(), gvk.kind.clone()));
        let api_version = gvk.api_version();
        let versions = SingleVersion {
            api_version: &api_version,
            schema: Some(schema),
            filter: reset_filter(&gvk.group_kind(), subresource, true, custom),
        };
        let manager = FieldManager { kind: &gvk, subresource, versions: &versions };
        let differs = |what: &str, ours: &Value, theirs: &Value| {
            (ours != theirs).then(|| format!("{}: {what}\n  ours   {ours}\n  theirs {theirs}", step["name"]))
        };
        let mut wrong = Vec::new();
        if applying {
            if !sent.is_object() || name.is_empty() || sent["metadata"]["name"].is_null() {
                return;
            }
            let force = step["query"]["force"] == "true";
            match manager.apply(live, sent, info, force) {
                Ok(ours) if code < 300 => {
                    wrong.extend(differs(
                        "managedFields",
                        &json!(timeless(&ours)),
                        &json!(timeless(expected)),
                    ));
                    let mut expected = comparable(schema, expected);
                    for field in ["uid", "creationTimestamp", "namespace"] {
                        if ours["metadata"].get(field).is_none() {
                            meta::unset(&mut expected, field);
                        }
                    }
                    let mut ours = comparable(schema, &ours);
                    if subresource == "status" {
                        // The rest is reset.
                        (ours, expected) = (ours["status"].clone(), expected["status"].clone());
                    }
                    wrong
                        .extend(differs("object", &ours, &expected).filter(|_| !is_within(&ours, &expected)));
                }
                // Other parts of the server refuse these.
                Ok(_) if matches!(code, 400 | 403 | 409 | 415 | 422) => return,
                Ok(ours) => wrong.push(format!("{}: applied, {code} expected: {ours}", step["name"])),
                Err(error) if code < 300 => wrong.push(format!("{}: {}", step["name"], error.message())),
                Err(error) => wrong.extend(differs("refusal", &error.to_status(), expected)),
            }
        } else if code < 300 {
            let Some(live) = live else { return };
            let mut new = without_managed_fields(expected);
            let patched = patch(schema, content_type, live, sent);
            // What the strategy resets later is still there then. (Defaults are not needed there, but for nodes.)
            let early = matches!(subresource, "status" | "resize") && gvk.kind != "Node";
            if let (true, Some(patched)) = (early, &patched) {
                new = comparable(schema, patched);
            }
            if let Some(entries) = sent.pointer("/metadata/managedFields") {
                new["metadata"]["managedFields"] = entries.clone();
            }
            manager.update(Some(live), &mut new, info);
            wrong.extend(differs("managedFields", &json!(timeless(&new)), &json!(timeless(expected))));
            // Pruning and the reset of status are not a patch's business.
            if let (false, Some(patched)) = (custom || early, &patched) {
                let (ours, theirs) = (comparable(schema, patched), comparable(schema, expected));
                wrong.extend(differs("object", &ours, &theirs).filter(|_| !is_within(&ours, &theirs)));
            }
        } else if let (Some(live), 422 | 500) = (live, code) {
            let Some(Err(error)) = try_patch(schema, content_type, live, sent) else { return };
            wrong.extend(differs("refusal", &error.to_status(), expected));
        } else {
            return;
        }
        self.checked += 1;
        self.wrong.extend(wrong);
    }
}

fn try_patch(
    schema: Schema<'_>,
    content_type: &str,
    live: &Value,
    sent: &Value,
) -> Option<object::Result<Value>> {
    match content_type {
        "application/json-patch+json" => Some(json_patch(live, sent)),
        "application/merge-patch+json" => Some(merge_patch(live, sent)),
        "application/strategic-merge-patch+json" => Some(strategic_merge_patch(schema, live, sent)),
        _ => None,
    }
}

fn patch(schema: Schema<'_>, content_type: &str, live: &Value, sent: &Value) -> Option<Value> {
    try_patch(schema, content_type, live, sent).map(|patched| patched.unwrap_or_else(|e| json!(e.message())))
}

/// An object without what a write changes by itself, decoded as its type where that is a built-in one.
fn comparable(schema: Schema<'_>, object: &Value) -> Value {
    let mut object = without_managed_fields(object);
    for field in ["resourceVersion", "generation"] {
        meta::unset(&mut object, field);
    }
    if std::ptr::eq(schema.types(), schema::builtin()) {
        let decoded = schema::decode::decode(schema, object.clone(), schema::decode::Strictness::Ignore);
        return decoded.map_or(object, |decoded| decoded.value);
    }
    object
}

/// Whether only a part of the answer was recorded.
fn is_partial(step: &Value) -> bool {
    ["keep", "shape", "bodyMode"].iter().any(|field| !step[*field].is_null())
}

/// Whether `part` is in `whole`: defaults may come on top, also in place of a zero that stands for nothing.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| is_within(value, other)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| is_within(a, b))
        }
        (part, whole) => part == whole || *part == 0,
    }
}

/// The path of the object, and the subresource.
fn split(path: &str) -> (String, String) {
    for subresource in [
        "status",
        "scale",
        "finalize",
        "approval",
        "ephemeralcontainers",
        "resize",
        "binding",
        "eviction",
        "token",
    ] {
        if let Some(object) = path.strip_suffix(&format!("/{subresource}")) {
            return (object.into(), subresource.into());
        }
    }
    (path.into(), String::new())
}

#[test]
fn recorded_writes_come_out_the_same() {
    let Some(folder) = shared("golden/cases") else { return };
    let (mut checked, mut wrong) = (0, Vec::new());
    for area in ["crd", "crud", "lifecycle", "patch"] {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join(area)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let mut replay = Replay::default();
            for step in read(&file)["steps"].as_array().unwrap() {
                replay.step(step);
            }
            checked += replay.checked;
            wrong
                .extend(replay.wrong.iter().map(|w| format!("{}: {w}", file.file_name().unwrap().display())));
        }
    }
    println!("{checked} recorded writes");
    assert!(checked > 300, "only {checked} writes found");
    assert!(wrong.is_empty(), "{} of {checked} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
