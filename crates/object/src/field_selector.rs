//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! Terms are kept sorted by their text, as upstream. Which fields a resource knows is its registry entry's business;
//! here any field may be named.

use std::fmt;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// Field path, such as `spec.nodeName`.
    pub field: String,
    /// The value compared with, unescaped.
    pub value: String,
    /// True for `=` and `==`, false for `!=`.
    pub equal: bool,
}

/// Conditions that must all hold; an empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads the query-string syntax. The error is the text that clients read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = vec![];
        for term in terms.into_iter().filter(|t| !t.is_empty()) {
            let Some((field, equal, value)) = split_term(term) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            requirements.push(FieldRequirement { field: field.into(), value: unescape(value)?, equal });
        }
        Ok(Self { requirements })
    }

    /// A selector of these requirements.
    pub fn of(requirements: Vec<FieldRequirement>) -> Self {
        Self { requirements }
    }

    /// `field=value`.
    pub fn equals(field: &str, value: &str) -> Self {
        Self::of(vec![FieldRequirement { field: field.into(), value: value.into(), equal: true }])
    }

    /// True when every object matches.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The conditions.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether the values that `field` looks up satisfy all requirements; an absent field is the empty string.
    pub fn matches<S: AsRef<str>>(&self, field: impl Fn(&str) -> S) -> bool {
        self.requirements.iter().all(|r| (field(&r.field).as_ref() == r.value) == r.equal)
    }

    /// The only value that `field` may have, if the selector demands one.
    pub fn requires_exact_match(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (vec![], 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (i, _) in term.match_indices(['!', '=']) {
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = term[i..].strip_prefix(operator) {
                return Some((&term[..i], equal, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, String> {
    let bad = |sequence: String| Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return bad(format!("\\{c}")),
                None => return bad("\\".into()),
            },
            // Go prints the rune's number.
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", c as u32));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// The query-string syntax, values escaped.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(
                f,
                "{}{}{}{value}",
                if i > 0 { "," } else { "" },
                r.field,
                if r.equal { "=" } else { "!=" }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_matches_and_prints() {
        let selector =
            FieldSelector::parse(r"metadata.name==a,status.phase!=Running,x=\,\=\\").expect("parses");
        assert_eq!(selector.to_string(), r"metadata.name=a,status.phase!=Running,x=\,\=\\");
        let value = |field: &str| match field {
            "metadata.name" => "a",
            "x" => r",=\",
            _ => "",
        };
        assert!(selector.matches(value));
        assert!(!selector.matches(|_| "Running"));
        assert_eq!(selector.requires_exact_match("metadata.name"), Some("a"));
        assert_eq!(selector.requires_exact_match("status.phase"), None);
        assert!(FieldSelector::parse("").expect("parses").is_empty());
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| FieldSelector::parse(text).unwrap_err();
        assert_eq!(
            refused("status.phase"),
            "invalid selector: 'status.phase'; can't understand 'status.phase'"
        );
        assert_eq!(refused("a,b=c"), "invalid selector: 'a,b=c'; can't understand 'a'");
        assert_eq!(refused("a=b=c"), "invalid field selector: unescaped character in value: 61");
        assert_eq!(refused(r"a=\b"), r"invalid field selector: invalid escape sequence: \b");
    }
}
