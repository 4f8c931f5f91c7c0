//! The canonical encoded form of an object, and how it becomes an answer without being parsed.
//!
//! A stored value is `<apiVersion> <kind>\n{"metadata":{…},…}`: the JSON object without `apiVersion`, `kind` and
//! `metadata.resourceVersion`, `metadata` first. The store's revision is the resourceVersion, so it is spliced in when the
//! value is sent ([`object_json`], [`item_json`]). Built-in kinds show no type in list items, custom ones do, as in Kubernetes.

use bytes::Bytes;
use object::{Value, meta};
use std::io::Write;
use store::{Entry, Revision};

const START: &[u8] = b"{\"metadata\":{";

/// Encodes an object for the store. `metadata` must hold at least a name.
pub fn encode(object: &Value) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    let text = |key| object[key].as_str().unwrap_or("");
    // Writing to a Vec and serialising a Value cannot fail.
    let _ = writeln!(out, "{} {}", text("apiVersion"), text("kind"));
    out.extend_from_slice(START);
    let metadata = object["metadata"].as_object();
    let kept = metadata.into_iter().flatten().filter(|(key, _)| *key != "resourceVersion");
    append_fields(&mut out, true, kept);
    out.push(b'}');
    let rest = object.as_object().into_iter().flatten();
    append_fields(
        &mut out,
        false,
        rest.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata")),
    );
    out.push(b'}');
    out.shrink_to_fit();
    out.into()
}

/// Whether `text` is somewhere in a stored value. Letters, digits and what joins labels are stored as they are, so that an
/// object need not be parsed to know that it does not say something.
pub fn mentions(value: &[u8], text: &str) -> bool {
    value.windows(text.len()).any(|part| part == text.as_bytes())
}

fn append_fields<'a>(
    out: &mut Vec<u8>,
    mut first: bool,
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
) {
    for (key, value) in fields {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
        let _ = serde_json::to_writer(&mut *out, value);
    }
}

/// A stored value taken apart.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// The `apiVersion` it was stored in.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
    body: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Splits the header off; `None` when the bytes are not ours.
    pub fn new(value: &'a [u8]) -> Option<Self> {
        let end = value.iter().position(|b| *b == b'\n')?;
        let (api_version, kind) = std::str::from_utf8(&value[..end]).ok()?.split_once(' ')?;
        Some(Self { api_version, kind, body: value[end + 1..].strip_prefix(START)? })
    }

    /// The object with `apiVersion`, `kind` and its resourceVersion.
    pub fn parse(self, revision: Revision) -> Option<Value> {
        let mut text = Vec::with_capacity(START.len() + self.body.len());
        text.extend_from_slice(START);
        text.extend_from_slice(self.body);
        let mut object: Value = serde_json::from_slice(&text).ok()?;
        let map = object.as_object_mut()?;
        map.insert("apiVersion".into(), self.api_version.into());
        map.insert("kind".into(), self.kind.into());
        meta::set(&mut object, "resourceVersion", revision.0.to_string());
        Some(object)
    }

    /// Appends the object as JSON with its type.
    pub fn append_object(self, out: &mut Vec<u8>, revision: Revision) {
        let _ = write!(out, "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", self.kind, self.api_version);
        self.append_rest(out, revision);
    }

    /// Appends the object as JSON without its type.
    pub fn append_untyped(self, out: &mut Vec<u8>, revision: Revision) {
        out.push(b'{');
        self.append_rest(out, revision);
    }

    fn append_rest(self, out: &mut Vec<u8>, revision: Revision) {
        let _ = write!(out, "\"metadata\":{{\"resourceVersion\":\"{}\",", revision.0);
        out.extend_from_slice(self.body);
    }

    /// Length of the JSON body in bytes.
    pub fn len(self) -> usize {
        self.body.len()
    }
}

/// Parses an entry.
pub fn decode(entry: &Entry) -> Option<Value> {
    Stored::new(&entry.value)?.parse(entry.mod_revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn splices_what_it_parses() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "data": {"metadata": {"x": 1}},
            "metadata": {"name": "a", "resourceVersion": "3", "uid": "u"}, "spec": {"a\"b": [1]}});
        let bytes = encode(&object);
        let stored = Stored::new(&bytes).unwrap();
        let mut text = Vec::new();
        stored.append_object(&mut text, Revision(7));
        let sent: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(sent, stored.parse(Revision(7)).unwrap());
        assert_eq!(sent["metadata"]["resourceVersion"], "7");
        assert_eq!(sent["data"], object["data"]);
        assert_eq!(encode(&sent), bytes, "the resourceVersion is not part of the stored form");
    }

    #[test]
    fn refuses_foreign_bytes() {
        assert!(Stored::new(b"").is_none());
        assert!(Stored::new(b"v1 Pod\n{}").is_none());
    }
}
