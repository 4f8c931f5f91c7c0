//! From tokens to expressions, with macros expanded on the way.
//!
//! Nesting is limited, so that hostile input overflows no stack, here or in whoever walks the result.

use crate::ast::{Entry, Expr, Init, Kind, Literal};
use crate::error::{CompileError, Issue};
use crate::lexer::{Token, TokenKind, tokens};
use crate::macros;

/// How deep expressions nest in the text.
const MAX_NESTING: u32 = 100;
/// How many levels the expanded expression has: chains of operators count too.
pub(crate) const MAX_DEPTH: u16 = 250;
/// The longest text taken, in characters.
const MAX_LENGTH: usize = 100_000;

const STARTS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// The same at the start of arguments, of a list and of a map.
const STARTS_ARGUMENT: &str = "{'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const STARTS_ITEM: &str = "{'[', ']', '{', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const STARTS_ENTRY: &str = "{'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// A parsed expression, and how many ids it uses.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub root: Expr,
    pub ids: u32,
}

/// Parses `source`.
pub(crate) fn parse(source: &str) -> Result<Parsed, CompileError> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        let message = format!("expression code point size exceeds limit: size: {length}, limit {MAX_LENGTH}");
        return Err(CompileError { text: format!("ERROR: <input>:-1:0: {message}"), is_unrunnable: false });
    }
    let (tokens, issues) = tokens(source);
    let mut parser = Parser { tokens, issues, next: 0, nesting: 0, nodes: Nodes::default() };
    let root = parser.expression().and_then(|root| parser.end().map(|()| root));
    match root {
        Ok(root) if parser.issues.is_empty() => Ok(Parsed { root, ids: parser.nodes.next }),
        root => {
            let issues = parser.issues.into_iter().chain(root.err()).collect();
            Err(CompileError::new(source, issues))
        }
    }
}

/// Makes nodes with ids and depths.
#[derive(Default)]
pub(crate) struct Nodes {
    next: u32,
}

type Parse<T> = Result<T, Issue>;

impl Nodes {
    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// A node of this kind; refused when it is too deep.
    pub fn make(&mut self, at: u32, kind: Kind) -> Parse<Expr> {
        let mut deepest = 0;
        children(&kind, &mut |child| deepest = deepest.max(child.depth));
        if deepest >= MAX_DEPTH {
            let message = format!("expression recursion limit exceeded: {MAX_DEPTH}");
            return Err(Issue { at, message });
        }
        Ok(Expr { id: self.id(), at, depth: deepest + 1, kind })
    }

    pub fn ident(&mut self, at: u32, name: &str) -> Expr {
        Expr { id: self.id(), at, depth: 1, kind: Kind::Ident(name.into()) }
    }

    pub fn literal(&mut self, at: u32, value: Literal) -> Expr {
        Expr { id: self.id(), at, depth: 1, kind: Kind::Literal(value) }
    }

    pub fn call(&mut self, at: u32, function: &str, args: Vec<Expr>) -> Parse<Expr> {
        self.make(at, Kind::Call { function: function.into(), target: None, args })
    }
}

fn children(kind: &Kind, each: &mut dyn FnMut(&Expr)) {
    match kind {
        Kind::Literal(_) | Kind::Ident(_) => {}
        Kind::Select { operand, .. } => each(operand),
        Kind::Call { target, args, .. } => {
            target.iter().for_each(|t| each(t));
            args.iter().for_each(each);
        }
        Kind::List(items) => items.iter().for_each(|(item, _)| each(item)),
        Kind::Map(entries) => entries.iter().for_each(|entry| {
            each(&entry.key);
            each(&entry.value);
        }),
        Kind::Struct { fields, .. } => fields.iter().for_each(|field| each(&field.value)),
        Kind::Fold(fold) => {
            [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result].into_iter().for_each(each)
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    /// What is wrong so far, though parsing goes on.
    issues: Vec<Issue>,
    next: usize,
    nesting: u32,
    nodes: Nodes,
}

/// Binary operators with their precedence and names.
fn binary(symbol: &str) -> Option<(u8, &'static str)> {
    Some(match symbol {
        "||" => (1, "_||_"),
        "&&" => (2, "_&&_"),
        "<" => (3, "_<_"),
        "<=" => (3, "_<=_"),
        ">" => (3, "_>_"),
        ">=" => (3, "_>=_"),
        "==" => (3, "_==_"),
        "!=" => (3, "_!=_"),
        "in" => (3, "@in"),
        "+" => (4, "_+_"),
        "-" => (4, "_-_"),
        "*" => (5, "_*_"),
        "/" => (5, "_/_"),
        "%" => (5, "_%_"),
        _ => return None,
    })
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token().kind, TokenKind::Symbol(s) if s == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn fail<T>(&self, message: String) -> Parse<T> {
        Err(Issue { at: self.token().at, message: format!("Syntax error: {message}") })
    }

    fn unexpected<T>(&self, expecting: &str) -> Parse<T> {
        self.fail(format!("mismatched input '{}' expecting {expecting}", self.token().text))
    }

    fn expect(&mut self, symbol: &str) -> Parse<()> {
        if self.eat(symbol) {
            return Ok(());
        }
        self.fail(format!("missing '{symbol}' at '{}'", self.token().text))
    }

    fn end(&mut self) -> Parse<()> {
        if self.token().kind == TokenKind::End {
            return Ok(());
        }
        let last = self.tokens.get(self.next + 1).is_none_or(|t| t.kind == TokenKind::End);
        let how = if last { "extraneous" } else { "mismatched" };
        self.fail(format!("{how} input '{}' expecting <EOF>", self.token().text))
    }

    fn expression(&mut self) -> Parse<Expr> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let message = format!("expression recursion limit exceeded: {MAX_NESTING}");
            return Err(Issue { at: self.token().at, message });
        }
        let condition = self.operation(1)?;
        let at = self.token().at;
        let result = if self.eat("?") {
            let yes = self.operation(1)?;
            self.expect(":")?;
            let no = self.expression()?;
            self.nodes.call(at, "_?_:_", vec![condition, yes, no])
        } else {
            Ok(condition)
        };
        self.nesting -= 1;
        result
    }

    /// Operators of at least this precedence.
    fn operation(&mut self, least: u8) -> Parse<Expr> {
        let mut left = self.unary()?;
        loop {
            let TokenKind::Symbol(symbol) = self.token().kind else { return Ok(left) };
            let Some((precedence, name)) = binary(symbol).filter(|(p, _)| *p >= least) else {
                return Ok(left);
            };
            let at = self.advance().at;
            let right = self.operation(precedence + 1)?;
            left = match (precedence, &mut left.kind) {
                // Chains of && and || are one flat call.
                (1 | 2, Kind::Call { function, args, target: None })
                    if **function == *name && args.len() < 250 =>
                {
                    let mut args = std::mem::take(args);
                    args.push(right);
                    self.nodes.call(left.at, name, args)?
                }
                _ => self.nodes.call(at, name, vec![left, right])?,
            };
        }
    }

    fn unary(&mut self) -> Parse<Expr> {
        let at = self.token().at;
        for symbol in ["!", "-"] {
            let mut count = 0;
            while self.is(symbol) && !self.is_negative_number() {
                self.advance();
                count += 1;
            }
            if count > 0 {
                let operand = self.member()?;
                let name = if symbol == "!" { "!_" } else { "-_" };
                return if count % 2 == 0 { Ok(operand) } else { self.nodes.call(at, name, vec![operand]) };
            }
        }
        self.member()
    }

    fn is_negative_number(&self) -> bool {
        let next = self.tokens.get(self.next + 1).map(|t| &t.kind);
        self.is("-") && matches!(next, Some(TokenKind::Int(_) | TokenKind::MinInt | TokenKind::Double(_)))
    }

    fn member(&mut self) -> Parse<Expr> {
        let mut operand = self.primary()?;
        loop {
            let at = self.token().at;
            if self.eat(".") {
                let optional = self.eat("?");
                let name = self.field_name(optional)?;
                let open = self.token().at;
                if !optional && name.kind == TokenKind::Ident && self.eat("(") {
                    let args = self.arguments(")")?;
                    operand = self.invoke(open, &name.text, Some(operand), args)?;
                } else if optional {
                    let text = field_text(&name);
                    let field = self.nodes.literal(name.at, Literal::String(text));
                    operand = self.nodes.call(at, "_?._", vec![operand, field])?;
                } else {
                    let kind =
                        Kind::Select { operand: Box::new(operand), field: field_text(&name), test: false };
                    operand = self.nodes.make(at, kind)?;
                }
            } else if self.eat("[") {
                let optional = self.eat("?");
                let index = self.expression()?;
                self.expect("]")?;
                let name = if optional { "_[?_]" } else { "_[_]" };
                operand = self.nodes.call(at, name, vec![operand, index])?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn field_name(&mut self, after_question: bool) -> Parse<Token> {
        let token = self.token().clone();
        if token.kind == TokenKind::Escaped {
            self.issues.push(Issue { at: token.at, message: "unsupported syntax: '`'".into() });
        }
        if matches!(token.kind, TokenKind::Ident | TokenKind::Escaped) {
            return Ok(self.advance());
        }
        if after_question {
            return self.unexpected("{IDENTIFIER, ESC_IDENTIFIER}");
        }
        let text = if token.kind == TokenKind::End { "" } else { &*token.text };
        self.fail(format!("no viable alternative at input '.{text}'"))
    }

    fn primary(&mut self) -> Parse<Expr> {
        let token = self.token().clone();
        let literal = |parser: &mut Self, value| {
            parser.advance();
            Ok(parser.nodes.literal(token.at, value))
        };
        match &token.kind {
            TokenKind::Int(value) => literal(self, Literal::Int(*value)),
            TokenKind::Uint(value) => literal(self, Literal::Uint(*value)),
            TokenKind::Double(value) => literal(self, Literal::Double(*value)),
            TokenKind::String(text) => literal(self, Literal::String(text.as_str().into())),
            TokenKind::Bytes(bytes) => literal(self, Literal::Bytes(bytes.as_slice().into())),
            TokenKind::MinInt => Err(Issue { at: token.at, message: "invalid int literal".into() }),
            TokenKind::Symbol("true") => literal(self, Literal::Bool(true)),
            TokenKind::Symbol("false") => literal(self, Literal::Bool(false)),
            TokenKind::Symbol("null") => literal(self, Literal::Null),
            TokenKind::Symbol("-") => self.negative(token.at),
            TokenKind::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Symbol("[") => self.list(token.at),
            TokenKind::Symbol("{") => self.map(token.at),
            TokenKind::Symbol(".") => {
                self.advance();
                self.named(".")
            }
            TokenKind::Ident => self.named(""),
            _ => self.no_primary(),
        }
    }

    /// What stands here cannot begin an expression, nor be what else `expecting` names.
    fn expect_start(&self, also: &[&str], expecting: &str) -> Parse<()> {
        let starts = match self.token().kind {
            TokenKind::Symbol(symbol) => {
                matches!(symbol, "(" | "[" | "{" | "." | "-" | "!" | "true" | "false" | "null")
                    || also.contains(&symbol)
            }
            TokenKind::End | TokenKind::Escaped => false,
            _ => true,
        };
        if starts { Ok(()) } else { self.no_start(expecting) }
    }

    fn no_primary<T>(&self) -> Parse<T> {
        self.no_start(STARTS)
    }

    fn no_start<T>(&self, expecting: &str) -> Parse<T> {
        let next = self.tokens.get(self.next + 1).map(|t| &t.kind);
        let starts = matches!(
            next,
            Some(TokenKind::Ident | TokenKind::Int(_) | TokenKind::String(_) | TokenKind::Symbol("(" | "["))
        );
        if starts && self.token().kind != TokenKind::End {
            return self.fail(format!("extraneous input '{}' expecting {expecting}", self.token().text));
        }
        self.unexpected(expecting)
    }

    fn negative(&mut self, at: u32) -> Parse<Expr> {
        self.advance();
        let value = match self.token().kind {
            TokenKind::Int(value) => Literal::Int(-value),
            TokenKind::MinInt => Literal::Int(i64::MIN),
            TokenKind::Double(value) => Literal::Double(-value),
            _ => return self.no_primary(),
        };
        self.advance();
        Ok(self.nodes.literal(at, value))
    }

    /// A variable, a call or a struct.
    fn named(&mut self, dot: &str) -> Parse<Expr> {
        let token = self.advance();
        if token.kind != TokenKind::Ident {
            self.next = self.next.saturating_sub(1);
            return self.fail(format!("mismatched input '{}' expecting IDENTIFIER", token.text));
        }
        if crate::keywords::RESERVED.contains(&&*token.text) {
            self.issues.push(Issue { at: token.at, message: format!("reserved identifier: {}", token.text) });
        }
        let name = format!("{dot}{}", token.text);
        let open = self.token().at;
        if self.eat("(") {
            let args = self.arguments(")")?;
            return self.invoke(open, &name, None, args);
        }
        if let Some(type_name) = self.struct_name(&name) {
            let at = self.token().at;
            self.advance();
            return self.structure(at, &type_name);
        }
        Ok(self.nodes.ident(token.at, &name))
    }

    /// `a.b.C` when a `{` follows it; the names are consumed then.
    fn struct_name(&mut self, first: &str) -> Option<String> {
        let mut name = first.to_owned();
        let mut at = self.next;
        loop {
            match &self.tokens.get(at)?.kind {
                TokenKind::Symbol("{") => {
                    self.next = at;
                    return Some(name);
                }
                TokenKind::Symbol(".") => {
                    let field = self.tokens.get(at + 1).filter(|t| t.kind == TokenKind::Ident)?;
                    name = format!("{name}.{}", field.text);
                    at += 2;
                }
                _ => return None,
            }
        }
    }

    fn arguments(&mut self, close: &str) -> Parse<Vec<Expr>> {
        let mut args = Vec::new();
        if self.eat(close) {
            return Ok(args);
        }
        self.expect_start(&[], STARTS_ARGUMENT)?;
        loop {
            args.push(self.expression()?);
            if self.eat(close) {
                return Ok(args);
            }
            if !self.eat(",") {
                return self.unexpected(&format!("{{'{close}', ','}}"));
            }
        }
    }

    fn list(&mut self, at: u32) -> Parse<Expr> {
        self.advance();
        self.expect_start(&["]", "?"], STARTS_ITEM)?;
        let mut items = Vec::new();
        while !self.eat("]") {
            let optional = self.eat("?");
            items.push((self.expression()?, optional));
            if !self.is("]") && !self.eat(",") {
                return self.unexpected("{']', ','}");
            }
        }
        self.nodes.make(at, Kind::List(items))
    }

    fn map(&mut self, at: u32) -> Parse<Expr> {
        self.advance();
        self.expect_start(&["}", "?"], STARTS_ENTRY)?;
        let mut entries = Vec::new();
        while !self.eat("}") {
            let optional = self.eat("?");
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push(Entry { key, value, optional });
            if !self.is("}") && !self.eat(",") {
                return self.unexpected("{'}', ','}");
            }
        }
        self.nodes.make(at, Kind::Map(entries))
    }

    fn structure(&mut self, at: u32, name: &str) -> Parse<Expr> {
        let mut fields = Vec::new();
        while !self.eat("}") {
            let optional = self.eat("?");
            if !matches!(self.token().kind, TokenKind::Ident | TokenKind::Escaped) {
                return self.unexpected("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}");
            }
            let field = self.advance();
            let colon = self.token().at;
            self.expect(":")?;
            let value = self.expression()?;
            fields.push(Init { at: colon, field: field_text(&field), value, optional });
            if !self.is("}") && !self.eat(",") {
                return self.unexpected("{'}', ','}");
            }
        }
        self.nodes.make(at, Kind::Struct { name: name.into(), fields })
    }

    fn invoke(&mut self, at: u32, name: &str, target: Option<Expr>, args: Vec<Expr>) -> Parse<Expr> {
        match macros::expand(&mut self.nodes, at, name, target, args)? {
            macros::Expanded::Done(expr) => Ok(expr),
            macros::Expanded::Call(target, args) => {
                self.nodes.make(at, Kind::Call { function: name.into(), target: target.map(Box::new), args })
            }
        }
    }
}

fn field_text(token: &Token) -> Box<str> {
    token.text.trim_matches('`').into()
}
