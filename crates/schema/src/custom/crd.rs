//! CustomResourceDefinitions as objects: group, names, versions, columns, conversion. Metadata is checked with that of all
//! kinds; the schemas inside by [`super::check_definition`]; CEL rules by whoever compiles them.
//!
//! Upstream checks an older form of the object, in which what all versions share stands once, at `spec.validation`,
//! `spec.subresources` and so on. Its field paths are those of that form.

use super::{Step, check_definition, conversion, dump, field_path, structural::text};
use object::{FieldError, Path, Value, names};

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MAX_SELECTABLE_FIELDS: usize = 8;
const APPROVAL: &str = "api-approved.kubernetes.io";

/// What is wrong with a definition, or with its update.
pub fn validate_definition(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &object["spec"];
    if old.is_none() {
        let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
        let name = &object["metadata"]["name"];
        if *name != wanted {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            errors.push(FieldError::invalid(&Path::new("metadata.name"), name, detail));
        }
    }
    spec_errors(spec, old.map(|o| &o["spec"]), &mut errors);
    if let Some(old) = old {
        immutable(spec, &old["spec"], is_established(old), &mut errors);
    }
    names_errors(&object["status"]["acceptedNames"], &Path::new("status.acceptedNames"), &mut errors);
    stored_versions(object, old.is_none(), &mut errors);
    approval(object, old, &mut errors);
    if spec["preserveUnknownFields"] == true && old.is_none_or(|o| o["spec"]["preserveUnknownFields"] != true)
    {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid(&Path::new("spec.preserveUnknownFields"), &true.into(), detail));
    }
    errors
}

/// What is wrong with a definition's new status.
pub fn validate_definition_status(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    names_errors(&object["status"]["acceptedNames"], &Path::new("status.acceptedNames"), &mut errors);
    errors
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Established" && c["status"] == "True")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn schema_of(version: &Value) -> Option<&Value> {
    Some(&version["schema"]["openAPIV3Schema"]).filter(|s| s.is_object())
}

fn has_status(subresources: &Value) -> bool {
    subresources["status"].is_object()
}

/// Whether all versions say the same under `name`: then it stands at the top.
fn shared(versions: &[Value], name: &str) -> bool {
    versions.windows(2).all(|pair| pair[0][name] == pair[1][name])
}

fn spec_errors(spec: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = Path::new("spec");
    group_and_scope(spec, &path, errors);
    let versions = list(spec, "versions");
    schemas_present(spec, old, errors);
    for (index, version) in versions.iter().enumerate() {
        let at = path.field("versions").index(index);
        let name = text(version, "name");
        let wrong = names::dns1035_label(name);
        if !wrong.is_empty() {
            errors.push(FieldError::invalid(&at.field("name"), &name.into(), &wrong.join(",")));
        }
        deprecation(version, &at, errors);
        parts(versions, version, &at, false, errors);
    }
    version_list(versions, &path, errors);
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"], name).is_empty() {
            errors.push(FieldError::required(&path.field("names").field(name), ""));
        }
    }
    names_errors(&spec["names"], &path.field("names"), errors);
    if let Some(first) = versions.first() {
        parts(versions, first, &path, true, errors);
    }
    conversion::check(&spec["conversion"], &path.field("conversion"), errors);
}

fn group_and_scope(spec: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.field("group");
    let group = text(spec, "group");
    let wrong = names::dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if !wrong.is_empty() {
        errors.push(FieldError::invalid(&at, &group.into(), &wrong.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(&at, &group.into(), "should be a domain with at least one dot"));
    }
    let at = path.field("scope");
    match text(spec, "scope") {
        "" => errors.push(FieldError::required(&at, "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported(&at, &other.into(), &["Cluster", "Namespaced"])),
    }
}

/// Every version has a schema; a definition from before that was so may go on with the served ones.
fn schemas_present(spec: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let versions = list(spec, "versions");
    if versions.first().is_some_and(|v| schema_of(v).is_some()) && shared(versions, "schema") {
        return;
    }
    let lenient = old.is_some_and(|old| list(old, "versions").iter().any(|v| schema_of(v).is_none()));
    for (index, version) in versions.iter().enumerate().filter(|(_, v)| schema_of(v).is_none()) {
        let at = Path::new("spec.versions").index(index).field("schema").field("openAPIV3Schema");
        match lenient {
            false => errors.push(FieldError::required(&at, "")),
            true if version["served"] == true && spec["preserveUnknownFields"] != true => {
                errors.push(FieldError::required(&at, "because otherwise all fields are pruned"));
            }
            true => {}
        }
    }
}

fn deprecation(version: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let at = path.field("deprecationWarning");
    let mut wrong = |detail: &str| errors.push(FieldError::invalid(&at, &warning.into(), detail));
    if version["deprecated"] != true {
        wrong("can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        wrong("must be <= 256 characters long");
    }
    if warning.is_empty() {
        wrong("must not be an empty string");
    }
    if let Some((index, _)) =
        warning.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' '))
    {
        let what = "must only contain printable UTF-8 characters; non-printable character found at index";
        wrong(&format!("{what} {index}"));
    }
}

/// Schema, subresources, columns and selectable fields: of one version, or (`top`) what all versions share.
fn parts(versions: &[Value], version: &Value, path: &Path, top: bool, errors: &mut Vec<FieldError>) {
    let here = |name: &str| shared(versions, name) == top;
    if here("schema")
        && let Some(schema) = schema_of(version)
    {
        let at = path.field(if top { "validation" } else { "schema" }).field("openAPIV3Schema");
        let status = match top {
            true => versions.iter().any(|v| has_status(&v["subresources"])),
            false => has_status(&version["subresources"]),
        };
        errors.extend(check_definition(schema, &at, status));
    }
    if here("subresources") {
        scale(&version["subresources"]["scale"], &path.field("subresources").field("scale"), errors);
    }
    if here("additionalPrinterColumns") {
        for (index, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
            printer_column(column, &path.field("additionalPrinterColumns").index(index), errors);
        }
    }
    let selectable = list(version, "selectableFields");
    if here("selectableFields") && !selectable.is_empty() {
        let at = path.field("selectableFields");
        match schema_of(version) {
            Some(schema) => selectable_fields(selectable, schema, &at, errors),
            None => errors.push(FieldError::invalid(
                &at,
                &"".into(),
                "may only be set when validations.schema is included",
            )),
        }
    }
}

fn version_list(versions: &[Value], path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.field("versions");
    let names: Vec<_> = versions.iter().map(|v| text(v, "name")).collect();
    let mut wrong = |detail: &str| {
        errors.push(FieldError::invalid_shown(
            &at,
            &dump::versions(versions, |n| shared(versions, n)),
            detail,
        ))
    };
    if (1..names.len()).any(|index| names[..index].contains(&names[index])) {
        wrong("must contain unique version names");
    }
    if versions.iter().filter(|v| v["storage"] == true).count() != 1 {
        wrong("must have exactly one version marked as storage version");
    }
    let first = names.first().copied().unwrap_or("");
    let odd = names::dns1035_label(first);
    if !first.is_empty() && !odd.is_empty() {
        errors.push(FieldError::invalid(&path.field("version"), &first.into(), &odd.join(",")));
    }
}

fn names_errors(names: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for (name, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let value = text(names, name);
        let wrong = names::dns1035_label(&if mixed { value.to_lowercase() } else { value.to_owned() });
        if !value.is_empty() && !wrong.is_empty() {
            let mixed = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(FieldError::invalid(
                &path.field(name),
                &value.into(),
                &format!("{mixed}{}", wrong.join(",")),
            ));
        }
    }
    words(names, "shortNames", path, errors);
    let kind = text(names, "kind");
    if !kind.is_empty() && kind == text(names, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(&path.field("listKind"), &kind.into(), detail));
    }
    words(names, "categories", path, errors);
}

fn words(names: &Value, name: &str, path: &Path, errors: &mut Vec<FieldError>) {
    for (index, word) in list(names, name).iter().enumerate() {
        let wrong = names::dns1035_label(word.as_str().unwrap_or(""));
        if !wrong.is_empty() {
            errors.push(FieldError::invalid(&path.field(name).index(index), word, &wrong.join(",")));
        }
    }
}

fn scale(scale: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if !scale.is_object() {
        return;
    }
    for (name, prefixes, detail) in [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."], "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."], "should be a json path under either .spec or .status"),
    ] {
        let at = path.field(name);
        match text(scale, name) {
            "" if name == "labelSelectorPath" => {}
            "" => errors.push(FieldError::required(&at, "")),
            path if !path.starts_with('.') => errors.push(not_simple(&at, path)),
            path if !prefixes.iter().any(|p| path.starts_with(p)) => {
                errors.push(FieldError::invalid(&at, &path.into(), detail));
            }
            _ => {}
        }
    }
}

fn not_simple(at: &Path, path: &str) -> FieldError {
    FieldError::invalid(at, &path.into(), "must be a simple json path starting with .")
}

fn printer_column(column: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if text(column, "name").is_empty() {
        errors.push(FieldError::required(&path.field("name"), ""));
    }
    let detail = format!("must be one of {}", COLUMN_TYPES.join(","));
    match text(column, "type") {
        "" => errors.push(FieldError::required(&path.field("type"), &detail)),
        known if COLUMN_TYPES.contains(&known) => {}
        other => errors.push(FieldError::invalid(&path.field("type"), &other.into(), &detail)),
    }
    let format = text(column, "format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
        errors.push(FieldError::invalid(&path.field("format"), &format.into(), &detail));
    }
    match text(column, "jsonPath") {
        "" => errors.push(FieldError::required(&path.field("JSONPath"), "")),
        simple if simple.starts_with('.') => {}
        other => errors.push(not_simple(&path.field("JSONPath"), other)),
    }
}

fn selectable_fields(fields: &[Value], schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let mut seen = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let at = path.index(index).field("jsonPath");
        let json_path = text(field, "jsonPath");
        let mut wrong = |detail: &str| errors.push(FieldError::invalid(&at, &json_path.into(), detail));
        let steps = match (json_path, field_path(schema, json_path)) {
            ("", _) => {
                errors.push(FieldError::required(&at, ""));
                continue;
            }
            (_, Some(steps)) if steps.iter().all(|s| matches!(s, Step::Name(_))) => steps,
            _ => {
                wrong("is an invalid path: does not refer to a valid field");
                continue;
            }
        };
        if steps[0] == Step::Name("metadata".into()) {
            wrong("must not point to fields in metadata");
        }
        let found = steps.iter().fold(schema, |at, step| match step {
            Step::Name(name) => at["properties"].get(name).unwrap_or(&at["additionalProperties"]),
            Step::Index(_) => at,
        });
        if !["string", "boolean", "integer"].contains(&text(found, "type")) {
            wrong(
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            );
        }
        if seen.contains(&steps) {
            errors.push(FieldError::duplicate(&at, &json_path.into()));
        } else {
            seen.push(steps);
        }
    }
    if seen.len() > MAX_SELECTABLE_FIELDS {
        errors.push(FieldError::too_many(path, seen.len(), MAX_SELECTABLE_FIELDS));
    }
}

fn immutable(spec: &Value, old: &Value, established: bool, errors: &mut Vec<FieldError>) {
    let mut keep = |path: &str, new: &Value, old: &Value| {
        if new != old {
            errors.push(FieldError::invalid(&Path::new(path), new, "field is immutable"));
        }
    };
    if established {
        keep("spec.scope", &spec["scope"], &old["scope"]);
        keep("spec.names.kind", &spec["names"]["kind"], &old["names"]["kind"]);
    }
    keep("spec.group", &spec["group"], &old["group"]);
    keep("spec.names.plural", &spec["names"]["plural"], &old["names"]["plural"]);
}

fn stored_versions(object: &Value, create: bool, errors: &mut Vec<FieldError>) {
    let path = Path::new("status.storedVersions");
    let versions = list(&object["spec"], "versions");
    let storage = || versions.iter().filter(|v| v["storage"] == true).map(|v| text(v, "name"));
    let mut stored: Vec<_> =
        list(&object["status"], "storedVersions").iter().filter_map(Value::as_str).collect();
    if create && stored.is_empty() {
        // A new definition stores what it says it will.
        stored.extend(storage().next());
    }
    if stored.is_empty() {
        errors.push(FieldError::invalid(&path, &Value::Null, "must have at least one stored version"));
        return;
    }
    for name in storage().filter(|name| !stored.contains(name)) {
        let shown = Value::from(stored.clone());
        errors.push(FieldError::invalid(&path, &shown, &format!("must have the storage version {name}")));
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|v| text(v, "name") == *name) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage \
                 migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldError::invalid(&path.index(index), &(*name).into(), &detail));
        }
    }
}

/// Groups of the Kubernetes community need an approval.
fn approval(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let group = text(&object["spec"], "group");
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|g| group == *g || group.ends_with(&format!(".{g}")));
    let said = |object: &Value| object["metadata"]["annotations"][APPROVAL].as_str().unwrap_or("").to_owned();
    let state = |said: &str| match said {
        "" => 0,
        text if text.starts_with("unapproved") => 1,
        text if text
            .split_once("://")
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) =>
        {
            2
        }
        _ => 3,
    };
    let now = said(object);
    if !protected || old.is_some_and(|old| state(&said(old)) == state(&now)) {
        return;
    }
    let path = Path::new("metadata.annotations").key(APPROVAL);
    let must = format!("protected groups must have approval annotation {}", object::error::quote(APPROVAL));
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    match state(&now) {
        0 => errors.push(FieldError::required(&path, &format!("{must}, {see}"))),
        3 => {
            let detail = format!("{must} with either a URL or a reason starting with \"unapproved\", {see}");
            errors.push(FieldError::invalid(&path, &now.into(), &detail));
        }
        _ => {}
    }
}
