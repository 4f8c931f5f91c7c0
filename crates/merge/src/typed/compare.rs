//! What changed between two values: the fields added, removed and modified.

use super::items::{by_element, list_items};
use super::types::{Form, ListOf, MapType, Type};
use crate::fields::value_order::equal;
use crate::fields::{FieldFilter, FieldSet, PathElement};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The outcome of a comparison. No field is in more than one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    /// Keeps what passes the filter.
    pub(crate) fn filter(self, filter: &FieldFilter) -> Self {
        Self {
            removed: filter.apply(self.removed),
            modified: filter.apply(self.modified),
            added: filter.apply(self.added),
        }
    }

    fn add(&mut self, other: Self) {
        self.removed.add(other.removed);
        self.modified.add(other.modified);
        self.added.add(other.added);
    }

    fn put(&mut self, element: PathElement, outcome: Outcome) {
        let Outcome { change, below } = outcome;
        let parts = [
            (&mut self.removed, change == Some(Change::Removed), below.removed),
            (&mut self.modified, change == Some(Change::Modified), below.modified),
        ];
        for (set, member, children) in parts {
            if member || !children.is_empty() {
                set.put(element.clone(), member, children);
            }
        }
        self.added.put(element, change == Some(Change::Added), below.added);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Removed,
    Modified,
    Added,
}

/// What happened to a value itself and below it.
#[derive(Default)]
struct Outcome {
    change: Option<Change>,
    below: Comparison,
}

impl Outcome {
    fn is_same(&self) -> bool {
        let Comparison { removed, modified, added } = &self.below;
        self.change.is_none() && removed.is_empty() && modified.is_empty() && added.is_empty()
    }
}

/// Compares two values of one type.
pub(crate) fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Comparison {
    both(ty, Some(old), Some(new)).below
}

fn both(ty: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let (old_atom, new_atom) = (ty.atom_for(old), ty.atom_for(new));
    let mut outcome = if new.is_none() {
        as_form(old_atom.form(), old, new)
    } else if old.is_none() || old_atom.same_forms(&new_atom) {
        as_form(new_atom.form(), old, new)
    } else {
        let before = as_form(old_atom.form(), old, new);
        let after = as_form(new_atom.form(), old, new);
        let mut below = before.below;
        below.add(after.below);
        Outcome { change: after.change.or(before.change), below }
    };
    if outcome.change.is_none() {
        outcome.change = match (old, new) {
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Removed),
            _ => None,
        };
    }
    outcome
}

fn as_form(form: Form<'_>, old: Option<&Value>, new: Option<&Value>) -> Outcome {
    match form {
        Form::Scalar(_) => leaf(old, new),
        Form::Map(map) => {
            let (old_map, new_map) = (entries(old), entries(new));
            if map.atomic || (old_map.is_none_or(Map::is_empty) && new_map.is_none_or(Map::is_empty)) {
                return leaf(old, new);
            }
            Outcome { change: None, below: maps(&map, old_map, new_map) }
        }
        Form::List(list) => {
            let (old_items, new_items) = (list_items(old), list_items(new));
            if !list.associative || (old_items.is_empty() && new_items.is_empty()) {
                return leaf(old, new);
            }
            Outcome { change: None, below: lists(&list, old_items, new_items) }
        }
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let change = match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (!equal(old, new)).then_some(Change::Modified),
    };
    Outcome { change, below: Comparison::default() }
}

fn entries(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn maps(map: &MapType<'_>, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> Comparison {
    let mut outcomes = Vec::new();
    let mut add = |key: &str, old: Option<&Value>, new: Option<&Value>| {
        let outcome = map.child(key).map(|ty| both(ty, old, new)).unwrap_or_default();
        if !outcome.is_same() {
            outcomes.push((PathElement::field(key), outcome));
        }
    };
    for (key, value) in old.into_iter().flatten() {
        add(key, Some(value), new.and_then(|new| new.get(key)));
    }
    for (key, value) in
        new.into_iter().flatten().filter(|(key, _)| old.is_none_or(|old| !old.contains_key(*key)))
    {
        add(key, None, Some(value));
    }
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut out = Comparison::default();
    for (element, outcome) in outcomes {
        out.put(element, outcome);
    }
    out
}

/// Items named twice are compared as one atomic value: the marker of their path element.
fn lists(list: &ListOf<'_>, old: &[Value], new: &[Value]) -> Comparison {
    let mut out = Comparison::default();
    let mut old = by_element(list, old);
    let mut new = by_element(list, new);
    let elements: BTreeSet<PathElement> = old.keys().chain(new.keys()).cloned().collect();
    for element in elements {
        let (olds, news) =
            (old.remove(&element).unwrap_or_default(), new.remove(&element).unwrap_or_default());
        let outcome = match (olds.as_slice(), news.as_slice()) {
            ([] | [_], [] | [_]) => both(list.item, olds.first().copied(), news.first().copied()),
            ([_, _, ..], [_, _, ..]) => {
                let same = olds.len() == news.len() && olds.iter().zip(&news).all(|(a, b)| equal(a, b));
                Outcome { change: (!same).then_some(Change::Modified), below: Comparison::default() }
            }
            (_, []) => Outcome { change: Some(Change::Removed), below: Comparison::default() },
            ([], _) => Outcome { change: Some(Change::Added), below: Comparison::default() },
            (_, [one]) => {
                out.removed.put(element.clone(), true, FieldSet::new());
                both(list.item, None, Some(one))
            }
            ([one], _) => {
                out.added.put(element.clone(), true, FieldSet::new());
                both(list.item, Some(one), None)
            }
        };
        out.put(element, outcome);
    }
    out
}
