//! Simulated nodes for a host without machines: a scheduler, kubelets whose containers are simulated, and a storage
//! provisioner, all as clients of one API server.
//!
//! Deciding is pure: [`lifecycle`] (a pod's next status), [`scheduler`] (a pod's node), [`script`] (what a container's
//! command does). The [`driver`] watches, applies and waits; it holds timers only for what is due. Everything that a
//! container says is honest about not being real.
//!
//! Pods are scripted by annotations, for all containers (`sandbox.joey.dev/WHAT`) or one (`WHAT.sandbox.joey.dev/NAME`):
//!
//! | what | the container |
//! |---|---|
//! | `run-seconds` | ends by itself after so long |
//! | `exit-code` | ends with this code |
//! | `log` | says this first |
//! | `fail-probe` | `readiness`, `liveness` or `startup` fails |
//! | `cpu`, `memory` | uses so much while it runs, for `kubectl top` and autoscalers |
//! | `termination-seconds` | (pod only) takes so long to end when deleted, at most its grace period |

mod agnhost;
mod deeds;
mod driver;
mod environment;
mod events;
mod image;
pub mod lifecycle;
mod nodes;
mod options;
mod rehearsal;
pub mod scheduler;
mod script;
pub mod shell;
mod sources;
mod spec;
mod storage;
mod usage;
mod volumes;

pub use driver::{Handle, Sandbox};
pub use options::Options;
