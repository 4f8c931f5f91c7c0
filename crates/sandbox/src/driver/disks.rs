//! What pods leave behind on simulated nodes: files in empty volumes, as long as the pod, and in host paths, as long as the
//! sandbox runs.

use super::Shared;
use crate::lifecycle::Prepared;
use crate::rehearsal::Scratch;
use crate::shell::Files;
use crate::spec;
use object::{Value, meta};
use std::collections::HashMap;

/// Host paths of which files are kept; those beyond stay empty.
const PATHS: usize = 4096;

/// By node and host path: the files inside.
#[derive(Default)]
pub(crate) struct Disks(HashMap<(String, String), Files>);

impl Disks {
    /// Puts what the node has into `scratch`.
    pub fn lend(&self, pod: &Value, scratch: &mut Scratch) {
        for path in host_paths(pod) {
            match self.0.get(&(spec::node_name(pod).to_owned(), path.to_owned())) {
                Some(files) => drop(scratch.insert(path.to_owned(), files.clone())),
                None => drop(scratch.remove(path)),
            }
        }
    }

    /// Keeps what the pod left on the node.
    pub fn keep(&mut self, pod: &Value, scratch: &Scratch) {
        for path in host_paths(pod) {
            let place = (spec::node_name(pod).to_owned(), path.to_owned());
            match scratch.get(path) {
                Some(files) if self.0.len() < PATHS || self.0.contains_key(&place) => {
                    self.0.insert(place, files.clone());
                }
                Some(_) => {}
                None => drop(self.0.remove(&place)),
            }
        }
    }
}

fn host_paths(pod: &Value) -> impl Iterator<Item = &str> {
    spec::list(pod, "volumes").iter().filter_map(|volume| volume["hostPath"]["path"].as_str())
}

impl Shared {
    /// What containers find in such volumes, for those who look at their logs.
    pub(super) fn keep_found(&self, pod: &Value, prepared: &Prepared) {
        let found: HashMap<String, Files> = prepared
            .details
            .iter()
            .filter(|(_, details)| !details.found.is_empty())
            .map(|(name, details)| (name.clone(), details.found.clone()))
            .collect();
        if !found.is_empty() {
            self.found.lock().insert(meta::uid(pod).to_owned(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn host_paths_outlive_pods_on_their_node_only() {
        let pod = |node: &str| json!({"spec": {"nodeName": node, "volumes": [{"name": "v", "hostPath": {"path": "/tmp/x"}}]}});
        let mut disks = Disks::default();
        let left = Scratch::from([("/tmp/x".into(), Files::from([("f".into(), b"1".to_vec())]))]);
        disks.keep(&pod("a"), &left);
        let lent = |node: &str| {
            let mut scratch = Scratch::new();
            disks.lend(&pod(node), &mut scratch);
            scratch
        };
        assert_eq!(lent("a"), left);
        assert_eq!(lent("b"), Scratch::new());
    }
}
