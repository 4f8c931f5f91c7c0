//! Go's regular expressions, translated.
//!
//! The two dialects agree almost everywhere. Go's `\d`, `\w`, `\s` and `\b` mean ASCII, and its bracket classes know
//! neither nesting nor set operations.

use regex::{Regex, RegexBuilder};

/// Compiled expressions larger than this are refused.
const SIZE_LIMIT: usize = 2 << 20;

/// Compiles an expression of Go's dialect; `None` if it is malformed (or grows too large).
pub fn go_regex(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&translate(pattern)).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build().ok()
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let starting = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some('Q') if !class => quote_until_end(&mut chars, &mut out),
                Some(escaped) => out.push_str(&escape(escaped, class)),
                None => out.push('\\'),
            },
            '[' if !class => {
                class = true;
                class_start = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            '[' if chars.peek() == Some(&':') => copy_named_class(&mut chars, &mut out),
            '[' => out.push_str("\\["),
            ']' if class && starting => out.push_str("\\]"),
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            '-' if class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            '$' if !class => out.push_str("\\z"),
            _ => out.push(c),
        }
    }
    out
}

fn escape(escaped: char, class: bool) -> String {
    match (escaped, class) {
        ('d', false) => "[0-9]".into(),
        ('d', true) => "0-9".into(),
        ('w', false) => "[0-9A-Za-z_]".into(),
        ('w', true) => "0-9A-Za-z_".into(),
        ('s', false) => "[\\t\\n\\f\\r ]".into(),
        ('s', true) => "\\t\\n\\f\\r ".into(),
        ('D', _) => "[^0-9]".into(),
        ('W', _) => "[^0-9A-Za-z_]".into(),
        ('S', _) => "[^\\t\\n\\f\\r ]".into(),
        ('b', false) => "(?-u:\\b)".into(),
        ('/' | '"' | '\'' | ':' | ',' | '=' | '@' | '!' | '%' | '`' | ';' | '<' | '>' | '_', _) => {
            escaped.to_string()
        }
        (other, _) => format!("\\{other}"),
    }
}

fn quote_until_end(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        out.push_str(&regex::escape(&c.to_string()));
    }
}

fn copy_named_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_what_go_means() {
        for (pattern, matching, other) in [
            (r"^\d+$", "12", "١٢"),
            (r"^[\w.]+$", "a_1.b", "é"),
            (r"^[a[&&]+$", "a[&", "b"),
            (r"^[]a]+$", "]a", "b"),
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^[[:alpha:]-]+$", "a-b", "1"),
            (r"^a$", "a", "a\n"),
            (r"^\/x\/$", "/x/", "x"),
            (r"^[^\s]+$", "ab", "a b"),
        ] {
            let regex = go_regex(pattern).unwrap();
            assert!(regex.is_match(matching), "{pattern} {matching}");
            assert!(!regex.is_match(other), "{pattern} {other}");
        }
        assert!(go_regex("(").is_none());
        assert!(go_regex("((a{1000}){1000}){1000}").is_none(), "bombs are refused");
    }
}
