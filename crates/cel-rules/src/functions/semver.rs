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
        |_, args| match parse(args)? {
            Some(version) => Ok(Value::Extension(Arc::new(Extension::Semver(version)))),
            None => fail(format!("semver parse error: invalid version {:?}", args[0].as_str()?)),
        },
    );
    library.add(&["isSemver(string): bool", "isSemver(string, bool): bool"], |_, args| {
        Ok(Value::Bool(parse(args)?.is_some()))
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

fn parse(args: &[Value<'_>]) -> Result<Option<Version>> {
    let text = args[0].as_str()?;
    let normalize = args.get(1).map(Value::as_bool).transpose()?.unwrap_or(false);
    if !normalize {
        return Ok(Version::parse(text).ok());
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
    Ok(Version::parse(&format!("{}{rest}", parts.join("."))).ok())
}
