//! What a call costs when it runs.

use crate::budget::traversal;
use crate::functions::Extension;
use crate::value::Value;

/// The cost of a call; `None` if it depends on a result that is not there yet.
pub(crate) fn call_cost(
    function: &str,
    method: bool,
    args: &[Value<'_>],
    result: Option<&Value<'_>>,
) -> Option<u64> {
    let size = |at: usize| args.get(at).map_or(1, Value::size);
    let text = |at: usize| matches!(args.get(at), Some(Value::String(_) | Value::Bytes(_)));
    Some(match function {
        // Two questions to the authorizer fit into one expression.
        "check" => 350_000,
        "fieldSelector" | "labelSelector" => {
            let length = size(1);
            10 + traversal(length) + (length as f64 * 0.5).ceil() as u64 * 50
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if method => walk(args.first()),
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "ip"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver"
            if text(0) =>
        {
            traversal(size(0))
        }
        "ip.isCanonical" | "replace" | "split" => traversal(size(0) * 2),
        "sets.contains" | "sets.intersects" => 1 + size(0) * size(1),
        "sets.equivalent" => 1 + size(0) * size(1) * 2,
        "slice" | "lists.range" => 11 + result?.size(),
        "reverse" if !text(0) => 11 + result?.size(),
        "flatten" => {
            let depth = match args.get(1) {
                Some(Value::Int(depth)) => (*depth).max(0) as u64,
                _ => 1,
            };
            11u64.saturating_add(size(0).saturating_mul(depth))
        }
        "distinct" | "sort" => compared(args.first()),
        "@sortByAssociatedKeys" => compared(args.get(1)),
        "join" => traversal(result?.size() * 2),
        "matches" | "find" | "findAll" => traversal(size(0) + 1) * size(1).div_ceil(4),
        "containsIP" => traversal(size(0) * 2) + if text(1) { traversal(size(1)) } else { 0 },
        "containsCIDR" => {
            traversal(size(0) * 2) + traversal(size(0)) + 1 + if text(1) { traversal(size(1)) } else { 0 }
        }
        "validate" => match args.first() {
            Some(Value::Extension(extension)) => match &**extension {
                Extension::Format(format) => traversal(size(1) + 1) * format.max_regex.div_ceil(4),
                _ => 1,
            },
            _ => 1,
        },
        "startsWith" | "endsWith" => traversal(size(0)),
        "string" | "bytes" if text(0) => traversal(size(0)),
        "strings.quote" | "format" => traversal(size(0)),
        "@in" if matches!(args.get(1), Some(Value::List(_))) => size(1),
        "_==_" | "_!=_" => match args.first() {
            Some(Value::Extension(_) | Value::Question(_)) => 1,
            _ => traversal(size(0).min(size(1))),
        },
        "_<_" | "_<=_" | "_>_" | "_>=_" if text(0) => traversal(size(0).min(size(1))),
        "_+_" if text(0) => traversal(size(0) + size(1)),
        "contains" => traversal(size(0)) * traversal(size(1)),
        _ => 1,
    })
}

/// Comparing the items of a list with one another.
fn compared(list: Option<&Value<'_>>) -> u64 {
    let Some(Value::List(list)) = list else { return 11 };
    let text = matches!(list.iter().next(), Some(Ok(Value::String(_) | Value::Bytes(_))));
    let count = list.len() as u64;
    11 + (count.saturating_mul(count) as f64 * if text { 2.1 } else { 2.0 }) as u64
}

/// Going over a value with all it holds.
fn walk(value: Option<&Value<'_>>) -> u64 {
    match value {
        Some(Value::String(text)) => (text.len() as f64 * 0.1) as u64,
        Some(Value::List(list)) => {
            let inner = list.iter().map(|item| match item {
                Ok(Value::String(text)) => (text.len() as f64 * 0.1) as u64,
                _ => 1,
            });
            inner.fold(0u64, u64::saturating_add)
        }
        _ => 1,
    }
}
