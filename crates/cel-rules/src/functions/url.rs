//! URLs: an absolute URI or an absolute path, as Go's `url.ParseRequestURI` takes them.

use super::{Extension, fail};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::{Key, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A parsed URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As written.
    pub text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

pub(super) fn register(library: &mut Library) {
    library.add(&["url(string): kubernetes.URL"], |_, args| {
        let text = args[0].as_str()?;
        match parse(text) {
            Ok(url) => Ok(Value::Extension(Arc::new(Extension::Url(url)))),
            Err(why) => fail(format!("URL parse error during conversion from string: parse {text:?}: {why}")),
        }
    });
    library.add(&["isURL(string): bool"], |_, args| Ok(Value::Bool(parse(args[0].as_str()?).is_ok())));
    library.add(&["kubernetes.URL->getScheme(): string"], |_, a| of(a, |url| url.scheme.clone()));
    library.add(&["kubernetes.URL->getHost(): string"], |_, a| of(a, |url| url.host.clone()));
    library.add(&["kubernetes.URL->getHostname(): string"], |_, a| {
        of(a, |url| split_port(&url.host).0.to_owned())
    });
    library
        .add(&["kubernetes.URL->getPort(): string"], |_, a| of(a, |url| split_port(&url.host).1.to_owned()));
    library.add(&["kubernetes.URL->getEscapedPath(): string"], |_, a| of(a, |url| url.path.clone()));
    library.add(&["kubernetes.URL->getQuery(): map<string, list<string>>"], query);
}

fn url<'v>(args: &'v [Value<'_>]) -> Result<&'v Url> {
    match &args[0] {
        Value::Extension(extension) => match &**extension {
            Extension::Url(url) => Ok(url),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn of<'a>(args: &[Value<'a>], part: fn(&Url) -> String) -> Result<Value<'a>> {
    Ok(Value::text(part(url(args)?)))
}

fn split_port(host: &str) -> (&str, &str) {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, after.strip_prefix(':').unwrap_or(""));
    }
    host.rsplit_once(':').unwrap_or((host, ""))
}

/// Why a text is no URL.
pub(super) fn refusal(text: &str) -> Option<String> {
    parse(text).err()
}

fn parse(text: &str) -> std::result::Result<Url, String> {
    if text.is_empty() {
        return Err("empty url".into());
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".into());
    }
    if text.starts_with(':') {
        return Err("missing protocol scheme".into());
    }
    let (scheme, rest) = match scheme(text) {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if text.starts_with('/') => (String::new(), text),
        None => return Err("invalid URI for request".into()),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !scheme.is_empty() && !rest.starts_with('/') {
        // Opaque, such as mailto:a@b: it has nothing but a scheme.
        return Ok(Url {
            text: text.to_owned(),
            scheme,
            host: String::new(),
            path: String::new(),
            query: query.to_owned(),
        });
    }
    let (host, path) = match rest.strip_prefix("//") {
        Some(after) if !(scheme.is_empty() && rest.starts_with("///")) => {
            let end = after.find('/').unwrap_or(after.len());
            (&after[..end], &after[end..])
        }
        _ => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Some(c) = host.chars().find(|c| [' ', '<', '>', '"'].contains(c)) {
        return Err(format!("invalid character {:?} in host name", c.to_string()));
    }
    let (_, port) = split_port(host);
    if !port.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("invalid port {:?} after host", format!(":{port}")));
    }
    if let Some(wrong) = bad_escape(path) {
        return Err(format!("invalid URL escape {wrong:?}"));
    }
    let escaped: String = path
        .chars()
        .map(|c| {
            if c == ' ' || c == '"' || c == '<' || c == '>' { format!("%{:02X}", c as u32) } else { c.into() }
        })
        .collect();
    Ok(Url { text: text.to_owned(), scheme, host: host.to_owned(), path: escaped, query: query.to_owned() })
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let first = scheme.chars().next()?;
    let rest_ok = scheme.chars().all(|c| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c));
    (first.is_ascii_alphabetic() && rest_ok).then_some((scheme, rest))
}

/// The first `%` that is not followed by two digits, with what follows.
fn bad_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let wrong = |at: &usize| bytes[*at] == b'%' && !(hex(at + 1) && hex(at + 2));
    let at = (0..bytes.len()).find(wrong)?;
    Some(String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]).into_owned())
}

fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let coded = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], coded) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn query<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let mut values: BTreeMap<Key, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url(args)?.query.split('&').filter(|p| !p.is_empty() && !p.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        values.entry(Key::String(unescape(name).into())).or_default().push(Value::text(unescape(value)));
    }
    Ok(Value::map(values.into_iter().map(|(name, list)| (name, Value::list(list))).collect()))
}
