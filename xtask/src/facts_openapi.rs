//! Packs the OpenAPI documents of a real Kubernetes 1.36 server, less their descriptions, into one file.
//!
//! The file: four bytes of header length, the header as JSON (`{"v3": {PATH: {"at", "length", "hash"}}, "v2": {…}, "meta": {…}}`),
//! then deflated JSON documents. `meta` holds the schemas that documents of custom resources refer to. The hash is the
//! one that the real server's index shows.

use flate2::{Compression, write::DeflateEncoder};
use serde_json::{Map, Value, json};
use std::{fs, io, io::Write, path::Path};

/// The packed documents. `golden` is the transcript that has the index.
pub fn documents(facts: &Path, golden: &Path) -> io::Result<Vec<u8>> {
    let hashes = hashes(&read(golden)?);
    let mut body = Vec::new();
    let mut v3 = Map::new();
    let mut files: Vec<_> = fs::read_dir(facts.join("openapi-v3-served"))?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().trim_end_matches(".json").replace("__", "/");
        let mut document = read(&file.path())?;
        say_what_responses_mean(&mut document);
        let mut entry = pack(&mut body, &document)?;
        entry["hash"] = hashes[&name].clone();
        v3.insert(name, entry);
    }
    let core = read(&facts.join("openapi-v3-served/api__v1.json"))?;
    let meta = pack(&mut body, &shared_schemas(&core["components"]["schemas"]))?;
    let mut v2 = read(&facts.join("openapi-v2-served.json"))?;
    say_what_responses_mean(&mut v2);
    let v2 = pack(&mut body, &v2)?;
    let header = json!({"v3": v3, "v2": v2, "meta": meta}).to_string();
    let mut out = u32::try_from(header.len()).unwrap_or(0).to_le_bytes().to_vec();
    out.extend(header.into_bytes());
    out.extend(body);
    Ok(out)
}

fn read(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn pack(body: &mut Vec<u8>, document: &Value) -> io::Result<Value> {
    let at = body.len();
    let mut encoder = DeflateEncoder::new(&mut *body, Compression::best());
    encoder.write_all(document.to_string().as_bytes())?;
    encoder.finish()?;
    Ok(json!({"at": at, "length": body.len() - at}))
}

/// The hash of each document by its path, out of the index's relative URLs.
fn hashes(golden: &Value) -> Map<String, Value> {
    let steps = golden["steps"].as_array().into_iter().flatten();
    let text = steps.filter(|s| s["path"] == "/openapi/v3").find_map(|s| s["expect"]["text"].as_str());
    let index: Value = text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    let paths = index["paths"].as_object().cloned().unwrap_or_default();
    paths
        .into_iter()
        .map(|(path, entry)| {
            let url = entry["serverRelativeURL"].as_str().unwrap_or("");
            (path, url.rsplit('=').next().unwrap_or("").into())
        })
        .collect()
}

/// OpenAPI demands a description of each response.
fn say_what_responses_mean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(responses) = map.get_mut("responses").and_then(Value::as_object_mut) {
                for (code, response) in responses {
                    response["description"] = match code.as_str() {
                        "200" => "OK",
                        "201" => "Created",
                        "202" => "Accepted",
                        "401" => "Unauthorized",
                        _ => "",
                    }
                    .into();
                }
            }
            if let Some(token) = map.get_mut("BearerToken").filter(|t| t["type"] == "apiKey") {
                token["description"] = "Bearer Token authentication".into();
            }
            map.values_mut().for_each(say_what_responses_mean);
        }
        Value::Array(items) => items.iter_mut().for_each(say_what_responses_mean),
        _ => {}
    }
}

/// The schemas custom resources refer to, with all that these refer to.
fn shared_schemas(schemas: &Value) -> Value {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    let mut wanted: Vec<String> =
        ["ObjectMeta", "ListMeta", "DeleteOptions", "Status", "Patch"].map(|n| format!("{META}{n}")).into();
    wanted.push("io.k8s.api.autoscaling.v1.Scale".into());
    let mut out = Map::new();
    while let Some(name) = wanted.pop() {
        if !out.contains_key(&name) {
            references(&schemas[&name], &mut wanted);
            out.insert(name.clone(), schemas[&name].clone());
        }
    }
    Value::Object(out)
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let to = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
            found.extend(to.map(str::to_owned));
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}
