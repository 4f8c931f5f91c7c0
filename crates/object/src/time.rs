//! Timestamps as objects carry them (RFC 3339 in UTC), ages as people read them, and Go's durations.
//!
//! Only shells call [`now`]; everything else is given the time.

use jiff::Timestamp;

/// Nanoseconds of Go's units.
const SECOND: i64 = 1_000_000_000;
/// Go's layouts, as parse errors quote them.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const LAYOUT_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// The clock on the wall. For shells.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// `metav1.Time`: whole seconds, `2006-01-02T15:04:05Z`.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: `2006-01-02T15:04:05.000000Z`.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads RFC 3339 as Go does; the error is Go's text.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    parse_layout(text, LAYOUT)
}

/// As [`parse`], with a fraction demanded as a MicroTime has one.
pub fn parse_micro(text: &str) -> Result<Timestamp, String> {
    parse_layout(text, LAYOUT_MICRO)
}

/// Takes `count` digits off the front.
fn number(rest: &mut &str, count: usize) -> Option<i64> {
    let digits = rest.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    *rest = &rest[count..];
    digits.parse().ok()
}

fn parse_layout(text: &str, layout: &str) -> Result<Timestamp, String> {
    let head = format!("parsing time {}", crate::error::quote(text));
    let cannot = |rest: &str, element: &str| {
        let (rest, element) = (crate::error::quote(rest), crate::error::quote(element));
        format!("{head} as \"{layout}\": cannot parse {rest} as {element}")
    };
    let range = |what: &str| format!("{head}: {what} out of range");
    let mut rest = text;
    let mut values = [0; 6];
    let elements =
        [("2006", 4, "-"), ("01", 2, "-"), ("02", 2, "T"), ("15", 2, ":"), ("04", 2, ":"), ("05", 2, "")];
    for (value, (element, count, separator)) in values.iter_mut().zip(elements) {
        *value = number(&mut rest, count).ok_or_else(|| cannot(rest, element))?;
        match (element, *value) {
            ("01", m) if !(1..=12).contains(&m) => return Err(range("month")),
            ("15", h) if h > 23 => return Err(range("hour")),
            ("04", m) if m > 59 => return Err(range("minute")),
            ("05", s) if s > 59 => return Err(range("second")),
            _ => {}
        }
        rest = rest.strip_prefix(separator).ok_or_else(|| cannot(rest, separator))?;
    }
    let nanosecond = fraction(&mut rest, layout == LAYOUT_MICRO).ok_or_else(|| cannot(rest, ".000000"))?;
    let offset = zone(&mut rest).ok_or_else(|| cannot(rest, "Z07:00"))?;
    if !rest.is_empty() {
        return Err(format!("{head}: extra text: {}", crate::error::quote(rest)));
    }
    let [year, month, day, hour, minute, second] = values;
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).map_err(|_| range("day"))?;
    let civil = date.at(hour as i8, minute as i8, second as i8, nanosecond);
    let offset = jiff::tz::Offset::from_seconds(offset).map_err(|_| range("time zone offset hour"))?;
    offset.to_timestamp(civil).map_err(|_| range("year"))
}

/// Nanoseconds of `.123`; exactly six digits where a layout names them. `None` when they are missing there.
fn fraction(rest: &mut &str, micro: bool) -> Option<i32> {
    let Some(tail) = rest.strip_prefix(['.', ',']) else { return (!micro).then_some(0) };
    let length = tail.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(tail.len());
    if length == 0 || micro && length != 6 {
        return (!micro).then_some(0);
    }
    let digits = &tail[..length];
    *rest = &tail[length..];
    format!("{digits:0<9}")[..9].parse().ok()
}

/// Seconds east of UTC of `Z` or `+07:00`.
fn zone(rest: &mut &str) -> Option<i32> {
    if let Some(tail) = rest.strip_prefix('Z') {
        *rest = tail;
        return Some(0);
    }
    let mut tail = *rest;
    let sign = if tail.starts_with('-') { -1 } else { 1 };
    tail = tail.strip_prefix(['+', '-'])?;
    let hours = number(&mut tail, 2)?;
    tail = tail.strip_prefix(':')?;
    let minutes = number(&mut tail, 2)?;
    *rest = tail;
    Some(sign * (hours * 3600 + minutes * 60) as i32)
}

/// Whether `name` is an IANA time zone that this system's database knows.
pub fn is_time_zone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

/// Seconds from `since` (RFC 3339 text) to `now`; `None` if the text is no time.
pub fn age_seconds(since: &str, now: Timestamp) -> Option<i64> {
    Some(now.as_second() - parse(since).ok()?.as_second())
}

/// How old something made at `since` is, as `kubectl get` shows it; `<unknown>` without a time.
pub fn age(since: Option<&str>, now: Timestamp) -> String {
    since.and_then(|t| age_seconds(t, now)).map_or_else(|| "<unknown>".into(), duration::human)
}

/// Lengths of time.
pub mod duration {
    use super::SECOND;

    /// kubectl's `HumanDuration` of so many seconds: two or three significant figures.
    pub fn human(seconds: i64) -> String {
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        let (days, years) = (hours / 24, hours / 24 / 365);
        let pair = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
            0 => format!("{big}{unit}"),
            _ => format!("{big}{unit}{small}{small_unit}"),
        };
        match seconds {
            ..-1 => "<invalid>".into(),
            -1 => "0s".into(),
            _ if seconds < 120 => format!("{seconds}s"),
            _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
            _ if minutes < 180 => format!("{minutes}m"),
            _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
            _ if hours < 48 => format!("{hours}h"),
            _ if hours < 24 * 8 => pair(days, "d", hours % 24, "h"),
            _ if hours < 24 * 365 * 2 => format!("{days}d"),
            _ if hours < 24 * 365 * 8 => pair(years, "y", days % 365, "d"),
            _ => format!("{years}y"),
        }
    }

    /// kubectl's `ShortHumanDuration`: one unit.
    pub fn short_human(seconds: i64) -> String {
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        match seconds {
            ..-1 => "<invalid>".into(),
            -1 => "0s".into(),
            _ if seconds < 60 => format!("{seconds}s"),
            _ if minutes < 60 => format!("{minutes}m"),
            _ if hours < 24 => format!("{hours}h"),
            _ if hours < 24 * 365 => format!("{}d", hours / 24),
            _ => format!("{}y", hours / 24 / 365),
        }
    }

    /// A Go duration of so many nanoseconds: `1h2m3.5s`, `150ms`, `0s`.
    pub fn format(nanoseconds: i64) -> String {
        let total = nanoseconds.unsigned_abs();
        let sign = if nanoseconds < 0 { "-" } else { "" };
        let decimal = |unit: u64| {
            let text = format!("{}.{:0width$}", total / unit, total % unit, width = unit.ilog10() as usize);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let second = SECOND as u64;
        match total {
            0 => "0s".into(),
            1..1_000 => format!("{sign}{total}ns"),
            1_000..1_000_000 => format!("{sign}{}µs", decimal(1_000)),
            1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
            _ => {
                let (minutes, rest) = (total / second / 60, total % (60 * second));
                let seconds = format!("{}.{:09}", rest / second, rest % second);
                let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
                match minutes {
                    0 => format!("{sign}{seconds}s"),
                    1..60 => format!("{sign}{minutes}m{seconds}s"),
                    _ => format!("{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60),
                }
            }
        }
    }

    /// Nanoseconds of a Go duration; the error is Go's text.
    pub fn parse(text: &str) -> Result<i64, String> {
        let invalid = || format!("time: invalid duration {}", crate::error::quote(text));
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(0);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let length = rest.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(length);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if whole.len() + fraction.len() == 0 || fraction.contains('.') || whole.len() > 19 {
                return Err(invalid());
            }
            let length = tail.bytes().position(|b| b.is_ascii_digit() || b == b'.').unwrap_or(tail.len());
            let (unit_name, tail) = tail.split_at(length);
            if unit_name.is_empty() {
                return Err(format!("time: missing unit in duration {}", crate::error::quote(text)));
            }
            let unit = unit(unit_name).ok_or_else(|| {
                let quote = crate::error::quote;
                format!("time: unknown unit {} in duration {}", quote(unit_name), quote(text))
            })?;
            let fraction = &fraction[..fraction.len().min(18)];
            total += whole.parse::<i128>().unwrap_or(0) * i128::from(unit);
            total +=
                fraction.parse::<i128>().unwrap_or(0) * i128::from(unit) / 10i128.pow(fraction.len() as u32);
            if total > i128::from(i64::MAX) + i128::from(negative) {
                return Err(invalid());
            }
            rest = tail;
        }
        i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
    }

    fn unit(name: &str) -> Option<i64> {
        Some(match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn ages_of_people() {
            for (seconds, shown) in [
                (-5, "<invalid>"),
                (-1, "0s"),
                (0, "0s"),
                (119, "119s"),
                (120, "2m"),
                (121, "2m1s"),
                (3600, "60m"),
                (3 * 3600, "3h"),
                (7 * 3600 + 60, "7h1m"),
                (9 * 3600, "9h"),
                (3 * 86400 + 3600, "3d1h"),
                (9 * 86400, "9d"),
                (800 * 86400, "2y70d"),
                (4000 * 86400, "10y"),
            ] {
                assert_eq!(human(seconds), shown, "{seconds}");
            }
        }

        #[test]
        fn go_durations() {
            for text in ["1h2m3.5s", "150ms", "0s", "1.5µs", "2m0s", "-1s", "7ns"] {
                assert_eq!(format(parse(text).expect(text)), text);
            }
            assert_eq!(parse("1h"), Ok(3600 * SECOND));
            assert_eq!(parse("1"), Err("time: missing unit in duration \"1\"".into()));
            assert_eq!(parse("1x"), Err("time: unknown unit \"x\" in duration \"1x\"".into()));
            assert!(parse("99999999999h").is_err() && parse("").is_err() && parse(".s").is_err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        let time = parse("2026-11-22T17:00:01+02:00").expect("valid");
        assert_eq!(format(time), "2026-11-22T15:00:01Z");
        assert_eq!(format_micro(time), "2026-11-22T15:00:01.000000Z");
        assert_eq!(
            format_micro(parse_micro("2026-11-22T15:00:01.123456Z").expect("valid")),
            "2026-11-22T15:00:01.123456Z"
        );
        assert_eq!(format(parse("2026-11-22T15:00:01.9Z").expect("valid")), "2026-11-22T15:00:01Z");
    }

    #[test]
    fn refusals_are_gos() {
        let layout = "2006-01-02T15:04:05Z07:00";
        for (text, rest, element) in [
            ("x", "x", "2006"),
            ("", "", "2006"),
            ("2026-11-22", "", "T"),
            ("2026-11-22 15:00:00Z", " 15:00:00Z", "T"),
        ] {
            let message =
                format!("parsing time \"{text}\" as \"{layout}\": cannot parse \"{rest}\" as \"{element}\"");
            assert_eq!(parse(text), Err(message));
        }
        assert_eq!(
            parse("2026-13-01T00:00:00Z"),
            Err("parsing time \"2026-13-01T00:00:00Z\": month out of range".into())
        );
        assert_eq!(
            parse("2026-02-30T00:00:00Z"),
            Err("parsing time \"2026-02-30T00:00:00Z\": day out of range".into())
        );
        assert_eq!(
            parse("2026-02-03T00:00:00Zx"),
            Err("parsing time \"2026-02-03T00:00:00Zx\": extra text: \"x\"".into())
        );
    }

    #[test]
    fn ages() {
        let now = parse("2026-11-22T15:00:00Z").expect("valid");
        assert_eq!(age(Some("2026-11-22T14:58:59Z"), now), "61s");
        assert_eq!(age(None, now), "<unknown>");
    }
}
