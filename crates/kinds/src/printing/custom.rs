//! Custom resources: what their definition's columns select.

use crate::custom::CustomVersion;
use jiff::Timestamp;
use object::{Value, meta, time};

pub(super) fn row(custom: &CustomVersion, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![meta::name(object).into()];
    cells.extend(custom.columns.iter().map(|column| {
        let found = column.path.as_ref().and_then(|path| path.find(object).first().copied());
        found.map_or(Value::Null, |value| cell(&column.column.kind, value, now))
    }));
    cells
}

/// A value as a cell of a column of type `kind`; `null` when it is of another type.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", Value::String(text)) => text.clone().into(),
        ("string", Value::Null) => "<no value>".into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => (number.as_f64().unwrap_or(0.0) as i64).into(),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => match time::age_seconds(text, now) {
            Some(seconds) => time::duration::human(seconds).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::cell;
    use jiff::Timestamp;
    use object::{Value, json};

    #[test]
    fn cells_keep_to_the_type_of_their_column() {
        let now: Timestamp = "2001-01-01T00:01:00Z".parse().expect("a time");
        let of = |kind, value| cell(kind, &value, now);
        assert_eq!(of("string", json!(5)), json!("5"));
        assert_eq!(of("string", json!({"k": "v"})), json!("{\"k\":\"v\"}"));
        assert_eq!(of("integer", json!(1.9)), json!(1));
        assert_eq!(of("integer", json!("x")), Value::Null);
        assert_eq!(of("number", json!(1.5)), json!(1.5));
        assert_eq!(of("boolean", json!("true")), Value::Null);
        assert_eq!(of("date", json!("2001-01-01T00:00:00Z")), json!("60s"));
        assert_eq!(of("date", json!("today")), json!("<invalid>"));
    }
}
