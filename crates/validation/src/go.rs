//! Objects as Kubernetes' Go structs show them in messages: JSON with the structs' own field names, in their order, with
//! every field spelled out. Which fields a struct has is listed in `facts/go-structs.txt`.

use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

static STRUCTS: LazyLock<HashMap<&'static str, Vec<Field>>> =
    LazyLock::new(|| parse(include_str!("../facts/go-structs.txt")));

/// Fields of a pod spec that the Go struct has under `SecurityContext`.
const HOST_FIELDS: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];
/// Deeper than any struct nests.
const DEPTH_MAX: usize = 64;

struct Field {
    /// The Go name; `-` for an embedded struct.
    go: &'static str,
    /// The name in the API.
    name: &'static str,
    kind: &'static str,
    omitted_when_absent: bool,
}

fn parse(text: &'static str) -> HashMap<&'static str, Vec<Field>> {
    let mut structs: HashMap<&str, Vec<Field>> = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        if !line.starts_with(' ') {
            current = line;
        } else if let (Some(go), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) {
            let omitted_when_absent = words.next() == Some("?");
            structs.entry(current).or_default().push(Field { go, name, kind, omitted_when_absent });
        }
    }
    structs
}

/// What is shown: scalars and maps as they are, structs field by field.
enum Shown<'a> {
    Raw(Cow<'a, Value>),
    List(Vec<Shown<'a>>),
    Struct(Vec<(&'static str, Shown<'a>)>),
}

/// `value` as the struct `kind`, indented by single spaces as Go does for a diff.
pub fn pretty(kind: &str, value: &Value) -> String {
    let value = hoisted(kind, value);
    let mut text = String::new();
    write(&mut text, &shown(kind, &value, 0), 0);
    text
}

/// `value` as the struct `kind`, on one line as Go shows it in `Invalid value: …`.
pub fn compact(kind: &str, value: &Value) -> String {
    let value = hoisted(kind, value);
    let mut text = String::new();
    write_compact(&mut text, &shown(kind, &value, 0));
    text
}

/// Moves what the Go struct of a pod spec has elsewhere.
fn hoisted<'a>(kind: &str, value: &'a Value) -> Cow<'a, Value> {
    let spec = match kind.trim_start_matches('*') {
        "PodSpec" => value,
        "PodTemplateSpec" => &value["spec"],
        _ => return Cow::Borrowed(value),
    };
    if !HOST_FIELDS.iter().any(|field| spec.get(field).is_some()) {
        return Cow::Borrowed(value);
    }
    let mut value = value.clone();
    let spec = if value.get("spec").is_some() { &mut value["spec"] } else { &mut value };
    for field in HOST_FIELDS {
        if let Some(moved) = spec.as_object_mut().and_then(|spec| spec.remove(field)) {
            object::meta::child_mut(spec, "securityContext").insert(field.to_owned(), moved);
        }
    }
    Cow::Owned(value)
}

fn shown<'a>(kind: &str, value: &'a Value, depth: usize) -> Shown<'a> {
    let raw = |value: Value| Shown::Raw(Cow::Owned(value));
    if depth > DEPTH_MAX {
        return raw(Value::Null);
    }
    if let Some(item) = kind.strip_prefix("[]") {
        return match value {
            Value::Array(items) => Shown::List(items.iter().map(|v| shown(item, v, depth + 1)).collect()),
            _ => raw(Value::Null),
        };
    }
    if let Some(inner) = kind.strip_prefix('*') {
        return if value.is_null() { raw(Value::Null) } else { shown(inner, value, depth + 1) };
    }
    match (kind, value) {
        ("string", Value::Null) => raw("".into()),
        ("bool", Value::Null) => raw(false.into()),
        ("int", Value::Null) => raw(0.into()),
        ("quantity", Value::Null) => raw("0".into()),
        _ => match STRUCTS.get(kind) {
            Some(fields) => {
                let mut all = vec![];
                fill(&mut all, fields, value, depth);
                Shown::Struct(all)
            }
            None => Shown::Raw(Cow::Borrowed(value)),
        },
    }
}

fn fill<'a>(all: &mut Vec<(&'static str, Shown<'a>)>, fields: &[Field], value: &'a Value, depth: usize) {
    static NULL: Value = Value::Null;
    for field in fields {
        let inner = value.get(field.name).unwrap_or(&NULL);
        if field.go == "-" {
            let value = if field.name == "-" { value } else { inner };
            if let Some(embedded) = STRUCTS.get(field.kind).filter(|_| depth < DEPTH_MAX) {
                fill(all, embedded, value, depth + 1);
            }
        } else if !(field.omitted_when_absent && is_empty(inner)) {
            all.push((field.go, shown(field.kind, inner, depth + 1)));
        }
    }
}

/// What `omitempty` leaves out; no field that has it is a pointer to a struct without fields.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn write(text: &mut String, shown: &Shown<'_>, indent: usize) {
    match shown {
        Shown::Raw(value) => raw(text, value, indent),
        Shown::List(items) => {
            block(text, ['[', ']'], indent, items.iter(), |text, item| write(text, item, indent + 1));
        }
        Shown::Struct(fields) => block(text, ['{', '}'], indent, fields.iter(), |text, (name, value)| {
            text.push_str(&format!("\"{name}\": "));
            write(text, value, indent + 1);
        }),
    }
}

fn write_compact(text: &mut String, shown: &Shown<'_>) {
    let separate = |text: &mut String, first: bool| {
        if !first {
            text.push(',');
        }
    };
    match shown {
        Shown::Raw(value) => text.push_str(&json(value)),
        Shown::List(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(text, i == 0);
                write_compact(text, item);
            }
            text.push(']');
        }
        Shown::Struct(fields) => {
            text.push('{');
            for (i, (name, value)) in fields.iter().enumerate() {
                separate(text, i == 0);
                text.push_str(&format!("\"{name}\":"));
                write_compact(text, value);
            }
            text.push('}');
        }
    }
}

fn raw(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Array(items) => {
            block(text, ['[', ']'], indent, items.iter(), |text, item| raw(text, item, indent + 1));
        }
        Value::Object(map) => block(text, ['{', '}'], indent, map.iter(), |text, (key, value)| {
            text.push_str(&json(&Value::from(key.as_str())));
            text.push_str(": ");
            raw(text, value, indent + 1);
        }),
        scalar => text.push_str(&json(scalar)),
    }
}

fn block<T>(
    text: &mut String,
    brackets: [char; 2],
    indent: usize,
    items: impl Iterator<Item = T>,
    mut item: impl FnMut(&mut String, T),
) {
    text.push(brackets[0]);
    let mut any = false;
    for (i, value) in items.enumerate() {
        any = true;
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&" ".repeat(indent + 1));
        item(text, value);
    }
    if any {
        text.push('\n');
        text.push_str(&" ".repeat(indent));
    }
    text.push(brackets[1]);
}

/// As Go writes JSON: safe inside of HTML.
pub fn json(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn structs_show_all_their_fields() {
        let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        let text = pretty("PersistentVolumeClaimSpec", &claim);
        let expected = "{\n \"AccessModes\": [\n  \"ReadWriteOnce\"\n ],\n \"Selector\": null,\n \"Resources\": {\n  \"Limits\": \
                        null,\n  \"Requests\": {\n   \"storage\": \"1Gi\"\n  }\n },\n \"VolumeName\": \"\",\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn fields_of_the_host_are_in_the_security_context() {
        let text = pretty("PodSpec", &json!({"hostNetwork": true, "containers": []}));
        assert!(text.contains(" \"SecurityContext\": {\n  \"HostNetwork\": true,\n"), "{text}");
        assert!(text.contains(" \"Containers\": [],\n"), "{text}");
    }
}
