//! What Go calls a place in a type: `PodSpec.spec.containers of type []v1.Container`. Only error messages need it.

use super::walk::Step;
use crate::{
    Schema, builtin,
    facts::{self, Entry, Line, Meaning, Table},
};

/// `json: cannot unmarshal <found> into Go …`. `into` is the Go type if it is not the declared one.
pub(super) fn type_error(
    root: Option<Schema<'_>>,
    steps: &[Step<'_>],
    found: &str,
    into: Option<&str>,
) -> String {
    let place = root.and_then(|root| locate(root, steps)).unwrap_or_default();
    let go_type = into.unwrap_or(&place.go_type);
    if place.holder.is_empty() {
        return format!("json: cannot unmarshal {found} into Go value of type {go_type}");
    }
    let fields = steps.iter().filter_map(|step| match step {
        Step::Field(name) => Some(*name),
        _ => None,
    });
    let fields: Vec<_> = fields.collect();
    format!(
        "json: cannot unmarshal {found} into Go struct field {}.{} of type {go_type}",
        place.holder,
        fields.join(".")
    )
}

#[derive(Default)]
struct Place {
    /// The innermost struct on the way; empty outside of any.
    holder: &'static str,
    /// The type of the place itself.
    go_type: String,
}

/// A Go type expression and the package it is written in.
#[derive(Clone, Copy)]
struct Expression {
    package: usize,
    text: &'static str,
}

fn locate(root: Schema<'_>, steps: &[Step<'_>]) -> Option<Place> {
    let table = facts::table();
    let (name, _) =
        builtin().names.iter().find(|(_, id)| std::ptr::eq(builtin().at(**id).node(), root.node()))?;
    let entry = table.entries.iter().find(|e| {
        name.strip_prefix(table.packages[e.package].prefix).and_then(|n| n.strip_prefix('.')) == Some(e.name)
    })?;
    let mut at = Expression { package: entry.package, text: entry.name };
    let mut holder = "";
    for step in steps {
        at = underlying(table, at);
        match step {
            Step::Field(name) => {
                let Some(Meaning::Struct(entry)) = table.meaning(at.package, at.text) else { return None };
                holder = entry.name;
                let (package, line) = find_field(table, &entry, name)?;
                at = Expression { package, text: line.go_type };
            }
            Step::Index(_) => at.text = at.text.strip_prefix("[]")?,
            Step::Key(_) => at.text = at.text.split_once(']')?.1,
        }
    }
    at.text = at.text.trim_start_matches('*');
    Some(Place { holder, go_type: spell(table, at) })
}

/// Follows pointers and the names of lists and maps.
fn underlying(table: &Table, mut at: Expression) -> Expression {
    loop {
        at.text = at.text.trim_start_matches('*');
        match table.meaning(at.package, at.text) {
            Some(Meaning::Alias(package, text)) => at = Expression { package, text },
            _ => return at,
        }
    }
}

fn find_field(table: &'static Table, entry: &Entry, name: &str) -> Option<(usize, Line)> {
    entry.lines().find_map(|line| match line.name {
        "+" | "&" => find_field(table, &table.structure(entry.package, line.go_type)?, name),
        found => (found == name).then_some((entry.package, line)),
    })
}

/// As Go's reflection prints it: package names in front, `byte` by its real name.
fn spell(table: &Table, at: Expression) -> String {
    let inner = |text| spell(table, Expression { text, ..at });
    if let Some(item) = at.text.strip_prefix("[]") {
        return format!("[]{}", inner(item));
    }
    if let Some((key, value)) = at.text.strip_prefix("map[").and_then(|t| t.split_once(']')) {
        return format!("map[{}]{}", inner(key), inner(value));
    }
    if let Some(target) = at.text.strip_prefix('*') {
        return format!("*{}", inner(target));
    }
    match at.text {
        "byte" => "uint8".into(),
        "interface{}" => "interface {}".into(),
        "string" | "bool" | "int32" | "int64" | "float64" => at.text.into(),
        name => match name.rsplit_once('.') {
            None => format!("{}.{name}", table.packages[at.package].go_name),
            Some((key, name)) => {
                let package = table.packages.iter().find(|p| p.key == key);
                format!("{}.{name}", package.map_or(key, |p| p.go_name))
            }
        },
    }
}
