//! CEL as Kubernetes uses it.

mod expressions;
mod hostile;
mod messages;
mod rules;
mod workloads;
