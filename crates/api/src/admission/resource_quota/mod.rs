//! ResourceQuota: a write that a namespace has no room for is refused, any other is charged to its quotas.
//!
//! Charges are compare-and-set on the quotas' status, so that two writes never share the same room. What is deleted is given
//! back by the quota controller, which counts.

mod scopes;
mod usage;

use super::{Operation, is, refused};
use crate::pipeline::Write;
use crate::{failure, managed, stored};
use object::{ApiError, Quantity, Result, Value, json, meta};
use std::collections::BTreeMap;
use store::{Entry, Expect, ListRequest, StoreError};

const ATTEMPTS: usize = 64;

pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Checks a write against the quotas of its namespace and charges it.
pub(super) async fn charge(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let namespace = &write.target.at.namespace;
    if namespace.is_empty() || operation == Operation::Delete || is(write, "", "namespaces") {
        return Ok(());
    }
    let resource = write.target.group_resource().to_string();
    if !usage::handles(&resource, &write.target.at.subresource, operation) {
        return Ok(());
    }
    let prefix = format!("/core/resourcequotas/{namespace}/");
    for _ in 0..ATTEMPTS {
        let request = ListRequest { prefix: prefix.clone(), ..Default::default() };
        let listing = write.call.api.store.list(request).await.map_err(failure::store)?;
        let charged = check(write, &resource, object, listing.entries)?;
        if write.call.dry_run() || commit(write, charged).await? {
            return Ok(());
        }
    }
    Err(ApiError::Conflict {
        resource: write.target.group_resource(),
        name: meta::name(object).into(),
        reason: "Operation cannot be fulfilled on resource quotas: they change too often".into(),
    })
}

struct Interested {
    entry: Entry,
    quota: Value,
    hard: Amounts,
}

/// The quotas with the write charged, or why there is no room.
fn check(
    write: &Write<'_>,
    resource: &str,
    object: &Value,
    entries: Vec<Entry>,
) -> Result<Vec<(Entry, Value)>> {
    let measured = usage::of(resource, object);
    let mut interested = Vec::new();
    for entry in entries {
        let Some(quota) = stored::decode(&entry) else { continue };
        let name = meta::name(&quota);
        let hard = amounts(&quota["status"]["hard"]);
        let tracked: Vec<&String> = hard.keys().filter(|k| usage::tracks(resource, k)).collect();
        if tracked.is_empty() || !scopes::matches(&quota, resource, object) {
            continue;
        }
        if let Some(missing) = usage::missing(resource, &tracked, object) {
            return Err(refused(write, object, &format!("failed quota: {name}: {missing}")));
        }
        let used = amounts(&quota["status"]["used"]);
        let unknown: Vec<&str> =
            tracked.iter().filter(|k| !used.contains_key(**k)).map(|k| k.as_str()).collect();
        if !unknown.is_empty() {
            let reason = format!("status unknown for quota: {name}, resources: {}", unknown.join(","));
            return Err(refused(write, object, &reason));
        }
        interested.push(Interested { entry, quota, hard });
    }
    if interested.is_empty() {
        return Ok(Vec::new());
    }
    let negative: Vec<&str> =
        measured.iter().filter(|(_, q)| q.signum() < 0).map(|(k, _)| k.as_str()).collect();
    if !negative.is_empty() {
        let reason = format!("quota usage is negative for resource(s): {}", negative.join(", "));
        return Err(refused(write, object, &reason));
    }
    let before = write.old.map(|old| usage::of(resource, old)).unwrap_or_default();
    let delta: Amounts = measured
        .into_iter()
        .map(|(name, amount)| match before.get(&name) {
            Some(had) => (name, amount.sub(had)),
            None => (name, amount),
        })
        .filter(|(_, amount)| !amount.is_zero())
        .collect();
    let mut charged = Vec::new();
    for Interested { entry, mut quota, hard } in interested {
        let requested: Amounts = delta
            .iter()
            .filter(|(k, _)| hard.contains_key(*k))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if requested.is_empty() {
            continue;
        }
        let used = amounts(&quota["status"]["used"]);
        let after =
            |name: &str, amount: &Quantity| used.get(name).map_or_else(|| amount.clone(), |u| u.add(amount));
        let exceeded: Vec<&String> = requested
            .iter()
            .filter(|(name, amount)| amount.signum() > 0 && after(name, amount) > hard[*name])
            .map(|(n, _)| n)
            .collect();
        if !exceeded.is_empty() {
            let shown = |all: &Amounts| -> String {
                let of = |name: &&&String| all.get(**name).map(|amount| format!("{name}={amount}"));
                exceeded.iter().filter_map(|n| of(&n)).collect::<Vec<_>>().join(",")
            };
            let reason = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                meta::name(&quota),
                shown(&requested),
                shown(&used),
                shown(&hard)
            );
            return Err(refused(write, object, &reason));
        }
        for (name, amount) in &requested {
            quota["status"]["used"][name] = json!(after(name, amount).to_string());
        }
        charged.push((entry, quota));
    }
    Ok(charged)
}

/// Writes the charged quotas; `false` when one of them changed meanwhile.
async fn commit(write: &Write<'_>, charged: Vec<(Entry, Value)>) -> Result<bool> {
    let registry = write.call.api.registry().await?;
    for (entry, mut quota) in charged {
        if let (Some(resource), Some(old)) =
            (registry.get("", "v1", "resourcequotas"), stored::decode(&entry))
        {
            managed::on_status(write.call, resource, "kube-apiserver", &old, &mut quota);
        }
        let value = Some(stored::encode(&quota));
        let expect = Expect::At(entry.mod_revision);
        match write.call.api.store.write(store::Write { key: entry.key, expect, value, ttl: None }).await {
            Ok(_) => {}
            Err(StoreError::Conflict(_)) => return Ok(false),
            Err(error) => return Err(failure::store(error)),
        }
    }
    Ok(true)
}

fn amounts(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), Quantity::from_json(v).ok()?))).collect()
}
