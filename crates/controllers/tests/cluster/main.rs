//! All controllers against joey's own API server, in process, with pods run by a kubelet of a few lines.

mod batch;
mod garbage;
mod harness;
mod namespaces;
mod policy;
mod sets;
mod workloads;
