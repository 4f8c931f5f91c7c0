//! From text to tokens. Places count characters, as error messages do.

use crate::error::Issue;

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub at: u32,
    pub kind: TokenKind,
    /// As written, for messages.
    pub text: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    Ident,
    /// `` `a-b` ``
    Escaped,
    Int(i64),
    /// 9223372036854775808, which only a minus makes an int.
    MinInt,
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    /// An operator or keyword.
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%", "<", ">",
];

/// The tokens of `source`, ending with [`TokenKind::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Issue> {
    let chars: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let kind = lexer.next()?;
        let text: String = chars[start..lexer.at].iter().collect();
        let end = kind == TokenKind::End;
        let text = if end { "<EOF>".into() } else { text.into() };
        found.push(Token { at: start as u32, kind, text });
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Issue> {
        Err(Issue { at: at as u32, message: message.into() })
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek(0) {
            if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else if [' ', '\t', '\n', '\r', '\u{c}'].contains(&c) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<TokenKind, Issue> {
        let Some(c) = self.peek(0) else { return Ok(TokenKind::End) };
        if let Some(prefix) = self.string_prefix() {
            return self.string(prefix);
        }
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if c == '_' || c.is_ascii_alphabetic() {
            return Ok(self.word());
        }
        if c == '`' {
            return self.escaped();
        }
        for symbol in SYMBOLS {
            if symbol.chars().enumerate().all(|(i, s)| self.peek(i) == Some(s)) {
                self.at += symbol.len();
                return Ok(TokenKind::Symbol(symbol));
            }
        }
        self.fail(self.at, format!("Syntax error: token recognition error at: '{}'", c.escape_debug()))
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        match word.as_str() {
            "in" => TokenKind::Symbol("in"),
            "true" => TokenKind::Symbol("true"),
            "false" => TokenKind::Symbol("false"),
            "null" => TokenKind::Symbol("null"),
            _ => TokenKind::Ident,
        }
    }

    fn escaped(&mut self) -> Result<TokenKind, Issue> {
        let start = self.at;
        self.at += 1;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-', '/', ' '].contains(&c);
        while self.peek(0).is_some_and(allowed) {
            self.at += 1;
        }
        if self.peek(0) != Some('`') || self.at == start + 1 {
            return self.fail(start, "Syntax error: token recognition error at: '`'");
        }
        self.at += 1;
        Ok(TokenKind::Escaped)
    }

    fn number(&mut self) -> Result<TokenKind, Issue> {
        let start = self.at;
        let hex = self.peek(0) == Some('0') && self.peek(1) == Some('x');
        if hex {
            self.at += 2;
        }
        let digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let skip = |lexer: &mut Self| {
            while lexer.peek(0).is_some_and(digit) {
                lexer.at += 1;
            }
        };
        skip(self);
        let mut double = false;
        if !hex && self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.at += 1;
            skip(self);
        }
        if !hex && matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                self.at += 1 + sign;
                skip(self);
            }
        }
        let text: String = self.chars[start..self.at].iter().collect();
        if double {
            let value: Option<f64> = text.parse().ok().filter(|v: &f64| v.is_finite());
            return value
                .map_or_else(|| self.fail(start, "invalid double literal"), |v| Ok(TokenKind::Double(v)));
        }
        let (digits, radix) = if hex { (&text[2..], 16) } else { (text.as_str(), 10) };
        let value = u64::from_str_radix(digits, radix);
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return value
                .map_or_else(|_| self.fail(start, "invalid uint literal"), |v| Ok(TokenKind::Uint(v)));
        }
        match value {
            Ok(v) if v == i64::MAX as u64 + 1 => Ok(TokenKind::MinInt),
            Ok(v) => i64::try_from(v)
                .map_or_else(|_| self.fail(start, "invalid int literal"), |v| Ok(TokenKind::Int(v))),
            Err(_) => self.fail(start, "invalid int literal"),
        }
    }

    /// The length of `r`, `b`, `rb` … before a quote.
    fn string_prefix(&self) -> Option<usize> {
        let (mut raw, mut bytes) = (false, false);
        for ahead in 0..3 {
            match self.peek(ahead)? {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                '"' | '\'' => return Some(ahead),
                _ => return None,
            }
        }
        None
    }

    fn string(&mut self, prefix: usize) -> Result<TokenKind, Issue> {
        let start = self.at;
        let flag = |c: char| self.chars[start..start + prefix].iter().any(|p| p.eq_ignore_ascii_case(&c));
        let (raw, bytes) = (flag('r'), flag('b'));
        self.at += prefix;
        let quote = self.chars[self.at];
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let mut out = Out { bytes: Vec::new(), as_bytes: bytes };
        loop {
            let Some(c) = self.peek(0) else { return self.unclosed(start) };
            if c == quote && (!triple || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote))) {
                self.at += width;
                break;
            }
            if !triple && (c == '\n' || c == '\r') {
                return self.unclosed(start);
            }
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(start, &mut out)?;
            } else {
                out.char(c);
                if c == '\\' {
                    // A raw string keeps backslashes, also those that protect a quote.
                    let Some(next) = self.peek(0) else { return self.unclosed(start) };
                    if next == quote && !triple {
                        continue;
                    }
                }
            }
        }
        if bytes {
            return Ok(TokenKind::Bytes(out.bytes));
        }
        String::from_utf8(out.bytes)
            .map_or_else(|_| self.fail(start, "invalid string literal"), |s| Ok(TokenKind::String(s)))
    }

    fn unclosed<T>(&self, start: usize) -> Result<T, Issue> {
        let end = self.chars[start..].iter().position(|c| *c == '\n').map_or(self.chars.len(), |n| start + n);
        let text: String = self.chars[start..end].iter().collect();
        self.fail(start, format!("Syntax error: token recognition error at: '{text}'"))
    }

    fn escape(&mut self, start: usize, out: &mut Out) -> Result<(), Issue> {
        let Some(c) = self.peek(0) else { return self.unclosed(start) };
        self.at += 1;
        let plain = match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => c,
            'x' | 'X' => return self.coded(start, 2, 16, true, out),
            'u' => return self.coded(start, 4, 16, false, out),
            'U' => return self.coded(start, 8, 16, false, out),
            '0'..='3' => {
                self.at -= 1;
                return self.coded(start, 3, 8, true, out);
            }
            _ => return self.unclosed(start),
        };
        out.char(plain);
        Ok(())
    }

    fn coded(
        &mut self,
        start: usize,
        count: usize,
        radix: u32,
        byte: bool,
        out: &mut Out,
    ) -> Result<(), Issue> {
        let mut value = 0u32;
        for _ in 0..count {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(radix)) else {
                return self.unclosed(start);
            };
            value = value.wrapping_mul(radix) | digit;
            self.at += 1;
        }
        if byte && out.as_bytes {
            out.bytes.push(value as u8);
            return Ok(());
        }
        let Some(c) = char::from_u32(value) else { return self.unclosed(start) };
        out.char(c);
        Ok(())
    }
}

struct Out {
    bytes: Vec<u8>,
    as_bytes: bool,
}

impl Out {
    fn char(&mut self, c: char) {
        self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
