//! Why a strategic merge patch is refused.

use crate::error::{plain_error, unprocessable};
use crate::go;
use object::ApiError;
use serde_json::{Map, Value};

pub(super) enum PatchError {
    BadPrimitiveList,
    BadRetainKeys,
    BadElementOrder,
    ListOfLists,
    Other(String),
}

impl PatchError {
    pub(super) fn bad_patch_type(directive: &Value, map: &Map<String, Value>) -> Self {
        let shown = match directive {
            Value::String(s) => s.clone(),
            other => format!("%!s({}={})", go::type_name(other), go::plain(other)),
        };
        Self::Other(format!("unknown patch type: {shown} in map: {}", go::plain(&map.clone().into())))
    }

    pub(super) fn no_merge_key(map: &Map<String, Value>, key: &str) -> Self {
        Self::Other(format!(
            "map: {} does not contain declared merge key: {key}",
            go::plain(&map.clone().into())
        ))
    }

    /// `expected` and what came instead, by Go type.
    pub(super) fn bad_type(expected: &str, actual: &Value) -> Self {
        let actual = if actual.is_null() { "%!s(<nil>)" } else { go::type_name(actual) };
        Self::Other(format!("expected a {expected}, but received a {actual}"))
    }

    pub(super) fn into_api_error(self) -> ApiError {
        match self {
            Self::BadPrimitiveList => ApiError::BadRequest("invalid patch format of primitive list".into()),
            Self::BadRetainKeys => ApiError::BadRequest("invalid patch format of retainKeys".into()),
            Self::BadElementOrder => {
                ApiError::BadRequest("invalid patch format of setElementOrder list".into())
            }
            Self::ListOfLists => unprocessable(),
            Self::Other(message) => plain_error(&message),
        }
    }
}
