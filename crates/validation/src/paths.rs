//! File paths inside containers and volumes.

use crate::node::{Errors, Node};

/// No `..` among the parts.
pub fn no_backsteps(e: &mut Errors, node: &Node<'_>) {
    if node.text().split('/').any(|part| part == "..") {
        e.push(node.invalid_text("must not contain '..'"));
    }
}

/// Relative, without `..`.
pub fn local_descending(e: &mut Errors, node: &Node<'_>) {
    if node.text().starts_with('/') {
        e.push(node.invalid_text("must be a relative path"));
    }
    no_backsteps(e, node);
}

/// Relative, without `..`, and not starting with two dots.
pub fn local_non_reserved(e: &mut Errors, node: &Node<'_>) {
    local_descending(e, node);
    if node.text().starts_with("..") && !node.text().starts_with("../") {
        e.push(node.invalid_text("must not start with '..'"));
    }
}

/// A file mode of nine bits.
pub fn file_mode(e: &mut Errors, node: &Node<'_>) {
    if node.number().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        e.push(node.invalid("must be a number between 0 and 0777 (octal), both inclusive"));
    }
}
