//! Which fields a request can change at all: what a strategy resets is owned by nobody through it.

use super::{FieldSet, PathElement};

/// Keeps a part of a field set.
#[derive(Clone, Debug)]
pub enum FieldFilter {
    /// Everything but these fields and what is below them (`status` for writes of the main resource).
    Exclude(FieldSet),
    /// Only what is at or below a path that matches one of these.
    Include(Vec<Vec<PathPattern>>),
}

/// One step of an included path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Any child.
    Any,
    /// This child.
    Element(PathElement),
}

impl FieldFilter {
    /// Lets everything pass.
    pub const fn none() -> Self {
        Self::Exclude(FieldSet::new())
    }

    /// Lets pass what is not at or below these paths of field names.
    pub fn exclude(paths: &[&[&str]]) -> Self {
        Self::Exclude(FieldSet::of_names(paths))
    }

    /// Lets pass what is at or below these paths of field names; `*` is any child.
    pub fn include(paths: &[&[&str]]) -> Self {
        let step = |name: &&str| match *name {
            "*" => PathPattern::Any,
            name => PathPattern::Element(PathElement::field(name)),
        };
        Self::Include(paths.iter().map(|path| path.iter().map(step).collect()).collect())
    }

    /// The part of `set` that passes.
    pub fn apply(&self, set: FieldSet) -> FieldSet {
        match self {
            Self::Exclude(fields) if fields.is_empty() => set,
            Self::Exclude(fields) => set.recursive_difference(fields),
            Self::Include(patterns) => include(&set, &patterns.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        }
    }
}

fn include(set: &FieldSet, patterns: &[&[PathPattern]]) -> FieldSet {
    let mut out = FieldSet::new();
    for (element, member, children) in set.children() {
        let matching: Vec<&[PathPattern]> = patterns
            .iter()
            .filter_map(|pattern| match pattern.split_first()? {
                (PathPattern::Any, rest) => Some(rest),
                (PathPattern::Element(wanted), rest) => (wanted == element).then_some(rest),
            })
            .collect();
        if matching.iter().any(|rest| rest.is_empty()) {
            out.put(element.clone(), member, children.clone());
        } else if !matching.is_empty() {
            out.put(element.clone(), member, include(children, &matching));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_and_includes() {
        let set =
            FieldSet::of_names(&[&["spec"], &["spec", "a", "r", "x"], &["spec", "a", "q"], &["status", "p"]]);
        let excluded = FieldFilter::exclude(&[&["status"]]).apply(set.clone());
        assert_eq!(excluded, FieldSet::of_names(&[&["spec"], &["spec", "a", "r", "x"], &["spec", "a", "q"]]));
        let included = FieldFilter::include(&[&["spec", "*", "r"]]).apply(set.clone());
        assert_eq!(included, FieldSet::of_names(&[&["spec"], &["spec", "a", "r", "x"]]));
        assert_eq!(FieldFilter::none().apply(set.clone()), set);
    }
}
