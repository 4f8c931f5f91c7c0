//! What a person does with joey, done.

mod basics;
mod clusters;
mod commands;
mod crash;
mod deployments;
mod flood;
mod folders;
mod full_disk;
mod helm;
mod hostile;
mod hosts;
mod invalid;
mod networks;
mod objects;
mod operator;
mod pause;
mod real_host;
mod sessions;
mod shared;
mod telling;
mod workloads;
