//! The operations of custom resources, as the paths of OpenAPI documents.
//!
//! They are those of built-in resources, without watch paths and protobuf. What all operations of a path have in
//! common stands with the path.

use kinds::Resource;
use object::{Map, Value, json};
use std::collections::BTreeMap;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// The two kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    V2,
    V3,
}

impl Flavor {
    /// A reference to a named type.
    pub fn reference(self, name: &str) -> Value {
        let prefix = if self == Self::V2 { "#/definitions/" } else { "#/components/schemas/" };
        json!({"$ref": format!("{prefix}{name}")})
    }
}

/// The name of a custom kind's type: `com.example.v1.Widget` in the group `example.com`.
pub(crate) fn type_name(resource: &Resource, kind: &str) -> String {
    let mut group: Vec<&str> = resource.gvr.group.split('.').collect();
    group.reverse();
    format!("{}.{}.{kind}", group.join("."), resource.gvr.version)
}

/// One operation on one path.
struct Operation {
    /// HTTP method in lower case.
    method: &'static str,
    /// `list`, `post` …
    action: &'static str,
    /// What it is called before group and version are worked in: `list` and `NamespacedWidget`.
    name: (&'static str, String),
    description: String,
    /// The type it answers with.
    answer: String,
    /// The type of its body.
    body: Option<String>,
    parameters: &'static [&'static str],
    /// Codes beside 200.
    codes: &'static [&'static str],
}

const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
];
const DELETE: &[&str] = &[
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const PATCH_TYPES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
const TYPES: [&str; 2] = ["application/json", "application/yaml"];

/// The paths of a custom resource.
pub(crate) fn paths(resource: &Resource, flavor: Flavor) -> Map<String, Value> {
    let scope = if resource.namespaced() { "Namespaced" } else { "" };
    let (kind, list) = (type_name(resource, &resource.kind), type_name(resource, &resource.list_kind));
    let gvr = &resource.gvr;
    let base = format!("/apis/{}/{}", gvr.group, gvr.version);
    let mut out: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    let operation = |verb: &'static str, subresource: &str, answer: &str| {
        let (method, action, verb_prefix, rest): (_, _, &'static str, &str) = match verb {
            "list" => ("get", "list", "list", ""),
            "create" => ("post", "post", "create", ""),
            "deletecollection" => ("delete", "deletecollection", "delete", "Collection"),
            "read" => ("get", "get", "read", ""),
            "replace" => ("put", "put", "replace", ""),
            "delete" => ("delete", "delete", "delete", ""),
            _ => ("patch", "patch", "patch", ""),
        };
        let body = match action {
            "post" | "put" => Some(answer.to_owned()),
            "delete" => Some(format!("{META}.DeleteOptions")),
            "patch" => Some(format!("{META}.Patch")),
            _ => None,
        };
        Operation {
            method,
            action,
            name: (verb_prefix, format!("{rest}{scope}{}{}", resource.kind, title(subresource))),
            description: describe(verb, subresource, &resource.kind),
            answer: answer.to_owned(),
            body,
            parameters: match action {
                "list" | "deletecollection" => LIST,
                "get" => &["resourceVersion"],
                "delete" => DELETE,
                "patch" => PATCH,
                _ => WRITE,
            },
            codes: match action {
                "post" => &["201", "202"],
                "delete" => &["202"],
                "put" => &["201"],
                _ => &[],
            },
        }
    };
    let mut root = format!("{base}/{}", gvr.resource);
    if resource.namespaced() {
        let mut everywhere = operation("list", "", &list);
        everywhere.name.1 = format!("{}ForAllNamespaces", resource.kind);
        out.insert(root, vec![everywhere]);
        root = format!("{base}/namespaces/{{namespace}}/{}", gvr.resource);
    }
    let status = format!("{META}.Status");
    out.insert(
        root.clone(),
        vec![
            operation("list", "", &list),
            operation("create", "", &kind),
            operation("deletecollection", "", &status),
        ],
    );
    let on_object = |subresource: &str, answer: &str| {
        ["read", "replace", "patch"]
            .map(|verb| operation(verb, subresource, answer))
            .into_iter()
            .collect::<Vec<_>>()
    };
    let mut object = on_object("", &kind);
    object.push(operation("delete", "", &status));
    out.insert(format!("{root}/{{name}}"), object);
    for subresource in &resource.subresources {
        let answer = if subresource.name == "scale" { SCALE } else { &kind };
        out.insert(format!("{root}/{{name}}/{}", subresource.name), on_object(&subresource.name, answer));
    }
    out.into_iter()
        .map(|(path, operations)| (path.clone(), item(resource, &path, &operations, flavor)))
        .collect()
}

/// One path.
fn item(resource: &Resource, path: &str, operations: &[Operation], flavor: Flavor) -> Value {
    let common = |name: &&&str| operations.iter().all(|o| o.parameters.contains(*name));
    let mut shared: Vec<&str> = operations[0].parameters.iter().filter(common).copied().collect();
    shared.push("pretty");
    shared.extend(["namespace", "name"].iter().filter(|name| path.contains(&format!("{{{name}}}"))));
    shared.sort_unstable();
    let mut out = Map::new();
    for operation in operations {
        out.insert(operation.method.to_owned(), operation.to_json(resource, path, &shared, flavor));
    }
    out.insert("parameters".into(), shared.iter().map(|name| parameter(name, flavor)).collect());
    Value::Object(out)
}

impl Operation {
    fn to_json(&self, resource: &Resource, path: &str, shared: &[&str], flavor: Flavor) -> Value {
        let gvr = &resource.gvr;
        let own = self.parameters.iter().filter(|name| !shared.contains(name));
        let mut parameters: Vec<Value> = own.map(|name| parameter(name, flavor)).collect();
        let consumes: &[&str] = if self.action == "patch" { &PATCH_TYPES } else { &TYPES };
        let answer = flavor.reference(&self.answer);
        let mut responses = json!({"401": {"description": "Unauthorized"}});
        for code in std::iter::once(&"200").chain(self.codes) {
            let description = match *code {
                "200" => "OK",
                "201" => "Created",
                _ => "Accepted",
            };
            responses[*code] = match flavor {
                Flavor::V2 => json!({"description": description, "schema": answer}),
                Flavor::V3 => json!({"description": description, "content": content(&TYPES, &answer)}),
            };
        }
        let mut out = json!({
            "description": self.description,
            "operationId": operation_id(self.name.0, path, &self.name.1),
            "responses": responses,
            "tags": [tag(path)],
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": {"group": gvr.group, "version": gvr.version, "kind": resource.kind},
        });
        if flavor == Flavor::V2 {
            out["consumes"] = consumes.into();
            out["produces"] = TYPES.as_slice().into();
            out["schemes"] = json!(["https"]);
        }
        if let Some(body) = &self.body {
            let required = self.action != "delete";
            let schema = flavor.reference(body);
            let mut body = match flavor {
                Flavor::V2 => json!({"name": "body", "in": "body", "schema": schema}),
                Flavor::V3 => json!({"content": content(consumes, &schema)}),
            };
            if required {
                body["required"] = true.into();
            }
            match flavor {
                Flavor::V2 => parameters.insert(0, body),
                Flavor::V3 => out["requestBody"] = body,
            }
        }
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        out
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

/// A query or path parameter by its name.
fn parameter(name: &str, flavor: Flavor) -> Value {
    let kind = match name {
        "allowWatchBookmarks"
        | "sendInitialEvents"
        | "watch"
        | "force"
        | "orphanDependents"
        | "ignoreStoreReadErrorWithClusterBreakingPotential" => "boolean",
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
        _ => "string",
    };
    let in_path = matches!(name, "name" | "namespace");
    let place = if in_path { "path" } else { "query" };
    let mut out = match flavor {
        Flavor::V2 => json!({"name": name, "in": place, "type": kind, "uniqueItems": true}),
        Flavor::V3 => json!({"name": name, "in": place, "schema": {"type": kind, "uniqueItems": true}}),
    };
    if in_path {
        out["required"] = true.into();
    }
    out
}

/// `listExampleComV1NamespacedWidget`.
fn operation_id(verb: &str, path: &str, rest: &str) -> String {
    let (group, version) = place(path);
    format!("{verb}{}{}{}", identifier(group, true), identifier(version, true), identifier(rest, true))
}

/// `exampleCom_v1`.
fn tag(path: &str) -> String {
    let (group, version) = place(path);
    format!("{}_{}", identifier(group, false), identifier(version, false))
}

fn place(path: &str) -> (&str, &str) {
    let mut words = path.trim_start_matches("/apis/").split('/');
    let group = words.next().unwrap_or("");
    (group.strip_suffix(".k8s.io").unwrap_or(group), words.next().unwrap_or(""))
}

/// Letters and digits only, each word but the first with a capital.
fn identifier(text: &str, mut capital: bool) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        if c.is_alphabetic() || c == '_' || (at != 0 && c.is_numeric()) {
            if capital {
                out.extend(c.to_uppercase())
            } else {
                out.push(c)
            }
            capital = false;
        } else {
            capital = true;
        }
    }
    out
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// `replace status of the specified Widget`.
fn describe(verb: &str, subresource: &str, kind: &str) -> String {
    let of = if subresource.is_empty() { String::new() } else { format!(" {subresource} of") };
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    match verb {
        "list" => format!("list objects of kind {kind}"),
        "create" | "delete" => format!("{verb} {article} {kind}"),
        "deletecollection" => format!("delete collection of {kind}"),
        "patch" => format!("partially update{of} the specified {kind}"),
        _ => format!("{verb}{of} the specified {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_group_and_version() {
        let path = "/apis/example.com/v1/namespaces/{namespace}/widgets";
        assert_eq!(operation_id("list", path, "NamespacedWidget"), "listExampleComV1NamespacedWidget");
        assert_eq!(
            operation_id("delete", path, "CollectionNamespacedWidget"),
            "deleteExampleComV1CollectionNamespacedWidget"
        );
        assert_eq!(tag(path), "exampleCom_v1");
        assert_eq!(tag("/apis/snapshot.storage.k8s.io/v1/x"), "snapshotStorage_v1");
    }
}
