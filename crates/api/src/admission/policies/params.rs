//! The objects that parametrize a policy.

use super::compiled::Policy;
use crate::pipeline::Write;
use crate::{failure, keys, stored};
use object::{GroupVersion, LabelSelector, Result, Value, meta};
use store::ListRequest;

/// So many objects parametrize one binding at most.
const MAX_PARAMS: usize = 1000;

/// The parameters to evaluate a policy with, one after the other.
pub(super) struct Params {
    pub found: Vec<Value>,
    /// There are none, and that is a failure.
    pub problem: Option<String>,
}

/// The parameters that a binding names.
pub(super) async fn of(write: &Write<'_>, policy: &Policy, binding: &Value) -> Result<Params> {
    let reference = &binding["spec"]["paramRef"];
    if !policy.param_kind.is_object() || !reference.is_object() {
        return Ok(Params { found: vec![Value::Null], problem: None });
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let version = GroupVersion::parse(&text(&policy.param_kind["apiVersion"])).unwrap_or_default();
    let kind = version.kind(&text(&policy.param_kind["kind"]));
    let registry = write.call.api.registry().await?;
    let Some(resource) = registry.by_gvk(&kind) else {
        let problem = "failed to configure policy: failed to find resource referenced by paramKind";
        return Ok(failed(policy, format!("{problem}: '{}, Kind={}'", version, kind.kind)));
    };
    let namespace = match text(&reference["namespace"]) {
        named if !named.is_empty() => named,
        _ => write.target.at.namespace.clone(),
    };
    let store = &write.call.api.store;
    let mut found = Vec::new();
    match text(&reference["name"]) {
        name if !name.is_empty() => {
            let (entry, _) =
                store.get(&keys::key(resource, &namespace, &name)).await.map_err(failure::store)?;
            found.extend(entry.as_ref().and_then(stored::decode));
        }
        _ => {
            let prefix = keys::prefix(resource, &namespace);
            let request = ListRequest { prefix, limit: MAX_PARAMS, ..Default::default() };
            let listing = store.list(request).await.map_err(failure::store)?;
            let selector = LabelSelector::from_object(&reference["selector"]);
            let fits = |o: &Value| selector.as_ref().is_ok_and(|s| s.matches_object(o));
            found.extend(listing.entries.iter().filter_map(stored::decode).filter(fits));
        }
    }
    if found.is_empty() {
        return Ok(match reference["parameterNotFoundAction"].as_str() {
            Some("Deny") => failed(
                policy,
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
                    .into(),
            ),
            _ => Params { found, problem: None },
        });
    }
    found.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
    Ok(Params { found, problem: None })
}

fn failed(policy: &Policy, problem: String) -> Params {
    Params { found: vec![], problem: (!policy.ignores_failures).then_some(problem) }
}
