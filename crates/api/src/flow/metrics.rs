//! What flow control counts, in Prometheus' text form. Labels are names of objects, so there are as many as objects, and
//! no more than [`SHOWN`] of each kind.

use super::level::{Refusal, WAITS};
use super::{Configuration, Flow};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Schemas and levels beyond this many are not told of.
const SHOWN: usize = 100;

impl Flow {
    /// Everything, with a `# TYPE` line before each family.
    pub async fn text(&self) -> String {
        match self.config.read().await {
            Ok(config) => config.state.text(),
            Err(_) => String::new(),
        }
    }
}

fn number(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A name as the value of a label. (Names of objects hold nothing that needs more.)
fn label(name: &str) -> String {
    name.replace(['\\', '"', '\n'], "_")
}

impl Configuration {
    fn text(&self) -> String {
        let mut out = String::new();
        self.schemas_text(&mut out);
        self.levels_text(&mut out);
        out
    }

    // Writing to a String does not fail.
    fn schemas_text(&self, out: &mut String) {
        let schemas = || self.schemas.iter().take(SHOWN);
        let of = |schema: &super::Schema| {
            format!(
                "flow_schema=\"{}\",priority_level=\"{}\"",
                label(&schema.is.name),
                label(&schema.is.level)
            )
        };
        let _ = writeln!(out, "# TYPE apiserver_flowcontrol_dispatched_requests_total counter");
        for schema in schemas() {
            let count = number(&schema.dispatched);
            let _ =
                writeln!(out, "apiserver_flowcontrol_dispatched_requests_total{{{}}} {count}", of(schema));
        }
        let _ = writeln!(out, "# TYPE apiserver_flowcontrol_rejected_requests_total counter");
        for schema in schemas() {
            for reason in Refusal::ALL {
                let count = number(&schema.refused[reason as usize]);
                if count > 0 {
                    let name = reason.name();
                    let of = of(schema);
                    let _ = writeln!(
                        out,
                        "apiserver_flowcontrol_rejected_requests_total{{{of},reason=\"{name}\"}} {count}"
                    );
                }
            }
        }
    }

    fn levels_text(&self, out: &mut String) {
        let levels = || self.levels.values().take(SHOWN);
        type Gauge = fn((u32, u32, usize)) -> u64;
        let gauges: [(&str, Gauge); 4] = [
            ("nominal_limit_seats", |(limit, _, _)| limit.into()),
            ("current_limit_seats", |(limit, _, _)| limit.into()),
            ("current_executing_seats", |(_, taken, _)| taken.into()),
            ("current_inqueue_requests", |(_, _, waiting)| waiting as u64),
        ];
        for (name, value) in gauges {
            let _ = writeln!(out, "# TYPE apiserver_flowcontrol_{name} gauge");
            for level in levels().filter(|level| !level.settings.exempt) {
                let of = label(&level.settings.name);
                let value = value(level.state());
                let _ = writeln!(out, "apiserver_flowcontrol_{name}{{priority_level=\"{of}\"}} {value}");
            }
        }
        let name = "apiserver_flowcontrol_request_wait_duration_seconds";
        let _ = writeln!(out, "# TYPE {name} histogram");
        for level in levels().filter(|level| number(&level.waits.count) > 0) {
            let of = label(&level.settings.name);
            for (bucket, bound) in level.waits.buckets.iter().zip(WAITS) {
                let count = number(bucket);
                let _ = writeln!(out, "{name}_bucket{{priority_level=\"{of}\",le=\"{bound:?}\"}} {count}");
            }
            let (count, seconds) = (number(&level.waits.count), number(&level.waits.micros) as f64 / 1e6);
            let _ = writeln!(out, "{name}_bucket{{priority_level=\"{of}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "{name}_sum{{priority_level=\"{of}\"}} {seconds}");
            let _ = writeln!(out, "{name}_count{{priority_level=\"{of}\"}} {count}");
        }
    }
}
