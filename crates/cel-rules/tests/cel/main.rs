//! CEL as Kubernetes uses it.

mod definitions;
mod expressions;
mod hostile;
mod messages;
mod rules;
mod workloads;
