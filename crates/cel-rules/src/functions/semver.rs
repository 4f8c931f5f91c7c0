//! Semantic versions. With a second argument `true`, `v1.0` and leading zeros are taken too.

use super::{Extension, fail};
use crate::error::{EvalError, Result};
use crate::library::Library;
use crate::value::Value;
use semver::Version;
use std::sync::Arc;

pub(super) fn register(library: &mut Library) {
    library.add(
        &["semver(string): kubernetes.Semver", "semver(string, bool): kubernetes.Semver"],
        |_, args| {
            let text = normal(args)?;
            match Version::parse(&text) {
                Ok(version) => Ok(Value::Extension(Arc::new(Extension::Semver(version)))),
                Err(_) => fail(refusal(&text)),
            }
        },
    );
    library.add(&["isSemver(string): bool", "isSemver(string, bool): bool"], |_, args| {
        Ok(Value::Bool(Version::parse(&normal(args)?).is_ok()))
    });
    library.add(&["kubernetes.Semver->isGreaterThan(kubernetes.Semver): bool"], |_, args| {
        Ok(Value::Bool(of(&args[0])?.cmp_precedence(of(&args[1])?).is_gt()))
    });
    library.add(&["kubernetes.Semver->isLessThan(kubernetes.Semver): bool"], |_, args| {
        Ok(Value::Bool(of(&args[0])?.cmp_precedence(of(&args[1])?).is_lt()))
    });
    library.add(&["kubernetes.Semver->compareTo(kubernetes.Semver): int"], |_, args| {
        Ok(Value::Int(of(&args[0])?.cmp_precedence(of(&args[1])?) as i64))
    });
    library.add(&["kubernetes.Semver->major(): int"], |_, a| Ok(Value::Int(of(&a[0])?.major as i64)));
    library.add(&["kubernetes.Semver->minor(): int"], |_, a| Ok(Value::Int(of(&a[0])?.minor as i64)));
    library.add(&["kubernetes.Semver->patch(): int"], |_, a| Ok(Value::Int(of(&a[0])?.patch as i64)));
}

fn of<'v>(value: &'v Value<'_>) -> Result<&'v Version> {
    match value {
        Value::Extension(extension) => match &**extension {
            Extension::Semver(version) => Ok(version),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

/// The text of a version, brought into form where that is asked for.
fn normal(args: &[Value<'_>]) -> Result<String> {
    let text = args[0].as_str()?;
    let normalize = args.get(1).map(Value::as_bool).transpose()?.unwrap_or(false);
    if !normalize {
        return Ok(text.to_owned());
    }
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut parts: Vec<String> = numbers
        .split('.')
        .map(|n| {
            let trimmed = n.trim_start_matches('0');
            if trimmed.is_empty() && !n.is_empty() { "0".into() } else { trimmed.into() }
        })
        .collect();
    while parts.len() < 3 {
        parts.push("0".into());
    }
    Ok(format!("{}{rest}", parts.join(".")))
}

/// What is wrong with a version, in the words of the library that Kubernetes uses.
fn refusal(text: &str) -> String {
    if text.is_empty() {
        return "Version string empty".into();
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts[..] else { return "No Major.Minor.Patch elements found".into() };
    let end = rest.find(['-', '+']).unwrap_or(rest.len());
    for (name, small, number) in
        [("Major", "major", major), ("Minor", "minor", minor), ("Patch", "patch", &rest[..end])]
    {
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return format!("Invalid character(s) found in {small} number {number:?}");
        }
        if number.len() > 1 && number.starts_with('0') {
            return format!("{name} number must not contain leading zeroes {number:?}");
        }
    }
    let (release, build) = rest[end..].split_once('+').map_or((&rest[end..], None), |(r, b)| (r, Some(b)));
    let is_word = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    for part in release.strip_prefix('-').into_iter().flat_map(|release| release.split('.')) {
        if part.is_empty() {
            return "Prerelease is empty".into();
        }
        if !is_word(part) {
            return format!("Invalid character(s) found in prerelease {part:?}");
        }
        if part.len() > 1 && part.starts_with('0') && part.chars().all(|c| c.is_ascii_digit()) {
            return format!("Numeric PreRelease version must not contain leading zeroes {part:?}");
        }
    }
    match build.into_iter().flat_map(|build| build.split('.')).find(|part| part.is_empty() || !is_word(part))
    {
        Some("") | None => "Build meta data is empty".into(),
        Some(part) => format!("Invalid character(s) found in build meta data {part:?}"),
    }
}
