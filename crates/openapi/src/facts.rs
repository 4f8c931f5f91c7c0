//! The packed documents of the built-in groups. `cargo xtask facts` writes them and says how they are packed.

use flate2::read::DeflateDecoder;
use object::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

static BLOB: &[u8] = include_bytes!("../facts/documents.bin");

/// Where a document is in the blob.
struct Entry {
    at: usize,
    length: usize,
    hash: String,
}

struct Index {
    start: usize,
    v3: BTreeMap<String, Entry>,
    v2: Entry,
    meta: Entry,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let length = BLOB.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let header: Value =
        serde_json::from_slice(BLOB.get(4..4 + length).unwrap_or_default()).unwrap_or_default();
    let entry = |value: &Value| Entry {
        at: value["at"].as_u64().unwrap_or(0) as usize,
        length: value["length"].as_u64().unwrap_or(0) as usize,
        hash: value["hash"].as_str().unwrap_or("").to_owned(),
    };
    Index {
        start: 4 + length,
        v3: header["v3"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, e)| (path.clone(), entry(e)))
            .collect(),
        v2: entry(&header["v2"]),
        meta: entry(&header["meta"]),
    }
});

impl Entry {
    fn text(&self) -> Vec<u8> {
        let at = INDEX.start + self.at;
        let mut out = Vec::new();
        // The blob is part of the program; a test unpacks all of it.
        let _ = DeflateDecoder::new(BLOB.get(at..at + self.length).unwrap_or_default()).read_to_end(&mut out);
        out
    }
}

/// Paths (`apis/apps/v1`) and hashes of the v3 documents, in order.
pub(crate) fn v3() -> impl Iterator<Item = (&'static str, &'static str)> {
    INDEX.v3.iter().map(|(path, entry)| (path.as_str(), entry.hash.as_str()))
}

/// The hash of the v3 document at a path.
pub(crate) fn v3_hash(path: &str) -> Option<&'static str> {
    INDEX.v3.get(path).map(|e| e.hash.as_str())
}

/// The text of the v3 document at a path.
pub(crate) fn v3_text(path: &str) -> Option<Vec<u8>> {
    INDEX.v3.get(path).map(Entry::text)
}

/// The text of the v2 document.
pub(crate) fn v2_text() -> Vec<u8> {
    INDEX.v2.text()
}

/// The v3 schemas that those of custom resources refer to.
pub(crate) fn shared_schemas() -> Map<String, Value> {
    match serde_json::from_slice(&INDEX.meta.text()) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
