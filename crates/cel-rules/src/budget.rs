//! What an evaluation may cost, in Kubernetes' units.

use crate::error::{EvalError, Result};

/// One evaluation costs at most this.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// All evaluations of rules on one object cost at most this.
pub const OBJECT_BUDGET: u64 = 10_000_000;

/// Counts the cost of an evaluation.
#[derive(Debug)]
pub struct Budget {
    used: u64,
    limit: u64,
    work: u64,
}

/// So much work that Kubernetes does not charge for is one unit of cost.
const WORK_PER_COST: u64 = 16;

impl Budget {
    /// At most `limit` units.
    pub fn new(limit: u64) -> Self {
        Self { used: 0, limit, work: 0 }
    }

    /// Units used so far.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Uses `cost` units.
    ///
    /// # Errors
    /// When the limit is passed.
    pub fn charge(&mut self, cost: u64) -> Result<()> {
        self.used = self.used.saturating_add(cost);
        if self.used > self.limit { Err(EvalError::cost()) } else { Ok(()) }
    }

    /// Work that has no price of its own in Kubernetes but takes time or memory here.
    ///
    /// # Errors
    /// When the limit is passed.
    pub fn work(&mut self, amount: u64) -> Result<()> {
        self.work = self.work.saturating_add(amount);
        if self.work >= WORK_PER_COST * 4096 {
            let cost = self.work / WORK_PER_COST;
            self.work = 0;
            // Small values are compared for free, as upstream; only real work counts.
            return self.charge(cost);
        }
        Ok(())
    }
}

/// `size` times a tenth, rounded up: what going over text costs.
pub(crate) fn traversal(size: u64) -> u64 {
    size.div_ceil(10)
}
