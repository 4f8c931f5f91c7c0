//! The name of a field manager.

use object::{FieldError, Path};
use serde_json::json;

/// How many bytes a name may have.
const MAX_LENGTH: usize = 128;

/// The manager of a request that names none: its user agent up to the first `/`, printable characters only.
pub fn default_manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for c in user_agent.split('/').next().unwrap_or("").chars().filter(|c| is_printable(*c)) {
        if name.len() + c.len_utf8() > MAX_LENGTH {
            break;
        }
        name.push(c);
    }
    name
}

/// What is wrong with a field manager's name.
pub fn validate_field_manager(name: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.len() > MAX_LENGTH {
        errors.push(FieldError::too_long(path, MAX_LENGTH));
    }
    for (position, c) in name.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {position})", c as u32);
        errors.push(FieldError::invalid(path, &json!(name), &detail));
    }
    errors
}

/// Whether Go's `unicode.IsPrint` says so: the standard library escapes everything else when it debugs a character.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_from_the_user_agent() {
        assert_eq!(default_manager_name("", "kubectl/v1.36.0 (linux/amd64)"), "kubectl");
        assert_eq!(default_manager_name("me", "kubectl/v1.36.0"), "me");
        assert_eq!(default_manager_name("", "a\u{7}b\u{200b}c"), "abc");
        assert_eq!(default_manager_name("", &"é".repeat(100)).len(), 128);
        assert_eq!(default_manager_name("", ""), "");
    }

    #[test]
    fn is_short_and_printable() {
        let path = Path::new("fieldManager");
        assert!(validate_field_manager("kubectl client \"x\"", &path).is_empty());
        assert_eq!(
            validate_field_manager(&"m".repeat(129), &path)[0].message,
            "Too long: may not be more than 128 bytes"
        );
        assert_eq!(
            validate_field_manager("a\nb", &path)[0].message,
            "Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"
        );
    }
}
