//! How fast a size may change: stabilization windows and policies. Pure but for the history that it is handed.

use jiff::Timestamp;
use serde_json::Value;

/// Before `behavior` says otherwise: shrink only after five minutes of lower recommendations.
const SHRINK_WINDOW: i64 = 300;

/// One direction's rules.
#[derive(Clone, Debug)]
struct Rules {
    window: i64,
    /// `Max`, `Min` or `Disabled`.
    select: String,
    /// Percent or pods, amount, seconds.
    policies: Vec<(bool, i64, i64)>,
}

/// All rules of an autoscaler.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    least: i64,
    most: i64,
    up: Rules,
    down: Rules,
}

impl Limits {
    pub(super) fn of(autoscaler: &Value, (least, most): (i64, i64)) -> Self {
        let behavior = &autoscaler["spec"]["behavior"];
        let up = Rules::of(&behavior["scaleUp"], 0, vec![(true, 100, 15), (false, 4, 15)]);
        let down = Rules::of(&behavior["scaleDown"], SHRINK_WINDOW, vec![(true, 100, 15)]);
        Self { least, most, up, down }
    }
}

impl Rules {
    fn of(rules: &Value, window: i64, policies: Vec<(bool, i64, i64)>) -> Self {
        let read = |policy: &Value| {
            Some((policy["type"] == "Percent", policy["value"].as_i64()?, policy["periodSeconds"].as_i64()?))
        };
        let own: Vec<_> = rules["policies"].as_array().into_iter().flatten().filter_map(read).collect();
        Self {
            window: rules["stabilizationWindowSeconds"].as_i64().unwrap_or(window),
            select: rules["selectPolicy"].as_str().unwrap_or("Max").to_owned(),
            policies: if own.is_empty() { policies } else { own },
        }
    }
}

/// What was recommended and done lately.
#[derive(Debug, Default)]
pub(super) struct History {
    recommendations: Vec<(i64, i64)>,
    /// Seconds and the change.
    changes: Vec<(i64, i64)>,
}

/// A size, and why it is not another.
pub(super) struct Limited {
    pub(super) replicas: i64,
    /// Reason and message of `AbleToScale`.
    pub(super) able: (&'static str, &'static str),
    /// Status, reason and message of `ScalingLimited`.
    pub(super) limited: (bool, &'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const FREE: (bool, &str, &str) =
    (false, "DesiredWithinRange", "the desired count is within the acceptable range");

impl History {
    /// Notes a change that was made.
    pub(super) fn scaled(&mut self, from: i64, to: i64, now: Timestamp) {
        let now = now.as_second();
        self.changes.retain(|(at, _)| now - at <= 3600);
        self.changes.push((now, to - from));
    }

    /// The size that may be had now of the one recommended.
    pub(super) fn limit(&mut self, limits: &Limits, current: i64, wanted: i64, now: Timestamp) -> Limited {
        let now = now.as_second();
        let longest = limits.up.window.max(limits.down.window);
        self.recommendations.retain(|(at, _)| now - at < longest.max(1));
        self.recommendations.push((now, wanted));
        let stable = self.stabilize(limits, current, wanted, now);
        let able = match stable - wanted {
            0 => READY,
            _ if stable > wanted => (
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            ),
            _ => (
                "ScaleUpStabilized",
                "recent recommendations were lower than current one, applying the lowest recent recommendation",
            ),
        };
        let (replicas, limited) = self.pace(limits, current, stable, now);
        Limited { replicas, able, limited }
    }

    fn stabilize(&self, limits: &Limits, current: i64, wanted: i64, now: i64) -> i64 {
        let within = |window: i64| {
            self.recommendations.iter().filter(move |(at, _)| now - at < window.max(1)).map(|(_, n)| *n)
        };
        let up = within(limits.up.window).fold(wanted, i64::min);
        let down = within(limits.down.window).fold(wanted, i64::max);
        current.max(up).min(down)
    }

    fn pace(
        &self,
        limits: &Limits,
        current: i64,
        wanted: i64,
        now: i64,
    ) -> (i64, (bool, &'static str, &'static str)) {
        let changed = |seconds: i64, sign: i64| -> i64 {
            self.changes
                .iter()
                .filter(|(at, by)| now - at < seconds && by.signum() == sign)
                .map(|(_, by)| by.abs())
                .sum()
        };
        if wanted > current {
            let fastest = limits.up.pick(current, 1, |seconds| changed(seconds, 1));
            let most = limits.most.min(fastest.unwrap_or(current));
            if wanted <= most {
                return (wanted, FREE);
            }
            let why = if most == limits.most {
                (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
            } else {
                (
                    true,
                    "ScaleUpLimit",
                    "the desired replica count is increasing faster than the maximum scale rate",
                )
            };
            return (most.max(current.min(limits.most)), why);
        }
        if wanted < current {
            let slowest = limits.down.pick(current, -1, |seconds| changed(seconds, -1));
            let least = limits.least.max(slowest.unwrap_or(current));
            if wanted >= least {
                return (wanted, FREE);
            }
            let why = if least == limits.least {
                (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
            } else {
                (
                    true,
                    "ScaleDownLimit",
                    "the desired replica count is decreasing faster than the maximum scale rate",
                )
            };
            return (least.min(current.max(limits.least)), why);
        }
        (wanted, FREE)
    }
}

impl Rules {
    /// The furthest size that the policies allow; `None` if none is allowed.
    fn pick(&self, current: i64, sign: i64, changed: impl Fn(i64) -> i64) -> Option<i64> {
        if self.select == "Disabled" {
            return None;
        }
        let bound = |(percent, value, seconds): &(bool, i64, i64)| {
            let start = current - sign * changed(*seconds);
            match (percent, sign > 0) {
                (false, _) => start + sign * value,
                (true, true) => (start as f64 * (1.0 + *value as f64 / 100.0)).ceil() as i64,
                (true, false) => (start as f64 * (1.0 - *value as f64 / 100.0)) as i64,
            }
        };
        let bounds = self.policies.iter().map(bound);
        let furthest = (self.select == "Min") != (sign > 0);
        if furthest { bounds.max() } else { bounds.min() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn growing_is_fast_within_bounds() {
        let limits = Limits::of(&json!({}), (1, 50));
        let grown = |current, wanted| History::default().limit(&limits, current, wanted, at(0)).replicas;
        assert_eq!((grown(1, 40), grown(10, 40), grown(30, 90)), (5, 20, 50));
    }

    #[test]
    fn shrinking_waits_for_the_window() {
        let limits = Limits::of(&json!({}), (1, 50));
        let mut history = History::default();
        assert_eq!(history.limit(&limits, 10, 10, at(0)).replicas, 10);
        let held = history.limit(&limits, 10, 2, at(100));
        assert_eq!((held.replicas, held.able.0), (10, "ScaleDownStabilized"));
        assert_eq!(history.limit(&limits, 10, 2, at(301)).replicas, 2);
    }

    #[test]
    fn policies_pace_over_their_period() {
        let behavior = json!({"spec": {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
            "scaleDown": {"selectPolicy": "Disabled"}}}});
        let limits = Limits::of(&behavior, (1, 50));
        let mut history = History::default();
        assert_eq!(history.limit(&limits, 5, 20, at(0)).replicas, 7);
        history.scaled(5, 7, at(0));
        let paced = history.limit(&limits, 7, 20, at(30));
        assert_eq!((paced.replicas, paced.limited.1), (7, "ScaleUpLimit"));
        assert_eq!(history.limit(&limits, 7, 20, at(61)).replicas, 9);
        assert_eq!(History::default().limit(&limits, 5, 1, at(0)).replicas, 5);
    }
}
