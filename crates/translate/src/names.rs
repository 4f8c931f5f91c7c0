//! Names of host objects: `NAME-x-NAMESPACE-x-CLUSTER`, cut and hashed past 63 characters.
//!
//! The name is for people; nothing parses it. Two different virtual names never share a host name: `-x-` inside of a name is
//! told apart by a hash as well.

use crate::Cluster;
use sha2::{Digest, Sha256};

const MAX: usize = 63;
/// Hexadecimal digits. As many that nobody finds a name of theirs that becomes the host name of somebody else's.
const HASH: usize = 20;

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
    let digest = digest(parts);
    let mut cut = plain;
    cut.truncate(MAX - HASH - 1);
    // A name may not end in a dash or dot before the hash's own dash.
    format!("{}-{digest}", cut.trim_end_matches(['-', '.']))
}

/// Tells these parts, in this order, from any others.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(HASH / 2).map(|b| format!("{b:02x}")).collect()
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

    /// joey's own objects of a namespace: `CLUSTER`, `CLUSTER-kubeconfig`, `joey-token-UID` and the like.
    #[test]
    fn no_tenants_name_becomes_one_of_joeys_own() {
        let uid = "0b9d7a52-5d4c-4c5b-9b0e-2f1f7c8a9d3e";
        for name in [
            &format!("joey-token-{uid}"),
            "demo",
            "demo-kubeconfig",
            &format!("joey-token-{}", "-".repeat(40)),
        ] {
            for namespace in ["a", "x-b", &"n".repeat(63)] {
                let host = join(&[name, namespace, "demo"]);
                let hashed = host.rsplit('-').next().is_some_and(|end| end.len() == HASH);
                assert!(host.contains("-x-") || hashed, "{host}");
            }
        }
    }
}
