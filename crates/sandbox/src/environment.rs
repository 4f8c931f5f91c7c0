//! A container's environment, as a kubelet makes it.

use crate::sources::{self, Kind, Sources};
use crate::spec;
use object::meta;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the pod runs; addresses are in its status.
pub struct Place<'a> {
    /// The node's address.
    pub host_ip: &'a str,
    /// The pod's address.
    pub pod_ip: &'a str,
}

/// The environment of `container`.
///
/// # Errors
/// The kubelet's sentence about what is missing (`CreateContainerConfigError`).
pub fn environment(
    pod: &Value,
    container: &Value,
    sources: &Sources,
    place: &Place<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    if pod["spec"]["enableServiceLinks"] != false {
        variables.extend(sources.services.clone());
    }
    variables.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    variables.insert("HOME".into(), "/root".into());
    variables.insert("HOSTNAME".into(), spec::hostname(pod));
    for from in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = from["prefix"].as_str().unwrap_or("");
        for (kind, field) in [(Kind::ConfigMap, "configMapRef"), (Kind::Secret, "secretRef")] {
            let Some(name) = from[field]["name"].as_str() else { continue };
            match sources.get(kind, name) {
                Some(object) => variables.extend(sources::keys(object).into_iter().filter_map(|key| {
                    let text = sources::value(object, &key)?;
                    Some((format!("{prefix}{key}"), String::from_utf8_lossy(&text).into_owned()))
                })),
                None if from[field]["optional"] == true => {}
                None => return Err(format!("{} \"{name}\" not found", kind.word())),
            }
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = spec::name(variable);
        let value = match variable.get("valueFrom") {
            Some(from) if from.is_object() => referred(pod, container, from, sources, place)?,
            _ => Some(expand(variable["value"].as_str().unwrap_or(""), &variables)),
        };
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

fn referred(
    pod: &Value,
    container: &Value,
    from: &Value,
    sources: &Sources,
    place: &Place<'_>,
) -> Result<Option<String>, String> {
    for (kind, field, title) in
        [(Kind::ConfigMap, "configMapKeyRef", "ConfigMap"), (Kind::Secret, "secretKeyRef", "Secret")]
    {
        let Some(reference) = from.get(field) else { continue };
        let (name, key) = (reference["name"].as_str().unwrap_or(""), reference["key"].as_str().unwrap_or(""));
        let optional = reference["optional"] == true;
        return match (sources.get(kind, name), optional) {
            (None, true) => Ok(None),
            (None, false) => Err(format!("{} \"{name}\" not found", kind.word())),
            (Some(object), optional) => match sources::value(object, key) {
                Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
                None if optional => Ok(None),
                None => Err(format!("couldn't find key {key} in {title} {}/{name}", meta::namespace(pod))),
            },
        };
    }
    if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
        return Ok(field(pod, path, place));
    }
    Ok(Some(resource(container, &from["resourceFieldRef"])))
}

/// The downward API's fields.
pub fn field(pod: &Value, path: &str, place: &Place<'_>) -> Option<String> {
    let pairs = |map: &str| {
        let pairs = pod["metadata"][map].as_object().into_iter().flatten();
        let lines = pairs.map(|(k, v)| format!("{k}={}", object::error::quote(v.as_str().unwrap_or(""))));
        lines.collect::<Vec<_>>().join("\n")
    };
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    Some(match path {
        "metadata.name" => meta::name(pod).into(),
        "metadata.namespace" => meta::namespace(pod).into(),
        "metadata.uid" => meta::uid(pod).into(),
        "metadata.labels" => pairs("labels"),
        "metadata.annotations" => pairs("annotations"),
        "spec.nodeName" => spec::node_name(pod).into(),
        "spec.serviceAccountName" => text(&pod["spec"]["serviceAccountName"]),
        "status.hostIP" | "status.hostIPs" => place.host_ip.into(),
        "status.podIP" | "status.podIPs" => place.pod_ip.into(),
        path => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            text(&pod["metadata"][map.strip_prefix("metadata.")?][key])
        }
    })
}

/// `resourceFieldRef`: a limit or request divided by the divisor, rounded up.
pub fn resource(container: &Value, reference: &Value) -> String {
    let Some((list, name)) = reference["resource"].as_str().and_then(|r| r.split_once('.')) else {
        return String::new();
    };
    let Ok(amount) = object::Quantity::from_json(&container["resources"][list][name]) else {
        return "0".into();
    };
    let divisor = object::Quantity::from_json(&reference["divisor"]).ok().filter(|d| !d.is_zero());
    let (amount, divisor) = (amount.as_f64(), divisor.map_or(1.0, |d| d.as_f64()));
    format!("{}", (amount / divisor).ceil() as i64)
}

/// `$(NAME)` is the variable's value, `$$(NAME)` stays as `$(NAME)`.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("$$") {
            out.push('$');
            rest = tail;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|t| t.split_once(')'));
        match name {
            Some((name, tail)) => {
                match variables.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&rest[..name.len() + 3]),
                }
                rest = tail;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    const PLACE: Place<'static> = Place { host_ip: "10.0.0.1", pod_ip: "10.1.0.1" };

    fn pod() -> Value {
        json!({"metadata": {"name": "p", "namespace": "n", "labels": {"a": "b"}}, "spec": {"containers": []}})
    }

    #[test]
    fn variables_come_from_everywhere() {
        let mut sources = Sources::default();
        let map = json!({"kind": "ConfigMap", "data": {"k": "v"}});
        let secret = json!({"kind": "Secret", "data": {"s": "aGk="}});
        sources.objects.insert((Kind::ConfigMap, "m".into()), Arc::new(map));
        sources.objects.insert((Kind::Secret, "s".into()), Arc::new(secret));
        let container = json!({
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}],
            "env": [
                {"name": "A", "value": "$(P_k)-$$(P_k)-$(none)"},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "s"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
                {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
                {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": true}}},
            ],
            "resources": {"limits": {"memory": "2Mi"}},
        });
        let env = environment(&pod(), &container, &sources, &PLACE).unwrap();
        let shown: Vec<_> = ["A", "S", "IP", "L", "M", "P_k", "HOSTNAME"].map(|k| env[k].as_str()).into();
        assert_eq!(shown, ["v-$(P_k)-$(none)", "hi", "10.1.0.1", "b", "2", "v", "p"]);
        assert!(!env.contains_key("O"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let fails = |env: Value| {
            let mut sources = Sources::default();
            sources.objects.insert((Kind::ConfigMap, "m".into()), Arc::new(json!({"kind": "ConfigMap"})));
            environment(&pod(), &env, &sources, &PLACE).unwrap_err()
        };
        let from = |source: Value| json!({"env": [{"name": "A", "valueFrom": source}]});
        assert_eq!(
            fails(from(json!({"configMapKeyRef": {"name": "x", "key": "k"}}))),
            "configmap \"x\" not found"
        );
        assert_eq!(
            fails(from(json!({"configMapKeyRef": {"name": "m", "key": "k"}}))),
            "couldn't find key k in ConfigMap n/m"
        );
        assert_eq!(fails(json!({"envFrom": [{"secretRef": {"name": "s"}}]})), "secret \"s\" not found");
    }
}
