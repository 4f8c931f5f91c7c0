//! [`FieldSet`]: a tree of path elements with set algebra.

use super::{FieldPath, PathElement};

/// A set of field paths. Invariant: every entry is a member or has members below it, and entries are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub(super) entries: Vec<Entry>,
}

/// A child, whether it is itself in the set, and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) element: PathElement,
    pub(super) member: bool,
    pub(super) children: FieldSet,
}

impl FieldSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The set of these paths.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a FieldPath>) -> Self {
        let mut set = Self::new();
        for path in paths {
            set.insert(&path.0);
        }
        set
    }

    /// The set of these paths of field names.
    pub fn of_names(paths: &[&[&str]]) -> Self {
        Self::of(&paths.iter().map(|names| FieldPath::of(names)).collect::<Vec<_>>())
    }

    /// The set of these entries, in any order; of those for one element the last counts.
    pub(super) fn from_entries(mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| entry.member || !entry.children.is_empty());
        if !entries.is_sorted_by(|a, b| a.element < b.element) {
            entries.sort_by(|a, b| b.element.cmp(&a.element));
            entries.reverse();
            entries.dedup_by(|b, a| a.element == b.element);
        }
        Self { entries }
    }

    /// No path at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many paths.
    pub fn len(&self) -> usize {
        self.entries.iter().map(|e| usize::from(e.member) + e.children.len()).sum()
    }

    /// Adds one path. The empty path (the whole object) is not tracked.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [element] => self.entry(element).member = true,
            [element, rest @ ..] => self.entry(element).children.insert(rest),
        }
    }

    /// Sets what is known of a child: adds membership and everything in `children`.
    pub(crate) fn put(&mut self, element: PathElement, member: bool, children: FieldSet) {
        if !member && children.is_empty() {
            return;
        }
        if self.entries.last().is_none_or(|last| last.element < element) {
            self.entries.push(Entry { element, member, children });
            return;
        }
        let entry = self.entry(&element);
        entry.member |= member;
        entry.children = if entry.children.is_empty() { children } else { entry.children.union(&children) };
    }

    /// The entry of `element`; the caller makes it non-empty at once.
    fn entry(&mut self, element: &PathElement) -> &mut Entry {
        let at = match self.find(element) {
            Ok(at) => at,
            Err(at) => {
                self.entries
                    .insert(at, Entry { element: element.clone(), member: false, children: Self::new() });
                at
            }
        };
        &mut self.entries[at]
    }

    fn find(&self, element: &PathElement) -> Result<usize, usize> {
        self.entries.binary_search_by(|e| e.element.cmp(element))
    }

    /// Whether the path is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [element] => self.has_child(element),
            [element, rest @ ..] => self.below(element).is_some_and(|set| set.has(rest)),
        }
    }

    /// Whether the direct child `element` is in the set.
    pub(crate) fn has_child(&self, element: &PathElement) -> bool {
        self.find(element).is_ok_and(|at| self.entries[at].member)
    }

    /// What is in the set below `element`.
    pub(crate) fn below(&self, element: &PathElement) -> Option<&Self> {
        let entry = &self.entries[self.find(element).ok()?];
        Some(&entry.children).filter(|children| !children.is_empty())
    }

    /// The direct children: element, membership, what is below.
    pub(crate) fn children(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.entries.iter().map(|e| (&e.element, e.member, &e.children))
    }

    /// All paths; the members of a level come before what is below them.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = Vec::with_capacity(self.len());
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<FieldPath>) {
        for entry in self.entries.iter().filter(|e| e.member) {
            prefix.push(entry.element.clone());
            out.push(FieldPath(prefix.clone()));
            prefix.pop();
        }
        for entry in self.entries.iter().filter(|e| !e.children.is_empty()) {
            prefix.push(entry.element.clone());
            entry.children.collect(prefix, out);
            prefix.pop();
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = Self { entries: Vec::with_capacity(self.entries.len().max(other.entries.len())) };
        for (a, b) in Zip::new(self, other) {
            out.entries.push(match (a, b) {
                (Some(a), Some(b)) => Entry {
                    element: a.element.clone(),
                    member: a.member || b.member,
                    children: a.children.union(&b.children),
                },
                (Some(one), None) | (None, Some(one)) => one.clone(),
                (None, None) => continue,
            });
        }
        out
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (a, b) in Zip::new(self, other) {
            if let (Some(a), Some(b)) = (a, b) {
                out.put(a.element.clone(), a.member && b.member, a.children.intersection(&b.children));
            }
        }
        out
    }

    /// What is here and not in `other`. A parent in `other` does not take its children away.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (a, b) in Zip::new(self, other) {
            match (a, b) {
                (Some(a), None) => out.entries.push(a.clone()),
                (Some(a), Some(b)) => {
                    out.put(a.element.clone(), a.member && !b.member, a.children.difference(&b.children));
                }
                _ => {}
            }
        }
        out
    }

    /// What is here and neither in `other` nor below a member of `other`.
    #[must_use]
    pub fn recursive_difference(mut self, other: &Self) -> Self {
        self.take_away(other, true);
        self
    }

    /// Adds what is in `other`.
    pub(crate) fn add(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
        } else if !other.is_empty() {
            *self = self.union(&other);
        }
    }

    /// Removes what is in `other`; see [`difference`](Self::difference).
    pub(crate) fn remove(&mut self, other: &Self) {
        self.take_away(other, false);
    }

    fn take_away(&mut self, other: &Self, with_children: bool) {
        for gone in &other.entries {
            let Ok(at) = self.find(&gone.element) else { continue };
            let entry = &mut self.entries[at];
            entry.member &= !gone.member;
            if gone.member && with_children {
                entry.children = Self::new();
            }
            entry.children.take_away(&gone.children, with_children);
            if !entry.member && entry.children.is_empty() {
                self.entries.remove(at);
            }
        }
    }
}

/// Walks two sorted sets side by side.
struct Zip<'a> {
    a: &'a [Entry],
    b: &'a [Entry],
}

impl<'a> Zip<'a> {
    fn new(a: &'a FieldSet, b: &'a FieldSet) -> Self {
        Self { a: &a.entries, b: &b.entries }
    }
}

impl<'a> Iterator for Zip<'a> {
    type Item = (Option<&'a Entry>, Option<&'a Entry>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.a.first(), self.b.first()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.element.cmp(&b.element),
        };
        let a = if order.is_le() { take_first(&mut self.a) } else { None };
        let b = if order.is_ge() { take_first(&mut self.b) } else { None };
        Some((a, b))
    }
}

fn take_first<'a>(entries: &mut &'a [Entry]) -> Option<&'a Entry> {
    let (first, rest) = entries.split_first()?;
    *entries = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&[&str]]) -> FieldSet {
        FieldSet::of_names(paths)
    }

    #[test]
    fn parents_and_children_are_owned_apart() {
        let owned = set(&[&["a"], &["a", "b"], &["c", "d"]]);
        assert_eq!(owned.len(), 3);
        assert!(owned.has(&FieldPath::of(&["a"]).0));
        assert!(!owned.has(&FieldPath::of(&["c"]).0));
        assert_eq!(owned.difference(&set(&[&["a"]])), set(&[&["a", "b"], &["c", "d"]]));
        assert_eq!(owned.clone().recursive_difference(&set(&[&["a"], &["c", "d"]])), set(&[]));
        assert_eq!(owned.intersection(&set(&[&["a", "b"], &["c"]])), set(&[&["a", "b"]]));
    }

    #[test]
    fn put_out_of_order_keeps_the_order() {
        let mut owned = FieldSet::new();
        owned.put(PathElement::field("b"), true, FieldSet::new());
        owned.put(PathElement::field("a"), true, FieldSet::new());
        owned.put(PathElement::field("b"), false, set(&[&["x"]]));
        owned.put(PathElement::field("c"), false, FieldSet::new());
        assert_eq!(owned, set(&[&["a"], &["b"], &["b", "x"]]));
    }

    #[test]
    fn lists_members_before_what_is_below() {
        let shown: Vec<_> =
            set(&[&["a", "b"], &["c"], &["a"]]).paths().iter().map(ToString::to_string).collect();
        assert_eq!(shown, [".a", ".c", ".a.b"]);
    }
}
