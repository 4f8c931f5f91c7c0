//! Stand-ins for crates that are being written. Must be gone before this is used.
#![allow(missing_docs, dead_code)]
use kinds::Registry;
use object::{Result, Value};
use std::sync::Arc;
pub struct Document {
    pub code: u16,
    pub content_type: String,
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
}
pub struct Documents;
impl Documents {
    pub fn new(_: Arc<Registry>) -> Self {
        Self
    }
    pub fn get(&self, _: &str, _: &http::HeaderMap, _: &str) -> Result<Option<Document>> {
        Ok(None)
    }
}
pub mod proto {
    use object::Value;
    pub fn decode_envelope(_: &[u8]) -> std::result::Result<Value, String> {
        Err("protobuf".into())
    }
    pub fn encode_envelope(_: &Value) -> std::result::Result<Vec<u8>, String> {
        Err("protobuf".into())
    }
    pub fn watch_frame(_: &str, _: &Value) -> std::result::Result<Vec<u8>, String> {
        Err("protobuf".into())
    }
}
pub mod validation {
    use object::{FieldError, GroupVersionKind, Value};
    pub fn validate_create(_: &GroupVersionKind, _: &Value) -> Vec<FieldError> {
        vec![]
    }
    pub fn validate_update(_: &GroupVersionKind, _: &Value, _: &Value) -> Vec<FieldError> {
        vec![]
    }
    pub fn validate_status_update(_: &GroupVersionKind, _: &Value, _: &Value) -> Vec<FieldError> {
        vec![]
    }
    pub fn warnings(_: &GroupVersionKind, _: &Value, _: Option<&Value>) -> Vec<String> {
        vec![]
    }
    pub mod metadata {
        use object::{FieldError, Value};
        pub fn create(_: &Value, _: bool) -> Vec<FieldError> {
            vec![]
        }
        pub fn update(_: &Value, _: &Value) -> Vec<FieldError> {
            vec![]
        }
    }
}
