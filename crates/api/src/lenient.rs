//! Text that is not quite what it should be, read as Go reads it: bytes that are no UTF-8, halves of surrogate pairs, and
//! keys that a YAML document repeats. What is wrong with YAML is told in go-yaml's words, without the document.

use object::Value;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Spanned};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A JSON text whose strings any reader takes: what is not Unicode becomes U+FFFD.
pub(crate) fn json_text(text: &[u8]) -> Cow<'_, [u8]> {
    let utf8 = String::from_utf8_lossy(text);
    if !utf8.contains("\\ud") && !utf8.contains("\\uD") {
        return match utf8 {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(mended) => mended.into_bytes().into(),
        };
    }
    let mut bytes = utf8.into_owned().into_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match (unit(&bytes, at), unit(&bytes, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                bytes[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at += 2,
        }
    }
    bytes.into()
}

/// The UTF-16 unit that `\uXXXX` at this place stands for.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A YAML document, and what is to be said of each repeated key: the last value counts.
///
/// # Errors
/// What go-yaml says about it.
pub(crate) fn yaml(text: &[u8]) -> Result<(Value, Vec<String>), String> {
    let text = std::str::from_utf8(text).map_err(|_| "invalid leading UTF-8 octet".to_owned())?;
    let error = match serde_saphyr::from_str(text) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(error) => error,
    };
    let Error::DuplicateMappingKey { key, location } = error.without_snippet() else {
        return Err(complaint(text, &error));
    };
    let first = repeated(location.line(), key.as_deref().unwrap_or(""));
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let value =
        serde_saphyr::from_str_with_options(text, options.clone()).map_err(|e| complaint(text, &e))?;
    let all = serde_saphyr::from_str_with_options(text, options).map(|Repeats(all)| all);
    Ok((value, all.ok().filter(|all| !all.is_empty()).unwrap_or_else(|| vec![first])))
}

fn repeated(line: impl std::fmt::Display, key: &str) -> String {
    format!("line {line}: key {} already set in map", object::error::quote(key))
}

/// What is to be said of the keys that a document repeats, those within a value before its own.
struct Repeats(Vec<String>);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Repeats(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Repeats {
    type Value = Self;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a YAML document")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            self.0.append(&mut map.next_value::<Repeats>()?.0);
            let line = key.referenced.line();
            if seen.contains(&key.value) {
                self.0.push(repeated(line, &key.value));
            }
            seen.insert(key.value);
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self, A::Error> {
        while let Some(mut item) = items.next_element::<Repeats>()? {
            self.0.append(&mut item.0);
        }
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_none<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// What go-yaml says where our parser says something else, and whether its parser says so, which counts lines from 0, or its
/// scanner.
const GO_WORDS: [(&str, &str, bool); 8] = [
    ("mismatched bracket '['", "did not find expected ',' or ']'", true),
    ("mismatched bracket '{'", "did not find expected ',' or '}'", true),
    ("misplaced bracket", "did not find expected node content", true),
    ("did not find expected '-' indicator", "did not find expected '-' indicator", true),
    ("did not find expected key", "did not find expected key", true),
    ("invalid trailing content after", "did not find expected key", true),
    ("tabs disallowed within this context", "found character that cannot start any token", false),
    ("unexpected character: ", "found character that cannot start any token", false),
];

fn complaint(text: &str, error: &Error) -> String {
    let told = error.to_string();
    let line = told.lines().next().unwrap_or("");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    if line.contains("recursion limit") || line.contains("budget breached: Depth") {
        return "exceeded max depth of 10000".into();
    }
    if line.contains("budget breached") {
        return "document contains excessive aliasing".into();
    }
    let placed: Option<(usize, &str)> = line.strip_prefix("line ").and_then(|rest| {
        let (number, rest) = rest.split_once(' ')?;
        Some((number.parse().ok()?, rest.split_once(": ")?.1))
    });
    let Some((number, what)) = placed else { return line.to_owned() };
    if what.starts_with("unclosed bracket") {
        return at_line(text.lines().count(), unclosed(text.trim_end()));
    }
    if what.starts_with("unclosed quote") {
        let breaks = text.matches('\n').count();
        return at_line(if breaks > 0 { breaks + 1 } else { 0 }, "found unexpected end of stream");
    }
    match GO_WORDS.iter().find(|(ours, ..)| what.contains(ours)) {
        Some((_, words, true)) => at_line(number.saturating_sub(1), words),
        Some((_, words, false)) => at_line(if number > 1 { number } else { 0 }, words),
        None => at_line(if number > 1 { number } else { 0 }, what),
    }
}

/// go-yaml names no line 0.
fn at_line(number: usize, what: &str) -> String {
    if number == 0 { what.to_owned() } else { format!("line {number}: {what}") }
}

/// The end of a list or map in brackets is missing: something should come yet, or nothing but that end.
fn unclosed(text: &str) -> &'static str {
    match text.rfind('{') > text.rfind('[') {
        _ if text.ends_with(['[', '{', ',', ':']) => "did not find expected node content",
        true => "did not find expected ',' or '}'",
        false => "did not find expected ',' or ']'",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_unicode_is_replaced() {
        for (given, read) in [
            (&br#""a""#[..], "a"),
            (b"\"a\xff\xfeb\"", "a\u{fffd}\u{fffd}b"),
            (br#""\ud83d\ude00""#, "\u{1f600}"),
            (br#""\ud800x""#, "\u{fffd}x"),
            (br#""\udc00\uD800""#, "\u{fffd}\u{fffd}"),
            (br#""\\ud800""#, "\\ud800"),
        ] {
            let value: Value = serde_json::from_slice(&json_text(given)).unwrap();
            assert_eq!(value, read, "{}", String::from_utf8_lossy(given));
        }
        for text in [&b"\\"[..], b"\\ud", b"\\uD8", b"\\ud800\\u", b"\xf0"] {
            json_text(text);
        }
    }

    #[test]
    fn complaints_are_one_line() {
        for (text, expected) in [
            ("a: b: c\n", "mapping values are not allowed in this context"),
            ("a: b\nc:\n  d: [\n", "line 3: did not find expected node content"),
            ("a: 'x", "found unexpected end of stream"),
            ("a: \"x\n", "line 2: found unexpected end of stream"),
            ("- a\nb: c", "line 1: did not find expected '-' indicator"),
            ("a:\n\t- b", "line 2: found character that cannot start any token"),
            ("a: [", "line 1: did not find expected node content"),
            ("a:\n  b: {c: d", "line 2: did not find expected ',' or '}'"),
            (&"[".repeat(20_000), "exceeded max depth of 10000"),
        ] {
            assert_eq!(yaml(text.as_bytes()).unwrap_err(), expected);
        }
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in b'b'..=b'i' {
            let (this, last) = (n as char, (n - 1) as char);
            bomb += &format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(","));
        }
        assert_eq!(yaml(bomb.as_bytes()).unwrap_err(), "document contains excessive aliasing");
        let (value, repeated) = yaml(b"a: 1\nb:\n- c: 2\n  c: {d: ~, d: 1.5}\na: 3\n").unwrap();
        let lines = [(4, "d"), (4, "c"), (5, "a")].map(|(line, key)| super::repeated(line, key));
        assert_eq!((&value["a"], repeated.as_slice()), (&3.into(), &lines[..]));
    }
}
