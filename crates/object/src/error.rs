//! Why a request was refused. [`ApiError`] says it in Kubernetes' terms; [`crate::status`] spells it out.

use crate::group::{GroupKind, GroupResource};
use crate::path::Path;
use serde_json::Value;

/// A refusal, one variant per `Status.reason` that clients tell apart.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.message())]
pub enum ApiError {
    /// 400: the request cannot be understood. `causes` are shown under `details`.
    BadRequest(String),
    /// 401: nobody knows who is asking.
    Unauthorized,
    /// 403: known, but not allowed; `reason` is the authorizer's or admission's word.
    Forbidden {
        /// The resource, its group.
        resource: GroupResource,
        /// Object name, empty for collections.
        name: String,
        /// Everything after `<resource> "<name>" is forbidden: `.
        reason: String,
    },
    /// 403 of a non-resource path or with a message of its own.
    ForbiddenMessage(String),
    /// 404 of an object.
    NotFound {
        /// The resource, its group.
        resource: GroupResource,
        /// Object name.
        name: String,
    },
    /// 404 of a path: `the server could not find the requested resource`.
    NoSuchPath,
    /// 405.
    MethodNotAllowed {
        /// What was asked of, as the message names it.
        resource: GroupResource,
        /// The verb refused.
        verb: String,
    },
    /// 406: none of the accepted media types can be served.
    NotAcceptable(String),
    /// 409 on create.
    AlreadyExists {
        /// The resource, its group.
        resource: GroupResource,
        /// Object name.
        name: String,
    },
    /// 409 on update, delete or apply.
    Conflict {
        /// The resource, its group.
        resource: GroupResource,
        /// Object name.
        name: String,
        /// Everything after `Operation cannot be fulfilled on <resource> "<name>": `.
        reason: String,
    },
    /// 409 of server-side apply: other managers own the fields.
    ApplyConflict {
        /// The whole message.
        message: String,
        /// One cause per field.
        causes: Vec<Cause>,
    },
    /// 410 `Expired`: the resourceVersion or continue token is gone.
    Expired {
        /// The whole message.
        message: String,
        /// For a list: a token that goes on, inconsistently.
        continue_token: Option<String>,
    },
    /// 410 `Gone`.
    Gone(String),
    /// 413.
    TooLarge(String),
    /// 415: the body's media type is not known.
    UnsupportedMediaType(String),
    /// 422: the object breaks the rules of its kind.
    Invalid {
        /// The kind refused.
        kind: GroupKind,
        /// Object name (or generateName).
        name: String,
        /// What is wrong, in the order found.
        errors: Vec<FieldError>,
    },
    /// 429; the client should come back after `retry_after` seconds.
    TooManyRequests {
        /// The whole message.
        message: String,
        /// Seconds.
        retry_after: u32,
        /// Causes, such as `DisruptionBudget`.
        causes: Vec<Cause>,
    },
    /// 504: not done within the time; safe to try again.
    Timeout(String),
    /// 500 with reason `ServerTimeout`: try again after `retry_after` seconds.
    ServerTimeout {
        /// The resource, its group.
        resource: GroupResource,
        /// The verb.
        verb: String,
        /// Seconds.
        retry_after: u32,
    },
    /// 503.
    ServiceUnavailable(String),
    /// 500: our fault, or a collaborator's (webhook, store).
    Internal(String),
    /// Any other status, spelled whole: a webhook's refusal, a proxied answer.
    Status(Box<Value>),
}

/// One row of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldManagerConflict`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// Field path, may be empty.
    pub field: String,
}

/// What is wrong with a field. The names are Kubernetes' `field.ErrorType`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Must have a value.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// Not one of the values known.
    NotSupported,
    /// Must not be set here.
    Forbidden,
    /// Appears twice.
    Duplicate,
    /// Refers to what does not exist.
    NotFound,
    /// Too many bytes.
    TooLong,
    /// Too many items.
    TooMany,
    /// Too few characters.
    TooShort,
    /// Too few items.
    TooFew,
    /// Of the wrong JSON type.
    TypeInvalid,
    /// Our fault.
    Internal,
}

/// One refused field: kind, path and the message after the kind's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Where.
    pub path: String,
    /// The whole message without the path: `Invalid value: "x": must be …`.
    pub message: String,
}

impl FieldError {
    fn new(kind: FieldErrorKind, path: &Path, message: String) -> Self {
        Self { kind, path: path.to_string(), message }
    }

    /// `Required value[: detail]`.
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorKind::Required, path, with_detail("Required value", detail))
    }

    /// `Invalid value: <value>: detail`. Strings are quoted as Go's `%q`, other scalars as they are, objects as JSON.
    pub fn invalid(path: &Path, value: &Value, detail: &str) -> Self {
        Self::new(
            FieldErrorKind::Invalid,
            path,
            with_detail(&format!("Invalid value: {}", show(value)), detail),
        )
    }

    /// As [`invalid`](Self::invalid), with the value already spelled (as Go would print it).
    pub fn invalid_shown(path: &Path, shown: &str, detail: &str) -> Self {
        Self::new(FieldErrorKind::Invalid, path, with_detail(&format!("Invalid value: {shown}"), detail))
    }

    /// `Invalid value: <value>: detail` with the cause `FieldValueTypeInvalid`.
    pub fn type_invalid(path: &Path, value: &Value, detail: &str) -> Self {
        Self::new(
            FieldErrorKind::TypeInvalid,
            path,
            with_detail(&format!("Invalid value: {}", show(value)), detail),
        )
    }

    /// `Unsupported value: <value>: supported values: "a", "b"`.
    pub fn not_supported(path: &Path, value: &Value, supported: &[&str]) -> Self {
        let mut message = format!("Unsupported value: {}", show(value));
        if !supported.is_empty() {
            let listed: Vec<_> = supported.iter().map(|s| quote(s)).collect();
            message += &format!(": supported values: {}", listed.join(", "));
        }
        Self::new(FieldErrorKind::NotSupported, path, message)
    }

    /// `Forbidden: detail`.
    pub fn forbidden(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorKind::Forbidden, path, with_detail("Forbidden", detail))
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(path: &Path, value: &Value) -> Self {
        Self::duplicate_shown(path, &show(value))
    }

    /// As [`duplicate`](Self::duplicate), with the value already spelled (as Go would print it).
    pub fn duplicate_shown(path: &Path, shown: &str) -> Self {
        Self::new(FieldErrorKind::Duplicate, path, format!("Duplicate value: {shown}"))
    }

    /// `Not found: <value>`.
    pub fn not_found(path: &Path, value: &Value) -> Self {
        Self::new(FieldErrorKind::NotFound, path, format!("Not found: {}", show(value)))
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(path: &Path, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(FieldErrorKind::TooLong, path, format!("Too long: may not be more than {max} {unit}"))
    }

    /// `Too many: N: must have at most M items`.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(
            FieldErrorKind::TooMany,
            path,
            format!("Too many: {actual}: must have at most {max} {unit}"),
        )
    }

    /// `Too long: may not be more than N characters`.
    pub fn too_long_characters(path: &Path, max: usize) -> Self {
        let unit = if max == 1 { "character" } else { "characters" };
        Self::new(FieldErrorKind::TooLong, path, format!("Too long: may not be more than {max} {unit}"))
    }

    /// `Too short: must be at least N characters`.
    pub fn too_short(path: &Path, min: usize) -> Self {
        let unit = if min == 1 { "character" } else { "characters" };
        Self::new(FieldErrorKind::TooShort, path, format!("Too short: must be at least {min} {unit}"))
    }

    /// `Too few: N: must have at least M items`.
    pub fn too_few(path: &Path, actual: usize, min: usize) -> Self {
        let unit = if min == 1 { "item" } else { "items" };
        Self::new(FieldErrorKind::TooFew, path, format!("Too few: {actual}: must have at least {min} {unit}"))
    }

    /// `Internal error: detail`.
    pub fn internal(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorKind::Internal, path, with_detail("Internal error", detail))
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(s) => quote(s),
        Value::Null => "null".into(),
        // As Go writes JSON: safe inside of HTML.
        other => other.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
    }
}

/// Quotes as Go's `%q`: printable text stays, the rest is escaped.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
