//! Named formats: `format.dns1123Label().validate(self.name)` gives what is wrong, if anything is.

use super::{Extension, decode_base64};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;
use std::sync::Arc;

/// A format and its check.
#[derive(Debug)]
pub struct NamedFormat {
    name: &'static str,
    check: fn(&str) -> Vec<String>,
    /// The length of the longest regular expression behind it; cost goes by it.
    pub max_regex: u64,
}

impl PartialEq for NamedFormat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! formats {
    ($($name:ident: $check:expr, $max:literal;)+) => {
        /// All formats by name.
        const FORMATS: &[NamedFormat] = &[$(NamedFormat { name: stringify!($name), check: $check, max_regex: $max }),+];
        const SIGNATURES: &[&str] = &[$(concat!("format.", stringify!($name), "(): kubernetes.NamedFormat")),+];
        const RUNS: &[crate::library::Function] = &[$(|_, _| Ok(named(stringify!($name)))),+];
    };
}

formats! {
    dns1123Label: object::names::dns1123_label, 30;
    dns1123Subdomain: object::names::dns1123_subdomain, 60;
    dns1035Label: object::names::dns1035_label, 30;
    qualifiedName: object::names::qualified_name, 60;
    dns1123LabelPrefix: |text| object::names::dns1123_label(&object::names::mask_trailing_dash(text)), 30;
    dns1123SubdomainPrefix: |text| object::names::dns1123_subdomain(&object::names::mask_trailing_dash(text)), 60;
    dns1035LabelPrefix: |text| object::names::dns1035_label(&object::names::mask_trailing_dash(text)), 30;
    labelValue: object::names::label_value, 40;
    uri: uri, 1000;
    uuid: uuid, 128;
    byte: |text| refuse(decode_base64(text).is_none(), "invalid base64"), 64;
    date: |text| refuse(text.parse::<jiff::civil::Date>().is_err() || text.len() != 10, "invalid date"), 64;
    datetime: |text| refuse(text.parse::<jiff::Timestamp>().is_err(), "invalid datetime"), 64;
}

fn refuse(wrong: bool, message: &str) -> Vec<String> {
    if wrong { vec![message.to_owned()] } else { vec![] }
}

fn uri(text: &str) -> Vec<String> {
    super::url::refusal(text).map(|why| format!("parse {text:?}: {why}")).into_iter().collect()
}

fn uuid(text: &str) -> Vec<String> {
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    let wrong = plain.len() != 32 || !plain.chars().all(|c| c.is_ascii_hexdigit());
    refuse(wrong, "does not match the UUID format")
}

fn named<'a>(name: &str) -> Value<'a> {
    match FORMATS.iter().find(|format| format.name == name) {
        Some(format) => Value::Extension(Arc::new(Extension::Format(format))),
        None => Value::Null,
    }
}

pub(super) fn register(library: &mut Library) {
    for (signature, run) in SIGNATURES.iter().zip(RUNS) {
        library.add(&[signature], *run);
    }
    library.add(&["format.named(string): optional<kubernetes.NamedFormat>"], |_, args| {
        let format = named(args[0].as_str()?);
        Ok(Value::optional((!matches!(format, Value::Null)).then_some(format)))
    });
    library.add(&["kubernetes.NamedFormat->validate(string): optional<list<string>>"], validate);
}

fn validate<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let Value::Extension(extension) = &args[0] else { return Err(EvalError::no_overload()) };
    let Extension::Format(format) = &**extension else { return Err(EvalError::no_overload()) };
    let problems = (format.check)(args[1].as_str()?);
    let problems =
        (!problems.is_empty()).then(|| Value::list(problems.into_iter().map(Value::text).collect()));
    Ok(Value::optional(problems))
}
