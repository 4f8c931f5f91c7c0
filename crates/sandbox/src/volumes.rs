//! The files that a container sees: its mounts, read in name from the objects behind them.

use crate::environment::{self, Place};
use crate::shell::Files;
use crate::sources::{self, Kind, Sources};
use crate::spec;
use object::meta;
use serde_json::Value;
use std::collections::BTreeMap;

/// The first volume that cannot be set up, in the kubelet's words.
pub fn mount_error(pod: &Value, sources: &Sources) -> Option<String> {
    let place = Place { host_ip: "", pod_ip: "" };
    spec::list(pod, "volumes").iter().find_map(|volume| {
        let error = contents(pod, volume, sources, &place).err()?;
        Some(format!("MountVolume.SetUp failed for volume \"{}\" : {error}", spec::name(volume)))
    })
}

/// Checks where mounts lead into their volumes, with the container's `variables` filled in.
///
/// # Errors
/// What the kubelet says of a path that leads elsewhere.
pub fn sub_paths(container: &Value, variables: &BTreeMap<String, String>) -> Result<(), String> {
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let expression = mount["subPathExpr"].as_str().unwrap_or("");
        let path = match expression {
            "" => mount["subPath"].as_str().unwrap_or("").to_owned(),
            _ => environment::expand(expression, variables),
        };
        if !expression.is_empty() && path.contains("$(") {
            let missing =
                path.split_once("$(").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(n, _)| n);
            return Err(format!("missing value for \"{missing}\""));
        }
        if path.starts_with('/') {
            return Err(format!("error SubPath `{path}` must not be an absolute path"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
        }
    }
    Ok(())
}

/// The files of `container`.
pub fn files(pod: &Value, container: &Value, sources: &Sources, place: &Place<'_>) -> Files {
    let hostname = spec::hostname(pod);
    let namespace = meta::namespace(pod);
    let mut files = Files::new();
    files.insert("/etc/hostname".into(), format!("{hostname}\n").into_bytes());
    files.insert(
        "/etc/hosts".into(),
        format!("127.0.0.1\tlocalhost\n{}\t{hostname}\n", place.pod_ip).into_bytes(),
    );
    let search =
        format!("search {namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n");
    files.insert("/etc/resolv.conf".into(), search.into_bytes());
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let volume = spec::list(pod, "volumes").iter().find(|v| v["name"] == mount["name"]);
        let Some(found) = volume.and_then(|v| contents(pod, v, sources, place).ok()) else { continue };
        let at = mount["mountPath"].as_str().unwrap_or("/").trim_end_matches('/');
        let sub = mount["subPath"].as_str().unwrap_or("").trim_matches('/');
        for (path, bytes) in found {
            if sub.is_empty() {
                files.insert(format!("{at}/{path}"), bytes);
            } else if path == sub {
                files.insert(at.to_owned(), bytes);
            } else if let Some(rest) = path.strip_prefix(&format!("{sub}/")) {
                files.insert(format!("{at}/{rest}"), bytes);
            }
        }
    }
    files
}

type Contents = Vec<(String, Vec<u8>)>;

fn contents(pod: &Value, volume: &Value, sources: &Sources, place: &Place<'_>) -> Result<Contents, String> {
    let single = [("configMap", "name"), ("secret", "secretName"), ("downwardAPI", "")];
    if let Some((kind, name)) = single.iter().find(|(kind, _)| volume[*kind].is_object()) {
        return source(pod, kind, &volume[*kind], name, sources, place);
    }
    let mut all = vec![];
    for projected in volume["projected"]["sources"].as_array().into_iter().flatten() {
        for (kind, value) in projected.as_object().into_iter().flatten() {
            all.extend(source(pod, kind, value, "name", sources, place)?);
        }
    }
    Ok(all)
}

fn source(
    pod: &Value,
    kind: &str,
    value: &Value,
    name_field: &str,
    sources: &Sources,
    place: &Place<'_>,
) -> Result<Contents, String> {
    match kind {
        "configMap" => object(Kind::ConfigMap, value, name_field, sources),
        "secret" => object(Kind::Secret, value, name_field, sources),
        "downwardAPI" => Ok(downward(pod, value, place)),
        "serviceAccountToken" => {
            let path = value["path"].as_str().unwrap_or("token").to_owned();
            let token =
                sources.tokens.get(value["audience"].as_str().unwrap_or("")).cloned().unwrap_or_default();
            Ok(vec![(path, token.into_bytes())])
        }
        _ => Ok(vec![]),
    }
}

fn object(kind: Kind, value: &Value, name_field: &str, sources: &Sources) -> Result<Contents, String> {
    let name = value[name_field].as_str().unwrap_or("");
    let optional = value["optional"] == true;
    let Some(object) = sources.get(kind, name) else {
        return if optional { Ok(vec![]) } else { Err(format!("{} \"{name}\" not found", kind.word())) };
    };
    let Some(items) = value["items"].as_array().filter(|i| !i.is_empty()) else {
        let keys = sources::keys(object).into_iter();
        return Ok(keys.filter_map(|key| Some((key.clone(), sources::value(object, &key)?))).collect());
    };
    let mut found = vec![];
    for item in items {
        let (key, path) = (item["key"].as_str().unwrap_or(""), item["path"].as_str().unwrap_or(""));
        match sources::value(object, key) {
            Some(bytes) => found.push((path.to_owned(), bytes)),
            None if optional => {}
            None => {
                let word = if kind == Kind::Secret { "secret" } else { "config" };
                return Err(format!("references non-existent {word} key: {key}"));
            }
        }
    }
    Ok(found)
}

fn downward(pod: &Value, value: &Value, place: &Place<'_>) -> Contents {
    let items = value["items"].as_array().into_iter().flatten();
    items
        .filter_map(|item| {
            let path = item["path"].as_str()?.to_owned();
            let text = match item["fieldRef"]["fieldPath"].as_str() {
                Some(field) => environment::field(pod, field, place)?,
                None => {
                    let reference = &item["resourceFieldRef"];
                    let container =
                        spec::containers(pod).find(|c| c["name"] == reference["containerName"])?;
                    environment::resource(container, reference)
                }
            };
            Some((path, text.into_bytes()))
        })
        .collect()
}
