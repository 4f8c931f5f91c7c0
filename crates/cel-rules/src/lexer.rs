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

/// The tokens of `source`, ending with [`TokenKind::End`], and what is none: it is passed over.
pub(crate) fn tokens(source: &str) -> (Vec<Token>, Vec<Issue>) {
    let chars: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0, issues: Vec::new() };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let Ok(kind) = lexer.next() else { continue };
        let text: String = chars[start..lexer.at].iter().collect();
        let end = kind == TokenKind::End;
        let text = if end { "<EOF>".into() } else { text.into() };
        found.push(Token { at: start as u32, kind, text });
        if end {
            return (found, lexer.issues);
        }
    }
}

/// The lexer's state says what there was instead of a token.
struct NoToken;

type Lex<T> = Result<T, NoToken>;

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
    issues: Vec<Issue>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Notes what is wrong with a token that is one all the same.
    fn note(&mut self, at: usize, message: &str) {
        self.issues.push(Issue { at: at as u32, message: message.into() });
    }

    /// There is no token at `start`, as is known at `wrong`, behind which there may be one again.
    fn none<T>(&mut self, start: usize, wrong: usize) -> Lex<T> {
        self.at = (wrong + 1).min(self.chars.len());
        let shown = |c: &char| match c {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            '\r' => "\\r".to_owned(),
            c => c.to_string(),
        };
        let text: String = self.chars[start..self.at].iter().map(shown).collect();
        let message = format!("Syntax error: token recognition error at: '{text}'");
        self.issues.push(Issue { at: start as u32, message });
        Err(NoToken)
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

    fn next(&mut self) -> Lex<TokenKind> {
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
        // Half of an operator takes what should be its other half along.
        self.none(self.at, self.at + usize::from(['=', '&', '|'].contains(&c)))
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

    fn escaped(&mut self) -> Lex<TokenKind> {
        let start = self.at;
        self.at += 1;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ['_', '.', '-', '/', ' '].contains(&c);
        while self.peek(0).is_some_and(allowed) {
            self.at += 1;
        }
        if self.peek(0) != Some('`') || self.at == start + 1 {
            return self.none(start, self.at);
        }
        self.at += 1;
        Ok(TokenKind::Escaped)
    }

    fn number(&mut self) -> Lex<TokenKind> {
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
            if value.is_none() {
                self.note(start, "invalid double literal");
            }
            return Ok(TokenKind::Double(value.unwrap_or_default()));
        }
        let (digits, radix) = if hex { (&text[2..], 16) } else { (text.as_str(), 10) };
        let value = u64::from_str_radix(digits, radix);
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            if value.is_err() {
                self.note(start, "invalid uint literal");
            }
            return Ok(TokenKind::Uint(value.unwrap_or_default()));
        }
        let value = match value {
            Ok(v) if v == i64::MAX as u64 + 1 => return Ok(TokenKind::MinInt),
            Ok(v) => i64::try_from(v).ok(),
            Err(_) => None,
        };
        if value.is_none() {
            self.note(start, "invalid int literal");
        }
        Ok(TokenKind::Int(value.unwrap_or_default()))
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

    fn string(&mut self, prefix: usize) -> Lex<TokenKind> {
        let start = self.at;
        let flag = |c: char| self.chars[start..start + prefix].iter().any(|p| p.eq_ignore_ascii_case(&c));
        let (raw, bytes) = (flag('r'), flag('b'));
        let mut out = Out { bytes: Vec::new(), as_bytes: bytes };
        if let Err(wrong) = self.quoted(prefix, raw, &mut out) {
            return self.unclosed(start, prefix, wrong);
        }
        if bytes {
            return Ok(TokenKind::Bytes(out.bytes));
        }
        Ok(TokenKind::String(String::from_utf8(out.bytes).unwrap_or_else(|_| {
            self.note(start, "invalid string literal");
            String::new()
        })))
    }

    /// Text in quotes behind a prefix; the error says where it turned out to be none.
    fn quoted(&mut self, prefix: usize, raw: bool, out: &mut Out) -> Result<(), usize> {
        self.at += prefix;
        let quote = self.chars[self.at];
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        loop {
            let Some(c) = self.peek(0) else { return Err(self.at) };
            if c == quote && (!triple || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote))) {
                self.at += width;
                return Ok(());
            }
            if !triple && (c == '\n' || c == '\r') {
                return Err(self.at);
            }
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(out)?;
            } else {
                out.char(c);
                if c == '\\' {
                    // A raw string keeps backslashes, also those that protect a quote.
                    let Some(next) = self.peek(0) else { return Err(self.at) };
                    if next == quote && !triple {
                        continue;
                    }
                }
            }
        }
    }

    /// What began like a string may begin with another token: a name, or a string without anything in it.
    fn unclosed(&mut self, start: usize, prefix: usize, wrong: usize) -> Lex<TokenKind> {
        let quote = start + prefix;
        if prefix > 0 {
            self.at = quote;
            return Ok(TokenKind::Ident);
        }
        if self.chars.get(quote + 1) == self.chars.get(quote) {
            self.at = quote + 2;
            return Ok(TokenKind::String(String::new()));
        }
        self.none(start, wrong)
    }

    fn escape(&mut self, out: &mut Out) -> Result<(), usize> {
        let Some(c) = self.peek(0) else { return Err(self.at) };
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
            'x' | 'X' => return self.coded(2, 16, true, out),
            'u' => return self.coded(4, 16, false, out),
            'U' => return self.coded(8, 16, false, out),
            '0'..='3' => {
                self.at -= 1;
                return self.coded(3, 8, true, out);
            }
            _ => return Err(self.at - 1),
        };
        out.char(plain);
        Ok(())
    }

    fn coded(&mut self, count: usize, radix: u32, byte: bool, out: &mut Out) -> Result<(), usize> {
        let mut value = 0u32;
        for _ in 0..count {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(radix)) else { return Err(self.at) };
            value = value.wrapping_mul(radix) | digit;
            self.at += 1;
        }
        if byte && out.as_bytes {
            out.bytes.push(value as u8);
            return Ok(());
        }
        let Some(c) = char::from_u32(value) else { return Err(self.at - 1) };
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
