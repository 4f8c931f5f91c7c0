//! What is wrong with an expression, before it runs and while it runs.

use std::fmt;

/// One thing wrong, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Characters from the start.
    pub at: u32,
    /// What is wrong.
    pub message: String,
}

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// In cel-go's words.
    pub text: String,
    /// Whether it was well formed and typed, but cannot be run: a constant of it is no value.
    pub is_unrunnable: bool,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = if self.is_unrunnable { "program instantiation" } else { "compilation" };
        write!(f, "{phase} failed: {}", self.text)
    }
}

impl std::error::Error for CompileError {}

/// More issues than this are not listed.
const MAX_ISSUES: usize = 100;

impl CompileError {
    /// Spells the issues with the lines they are about.
    pub(crate) fn new(source: &str, mut issues: Vec<Issue>) -> Self {
        let mut lines = vec![0];
        let chars: Vec<char> = source.chars().collect();
        lines.extend(chars.iter().enumerate().filter(|(_, c)| **c == '\n').map(|(at, _)| at + 1));
        issues.sort_by_key(|issue| issue.at);
        issues.dedup();
        issues.truncate(MAX_ISSUES);
        let spelled = issues.iter().map(|issue| {
            let at = (issue.at as usize).min(chars.len());
            let line = lines.partition_point(|start| *start <= at) - 1;
            let column = at - lines[line];
            let end = lines.get(line + 1).map_or(chars.len(), |next| next - 1);
            let snippet: String =
                chars[lines[line]..end].iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
            let wide = |c: &char| (*c as u32) > 0x7f;
            let dots: String =
                chars[lines[line]..at].iter().map(|c| if wide(c) { '．' } else { '.' }).collect();
            let mark = if chars.get(at).is_some_and(wide) { '＾' } else { '^' };
            format!(
                "ERROR: <input>:{}:{}: {}\n | {snippet}\n | {dots}{mark}",
                line + 1,
                column + 1,
                issue.message
            )
        });
        Self { text: spelled.collect::<Vec<_>>().join("\n"), is_unrunnable: false }
    }
}

/// Why an evaluation came to no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// In cel-go's words.
    pub message: String,
    /// What clients are told differs by this.
    pub kind: EvalErrorKind,
}

/// The kinds of failed evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// The expression went wrong.
    Failed,
    /// It would have cost too much; cannot be caught by `||` and `&&`.
    Cost,
}

impl EvalError {
    /// The expression went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: EvalErrorKind::Failed }
    }

    /// No overload takes these values.
    pub fn no_overload() -> Self {
        Self::new("no such overload")
    }

    /// The budget is used up.
    pub fn cost() -> Self {
        Self { message: "operation cancelled: actual cost limit exceeded".into(), kind: EvalErrorKind::Cost }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvalError {}

/// What evaluation comes to.
pub type Result<T> = std::result::Result<T, EvalError>;
