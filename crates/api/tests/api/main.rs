//! The pipeline as its clients see it: an [`api::Api`] on a store in memory, asked through [`api::Api::serve`].

mod access;
mod admission;
mod cluster;
mod conversion;
mod definitions;
mod extensions;
mod flow;
mod lists;
mod objects;
mod watches;
