//! Schemas of custom resources, shared by content: virtual clusters that install the same operator hold one copy.
//!
//! The only thing of a process that all its clusters have in common; what no cluster holds any more is freed.

use crate::resource::SchemaRef;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use object::Value;
use schema::NodeId;
use schema::Types;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// An `openAPIV3Schema`: compiled, and packed as it was written, for who asks for OpenAPI documents.
pub struct CustomSchema {
    types: Arc<Types>,
    root: NodeId,
    defaults: bool,
    deflated: Box<[u8]>,
    digest: [u8; 32],
}

/// Schemas in use, and those whose last holder is gone but which were not yet swept out.
#[derive(Default)]
struct Pool {
    schemas: HashMap<[u8; 32], Weak<CustomSchema>>,
    /// Sweep when there are so many.
    sweep_at: usize,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

impl CustomSchema {
    /// The schema, compiled now or already in use somewhere. `null` stands for none: objects of any shape.
    pub fn of(schema: &Value) -> Arc<Self> {
        let text = schema.to_string();
        let digest: [u8; 32] = Sha256::digest(&text).into();
        if let Some(known) = POOL.lock().unwrap_or_else(PoisonError::into_inner).find(&digest) {
            return known;
        }
        // Compiling takes a while and nobody has to wait for it; should two do it at once, both are right.
        let compiled = schema::custom::compile(schema);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail.
        let deflated = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        let made = Arc::new(Self {
            defaults: compiled.types.nodes.iter().any(|node| node.default.is_some()),
            types: compiled.types,
            root: compiled.root,
            deflated: deflated.into(),
            digest,
        });
        POOL.lock().unwrap_or_else(PoisonError::into_inner).keep(&made);
        made
    }

    /// The compiled schema.
    pub fn reference(&self) -> SchemaRef {
        SchemaRef::Custom(Arc::clone(&self.types), self.root)
    }

    /// Some place has a default: objects stored before it had one are to be completed when they are read.
    pub fn has_defaults(&self) -> bool {
        self.defaults
    }

    /// The schema as it was written; `null` where there was none.
    pub fn open_api(&self) -> Value {
        let mut text = Vec::new();
        let read = DeflateDecoder::new(&*self.deflated).read_to_end(&mut text);
        read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Equal for equal schemas.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for CustomSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomSchema({} nodes)", self.types.nodes.len())
    }
}

impl Pool {
    fn find(&self, digest: &[u8; 32]) -> Option<Arc<CustomSchema>> {
        self.schemas.get(digest)?.upgrade()
    }

    fn keep(&mut self, schema: &Arc<CustomSchema>) {
        if self.schemas.len() >= self.sweep_at {
            self.schemas.retain(|_, held| held.strong_count() > 0);
            self.sweep_at = self.schemas.len() * 2 + 64;
        }
        self.schemas.insert(schema.digest, Arc::downgrade(schema));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn equal_schemas_are_one() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let first = CustomSchema::of(&schema);
        assert!(Arc::ptr_eq(&first, &CustomSchema::of(&schema)));
        assert!(!Arc::ptr_eq(&first, &CustomSchema::of(&json!({"type": "object"}))));
        assert_eq!(first.open_api(), schema);
        assert_eq!(CustomSchema::of(&Value::Null).open_api(), Value::Null);
    }

    #[test]
    fn unused_schemas_are_swept_out() {
        let mut pool = Pool::default();
        let made = |n: usize| {
            let (types, root) = (Arc::default(), NodeId(0));
            Arc::new(CustomSchema {
                types,
                root,
                defaults: false,
                deflated: Box::default(),
                digest: Sha256::digest(n.to_string()).into(),
            })
        };
        let held = made(0);
        pool.keep(&held);
        (1..1000).for_each(|n| pool.keep(&made(n)));
        assert!(pool.schemas.len() < 200);
        assert!(pool.find(&held.digest).is_some());
    }
}
