//! Values against their schema, in the words (and the order) of the OpenAPI validator that Kubernetes uses.
//!
//! On an update every place that is wrong but equal to what it was is let pass ("ratcheting"): old and new are followed
//! side by side, through fields, map keys and the items of list maps.

use super::{
    At,
    constraints::{More, TypeSet},
    format, number,
    outcome::{Outcome, Place},
    rules::{correlated, same},
};
use crate::{Schema, Shape};
use object::{FieldError, Value};

/// Checks a custom resource against its schema.
pub fn validate_schema(schema: Schema<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    At::new(schema).map_or_else(Vec::new, |at| place(at, object, old, &Place::root("")).errors)
}

/// Checks the status of a custom resource, as an update of the status subresource does; `schema` is the whole object's.
pub fn validate_status(schema: Schema<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let (Some(at), Some(status)) = (At::new(schema).and_then(|at| at.field("status")), object.get("status"))
    else {
        return Vec::new();
    };
    place(at, status, old.and_then(|o| o.get("status")), &Place::root("status")).errors
}

/// Checks a default that stands at `path` of a definition.
pub(super) fn validate_default(schema: Schema<'_>, value: &Value, path: &object::Path) -> Vec<FieldError> {
    At::new(schema).map_or_else(Vec::new, |at| value_at(at, value, None, &Place::root(path.as_str())).errors)
}

/// A place of its own: what did not change is let pass.
fn place(at: At<'_>, value: &Value, old: Option<&Value>, place: &Place) -> Outcome {
    let outcome = value_at(at, value, old, place);
    if !outcome.is_valid() && old.is_some_and(|old| same(at, value, old)) {
        return Outcome { matches: outcome.matches, ..Outcome::default() };
    }
    outcome
}

fn value_at(at: At<'_>, value: &Value, old: Option<&Value>, place: &Place) -> Outcome {
    let check = at.check();
    let mut outcome = Outcome::default();
    outcome.merge(json_type(at, value, place));
    if value.is_null() {
        outcome.merge(choices(check.more(), value, place));
        return outcome;
    }
    static NO_MORE: std::sync::LazyLock<More> = std::sync::LazyLock::new(More::default);
    let more = check.more().unwrap_or(&NO_MORE);
    outcome.merge(alternatives(at, more, value, old, place));
    match value {
        Value::String(text) => outcome.merge(string(more, text, value, place)),
        Value::Number(n) => outcome.merge(number::check(check, more, n, value, place)),
        Value::Array(list) => outcome.merge(array(at, more, list, old, place)),
        _ => {}
    }
    outcome.merge(choices(Some(more), value, place));
    if let Value::Object(map) = value {
        outcome.merge(object(at, more, map, old, place));
    }
    // One for each kind of check that applied, as upstream counts.
    outcome.matches += 4;
    outcome
}

fn type_of(value: &Value) -> (&'static str, u8) {
    match value {
        Value::Null => ("null", 0),
        Value::Bool(_) => ("boolean", TypeSet::BOOLEAN),
        Value::Number(n) if n.is_f64() => ("number", TypeSet::NUMBER),
        Value::Number(_) => ("integer", TypeSet::INTEGER),
        Value::String(_) => ("string", TypeSet::STRING),
        Value::Array(_) => ("array", TypeSet::ARRAY),
        Value::Object(_) => ("object", TypeSet::OBJECT),
    }
}

fn json_type(at: At<'_>, value: &Value, place: &Place) -> Outcome {
    let check = at.check();
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let (name, bit) = type_of(value);
    let format = check.more().and_then(|m| m.format.as_deref()).unwrap_or("");
    if check.types.is_empty() && format.is_empty() {
        return outcome;
    }
    if value.is_null() {
        if !check.types.is_empty() && !at.schema.node().nullable {
            outcome.add(place.wrong_type("null", &check.types.names()));
        }
        return outcome;
    }
    // Beyond what Go's integers hold, numbers are floats.
    let too_large = matches!(value, Value::Number(n) if n.is_u64() && n.as_i64().is_none());
    let (name, bit) = if too_large { ("number", TypeSet::NUMBER) } else { (name, bit) };
    let whole_float =
        matches!(value, Value::Number(n) if n.is_f64() && number::is_whole(n.as_f64().unwrap_or(0.5)));
    let fits = check.types.has(bit)
        || (whole_float && check.types.has(TypeSet::INTEGER))
        || (bit == TypeSet::INTEGER && check.types.has(TypeSet::NUMBER));
    let textual = matches!(value, Value::String(_) | Value::Array(_));
    let number_format = match value {
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        _ => "",
    };
    let numeric = check.types.has(TypeSet::NUMBER) || check.types.has(TypeSet::INTEGER);
    if !textual && !format.is_empty() && !fits && number_format != format {
        outcome.add(place.wrong_type(number_format, format));
    } else if !fits && (numeric || !textual || format.is_empty()) {
        outcome.add(place.wrong_type(name, &check.types.names()));
    }
    outcome
}

fn choices(more: Option<&More>, value: &Value, place: &Place) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(more) = more.filter(|m| !m.choices.is_empty()) {
        let same = |choice: &Value| {
            choice == value || matches!((choice.as_f64(), value.as_f64()), (Some(a), Some(b)) if a == b)
        };
        if value.is_null() || !more.choices.iter().any(same) {
            outcome.add(place.unsupported(value, &more.choices));
        }
    }
    outcome
}

fn string(more: &More, text: &str, value: &Value, place: &Place) -> Outcome {
    let mut outcome = Outcome::default();
    let length = text.chars().count() as i64;
    if let Some(max) = more.max_length.filter(|max| length > *max) {
        outcome.add(FieldError::too_long(&place.path(), usize::try_from(max).unwrap_or(0)));
    } else if let Some(min) = more.min_length.filter(|min| length < *min) {
        outcome.add(place.invalid(value, &format!("should be at least {min} chars long")));
    } else if let Some(pattern) = &more.pattern {
        match pattern.regex() {
            Some(regex) if regex.is_match(text) => {}
            Some(_) => outcome.add(place.invalid(value, &format!("should match '{}'", pattern.text))),
            None => {
                let demand = format!("should match '{}, but pattern is invalid'", pattern.text);
                outcome.add(place.invalid(value, &demand));
            }
        }
    }
    if let Some(format) = more.format.as_deref().filter(|f| !format::holds(f, text)) {
        outcome.add(place.wrong_type(text, format));
    }
    outcome
}

fn array(at: At<'_>, more: &More, list: &[Value], old: Option<&Value>, place: &Place) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    if let Some(items) = at.items() {
        for (index, value) in list.iter().enumerate() {
            let old = old.and_then(|o| correlated(at, o, value));
            outcome.merge(self::place(items, value, old, &place.index(index)));
        }
    }
    if let Some(min) = more.min_items.filter(|min| (list.len() as i64) < *min) {
        outcome.add(place.invalid(&list.len().into(), &format!("should have at least {min} items")));
    }
    if let Some(max) = more.max_items.filter(|max| list.len() as i64 > *max) {
        outcome.add(place.too_many(list.len(), max));
    }
    if more.unique_items && (1..list.len()).any(|at| list[..at].contains(&list[at])) {
        outcome.add(place.invalid(&"".into(), "shouldn't contain duplicates"));
    }
    outcome
}

fn object(
    at: At<'_>,
    more: &More,
    map: &object::Map<String, Value>,
    old: Option<&Value>,
    place: &Place,
) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(min) = more.min_properties.filter(|min| (map.len() as i64) < *min) {
        outcome.add(place.invalid(&map.len().into(), &format!("should have at least {min} properties")));
    }
    if let Some(max) = more.max_properties.filter(|max| map.len() as i64 > *max) {
        outcome.add(place.too_many(map.len(), max));
    }
    let shape = &at.schema.node().shape;
    for (key, value) in map {
        let Some(inner) = at.field(key) else {
            if at.check().closed {
                let message = format!("{}.{key} in body is a forbidden property", place.name());
                outcome.add(FieldError::invalid(&place.path(), &key.as_str().into(), &message));
            }
            continue;
        };
        let inner_place = if matches!(shape, Shape::Map(_)) { place.key(key) } else { place.field(key) };
        // apiVersion and kind of the object itself do not ratchet: old and new were converted to the same.
        let own = place.is_root() && (key == "apiVersion" || key == "kind");
        let old = old.and_then(|o| o.get(key)).filter(|_| !own);
        outcome.merge(match old {
            None => value_at(inner, value, None, &inner_place),
            old => self::place(inner, value, old, &inner_place),
        });
    }
    for required in more.required.iter().filter(|name| !map.contains_key(&***name)) {
        outcome.add(FieldError::required(&place.key(required).path(), ""));
    }
    outcome
}

fn alternatives(at: At<'_>, more: &More, value: &Value, old: Option<&Value>, place: &Place) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let name = object::error::quote(place.name());
    let check = |id| value_at(at.other(id), value, old, place);
    if !more.any_of.is_empty() {
        let (best, valid) = choose(more.any_of.iter().map(|id| check(*id)), true);
        if valid == 0 {
            outcome.add(place.unplaced(&format!("{name} must validate at least one schema (anyOf)")));
        }
        outcome.merge(best);
    }
    if !more.one_of.is_empty() {
        let (best, valid) = choose(more.one_of.iter().map(|id| check(*id)), false);
        if valid != 1 {
            let found = if valid == 0 {
                "Found none valid".into()
            } else {
                format!("Found {valid} valid alternatives")
            };
            outcome.add(
                place.unplaced(&format!("{name} must validate one and only one schema (oneOf). {found}")),
            );
        }
        outcome.merge(best);
    }
    if !more.all_of.is_empty() {
        let mut valid = 0;
        for id in &more.all_of {
            let found = check(*id);
            valid += usize::from(found.is_valid());
            outcome.merge(found);
        }
        if valid != more.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            outcome.add(place.unplaced(&format!("{name} must validate all the schemas (allOf){none}")));
        }
    }
    if more.not.is_some_and(|not| check(not).is_valid()) {
        outcome.add(place.unplaced(&format!("{name} must not validate the schema (not)")));
    }
    outcome
}

/// The first alternative that is valid, else the one that got furthest; and how many are valid.
fn choose(outcomes: impl Iterator<Item = Outcome>, first_wins: bool) -> (Outcome, usize) {
    let mut best: Option<Outcome> = None;
    let mut valid = 0;
    for outcome in outcomes {
        if outcome.is_valid() {
            valid += 1;
            if valid == 1 {
                best = Some(outcome);
            }
            if first_wins {
                break;
            }
        } else if valid == 0 && best.as_ref().is_none_or(|b| outcome.matches > b.matches) {
            best = Some(outcome);
        }
    }
    (best.unwrap_or_default(), valid)
}
