//! Webhook configurations and admission policies.

pub mod policies;
pub mod webhooks;
