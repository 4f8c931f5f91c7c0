//! Role-based access control: does some binding give the user a role with a rule that allows the request?
//!
//! [`RbacIndex`] is built from `ClusterRole`, `Role` and binding objects, kept up to date one object at a time, and
//! answers without IO. RBAC never denies: it allows or has no opinion.

mod aggregation;
mod authorize;
mod cover;
mod escalation;
mod index;
mod review;
mod rule;

pub use aggregation::{aggregated_rules, is_aggregated, reconcile_aggregation};
pub use cover::{confirm_no_escalation, covers};
pub use escalation::RoleWrite;
pub use index::{RbacIndex, RoleRef, RulePool};
pub use review::rules_review_status;
pub(crate) use rule::quote_list;
pub use rule::{Rule, rules_from_json, rules_to_json};

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, and why.
    Allow(String),
    /// Not allowed by this authorizer, and why it may have failed (often empty).
    NoOpinion(String),
}

impl Decision {
    /// Is it allowed?
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason of either.
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) | Self::NoOpinion(reason) => reason,
        }
    }
}
