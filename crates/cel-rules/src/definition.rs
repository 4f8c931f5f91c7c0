//! The rules in the schema of a CustomResourceDefinition, checked when the definition is written: they compile, come to the
//! right types and cannot cost too much.

use crate::declare::{MAX_REQUEST_BYTES, declare, escape};
use crate::environment::Environment;
use crate::estimate::estimate;
use crate::program::Program;
use crate::rules::environment;
use crate::types::{Decl, Type};
use object::{FieldError, Path, Value};
use std::sync::Arc;

/// One rule costs at most this, on the largest objects.
const RULE_LIMIT: u64 = 10_000_000;
/// All rules of a schema together.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// So many of the rules that cost most are named.
const MOST_EXPENSIVE: usize = 4;
const MAX_DEPTH: usize = 128;

/// Checks the rules of an `openAPIV3Schema` at `path` that is sound otherwise.
pub fn check_rules(schema: &Value, path: &Path) -> Vec<FieldError> {
    let mut check = Check::default();
    let decl = declare(schema, true, "selfType");
    check.place(schema, path, decl, Around { cardinality: Some(1), uncorrelated: None, depth: 0 });
    if check.total > SCHEMA_LIMIT {
        check.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        for (_, path) in check.expensive.iter().take(MOST_EXPENSIVE) {
            let detail =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            check.errors.push(FieldError::forbidden(path, detail));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        check.errors.push(FieldError::forbidden(path, &too_costly(what, check.total, SCHEMA_LIMIT)));
    }
    check.errors
}

#[derive(Default)]
struct Check {
    errors: Vec<FieldError>,
    total: u64,
    expensive: Vec<(u64, Path)>,
}

/// What is around a place.
#[derive(Clone)]
struct Around {
    /// How often the place occurs in an object at most, if limits say so.
    cardinality: Option<u64>,
    /// The place above from which on old and new values cannot be told to be the same.
    uncorrelated: Option<Path>,
    depth: usize,
}

impl Check {
    fn place(&mut self, schema: &Value, path: &Path, decl: Option<Arc<Decl>>, around: Around) {
        if around.depth > MAX_DEPTH {
            return;
        }
        let many = match schema["type"].as_str() {
            Some("object") if schema["additionalProperties"].is_null() => Some(1),
            Some("object") => limit(schema, "maxProperties"),
            Some("array") => limit(schema, "maxItems"),
            _ => Some(1),
        };
        let cardinality = around.cardinality.zip(many).map(|(a, b)| a.saturating_mul(b));
        let inner = Around { cardinality, depth: around.depth + 1, ..around.clone() };
        let element = decl.as_ref().and_then(|d| d.element().cloned());
        if schema["additionalProperties"].is_object() {
            let at = path.field("additionalProperties");
            self.place(&schema["additionalProperties"], &at, element.clone(), inner.clone());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let own = escape(name).and_then(|n| Some(decl.as_ref()?.field(&n)?.decl.clone()));
            self.place(property, &path.field("properties").key(name), own, inner.clone());
        }
        if schema["items"].is_object() {
            let correlated = schema["x-kubernetes-list-type"] == "map";
            let uncorrelated = inner.uncorrelated.clone().or_else(|| (!correlated).then(|| path.clone()));
            self.place(&schema["items"], &path.field("items"), element, Around { uncorrelated, ..inner });
        }
        for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
            let at = path.field("x-kubernetes-validations").index(index);
            match &decl {
                Some(decl) => self.rule(rule, &at, decl, &around),
                None => {
                    let detail = "failed to retrieve type information for x-kubernetes-validations";
                    let at = path.field("x-kubernetes-validations");
                    self.errors.push(FieldError::internal(&at, &format!("internal error: {detail}")));
                }
            }
        }
    }

    fn rule(&mut self, rule: &Value, path: &Path, decl: &Arc<Decl>, around: &Around) {
        let at = path.field("rule");
        let text = rule["rule"].as_str().unwrap_or("");
        if text.trim().is_empty() {
            return;
        }
        let environment = environment(decl, rule["optionalOldSelf"] == true);
        let compiled = match Program::compile(text, &environment) {
            Err(error) => Err(error.to_string()),
            Ok(program) if *program.result_type() != Type::Bool => {
                Err("cel expression must evaluate to a bool".to_owned())
            }
            Ok(program) => Ok(program),
        };
        let program = match compiled {
            Ok(program) => program,
            Err(detail) => return self.errors.push(FieldError::invalid_shown(&at, &shown(rule), &detail)),
        };
        let cardinality = around.cardinality.unwrap_or(MAX_REQUEST_BYTES / (decl.min_size + 1));
        let cost = estimate(&program.checked, decl).saturating_mul(cardinality);
        self.observe(&at, "estimated rule cost", cost);
        self.message(rule, path, decl, &environment);
        if program.uses("oldSelf") {
            if let Some(place) = &around.uncorrelated {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {place}"
                );
                self.errors.push(FieldError::invalid(&at, &text.into(), &detail));
            }
        } else if let Some(optional) = rule["optionalOldSelf"].as_bool() {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.push(FieldError::invalid(&path.field("optionalOldSelf"), &optional.into(), detail));
        }
    }

    fn message(&mut self, rule: &Value, path: &Path, decl: &Arc<Decl>, environment: &Environment) {
        let Some(text) = rule["messageExpression"].as_str().filter(|m| !m.is_empty()) else { return };
        let at = path.field("messageExpression");
        let detail = match Program::compile(text, environment) {
            Err(error) => {
                let phase = if error.is_unrunnable { "instantiation" } else { "compilation" };
                format!("messageExpression {phase} failed: {}", error.text)
            }
            Ok(program) if *program.result_type() != Type::String => {
                "messageExpression must evaluate to a string".to_owned()
            }
            Ok(program) => {
                let cost = estimate(&program.checked, decl);
                return self.observe(&at, "estimated messageExpression cost", cost);
            }
        };
        self.errors.push(FieldError::invalid_shown(&at, &shown(rule), &detail));
    }

    fn observe(&mut self, path: &Path, what: &str, cost: u64) {
        if cost > RULE_LIMIT {
            self.errors.push(FieldError::forbidden(path, &too_costly(what, cost, RULE_LIMIT)));
        }
        self.total = self.total.saturating_add(cost);
        // What costs less than a hundredth of all is not named.
        if cost >= SCHEMA_LIMIT / 100 {
            self.expensive.push((cost, path.clone()));
        }
    }
}

fn limit(schema: &Value, name: &str) -> Option<u64> {
    schema[name].as_i64().map(|n| n.max(0) as u64)
}

fn too_costly(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// The rule as Go prints it.
fn shown(rule: &Value) -> String {
    let text = |name: &str| go_json(&Value::from(rule[name].as_str().unwrap_or("")));
    let reason = rule["reason"].as_str().map_or("null".to_owned(), |r| go_json(&r.into()));
    let optional = rule["optionalOldSelf"].as_bool().map_or("null".to_owned(), |b| b.to_string());
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{reason},\"FieldPath\":{},\"OptionalOldSelf\":{optional}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        text("fieldPath"),
    )
}

/// Go escapes what HTML could take for markup.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}
