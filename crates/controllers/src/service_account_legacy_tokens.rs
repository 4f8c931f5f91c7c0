//! Tokens that Kubernetes once made for every service account (their secrets are listed in the account's `secrets`): one that
//! nobody has used for a year is marked invalid, and deleted when it was not used for another.
//!
//! When a token was used the API server notes as a label of its secret, and since when it does so in a ConfigMap. Nothing is
//! looked at before something can be due.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS};
use client::{Cache, Change, DeleteOptions, ListOptions};
use futures::future::BoxFuture;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use object::{GroupVersionResource, Result, meta, time};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
/// How long a token has to be out of use.
const UNUSED: SignedDuration = SignedDuration::from_hours(365 * 24);
/// When to look again whether pods still have a secret.
const LATER: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct LegacyTokenCleaner;

/// What is known besides the secrets, by namespace and name.
#[derive(Default)]
struct Around {
    accounts: BTreeMap<(String, String), Value>,
    mounted: BTreeSet<(String, String)>,
}

/// What becomes of a secret now.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stays,
    /// Not before this time.
    Waits(Timestamp),
    Marked,
    Deleted,
}

impl Controller for LegacyTokenCleaner {
    fn name(&self) -> &'static str {
        "legacy-serviceaccount-token-cleaner-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICE_ACCOUNTS]
    }

    fn starts_with(&self) -> Vec<Key> {
        vec![Key::new("", "")]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        // A secret comes to be listed by an account that is there.
        if change.old.is_some() && change.new.is_some() {
            add(Key::new("", ""));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, _: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let of_type = ListOptions::fields("type=kubernetes.io/service-account-token");
            let secrets = shell.client.list_all(&SECRETS, "", &of_type).await?.items;
            if secrets.is_empty() {
                return Ok(Plan::nothing());
            }
            let tracking = shell.client.find(&CONFIG_MAPS, "kube-system", TRACKING).await?;
            let Some(since) = tracking.as_ref().and_then(|map| date(map["data"]["since"].as_str()?)) else {
                return Ok(Plan::nothing());
            };
            let around = look_around(shell, &secrets).await?;
            Ok(clean(&secrets, &around, since, shell.now()))
        })
    }
}

/// The accounts of the secrets, and what the pods beside those that are listed by one use.
async fn look_around(shell: &Shell, secrets: &[Value]) -> Result<Around> {
    let mut around = Around::default();
    let mut asked = BTreeSet::new();
    let mut looked = BTreeSet::new();
    for secret in secrets {
        let Some(account) = account_of(secret) else { continue };
        if asked.insert(account.clone())
            && let Some(found) = shell.client.find(&SERVICE_ACCOUNTS, &account.0, &account.1).await?
        {
            around.accounts.insert(account, found);
        }
        if around.lists(secret) && looked.insert(meta::namespace(secret)) {
            let namespace = meta::namespace(secret);
            for pod in shell.client.list_all(&PODS, namespace, &ListOptions::default()).await?.items {
                let mut add = |name: &str| _ = around.mounted.insert((namespace.to_owned(), name.to_owned()));
                secrets_of(&pod["spec"], &mut add);
            }
        }
    }
    Ok(around)
}

impl Around {
    /// Whether the secret's own account lists it, as those do that had it made.
    fn lists(&self, secret: &Value) -> bool {
        let account = account_of(secret).and_then(|account| self.accounts.get(&account));
        let uid = meta::annotation(secret, ACCOUNT_UID).unwrap_or("");
        let Some(account) = account.filter(|account| uid.is_empty() || meta::uid(account) == uid) else {
            return false;
        };
        let mut listed = account["secrets"].as_array().into_iter().flatten();
        listed.any(|reference| reference["name"] == secret["metadata"]["name"])
    }
}

fn account_of(secret: &Value) -> Option<(String, String)> {
    let name = meta::annotation(secret, ACCOUNT).filter(|name| !name.is_empty())?;
    Some((meta::namespace(secret).to_owned(), name.to_owned()))
}

/// The secrets that a pod names, wherever it names them.
fn secrets_of(spec: &Value, add: &mut dyn FnMut(&str)) {
    match spec {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = match field.as_str() {
                    "secretName" => value.as_str(),
                    "secretRef" | "secretKeyRef" | "secret" | "nodePublishSecretRef" => {
                        value["name"].as_str()
                    }
                    _ => None,
                };
                name.into_iter().for_each(&mut *add);
                if field == "imagePullSecrets" {
                    let names = value.as_array().into_iter().flatten().filter_map(|s| s["name"].as_str());
                    names.for_each(&mut *add);
                }
                secrets_of(value, add);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets_of(item, add)),
        _ => {}
    }
}

fn clean(secrets: &[Value], around: &Around, tracked_since: Date, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    let wait = |plan: &mut Plan, until: Timestamp| {
        plan.requeue(until.duration_since(now).try_into().unwrap_or(Duration::ZERO));
    };
    let known_from = after(tracked_since);
    for secret in secrets.iter().filter(|secret| around.lists(secret)) {
        match judge(secret, around, now) {
            Verdict::Stays => {}
            _ if now < known_from => wait(&mut plan, known_from),
            Verdict::Waits(until) => wait(&mut plan, until),
            Verdict::Marked => {
                let today = TimeZone::UTC.to_datetime(now).date();
                let labels = json!({INVALID_SINCE: today.to_string()});
                let patch = json!({"metadata": {"uid": meta::uid(secret), "labels": labels}});
                plan.push(Action::merge(&SECRETS, secret, patch));
                wait(&mut plan, after(today));
            }
            Verdict::Deleted => {
                let version = Some(meta::resource_version(secret).to_owned());
                let options = DeleteOptions { resource_version: version, ..DeleteOptions::default() };
                plan.push(Action::delete_with(&SECRETS, secret, options));
            }
        }
    }
    plan
}

/// What becomes of a secret that its account lists.
fn judge(secret: &Value, around: &Around, now: Timestamp) -> Verdict {
    let created = time::parse(secret["metadata"]["creationTimestamp"].as_str().unwrap_or(""));
    if meta::deletion_timestamp(secret).is_some() {
        return Verdict::Stays;
    }
    // One second more: a secret exactly so old is kept.
    let grown = created.map_or(now, |created| later(created, UNUSED + SignedDuration::from_secs(1)));
    if grown > now {
        return Verdict::Waits(grown);
    }
    if let Some(used) = meta::label(secret, LAST_USED) {
        match date(used).map(after) {
            // Who knows when.
            None => return Verdict::Stays,
            Some(until) if until > now => return Verdict::Waits(until),
            Some(_) => {}
        }
    }
    if around.mounted.contains(&(meta::namespace(secret).to_owned(), meta::name(secret).to_owned())) {
        return Verdict::Waits(later(now, LATER));
    }
    match meta::label(secret, INVALID_SINCE).and_then(date).map(after) {
        None => Verdict::Marked,
        Some(until) if until > now => Verdict::Waits(until),
        Some(_) => Verdict::Deleted,
    }
}

/// A date as labels hold it.
fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|date: &Date| date.to_string() == text)
}

/// When something of that day is long enough ago.
fn after(day: Date) -> Timestamp {
    let next = day.checked_add(1.day()).and_then(|next| next.to_zoned(TimeZone::UTC));
    next.map_or(Timestamp::MAX, |next| later(next.timestamp(), UNUSED))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn secret(created: &str, labels: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t", "namespace": "a", "uid": "u", "labels": labels,
            "creationTimestamp": created, "resourceVersion": "7", "annotations": {ACCOUNT: "s", ACCOUNT_UID: "uid-s"}}})
    }

    fn around() -> Around {
        let account =
            json!({"metadata": {"name": "s", "namespace": "a", "uid": "uid-s"}, "secrets": [{"name": "t"}]});
        Around { accounts: [(("a".into(), "s".into()), account)].into(), ..Around::default() }
    }

    fn outcome(secret: Value, around: &Around, since: &str) -> (Vec<String>, Option<u64>) {
        let plan = clean(&[secret], around, date(since).unwrap(), NOW.parse().unwrap());
        let hours = plan.requeue_after.map(|wait| wait.as_secs() / 3600);
        (shown(plan, &snapshot(vec![])), hours)
    }

    #[test]
    fn a_token_out_of_use_is_marked_and_then_deleted() {
        let old = "2020-01-01T00:00:00Z";
        let (lines, hours) = outcome(secret(old, json!({})), &around(), "2024-01-01");
        assert!(
            lines[0].contains(r#""kubernetes.io/legacy-token-invalid-since": String("2026-06-01")"#),
            "{lines:?}"
        );
        // The rest of today, and a year.
        assert_eq!(hours, Some(12 + 365 * 24));
        let marked = |day: &str| outcome(secret(old, json!({INVALID_SINCE: day})), &around(), "2024-01-01");
        assert_eq!(marked("2025-05-31").0, ["delete secrets t"]);
        assert_eq!(marked("2025-06-01"), (vec![], Some(12)));
        assert!(marked("yesterday").0[0].starts_with("patch secrets t"));
    }

    #[test]
    fn what_may_be_in_use_stays() {
        let (old, none) = ("2020-01-01T00:00:00Z", || json!({}));
        let kept = |secret, around: &Around, since| outcome(secret, around, since);
        assert_eq!(
            kept(secret(old, json!({LAST_USED: "2025-06-01"})), &around(), "2024-01-01"),
            (vec![], Some(12))
        );
        assert_eq!(kept(secret(old, json!({LAST_USED: "x"})), &around(), "2024-01-01"), (vec![], None));
        assert_eq!(kept(secret("2025-06-01T13:00:00Z", none()), &around(), "2024-01-01"), (vec![], Some(1)));
        assert_eq!(
            kept(secret(old, none()), &around(), "2025-06-01"),
            (vec![], Some(12)),
            "not tracked long enough"
        );
        assert_eq!(
            kept(secret(old, none()), &Around::default(), "2024-01-01"),
            (vec![], None),
            "made by hand"
        );
        let mounted = Around { mounted: [("a".into(), "t".into())].into(), ..around() };
        assert_eq!(kept(secret(old, none()), &mounted, "2024-01-01"), (vec![], Some(24)));
    }

    #[test]
    fn pods_name_secrets_in_many_places() {
        let spec = json!({
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [{"secret": {"secretName": "volume"}}, {"projected": {"sources": [{"secret": {"name": "projected"}}]}},
                {"csi": {"nodePublishSecretRef": {"name": "csi"}}}],
            "containers": [{"name": "no", "envFrom": [{"secretRef": {"name": "all"}}],
                "env": [{"name": "no", "valueFrom": {"secretKeyRef": {"name": "one", "key": "no"}}}]}]});
        let mut found = BTreeSet::new();
        secrets_of(&spec, &mut |name| _ = found.insert(name.to_owned()));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["all", "csi", "one", "projected", "pull", "volume"]
        );
    }
}
