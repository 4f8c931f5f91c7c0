//! What a person does with joey, done.

mod basics;
mod clusters;
mod crash;
mod deployments;
mod helm;
mod objects;
mod operator;
mod workloads;
