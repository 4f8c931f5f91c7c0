//! What one API server counts, in Prometheus' text form under `/metrics`.
//!
//! Label sets are bounded whatever tenants do: verbs and codes are few, built-in resources are known, and all custom ones are
//! counted as one.

mod hooks;

pub(crate) use hooks::{Hooks, Outcome};

use crate::call::Call;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SyncLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// The counters of one API server, and of the syncer that serves it.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    watches: Gauge,
    syncs: Family<SyncLabels, Counter>,
    hooks: Hooks,
}

/// Seconds: from what memory answers to what a disk or webhook takes.
const BUCKETS: [f64; 8] = [0.0005, 0.002, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let seconds = Histogram::new(BUCKETS);
        let watches = Gauge::default();
        let syncs = Family::default();
        let mut registry = Registry::default();
        registry.register(
            "apiserver_request",
            "Requests answered, by verb, resource and code",
            requests.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Time until the answer begins",
            seconds.clone(),
        );
        registry.register("apiserver_longrunning_requests", "Watches and streams under way", watches.clone());
        registry.register(
            "joey_syncs",
            "Objects brought up to date with the host, by kind and outcome",
            syncs.clone(),
        );
        let hooks = Hooks::new(&mut registry);
        Self { registry, requests, seconds, watches, syncs, hooks }
    }
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn answered(&self, about: About, code: u16, took: Duration) {
        self.requests
            .get_or_create(&RequestLabels { verb: about.verb, resource: about.resource, code })
            .inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// What is counted of webhooks.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Counts a stream for as long as the guard lives.
    pub(crate) fn streaming(&self) -> Streaming {
        self.watches.inc();
        Streaming(self.watches.clone())
    }

    /// Counts an object that the syncer worked on.
    pub fn synced(&self, kind: &'static str, done: bool) {
        let outcome = if done { "done" } else { "failed" };
        self.syncs.get_or_create(&SyncLabels { kind, outcome }).inc();
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// One stream under way.
pub(crate) struct Streaming(Gauge);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What a request is counted as, and what the log says of it.
pub(crate) struct About {
    verb: &'static str,
    resource: String,
    /// Path without query: a query may hold what is nobody's business.
    pub path: String,
}

impl About {
    pub fn of(call: &Call) -> Self {
        let resource = match &call.info.resource {
            None => String::new(),
            Some(at) => {
                let known =
                    kinds::builtin().iter().any(|r| r.gvr.resource == at.resource && r.gvr.group == at.group);
                let name = if known { at.resource.as_str() } else { "custom" };
                // Of subresources only those that exist are told apart, so that nobody makes up labels.
                match at.subresource.as_str() {
                    sub @ ("status" | "scale" | "log" | "exec" | "attach" | "portforward" | "proxy"
                    | "token" | "binding" | "eviction") => {
                        format!("{name}/{sub}")
                    }
                    _ => name.to_owned(),
                }
            }
        };
        let verb = if call.info.verb.is_empty() { "other" } else { call.info.verb };
        Self { verb, resource, path: call.info.path.clone() }
    }

    pub fn verb(&self) -> &'static str {
        self.verb
    }
}
