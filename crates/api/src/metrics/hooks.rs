//! What is counted of webhooks: those that judge or change writes, and those that convert.
//!
//! Their names are for tenants to choose, so only so many are told apart; the rest are counted as `other`.

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::time::Duration;

/// Names beyond this many are not told apart.
const MAX_NAMES: usize = 200;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    rejected: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    code: String,
    rejected: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RejectionLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    error_type: &'static str,
    rejection_code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailOpenLabels {
    name: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    result: &'static str,
    failure_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConversionLabels {
    crd_name: String,
    from_version: String,
    to_version: String,
    succeeded: &'static str,
}

/// The counters of webhooks.
pub(crate) struct Hooks {
    names: Mutex<BTreeSet<String>>,
    seconds: Histograms<CallLabels>,
    requests: Family<RequestLabels, Counter>,
    rejections: Family<RejectionLabels, Counter>,
    fail_open: Family<FailOpenLabels, Counter>,
    conversions: Family<OutcomeLabels, Counter>,
    conversion_seconds: Histograms<OutcomeLabels>,
    definition_seconds: Histograms<ConversionLabels>,
}

/// How a call of an admission webhook ended.
pub(crate) enum Outcome {
    Allowed,
    /// Refused, with the code of its answer.
    Refused(u16),
    /// It could not be asked, or its answer was no good; what that did to the write.
    Failed {
        refused: bool,
    },
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0])
}

fn conversion_seconds() -> Histogram {
    Histogram::new([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0])
}

fn definition_seconds() -> Histogram {
    Histogram::new((0..15).map(|power| 0.001 * f64::from(1 << power)))
}

fn said(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

impl Hooks {
    pub fn new(registry: &mut Registry) -> Self {
        let hooks = Self {
            names: Mutex::default(),
            seconds: Family::new_with_constructor(seconds),
            requests: Family::default(),
            rejections: Family::default(),
            fail_open: Family::default(),
            conversions: Family::default(),
            conversion_seconds: Family::new_with_constructor(conversion_seconds),
            definition_seconds: Family::new_with_constructor(definition_seconds),
        };
        registry.register(
            "apiserver_admission_webhook_admission_duration_seconds",
            "Time a webhook took, by its name, operation and type",
            hooks.seconds.clone(),
        );
        registry.register(
            "apiserver_admission_webhook_request",
            "Calls of webhooks, by name, operation, type and code",
            hooks.requests.clone(),
        );
        // Upstream's counter has no `_total`, which the encoder adds to every counter.
        registry.register(
            "apiserver_admission_webhook_rejection_count",
            "Writes that webhooks refused, by name, operation, type and reason",
            hooks.rejections.clone(),
        );
        registry.register(
            "apiserver_admission_webhook_fail_open_count",
            "Failures of webhooks whose policy is to be ignored then",
            hooks.fail_open.clone(),
        );
        registry.register(
            "apiserver_conversion_webhook_request",
            "Calls of conversion webhooks, by result",
            hooks.conversions.clone(),
        );
        registry.register(
            "apiserver_conversion_webhook_duration_seconds",
            "Time a conversion webhook took",
            hooks.conversion_seconds.clone(),
        );
        registry.register(
            "apiserver_crd_conversion_webhook_duration_seconds",
            "Time a conversion took, by definition and versions",
            hooks.definition_seconds.clone(),
        );
        hooks
    }

    fn told_apart(&self, name: &str) -> String {
        let mut names = self.names.lock();
        if names.contains(name) {
            return name.to_owned();
        }
        if names.len() >= MAX_NAMES {
            return "other".to_owned();
        }
        names.insert(name.to_owned());
        name.to_owned()
    }

    /// Counts a call of an admission webhook; `kind` is `admit` or `validating`.
    pub fn called(
        &self,
        name: &str,
        kind: &'static str,
        operation: &'static str,
        outcome: &Outcome,
        took: Duration,
    ) {
        let name = self.told_apart(name);
        let (rejected, code) = match outcome {
            Outcome::Allowed => (false, 200),
            Outcome::Refused(code) => (true, *code),
            Outcome::Failed { refused } => (*refused, 600),
        };
        let labels = CallLabels { name: name.clone(), r#type: kind, operation, rejected: said(rejected) };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = RequestLabels {
            name: name.clone(),
            r#type: kind,
            operation,
            code: code.to_string(),
            rejected: said(rejected),
        };
        self.requests.get_or_create(&labels).inc();
        match outcome {
            Outcome::Failed { refused: false } => {
                self.fail_open.get_or_create(&FailOpenLabels { name, r#type: kind }).inc();
            }
            Outcome::Allowed => {}
            Outcome::Refused(_) | Outcome::Failed { .. } => {
                let failed = matches!(outcome, Outcome::Failed { .. });
                let error_type = if failed { "calling_webhook_error" } else { "no_error" };
                let rejection_code = if failed { "0".to_owned() } else { code.to_string() };
                let labels = RejectionLabels { name, r#type: kind, operation, error_type, rejection_code };
                self.rejections.get_or_create(&labels).inc();
            }
        }
    }

    /// Counts a conversion of objects of `definition`, and how it failed if it did.
    pub fn converted(
        &self,
        definition: &str,
        (from, to): (&str, &str),
        failure: Option<&'static str>,
        took: Duration,
    ) {
        let result = if failure.is_none() { "success" } else { "failure" };
        let labels = OutcomeLabels { result, failure_type: failure.unwrap_or("") };
        self.conversions.get_or_create(&labels).inc();
        self.conversion_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = ConversionLabels {
            crd_name: self.told_apart(definition),
            from_version: from.to_owned(),
            to_version: to.to_owned(),
            succeeded: said(failure.is_none()),
        };
        self.definition_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
