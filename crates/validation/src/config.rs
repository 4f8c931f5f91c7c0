//! ConfigMaps, Secrets and ServiceAccounts.

use crate::node::{Errors, IMMUTABLE, Node, same};
use object::{FieldError, Path, names};
use serde_json::Value;

const SIZE_MAX: usize = 1 << 20;
const LOCKED: &str = "field is immutable when `immutable` is set";

/// Bytes that base64 text stands for.
fn decoded_length(text: &str) -> usize {
    let text = text.trim_end_matches('=');
    text.len() * 3 / 4
}

fn keys(e: &mut Errors, data: &Node<'_>) {
    for (key, value) in data.entries() {
        e.extend(names::config_map_key(key).iter().map(|m| value.invalid_as(key, m)));
    }
}

/// A ConfigMap.
pub fn config_map(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let (data, binary) = (root.get("data"), root.get("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        e.extend(names::config_map_key(key).iter().map(|m| value.invalid_as(key, m)));
        if binary.value.get(key).is_some() {
            e.push(value.invalid_as(key, "duplicate of key present in binaryData"));
        }
        size += value.text().len();
    }
    keys(e, &binary);
    size += binary.entries().map(|(_, v)| decoded_length(v.text())).sum::<usize>();
    if size > SIZE_MAX {
        // The error is about the whole object; this is how Kubernetes spells an empty path.
        e.push(FieldError::too_long(&Path::new("[]"), SIZE_MAX));
    }
}

/// An update of a ConfigMap.
pub fn config_map_update(e: &mut Errors, new: &Value, old: &Value) {
    locked(e, new, old, &["data", "binaryData"]);
    config_map(e, new);
}

fn locked(e: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    if old["immutable"] != true {
        return;
    }
    let root = Node::root(new);
    if !root.get("immutable").is_true() {
        e.push(root.get("immutable").forbidden(LOCKED));
    }
    for field in fields {
        if !same(root.raw(field), &old[*field]) {
            e.push(root.get(field).forbidden(LOCKED));
        }
    }
}

/// A Secret.
pub fn secret(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let data = root.get("data");
    keys(e, &data);
    if data.entries().map(|(_, v)| decoded_length(v.text())).sum::<usize>() > SIZE_MAX {
        e.push(data.too_long(SIZE_MAX));
    }
    let value = |key: &str| Node::at(data.raw(key), data.path.key(key));
    let demand = |e: &mut Errors, key: &str| {
        if !value(key).is_set() {
            e.push(value(key).required(""));
        }
    };
    match root.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let annotations = root.get("metadata").get("annotations");
            if annotations.raw(key).as_str().unwrap_or("").is_empty() {
                e.push(FieldError::required(&annotations.path.key(key), ""));
            }
        }
        "kubernetes.io/dockercfg" => json_content(e, &value(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => json_content(e, &value(".dockerconfigjson")),
        "kubernetes.io/basic-auth" if !value("username").is_set() && !value("password").is_set() => {
            demand(e, "username");
            demand(e, "password");
        }
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_empty() => {
            e.push(value("ssh-privatekey").required(""));
        }
        "kubernetes.io/tls" => {
            demand(e, "tls.crt");
            demand(e, "tls.key");
        }
        _ => {}
    }
}

fn json_content(e: &mut Errors, value: &Node<'_>) {
    use base64::Engine;
    if !value.is_set() {
        e.push(value.required(""));
        return;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.text()).unwrap_or_default();
    let problem = match serde_json::from_slice::<Value>(&bytes) {
        Ok(content) if content.is_object() || content.is_null() => return,
        Ok(content) => wrong_type(&content),
        Err(_) => go_json_error(&bytes),
    };
    e.push(value.invalid_as("<secret contents redacted>", &problem));
}

fn wrong_type(content: &Value) -> String {
    let kind = match content {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        _ => "string",
    };
    format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
}

/// Why Go's scanner refuses `bytes`: the end of the input, or the first character that cannot stand where it does.
fn go_json_error(bytes: &[u8]) -> String {
    let trimmed = bytes.trim_ascii_start();
    let Some(first) = trimmed.first() else { return "unexpected end of JSON input".into() };
    for literal in ["null", "true", "false"] {
        if *first == literal.as_bytes()[0] {
            for (i, expected) in literal.bytes().enumerate().skip(1) {
                match trimmed.get(i) {
                    None => return "unexpected end of JSON input".into(),
                    Some(b) if *b != expected => {
                        let (found, expected) = (char::from(*b), char::from(expected));
                        return format!(
                            "invalid character '{found}' in literal {literal} (expecting '{expected}')"
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }
    match serde_json::from_slice::<Value>(bytes) {
        Err(error) if error.is_eof() => "unexpected end of JSON input".into(),
        Err(error) => {
            let line = bytes.split(|b| *b == b'\n').nth(error.line().saturating_sub(1)).unwrap_or(bytes);
            let found = line.get(error.column().saturating_sub(1)).map_or(' ', |b| char::from(*b));
            let place = if error.line() == 1 && error.column() <= bytes.len() - trimmed.len() + 1 {
                "looking for beginning of value"
            } else if *first == b'{'
                && trimmed.get(1..).is_some_and(|rest| rest.trim_ascii_start().first() != Some(&b'"'))
            {
                "looking for beginning of object key string"
            } else {
                "after top-level value"
            };
            format!("invalid character '{found}' {place}")
        }
        Ok(_) => "unexpected end of JSON input".into(),
    }
}

/// An update of a Secret.
pub fn secret_update(e: &mut Errors, new: &Value, old: &Value) {
    let kind = Node::root(new).get("type");
    if kind.text() != old["type"].as_str().unwrap_or("") {
        e.push(kind.invalid_text(IMMUTABLE));
    }
    locked(e, new, old, &["data"]);
    secret(e, new);
}
