//! What kube-controller-manager does, for one cluster.
//!
//! A controller is a [`plan::Controller`]: which changes concern which keys, and a pure plan for a key. One driver carries all
//! plans out. Nothing here knows whose API it is: the [`client::Client`] leads to a virtual cluster in this process or to any
//! Kubernetes.

mod autoscaling;
mod cluster;
mod common;
mod driver;
pub mod election;
mod garbage;
mod namespace;
pub mod plan;
pub mod policy;
pub mod resources;
mod root_ca;
mod service_account;
mod service_account_legacy_tokens;
mod service_account_tokens;
mod services;
mod start;
mod volumes;
mod workloads;

pub use driver::{Clock, Shell};
pub use start::{Controllers, Handle, NAMES, Options, SigningCa, Which};
pub use workloads::cron_job::next_start;
