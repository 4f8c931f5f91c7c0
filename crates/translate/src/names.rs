//! Names of host objects: `NAME-x-NAMESPACE-x-CLUSTER`, cut and hashed past 63 characters.
//!
//! The name is for people; nothing parses it. Two different virtual names never share a host name: `-x-` inside of a name is
//! told apart by a hash as well.

use crate::Cluster;
use sha2::{Digest, Sha256};

const MAX: usize = 63;
const HASH: usize = 10;

/// The host name of the object `name` in virtual namespace `namespace`.
pub fn host(cluster: &Cluster, namespace: &str, name: &str) -> String {
    join(&[name, namespace, &cluster.name])
}

/// The host name of something cluster-scoped.
pub fn host_cluster_scoped(cluster: &Cluster, name: &str) -> String {
    join(&[name, &cluster.name, &cluster.host_namespace])
}

/// A name that must also be a DNS label starting with a letter (services).
pub fn host_service(cluster: &Cluster, namespace: &str, name: &str) -> String {
    host(cluster, namespace, name)
}

fn join(parts: &[&str]) -> String {
    let plain = parts.join("-x-");
    // Ambiguous when a part holds the separator, or would make one together with it.
    let ambiguous = parts.iter().any(|p| p.contains("-x-") || p.starts_with("x-") || p.ends_with("-x"));
    if plain.len() <= MAX && !ambiguous {
        return plain;
    }
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: String = hash.finalize().iter().take(HASH / 2).map(|b| format!("{b:02x}")).collect();
    let mut cut = plain;
    cut.truncate(MAX - HASH - 1);
    // A name may not end in a dash or dot before the hash's own dash.
    format!("{}-{digest}", cut.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn short_names_are_readable() {
        expect!["web-1-x-default-x-demo"].assert_eq(&join(&["web-1", "default", "demo"]));
    }

    #[test]
    fn long_and_ambiguous_names_are_told_apart() {
        let long = join(&[&"a".repeat(60), "default", "demo"]);
        assert_eq!(long.len(), MAX);
        assert_ne!(long, join(&[&"a".repeat(61), "default", "demo"]));
        assert_ne!(join(&["a-x-b", "c", "d"]), join(&["a", "b-x-c", "d"]));
        assert_ne!(join(&["a", "x-b", "d"]), join(&["a-x", "b", "d"]));
    }
}
