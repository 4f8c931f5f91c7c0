//! CustomResourceDefinitions as resources: one [`Resource`] per served version.
//!
//! Takes a definition that was validated and defaulted; whether it is established is the caller's business.

use crate::jsonpath::JsonPath;
use crate::printing::Column;
use crate::resource::{Resource, SchemaRef, Scope, Subresource, Verb};
use crate::version::priority_order;
use crate::{builtin, storage_version_hash};
use object::{GroupResource, GroupVersion, GroupVersionKind, Value};
use std::sync::Arc;

mod conversion;
mod shared;

pub use conversion::{Conversion, ConversionWebhook};
pub use shared::CustomSchema;

/// One version of a custom resource, as far as its definition goes beyond [`Resource`].
#[derive(Clone, Debug)]
pub struct CustomVersion {
    /// The version's structural schema.
    pub schema: Arc<CustomSchema>,
    /// `spec.preserveUnknownFields`, which v1 no longer lets be set but stored definitions may have.
    pub preserve_unknown_fields: bool,
    /// Columns of tables, after the name.
    pub columns: Vec<CustomColumn>,
    /// Paths objects can be selected by, such as `spec.color`.
    pub selectable_fields: Vec<SelectableField>,
    /// Where the scale subresource is found in objects.
    pub scale: Option<ScalePaths>,
    /// A status subresource exists.
    pub status: bool,
    /// `deprecated`, with the warning to give.
    pub deprecation: Option<String>,
    /// All versions of the definition, and how objects get from one to another.
    pub conversion: Arc<Conversion>,
}

/// An additional printer column.
#[derive(Clone, Debug)]
pub struct CustomColumn {
    /// How clients see it.
    pub column: Column,
    /// Where its value is; `None` when the path does not parse (refused by validation).
    pub path: Option<JsonPath>,
}

/// A field that objects can be selected by.
#[derive(Clone, Debug)]
pub struct SelectableField {
    /// As selectors name it: `spec.color`.
    pub name: String,
    /// As a JSON pointer.
    pub pointer: String,
}

/// Where a custom resource keeps what its scale subresource shows, as JSON pointers beside the path as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// `specReplicasPath` as written.
    pub spec_replicas_path: String,
    /// `specReplicasPath`.
    pub spec_replicas: String,
    /// `statusReplicasPath`.
    pub status_replicas: String,
    /// `labelSelectorPath`.
    pub label_selector: Option<String>,
}

/// The resources that a definition serves, one per served version.
///
/// Names are those accepted (`status.acceptedNames`), where there are any.
pub fn resources(definition: &Value) -> Vec<Arc<Resource>> {
    versions(definition, |version| version["served"] == true)
}

/// The resource of the version that objects are kept in, served or not.
pub fn stored_resource(definition: &Value) -> Option<Arc<Resource>> {
    versions(definition, |version| version["storage"] == true).pop()
}

fn versions(definition: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<Arc<Resource>> {
    let spec = &definition["spec"];
    let accepted = &definition["status"]["acceptedNames"];
    let names = if text(&accepted["kind"]).is_empty() { &spec["names"] } else { accepted };
    let group = text(&spec["group"]);
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let stored = versions.iter().find(|v| v["storage"] == true).map_or("", |v| text(&v["name"]));
    let storage_version = GroupVersion::new(group, stored);
    let conversion = Arc::new(Conversion::of(definition));
    versions
        .iter()
        .filter(|version| wanted(version))
        .map(|version| {
            let gvr = GroupVersion::new(group, text(&version["name"])).resource(text(&names["plural"]));
            let kind = text(&names["kind"]);
            let kind_here = gvr.group_version().kind(kind);
            let custom = custom_version(spec, version, &kind_here, &conversion);
            let schema = custom.schema.reference();
            let gvk = gvr.group_version().kind(kind);
            Arc::new(Resource {
                subresources: subresources(&custom, &gvk, &schema),
                storage: GroupResource::new(group, &gvr.resource),
                storage_version_hash: storage_version_hash(&storage_version.kind(kind)),
                storage_version: storage_version.clone(),
                kind: kind.to_owned(),
                list_kind: text(&names["listKind"]).to_owned(),
                singular: text(&names["singular"]).to_owned(),
                short_names: words(&names["shortNames"]),
                categories: words(&names["categories"]),
                scope: if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
                verbs: vec![
                    Verb::Create,
                    Verb::Delete,
                    Verb::DeleteCollection,
                    Verb::Get,
                    Verb::List,
                    Verb::Patch,
                    Verb::Update,
                    Verb::Watch,
                ],
                gvr,
                schema,
                custom: true,
                definition: Some(Arc::new(custom)),
            })
        })
        .collect()
}

/// What is said of a deprecated version whose definition says nothing.
fn deprecation_warning(spec: &Value, gvk: &GroupVersionKind) -> String {
    let deprecated = format!("{} {} is deprecated", gvk.api_version(), gvk.kind);
    let versions = spec["versions"].as_array().into_iter().flatten();
    let newer = versions
        .filter(|version| version["served"] == true && version["deprecated"] != true)
        .map(|version| text(&version["name"]))
        .filter(|name| priority_order(name, &gvk.version).is_lt())
        .min_by(|a, b| priority_order(a, b));
    match newer {
        Some(newer) => format!("{deprecated}; use {}/{newer} {}", gvk.group, gvk.kind),
        None => deprecated,
    }
}

fn custom_version(
    spec: &Value,
    version: &Value,
    gvk: &GroupVersionKind,
    conversion: &Arc<Conversion>,
) -> CustomVersion {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut columns: Vec<CustomColumn> =
        list(&version["additionalPrinterColumns"]).iter().map(column).collect();
    if columns.is_empty() {
        columns.push(CustomColumn {
            column: Column::described("Age", "date"),
            path: JsonPath::parse(".metadata.creationTimestamp").ok(),
        });
    }
    let warning = version["deprecationWarning"].as_str();
    let warning = warning.map_or_else(|| deprecation_warning(spec, gvk), str::to_owned);
    CustomVersion {
        schema: CustomSchema::of(&version["schema"]["openAPIV3Schema"]),
        preserve_unknown_fields: spec["preserveUnknownFields"] == true,
        columns,
        selectable_fields: list(&version["selectableFields"])
            .iter()
            .map(|field| {
                let path = text(&field["jsonPath"]);
                SelectableField { name: path.trim_start_matches('.').to_owned(), pointer: pointer(path) }
            })
            .collect(),
        scale: version["subresources"].get("scale").filter(|s| s.is_object()).map(|scale| ScalePaths {
            spec_replicas_path: text(&scale["specReplicasPath"]).to_owned(),
            spec_replicas: pointer(text(&scale["specReplicasPath"])),
            status_replicas: pointer(text(&scale["statusReplicasPath"])),
            label_selector: scale["labelSelectorPath"].as_str().filter(|p| !p.is_empty()).map(pointer),
        }),
        status: version["subresources"].get("status").is_some_and(Value::is_object),
        deprecation: (version["deprecated"] == true).then_some(warning),
        conversion: conversion.clone(),
    }
}

fn column(definition: &Value) -> CustomColumn {
    let path = text(&definition["jsonPath"]);
    let description = match text(&definition["description"]) {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        text => text.to_owned(),
    };
    CustomColumn {
        column: Column {
            name: text(&definition["name"]).to_owned(),
            kind: text(&definition["type"]).to_owned(),
            format: text(&definition["format"]).to_owned(),
            description,
            priority: definition["priority"].as_i64().unwrap_or(0),
        },
        path: JsonPath::parse(path).ok(),
    }
}

fn subresources(custom: &CustomVersion, gvk: &GroupVersionKind, schema: &SchemaRef) -> Vec<Subresource> {
    let verbs = vec![Verb::Get, Verb::Patch, Verb::Update];
    let mut out = Vec::new();
    if custom.scale.is_some() {
        let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
        let schema = builtin::schema_ref(&scale);
        out.push(Subresource {
            name: "scale".into(),
            gvk: scale,
            verbs: verbs.clone(),
            schema: Some(schema),
        });
    }
    if custom.status {
        out.push(Subresource {
            name: "status".into(),
            gvk: gvk.clone(),
            verbs,
            schema: Some(schema.clone()),
        });
    }
    out
}

/// A path of plain fields (`.spec.a`, `.metadata.labels['x/y']`) as a JSON pointer.
fn pointer(path: &str) -> String {
    let path = JsonPath::parse(path).ok();
    let fields = path.as_ref().and_then(JsonPath::plain_fields).unwrap_or_default();
    fields.iter().map(|f| format!("/{}", f.replace('~', "~0").replace('/', "~1"))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn a_definition_serves_its_versions() {
        let definition = json!({"spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": ["w"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
                 "selectableFields": [{"jsonPath": ".spec.color"}]},
                {"name": "v1beta1", "served": true, "storage": false, "deprecated": true},
                {"name": "v1alpha1", "served": false, "storage": false},
            ],
        }});
        let served = resources(&definition);
        assert_eq!(served.len(), 2);
        assert_eq!(
            served[0].definition.as_ref().expect("custom").schema.open_api(),
            json!({"type": "object"})
        );
        let v1 = &served[0];
        assert_eq!(v1.subresources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["scale", "status"]);
        let custom = v1.definition.as_ref().expect("custom");
        assert_eq!(custom.scale.as_ref().expect("scales").spec_replicas, "/spec/n");
        assert_eq!(custom.selectable_fields[0].pointer, "/spec/color");
        assert_eq!(custom.columns[0].column.name, "Age");
        let beta = &served[1];
        assert_eq!(beta.storage_version.version, "v1");
        assert_eq!(
            (v1.deprecation(), beta.deprecation()),
            (None, Some("example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"))
        );
        assert_eq!(beta.storage_version_hash, v1.storage_version_hash);
    }

    #[test]
    fn paths_become_pointers() {
        assert_eq!(pointer(".spec.a"), "/spec/a");
        assert_eq!(pointer(".metadata.labels['x/y~z']"), "/metadata/labels/x~1y~0z");
    }
}
