//! Cron schedules: five fields, or `@daily` and its like, or `@every 1h30m`.

use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use object::time::duration;

/// A schedule whose next time is further away than this has none.
const HORIZON_DAYS: u32 = 366 * 5;

/// When something is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// At all minutes whose fields match.
    Fields(Fields),
    /// Time and again, whole seconds apart.
    Every(SignedDuration),
}

/// A bit for each value that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// `*` for day or weekday: then the other decides alone; else either is enough.
    any_day: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(word) = text.strip_prefix('@') {
            return Self::parse_word(text, word);
        }
        let parts: Vec<_> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
        };
        let star = |text: &str| text.starts_with('*') || text.starts_with('?');
        Ok(Self::Fields(Fields {
            minute: field(minute, 0, 59, &[])?,
            hour: field(hour, 0, 23, &[])?,
            day: field(day, 1, 31, &[])?,
            month: field(month, 1, 12, &MONTHS)?,
            weekday: field(weekday, 0, 6, &WEEKDAYS)?,
            any_day: star(day) || star(weekday),
        }))
    }

    fn parse_word(text: &str, word: &str) -> Result<Self, String> {
        let same = match word {
            "yearly" | "annually" => "0 0 1 1 *",
            "monthly" => "0 0 1 * *",
            "weekly" => "0 0 * * 0",
            "daily" | "midnight" => "0 0 * * *",
            "hourly" => "0 * * * *",
            _ => {
                let Some(every) = word.strip_prefix("every ") else {
                    return Err(format!("unrecognized descriptor: {text}"));
                };
                let nanoseconds = duration::parse(every)
                    .map_err(|error| format!("failed to parse duration {text}: {error}"))?;
                return Ok(Self::Every(SignedDuration::from_secs((nanoseconds / 1_000_000_000).max(1))));
            }
        };
        Self::parse(same)
    }

    /// The first time after `after`, in this time zone.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(period) => Timestamp::from_second(after.as_second()).ok()?.checked_add(*period).ok(),
            Self::Fields(fields) => fields.next(after, zone),
        }
    }
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = after.to_zoned(zone.clone()).date();
        for _ in 0..HORIZON_DAYS {
            if self.has_day(date)
                && let Some(found) = self.next_on(date, after, zone)
            {
                return Some(found);
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        let either = if self.any_day { day && weekday } else { day || weekday };
        has(self.month, date.month()) && either
    }

    fn next_on(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        for hour in (0..24).filter(|hour| has(self.hour, *hour)) {
            for minute in (0..60).filter(|minute| has(self.minute, *minute)) {
                let wanted = date.to_datetime(time(hour, minute, 0, 0));
                let Ok(zoned) = wanted.to_zoned(zone.clone()) else { continue };
                // A time that the clocks leave out does not come that day.
                if zoned.datetime() == wanted && zoned.timestamp() > after {
                    return Some(zoned.timestamp());
                }
            }
        }
        None
    }
}

fn has(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}

fn field(text: &str, min: u64, max: u64, names: &[&str]) -> Result<u64, String> {
    let mut bits = 0;
    for part in text.split(',') {
        bits |= range(part, min, max, names)?;
    }
    Ok(bits)
}

/// `*`, `a`, `a-b`, each with `/step`.
fn range(text: &str, min: u64, max: u64, names: &[&str]) -> Result<u64, String> {
    let (span, step) = match text.split_once('/') {
        Some((span, step)) => (span, Some(number(step)?)),
        None => (text, None),
    };
    let (first, last) = match span {
        "*" | "?" => (min, max),
        _ => match span.split_once('-') {
            Some((first, last)) => (value(first, min, names)?, value(last, min, names)?),
            None => {
                let first = value(span, min, names)?;
                (first, if step.is_some() { max } else { first })
            }
        },
    };
    if first < min {
        return Err(format!("beginning of range ({first}) below minimum ({min}): {text}"));
    }
    if last > max {
        return Err(format!("end of range ({last}) above maximum ({max}): {text}"));
    }
    if first > last {
        return Err(format!("beginning of range ({first}) beyond end of range ({last}): {text}"));
    }
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok((first..=last)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .fold(0, |bits, value| bits | 1 << value))
}

fn value(text: &str, min: u64, names: &[&str]) -> Result<u64, String> {
    let lower = text.to_lowercase();
    match names.iter().position(|name| *name == lower) {
        Some(index) => Ok(index as u64 + min),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let next = Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &zone);
        next.map_or("never".to_owned(), |time| time.to_string())
    }

    /// A schedule that got past validation, or was written before there was one.
    #[test]
    fn no_schedule_keeps_a_controller_busy_or_makes_it_fall() {
        let at: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        for odd in [
            "",
            "@",
            "@every",
            "@every ",
            "@every -1h",
            "@every 9999999h",
            "@every 1ns",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "*/0 * * * *",
            "*/18446744073709551615 * * * *",
            "18446744073709551616 * * * *",
            "5-1 * * * *",
            "- * * * *",
            ", * * * *",
            "1,, * * * *",
            "/ * * * *",
            "1/ * * * *",
            "1-2-3 * * * *",
            "0 0 31 2 *",
            "0 0 30 feb ?",
            "? ? ? ? ?",
            "0 0 * * 7",
            "0 0 * jan-dec sun-sat",
            "\u{0660} * * * *",
            "\u{212a} * * * *",
            "0 0 1 1 \u{0}",
        ] {
            let Ok(schedule) = Schedule::parse(odd) else { continue };
            let next = schedule.next(at, &TimeZone::UTC);
            assert!(next.is_none_or(|next| next > at), "{odd}");
            let last = schedule.next(Timestamp::MAX, &TimeZone::UTC);
            assert_eq!(last, None, "{odd}: there is no later time");
        }
    }

    #[test]
    fn the_next_time_is_found() {
        let at = "2026-01-31T10:07:30Z";
        for (schedule, wanted) in [
            ("*/5 * * * *", "2026-01-31T10:10:00Z"),
            ("7 10 * * *", "2026-02-01T10:07:00Z"),
            ("0 0 1 * *", "2026-02-01T00:00:00Z"),
            ("0 12 * * mon-FRI", "2026-02-02T12:00:00Z"),
            ("0 0 13 * 5", "2026-02-06T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("@hourly", "2026-01-31T11:00:00Z"),
            ("@every 90s", "2026-01-31T10:09:00Z"),
            ("0 0 31 2 *", "never"),
        ] {
            assert_eq!(next(schedule, at, "UTC"), wanted, "{schedule}");
        }
    }

    #[test]
    fn time_zones_and_their_gaps_count() {
        assert_eq!(next("30 9 * * *", "2026-07-01T00:00:00Z", "America/New_York"), "2026-07-01T13:30:00Z");
        // On 2026-03-08 there is no 02:30 in New York.
        assert_eq!(
            next("30 2 * * *", "2026-03-08T00:00:00-05:00", "America/New_York"),
            "2026-03-09T06:30:00Z"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "@never", "* * * * 7"]
        {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
