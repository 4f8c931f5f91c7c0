//! CronJobs, and the schedules they are written in.

use super::invalid_selector;
use super::job::job_spec;
use crate::node::{Errors, Node, check_non_negative, check_required_supported};
use object::{FieldError, names};
use serde_json::Value;

/// A CronJob.
pub fn cron_job(e: &mut Errors, object: &Value) {
    cron_job_spec(e, object, None);
    let name = Node::root(object).get("metadata").get("name");
    if name.len() > names::CRON_JOB_NAME_MAX {
        e.push(name.invalid(&names::max_length_error(names::CRON_JOB_NAME_MAX)));
    }
}

/// An update of a CronJob: an old name may be too long, an old schedule may name a zone.
pub fn cron_job_update(e: &mut Errors, new: &Value, old: &Value) {
    cron_job_spec(e, new, Some(old));
}

fn cron_job_spec(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let spec = Node::root(object).get("spec");
    let (schedule, zone) = (spec.get("schedule"), spec.get("timeZone"));
    if schedule.is_empty() {
        e.push(schedule.required(""));
    } else {
        if let Err(problem) = parse_schedule(schedule.text()) {
            e.push(schedule.invalid(&problem));
        }
        let allowed = old.is_some_and(|o| o["spec"]["schedule"].as_str().is_some_and(|s| s.contains("TZ")));
        if schedule.text().contains("TZ") {
            if !allowed {
                e.push(schedule.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
            } else if zone.is_set() {
                e.push(schedule.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule"));
            }
        }
    }
    check_non_negative(e, &spec.get("startingDeadlineSeconds"));
    if old.is_none_or(|old| &old["spec"]["timeZone"] != zone.value) {
        time_zone(e, &zone);
    }
    check_required_supported(e, &spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    job_template(e, &spec.get("jobTemplate").get("spec"));
    check_non_negative(e, &spec.get("successfulJobsHistoryLimit"));
    check_non_negative(e, &spec.get("failedJobsHistoryLimit"));
}

fn job_template(e: &mut Errors, spec: &Node<'_>) {
    job_spec(e, spec);
    if spec.get("selector").is_set() {
        e.push(invalid_selector(&spec.get("selector"), "`selector` will be auto-generated"));
    }
    let manual = spec.get("manualSelector");
    if manual.is_true() {
        e.push(FieldError::not_supported(&manual.path, manual.value, &["nil", "false"]));
    }
}

fn time_zone(e: &mut Errors, zone: &Node<'_>) {
    if !zone.is_set() {
        return;
    }
    if zone.is_empty() {
        e.push(zone.invalid("timeZone must be nil or non-empty string"));
        return;
    }
    let unknown = format!("unknown time zone {}", zone.text());
    let part_ok = |part: &str| {
        let characters =
            part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'));
        !matches!(part, "." | "..") && !part.starts_with('-') && characters && (1..=14).contains(&part.len())
    };
    if !zone.text().split('/').all(part_ok) {
        e.push(zone.invalid(&unknown));
    } else if zone.text().eq_ignore_ascii_case("Local") {
        e.push(
            zone.invalid(
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            ),
        );
    } else if zone.text() != "UTC" && !object::time::is_time_zone(zone.text()) {
        e.push(zone.invalid(&unknown));
    }
}

const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Bounds and names of one field of a schedule.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const FIELDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: &MONTHS },
    Bounds { min: 0, max: 6, names: &DAYS },
];

/// Whether the cron library that Kubernetes uses understands `schedule`; the error is its text.
fn parse_schedule(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    for prefix in ["TZ=", "CRON_TZ="] {
        if let Some(tail) = schedule.strip_prefix(prefix) {
            let (zone, tail) =
                tail.split_once(' ').ok_or_else(|| "runtime error: slice bounds out of range".to_owned())?;
            if zone != "UTC" && zone != "Local" && !object::time::is_time_zone(zone) {
                return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
            }
            rest = tail.trim();
        }
    }
    if let Some(every) = rest.strip_prefix("@every ") {
        let failed = |problem| format!("failed to parse duration {rest}: {problem}");
        return object::time::duration::parse(every).map(|_| ()).map_err(failed);
    }
    if rest.starts_with('@') {
        let known = DESCRIPTORS.contains(&rest);
        return if known { Ok(()) } else { Err(format!("unrecognized descriptor: {rest}")) };
    }
    let fields: Vec<_> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, bounds) in fields.iter().zip(&FIELDS) {
        for expression in field.split(',').filter(|x| !x.is_empty()) {
            range(expression, bounds)?;
        }
    }
    Ok(())
}

fn range(expression: &str, bounds: &Bounds) -> Result<(), String> {
    let parts: Vec<_> = expression.split('/').collect();
    let ends: Vec<_> = parts[0].split('-').collect();
    let single = ends.len() == 1;
    let (start, mut end);
    if matches!(ends[0], "*" | "?") {
        (start, end) = (bounds.min, bounds.max);
    } else {
        start = number_or_name(ends[0], bounds)?;
        end = match ends.len() {
            1 => start,
            2 => number_or_name(ends[1], bounds)?,
            _ => return Err(format!("too many hyphens: {expression}")),
        };
    }
    let step = match parts.len() {
        1 => 1,
        2 => {
            let step = number(parts[1])?;
            if single {
                end = bounds.max;
            }
            step
        }
        _ => return Err(format!("too many slashes: {expression}")),
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {expression}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {expression}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u32, String> {
    match bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(index) => Ok(index as u32 + bounds.min),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(n) if n < 0 => Err(format!("negative number ({n}) not allowed: {text}")),
        Ok(n) => Ok(u32::try_from(n).unwrap_or(u32::MAX)),
        Err(_) => {
            let quoted = object::error::quote(text);
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for ok in [
            "* * * * *",
            "*/5 1-3 1,15 jan-mar MON",
            "@daily",
            "@every 1h30m",
            "0 0 ? * 6/1",
            "TZ=UTC 0 0 * * *",
        ] {
            assert_eq!(parse_schedule(ok), Ok(()), "{ok}");
        }
        for (bad, message) in [
            ("every day", "expected exactly 5 fields, found 2: [every day]"),
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("@never", "unrecognized descriptor: @never"),
        ] {
            assert_eq!(parse_schedule(bad), Err(message.into()), "{bad}");
        }
    }
}
