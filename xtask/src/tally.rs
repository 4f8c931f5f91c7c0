//! Counting what tests did, out of what `cargo test -- --show-output` prints.

use std::ops::AddAssign;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub passed: usize,
    pub failed: usize,
    /// Ignored, said that something they need is missing, or known to fail.
    pub skipped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads the output line by line.
///
/// A test that lacks something it needs prints a line with `SKIPPED:` and passes; it is counted as skipped. What else passing
/// tests print is not shown.
#[derive(Default)]
pub(crate) struct Reader {
    pub tally: Tally,
    in_successes: bool,
    /// The test whose output is being read has said that it was skipped.
    said_skipped: bool,
    skipped: usize,
}

impl Reader {
    /// Takes a line; whether to show it.
    pub fn take(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            let count = |what: &str| {
                let part = result.split(['.', ';']).find_map(|p| p.trim().strip_suffix(what));
                part.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
            };
            let skipped = std::mem::take(&mut self.skipped);
            let passed: usize = count("passed");
            self.tally += Tally {
                passed: passed.saturating_sub(skipped),
                failed: count("failed"),
                skipped: skipped + count("ignored"),
            };
            return true;
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if !self.in_successes {
            return !line.is_empty();
        }
        if line.starts_with("---- ") {
            self.said_skipped = false;
        }
        if line.contains("SKIPPED:") {
            self.skipped += usize::from(!std::mem::replace(&mut self.said_skipped, true));
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_results_and_tests_that_say_they_were_skipped() {
        let text = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... FAILED\n\nsuccesses:\n\n---- a stdout ----\nchatter\n\
                    SKIPPED: no etcd\nSKIPPED: really\n\nsuccesses:\n    a\n    b\n\nfailures:\n\n---- c stdout ----\nSKIPPED: not counted\n\n\
                    test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let mut reader = Reader::default();
        let shown: Vec<&str> = text.lines().filter(|l| reader.take(l)).collect();
        assert_eq!(reader.tally, Tally { passed: 1, failed: 1, skipped: 2 });
        assert!(shown.contains(&"SKIPPED: no etcd") && !shown.contains(&"chatter"));
    }
}
