//! The JSONPath of printer columns: what follows the object in kubectl's `{.spec.items[?(@.n=="b")].v}`.
//!
//! Missing fields select nothing. Steps: `.field`, `['field']`, `[0]`, `[-1]`, `[1:3]`, `[0,2]`, `[*]`, `.*`, `..field`, and filters
//! that compare a path with a constant or another path, or ask whether it selects anything. The number of values
//! selected is bounded.

use object::Value;
use std::fmt;

/// Values one path may select; further ones are left out.
const MAX_RESULTS: usize = 1024;
/// Filters inside filters.
const MAX_DEPTH: usize = 8;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

/// Why a path does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    Wildcard,
    Recursive,
    Index(Vec<i64>),
    Slice(Option<i64>, Option<i64>, i64),
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(JsonPath),
    Constant(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path without its braces: `.spec.a`.
    ///
    /// # Errors
    /// Says what was not understood.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        Parser { rest: path, depth: 0 }.path(true)
    }

    /// The fields of a path that has nothing else.
    pub fn plain_fields(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|step| if let Step::Field(name) = step { Some(name.as_str()) } else { None })
            .collect()
    }

    /// The values selected in `root`, at most 1024.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut current = vec![root];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in current {
                step.select(value, &mut next);
                if next.len() >= MAX_RESULTS {
                    break;
                }
            }
            next.truncate(MAX_RESULTS);
            current = next;
        }
        current
    }
}

impl Step {
    fn select<'a>(&self, value: &'a Value, out: &mut Vec<&'a Value>) {
        match self {
            Self::Field(name) => out.extend(field(value, name)),
            Self::Fields(names) => out.extend(names.iter().filter_map(|name| field(value, name))),
            Self::Wildcard => out.extend(children(value)),
            Self::Recursive => descend(value, out),
            Self::Index(indexes) => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let at = |i: i64| usize::try_from(if i < 0 { i + items.len() as i64 } else { i }).ok();
                out.extend(indexes.iter().filter_map(|i| items.get(at(*i)?)));
            }
            Self::Slice(from, to, step) => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let length = items.len() as i64;
                let clamp = |i: i64| (if i < 0 { i + length } else { i }).clamp(0, length) as usize;
                let (from, to) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(length)));
                let step = usize::try_from(*step).unwrap_or(1).max(1);
                out.extend(items.get(from..to).unwrap_or_default().iter().step_by(step));
            }
            Self::Filter(filter) => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                out.extend(items.iter().filter(|item| filter.holds(item)));
            }
        }
    }
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.get(name)
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// The value and everything under it. Depth is that of the object, which decoding limits.
fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    if out.len() < MAX_RESULTS {
        out.push(value);
        for child in children(value) {
            descend(child, out);
        }
    }
}

impl Filter {
    fn holds(&self, item: &Value) -> bool {
        let left = self.left.resolve(item);
        let Some((comparison, right)) = &self.comparison else { return left.is_some() };
        let (Some(left), Some(right)) = (left, right.resolve(item)) else { return false };
        let order = match (left.as_f64(), right.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => match (left, right) {
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                (a, b) if a == b => Some(std::cmp::Ordering::Equal),
                _ => return *comparison == Comparison::NotEqual,
            },
        };
        let Some(order) = order else { return false };
        match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operand {
    fn resolve<'a>(&'a self, item: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Path(path) => path.find(item).first().copied(),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

type Parsed<T> = Result<T, PathError>;

fn fail<T>(message: impl Into<String>) -> Parsed<T> {
    Err(PathError(message.into()))
}

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Steps up to the end (`whole`) or up to what cannot continue a path.
    fn path(&mut self, whole: bool) -> Parsed<JsonPath> {
        let mut steps = Vec::new();
        let _ = self.eat("$") || self.eat("@");
        loop {
            if self.eat("..") {
                steps.push(Step::Recursive);
                if !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.eat(".") {
                if self.rest.is_empty() && steps.is_empty() {
                    break;
                }
                if !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else if whole && !self.rest.is_empty() && steps.is_empty() {
                steps.push(self.field()?);
            } else {
                break;
            }
        }
        if whole && !self.rest.is_empty() {
            return fail(format!(
                "unrecognized character in action: {:?}",
                self.rest.chars().next().unwrap_or(' ')
            ));
        }
        Ok(JsonPath(steps))
    }

    /// A name after a dot; a backslash takes the next character as it is.
    fn field(&mut self) -> Parsed<Step> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' | '}' | '{' | '|' | ',' => {
                    end = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.rest = &self.rest[end..];
        match name.as_str() {
            "" => fail("unexpected end of field name"),
            "*" => Ok(Step::Wildcard),
            _ => Ok(Step::Field(name)),
        }
    }

    fn bracket(&mut self) -> Parsed<Step> {
        if self.eat("?(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return fail("filters nested too deeply");
            }
            let filter = self.filter()?;
            self.depth -= 1;
            return if self.eat(")") && self.eat("]") {
                Ok(Step::Filter(filter))
            } else {
                fail("unterminated filter")
            };
        }
        if self.rest.starts_with(['\'', '"']) {
            let mut names = vec![self.quoted()?];
            while self.eat(",") {
                self.spaces();
                names.push(self.quoted()?);
            }
            let step = if names.len() == 1 { Step::Field(names.remove(0)) } else { Step::Fields(names) };
            return if self.eat("]") { Ok(step) } else { fail("unterminated array") };
        }
        let Some((inside, rest)) = self.rest.split_once(']') else { return fail("unterminated array") };
        self.rest = rest;
        let invalid = || PathError(format!("invalid array index {inside}"));
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| invalid());
        if inside == "*" {
            return Ok(Step::Wildcard);
        }
        if inside.contains(':') {
            let parts: Vec<&str> = inside.split(':').collect();
            if parts.len() > 3 {
                return Err(invalid());
            }
            let part =
                |i: usize| parts.get(i).filter(|p| !p.trim().is_empty()).map(|p| number(p)).transpose();
            let step = part(2)?.unwrap_or(1);
            return if step > 0 {
                Ok(Step::Slice(part(0)?, part(1)?, step))
            } else {
                fail("step must be > 0")
            };
        }
        Ok(Step::Index(inside.split(',').map(number).collect::<Parsed<_>>()?))
    }

    fn filter(&mut self) -> Parsed<Filter> {
        let left = self.operand()?;
        self.spaces();
        const COMPARISONS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let Some((_, comparison)) = COMPARISONS.iter().find(|(token, _)| self.eat(token)) else {
            return Ok(Filter { left, comparison: None });
        };
        self.spaces();
        let right = self.operand()?;
        self.spaces();
        Ok(Filter { left, comparison: Some((*comparison, right)) })
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.spaces();
        if self.rest.starts_with(['@', '$', '.']) {
            return Ok(Operand::Path(self.path(false)?));
        }
        if self.rest.starts_with(['\'', '"']) {
            return Ok(Operand::Constant(self.quoted()?.into()));
        }
        let end = self.rest.find([')', '=', '!', '<', '>', ' ']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match serde_json::from_str(word) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Operand::Constant(value)),
            _ => fail(format!("cannot understand {word:?} in a filter")),
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        let mut chars = self.rest.char_indices();
        let Some((_, quote @ ('\'' | '"'))) = chars.next() else { return fail("expected a quoted name") };
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => out.extend(chars.next().map(|(_, c)| c)),
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                c => out.push(c),
            }
        }
        fail("unterminated quoted string")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    fn find(path: &str) -> Value {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "dotted"}},
            "spec": {"items": [{"n": "a", "v": 1}, {"n": "b", "v": 2}, {"n": "c"}], "map": {"k": "v"}},
        });
        JsonPath::parse(path).expect("parses").find(&object).into_iter().cloned().collect()
    }

    #[test]
    fn selects() {
        assert_eq!(find(".spec.map.k"), json!(["v"]));
        assert_eq!(find("spec.map.k"), json!(["v"]));
        assert_eq!(find(".spec.none.k"), json!([]));
        assert_eq!(find(".spec.items[*].n"), json!(["a", "b", "c"]));
        assert_eq!(find(".spec.items[0].n"), json!(["a"]));
        assert_eq!(find(".spec.items[-1].n"), json!(["c"]));
        assert_eq!(find(".spec.items[9].n"), json!([]));
        assert_eq!(find(".spec.items[1:].n"), json!(["b", "c"]));
        assert_eq!(find(".spec.items[0,2].n"), json!(["a", "c"]));
        assert_eq!(find(".spec.map.*"), json!(["v"]));
        assert_eq!(find("..v"), json!([1, 2]));
        assert_eq!(find(".metadata.labels['a.b/c']"), json!(["dotted"]));
        assert_eq!(find(".metadata.labels.a\\.b/c"), json!(["dotted"]));
    }

    #[test]
    fn filters() {
        assert_eq!(find(r#".spec.items[?(@.n=="b")].v"#), json!([2]));
        assert_eq!(find(".spec.items[?(@.n != 'b')].n"), json!(["a", "c"]));
        assert_eq!(find(".spec.items[?(@.v > 1)].n"), json!(["b"]));
        assert_eq!(find(".spec.items[?(@.v)].n"), json!(["a", "b"]));
        assert_eq!(find(r#".spec.items[?(@.v == "1")].n"#), json!([]));
    }

    #[test]
    fn refuses() {
        for path in [
            ".spec.",
            ".spec[",
            ".spec['a",
            ".a[x]",
            ".a[?(@.b==)]",
            ".a[?(@.b==1]",
            ".a b",
            "..",
            ".a[1:2:0]",
        ] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        assert!(JsonPath::parse(&"[?(@".repeat(100)).is_err());
    }

    #[test]
    fn results_are_bounded() {
        let wide: Value = (0..5000).collect();
        assert_eq!(JsonPath::parse("[*]").expect("parses").find(&wide).len(), MAX_RESULTS);
    }
}
