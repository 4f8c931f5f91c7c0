//! How big the sandbox is.

use std::net::Ipv4Addr;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes.
    pub nodes: u16,
    /// Their names are this, a dash and a number from 1 on.
    pub node_prefix: String,
    /// CPUs of each node.
    pub cpu: String,
    /// Memory of each node.
    pub memory: String,
    /// Pods that each node takes.
    pub pods: u16,
    /// Schedule pods of `default-scheduler`; off where another scheduler runs.
    pub scheduler: bool,
    /// Make the storage class `standard` and provision its volumes.
    pub storage: bool,
    /// Pods brought on at once.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 2,
            node_prefix: "sandbox".into(),
            cpu: "32".into(),
            memory: "128Gi".into(),
            pods: 250,
            scheduler: true,
            storage: true,
            workers: 16,
        }
    }
}

impl Options {
    /// Only a scheduler, for nodes that somebody else runs.
    pub fn scheduler_only(self) -> Self {
        Self { nodes: 0, scheduler: true, storage: false, ..self }
    }

    /// The name of node `index` (from 0).
    pub fn node_name(&self, index: u16) -> String {
        format!("{}-{}", self.node_prefix, index + 1)
    }

    /// The address of node `index`.
    pub fn node_ip(&self, index: u16) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 31, 0, 10)) + u32::from(index))
    }

    /// The addresses of node `index`'s pods: a /24 of 10.244.0.0/14.
    pub fn pod_network(&self, index: u16) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 244, 0, 0)) + (u32::from(index % 1024) << 8))
    }
}
