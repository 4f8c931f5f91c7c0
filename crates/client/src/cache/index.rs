//! Finds entries by a word: an owner's uid, a label.

use super::entry::Entry;
use std::collections::HashMap;
use std::sync::Arc;

/// Entries by word; an entry may have many.
#[derive(Default)]
pub(super) struct Index(HashMap<Box<str>, Vec<Arc<Entry>>>);

impl Index {
    pub(super) fn get(&self, word: &str) -> &[Arc<Entry>] {
        self.0.get(word).map_or(&[], Vec::as_slice)
    }

    pub(super) fn insert(&mut self, word: &str, entry: &Arc<Entry>) {
        match self.0.get_mut(word) {
            Some(entries) => entries.push(entry.clone()),
            None => drop(self.0.insert(word.into(), vec![entry.clone()])),
        }
    }

    pub(super) fn remove(&mut self, word: &str, entry: &Arc<Entry>) {
        let Some(entries) = self.0.get_mut(word) else { return };
        if let Some(at) = entries.iter().position(|other| Arc::ptr_eq(other, entry)) {
            entries.swap_remove(at);
        }
        if entries.is_empty() {
            self.0.remove(word);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A label as one word.
pub(super) fn label(key: &str, value: &str) -> String {
    [key, "=", value].concat()
}
