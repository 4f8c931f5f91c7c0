//! The string formats that Kubernetes checks in custom resources.

use super::constraints::TypeSet;
use base64::Engine;
use object::{Value, names, time};
use std::{collections::BTreeSet, net::IpAddr};

/// Checked, or known to need no check.
const KNOWN: [&str; 25] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
];

fn normalized(format: &str) -> String {
    format.replace('-', "")
}

/// The format, if it means anything for a place of these types.
pub(super) fn known(format: &str, types: TypeSet) -> Option<&str> {
    let known = match types.0 {
        0 | TypeSet::STRING => {
            let format = normalized(format);
            KNOWN.contains(&format.as_str()) || format == "k8slongname"
        }
        // int-or-string lists two types; upstream looks at formats of none or one.
        types if types == TypeSet::INTEGER | TypeSet::STRING => {
            let format = normalized(format);
            KNOWN.contains(&format.as_str()) || format == "k8slongname"
        }
        TypeSet::INTEGER => ["int32", "int64"].contains(&format),
        TypeSet::NUMBER => ["float", "double"].contains(&format),
        _ => false,
    };
    (known && !format.is_empty()).then_some(format)
}

/// The formats in an `openAPIV3Schema` that mean nothing where they stand, sorted; writing the definition warns of them.
pub fn unrecognized_formats(schema: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    collect_unrecognized(schema, &mut found);
    found.into_iter().collect()
}

fn collect_unrecognized(schema: &Value, found: &mut BTreeSet<String>) {
    if !schema.is_object() {
        return;
    }
    let text = |name: &str| schema[name].as_str().unwrap_or("");
    if !text("format").is_empty() && known(text("format"), TypeSet::named(text("type"))).is_none() {
        found.insert(text("format").to_owned());
    }
    for name in ["items", "additionalProperties", "not"] {
        collect_unrecognized(&schema[name], found);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        schema[name].as_array().into_iter().flatten().for_each(|inner| collect_unrecognized(inner, found));
    }
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(_, inner)| collect_unrecognized(inner, found));
}

/// Whether `text` is of a (known) format.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match normalized(format).as_str() {
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "uri" => is_request_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => sloppy_ip(text).is_some() && text.contains('.'),
        "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => matches_shape(text, "ddd?dd?dddd"),
        "hexcolor" => is_hex_color(text),
        "rgbcolor" => is_rgb_color(text),
        "byte" => !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "date" => is_date(text),
        "duration" => is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => names::dns1123_label(text).is_empty(),
        "k8slongname" => is_long_name(text),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_long_name(text: &str) -> bool {
    let label = |part: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| edge(Some(b)) || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// What Go's `url.ParseRequestURI` takes: an absolute URI or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) || !percent_signs_are_escapes(text) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let scheme_end = text.find(':').filter(|at| {
        let scheme = &text[..*at];
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    match scheme_end {
        Some(at) => match text[at + 1..].strip_prefix("//") {
            Some(rest) => is_authority(rest.split(['/', '?']).next().unwrap_or("")),
            // An opaque part is no request URI, a rooted path is.
            None => text[at + 1..].starts_with('/') || !text[at + 1..].is_empty(),
        },
        None => text.starts_with('/'),
    }
}

fn percent_signs_are_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.is_char_boundary(2) && is_hex(&rest[..2]))
}

fn is_authority(authority: &str) -> bool {
    let host = authority.rsplit('@').next().unwrap_or("");
    if host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return false;
    }
    let port = match host.rfind(']') {
        Some(end) => host[end + 1..].strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    };
    port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// What Go's `mail.ParseAddress` takes, display name and all.
fn is_email(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text.trim(),
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii())
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.len() > 2 && domain.starts_with('[') && domain.ends_with(']');
    (quoted || local.split('.').all(atom)) && (literal || domain.split('.').all(atom))
}

fn is_hostname(text: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control());
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.starts_with(letter)
            && part.ends_with(letter)
            && part.chars().all(|c| letter(c) || c == '-')
    };
    let mut labels = text.split('.').rev();
    let last = labels.next().unwrap_or("");
    let is_alone = !text.contains('.');
    let top = |part: &str| (2..=63).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic);
    text.len() <= 255
        && labels.all(label)
        && if is_alone { label(last) && !text.contains("--") } else { top(last) }
}

/// Leading zeros are taken, as Go did before 1.17.
fn sloppy_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let parts: Vec<_> = text.split('.').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|n| n < 256)
    };
    if parts.len() != 4 || !parts.iter().all(plain) {
        return None;
    }
    let numbers: Vec<u8> = parts.iter().filter_map(|p| p.parse::<u32>().ok()?.try_into().ok()).collect();
    Some(IpAddr::from([numbers[0], numbers[1], numbers[2], numbers[3]]))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Some(address) = sloppy_ip(address) else { return false };
    let max = if address.is_ipv4() { 32 } else { 128 };
    !bits.is_empty()
        && bits.bytes().all(|b| b.is_ascii_digit())
        && bits.parse::<u32>().is_ok_and(|n| n <= max)
}

/// 6, 8 or 20 bytes with colons or dashes between, or in groups of two bytes with dots.
fn is_mac(text: &str) -> bool {
    for (separator, digits) in [(':', 2), ('-', 2), ('.', 4)] {
        let parts: Vec<_> = text.split(separator).collect();
        if parts.len() > 1 {
            let bytes = parts.len() * digits / 2;
            return [6, 8, 20].contains(&bytes) && parts.iter().all(|p| p.len() == digits && is_hex(p));
        }
    }
    false
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits = match text.len() {
        32 => text.to_owned(),
        33..=36 => {
            let plain: String = text.chars().filter(|c| *c != '-').collect();
            let places = [8, 12, 16, 20];
            let mut seen = 0;
            for c in text.chars() {
                if c == '-' && !places.contains(&seen) {
                    return false;
                }
                seen += usize::from(c != '-');
            }
            if text.contains("--") {
                return false;
            }
            plain
        }
        _ => return false,
    };
    let variant = |c: char| matches!(version, Some('4' | '5')).then(|| "89abAB".contains(c)).unwrap_or(true);
    digits.len() == 32
        && is_hex(&digits)
        && version.is_none_or(|v| digits.chars().nth(12) == Some(v))
        && digits.chars().nth(16).is_some_and(variant)
}

fn digits_of(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| c.to_digit(10).unwrap_or(if c == 'X' { 10 } else { 99 }))
        .collect()
}

fn isbn10(text: &str) -> bool {
    let digits = digits_of(text);
    digits.len() == 10
        && digits.iter().enumerate().all(|(at, d)| *d < 10 || (*d == 10 && at == 9))
        && digits.iter().zip(1..).map(|(d, weight)| d * weight).sum::<u32>() % 11 == 0
}

fn isbn13(text: &str) -> bool {
    let digits = digits_of(text);
    digits.len() == 13
        && digits.iter().all(|d| *d < 10)
        && digits.iter().enumerate().map(|(at, d)| d * (1 + 2 * (at as u32 % 2))).sum::<u32>() % 10 == 0
}

fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, d)| if at % 2 == 1 { doubled(*d) } else { *d }).sum();
    (13..=16).contains(&digits.len()) && sum.is_multiple_of(10)
}

/// `d` is a digit, `?` an optional dash or space.
fn matches_shape(text: &str, shape: &str) -> bool {
    let mut rest = text;
    for c in shape.chars() {
        rest = match c {
            '?' => rest.strip_prefix(['-', ' ']).unwrap_or(rest),
            _ => match rest.strip_prefix(|c: char| c.is_ascii_digit()) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
    rest.is_empty()
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    [3, 6].contains(&digits.len()) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|t| t.strip_suffix(')')) else { return false };
    let parts: Vec<_> = inner.split(',').map(str::trim).collect();
    parts.len() == 3
        && parts.iter().all(|p| !p.is_empty() && p.len() <= 3 && p.parse::<u32>().is_ok_and(|n| n < 256))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && time::parse(&format!("{text}T00:00:00Z")).is_ok()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((date, clock)) = lower.split_once('t') else { return false };
    let two = |at: usize, max: u32| {
        clock.get(at..at + 2).and_then(|t| t.parse::<u32>().ok()).is_some_and(|n| n <= max)
    };
    if !is_date(date) || !two(0, 23) || !two(3, 59) || !two(6, 59) {
        return false;
    }
    let bytes = clock.as_bytes();
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return false;
    }
    let Some(rest) = clock.get(8..) else { return false };
    let zone_at = rest.rfind(['z', '+', '-']).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction_ok = fraction.is_empty()
        || (fraction.chars().count() > 1 && fraction.chars().skip(1).all(|c| c.is_ascii_digit()));
    fraction_ok
        && (zone == "z"
            || (zone.len() == 6
                && matches_shape(&zone[1..].replace(':', "-"), "dd?dd")
                && &zone[3..4] == ":"))
}

/// A Go duration, or amounts with the units of Scala (`2 days`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&[&str]; 8] = [
        &["ns", "nano"],
        &["us", "µs", "micro"],
        &["ms", "milli"],
        &["s", "sec"],
        &["m", "min"],
        &["h", "hr", "hour"],
        &["d", "day"],
        &["w", "wk", "week"],
    ];
    if time::duration::parse(text).is_ok() {
        return true;
    }
    let mut found = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let after = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(after.len());
        let unit = after[..end].to_lowercase();
        let known = |names: &&[&str]| {
            names.contains(&unit.as_str()) || names.last().is_some_and(|last| unit.starts_with(last))
        };
        found |= !unit.is_empty() && UNITS.iter().any(known);
        rest = &after[end..];
    }
    found
}
