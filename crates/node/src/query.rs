//! The query string of a request: decoded pairs, in order.

use object::{ApiError, Result};
use std::num::ParseIntError;

/// Decoded query parameters.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`; percent escapes and `+` as in forms. Go leaves out pairs that hold `;` or a broken escape.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.contains(';') && is_escaped(pair.as_bytes()));
        Self(pairs.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()).into_owned()).collect())
    }

    /// The first value of `name`; empty if absent.
    pub fn get<'a>(&'a self, name: &str) -> &'a str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str())
    }

    /// Whether `name` is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// A boolean as Kubernetes reads it: absent, `0` and `false` are false, anything else is true.
    pub fn flag(&self, name: &str) -> bool {
        match self.all(name).next() {
            None => false,
            Some(value) => !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"),
        }
    }

    /// A whole number; absent is `None`.
    ///
    /// # Errors
    /// `BadRequest` in Go's words when it is not one.
    pub fn int64(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            "" if !self.has(name) => Ok(None),
            text => text.parse().map(Some).map_err(|error: ParseIntError| {
                use std::num::IntErrorKind::{NegOverflow, PosOverflow};
                let range = matches!(error.kind(), PosOverflow | NegOverflow);
                let why = if range { "value out of range" } else { "invalid syntax" };
                ApiError::BadRequest(format!(
                    "strconv.ParseInt: parsing {}: {why}",
                    object::error::quote(text)
                ))
            }),
        }
    }
}

/// Every `%` is followed by two hexadecimal digits.
fn is_escaped(text: &[u8]) -> bool {
    let escapes = text.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    escapes
        .map(|(at, _)| text.get(at + 1..at + 3))
        .all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_pairs_are_left_out() {
        let query = Query::parse("a=1&b=%zz&c=%4&d=x;e=y&f=%41+b&&a=2");
        assert_eq!((query.get("a"), query.get("f"), query.all("a").count()), ("1", "A b", 2));
        assert!(!query.has("b") && !query.has("c") && !query.has("d") && !query.has("e"));
    }
}
