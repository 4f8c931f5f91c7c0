//! Numbers against their limits. Integers are compared as integers, as upstream does, and limits print as Go prints them.

use super::constraints::{Check, More, TypeSet};
use super::outcome::{Outcome, Place};
use object::FieldError;
use serde_json::{Number, Value};

/// Checks a number.
pub(super) fn check(check: &Check, more: &More, number: &Number, value: &Value, place: &Place) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let range =
        Range { integer: check.types.0 == TypeSet::INTEGER, format: more.format.as_deref().unwrap_or("") };
    if let Some(message) = range.refuse(number, "Checked", place) {
        outcome.add(place.unplaced(&message));
    }
    let mut limit = |limit: Option<f64>, what: &str, demand: &dyn Fn(f64) -> Option<String>| {
        let Some(limit) = limit else { return };
        if let Some(message) = Number::from_f64(limit).and_then(|l| range.refuse(&l, what, place)) {
            outcome.add(place.unplaced(&message));
        }
        if let Some(demand) = demand(limit) {
            outcome.add(place.invalid(value, &demand));
        }
    };
    let int = number.as_i64();
    let float = number.as_f64().unwrap_or(0.0);
    if let (Some(_), Some(factor)) = (int, more.multiple_of.map(|factor| factor as i64))
        && factor <= 0
    {
        let detail = format!("factor MultipleOf declared for {} must be positive: {factor}", place.name());
        outcome.add(FieldError::invalid(&place.path(), &factor.into(), &detail));
        return outcome;
    }
    limit(more.multiple_of, "MultipleOf", &|factor| {
        let whole = match int {
            Some(n) => n % (factor as i64) == 0,
            None if factor < 1.0 => is_whole(1.0 / factor * float),
            None => is_whole(float / factor),
        };
        (!whole && factor > 0.0).then(|| format!("should be a multiple of {}", spell(factor, int)))
    });
    limit(more.maximum, "Maximum boundary", &|max| {
        let over = match int {
            Some(n) => n > max as i64 || (more.exclusive_maximum && n == max as i64),
            None => float > max || (more.exclusive_maximum && float >= max),
        };
        let than = if more.exclusive_maximum { "less than" } else { "less than or equal to" };
        over.then(|| format!("should be {than} {}", spell(max, int)))
    });
    limit(more.minimum, "Minimum boundary", &|min| {
        let under = match int {
            Some(n) => n < min as i64 || (more.exclusive_minimum && n == min as i64),
            None => float < min || (more.exclusive_minimum && float <= min),
        };
        let than = if more.exclusive_minimum { "greater than" } else { "greater than or equal to" };
        under.then(|| format!("should be {than} {}", spell(min, int)))
    });
    outcome
}

/// The numbers that a type and format hold.
struct Range<'a> {
    integer: bool,
    format: &'a str,
}

impl Range<'_> {
    fn refuse(&self, number: &Number, what: &str, place: &Place) -> Option<String> {
        let float = number.as_f64().unwrap_or(0.0);
        let exact = number.as_i64().or_else(|| is_exact(float).then_some(float as i64));
        let fits = match (self.integer, self.format) {
            (true, "int32") => exact.is_some_and(|n| i32::try_from(n).is_ok()),
            (true, _) => exact.is_some(),
            (false, "float") => float.abs() <= f64::from(f32::MAX),
            _ => true,
        };
        if fits {
            return None;
        }
        let type_name = if self.integer { "integer" } else { "number" };
        Some(match self.format {
            "" => format!("{what} value must be of type {type_name} (default format) in {}", place.name()),
            format => {
                format!("{what} value must be of type {type_name} with format {format} in {}", place.name())
            }
        })
    }
}

fn is_exact(float: f64) -> bool {
    float.fract() == 0.0 && float.abs() < 9.3e18
}

/// Whole, but for an error of rounding upwards.
pub(super) fn is_whole(float: f64) -> bool {
    const MAX: f64 = 9_007_199_254_740_991.0;
    if float.is_nan() || float.abs() > MAX {
        return false;
    }
    let whole = float.trunc();
    float == whole || (whole != 0.0 && (float - whole).abs() / (float.abs() + whole.abs()) < 1e-9)
}

/// A limit as Go prints it beside a number: integers beside integers.
fn spell(limit: f64, beside: Option<i64>) -> String {
    match beside {
        Some(_) => (limit as i64).to_string(),
        None => go_float(limit),
    }
}

/// Go's `%v` of a float.
pub(super) fn go_float(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{float:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |d| ("-", d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    float.to_string()
}
