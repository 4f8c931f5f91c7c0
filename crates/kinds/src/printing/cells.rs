//! What cells are made of: ages, lists, selectors.

use jiff::Timestamp;
use object::{LabelSelector, Quantity, Value, meta, time};

/// The cells of a row from whatever turns into JSON.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(object::Value::from($cell)),*] };
}
pub(super) use row;

/// Name and age: what most kinds begin and end with.
pub(super) fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(object), age(object, now)]
}

/// Time since the object was made.
pub(super) fn age(object: &Value, now: Timestamp) -> String {
    since(&object["metadata"]["creationTimestamp"], now)
}

/// Time since `timestamp`; `<unknown>` when there is none.
pub(super) fn since(timestamp: &Value, now: Timestamp) -> String {
    time::age(timestamp.as_str(), now)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The text, or `otherwise` when empty.
pub(super) fn text_or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value.as_str().filter(|t| !t.is_empty()).unwrap_or(otherwise)
}

pub(super) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Entries of a list or map.
pub(super) fn len(value: &Value) -> i64 {
    match value {
        Value::Array(items) => items.len() as i64,
        Value::Object(map) => map.len() as i64,
        _ => 0,
    }
}

/// A number or a text, as text.
pub(super) fn int_or_string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A quantity as Go prints it; `0` when absent or malformed.
pub(super) fn quantity(value: &Value) -> String {
    Quantity::from_json(value).unwrap_or_default().to_string()
}

/// The texts of a list, joined.
pub(super) fn joined(values: &Value, separator: &str) -> String {
    list(values).iter().map(text).collect::<Vec<_>>().join(separator)
}

/// Names and images of the containers of a pod spec.
pub(super) fn containers(pod_spec: &Value) -> [Value; 2] {
    let of = |field: &str| {
        list(&pod_spec["containers"]).iter().map(|c| text(&c[field])).collect::<Vec<_>>().join(",").into()
    };
    [of("name"), of("image")]
}

/// `a=1,b=2`, or `<none>`.
pub(super) fn labels(map: &Value) -> String {
    let pairs: Vec<String> =
        map.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", text(v))).collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

/// A label selector as text; empty for one that is absent.
pub(super) fn selector_text(selector: &Value) -> Result<String, String> {
    if selector.is_null() {
        return Ok(String::new());
    }
    LabelSelector::from_object(selector).map(|s| s.to_string())
}

/// A label selector as tables show it.
pub(super) fn selector(value: &Value) -> String {
    match selector_text(value) {
        Err(_) => "<error>".into(),
        Ok(text) if text.is_empty() => "<none>".into(),
        Ok(text) => text,
    }
}

/// `a,b,c + 2 more...`; `count` things there are, of which `shown` is at most `most`.
pub(super) fn with_more(shown: &[String], separator: &str, count: usize, most: usize) -> String {
    let list = shown.join(separator);
    if count > most { format!("{list} + {} more...", count - most) } else { list }
}

/// `True`, `False` or `<unset>`.
pub(super) fn bool_word(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}
