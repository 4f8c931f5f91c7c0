//! Parts of timestamps and durations.

use super::fail;
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;
use jiff::Zoned;
use jiff::tz::{Offset, TimeZone};

macro_rules! part {
    ($library:ident, $name:literal, $part:expr) => {
        $library.add(
            &[concat!("timestamp->", $name, "(): int"), concat!("timestamp->", $name, "(string): int")],
            |_, args| {
                let part: fn(&Zoned) -> i64 = $part;
                Ok(Value::Int(part(&zoned(args)?)))
            },
        );
    };
}

pub(super) fn register(library: &mut Library) {
    part!(library, "getFullYear", |t| t.year().into());
    part!(library, "getMonth", |t| i64::from(t.month()) - 1);
    part!(library, "getDayOfYear", |t| i64::from(t.day_of_year()) - 1);
    part!(library, "getDayOfMonth", |t| i64::from(t.day()) - 1);
    part!(library, "getDate", |t| t.day().into());
    part!(library, "getDayOfWeek", |t| i64::from(t.weekday().to_sunday_zero_offset()));
    part!(library, "getHours", |t| t.hour().into());
    part!(library, "getMinutes", |t| t.minute().into());
    part!(library, "getSeconds", |t| t.second().into());
    part!(library, "getMilliseconds", |t| t.millisecond().into());
    library.add(&["duration->getHours(): int"], |_, a| unit(a, 3_600_000_000_000));
    library.add(&["duration->getMinutes(): int"], |_, a| unit(a, 60_000_000_000));
    library.add(&["duration->getSeconds(): int"], |_, a| unit(a, 1_000_000_000));
    library.add(&["duration->getMilliseconds(): int"], milliseconds);
}

fn unit<'a>(args: &[Value<'a>], nanoseconds: i64) -> Result<Value<'a>> {
    match &args[0] {
        Value::Duration(n) => Ok(Value::Int(n / nanoseconds)),
        _ => Err(EvalError::no_overload()),
    }
}

fn milliseconds<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    unit(args, 1_000_000)
}

fn zoned(args: &[Value<'_>]) -> Result<Zoned> {
    let Value::Timestamp(time) = &args[0] else { return Err(EvalError::no_overload()) };
    let zone = match args.get(1).map(Value::as_str).transpose()? {
        None => TimeZone::UTC,
        Some(name) => zone(name).map_or_else(|| fail(format!("unknown time zone {name}")), Ok)?,
    };
    Ok(time.to_zoned(zone))
}

/// A zone by name or as `+01:30`.
fn zone(name: &str) -> Option<TimeZone> {
    let Some((hours, minutes)) = name.split_once(':') else {
        return if name.is_empty() { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() };
    };
    let negative = hours.starts_with('-');
    let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
    let minutes: i32 = minutes.parse().ok()?;
    if hours > 24 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    Some(TimeZone::fixed(Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?))
}
