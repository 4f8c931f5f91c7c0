//! CEL in objects of built-in kinds: it must compile, and to what is asked of it. Nothing is evaluated here.

use cel_rules::{Decl, Environment, Program, Type};

/// What an expression must come to.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// Of a condition.
    Bool,
    /// Of a message.
    Text,
    /// Of an audit annotation: text, or nothing.
    MaybeText,
    /// Of an apply configuration.
    Object,
    /// Of a JSON patch.
    JsonPatches,
    /// Of a device selector.
    Selected,
}

/// What is wrong with an expression, in the words of an invalid value.
pub fn fault(text: &str, environment: &Environment, wanted: Wanted) -> Option<String> {
    match Program::compile(text, environment) {
        Err(error) => Some(error.to_string()),
        Ok(program) => mistyped(program.result_type(), wanted),
    }
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

/// What selectors of devices know.
pub fn device_environment() -> Environment {
    Environment::new().with("device", Decl::any())
}
