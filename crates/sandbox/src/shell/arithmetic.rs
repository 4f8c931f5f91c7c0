//! `$((…))`: whole numbers, variables, `+ - * / %` and comparisons, left to right by the usual precedence.

/// The value of an expression; `None` when it is not one, or divides by zero.
pub(super) fn evaluate(text: &str, variable: impl Fn(&str) -> String) -> Option<i64> {
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match rest.find(|c| !word(c)).unwrap_or(rest.len()) {
            0 => ["<=", ">=", "==", "!="].iter().find(|o| rest.starts_with(**o)).map_or(1, |o| o.len()),
            length => length,
        };
        let (token, tail) = rest.split_at_checked(length)?;
        tokens.push(token);
        rest = tail.trim_start();
    }
    let mut parser = Parser { tokens: &tokens, variable: &variable, depth: 0 };
    let value = parser.level(0)?;
    parser.tokens.is_empty().then_some(value)
}

struct Parser<'a, F> {
    tokens: &'a [&'a str],
    variable: &'a F,
    depth: u32,
}

const LEVELS: [&[&str]; 3] = [&["<", ">", "<=", ">=", "==", "!="], &["+", "-"], &["*", "/", "%"]];

impl<F: Fn(&str) -> String> Parser<'_, F> {
    fn next(&mut self) -> Option<String> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some((*first).to_owned())
    }

    fn level(&mut self, level: usize) -> Option<i64> {
        let Some(operators) = LEVELS.get(level) else { return self.atom() };
        let mut left = self.level(level + 1)?;
        while self.tokens.first().is_some_and(|t| operators.contains(t)) {
            let operator = self.next()?;
            let right = self.level(level + 1)?;
            left = match operator.as_str() {
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                "/" => left.checked_div(right)?,
                "%" => left.checked_rem(right)?,
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "==" => i64::from(left == right),
                _ => i64::from(left != right),
            };
        }
        Some(left)
    }

    fn atom(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > 100 {
            return None;
        }
        let token = self.next()?;
        match token.as_str() {
            "-" => self.atom().map(i64::wrapping_neg),
            "$" => self.atom(),
            "(" => {
                let value = self.level(0)?;
                (self.next()? == ")").then_some(value)
            }
            word if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse().ok(),
            word if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                match (self.variable)(word).trim() {
                    "" => Some(0),
                    text => text.parse().ok(),
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let value = |text: &str| evaluate(text, |name| if name == "i" { "4".into() } else { String::new() });
        assert_eq!(value("i+1"), Some(5));
        assert_eq!(value(" $i * (2 - 3) % 3 "), Some(-1));
        assert_eq!(value("i >= 4"), Some(1));
        assert_eq!(value("none"), Some(0));
        assert_eq!(value("1/0"), None);
        assert_eq!(value("1 +"), None);
        assert_eq!(value(&"(".repeat(500)), None);
    }
}
