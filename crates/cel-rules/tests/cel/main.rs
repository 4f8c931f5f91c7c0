//! CEL as Kubernetes uses it.

mod corpus;
mod definitions;
mod expressions;
mod hostile;
mod messages;
mod rules;
mod workloads;
