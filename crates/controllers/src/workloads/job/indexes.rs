//! Completion indexes: sets of numbers, written as `1,3-5`.

use super::{INDEX, int};
use object::meta;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A set of completion indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i64>);

impl Indexes {
    /// Reads the spelled form; indexes outside `0..completions` and nonsense are left out.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
                all.extend(first.max(0)..=last.min(completions - 1));
            }
        }
        Self(all)
    }

    pub(super) fn insert(&mut self, index: i64) {
        self.0.insert(index);
    }

    pub(super) fn contains(&self, index: i64) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut spans: Vec<(i64, i64)> = vec![];
        for index in &self.0 {
            match spans.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => spans.push((*index, *index)),
            }
        }
        let shown: Vec<_> = spans
            .iter()
            .map(|(first, last)| match last - first {
                0 => first.to_string(),
                1 => format!("{first},{last}"),
                _ => format!("{first}-{last}"),
            })
            .collect();
        f.write_str(&shown.join(","))
    }
}

/// A pod's completion index.
pub(super) fn index_of(pod: &Value) -> Option<i64> {
    meta::annotation(pod, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

pub(super) fn completions(job: &Value) -> i64 {
    int(&job["spec"]["completions"])
}

/// Whether a pod's index is one of the job's.
pub(super) fn counts(job: &Value, pod: &Value) -> bool {
    index_of(pod).is_some_and(|index| index < completions(job))
}

/// The indexes that have a pod that succeeded, now or before.
pub(super) fn completed(job: &Value, pods: &[Arc<Value>]) -> Indexes {
    let mut all = Indexes::parse(job["status"]["completedIndexes"].as_str().unwrap_or(""), completions(job));
    let done = pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded" && counts(job, pod));
    done.filter_map(|pod| index_of(pod)).for_each(|index| all.insert(index));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for text in ["", "0", "0,1", "0-2", "1,3-5,7,8"] {
            assert_eq!(Indexes::parse(text, 100).to_string(), text);
        }
        assert_eq!(Indexes::parse("0-9,x,-3", 3).to_string(), "0-2");
        // A hostile span costs no more than the job's own size.
        assert_eq!(Indexes::parse("0-9223372036854775807", 2).len(), 2);
    }
}
