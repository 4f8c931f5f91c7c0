//! Which standard a namespace asks for: labels `pod-security.kubernetes.io/<mode>[-version]`.

use object::{FieldError, Path, Value, meta};
use std::fmt;

pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict a standard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

/// A level, as of a version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub level: Level,
    /// The minor version; `None` is the latest.
    pub minor: Option<u32>,
}

impl Default for Standard {
    fn default() -> Self {
        Self { level: Level::Privileged, minor: None }
    }
}

impl Standard {
    /// Whether the standard is that of `minor` or later.
    pub fn since(&self, minor: u32) -> bool {
        self.minor.is_none_or(|m| m >= minor)
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })?;
        match self.minor {
            None => f.write_str(":latest"),
            Some(minor) => write!(f, ":v1.{minor}"),
        }
    }
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub enforce: Standard,
    pub audit: Standard,
    pub warn: Standard,
}

impl Policy {
    /// Reads a namespace's labels; what cannot be read is an error, and taken for the strictest.
    pub fn of(namespace: &Value) -> (Self, Vec<FieldError>) {
        let mut errors = Vec::new();
        let enforce = standard(namespace, "enforce", Level::Restricted, &mut errors);
        let audit = standard(namespace, "audit", Level::Privileged, &mut errors);
        let mut warn = standard(namespace, "warn", Level::Privileged, &mut errors);
        // Who asks for no warnings is warned of what would be refused.
        if meta::label(namespace, &format!("{PREFIX}warn")).is_none() && enforce.level > warn.level {
            warn = enforce;
        }
        (Self { enforce, audit, warn }, errors)
    }
}

fn standard(namespace: &Value, mode: &str, unreadable: Level, errors: &mut Vec<FieldError>) -> Standard {
    let mut standard = Standard::default();
    let mut invalid = |label: &str, value: &str, detail: &str| {
        let path = Path::new("metadata").field("labels").key(label);
        errors.push(FieldError::invalid(&path, &value.into(), detail));
    };
    let label = format!("{PREFIX}{mode}");
    match meta::label(namespace, &label) {
        None | Some("privileged") => {}
        Some("baseline") => standard.level = Level::Baseline,
        Some("restricted") => standard.level = Level::Restricted,
        Some(other) => {
            standard.level = unreadable;
            invalid(&label, other, "must be one of privileged, baseline, restricted");
        }
    }
    let label = format!("{PREFIX}{mode}-version");
    match meta::label(namespace, &label) {
        None | Some("latest") => {}
        Some(version) => match minor(version) {
            Some(minor) => standard.minor = Some(minor),
            None => invalid(&label, version, "must be \"latest\" or \"v1.x\""),
        },
    }
    standard
}

/// `v1.25` without leading zeros.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("v1.")?;
    let plain = digits == "0" || !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain && digits.bytes().all(|b| b.is_ascii_digit()))
}
