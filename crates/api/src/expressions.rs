//! Expressions in objects of built-in kinds: they must compile, and to what is asked of them.

use cel_rules::{CompileError, Decl, Environment, Program, Scope, Type};
use object::{FieldError, Path, Value, json};

/// What an expression must come to.
#[derive(Clone, Copy)]
enum Wanted {
    Bool,
    Text,
    /// Or nothing.
    MaybeText,
    Object,
    JsonPatches,
    /// Of a device selector.
    Selected,
}

/// What is wrong with the expressions of a new object, or of a changed one.
pub(crate) fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut found = Vec::new();
    let same = |field: &str| old.is_some_and(|old| old[field] == object[field]);
    match object["kind"].as_str().unwrap_or("") {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" if !same("webhooks") => {
            webhooks(object, &mut found);
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" if !same("spec") => {
            policy(&object["spec"], &mut found);
        }
        "ResourceClaim" if !same("spec") => devices(&object["spec"]["devices"], "spec.devices", &mut found),
        "ResourceClaimTemplate" if !same("spec") => {
            devices(&object["spec"]["spec"]["devices"], "spec.spec.devices", &mut found);
        }
        "DeviceClass" if !same("spec") => {
            selectors(&object["spec"]["selectors"], &Path::new("spec.selectors"), &mut found);
        }
        _ => {}
    }
    found
}

fn each(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn webhooks(object: &Value, found: &mut Vec<FieldError>) {
    let environment = Scope { authorizer: true, ..Scope::default() }.environment();
    for (i, webhook) in each(&object["webhooks"]) {
        let path = Path::new("webhooks").index(i).field("matchConditions");
        conditions(&webhook["matchConditions"], &path, &environment, found);
    }
}

fn conditions(list: &Value, path: &Path, environment: &Environment, found: &mut Vec<FieldError>) {
    for (i, condition) in each(list) {
        let path = path.index(i).field("expression");
        check(&condition["expression"], &path, environment, Wanted::Bool, found);
    }
}

/// More variables than this are not looked at.
const MAX_VARIABLES: usize = 256;

fn policy(spec: &Value, found: &mut Vec<FieldError>) {
    let plain = Scope { namespace: true, params: spec["paramKind"].is_object(), ..Scope::default() };
    let authorized = Scope { authorizer: true, ..plain };
    let conditions_path = Path::new("spec.matchConditions");
    conditions(&spec["matchConditions"], &conditions_path, &authorized.environment(), found);
    let known = variables(&spec["variables"], authorized, found);
    let judging = Scope { variables: Some(&known), ..authorized }.environment();
    let telling = Scope { variables: Some(&known), ..plain }.environment();
    for (i, validation) in each(&spec["validations"]) {
        let path = Path::new("spec.validations").index(i);
        check(&validation["expression"], &path.field("expression"), &judging, Wanted::Bool, found);
        let message = &validation["messageExpression"];
        check(message, &path.field("messageExpression"), &telling, Wanted::Text, found);
    }
    for (i, annotation) in each(&spec["auditAnnotations"]) {
        let path = Path::new("spec.auditAnnotations").index(i).field("valueExpression");
        check(&annotation["valueExpression"], &path, &telling, Wanted::MaybeText, found);
    }
    let changing = Scope { variables: Some(&known), mutations: true, ..authorized }.environment();
    for (i, mutation) in each(&spec["mutations"]) {
        let path = Path::new("spec.mutations").index(i);
        for (field, wanted) in [("applyConfiguration", Wanted::Object), ("jsonPatch", Wanted::JsonPatches)] {
            let path = path.field(field).field("expression");
            check(&mutation[field]["expression"], &path, &changing, wanted, found);
        }
    }
}

/// The types of a policy's variables; each may use those before it.
fn variables(list: &Value, scope: Scope<'_>, found: &mut Vec<FieldError>) -> Vec<(String, Type)> {
    let mut known = Vec::new();
    for (i, variable) in each(list).take(MAX_VARIABLES) {
        let environment = Scope { variables: Some(&known), ..scope }.environment();
        let text = variable["expression"].as_str().unwrap_or("");
        let ty = match Program::compile(text, &environment) {
            Ok(program) => program.result_type().clone(),
            Err(error) => {
                let path = Path::new("spec.variables").index(i).field("expression");
                found.push(uncompiled(text, &path, &error));
                Type::Dyn
            }
        };
        known.push((variable["name"].as_str().unwrap_or("").to_owned(), ty));
    }
    known
}

fn devices(devices: &Value, path: &str, found: &mut Vec<FieldError>) {
    let path = Path::new(path).field("requests");
    for (i, request) in each(&devices["requests"]) {
        let path = path.index(i);
        selectors(&request["exactly"]["selectors"], &path.field("exactly").field("selectors"), found);
        for (j, alternative) in each(&request["firstAvailable"]) {
            let path = path.field("firstAvailable").index(j).field("selectors");
            selectors(&alternative["selectors"], &path, found);
        }
    }
}

fn selectors(list: &Value, path: &Path, found: &mut Vec<FieldError>) {
    let environment = Environment::new().with("device", Decl::any());
    for (i, selector) in each(list) {
        let path = path.index(i).field("cel").field("expression");
        check(&selector["cel"]["expression"], &path, &environment, Wanted::Selected, found);
    }
}

fn check(text: &Value, path: &Path, environment: &Environment, wanted: Wanted, found: &mut Vec<FieldError>) {
    // What is required elsewhere is missed there; a selector of devices is only missed here.
    let selects = matches!(wanted, Wanted::Selected);
    let Some(text) = text.as_str().filter(|t| selects || !t.trim().is_empty()) else { return };
    match Program::compile(text, environment) {
        Err(error) => found.push(uncompiled(text, path, &error)),
        Ok(program) => {
            if let Some(why) = mistyped(program.result_type(), wanted) {
                found.push(FieldError::invalid(path, &json!(text), &why));
            }
        }
    }
}

fn uncompiled(text: &str, path: &Path, error: &CompileError) -> FieldError {
    FieldError::invalid(path, &json!(text), &error.to_string())
}

fn mistyped(ty: &Type, wanted: Wanted) -> Option<String> {
    let (fits, name) = match wanted {
        Wanted::Selected => {
            let fits = matches!(ty, Type::Bool | Type::Dyn);
            return (!fits).then(|| format!("must evaluate to bool or the unknown type, not {ty}"));
        }
        Wanted::Bool => (*ty == Type::Bool, "bool"),
        Wanted::Text => (*ty == Type::String, "string"),
        Wanted::MaybeText => (matches!(ty, Type::String | Type::Null), "one of [string null_type]"),
        Wanted::Object => (ty.to_string() == "Object", "Object"),
        Wanted::JsonPatches => (ty.to_string() == "list(JSONPatch)", "list(JSONPatch)"),
    };
    (!fits).then(|| format!("must evaluate to {name} but got {ty}"))
}
