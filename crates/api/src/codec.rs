//! Bodies in and objects out: media types, kinds, options. What a field may hold is the `schema` crate's business.

use crate::call::{Call, Target};
use crate::lenient;
use crate::negotiate::{self, Media};
use crate::patch::Patch;
use bytes::Bytes;
use kinds::{Resource, SchemaRef};
use object::{ApiError, FieldError, GroupKind, GroupVersionKind, Path, Result, Value, json, meta};
use schema::decode::{self, Decoded, Strictness};

/// The object in a request's body, decoded, checked against its kind and defaulted, in the version of `resource`.
pub(crate) fn decode_body(call: &Call, target: &Target, resource: &Resource) -> Result<Value> {
    let media = negotiate::content_type(&call.headers, !resource.custom)?;
    let expected = expected_kind(target, resource);
    let decoded = match media {
        Media::Json => {
            let mut body = lenient::json_text(&call.body);
            if body.trim_ascii() == b"null" && !resource.custom {
                body = b"{}".into();
            }
            let head: TypeMeta = serde_json::from_slice(&body).unwrap_or_default();
            if head.kind.is_empty() && resource.custom {
                untyped_custom(call, resource, &expected, &body)?;
            }
            check_kind_in(call, target, resource, &head, &expected)?;
            let decoded = decode::decode_json(schema_of(target, resource).get(), &body, strictness(call));
            decoded.map_err(|e| match decode::decode_untyped(&body, Strictness::Ignore) {
                Ok(read) if !read.value.is_object() && !resource.custom => {
                    unrecognized(&expected, &in_json(&no_type_meta(&read.value)), &call.body)
                }
                Err(syntax) if is_syntax(&syntax.0) || !resource.custom => {
                    unrecognized(&expected, &in_json(&syntax.0), &call.body)
                }
                _ => unhandled(&expected, &e.0),
            })?
        }
        Media::Yaml | Media::Protobuf => {
            let (value, repeated) = parse(call, media, &expected)?;
            let text = |key: &str| value[key].as_str().unwrap_or("").to_owned();
            let head = TypeMeta { api_version: text("apiVersion"), kind: text("kind") };
            check_kind_in(call, target, resource, &head, &expected)?;
            let mut read =
                decode_parsed(call, target, resource, value).map_err(|e| unhandled(&expected, &e.0))?;
            read.problems.splice(0..0, repeated_keys(call, repeated));
            read
        }
    };
    let object = finish(call, resource, &expected, decoded)?;
    call.record_object(&object);
    Ok(object)
}

/// As [`decode_body`], of a kind that may also be sent in the older versions `also`, which differ in nothing else.
pub(crate) fn decode_either(call: &Call, target: &Target, also: &[&str]) -> Result<Value> {
    let head: TypeMeta = serde_json::from_slice(&call.body).unwrap_or_default();
    if !also.contains(&head.api_version.as_str()) {
        return decode_body(call, target, &target.resource);
    }
    let value: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    decode_value(call, target, &target.resource, value)
}

/// As [`decode_body`], for an object that a patch made.
pub(crate) fn decode_value(call: &Call, target: &Target, resource: &Resource, value: Value) -> Result<Value> {
    let expected = expected_kind(target, resource);
    let mut value = value;
    if value.is_object() {
        meta::set_gvk(&mut value, &expected);
    }
    let decoded = decode_parsed(call, target, resource, value).map_err(|e| unhandled(&expected, &e.0))?;
    finish(call, resource, &expected, decoded)
}

/// As [`decode_value`], for an object that `patch` made: what is wrong with it is wrong with the patch.
pub(crate) fn decode_patched(call: &Call, target: &Target, value: Value, patch: &Patch) -> Result<Value> {
    let expected = expected_kind(target, &target.resource);
    let text = |key: &str| value[key].as_str().unwrap_or("").to_owned();
    let refused = |why: &str| {
        let text = patch.quoted(target, &value);
        let error = FieldError::invalid(&Path::new("patch"), &text.into(), why);
        ApiError::Invalid { kind: GroupKind::default(), name: String::new(), errors: vec![error] }
    };
    let head = TypeMeta { api_version: text("apiVersion"), kind: text("kind") };
    check_kind(&head, &expected).map_err(|e| {
        // What it became is read as such before it is found to be another kind, which is said without naming the one wanted.
        let named = object::GroupVersion::parse(&head.api_version).unwrap_or_default().kind(&head.kind);
        let schema = schema::builtin().by_gvk(&named);
        let unread = schema.and_then(|s| decode::decode(s, value.clone(), Strictness::Ignore).err());
        let message = e.message();
        let why = message.split_once(": ").map_or(message.as_str(), |(_, why)| why);
        refused(unread.as_ref().map_or(why, |error| &error.0))
    })?;
    let decoded = decode_parsed(call, target, &target.resource, value.clone());
    let mut decoded = decoded.map_err(|e| refused(&e.0))?;
    decoded.problems.splice(0..0, patch.problems.iter().cloned());
    if strictness(call) == Strictness::Strict && !decoded.problems.is_empty() {
        return Err(refused(&decode::strict_decoding_error(&decoded.problems)));
    }
    finish(call, &target.resource, &expected, decoded)
}

/// What became of an object by applying `config`, which may hold values that no object of its type can.
///
/// # Errors
/// 500, as Kubernetes has it.
pub(crate) fn decode_applied(call: &Call, target: &Target, config: &Value, value: Value) -> Result<Value> {
    let expected = expected_kind(target, &target.resource);
    let unconverted = |why: &str| {
        let gvk = format!("{}/{}, Kind={}", expected.group, expected.version, expected.kind);
        let whose = format!("{}/{}; {gvk}", meta::namespace(config), meta::name(config));
        crate::failure::plain(format!(
            "failed to convert new object ({whose}) to proper version: unable to convert unstructured object to {gvk}: {why}"
        ))
    };
    let mut value = value;
    if !target.resource.custom {
        merge::to_typed(schema(target).get(), &mut value).map_err(|why| unconverted(&why))?;
    }
    let decoded = decode_parsed(call, target, &target.resource, value).map_err(|e| unconverted(&e.0))?;
    finish(call, &target.resource, &expected, decoded)
}

fn decode_parsed(
    call: &Call,
    target: &Target,
    resource: &Resource,
    value: Value,
) -> std::result::Result<Decoded, decode::DecodeError> {
    decode::decode(schema_of(target, resource).get(), value, strictness(call))
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

fn expected_kind(target: &Target, resource: &Resource) -> GroupVersionKind {
    target.subresource().map_or_else(|| resource.gvk(), |s| s.gvk.clone())
}

/// The schema of what a request for `target` sends.
pub(crate) fn schema(target: &Target) -> SchemaRef {
    schema_of(target, &target.resource)
}

fn schema_of(target: &Target, resource: &Resource) -> SchemaRef {
    match target.subresource().and_then(|s| s.schema.clone()) {
        Some(schema) => schema,
        None => resource.schema.clone(),
    }
}

fn unhandled(expected: &GroupVersionKind, why: &str) -> ApiError {
    ApiError::BadRequest(decode::cannot_be_handled(&expected.kind, &expected.version, &expected.kind, why))
}

/// A body that does not even say what it is.
fn unrecognized(expected: &GroupVersionKind, why: &str, body: &[u8]) -> ApiError {
    ApiError::BadRequest(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        expected.kind,
        summary(body)
    ))
}

pub(crate) fn no_type_meta(value: &Value) -> String {
    let what = match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        _ => "bool",
    };
    let into = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    format!("json: cannot unmarshal {what} into Go value of type {into}")
}

pub(crate) fn in_json(why: &str) -> String {
    format!("couldn't get version/kind; json parse error: {why}")
}

/// The beginning of a body: as text if it looks like JSON, else as hexadecimal digits.
fn summary(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    if body.is_empty() {
        return "<empty>".into();
    }
    let head = &body[..body.len().min(LENGTH)];
    let mut text = if body[0] == b'{' {
        String::from_utf8_lossy(head).into_owned()
    } else {
        head.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    if body.len() > LENGTH {
        text.push_str(" ...");
    }
    text
}

/// Reports or refuses what strict decoding found, and fills in defaults.
fn finish(call: &Call, resource: &Resource, expected: &GroupVersionKind, decoded: Decoded) -> Result<Value> {
    let Decoded { mut value, problems, empties } = decoded;
    meta::set_gvk(&mut value, expected);
    match call.query.get("fieldValidation") {
        _ if problems.is_empty() => {}
        "Ignore" => {}
        "" | "Warn" => problems.iter().for_each(|e| call.warn(e.clone())),
        _ => return Err(unhandled(expected, &decode::strict_decoding_error(&problems))),
    }
    if resource.custom {
        default_custom(resource, &mut value);
    } else {
        // What is empty is not filled in.
        empties.iter().for_each(|empty| empty.restore(&mut value));
        kinds::defaulting::default(expected, &mut value);
        empties.iter().for_each(|empty| empty.remove(&mut value));
    }
    *call.empties.lock() = empties;
    Ok(value)
}

fn strictness(call: &Call) -> Strictness {
    match call.query.get("fieldValidation") {
        "Ignore" => Strictness::Ignore,
        "" | "Warn" => Strictness::Warn,
        _ => Strictness::Strict,
    }
}

const YAML_ERRORS: &str = "yaml: unmarshal errors:\n  ";
/// What a body in protobuf begins with.
const PROTOBUF: &[u8] = b"k8s\0";

/// Whether a complaint is about the text, not about what it says.
fn is_syntax(why: &str) -> bool {
    why.starts_with("invalid character") || why.starts_with("unexpected end of JSON input")
}

/// What strict decoding says of the keys that a YAML document repeats: one refusal, a warning each.
fn repeated_keys(call: &Call, repeated: Vec<String>) -> Vec<String> {
    match strictness(call) {
        Strictness::Strict if !repeated.is_empty() => {
            vec![format!("{YAML_ERRORS}{}", repeated.join("\n  "))]
        }
        _ => repeated,
    }
}

/// The body as a JSON value, not yet checked against anything, and the keys that it repeats.
fn parse(call: &Call, media: Media, expected: &GroupVersionKind) -> Result<(Value, Vec<String>)> {
    let body = &call.body;
    let malformed = |e: String| unrecognized(expected, &e, body);
    match media {
        Media::Json => serde_json::from_slice(body)
            .map(|value| (value, Vec::new()))
            .map_err(|e| malformed(in_json(&e.to_string()))),
        Media::Yaml => lenient::yaml(body).map_err(|e| malformed(format!("yaml: {e}"))),
        Media::Protobuf if body.as_ref() == PROTOBUF => Err(malformed("empty body".into())),
        Media::Protobuf => schema::proto::decode_envelope(body)
            .map(|value| (value, Vec::new()))
            .map_err(|e| malformed(e.to_string())),
    }
}

/// Nothing tells the kind of a custom resource but itself.
fn untyped_custom(call: &Call, resource: &Resource, expected: &GroupVersionKind, body: &[u8]) -> Result<()> {
    let Ok(read) = decode::decode_untyped(body, Strictness::Ignore) else { return Ok(()) };
    let typed = matches!(&read.value["kind"], Value::Null) || read.value["kind"] == "";
    let why = match &read.value {
        _ if expected.kind != resource.kind => return Ok(()),
        Value::Null | Value::Object(_) if typed => {
            format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body))
        }
        Value::Object(_) => return Ok(()),
        other => in_json(&no_type_meta(other)),
    };
    Err(unrecognized(expected, &why, &call.body))
}

/// Custom kinds are refused in other words.
fn check_kind_in(
    call: &Call,
    target: &Target,
    resource: &Resource,
    head: &TypeMeta,
    expected: &GroupVersionKind,
) -> Result<()> {
    if !resource.custom {
        return check_kind(head, expected);
    }
    let TypeMeta { api_version, kind } = head;
    let is_own = expected.kind == resource.kind;
    if (is_own || !api_version.is_empty()) && *api_version != expected.api_version() {
        // There is no schema to read it by.
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let named = api_version.split_once('/').filter(|(group, _)| *group == expected.group);
        let unknown = named.is_some_and(|(_, name)| target.versions.iter().all(|v| v.gvr.version != name));
        let fields = body.as_object().filter(|_| is_own && unknown);
        for field in fields
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .filter(|f| !matches!(f.as_str(), "apiVersion" | "kind" | "metadata"))
        {
            if matches!(call.query.get("fieldValidation"), "" | "Warn") {
                call.warn(format!("unknown field \"{field}\""));
            }
        }
        return Err(ApiError::BadRequest(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        )));
    }
    if !kind.is_empty() && *kind != expected.kind {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let detail = format!("must be {}", expected.kind);
        let errors = vec![FieldError::invalid(&Path::new("kind"), &kind.clone().into(), &detail)];
        let kind = GroupKind { group: expected.group.clone(), kind: kind.clone() };
        return Err(ApiError::Invalid { kind, name: meta::name(&body).into(), errors });
    }
    Ok(())
}

fn check_kind(head: &TypeMeta, expected: &GroupVersionKind) -> Result<()> {
    let TypeMeta { api_version, kind } = head;
    let same_version = api_version.is_empty() || *api_version == expected.api_version();
    if same_version && (kind.is_empty() || *kind == expected.kind) {
        return Ok(());
    }
    let got = object::GroupVersion::parse(api_version).unwrap_or_default().kind(kind);
    let got = if api_version.is_empty() { expected.group_version().kind(kind) } else { got };
    let known = schema::builtin().by_gvk(&got).is_some();
    if known && got.kind == expected.kind {
        return Err(ApiError::BadRequest(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        )));
    }
    let what = if known {
        format!(
            "converting ({}.{}) to ({}.{}): unknown conversion",
            got.version,
            got.kind,
            crate::respond::go_package(&expected.group),
            expected.kind
        )
    } else {
        let version = got.group_version();
        format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    };
    Err(ApiError::BadRequest(format!(
        "{kind} in version \"{}\" cannot be handled as a {}: {what}",
        got.version, expected.kind
    )))
}

/// The options every write takes in its query.
pub(crate) fn check_options(call: &Call, kind: &str) -> Result<()> {
    let mut errors = Vec::new();
    dry_run_errors(call.query.all("dryRun"), &mut errors);
    let manager = call.query.get("fieldManager");
    errors.extend(merge::validate_field_manager(manager, &Path::new("fieldManager")));
    let validation = call.query.get("fieldValidation");
    if !matches!(validation, "" | "Ignore" | "Warn" | "Strict") {
        let known = ["", "Ignore", "Strict", "Warn"];
        errors.push(FieldError::not_supported(&Path::new("fieldValidation"), &validation.into(), &known));
    }
    if kind == "PatchOptions"
        && call.query.has("force")
        && !call.header("content-type").starts_with("application/apply-patch")
    {
        errors.push(FieldError::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
    }
    refuse_options(kind, errors)
}

pub(crate) fn dry_run_errors<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) {
    let all: Vec<&str> = values.collect();
    if all.iter().any(|v| *v != "All") {
        errors.push(FieldError::not_supported(&Path::new("dryRun"), &json!(all), &["All"]));
    }
}

pub(crate) fn refuse_options(kind: &str, errors: Vec<FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: kind.into() };
    Err(ApiError::Invalid { kind, name: String::new(), errors })
}

pub(crate) fn invalid_patch_options(field: &str, detail: &str) -> ApiError {
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: "PatchOptions".into() };
    let errors = vec![FieldError::required(&Path::new(field), detail)];
    ApiError::Invalid { kind, name: String::new(), errors }
}

/// The object's namespace and name must be those of the path.
pub(crate) fn match_path(target: &Target, object: &mut Value) -> Result<()> {
    let at = &target.at;
    if target.resource.namespaced() {
        let namespace = meta::namespace(object);
        if namespace.is_empty() {
            meta::set(object, "namespace", at.namespace.clone());
        } else if namespace != at.namespace {
            return Err(ApiError::BadRequest(
                "the namespace of the provided object does not match the namespace sent on the request"
                    .into(),
            ));
        }
    } else {
        meta::unset(object, "namespace");
    }
    if at.name.is_empty() {
        return Ok(());
    }
    let name = meta::name(object);
    if name.is_empty() && !at.subresource.is_empty() {
        meta::set(object, "name", at.name.clone());
        return Ok(());
    }
    if name.is_empty() {
        return Err(ApiError::BadRequest(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            at.name
        )));
    }
    if name != at.name {
        return Err(ApiError::BadRequest(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            at.name
        )));
    }
    Ok(())
}

/// Owner references that stand twice are written once, with a warning.
pub(crate) fn dedup_owner_references(call: &Call, object: &mut Value) {
    let references = meta::owner_references(object);
    let mut kept: Vec<Value> = Vec::with_capacity(references.len());
    for reference in references {
        if kept.contains(reference) {
            call.warn(format!(
                ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
                 reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
                reference["uid"].as_str().unwrap_or("")
            ));
        } else {
            kept.push(reference.clone());
        }
    }
    if kept.len() != references.len() {
        meta::set(object, "ownerReferences", kept);
    }
}

/// Makes `object` one of `kind`, which serves the same objects; whether it was not before.
pub(crate) fn convert(object: &mut Value, kind: &GroupVersionKind) -> Result<bool> {
    let same = object["apiVersion"].as_str() == Some(&kind.api_version())
        && object["kind"].as_str() == Some(&kind.kind);
    if same {
        return Ok(false);
    }
    let from = meta::gvk(object).ok_or_else(|| ApiError::Internal("object without a kind".into()))?;
    let to = kind.group_version();
    *object = kinds::convert::convert(object.take(), &from.group_version(), &to);
    meta::set_gvk(object, kind);
    Ok(true)
}

/// Defaults of a custom resource, by its structural schema.
pub(crate) fn default_custom(resource: &Resource, object: &mut Value) {
    schema::custom::default(resource.schema.get(), object);
}

/// A patch body must be JSON. Beside it: what strict decoding finds.
pub(crate) fn patch_json(call: &Call) -> Result<(Value, Vec<String>)> {
    decode::decode_untyped(&call.body, strictness(call))
        .map(|decoded| (decoded.value, decoded.problems))
        .map_err(|e| ApiError::BadRequest(format!("error decoding patch: {}", e.0)))
}

/// The configuration of a server-side apply: YAML. Whether it is of the path's kind is for the merge to say. Beside it: the
/// keys that it repeats.
pub(crate) fn apply_config(call: &Call) -> Result<(Value, Vec<String>)> {
    let failed = "error decoding YAML: error";
    let read = match decode::decode_untyped(&call.body, Strictness::Warn) {
        Ok(decoded) if decoded.problems.is_empty() => (decoded.value, Vec::new()),
        _ => lenient::yaml(&call.body)
            .map_err(|e| ApiError::BadRequest(format!("{failed} converting YAML to JSON: yaml: {e}")))?,
    };
    if !read.0.is_object() && !read.0.is_null() {
        let (found, into) = (merge::json_type(&read.0), "Go value of type map[string]interface {}");
        let why = format!("while decoding JSON: json: cannot unmarshal {found} into {into}");
        return Err(ApiError::BadRequest(format!("{failed} unmarshaling JSON: {why}")));
    }
    Ok(read)
}

/// Reports or refuses the keys that an applied configuration repeats.
pub(crate) fn check_applied_keys(call: &Call, repeated: &[String]) -> Result<()> {
    for problem in repeated_keys(call, repeated.to_vec()) {
        match strictness(call) {
            Strictness::Ignore => {}
            Strictness::Warn => call.warn(problem),
            Strictness::Strict => {
                return Err(ApiError::BadRequest(format!(
                    "error strict decoding YAML: error converting YAML to JSON: {problem}"
                )));
            }
        }
    }
    Ok(())
}

/// Any built-in object in the protobuf envelope.
pub(crate) fn encode_protobuf(value: &Value) -> Result<Vec<u8>> {
    schema::proto::encode_envelope(value).map_err(|e| ApiError::NotAcceptable(e.to_string()))
}

/// A length-delimited watch frame.
pub(crate) fn protobuf_frame(kind: &str, object: &Value) -> Bytes {
    schema::proto::watch_frame(kind, object).map(Bytes::from).unwrap_or_default()
}
