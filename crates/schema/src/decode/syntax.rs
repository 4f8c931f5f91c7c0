//! Go's complaint about a text that is not JSON: `invalid character 'x' looking for beginning of value`.

/// Go's limit on nesting.
const MAX_DEPTH: usize = 10_000;

/// Checks a whole text; the error is what Go's `encoding/json` says about it.
pub fn check(text: &[u8]) -> Result<(), String> {
    let mut scanner = Scanner { text, at: 0, open: Vec::new() };
    match scanner.document() {
        Ok(()) => Ok(()),
        Err(context) => Err(match scanner.text.get(scanner.at) {
            None => "unexpected end of JSON input".into(),
            Some(&c) => format!("invalid character {} {context}", quote(c)),
        }),
    }
}

const DEPTH: &str = "exceeded max depth";
const VALUE: &str = "looking for beginning of value";

/// Where in the text, and which brackets are open. On an error `at` stands on the offending byte.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<u8>,
}

type Step = Result<(), &'static str>;

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn document(&mut self) -> Step {
        loop {
            self.space();
            self.value()?;
            if self.open_empty()? {
                continue;
            }
            if self.close()? {
                break;
            }
        }
        self.space();
        if self.at < self.text.len() { Err("after top-level value") } else { Ok(()) }
    }

    /// After an opening bracket: true if a value comes next.
    fn open_empty(&mut self) -> Result<bool, &'static str> {
        if self.at == 0 || !matches!(self.text[self.at - 1], b'{' | b'[') || self.open.is_empty() {
            return Ok(false);
        }
        let opened = self.text[self.at - 1];
        self.space();
        match (opened, self.peek()) {
            (b'{', Some(b'}')) | (b'[', Some(b']')) => Ok(false),
            (b'{', _) => {
                self.key()?;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// After a value: closes brackets and takes commas. True at the end of the document.
    fn close(&mut self) -> Result<bool, &'static str> {
        loop {
            let Some(&open) = self.open.last() else { return Ok(true) };
            self.space();
            match (open, self.peek()) {
                (b'{', Some(b'}')) | (b'[', Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                (b'{', Some(b',')) => {
                    self.at += 1;
                    self.space();
                    self.key()?;
                    return Ok(false);
                }
                (b'[', Some(b',')) => {
                    self.at += 1;
                    return Ok(false);
                }
                (b'{', _) => return Err("after object key:value pair"),
                _ => return Err("after array element"),
            }
        }
    }

    fn key(&mut self) -> Step {
        if self.peek() != Some(b'"') {
            return Err("looking for beginning of object key string");
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Step {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(DEPTH);
                }
                self.open.push(open);
                self.at += 1;
                Ok(())
            }
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(
                b"true",
                [
                    "in literal true (expecting 'r')",
                    "in literal true (expecting 'u')",
                    "in literal true (expecting 'e')",
                    "",
                ],
            ),
            Some(b'f') => self.word(
                b"false",
                [
                    "in literal false (expecting 'a')",
                    "in literal false (expecting 'l')",
                    "in literal false (expecting 's')",
                    "in literal false (expecting 'e')",
                ],
            ),
            Some(b'n') => self.word(
                b"null",
                [
                    "in literal null (expecting 'u')",
                    "in literal null (expecting 'l')",
                    "in literal null (expecting 'l')",
                    "",
                ],
            ),
            _ => Err(VALUE),
        }
    }

    fn word(&mut self, word: &[u8], contexts: [&'static str; 4]) -> Step {
        self.at += 1;
        for (expected, context) in word[1..].iter().zip(contexts) {
            if self.peek() != Some(*expected) {
                return Err(context);
            }
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Step {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(c) if c >= 0x20 => self.at += 1,
                _ => return Err("in string literal"),
            }
        }
    }

    fn escape(&mut self) -> Step {
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
                        return Err("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
            }
            _ => return Err("in string escape code"),
        }
        Ok(())
    }

    fn digits(&mut self, context: &'static str) -> Step {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(context);
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Step {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }
}

/// A byte as Go quotes it in these messages.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        _ => {
            let quoted = object::error::quote(&char::from(byte).to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}
