//! The one place that turns an [`ApiError`] into a `Status` object: code, reason, message, details.

use crate::error::{ApiError, Cause, FieldError, FieldErrorKind};
use crate::group::GroupResource;
use serde_json::{Map, Value, json};

impl FieldErrorKind {
    /// The `reason` of a cause, such as `FieldValueInvalid`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooShort => "FieldValueTooShort",
            Self::TooFew => "FieldValueTooFew",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

impl FieldError {
    fn cause(&self) -> Cause {
        Cause { reason: self.kind.reason().into(), message: self.message.clone(), field: self.path.clone() }
    }
}

impl ApiError {
    /// HTTP status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden { .. } | Self::ForbiddenMessage(_) => 403,
            Self::NotFound { .. } | Self::NoSuchPath => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::NotAcceptable(_) => 406,
            Self::AlreadyExists { .. } | Self::Conflict { .. } | Self::ApplyConflict { .. } => 409,
            Self::Expired { .. } | Self::Gone(_) => 410,
            Self::TooLarge(_) => 413,
            Self::UnsupportedMediaType(_) => 415,
            Self::Invalid { .. } => 422,
            Self::TooManyRequests { .. } => 429,
            Self::ServerTimeout { .. } | Self::Internal(_) => 500,
            Self::ServiceUnavailable(_) => 503,
            Self::Timeout(_) => 504,
            Self::Status(status) => status["code"].as_u64().map_or(500, |code| code as u16),
        }
    }

    /// `Status.reason`.
    pub fn reason(&self) -> &str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden { .. } | Self::ForbiddenMessage(_) => "Forbidden",
            Self::NotFound { .. } | Self::NoSuchPath => "NotFound",
            Self::MethodNotAllowed { .. } => "MethodNotAllowed",
            Self::NotAcceptable(_) => "NotAcceptable",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::Conflict { .. } | Self::ApplyConflict { .. } => "Conflict",
            Self::Expired { .. } => "Expired",
            Self::Gone(_) => "Gone",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::UnsupportedMediaType(_) => "UnsupportedMediaType",
            Self::Invalid { .. } => "Invalid",
            Self::TooManyRequests { .. } => "TooManyRequests",
            Self::Timeout(_) => "Timeout",
            Self::ServerTimeout { .. } => "ServerTimeout",
            Self::ServiceUnavailable(_) => "ServiceUnavailable",
            Self::Internal(_) => "InternalError",
            Self::Status(status) => status["reason"].as_str().unwrap_or(""),
        }
    }

    /// `Status.message`.
    pub fn message(&self) -> String {
        match self {
            Self::BadRequest(m)
            | Self::ForbiddenMessage(m)
            | Self::NotAcceptable(m)
            | Self::Gone(m)
            | Self::TooLarge(m)
            | Self::UnsupportedMediaType(m)
            | Self::Timeout(m)
            | Self::ServiceUnavailable(m) => m.clone(),
            Self::Unauthorized => "Unauthorized".into(),
            Self::Forbidden { resource, name, reason } => {
                if name.is_empty() {
                    format!("{resource} is forbidden: {reason}")
                } else {
                    format!("{resource} \"{name}\" is forbidden: {reason}")
                }
            }
            Self::NotFound { resource, name } => format!("{resource} \"{name}\" not found"),
            Self::NoSuchPath => "the server could not find the requested resource".into(),
            Self::MethodNotAllowed { resource, verb } => {
                format!("{verb} is not supported on resources of kind \"{resource}\"")
            }
            Self::AlreadyExists { resource, name } => format!("{resource} \"{name}\" already exists"),
            Self::Conflict { resource, name, reason } => {
                format!("Operation cannot be fulfilled on {resource} \"{name}\": {reason}")
            }
            Self::ApplyConflict { message, .. }
            | Self::Expired { message, .. }
            | Self::TooManyRequests { message, .. } => message.clone(),
            Self::Invalid { kind, name, errors } => {
                let shown: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
                match dedup(&shown).as_slice() {
                    [] => format!("{kind} \"{name}\" is invalid"),
                    [one] => format!("{kind} \"{name}\" is invalid: {one}"),
                    many => format!("{kind} \"{name}\" is invalid: [{}]", many.join(", ")),
                }
            }
            Self::ServerTimeout { resource, verb, .. } => {
                format!(
                    "The {verb} operation against {resource} could not be completed at this time, please try again."
                )
            }
            Self::Internal(m) => format!("Internal error occurred: {m}"),
            Self::Status(status) => status["message"].as_str().unwrap_or("").to_owned(),
        }
    }

    /// Seconds after which to try again, if any: the `Retry-After` header.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::ServerTimeout { retry_after, .. } => {
                Some(*retry_after).filter(|s| *s > 0)
            }
            _ => None,
        }
    }

    fn causes(&self) -> Vec<Cause> {
        match self {
            Self::Invalid { errors, .. } => errors.iter().map(FieldError::cause).collect(),
            Self::ApplyConflict { causes, .. } | Self::TooManyRequests { causes, .. } => causes.clone(),
            Self::Internal(m) => {
                vec![Cause { reason: String::new(), message: m.clone(), field: String::new() }]
            }
            _ => vec![],
        }
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        match self {
            Self::Forbidden { resource, name, .. }
            | Self::NotFound { resource, name }
            | Self::AlreadyExists { resource, name }
            | Self::Conflict { resource, name, .. } => name_and_kind(&mut details, name, resource),
            Self::ServerTimeout { resource, .. } => name_and_kind(&mut details, "", resource),
            Self::MethodNotAllowed { resource, .. } => name_and_kind(&mut details, "", resource),
            Self::Invalid { kind, name, .. } => {
                name_and_kind(&mut details, name, &GroupResource::new(&kind.group, &kind.kind));
            }
            _ => {}
        }
        let causes: Vec<_> = self.causes().iter().map(Cause::to_json).collect();
        if !causes.is_empty() {
            details.insert("causes".into(), causes.into());
        }
        if let Some(seconds) = self.retry_after() {
            details.insert("retryAfterSeconds".into(), seconds.into());
        }
        details
    }

    /// The `Status` object that says this error to a client.
    pub fn to_status(&self) -> Value {
        if let Self::Status(status) = self {
            return (**status).clone();
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message(), "reason": self.reason(), "code": self.code(),
        });
        if let Self::Expired { continue_token: Some(token), .. } = self {
            status["metadata"]["continue"] = token.clone().into();
        }
        let details = self.details();
        let always = matches!(
            self,
            Self::Invalid { .. }
                | Self::NoSuchPath
                | Self::Forbidden { .. }
                | Self::ForbiddenMessage(_)
                | Self::MethodNotAllowed { .. }
        );
        if !details.is_empty() || always {
            status["details"] = details.into();
        }
        status
    }
}

/// The way back: what a client makes of an answer.
impl ApiError {
    /// Reads a `Status` object. The variant is the one that would spell the same message; a `Status` that no variant
    /// spells (it may come from any server) is kept whole, so that [`reason`](Self::reason) and
    /// [`message`](Self::message) always answer what was sent.
    pub fn from_status(status: Value) -> Self {
        let parsed = Self::variant_of(&status);
        match parsed {
            Some(error) if error.message() == status["message"].as_str().unwrap_or("") => error,
            _ => Self::Status(Box::new(status)),
        }
    }

    fn variant_of(status: &Value) -> Option<Self> {
        let message = status["message"].as_str().unwrap_or("").to_owned();
        let details = &status["details"];
        let text = |field: &str| details[field].as_str().unwrap_or("").to_owned();
        let resource = GroupResource { group: text("group"), resource: text("kind") };
        let name = text("name");
        let retry_after = details["retryAfterSeconds"].as_u64().unwrap_or(0) as u32;
        Some(match status["reason"].as_str()? {
            "BadRequest" => Self::BadRequest(message),
            "Unauthorized" => Self::Unauthorized,
            "Forbidden" if details["causes"].is_array() => return None,
            "Forbidden" => Self::ForbiddenMessage(message),
            "NotFound" if resource.resource.is_empty() => Self::NoSuchPath,
            "NotFound" => Self::NotFound { resource, name },
            "NotAcceptable" => Self::NotAcceptable(message),
            "AlreadyExists" => Self::AlreadyExists { resource, name },
            "Conflict" if resource.resource.is_empty() => {
                Self::ApplyConflict { message, causes: Cause::all_of(details) }
            }
            "Conflict" => {
                let head = format!("Operation cannot be fulfilled on {resource} \"{name}\": ");
                Self::Conflict { reason: message.strip_prefix(&head)?.to_owned(), resource, name }
            }
            "Expired" => Self::Expired {
                message,
                continue_token: status["metadata"]["continue"].as_str().map(str::to_owned),
            },
            "Gone" => Self::Gone(message),
            "RequestEntityTooLarge" => Self::TooLarge(message),
            "UnsupportedMediaType" => Self::UnsupportedMediaType(message),
            "TooManyRequests" => {
                Self::TooManyRequests { message, retry_after, causes: Cause::all_of(details) }
            }
            "Timeout" => Self::Timeout(message),
            "ServiceUnavailable" => Self::ServiceUnavailable(message),
            "InternalError" => Self::Internal(message.strip_prefix("Internal error occurred: ")?.to_owned()),
            _ => return None,
        })
    }

    /// Whether the object or path is not there.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// Whether an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// Whether someone else wrote first (or a precondition failed).
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// Whether a list or watch has to start anew.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), "Expired" | "Gone") || self.code() == 410
    }

    /// Whether `details.causes` holds a cause with this reason, such as `NamespaceTerminating`.
    pub fn has_cause(&self, reason: &str) -> bool {
        match self {
            Self::Status(status) => status["details"]["causes"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|cause| cause["reason"] == reason),
            other => other.causes().iter().any(|cause| cause.reason == reason),
        }
    }
}

impl Cause {
    fn all_of(details: &Value) -> Vec<Self> {
        let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or("").to_owned();
        let read = |cause| Self {
            reason: text(cause, "reason"),
            message: text(cause, "message"),
            field: text(cause, "field"),
        };
        details["causes"].as_array().into_iter().flatten().map(read).collect()
    }

    fn to_json(&self) -> Value {
        let mut cause = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.insert(key.into(), text.clone().into());
            }
        }
        cause.into()
    }
}

fn name_and_kind(details: &mut Map<String, Value>, name: &str, resource: &GroupResource) {
    for (key, text) in [("name", name), ("group", &resource.group), ("kind", &resource.resource)] {
        if !text.is_empty() {
            details.insert(key.into(), text.into());
        }
    }
}

/// An aggregate error names equal messages once.
fn dedup(messages: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    messages.iter().filter(|m| seen.insert(m.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back_as_the_error_it_was() {
        let resource = GroupResource::new("apps", "deployments");
        for error in [
            ApiError::NotFound { resource: resource.clone(), name: "web".into() },
            ApiError::NoSuchPath,
            ApiError::AlreadyExists { resource: resource.clone(), name: "web".into() },
            ApiError::Conflict { resource, name: "web".into(), reason: "it changed".into() },
            ApiError::Gone("too old resource version: 1 (2)".into()),
            ApiError::Internal("disk".into()),
        ] {
            assert_eq!(ApiError::from_status(error.to_status()), error);
        }
    }

    #[test]
    fn what_no_variant_spells_is_kept_whole() {
        let status = json!({"reason": "NotFound", "message": "of another server", "code": 404, "details": {"kind": "pods", "name": "x"}});
        let error = ApiError::from_status(status.clone());
        assert!(error.is_not_found());
        assert_eq!(error.to_status(), status);
    }
}
