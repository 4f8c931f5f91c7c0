//! Resource quantities: exact decimal numbers with the suffixes `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei` or an exponent.
//!
//! Printing follows upstream: the kind of suffix is kept, the number is normalised, and text that is already in
//! (nearly) canonical form comes back as it was written. Finer than `1n` rounds up; binary amounts are capped at 2^63-1.
//! Mantissas of more than 38 digits lose their last digits; upstream keeps them.

use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// Which suffixes a quantity prints with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    #[default]
    DecimalSi,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number does not parse.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// Unknown suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact amount, `mantissa × 10^scale`.
#[derive(Clone, Debug, Default)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
    /// The text as written, where upstream would print just that.
    text: Option<Box<str>>,
}

const NANO: i32 = -9;
const MAX_DIGITS: usize = 38;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// A quantity's text, taken apart.
struct Parts<'a> {
    negative: bool,
    /// Without leading zeros, `0` if nothing is left.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn digits_end(text: &str) -> usize {
    text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len())
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
    let (whole, rest) = rest.split_at(digits_end(rest));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_end(rest)),
        None => ("", rest),
    };
    let suffix = rest;
    let letters = rest.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let number = letters.strip_prefix(['-', '+']).filter(|_| !letters.is_empty()).unwrap_or(letters);
    if digits_end(number) != number.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
}

enum Suffix {
    Ten(i32, Format),
    Two(u32),
}

fn interpret(suffix: &str) -> Result<Suffix, QuantityError> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Ok(Suffix::Ten(*exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok(Suffix::Two(*exponent));
    }
    let exponent =
        suffix.strip_prefix(['e', 'E']).and_then(|n| n.parse::<i64>().ok()).ok_or(QuantityError::Suffix)?;
    // Far outside what can be printed or added; upstream wraps around here.
    Ok(Suffix::Ten(exponent.clamp(-1_000_000, 1_000_000) as i32, Format::DecimalExponent))
}

impl Quantity {
    /// `value × 10^scale`, printed with `format`.
    pub fn new(value: i64, scale: i32, format: Format) -> Self {
        Self { mantissa: value.into(), scale, format, text: None }
    }

    /// A whole number.
    pub fn from_int(value: i64) -> Self {
        Self::new(value, 0, Format::DecimalSi)
    }

    /// Thousandths.
    pub fn from_milli(value: i64) -> Self {
        Self::new(value, -3, Format::DecimalSi)
    }

    /// Reads a quantity's text.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let parts = split(text)?;
        let suffix = interpret(parts.suffix)?;
        let digits = format!("{}{}", parts.whole, parts.fraction);
        if !text.bytes().any(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Numeric);
        }
        let significant = digits.trim_start_matches('0');
        let dropped = significant.len().saturating_sub(MAX_DIGITS);
        let kept = &significant[..significant.len() - dropped];
        let mantissa: i128 =
            if kept.is_empty() { 0 } else { kept.parse().map_err(|_| QuantityError::Numeric)? };
        let scale = dropped as i32 - parts.fraction.len() as i32;
        let mut quantity = match suffix {
            Suffix::Ten(exponent, format) => Self { mantissa, scale: scale + exponent, format, text: None },
            Suffix::Two(exponent) => binary(mantissa, scale, exponent),
        };
        quantity.round_up_to_nano();
        if quantity.format == Format::BinarySi && quantity.fraction_of_one() {
            quantity.format = Format::DecimalSi;
        }
        if parts.negative {
            quantity.mantissa = -quantity.mantissa;
        }
        if printed_as_written(&parts, &suffix, &digits) {
            quantity.text = Some(text.into());
        }
        Ok(quantity)
    }

    /// Reads a JSON string or number.
    pub fn from_json(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(QuantityError::Format),
        }
    }

    fn round_up_to_nano(&mut self) {
        if self.scale < NANO {
            self.mantissa = divide_up(self.mantissa, NANO.saturating_sub(self.scale));
            self.scale = NANO;
        }
    }

    fn fraction_of_one(&self) -> bool {
        self.mantissa > 0 && *self < Self::from_int(1)
    }

    /// The kind of suffix it prints with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// True for nothing at all.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// Whole units, rounded up, within an i64.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// Thousandths, rounded up, within an i64.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// Units of `10^scale`, rounded up, within an i64.
    pub fn scaled_value(&self, scale: i32) -> i64 {
        let shift = self.scale.saturating_sub(scale);
        let value =
            if shift >= 0 { multiply(self.mantissa, shift) } else { divide_up(self.mantissa, -shift) };
        value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Whether it is a whole number of units.
    pub fn is_integer(&self) -> bool {
        self.scale >= 0 || power_of_ten(-self.scale).map_or(self.mantissa == 0, |p| self.mantissa % p == 0)
    }

    /// An approximation, for ratios.
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// The sum; a zero takes the other's format.
    pub fn add(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let scale = self.scale.min(other.scale);
        let at = |q: &Self| multiply(q.mantissa, q.scale.saturating_sub(scale));
        Self { mantissa: at(self).saturating_add(at(other)), scale, format, text: None }
    }

    /// The difference; a zero takes the other's format.
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.negated())
    }

    /// The same amount below zero (or back above).
    pub fn negated(&self) -> Self {
        Self { mantissa: self.mantissa.saturating_neg(), text: None, ..self.clone() }
    }

    /// As upstream keeps the text of what it parsed: `1.500` stays, `1.5` becomes `1500m`.
    fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".into();
        }
        let small = self.mantissa.unsigned_abs() < 1024 && self.scale <= 0 || self.abs_below_1024();
        match self.format {
            Format::BinarySi if !small && self.is_integer() => self.binary_text(),
            Format::DecimalExponent => self.decimal_text(Format::DecimalExponent),
            _ => self.decimal_text(Format::DecimalSi),
        }
    }

    fn abs_below_1024(&self) -> bool {
        let positive = Self { mantissa: self.mantissa.saturating_abs(), ..self.clone() };
        positive < Self::from_int(1024)
    }

    fn binary_text(&self) -> String {
        let mut number = if self.scale >= 0 {
            multiply(self.mantissa, self.scale)
        } else {
            divide_up(self.mantissa, -self.scale)
        };
        let mut suffix = "";
        for (next, _) in BINARY {
            if number % 1024 != 0 {
                break;
            }
            number /= 1024;
            suffix = next;
        }
        format!("{number}{suffix}")
    }

    fn decimal_text(&self, format: Format) -> String {
        let (mut number, mut exponent) = (self.mantissa, self.scale);
        while number % 10 == 0 {
            number /= 10;
            exponent += 1;
        }
        let highest = if format == Format::DecimalSi { 18 } else { i32::MAX };
        while exponent % 3 != 0 || exponent > highest {
            match number.checked_mul(10) {
                Some(more) => number = more,
                None => break,
            }
            exponent -= 1;
        }
        match format {
            Format::DecimalExponent if exponent == 0 => number.to_string(),
            Format::DecimalExponent => format!("{number}e{exponent}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, e)| *e == exponent).map_or("", |(s, _)| s);
                format!("{number}{suffix}")
            }
        }
    }
}

/// Whether upstream's fast path keeps the text it read as the printed form.
fn printed_as_written(parts: &Parts<'_>, suffix: &Suffix, digits: &str) -> bool {
    let count = digits.len() as i64;
    match suffix {
        Suffix::Ten(exponent, _) => {
            let scale = exponent - parts.fraction.len() as i32;
            count <= 18
                && scale >= NANO
                && scale % 3 == 0
                && !digits.ends_with("000")
                && !digits.starts_with('0')
        }
        Suffix::Two(exponent) => {
            let precision = 15 - parts.whole.len() as i64 - i64::from(*exponent) * 3 / 10 - 1;
            let multiple_of_eight = digits.parse::<u64>().is_ok_and(|n| n % 8 == 0);
            parts.fraction.is_empty() && precision >= 0 && !multiple_of_eight
        }
    }
}

/// `mantissa × 10^scale × 2^exponent`, capped at 2^63-1.
fn binary(mantissa: i128, scale: i32, exponent: u32) -> Quantity {
    let cap = Quantity { mantissa: i64::MAX.into(), scale: 0, format: Format::BinarySi, text: None };
    match mantissa.checked_mul(1 << exponent) {
        Some(mantissa) => {
            let exact = Quantity { mantissa, scale, format: Format::BinarySi, text: None };
            if exact > cap { cap } else { exact }
        }
        // Too many digits to multiply exactly: all but the first 18 are beyond any real amount's precision.
        None => {
            let coarse = Quantity {
                mantissa: mantissa / 10i128.pow(20) * (1 << exponent),
                scale: scale + 20,
                ..cap.clone()
            };
            if coarse > cap { cap } else { coarse }
        }
    }
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10i128.checked_pow(u32::try_from(exponent).ok()?)
}

fn multiply(value: i128, exponent: i32) -> i128 {
    match power_of_ten(exponent) {
        Some(power) => value.saturating_mul(power),
        None if value == 0 => 0,
        None if value > 0 => i128::MAX,
        None => i128::MIN,
    }
}

/// `value / 10^exponent`, towards positive infinity.
fn divide_up(value: i128, exponent: i32) -> i128 {
    let Some(power) = power_of_ten(exponent) else { return i128::from(value > 0) };
    value.div_euclid(power) + i128::from(value.rem_euclid(power) != 0)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By amount; formats do not matter.
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale || self.signum() != other.signum() || self.is_zero() {
            return if self.scale == other.scale {
                self.mantissa.cmp(&other.mantissa)
            } else {
                self.signum().cmp(&other.signum())
            };
        }
        let digits = |q: &Self| i64::from(q.mantissa.unsigned_abs().ilog10()) + i64::from(q.scale);
        let by_size = digits(self).cmp(&digits(other));
        if by_size != Ordering::Equal {
            return if self.signum() > 0 { by_size } else { by_size.reverse() };
        }
        // Of the same magnitude: the one with the higher scale has room to be spelled at the lower one.
        let scale = self.scale.min(other.scale);
        let at = |q: &Self| multiply(q.mantissa, q.scale - scale);
        at(self).cmp(&at(other))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).expect(text)
    }

    #[test]
    fn prints_as_upstream() {
        for (given, printed) in [
            ("0", "0"),
            ("0.0", "0"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("1500m", "1500m"),
            ("1024Ki", "1Mi"),
            ("1025Ki", "1025Ki"),
            ("1Gi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1.5Gi", "1536Mi"),
            ("2048Mi", "2Gi"),
            ("1000k", "1M"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("12E", "12E"),
            ("1E3", "1E3"),
            ("0.1n", "1n"),
            ("100u", "100u"),
            ("-1.5", "-1500m"),
            ("1.500", "1.500"),
            ("8Ki", "8Ki"),
            ("0.5Ki", "512"),
            ("0.0001Ki", "102400u"),
            ("99999999Ei", "9223372036854775807"),
            ("1.", "1."),
            (".5", "500m"),
            ("1000000000000000000000", "1000E"),
            ("16Ei", "9223372036854775807"),
        ] {
            assert_eq!(q(given).to_string(), printed, "{given}");
        }
    }

    #[test]
    fn refuses() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1x", QuantityError::Format),
            ("1KI", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1K", QuantityError::Suffix),
            ("1 ", QuantityError::Format),
            ("1.2.3", QuantityError::Format),
            ("1e1.5", QuantityError::Format),
            (".", QuantityError::Numeric),
            ("1e", QuantityError::Suffix),
        ] {
            assert_eq!(Quantity::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn compares_and_adds() {
        assert!(q("1Ki") > q("1k"));
        assert_eq!(q("1000m"), q("1"));
        assert!(q("-2") < q("-1"));
        assert!(q("1e1000000") > q("1"));
        assert!(q("0") > q("-1n"));
        assert_eq!(q("1Gi").add(&q("512Mi")).to_string(), "1536Mi");
        assert_eq!(q("0").add(&q("512Mi")).to_string(), "512Mi");
        assert_eq!(q("1").sub(&q("300m")).to_string(), "700m");
        assert_eq!(q("1e1000000").add(&q("1n")).signum(), 1);
    }

    #[test]
    fn rounds_up() {
        assert_eq!((q("1500m").value(), q("1u").milli_value(), q("-1500m").value()), (2, 1, -1));
        assert_eq!(q("1e30").value(), i64::MAX);
        assert_eq!(q("2").milli_value(), 2000);
        assert!(q("1000m").is_integer() && !q("1m").is_integer());
    }
}
