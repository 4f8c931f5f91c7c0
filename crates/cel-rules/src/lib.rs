//! CEL as Kubernetes uses it: rules of custom resources and expressions of admission policies.
//!
//! [`Program::compile`] parses and checks an expression against an [`Environment`]; [`Program::evaluate`] runs it on an
//! [`Activation`] within a [`Budget`]. Tenants write expressions: nothing here recurses without a limit, nothing grows that
//! was not paid for, and regular expressions are linear. Programs are plain values, shared by content across virtual clusters.

mod admission;
mod ast;
mod authorizer;
mod budget;
mod check;
mod compare;
mod constants;
mod cost;
mod declare;
mod definition;
mod environment;
mod error;
mod estimate;
mod eval;
mod functions;
mod infer;
mod keywords;
mod lexer;
mod library;
mod literals;
mod macros;
mod parser;
mod patterns;
mod program;
mod rules;
mod shared;
mod types;
mod value;

pub use admission::{REQUEST_RESOURCE, Scope, Types, namespace_decl, request_decl};
pub use authorizer::{Answer, Authorizer, Question, Stage};
pub use budget::{Budget, OBJECT_BUDGET, PER_CALL_LIMIT};
pub use declare::{declare, escape};
pub use definition::check_rules;
pub use environment::Environment;
pub use error::{CompileError, EvalError, EvalErrorKind};
pub use keywords::is_keyword;
pub use program::{Activation, Program};
pub use rules::{has_rules, validate};
pub use types::{Decl, Field, ListKind, Object, Shape, Type};
pub use value::{Key, List, Map, Struct, Text, Value};
