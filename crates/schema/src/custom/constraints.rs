//! What a place in a custom schema demands of its values, beyond its shape.

use crate::NodeId;
use serde_json::Value;
use std::any::Any;
use std::sync::OnceLock;

/// The constraints of all nodes of an arena, by node.
#[derive(Debug, Default)]
pub(crate) struct Custom {
    /// One per node.
    pub checks: Vec<Check>,
    /// Room for what whoever evaluates rules makes of the whole schema.
    pub whole: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The JSON types a place takes, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeSet(pub u8);

impl TypeSet {
    pub const OBJECT: u8 = 1;
    pub const ARRAY: u8 = 2;
    pub const STRING: u8 = 4;
    pub const INTEGER: u8 = 8;
    pub const NUMBER: u8 = 16;
    pub const BOOLEAN: u8 = 32;
    const NAMES: [(&str, u8); 6] = [
        ("object", Self::OBJECT),
        ("array", Self::ARRAY),
        ("integer", Self::INTEGER),
        ("number", Self::NUMBER),
        ("string", Self::STRING),
        ("boolean", Self::BOOLEAN),
    ];

    /// The set of one type; empty if there is no such type.
    pub fn named(name: &str) -> Self {
        Self(Self::NAMES.iter().find(|(n, _)| *n == name).map_or(0, |(_, bit)| *bit))
    }

    /// Whether a type (one of the constants) is in.
    pub fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Nothing is demanded.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// `integer,string`
    pub fn names(self) -> String {
        let names = Self::NAMES.iter().filter(|(_, bit)| self.has(*bit)).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(",")
    }
}

/// What a place demands.
#[derive(Debug, Default)]
pub(crate) struct Check {
    /// JSON types taken; all if empty.
    pub types: TypeSet,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve: bool,
    /// `x-kubernetes-embedded-resource`
    pub embedded: bool,
    /// `additionalProperties: false`
    pub closed: bool,
    more: Option<Box<More>>,
}

impl Check {
    /// Nothing demanded.
    pub const fn nothing() -> Self {
        Self { types: TypeSet(0), preserve: false, embedded: false, closed: false, more: None }
    }

    /// The rarer constraints.
    pub fn more(&self) -> Option<&More> {
        self.more.as_deref()
    }

    /// The same, to be filled in.
    pub fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// The rarer constraints of a place.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// `format`, if Kubernetes knows it.
    pub format: Option<Box<str>>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub min_items: Option<i64>,
    pub max_items: Option<i64>,
    pub min_properties: Option<i64>,
    pub max_properties: Option<i64>,
    pub unique_items: bool,
    pub pattern: Option<Pattern>,
    pub choices: Vec<Value>,
    pub required: Vec<Box<str>>,
    pub all_of: Vec<NodeId>,
    pub any_of: Vec<NodeId>,
    pub one_of: Vec<NodeId>,
    pub not: Option<NodeId>,
    /// The constraints on `metadata`, whose type is built in.
    pub metadata: Option<NodeId>,
    /// `x-kubernetes-validations`
    pub rules: Option<Rules>,
}

/// CEL rules, and room for what whoever evaluates them makes of them: it lives and dies with the schema.
#[derive(Debug)]
pub struct Rules {
    /// A list of objects with `rule`, `message` …
    pub list: Value,
    /// The compiled rules, filled in on first use.
    pub compiled: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// A pattern, compiled when it is first asked.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As written.
    pub text: Box<str>,
    compiled: OnceLock<Option<regex::Regex>>,
}

impl Pattern {
    /// Not compiled yet.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), compiled: OnceLock::new() }
    }

    /// The expression; `None` if it is none.
    pub fn regex(&self) -> Option<&regex::Regex> {
        self.compiled.get_or_init(|| super::go_regex(&self.text)).as_ref()
    }
}
