//! CustomResourceDefinitions. The schemas in them are checked by [`schema::custom::check_definition`].
//!
//! Kubernetes validates them in an older form, in which what all versions share stands once in the spec: `hoist` brings
//! it about, and paths are those of that form (`spec.validation.openAPIV3Schema`).

mod conversion;
mod fields;
mod go_json;
mod hoist;
mod names;

use crate::node::{Errors, Node, check_immutable};
use hoist::Hoisted;
use object::{FieldError, FieldErrorKind, Path, names::dns1035_label, names::dns1123_subdomain};
use serde_json::{Value, json};

const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_URL: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// A CustomResourceDefinition.
pub fn definition(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    full_name(e, &root);
    everything(e, &root, None);
}

/// An update of a CustomResourceDefinition.
pub fn definition_update(e: &mut Errors, new: &Value, old: &Value) {
    everything(e, &Node::root(new), Some(&Node::root(old)));
}

/// An update of a CustomResourceDefinition's status.
pub fn definition_status(e: &mut Errors, new: &Value, _old: &Value) {
    names::rules(e, &Node::root(new).get("status").get("acceptedNames"));
}

/// The schemas of a definition with their places, as Kubernetes names them.
pub fn schemas(object: &Value) -> Vec<Value> {
    let spec = Node::root(object).get("spec");
    let hoisted = Hoisted::new(&spec);
    let versions = hoisted.versions.iter().filter_map(|v| v["schema"].get("openAPIV3Schema"));
    hoisted.top["schema"].get("openAPIV3Schema").into_iter().chain(versions).cloned().collect()
}

/// The name says what the definition is about. Kubernetes finds this with the name's form, before the rest.
fn full_name(e: &mut Errors, root: &Node<'_>) {
    let (metadata, spec) = (root.get("metadata"), root.get("spec"));
    let expected = format!("{}.{}", spec.get("names").get("plural").text(), spec.get("group").text());
    for field in ["generateName", "name"] {
        let name = metadata.get(field);
        if !name.is_empty() && name.text() != expected {
            let last =
                e.iter().rposition(|e| ["metadata.generateName", "metadata.name"].contains(&e.path.as_str()));
            let error = name.invalid("must be spec.names.plural+\".\"+spec.group");
            e.insert(last.map_or(0, |i| i + 1), error);
        }
    }
}

fn everything(e: &mut Errors, root: &Node<'_>, old: Option<&Node<'_>>) {
    let (spec, status) = (root.get("spec"), root.get("status"));
    self::spec(e, &spec);
    if let Some(old) = old {
        immutable(e, &spec, old);
    }
    names::rules(e, &status.get("acceptedNames"));
    stored_versions(e, &status.get("storedVersions"), &spec);
    approval(e, root, old);
    let preserve = spec.get("preserveUnknownFields");
    if preserve.is_true() && !old.is_some_and(|o| o.get("spec").get("preserveUnknownFields").is_true()) {
        e.push(preserve.invalid(
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
}

fn immutable(e: &mut Errors, spec: &Node<'_>, old: &Node<'_>) {
    let old_spec = old.get("spec");
    let (names, old_names) = (spec.get("names"), old_spec.get("names"));
    let conditions = old.get("status").get("conditions");
    if conditions.list().iter().any(|c| c["type"] == "Established" && c["status"] == "True") {
        check_immutable(e, &spec.get("scope"), &old_spec.get("scope"));
        check_immutable(e, &names.get("kind"), &old_names.get("kind"));
    }
    check_immutable(e, &spec.get("group"), &old_spec.get("group"));
    check_immutable(e, &names.get("plural"), &old_names.get("plural"));
}

fn spec(e: &mut Errors, spec: &Node<'_>) {
    let hoisted = Hoisted::new(spec);
    group(e, &spec.get("group"));
    let scope = spec.get("scope");
    crate::node::check_required_supported(e, &scope, &["Cluster", "Namespaced"]);
    let versions = spec.path.field("versions");
    if hoisted.top["schema"]["openAPIV3Schema"].is_null() {
        for (i, version) in hoisted.versions.iter().enumerate() {
            if version["schema"]["openAPIV3Schema"].is_null() {
                let path = versions.index(i).field("schema").field("openAPIV3Schema");
                e.push(FieldError::required(&path, ""));
            }
        }
    }
    preserved(e, spec, &hoisted);
    for (i, version) in hoisted.versions.iter().enumerate() {
        self::version(e, &Node::at(version, versions.index(i)), &hoisted);
    }
    version_list(e, spec, &hoisted);
    names::required(e, &spec.get("names"));
    names::rules(e, &spec.get("names"));
    let top = Node::at(&hoisted.top, spec.path.clone());
    let status = hoisted.any_status();
    schema(e, &top.get("schema").moved(spec.path.field("validation")), status);
    fields::subresources(e, &top.get("subresources"));
    top.get("additionalPrinterColumns").items().for_each(|c| fields::column(e, &c));
    if !top.get("selectableFields").is_empty() {
        match top.raw("schema").get("openAPIV3Schema") {
            Some(schema) => fields::selectable(e, &top.get("selectableFields"), schema),
            None => e.push(
                top.get("selectableFields")
                    .invalid_as("", "may only be set when validations.schema is included"),
            ),
        }
    }
    conversion::validate(e, &spec.get("conversion"), spec.get("preserveUnknownFields").is_true());
}

fn group(e: &mut Errors, group: &Node<'_>) {
    let errors = dns1123_subdomain(group.text());
    if group.is_empty() {
        e.push(group.required(""));
    } else if !errors.is_empty() {
        e.push(group.invalid(&errors.join(",")));
    } else if !group.text().contains('.') {
        e.push(group.invalid("should be a domain with at least one dot"));
    }
}

/// Defaults need pruning.
fn preserved(e: &mut Errors, spec: &Node<'_>, hoisted: &Hoisted) {
    let preserve = spec.get("preserveUnknownFields");
    let has_default = |holder: &Value| mentions_default(&holder["schema"]["openAPIV3Schema"]);
    if preserve.is_true() && (has_default(&hoisted.top) || hoisted.versions.iter().any(has_default)) {
        e.push(preserve.invalid_as(true, "must be false in order to use defaults in the schema"));
    }
}

fn mentions_default(schema: &Value) -> bool {
    let Some(map) = schema.as_object() else { return false };
    let inner = ["items", "additionalProperties", "not"].into_iter().map(|name| &schema[name]);
    let lists = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .flat_map(|name| schema[name].as_array().into_iter().flatten());
    let properties = schema["properties"].as_object().into_iter().flat_map(|p| p.values());
    map.get("default").is_some_and(|d| !d.is_null())
        || inner.chain(lists).chain(properties).any(mentions_default)
}

fn version(e: &mut Errors, version: &Node<'_>, hoisted: &Hoisted) {
    let errors = dns1035_label(version.get("name").text());
    if !errors.is_empty() {
        e.push(version.get("name").invalid_text(&errors.join(",")));
    }
    deprecation(e, version);
    schema(e, &version.get("schema"), hoisted.status_enabled(version.value));
    fields::subresources(e, &version.get("subresources"));
    version.get("additionalPrinterColumns").items().for_each(|c| fields::column(e, &c));
    let selectable = version.get("selectableFields");
    if !selectable.is_empty() {
        match version.raw("schema").get("openAPIV3Schema") {
            Some(schema) => fields::selectable(e, &selectable, schema),
            None => e.push(
                selectable
                    .invalid_as("", "may only be set when `version.schema.openAPIV3Schema` is not included"),
            ),
        }
    }
}

fn deprecation(e: &mut Errors, version: &Node<'_>) {
    let warning = version.get("deprecationWarning");
    if !warning.is_set() {
        return;
    }
    let text = warning.text();
    if !version.get("deprecated").is_true() {
        e.push(warning.invalid("can only be set for deprecated versions"));
        return;
    }
    if text.len() > 256 {
        e.push(warning.invalid("must be <= 256 characters long"));
    }
    if text.is_empty() {
        e.push(warning.invalid("must not be an empty string"));
    }
    if let Some((i, _)) =
        text.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' '))
    {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {i}"
        );
        e.push(warning.invalid(&detail));
    }
}

fn schema(e: &mut Errors, holder: &Node<'_>, status_enabled: bool) {
    let schema = holder.get("openAPIV3Schema");
    if schema.is_set() {
        let found = ::schema::custom::check_definition(schema.value, &schema.path, status_enabled);
        let sound = found.is_empty();
        e.extend(found);
        // Rules are only judged in a schema that is sound otherwise.
        if sound {
            e.extend(cel_rules::check_rules(schema.value, &schema.path));
        }
    }
}

fn version_list(e: &mut Errors, spec: &Node<'_>, hoisted: &Hoisted) {
    let list = spec.get("versions");
    let names: Vec<_> = list.list().iter().map(|v| v["name"].as_str().unwrap_or("")).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    let storage = list.list().iter().filter(|v| v["storage"] == true).count();
    let shown = || go_json::versions(&hoisted.versions);
    if unique.len() < names.len() {
        e.push(FieldError::invalid_shown(&list.path, &shown(), "must contain unique version names"));
    }
    if storage != 1 {
        let detail = "must have exactly one version marked as storage version";
        e.push(FieldError::invalid_shown(&list.path, &shown(), detail));
    }
    if let Some(first) = names.first().filter(|n| !n.is_empty()) {
        let errors = dns1035_label(first);
        if !errors.is_empty() {
            e.push(spec.get("version").invalid_as(*first, &errors.join(",")));
        }
    }
}

fn stored_versions(e: &mut Errors, stored: &Node<'_>, spec: &Node<'_>) {
    if stored.is_empty() {
        e.push(stored.invalid("must have at least one stored version"));
        return;
    }
    let versions = spec.get("versions");
    for version in versions.list() {
        let name = version["name"].as_str().unwrap_or("");
        if version["storage"] == true && !stored.texts().contains(&name) {
            e.push(stored.invalid(&format!("must have the storage version {name}")));
        }
    }
    for item in stored.items() {
        let name = item.text();
        if !versions.list().iter().any(|v| v["name"] == name) {
            e.push(item.invalid(&format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            )));
        }
    }
}

/// How an API in a group of the community is approved, with the words for it when it is not.
fn approval_state(root: &Node<'_>) -> (FieldErrorKind, String) {
    let text = root.get("metadata").get("annotations").get(APPROVAL).text();
    let head = format!("protected groups must have approval annotation \"{APPROVAL}\"");
    let url = text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.is_empty() && !rest.starts_with('/')
    });
    match text {
        "" => (FieldErrorKind::Required, format!("{head}, {APPROVAL_URL}")),
        _ if text.starts_with("unapproved") => (FieldErrorKind::Forbidden, String::new()),
        _ if url => (FieldErrorKind::Duplicate, String::new()),
        _ => (
            FieldErrorKind::Invalid,
            format!("{head} with either a URL or a reason starting with \"unapproved\", {APPROVAL_URL}"),
        ),
    }
}

fn approval(e: &mut Errors, root: &Node<'_>, old: Option<&Node<'_>>) {
    let spec = root.get("spec");
    let group = spec.get("group").text();
    let protected = |domain: &str| group == domain || group.ends_with(&format!(".{domain}"));
    if !protected("k8s.io") && !protected("kubernetes.io") {
        return;
    }
    let (state, detail) = approval_state(root);
    if old.is_some_and(|old| approval_state(old).0 == state) {
        return;
    }
    let path = Path::root().field("metadata").field("annotations").key(APPROVAL);
    match state {
        FieldErrorKind::Required => e.push(FieldError::required(&path, &detail)),
        FieldErrorKind::Invalid => {
            let text = root.get("metadata").get("annotations").get(APPROVAL).text();
            e.push(FieldError::invalid(&path, &json!(text), &detail));
        }
        _ => {}
    }
}
