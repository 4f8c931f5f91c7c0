//! The clauses of `format`: `%s`, `%.3f` and so on.

/// What comes after a `%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub takes: Takes,
    /// `%X`
    pub upper: bool,
    /// Digits behind the point.
    pub precision: usize,
}

/// What a clause makes of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Text,
    Decimal,
    Fixed,
    Scientific,
    Binary,
    Hex,
    Octal,
}

const DEFAULT_PRECISION: usize = 6;
const MAX_PRECISION: usize = 1000;

/// The clause that `text` begins with, which is behind a `%` and not empty, and what comes after.
pub(crate) fn next_clause(text: &str) -> Result<(Clause, &str), String> {
    let mut precision = DEFAULT_PRECISION;
    let mut rest = text;
    if let Some(after) = text.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit());
        let Some(end) = end else {
            return Err("error while parsing precision: could not find end of precision specifier".into());
        };
        precision = after[..end].parse().ok().filter(|p| *p <= MAX_PRECISION).ok_or_else(|| {
            format!(
                "error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing {:?}: {}",
                &after[..end],
                if end == 0 { "invalid syntax" } else { "value out of range" }
            )
        })?;
        rest = &after[end..];
    }
    let Some(verb) = rest.chars().next() else { return Err("unexpected end of string".into()) };
    let takes = match verb {
        's' => Takes::Text,
        'd' => Takes::Decimal,
        'f' => Takes::Fixed,
        'e' => Takes::Scientific,
        'b' => Takes::Binary,
        'x' | 'X' => Takes::Hex,
        'o' => Takes::Octal,
        // Upstream looks at bytes here.
        _ => return Err(format!("unrecognized formatting clause \"{}\"", char::from(rest.as_bytes()[0]))),
    };
    Ok((Clause { takes, upper: verb == 'X', precision }, &rest[1..]))
}

impl Takes {
    /// Why an argument of another type is not taken.
    pub fn refusal(self, given: &str) -> String {
        let takes = match self {
            Self::Text => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
            }
            Self::Decimal => "decimal clause can only be used on integers",
            Self::Fixed => "fixed-point clause can only be used on doubles",
            Self::Scientific => "scientific clause can only be used on doubles",
            Self::Binary => "only integers and bools can be formatted as binary",
            Self::Hex => "only integers, byte buffers, and strings can be formatted as hex",
            Self::Octal => "octal clause can only be used on integers",
        };
        format!("{takes}, was given {given}")
    }
}
