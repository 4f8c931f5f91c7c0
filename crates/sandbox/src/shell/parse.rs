//! The part of the shell's grammar that simulated containers understand.

/// What a script says to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// One after the other.
    List(Vec<Node>),
    /// The second only after success (`true`) or failure (`false`) of the first.
    Then(Box<Node>, bool, Box<Node>),
    /// The output of one is the input of the next.
    Pipe(Vec<Node>),
    /// `! command`
    Not(Box<Node>),
    /// Assignments, words, redirections.
    Simple(Vec<(String, Word)>, Vec<Word>, Vec<Redirect>),
    /// Condition, then, else.
    If(Box<Node>, Box<Node>, Option<Box<Node>>),
    /// Condition, the result that goes on, body.
    While(Box<Node>, bool, Box<Node>),
    /// Variable, words, body.
    For(String, Vec<Word>, Box<Node>),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word(pub Vec<Part>);

/// A part of a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// A variable and the text used when it is unset or empty; split at blanks unless quoted.
    Variable(String, String, bool),
    /// The output of a command; split at blanks unless quoted.
    Command(Box<Node>, bool),
    /// `$((…))`
    Arithmetic(String),
}

/// `2>> word`
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// 1 or 2; 0 reads.
    pub from: u8,
    /// Add to the end.
    pub append: bool,
    /// A file, or `&1`.
    pub to: Word,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Word, bool),
    Operator(&'static str),
    Redirect(u8, bool),
}

const OPERATORS: [&str; 9] = ["&&", "||", ";;", ";", "\n", "|", "&", "(", ")"];
const RESERVED: [&str; 13] =
    ["if", "then", "else", "elif", "fi", "while", "until", "for", "do", "done", "{", "}", "in"];
/// Nesting allowed, of constructs and substitutions together.
const DEPTH: u32 = 24;

/// Reads a script; `None` for what is not understood.
pub fn parse(script: &str) -> Option<Node> {
    nested(script, 0)
}

fn nested(script: &str, depth: u32) -> Option<Node> {
    if depth > DEPTH || script.len() > 64 << 10 {
        return None;
    }
    let tokens = Lexer { rest: script, depth }.tokens()?;
    let mut parser = Parser { tokens: tokens.into(), depth };
    let node = parser.list(&[])?;
    parser.tokens.is_empty().then_some(node)
}

struct Lexer<'a> {
    rest: &'a str,
    depth: u32,
}

impl Lexer<'_> {
    fn tokens(mut self) -> Option<Vec<Token>> {
        let mut tokens = vec![];
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
            if self.rest.starts_with('#') {
                self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
            }
            if self.rest.is_empty() {
                return Some(tokens);
            }
            if let Some(tail) = self.rest.strip_prefix("\\\n") {
                self.rest = tail;
            } else if let Some(redirect) = self.redirect()? {
                tokens.push(redirect);
            } else if let Some(operator) = OPERATORS.iter().find(|o| self.rest.starts_with(**o)) {
                self.rest = &self.rest[operator.len()..];
                tokens.push(Token::Operator(operator));
            } else {
                tokens.push(self.word()?);
            }
        }
    }

    fn redirect(&mut self) -> Option<Option<Token>> {
        let (from, rest) = match self.rest.as_bytes() {
            [b'1', b'>', ..] => (1, &self.rest[1..]),
            [b'2', b'>', ..] => (2, &self.rest[1..]),
            [b'>', ..] => (1, self.rest),
            [b'<', b'<', ..] => return None,
            [b'<', ..] => {
                self.rest = &self.rest[1..];
                return Some(Some(Token::Redirect(0, false)));
            }
            [b'&', b'>', ..] => return None,
            _ => return Some(None),
        };
        let append = rest.starts_with(">>");
        self.rest = &rest[if append { 2 } else { 1 }..];
        Some(Some(Token::Redirect(from, append)))
    }

    fn word(&mut self) -> Option<Token> {
        let (mut word, mut text, mut plain) = (Word::default(), String::new(), true);
        while let Some(c) = self.rest.chars().next() {
            // `&1` belongs to a redirection only at the start of a word.
            let starts = word.0.is_empty() && text.is_empty();
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | '(' | ')' | '<' | '>' => break,
                '&' if !starts || !self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => break,
                '\'' => {
                    let end = self.rest[1..].find('\'')? + 1;
                    text.push_str(&self.rest[1..end]);
                    self.rest = &self.rest[end + 1..];
                    plain = false;
                }
                '"' => {
                    self.rest = &self.rest[1..];
                    self.quoted(&mut word, &mut text)?;
                    plain = false;
                }
                '\\' => {
                    let escaped = self.rest.chars().nth(1)?;
                    text.push(escaped);
                    self.rest = &self.rest[1 + escaped.len_utf8()..];
                    plain = false;
                }
                '$' | '`' => self.expansion(&mut word, &mut text, false)?,
                c => {
                    text.push(c);
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
        if !text.is_empty() || !plain {
            word.0.push(Part::Text(text));
        }
        Some(Token::Word(word, plain))
    }

    fn quoted(&mut self, word: &mut Word, text: &mut String) -> Option<()> {
        loop {
            match self.rest.chars().next()? {
                '"' => {
                    self.rest = &self.rest[1..];
                    return Some(());
                }
                '\\' => {
                    let next = self.rest[1..].chars().next()?;
                    if !matches!(next, '"' | '\\' | '$' | '`' | '\n') {
                        text.push('\\');
                    }
                    if next != '\n' {
                        text.push(next);
                    }
                    self.rest = &self.rest[1 + next.len_utf8()..];
                }
                '$' | '`' => self.expansion(word, text, true)?,
                c => {
                    text.push(c);
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
    }

    /// What starts with `$` or a back quote.
    fn expansion(&mut self, word: &mut Word, text: &mut String, quoted: bool) -> Option<()> {
        let part = if let Some(tail) = self.rest.strip_prefix("$((") {
            let end = tail.find("))")?;
            self.rest = &tail[end + 2..];
            Part::Arithmetic(tail[..end].to_owned())
        } else if let Some(tail) = self.rest.strip_prefix("$(") {
            let end = closing(tail)?;
            self.rest = &tail[end + 1..];
            Part::Command(Box::new(nested(&tail[..end], self.depth + 1)?), quoted)
        } else if let Some(tail) = self.rest.strip_prefix('`') {
            let end = tail.find('`')?;
            self.rest = &tail[end + 1..];
            Part::Command(Box::new(nested(&tail[..end], self.depth + 1)?), quoted)
        } else if let Some(tail) = self.rest.strip_prefix("${") {
            let end = tail.find('}')?;
            let inside = &tail[..end];
            let name = &inside[..inside.find(|c| !is_name(c)).unwrap_or(inside.len())];
            let default = match &inside[name.len()..] {
                "" => "",
                rest => rest.strip_prefix(":-").or(rest.strip_prefix('-'))?,
            };
            self.rest = &tail[end + 1..];
            Part::Variable(name.to_owned(), default.to_owned(), quoted)
        } else {
            let tail = &self.rest[1..];
            let length = match tail.chars().next() {
                Some('?' | '$' | '@' | '*' | '#' | '0'..='9') => 1,
                _ => tail.find(|c| !is_name(c)).unwrap_or(tail.len()),
            };
            self.rest = &tail[length..];
            if length == 0 {
                text.push('$');
                return Some(());
            }
            Part::Variable(tail[..length].to_owned(), String::new(), quoted)
        };
        if !text.is_empty() {
            word.0.push(Part::Text(std::mem::take(text)));
        }
        word.0.push(part);
        Some(())
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where the parenthesis that was opened before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(at),
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

struct Parser {
    tokens: std::collections::VecDeque<Token>,
    depth: u32,
}

impl Parser {
    fn keyword(&self) -> Option<&str> {
        match self.tokens.front()? {
            Token::Word(Word(parts), true) => match parts.as_slice() {
                [Part::Text(text)] if RESERVED.contains(&text.as_str()) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn take_keyword(&mut self, wanted: &str) -> Option<()> {
        (self.keyword() == Some(wanted)).then(|| drop(self.tokens.pop_front()))
    }

    fn take_operator(&mut self, wanted: &[&str]) -> Option<&'static str> {
        match self.tokens.front() {
            Some(Token::Operator(operator)) if wanted.contains(operator) => {
                let operator = *operator;
                self.tokens.pop_front();
                Some(operator)
            }
            _ => None,
        }
    }

    fn blank_lines(&mut self) {
        while self.take_operator(&["\n"]).is_some() {}
    }

    /// Commands up to one of the keywords (or a closing parenthesis), which stays.
    fn list(&mut self, until: &[&str]) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let mut nodes = vec![];
        loop {
            while self.take_operator(&["\n", ";"]).is_some() {}
            let closes = matches!(self.tokens.front(), None | Some(Token::Operator(")")));
            if closes || self.keyword().is_some_and(|k| until.contains(&k)) {
                self.depth -= 1;
                return Some(Node::List(nodes));
            }
            nodes.push(self.and_or()?);
            if self.take_operator(&["&"]).is_some() {
                // Background work is done in the foreground: its output still comes, in order.
            }
        }
    }

    fn and_or(&mut self) -> Option<Node> {
        let mut left = self.pipeline()?;
        while let Some(operator) = self.take_operator(&["&&", "||"]) {
            self.blank_lines();
            left = Node::Then(Box::new(left), operator == "&&", Box::new(self.pipeline()?));
        }
        Some(left)
    }

    fn pipeline(&mut self) -> Option<Node> {
        let not =
            matches!(self.tokens.front(), Some(Token::Word(Word(p), true)) if p == &[Part::Text("!".into())]);
        if not {
            self.tokens.pop_front();
        }
        let mut nodes = vec![self.command()?];
        while self.take_operator(&["|"]).is_some() {
            self.blank_lines();
            nodes.push(self.command()?);
        }
        let node = if nodes.len() == 1 { nodes.remove(0) } else { Node::Pipe(nodes) };
        Some(if not { Node::Not(Box::new(node)) } else { node })
    }

    fn command(&mut self) -> Option<Node> {
        if self.take_operator(&["("]).is_some() {
            let list = self.list(&[])?;
            self.take_operator(&[")"])?;
            return Some(list);
        }
        match self.keyword() {
            None => self.simple(),
            Some("{") => {
                self.take_keyword("{")?;
                let list = self.list(&["}"])?;
                self.take_keyword("}")?;
                Some(list)
            }
            Some("if") => {
                self.take_keyword("if")?;
                self.rest_of_if()
            }
            Some(kind @ ("while" | "until")) => {
                let goes_on = kind == "while";
                self.tokens.pop_front();
                let condition = self.list(&["do"])?;
                Some(Node::While(Box::new(condition), goes_on, Box::new(self.body()?)))
            }
            Some("for") => self.for_loop(),
            Some(_) => None,
        }
    }

    fn rest_of_if(&mut self) -> Option<Node> {
        let condition = self.list(&["then"])?;
        self.take_keyword("then")?;
        let then = self.list(&["elif", "else", "fi"])?;
        let otherwise = if self.take_keyword("elif").is_some() {
            self.depth += 1;
            let nested = (self.depth < DEPTH).then(|| self.rest_of_if())??;
            self.depth -= 1;
            return Some(Node::If(Box::new(condition), Box::new(then), Some(Box::new(nested))));
        } else if self.take_keyword("else").is_some() {
            Some(Box::new(self.list(&["fi"])?))
        } else {
            None
        };
        self.take_keyword("fi")?;
        Some(Node::If(Box::new(condition), Box::new(then), otherwise))
    }

    fn for_loop(&mut self) -> Option<Node> {
        self.take_keyword("for")?;
        let Some(Token::Word(Word(name), true)) = self.tokens.pop_front() else { return None };
        let [Part::Text(name)] = name.as_slice() else { return None };
        self.take_keyword("in")?;
        let mut words = vec![];
        while let Some(Token::Word(..)) = self.tokens.front() {
            let Some(Token::Word(word, _)) = self.tokens.pop_front() else { return None };
            words.push(word);
        }
        while self.take_operator(&["\n", ";"]).is_some() {}
        Some(Node::For(name.clone(), words, Box::new(self.body()?)))
    }

    fn body(&mut self) -> Option<Node> {
        self.take_keyword("do")?;
        let body = self.list(&["done"])?;
        self.take_keyword("done")?;
        Some(body)
    }

    fn simple(&mut self) -> Option<Node> {
        let (mut assignments, mut words, mut redirects) = (vec![], vec![], vec![]);
        loop {
            match self.tokens.front() {
                Some(Token::Redirect(..)) => {
                    let Some(Token::Redirect(from, append)) = self.tokens.pop_front() else { return None };
                    let Some(Token::Word(to, _)) = self.tokens.pop_front() else { return None };
                    redirects.push(Redirect { from, append, to });
                }
                Some(Token::Word(..)) => {
                    let Some(Token::Word(word, _)) = self.tokens.pop_front() else { return None };
                    match assignment(&word) {
                        Some(assignment) if words.is_empty() => assignments.push(assignment),
                        _ => words.push(word),
                    }
                }
                _ => break,
            }
        }
        let empty = assignments.is_empty() && words.is_empty() && redirects.is_empty();
        (!empty).then_some(Node::Simple(assignments, words, redirects))
    }
}

/// `NAME=value`
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Part::Text(first)) = word.0.first() else { return None };
    let (name, value) = first.split_once('=')?;
    if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut parts = vec![Part::Text(value.to_owned())];
    parts.extend_from_slice(&word.0[1..]);
    Some((name.to_owned(), Word(parts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same words in every run.
    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 33) as usize
    }

    #[test]
    fn any_text_is_read_or_refused() {
        let pieces = [
            "echo",
            " ",
            ";",
            "\n",
            "&&",
            "||",
            "|",
            "&",
            "(",
            ")",
            "$(",
            "$((",
            "))",
            "${x:-y}",
            "${",
            "}",
            "$x",
            "$",
            "`",
            "'",
            "\"",
            "\\",
            "é",
            "if",
            "then",
            "fi",
            "while",
            "do",
            "done",
            "for i in a",
            ">",
            ">>",
            "2>&1",
            "<",
            "x=1",
            "#",
            "!",
            "{",
            "esac",
            "1+2",
            "\u{0}",
        ];
        let (mut state, mut read) = (0x9e37_79b9_7f4a_7c15, 0);
        for _ in 0..20_000 {
            let length = random(&mut state) % 12;
            let text: String = (0..length).map(|_| pieces[random(&mut state) % pieces.len()]).collect();
            read += usize::from(parse(&text).is_some());
            super::super::arithmetic::evaluate(&text, |_| "1".into());
        }
        assert!((1_000..19_000).contains(&read), "{read} were read");
    }

    #[test]
    fn words_are_taken_apart() {
        let Some(Node::List(nodes)) = parse("a=1 echo \"$x\" '$y' ${z:-d} > f # rest") else { panic!() };
        let text = |text: &str| Word(vec![Part::Text(text.into())]);
        let variable = |name: &str, default: &str, quoted| {
            Word(vec![Part::Variable(name.into(), default.into(), quoted)])
        };
        let mut quoted = variable("x", "", true);
        quoted.0.push(Part::Text(String::new()));
        let words = vec![text("echo"), quoted, text("$y"), variable("z", "d", false)];
        let redirect = Redirect { from: 1, append: false, to: text("f") };
        assert_eq!(nodes, [Node::Simple(vec![("a".into(), text("1"))], words, vec![redirect])]);
    }
}
