//! Which writes a webhook or a policy wants to know of: rules, selectors, conditions.

use crate::admission::Operation;
use crate::call::Call;
use crate::pipeline::Write;
use crate::{failure, stored};
use object::{LabelSelector, Result, Value, json};

/// Whether a hook is asked about this write of `object`.
pub(super) async fn matches(
    write: &Write<'_>,
    operation: Operation,
    hook: &Value,
    object: &Value,
) -> Result<bool> {
    let rules = hook["rules"].as_array().into_iter().flatten();
    if !rules.into_iter().any(|rule| rule_matches(write, operation, rule, hook["matchPolicy"] != "Exact")) {
        return Ok(false);
    }
    Ok(namespace_matches(write, &hook["namespaceSelector"], object).await?
        && object_matches(write, hook, object))
}

/// A rule of operations, groups, versions, resources and scope. `equivalent`: other versions of the resource count too.
pub(crate) fn rule_matches(write: &Write<'_>, operation: Operation, rule: &Value, equivalent: bool) -> bool {
    let resource = &write.target.resource;
    let has = |field: &str, word: &str| {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).any(|w| w == "*" || w == word)
    };
    let operation = super::review::operation(operation);
    let scope = match rule["scope"].as_str() {
        None | Some("*" | "") => true,
        Some("Namespaced") => resource.namespaced(),
        Some(_) => !resource.namespaced(),
    };
    let versioned =
        has("apiGroups", &resource.gvr.group) && (equivalent || has("apiVersions", &resource.gvr.version));
    // Events and the like are kept in one group and served in two.
    let kept = equivalent && has("apiGroups", &resource.storage.group);
    let subresource = write.target.at.subresource.as_str();
    let names = rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let named = names.into_iter().any(|name| {
        let (wanted, below) = name.split_once('/').unwrap_or((name, ""));
        let resource_fits = wanted == "*" || wanted == resource.gvr.resource;
        let below_fits =
            if name.contains('/') { below == "*" || below == subresource } else { subresource.is_empty() };
        name == "*/*" || (resource_fits && below_fits)
    });
    has("operations", operation) && scope && (versioned || kept) && named
}

/// By the labels of the object's namespace; a namespace stands for itself, and what is in none always matches.
pub(crate) async fn namespace_matches(write: &Write<'_>, selector: &Value, object: &Value) -> Result<bool> {
    if is_empty(selector) {
        return Ok(true);
    }
    let is_namespace =
        write.target.resource.kind == "Namespace" && write.target.resource.gvr.group.is_empty();
    if is_namespace {
        return Ok(selects(selector, object));
    }
    let name = &write.target.at.namespace;
    if name.is_empty() {
        return Ok(true);
    }
    Ok(namespace(write.call, name).await?.is_some_and(|namespace| selects(selector, &namespace)))
}

/// The namespace object `name`.
pub(crate) async fn namespace(call: &Call, name: &str) -> Result<Option<Value>> {
    let (entry, _) = call.api.store.get(&format!("/core/namespaces/{name}")).await.map_err(failure::store)?;
    Ok(entry.as_ref().and_then(stored::decode))
}

/// By the object's own labels, or those it had.
pub(crate) fn object_matches(write: &Write<'_>, matcher: &Value, object: &Value) -> bool {
    let selector = &matcher["objectSelector"];
    is_empty(selector) || selects(selector, object) || write.old.is_some_and(|old| selects(selector, old))
}

fn is_empty(selector: &Value) -> bool {
    selector.is_null() || *selector == json!({})
}

fn selects(selector: &Value, object: &Value) -> bool {
    LabelSelector::from_object(selector).is_ok_and(|s| s.matches_object(object))
}
