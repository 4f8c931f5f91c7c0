//! Words that CEL keeps for itself.

/// Words without a meaning yet.
pub(crate) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Words that have one.
const MEANT: [&str; 4] = ["true", "false", "null", "in"];

/// Whether a word cannot be a name.
pub fn is_keyword(word: &str) -> bool {
    MEANT.contains(&word) || RESERVED.contains(&word)
}
