//! What a name, a label key and a label value may look like, in Kubernetes' words.
//!
//! Every check takes the text and returns what is wrong with it, one message per broken rule; an empty list means
//! valid. Lengths are in bytes. Nothing here knows which field is checked: callers put the messages under a path.

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1123_SUBDOMAIN_UNDERSCORE: &str =
    r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const LABEL_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
     and must start and end with an alphanumeric character";

/// Longest DNS label, label value and name part of a label key.
pub const LABEL_MAX: usize = 63;
/// Longest DNS subdomain, hence most object names.
pub const SUBDOMAIN_MAX: usize = 253;

/// A message that quotes the rule's regular expression, with examples.
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{regex}')");
    }
    let shown: Vec<_> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{regex}')", shown.join(" or "))
}

/// `must be no more than N characters`, as most rules put it.
pub fn max_length_error(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// `must be between LOW and HIGH, inclusive`.
pub fn range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// First and last byte satisfy `edge`, all others `inner`; not empty.
fn shaped(value: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(f), Some(l)) if edge(*f) && edge(*l))
        && bytes.iter().all(|b| inner(*b))
}

fn label_shaped(value: &str) -> bool {
    shaped(value, lower, |b| lower(b) || b == b'-')
}

fn subdomain_shaped(value: &str) -> bool {
    value.split('.').all(label_shaped)
}

fn label_key_shaped(value: &str) -> bool {
    shaped(
        value,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

fn with_length(value: &str, max: usize, ok: bool, message: impl FnOnce() -> String) -> Vec<String> {
    let mut errors = vec![];
    if value.len() > max {
        errors.push(max_length_error(max));
    }
    if !ok {
        errors.push(message());
    }
    errors
}

/// A DNS label: at most 63 of `a-z 0-9 -`, alphanumeric at both ends.
pub fn dns1123_label(value: &str) -> Vec<String> {
    with_length(value, LABEL_MAX, label_shaped(value), || {
        if subdomain_shaped(value) {
            return "must not contain dots".into();
        }
        let rule = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                    and must start and end with an alphanumeric character";
        regex_error(rule, DNS1123_LABEL, &["my-name", "123-abc"])
    })
}

/// A DNS subdomain: labels joined by dots, at most 253 in all.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    with_length(value, SUBDOMAIN_MAX, subdomain_shaped(value), || {
        regex_error(SUBDOMAIN_RULE, DNS1123_SUBDOMAIN, &["example.com"])
    })
}

/// A DNS subdomain whose labels may also hold underscores (pod search domains).
pub fn dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let part =
        |p: &str| shaped(p.strip_prefix('_').unwrap_or(p), lower, |b| lower(b) || matches!(b, b'-' | b'_'));
    with_length(value, SUBDOMAIN_MAX, value.split('.').all(part), || {
        let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
                    and must start and end with an alphanumeric character";
        regex_error(rule, DNS1123_SUBDOMAIN_UNDERSCORE, &["example.com"])
    })
}

/// `*.` and a DNS subdomain.
pub fn wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let ok = value.strip_prefix("*.").is_some_and(subdomain_shaped);
    with_length(value, SUBDOMAIN_MAX, ok, || {
        let rule = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of \
                    lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        regex_error(rule, &format!(r"\*\.{DNS1123_SUBDOMAIN}"), &["*.example.com"])
    })
}

/// A DNS label that starts with a letter (service names).
pub fn dns1035_label(value: &str) -> Vec<String> {
    let ok = label_shaped(value) && value.as_bytes()[0].is_ascii_lowercase();
    with_length(value, LABEL_MAX, ok, || {
        let rule = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                    character, and end with an alphanumeric character";
        regex_error(rule, DNS1035_LABEL, &["my-name", "abc-123"])
    })
}

/// A qualified name, that is a label or annotation key: `[subdomain/]name`.
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut errors = vec![];
    let rule = |head: &str| {
        regex_error(&format!("{head}{LABEL_RULE}"), LABEL_KEY, &["MyName", "my.name", "123-abc"])
    };
    let name = match value.split_once('/') {
        None => value,
        Some((_, rest)) if rest.contains('/') => {
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("{} {optional}", rule("a valid label key "))];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".into());
            } else {
                if prefix.len() > SUBDOMAIN_MAX {
                    errors.push(format!("prefix part must be no more than {SUBDOMAIN_MAX} bytes"));
                }
                if !subdomain_shaped(prefix) {
                    errors.push(format!(
                        "prefix part {}",
                        regex_error(SUBDOMAIN_RULE, DNS1123_SUBDOMAIN, &["example.com"])
                    ));
                }
            }
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !label_key_shaped(name) {
        errors.push(rule("name part "));
    }
    errors
}

/// A label's value: empty, or at most 63 of `A-Z a-z 0-9 - _ .`, alphanumeric at both ends.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = vec![];
    if value.len() > LABEL_MAX {
        errors.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !value.is_empty() && !label_key_shaped(value) {
        let rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                    and must start and end with an alphanumeric character";
        errors.push(regex_error(rule, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A name that can stand in a URL path: not `.` or `..`, no `/` or `%`.
pub fn path_segment_name(value: &str) -> Vec<String> {
    match value {
        "." | ".." => vec![format!("may not be '{value}'")],
        _ => path_segment_prefix(value),
    }
}

/// As [`path_segment_name`], for a generateName.
pub fn path_segment_prefix(value: &str) -> Vec<String> {
    ['/', '%'].iter().filter(|c| value.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A C identifier.
pub fn c_identifier(value: &str) -> Vec<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !value.is_empty() && value.bytes().all(word) && !value.as_bytes()[0].is_ascii_digit() {
        return vec![];
    }
    let rule = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
                characters or '_'";
    vec![regex_error(rule, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

fn key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}

/// No value that leads out of a folder when it becomes a file's name.
fn directory_prefix(value: &str) -> Option<String> {
    match value {
        "." | ".." => Some(format!("must not be '{value}'")),
        _ if value.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

/// An environment variable's name in the strict sense.
pub fn env_var_name(value: &str) -> Vec<String> {
    let ok = !value.is_empty() && value.bytes().all(key_byte) && !value.as_bytes()[0].is_ascii_digit();
    let rule = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must \
                not start with a digit";
    let examples = ["my.env-name", "MY_ENV.NAME", "MyEnvName1"];
    let shape = (!ok).then(|| regex_error(rule, "[-._a-zA-Z][-._a-zA-Z0-9]*", &examples));
    shape.into_iter().chain(directory_prefix(value)).collect()
}

/// An environment variable's name as 1.34 and later accept it: printable ASCII but `=`.
pub fn relaxed_env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if value.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        return vec![];
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

/// A key of a ConfigMap's or Secret's data.
pub fn config_map_key(value: &str) -> Vec<String> {
    let ok = !value.is_empty() && value.bytes().all(key_byte);
    let mut errors = with_length(value, SUBDOMAIN_MAX, ok, || {
        let rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        regex_error(rule, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"])
    });
    errors.extend(directory_prefix(value));
    errors
}

/// A container port's name (IANA service name).
pub fn port_name(value: &str) -> Vec<String> {
    let mut errors = vec![];
    if value.len() > 15 {
        errors.push(max_length_error(15));
    }
    if value.is_empty() || !value.bytes().all(|b| lower(b) || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".into());
    }
    errors
}

/// A port number.
pub fn port_number(value: i64) -> Vec<String> {
    if (1..=65535).contains(&value) { vec![] } else { vec![range_error(1, 65535)] }
}

/// `N%`.
pub fn percent(value: &str) -> Vec<String> {
    if value.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        return vec![];
    }
    let rule = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_error(rule, "[0-9]+%", &["1%", "93%"])]
}

/// An HTTP header's name, as probes accept it.
pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return vec![];
    }
    let rule = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_error(rule, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// A finalizer in an object's metadata, as messages of its own demand it: a qualified name.
pub fn finalizer_name(value: &str) -> Vec<String> {
    qualified_name(value)
}

/// A CronJob's name without the 11 characters its jobs' names add.
pub const CRON_JOB_NAME_MAX: usize = LABEL_MAX - 11;

/// A generateName with its trailing dash replaced, so that the rule for whole names can judge it.
pub fn mask_trailing_dash(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        // Upstream drops the character before the dash too; what is left stands for any generated name.
        Some(head) if !head.is_empty() && head.is_char_boundary(head.len() - 1) => {
            format!("{}a", &head[..head.len() - 1])
        }
        _ => prefix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains() {
        assert!(dns1123_subdomain("a.b-c.0").is_empty());
        for bad in ["", "A", "a..b", "-a", "a-", "a_b", ".a"] {
            assert_eq!(dns1123_subdomain(bad).len(), 1, "{bad:?}");
        }
        assert_eq!(dns1123_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
        assert_eq!(
            dns1123_subdomain("A"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
              end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
    }

    #[test]
    fn labels() {
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert!(dns1123_label("0a").is_empty());
        assert_eq!(dns1035_label("0a").len(), 1);
        assert_eq!(dns1035_label("").len(), 1);
        assert_eq!(
            dns1123_label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
              an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
    }

    #[test]
    fn qualified_names() {
        for ok in ["a", "a/b", "example.com/My_name.1"] {
            assert!(qualified_name(ok).is_empty(), "{ok}");
        }
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        assert!(qualified_name("a/b/c")[0].ends_with("prefix and '/' (e.g. 'example.com/MyName')"));
        assert_eq!(label_value(&"v".repeat(64)), ["must be no more than 63 bytes"]);
        assert!(label_value("").is_empty());
    }

    #[test]
    fn keys_and_ports() {
        assert_eq!(config_map_key("..a"), ["must not start with '..'"]);
        assert_eq!(config_map_key("..").len(), 1);
        assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert!(relaxed_env_var_name("1 a").is_empty());
        assert_eq!(relaxed_env_var_name("a=b").len(), 1);
    }

    #[test]
    fn generate_names_lose_their_dash() {
        assert_eq!(mask_trailing_dash("web-"), "wea");
        assert_eq!(mask_trailing_dash("-"), "-");
        assert_eq!(mask_trailing_dash("web"), "web");
    }
}
