//! Expressions, parsed and with their macros expanded.

/// An expression with its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Index into side tables: types, resolved functions.
    pub id: u32,
    /// Where it is reported, in characters from the start.
    pub at: u32,
    /// How many levels of expressions it has.
    pub depth: u16,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A constant.
    Literal(Literal),
    /// A variable, or a qualified name once checked.
    Ident(Box<str>),
    /// `operand.field`, or `has(operand.field)`.
    Select { operand: Box<Expr>, field: Box<str>, test: bool },
    /// `function(args)` or `target.function(args)`.
    Call { function: Box<str>, target: Option<Box<Expr>>, args: Vec<Expr> },
    /// `[a, ?b]`: items, and whether each is optional.
    List(Vec<(Expr, bool)>),
    /// `{key: value, ?key: value}`
    Map(Vec<Entry>),
    /// `Name{field: value}`
    Struct { name: Box<str>, fields: Vec<Init> },
    /// What macros become.
    Fold(Box<Fold>),
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub struct Init {
    pub at: u32,
    pub field: Box<str>,
    pub value: Expr,
    pub optional: bool,
}

/// A comprehension: goes over `range` as long as `condition` holds, `step` after `step`.
#[derive(Clone, Debug)]
pub struct Fold {
    pub variable: Box<str>,
    pub second: Option<Box<str>>,
    pub range: Expr,
    pub accumulator: Box<str>,
    pub init: Expr,
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

impl Expr {
    /// `a.b.c` as a name.
    pub fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select { operand, field, test: false } => {
                Some(format!("{}.{field}", operand.qualified_name()?))
            }
            _ => None,
        }
    }
}
