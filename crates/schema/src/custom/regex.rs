//! Go's regular expressions, translated.
//!
//! The two dialects agree almost everywhere. Go's `\d`, `\w`, `\s` and `\b` mean ASCII, and its bracket classes know
//! neither nesting nor set operations.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, ErrorKind, RepetitionKind, RepetitionRange, parse::Parser};

/// Compiled expressions larger than this are refused.
const SIZE_LIMIT: usize = 2 << 20;

/// Compiles an expression of Go's dialect; `None` if it is malformed (or grows too large).
pub fn go_regex(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&translate(pattern)).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build().ok()
}

/// What Go says of a malformed expression: ``error parsing regexp: missing closing ): `(` ``; `None` if it is sound.
pub fn go_regex_error(pattern: &str) -> Option<String> {
    let say = |what: &str, part: &str| Some(format!("error parsing regexp: {what}: `{part}`"));
    if let Some(at) = ["(?=", "(?!", "(?<=", "(?<!"].iter().filter_map(|look| pattern.find(look)).min() {
        let end = pattern[at..].char_indices().nth(3).map_or(pattern.len(), |(offset, _)| at + offset);
        return say("invalid or unsupported Perl syntax", &pattern[at..end]);
    }
    let translated = translate(pattern);
    let ast = match Parser::new().parse(&translated) {
        Ok(ast) => ast,
        Err(error) => {
            let part = translated.get(error.span().start.offset..error.span().end.offset).unwrap_or("");
            let from = translated.get(error.span().start.offset..).unwrap_or("");
            return match error.kind() {
                ErrorKind::GroupUnclosed => say("missing closing )", pattern),
                ErrorKind::GroupUnopened => say("unexpected )", pattern),
                ErrorKind::ClassUnclosed => say("missing closing ]", from),
                ErrorKind::ClassRangeInvalid => say("invalid character class range", part),
                ErrorKind::RepetitionMissing => say(
                    "missing argument to repetition operator",
                    &from[..from.chars().next().map_or(0, char::len_utf8)],
                ),
                ErrorKind::EscapeUnexpectedEof => say("trailing backslash at end of expression", ""),
                ErrorKind::EscapeUnrecognized => say("invalid escape sequence", part),
                ErrorKind::GroupNameInvalid | ErrorKind::GroupNameEmpty => say("invalid named capture", from),
                ErrorKind::RepetitionCountInvalid => say("invalid repeat count", part),
                _ => say("invalid or unsupported Perl syntax", part),
            };
        }
    };
    if let Some((what, part)) = odd_repetition(&ast, &translated, 0) {
        return say(what, &part);
    }
    go_regex(pattern).is_none().then(|| "error parsing regexp: expression too large".to_owned())
}

/// Go repeats a thousand times at most, and repeats no repetition.
fn odd_repetition(ast: &Ast, text: &str, depth: usize) -> Option<(&'static str, String)> {
    const MAX: u32 = 1000;
    if depth > 200 {
        return None;
    }
    let inner = |ast: &Ast| odd_repetition(ast, text, depth + 1);
    match ast {
        Ast::Repetition(repetition) => {
            let most = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(n) | RepetitionRange::AtLeast(n)) => *n,
                RepetitionKind::Range(RepetitionRange::Bounded(_, n)) => *n,
                _ => 0,
            };
            let end = repetition.op.span.end.offset;
            let from = |start: usize| text.get(start..end).unwrap_or("").to_owned();
            if most > MAX {
                return Some(("invalid repeat count", from(repetition.op.span.start.offset)));
            }
            if let Ast::Repetition(repeated) = &*repetition.ast {
                return Some(("invalid nested repetition operator", from(repeated.op.span.start.offset)));
            }
            inner(&repetition.ast)
        }
        Ast::Group(group) => inner(&group.ast),
        Ast::Alternation(list) => list.asts.iter().find_map(inner),
        Ast::Concat(list) => list.asts.iter().find_map(inner),
        _ => None,
    }
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
        assert_eq!(go_regex_error("(").unwrap(), "error parsing regexp: missing closing ): `(`");
        assert_eq!(
            go_regex_error("a**").unwrap(),
            "error parsing regexp: invalid nested repetition operator: `**`"
        );
        assert_eq!(
            go_regex_error("*a").unwrap(),
            "error parsing regexp: missing argument to repetition operator: `*`"
        );
        assert_eq!(go_regex_error("[a").unwrap(), "error parsing regexp: missing closing ]: `[a`");
        assert_eq!(
            go_regex_error("a{1001}").unwrap(),
            "error parsing regexp: invalid repeat count: `{1001}`"
        );
        assert_eq!(
            go_regex_error("(?=a)").unwrap(),
            "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"
        );
        assert_eq!(go_regex_error(r"^[a-z]\d{3,}$"), None);
        assert!(go_regex("(").is_none());
        assert!(go_regex("((a{1000}){1000}){1000}").is_none(), "bombs are refused");
    }
}
