//! One cached object: encoded, with the metadata that is looked at all the time read out.

use super::Hot;
use super::part::part_of;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

/// What a parsed object counts for at least among those kept at hand, in bytes of encoding.
const LEAST: usize = 256;

/// An owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: Box<str>,
    /// Its kind.
    pub kind: Box<str>,
    /// Its name, in the same namespace or cluster-scoped.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
    /// Whether it is the controller.
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

/// What all entries of a store share.
pub(crate) struct Shape {
    pub(crate) api_version: String,
    pub(crate) kind: std::sync::OnceLock<String>,
    pub(crate) hot: Arc<Hot>,
}

/// A cached object. `managedFields` are not kept: a write without them leaves them as they are.
pub struct Entry {
    /// `metadata.namespace`, empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion` as a number, 0 if it is none.
    pub version: u64,
    /// `metadata.labels`, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// `metadata.ownerReferences`.
    pub owners: Box<[Owner]>,
    /// `metadata.finalizers`.
    pub finalizers: Box<[Box<str>]>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Encoded; empty where only metadata is kept.
    raw: Box<[u8]>,
    parsed: Mutex<Weak<Value>>,
    shape: Arc<Shape>,
}

#[derive(Deserialize)]
struct Lean<'a> {
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: LeanMetadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeanMetadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    owner_references: Option<Vec<LeanOwner<'a>>>,
    finalizers: Option<Vec<Cow<'a, str>>>,
    deletion_timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeanOwner<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    controller: Option<bool>,
    block_owner_deletion: Option<bool>,
}

impl Entry {
    pub(crate) fn read(bytes: &[u8], shape: &Arc<Shape>, full: bool) -> serde_json::Result<Self> {
        let lean: Lean<'_> = serde_json::from_slice(bytes)?;
        if let Some(kind) = lean.kind {
            shape.kind.get_or_init(|| kind.into_owned());
        }
        let of = lean.metadata;
        let boxed = |text: Cow<'_, str>| -> Box<str> { text.as_ref().into() };
        let raw = match of.managed_fields {
            _ if !full => Box::default(),
            Some(fields) => without_field(bytes, fields.get().as_bytes(), b"\"managedFields\""),
            None => bytes.into(),
        };
        Ok(Self {
            namespace: boxed(of.namespace),
            name: boxed(of.name),
            uid: boxed(of.uid),
            version: of.resource_version.parse().unwrap_or(0),
            labels: of.labels.into_iter().flatten().map(|(k, v)| (boxed(k), boxed(v))).collect(),
            owners: of.owner_references.into_iter().flatten().map(LeanOwner::owned).collect(),
            finalizers: of.finalizers.into_iter().flatten().map(boxed).collect(),
            deleting: of.deletion_timestamp.is_some(),
            raw,
            parsed: Mutex::default(),
            shape: shape.clone(),
        })
    }

    /// The object, parsed, with `apiVersion` and `kind`. Of a metadata-only entry: what there is. `None` if the encoding is
    /// no JSON object.
    pub fn value(&self) -> Option<Arc<Value>> {
        let mut parsed = self.parsed.lock();
        if let Some(value) = parsed.upgrade() {
            return Some(value);
        }
        let value = Arc::new(self.parse()?);
        *parsed = Arc::downgrade(&value);
        self.shape.hot.keep(&value, self.raw.len().max(LEAST));
        Some(value)
    }

    /// What is at a path of field names, such as `spec`, `nodeName`: for who looks at each change, and seldom needs the rest of
    /// the object. Of objects that are kept in full.
    pub fn at(&self, path: &[&str]) -> Option<Value> {
        let parsed = self.parsed.lock().upgrade();
        match parsed {
            Some(value) => path.iter().try_fold(&*value, |value, field| value.get(field)).cloned(),
            None => part_of(&self.raw, path),
        }
    }

    fn parse(&self) -> Option<Value> {
        let mut value = if self.raw.is_empty() {
            self.metadata_only()
        } else {
            serde_json::from_slice(&self.raw).ok()?
        };
        let map = value.as_object_mut()?;
        if !map.contains_key("kind") {
            map.insert("kind".into(), self.kind().into());
            map.insert("apiVersion".into(), self.shape.api_version.clone().into());
        }
        Some(value)
    }

    fn metadata_only(&self) -> Value {
        json!({"metadata": {"namespace": self.namespace, "name": self.name, "uid": self.uid,
            "resourceVersion": self.version.to_string()}})
    }

    /// The object's kind, empty as long as no answer has named it.
    pub fn kind(&self) -> &str {
        self.shape.kind.get().map_or("", String::as_str)
    }

    /// The object's `apiVersion`.
    pub fn api_version(&self) -> &str {
        &self.shape.api_version
    }

    /// One label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }

    /// The owner that controls the object.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    pub(super) fn is_full(&self) -> bool {
        !self.raw.is_empty()
    }

    pub(super) fn is_as_full_as(&self, other: &Self) -> bool {
        !self.raw.is_empty() || other.raw.is_empty()
    }

    /// Whether the object has this finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|f| &**f == finalizer)
    }
}

impl LeanOwner<'_> {
    fn owned(self) -> Owner {
        Owner {
            api_version: self.api_version.as_ref().into(),
            kind: self.kind.as_ref().into(),
            name: self.name.as_ref().into(),
            uid: self.uid.as_ref().into(),
            controller: self.controller.unwrap_or(false),
            block_owner_deletion: self.block_owner_deletion.unwrap_or(false),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.namespace, self.name, self.version)
    }
}

/// Copies an encoded object without one of its fields: `value` is the field's value, a part of `bytes`; `key` is quoted.
fn without_field(bytes: &[u8], value: &[u8], key: &[u8]) -> Box<[u8]> {
    let start = value.as_ptr() as usize - bytes.as_ptr() as usize;
    let mut after = start + value.len();
    let mut before = bytes[..start].trim_ascii_end();
    before = before.strip_suffix(b":").unwrap_or(before).trim_ascii_end();
    let Some(head) = before.strip_suffix(key) else { return bytes.into() };
    let mut head = head.trim_ascii_end();
    if let Some(shorter) = head.strip_suffix(b",") {
        head = shorter;
    } else {
        let rest = bytes[after..].trim_ascii_start();
        after = bytes.len() - rest.strip_prefix(b",").unwrap_or(rest).len();
    }
    [head, &bytes[after..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        #[derive(Deserialize)]
        struct Of<'a> {
            #[serde(borrow, rename = "managedFields")]
            fields: &'a RawValue,
        }
        let of: Of<'_> = serde_json::from_str(text).unwrap();
        String::from_utf8(
            without_field(text.as_bytes(), of.fields.get().as_bytes(), b"\"managedFields\"").into(),
        )
        .unwrap()
    }

    #[test]
    fn a_field_goes_with_its_comma() {
        assert_eq!(stripped(r#"{"a":1,"managedFields":[{"b":2}],"c":3}"#), r#"{"a":1,"c":3}"#);
        assert_eq!(stripped(r#"{"managedFields":[],"c":3}"#), r#"{"c":3}"#);
        assert_eq!(stripped(r#"{"a":1, "managedFields" : []}"#), r#"{"a":1}"#);
        assert_eq!(stripped(r#"{"managedFields":[]}"#), "{}");
    }
}
