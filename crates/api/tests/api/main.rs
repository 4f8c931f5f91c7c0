//! The pipeline as its clients see it: an [`api::Api`] on a store in memory, asked through [`api::Api::serve`].

mod access;
mod admission;
mod aggregation;
mod auditing;
mod cluster;
mod conversion;
mod definitions;
mod extensions;
mod flow;
mod hostile;
mod large;
mod lists;
mod nodes;
mod objects;
mod watches;
