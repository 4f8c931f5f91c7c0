//! Differences as messages show them: unified, with three lines around each.
//!
//! Go's difflib is a port of Python's: the longest common block, then the same to its left and right, with lines that are
//! too frequent left out of the search. Which lines are called different depends on it, so it is followed here.

use crate::go;
use serde_json::Value;
use std::collections::HashMap;

const CONTEXT: usize = 3;
/// From this many lines on, frequent ones are left out of the search.
const MANY: usize = 200;

/// How the struct `kind` differs between `old` and `new`.
pub fn structs(kind: &str, old: &Value, new: &Value) -> String {
    unified(&go::pretty(kind, old), &go::pretty(kind, new))
}

/// A block of equal lines: where it begins on both sides, and its length.
type Block = (usize, usize, usize);

#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Equal,
    Replace,
    Delete,
    Insert,
}

#[derive(Clone, Copy)]
struct Change {
    tag: Tag,
    old: (usize, usize),
    new: (usize, usize),
}

/// The unified difference of two texts.
pub fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut text = String::new();
    for group in groups(changes(&a, &b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (was, is) = (range(first.old.0, last.old.1), range(first.new.0, last.new.1));
        text.push_str(&format!("@@ -{was} +{is} @@\n"));
        for change in &group {
            let mut lines = |sign: char, lines: &[&str]| {
                lines.iter().for_each(|line| text.push_str(&format!("{sign}{line}\n")));
            };
            match change.tag {
                Tag::Equal => lines(' ', &a[change.old.0..change.old.1]),
                _ => {
                    lines('-', &a[change.old.0..change.old.1]);
                    lines('+', &b[change.new.0..change.new.1]);
                }
            }
        }
    }
    text
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

fn changes(a: &[&str], b: &[&str]) -> Vec<Change> {
    let (mut i, mut j) = (0, 0);
    let mut all = vec![];
    let mut blocks = blocks(a, b);
    blocks.push((a.len(), b.len(), 0));
    for (start, other, length) in blocks {
        let tag = match (i < start, j < other) {
            (true, true) => Some(Tag::Replace),
            (true, false) => Some(Tag::Delete),
            (false, true) => Some(Tag::Insert),
            (false, false) => None,
        };
        all.extend(tag.map(|tag| Change { tag, old: (i, start), new: (j, other) }));
        (i, j) = (start + length, other + length);
        if length > 0 {
            all.push(Change { tag: Tag::Equal, old: (start, i), new: (other, j) });
        }
    }
    all
}

/// Where each line is in `b`, without those that are too frequent to be of use.
fn places<'a>(b: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (j, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(j);
    }
    if b.len() >= MANY {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

fn blocks(a: &[&str], b: &[&str]) -> Vec<Block> {
    let places = places(b);
    let mut found = vec![];
    let mut queue = vec![(0, a.len(), 0, b.len())];
    while let Some((a_low, a_high, b_low, b_high)) = queue.pop() {
        let (i, j, length) = longest(a, b, &places, (a_low, a_high), (b_low, b_high));
        if length > 0 {
            found.push((i, j, length));
            if a_low < i && b_low < j {
                queue.push((a_low, i, b_low, j));
            }
            if i + length < a_high && j + length < b_high {
                queue.push((i + length, a_high, j + length, b_high));
            }
        }
    }
    found.sort_unstable();
    let mut joined: Vec<Block> = vec![];
    for (i, j, length) in found {
        match joined.last_mut() {
            Some((a_start, b_start, before)) if *a_start + *before == i && *b_start + *before == j => {
                *before += length
            }
            _ => joined.push((i, j, length)),
        }
    }
    joined
}

fn longest(
    a: &[&str],
    b: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    (a_low, a_high): (usize, usize),
    (b_low, b_high): (usize, usize),
) -> Block {
    let (mut i, mut j, mut length) = (a_low, b_low, 0);
    // How long the block is that ends at a line of `b` and the line of `a` before.
    let mut ends: HashMap<usize, usize> = HashMap::new();
    for (at, line) in a.iter().enumerate().take(a_high).skip(a_low) {
        let mut now = HashMap::new();
        for &other in places.get(line).into_iter().flatten() {
            if other < b_low {
                continue;
            }
            if other >= b_high {
                break;
            }
            let run = other.checked_sub(1).and_then(|before| ends.get(&before)).copied().unwrap_or(0) + 1;
            now.insert(other, run);
            if run > length {
                (i, j, length) = (at + 1 - run, other + 1 - run, run);
            }
        }
        ends = now;
    }
    // Frequent lines do not begin a block, but they belong to it.
    while i > a_low && j > b_low && a[i - 1] == b[j - 1] {
        (i, j, length) = (i - 1, j - 1, length + 1);
    }
    while i + length < a_high && j + length < b_high && a[i + length] == b[j + length] {
        length += 1;
    }
    (i, j, length)
}

/// Changes that are near each other, with the lines around them.
fn groups(mut changes: Vec<Change>) -> Vec<Vec<Change>> {
    if let Some(first) = changes.first_mut().filter(|c| c.tag == Tag::Equal) {
        first.old.0 = first.old.0.max(first.old.1.saturating_sub(CONTEXT));
        first.new.0 = first.new.0.max(first.new.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = changes.last_mut().filter(|c| c.tag == Tag::Equal) {
        last.old.1 = last.old.1.min(last.old.0 + CONTEXT);
        last.new.1 = last.new.1.min(last.new.0 + CONTEXT);
    }
    let (mut groups, mut group) = (vec![], vec![]);
    for mut change in changes {
        if change.tag == Tag::Equal && change.old.1 - change.old.0 > 2 * CONTEXT {
            let end = Change {
                old: (change.old.0, change.old.0 + CONTEXT),
                new: (change.new.0, change.new.0 + CONTEXT),
                ..change
            };
            group.push(end);
            groups.push(std::mem::take(&mut group));
            change.old.0 = change.old.1 - CONTEXT;
            change.new.0 = change.new.1 - CONTEXT;
        }
        group.push(change);
    }
    if group.iter().any(|c| c.tag != Tag::Equal) {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_the_middle() {
        let old = (1..10).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut new = old.clone();
        new[4] = "x".into();
        let text = unified(&old.join("\n"), &new.join("\n"));
        assert_eq!(text, "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
    }

    #[test]
    fn no_difference() {
        assert_eq!(unified("a\nb", "a\nb"), "");
    }

    #[test]
    fn far_apart() {
        let old = (0..30).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut new = old.clone();
        new.remove(2);
        new.push("end".into());
        let text = unified(&old.join("\n"), &new.join("\n"));
        assert_eq!(text, "@@ -1,6 +1,5 @@\n 0\n 1\n-2\n 3\n 4\n 5\n@@ -28,3 +27,4 @@\n 27\n 28\n 29\n+end\n");
    }
}
