//! `/healthz`, `/livez` and `/readyz`: whether the server works, check by check.
//!
//! The checks have the names of kube-apiserver's, which monitoring knows. What they stand for is one process here, and works
//! when it answers; a check that can fail on its own (the store's `etcd`) is named by the caller.

use crate::Document;
use std::fmt::Write;

/// Which of the three list a check: `healthz` and `livez`, `readyz`, or all.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Alive,
    Ready,
    All,
}

/// In the order of a real server's answer.
const CHECKS: &[(&str, At)] = &[
    ("ping", At::All),
    ("log", At::All),
    ("loopback-serving-certificate", At::Alive),
    ("etcd", At::All),
    ("etcd-readiness", At::Ready),
    ("informer-sync", At::Ready),
    ("poststarthook/start-apiserver-admission-initializer", At::All),
    ("poststarthook/generic-apiserver-start-informers", At::All),
    ("poststarthook/priority-and-fairness-config-consumer", At::All),
    ("poststarthook/priority-and-fairness-filter", At::All),
    ("poststarthook/storage-object-count-tracker-hook", At::All),
    ("poststarthook/start-apiextensions-informers", At::All),
    ("poststarthook/start-apiextensions-controllers", At::All),
    ("poststarthook/crd-informer-synced", At::All),
    ("poststarthook/start-system-namespaces-controller", At::All),
    ("poststarthook/peer-endpoint-reconciler-controller", At::All),
    ("poststarthook/start-cluster-authentication-info-controller", At::All),
    ("poststarthook/start-kube-apiserver-identity-lease-controller", At::All),
    ("poststarthook/start-kube-apiserver-identity-lease-garbage-collector", At::All),
    ("poststarthook/storage-readiness", At::All),
    ("poststarthook/start-legacy-token-tracking-controller", At::All),
    ("poststarthook/start-service-ip-repair-controllers", At::All),
    ("poststarthook/rbac/bootstrap-roles", At::All),
    ("poststarthook/scheduling/bootstrap-system-priority-classes", At::All),
    ("poststarthook/priority-and-fairness-config-producer", At::All),
    ("poststarthook/bootstrap-controller", At::All),
    ("poststarthook/start-kubernetes-service-cidr-controller", At::All),
    ("poststarthook/aggregator-reload-proxy-client-cert", At::All),
    ("poststarthook/start-kube-aggregator-informers", At::All),
    ("poststarthook/apiservice-status-local-available-controller", At::All),
    ("poststarthook/apiservice-status-remote-available-controller", At::All),
    ("poststarthook/apiservice-registration-controller", At::All),
    ("poststarthook/apiservice-wait-for-first-sync", At::All),
    ("poststarthook/apiservice-discovery-controller", At::All),
    ("poststarthook/kube-apiserver-autoregistration", At::All),
    ("autoregister-completion", At::All),
    ("poststarthook/apiservice-openapi-controller", At::All),
    ("poststarthook/apiservice-openapiv3-controller", At::All),
    ("shutdown", At::Ready),
];

const ENDPOINTS: [&str; 3] = ["healthz", "livez", "readyz"];

/// The checks of an endpoint.
fn checks(endpoint: &str) -> impl Iterator<Item = &'static str> {
    let other = if endpoint == "readyz" { At::Alive } else { At::Ready };
    CHECKS.iter().filter(move |(_, at)| *at != other).map(|(name, _)| *name)
}

/// The paths of all endpoints and their checks.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    ENDPOINTS.into_iter().flat_map(|endpoint| {
        std::iter::once(format!("/{endpoint}"))
            .chain(checks(endpoint).map(move |c| format!("/{endpoint}/{c}")))
    })
}

/// The answer at `/healthz`, `/livez`, `/readyz` or one of their checks; `None` at other paths. `failing` are the checks that do
/// not hold now. In the query, `verbose` asks for all checks, `exclude=` passes one over.
pub fn health(path: &str, query: &str, failing: &[&str]) -> Option<Document> {
    let path = path.strip_prefix('/')?;
    let (endpoint, check) = path.split_once('/').map_or((path, None), |(e, c)| (e, Some(c)));
    if !ENDPOINTS.contains(&endpoint) {
        return None;
    }
    if let Some(check) = check {
        checks(endpoint).find(|known| *known == check)?;
        return Some(if failing.contains(&check) {
            text(500, format!("internal server error: {check} failed\n"))
        } else {
            text(200, "ok".into())
        });
    }
    let pairs = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let excluded: Vec<&str> = pairs().filter(|(key, _)| *key == "exclude").map(|(_, value)| value).collect();
    let failed = checks(endpoint).any(|c| failing.contains(&c) && !excluded.contains(&c));
    if !failed && !pairs().any(|(key, _)| key == "verbose") {
        return Some(text(200, "ok".into()));
    }
    let mut out = String::new();
    for check in checks(endpoint) {
        let state = if excluded.contains(&check) {
            "excluded: ok"
        } else if failing.contains(&check) {
            "failed: reason withheld"
        } else {
            "ok"
        };
        let sign = if state.starts_with("failed") { '-' } else { '+' };
        let _ = writeln!(out, "[{sign}]{check} {state}");
    }
    let _ = writeln!(out, "{endpoint} check {}", if failed { "failed" } else { "passed" });
    Some(text(if failed { 500 } else { 200 }, out))
}

fn text(code: u16, body: String) -> Document {
    Document { code, ..Document::new("text/plain; charset=utf-8", body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::Value;

    fn answer(path: &str, query: &str, failing: &[&str]) -> (u16, String) {
        let document = health(path, query, failing).expect("there");
        (document.code, String::from_utf8(document.body.to_vec()).expect("text"))
    }

    #[test]
    fn failures_are_listed() {
        assert_eq!(answer("/livez", "", &["etcd"]).0, 500);
        assert!(answer("/livez", "", &["etcd"]).1.contains("[-]etcd failed: reason withheld\n"));
        assert_eq!(answer("/livez", "exclude=etcd", &["etcd"]), (200, "ok".into()));
        assert_eq!(answer("/readyz/etcd", "", &["etcd"]).0, 500);
        assert!(health("/healthz/nope", "", &[]).is_none() && health("/health", "", &[]).is_none());
    }

    #[test]
    fn answers_match_a_real_server() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/golden/cases/discovery/health-and-version.json"
        );
        let Ok(case) = std::fs::read(path) else {
            eprintln!("SKIPPED: {path} is missing");
            return;
        };
        let case: Value = serde_json::from_slice(&case).expect("JSON");
        let mut compared = 0;
        for step in case["steps"].as_array().expect("steps") {
            let (path, wanted) = (step["path"].as_str().unwrap_or(""), &step["expect"]);
            if wanted["code"] != 200 || !path.contains("z") || path.contains("openid") {
                continue;
            }
            let query = step["query"].as_object().into_iter().flatten();
            let query: Vec<String> =
                query.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
            assert_eq!(answer(path, &query.join("&"), &[]).1, wanted["text"], "{path} {query:?}");
            compared += 1;
        }
        assert!(compared > 15, "only {compared} compared");
    }
}
