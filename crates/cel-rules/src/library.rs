//! The functions that expressions can call: their overloads, written as signatures, and what they do.
//!
//! `string->split(string): list<string>` is a method of strings, `ip(string): net.IP` a function.

use crate::authorizer::Authorizer;
use crate::budget::Budget;
use crate::error::Result;
use crate::functions;
use crate::types::Type;
use crate::value::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// What a function can reach besides its arguments.
pub struct Context<'c> {
    /// Regular expressions of the program, compiled.
    pub patterns: &'c HashMap<Box<str>, regex::Regex>,
    /// Pays for the call.
    pub budget: &'c mut Budget,
    /// Answers `authorizer` questions; none outside of policies.
    pub authorizer: Option<&'c dyn Authorizer>,
}

/// What a function does.
pub type Function = for<'a> fn(&mut Context<'_>, &[Value<'a>]) -> Result<Value<'a>>;

/// One way to call a function.
pub(crate) struct Overload {
    /// The target, if a method, and the arguments.
    pub params: Vec<Type>,
    pub result: Type,
    /// How many type variables it has: `Type::Param(0)` …
    pub variables: u32,
    pub method: bool,
    pub run: Function,
}

/// All functions by name.
pub(crate) struct Library {
    functions: HashMap<&'static str, Vec<Overload>>,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut library = Library { functions: HashMap::new() };
    functions::register(&mut library);
    library
});

impl Library {
    /// Kubernetes' functions.
    pub fn kubernetes() -> &'static Self {
        &LIBRARY
    }

    /// The overloads of a function; empty if there is none of that name.
    pub fn overloads(&self, name: &str) -> &[Overload] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds overloads that run the same function.
    pub fn add(&mut self, signatures: &[&'static str], run: Function) {
        for signature in signatures {
            let (name, overload) = parse(signature, run);
            self.functions.entry(name).or_default().push(overload);
        }
    }
}

fn parse(signature: &'static str, run: Function) -> (&'static str, Overload) {
    let (head, result) = signature.rsplit_once("): ").unwrap_or((signature, "dyn"));
    let (name, args) = head.split_once('(').unwrap_or((head, ""));
    let (target, name) = name.split_once("->").map_or((None, name), |(t, n)| (Some(t), n));
    let mut variables = 0;
    let mut of = |text: &'static str| parse_type(text.trim(), &mut variables);
    let mut params: Vec<Type> = target.map(&mut of).into_iter().collect();
    params.extend(split(args).into_iter().map(&mut of));
    let result = of(result);
    (name, Overload { params, result, variables, method: target.is_some(), run })
}

/// Splits at commas outside of brackets.
fn split(text: &'static str) -> Vec<&'static str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text.trim().is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

fn parse_type(text: &'static str, variables: &mut u32) -> Type {
    if let Some((outer, inner)) = text.split_once('<') {
        let inner = inner.strip_suffix('>').unwrap_or(inner);
        let mut parts: Vec<Type> =
            split(inner).into_iter().map(|p| parse_type(p.trim(), variables)).collect();
        let first = if parts.is_empty() { Type::Dyn } else { parts.remove(0) };
        return match outer {
            "list" => Type::list(first),
            "map" => Type::map(first, parts.pop().unwrap_or(Type::Dyn)),
            "optional" => Type::optional(first),
            _ => Type::Type(Arc::new(first)),
        };
    }
    match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "A" | "B" => {
            let id = u32::from(text == "B");
            *variables = (*variables).max(id + 1);
            Type::Param(id)
        }
        name => Type::Opaque(name),
    }
}
