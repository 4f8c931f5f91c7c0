//! The query-string syntax of label selectors: a scanner and a recursive-descent parser without recursion.

use super::{Operator, Requirement};
use crate::error::FieldError;
use crate::names;
use crate::path::Path;
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

fn keyword(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "in" => Token::In,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::Open,
        _ => return None,
    })
}

fn special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The tokens of `text`, the last one always [`Token::End`]. A NUL byte ends the text, as upstream.
fn scan(text: &str) -> Vec<(Token, &str)> {
    let mut rest = text.split('\0').next().unwrap_or("");
    let mut tokens = vec![];
    loop {
        rest = rest.trim_start_matches(blank);
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = if special(first) { symbol(rest) } else { word(rest) };
        tokens.push((token, &rest[..length]));
        rest = &rest[length..];
    }
    tokens.push((Token::End, ""));
    tokens
}

fn word(rest: &str) -> (Token, usize) {
    let length = rest.find(|c| special(c) || blank(c)).unwrap_or(rest.len());
    (keyword(&rest[..length]).unwrap_or(Token::Identifier), length)
}

/// The longest operator: every one-character prefix is an operator itself.
fn symbol(rest: &str) -> (Token, usize) {
    let two = rest.get(..2).and_then(keyword).map(|token| (token, 2));
    two.or_else(|| keyword(&rest[..1]).map(|token| (token, 1))).unwrap_or((Token::Error, 1))
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: scan(text), position: 0 };
    let mut requirements = vec![];
    loop {
        match parser.peek() {
            (Token::Identifier | Token::Not, _) => {}
            (Token::End, _) => return Ok(requirements),
            (_, found) => {
                return Err(format!("found '{found}', expected: !, identifier, or 'end of string'"));
            }
        }
        requirements.push(parser.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
            },
            (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
        }
    }
}

impl<'a> Parser<'a> {
    fn raw(&self, position: usize) -> (Token, &'a str) {
        self.tokens.get(position).copied().unwrap_or((Token::End, ""))
    }

    /// The token ahead where a value may stand: `in` and `notin` are words there.
    fn peek(&self) -> (Token, &'a str) {
        match self.raw(self.position) {
            (Token::In | Token::NotIn, word) => (Token::Identifier, word),
            other => other,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let errors = names::qualified_name(key);
        if !errors.is_empty() {
            let error = FieldError::invalid(&Path::root(), &json!(key), &errors.join("; "));
            return Err(format!("{}: {}", error.path, error.message));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, vec![]);
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, vec![]);
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, found) = self.raw(self.position);
        self.position += 1;
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn values(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let (token, found) = self.next();
        if token != Token::Open {
            return Err(format!("found '{found}' expected: '('"));
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, first) => {
                let values = self.identifiers()?;
                match self.next() {
                    (Token::Close, _) => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            (Token::Close, _) => {
                self.next();
                Ok(BTreeSet::from([""]))
            }
            (_, found) => Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    /// Identifiers with commas between; two commas in a row hold an empty value.
    fn identifiers(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                (Token::Identifier, value) => {
                    values.insert(value);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert("");
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.insert("");
                            return Ok(values);
                        }
                        Token::Comma => {
                            values.insert("");
                        }
                        _ => {}
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LabelSelector;

    #[test]
    fn refusals_in_kubernetes_words() {
        for (text, message) in [
            (
                "n>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("tier in (web", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("=web", "found '=', expected: !, identifier, or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("tier=a b", "found 'b', expected: ',' or 'end of string'"),
            ("tier===web", "unable to parse requirement: found '=', expected: identifier"),
            ("a,", "found '', expected: identifier after ','"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), message, "{text}");
        }
        let long = format!("tier={}", "v".repeat(64));
        let message = LabelSelector::parse(&long).unwrap_err();
        assert!(
            message.starts_with("unable to parse requirement: values[0][tier]: Invalid value: \"vv"),
            "{message}"
        );
        let message = LabelSelector::parse("UPPER/x=1").unwrap_err();
        assert!(
            message
                .starts_with("unable to parse requirement: <nil>: Invalid value: \"UPPER/x\": prefix part"),
            "{message}"
        );
    }
}
