//! Text that is not quite what it should be, read as Go reads it: bytes that are no UTF-8, halves of surrogate pairs, and
//! keys that a YAML document repeats. What is wrong with YAML is told in go-yaml's words, without the document.

use object::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error};
use std::borrow::Cow;

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

/// A YAML document, and a repeated key: the last value counts.
///
/// # Errors
/// What go-yaml says about it.
pub(crate) fn yaml(text: &[u8]) -> Result<(Value, Option<String>), String> {
    let text = std::str::from_utf8(text).map_err(|_| "invalid leading UTF-8 octet".to_owned())?;
    let error = match serde_saphyr::from_str(text) {
        Ok(value) => return Ok((value, None)),
        Err(error) => error,
    };
    let Error::DuplicateMappingKey { key, location } = error.without_snippet() else {
        return Err(complaint(&error));
    };
    let key = object::error::quote(key.as_deref().unwrap_or(""));
    let repeated = format!("line {}: key {key} already set in map", location.line());
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(value) => Ok((value, Some(repeated))),
        Err(error) => Err(complaint(&error)),
    }
}

fn complaint(error: &Error) -> String {
    let told = error.to_string();
    let line = told.lines().next().unwrap_or("");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    if line.contains("recursion limit") || line.contains("budget breached: Depth") {
        return "exceeded max depth of 10000".into();
    }
    if line.contains("budget breached") {
        return "document contains excessive aliasing".into();
    }
    let placed = line.strip_prefix("line ").and_then(|rest| {
        let (number, rest) = rest.split_once(' ')?;
        Some((number, rest.split_once(": ")?.1))
    });
    match placed {
        // go-yaml counts from 0 where it says so at all.
        Some(("1", what)) => what.to_owned(),
        Some((number, what)) => format!("line {number}: {what}"),
        None => line.to_owned(),
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
            ("a: b\nc:\n  d: [\n", "line 3: unclosed bracket '['"),
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
        let (value, repeated) = yaml(b"a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(
            (&value["a"], repeated.unwrap().as_str()),
            (&3.into(), "line 3: key \"a\" already set in map")
        );
    }
}
