//! Values as YAML, laid out as Kubernetes' own encoder does: sorted keys, lists not indented, quotes only where needed.

use object::Value;

/// A document.
pub(crate) fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => node(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => node(&mut out, value, 0),
        scalar => {
            inline(&mut out, scalar, 0);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    (0..depth).for_each(|_| out.push_str("  "));
}

/// A map or a list that is not empty, each entry on lines of its own.
fn node(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                indent(out, depth);
                entry(out, key, value, depth);
            }
        }
        Value::Array(list) => {
            for item in list {
                indent(out, depth);
                element(out, item, depth);
            }
        }
        _ => {}
    }
}

fn entry(out: &mut String, key: &str, value: &Value, depth: usize) {
    scalar_text(out, key, 0, false);
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            node(out, value, depth + 1);
        }
        // Lists stand at the depth of their key.
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            node(out, value, depth);
        }
        scalar => {
            out.push(' ');
            inline(out, scalar, depth + 1);
            out.push('\n');
        }
    }
}

fn element(out: &mut String, item: &Value, depth: usize) {
    out.push_str("- ");
    match item {
        Value::Object(map) if !map.is_empty() => {
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    indent(out, depth + 1);
                }
                entry(out, key, value, depth + 1);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (i, inner) in list.iter().enumerate() {
                if i > 0 {
                    indent(out, depth + 1);
                }
                element(out, inner, depth + 1);
            }
        }
        scalar => {
            inline(out, scalar, depth + 1);
            out.push('\n');
        }
    }
}

fn inline(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(text) => scalar_text(out, text, depth, true),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => out.push_str(&other.to_string()),
    }
}

fn scalar_text(out: &mut String, text: &str, depth: usize, may_be_block: bool) {
    let printable = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    if may_be_block && text.contains('\n') && printable && !text.starts_with([' ', '\n']) {
        block(out, text, depth);
    } else if !printable || text.contains(['\n', '\t']) || reads_as_other(text) {
        out.push_str(&Value::from(text).to_string());
    } else if is_plain(text) {
        folded(out, text, depth, may_be_block);
    } else {
        out.push('\'');
        folded(out, &text.replace('\'', "''"), depth, may_be_block);
        out.push('\'');
    }
}

/// Text on one line, or on several: broken at the first single space beyond column 80. Keys are never broken.
fn folded(out: &mut String, text: &str, depth: usize, may_break: bool) {
    const WIDTH: usize = 80;
    let mut column = out.chars().rev().take_while(|c| *c != '\n').count();
    let mut after_space = false;
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let next_is_word = chars.peek().is_some_and(|(_, next)| *next != ' ');
        if c == ' ' && may_break && !after_space && column > WIDTH && at > 0 && next_is_word {
            out.push('\n');
            indent(out, depth);
            column = depth * 2;
        } else {
            out.push(c);
            column += 1;
        }
        after_space = c == ' ';
    }
}

/// A literal block: `|`, `|-` or `|+` by how it ends.
fn block(out: &mut String, text: &str, depth: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
    for _ in 1..(text.len() - body.len()).max(1) {
        out.push('\n');
    }
}

/// Without quotes it would be read as something that is no string.
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<"];
    if WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return true;
    }
    let digits = text.trim_start_matches(['+', '-']);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.len() < 64;
    numeric && (is_number(digits) || is_time(text))
}

fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    let radix = |prefix: &str, base: u32| {
        plain.strip_prefix(prefix).is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(base)))
    };
    plain.parse::<f64>().is_ok()
        || radix("0x", 16)
        || radix("0o", 8)
        || radix("0b", 2)
        || matches!(plain.to_ascii_lowercase().as_str(), ".inf" | ".nan")
        // Sexagesimal numbers of older YAML.
        || (plain.contains(':') && plain.split(':').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())))
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[7] == b'-'
}

/// Needs no quotes.
fn is_plain(text: &str) -> bool {
    let first_bad = [
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ',
        '=',
    ];
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let dash_word = matches!(first, '-' | '?' | ':') && chars.next().is_some_and(|c| c != ' ');
    (!first_bad.contains(&first) || dash_word)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use object::json;

    #[test]
    fn looks_like_kubernetes() {
        let value = json!({
            "a": {"f:data": {".": {}, "f:k": {}}, "k:{\"name\":\"c\"}": 1}, "list": [{"x": 1, "y": ["z"]}, [], "s"],
            "n": null, "t": "true", "time": "2026-01-01T00:00:00Z", "num": "12", "text": "a\nb\n", "colon": "a: b", "e": "",
        });
        expect![[r#"
            a:
              f:data:
                .: {}
                f:k: {}
              k:{"name":"c"}: 1
            colon: 'a: b'
            e: ""
            list:
            - x: 1
              "y":
              - z
            - []
            - s
            "n": null
            num: "12"
            t: "true"
            text: |
              a
              b
            time: "2026-01-01T00:00:00Z"
        "#]]
        .assert_eq(&to_string(&value));
    }

    #[test]
    fn long_lines_are_broken() {
        let text = "word ".repeat(20);
        let written = to_string(&json!({"k": {"message": text.trim(), "quoted": format!("{text}: x")}}));
        expect![[r#"
            k:
              message: word word word word word word word word word word word word word word word
                word word word word word
              quoted: 'word word word word word word word word word word word word word word word
                word word word word word : x'
        "#]]
        .assert_eq(&written);
    }

    #[test]
    fn is_read_back() {
        for text in [
            "", "-", "- a", "a#b", "a #b", "'q'", "\u{7}", " lead", "trail ", "1e3", "0x1f", "a\n\n", "%x",
            "{}", "*",
        ] {
            let value = json!({"k": text, "l": [text]});
            let read: Value = serde_saphyr::from_str(&to_string(&value)).expect("it is YAML");
            assert_eq!(read, value, "{text:?}");
        }
    }
}
