//! Volumes of pods: sources that are gone or going, and files that would hide each other.

use super::{Warnings, storage};
use crate::node::Node;
use object::error::quote;

const OLD_SOURCES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// One of `spec.volumes`.
pub fn volume(w: &mut Warnings, volume: &Node<'_>) {
    for (field, shown, state) in OLD_SOURCES {
        if volume.get(field).is_set() {
            w.push(format!("{}: {state}", volume.path.field(shown)));
        }
    }
    let claim = volume.get("ephemeral").get("volumeClaimTemplate");
    if claim.is_set() {
        storage::claim_spec(w, &claim.get("spec"));
    }
}

/// Files of one of `spec.volumes` that hide each other.
pub fn files(w: &mut Warnings, volume: &Node<'_>) {
    let name = volume.get("name").text();
    for (field, kind, of) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
        let source = volume.get(field);
        if source.is_set() {
            let source_name = quote(source.get(of).text());
            let head = format!("volume {} ({kind} {source_name})", quote(name));
            overlaps(w, &head, &paths(&source.get("items"), ""));
        }
    }
    let downward = volume.get("downwardAPI");
    overlaps(w, &format!("volume {} (DownwardAPI)", quote(name)), &paths(&downward.get("items"), ""));
    if volume.get("projected").is_set() {
        projected(w, name, &volume.get("projected").get("sources"));
    }
}

/// A path in a volume and, in a projected one, its source in words.
type Placed = (String, String);

fn paths(items: &Node<'_>, source: &str) -> Vec<Placed> {
    items.items().map(|item| (trimmed(&item.get("path")), source.to_owned())).collect()
}

fn trimmed(path: &Node<'_>) -> String {
    path.text().trim_end_matches('/').to_owned()
}

fn projected(w: &mut Warnings, name: &str, sources: &Node<'_>) {
    let mut all = vec![];
    for source in sources.items() {
        if source.is_empty() {
            w.push(format!("volume {} (Projected) has no sources provided", quote(name)));
        }
        for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
            let from = source.get(field);
            all.extend(paths(&from.get("items"), &format!(" ({kind} {})", quote(from.get("name").text()))));
        }
        all.extend(paths(&source.get("downwardAPI").get("items"), " (DownwardAPI)"));
        let token = source.get("serviceAccountToken");
        if token.is_set() {
            all.push((trimmed(&token.get("path")), " (ServiceAccountToken)".to_owned()));
        }
        let bundle = source.get("clusterTrustBundle");
        if bundle.is_set() {
            let (name, signer) = (bundle.get("name"), bundle.get("signerName"));
            let named = if name.is_set() { name.text() } else { signer.text() };
            let source = format!(" (ClusterTrustBundle {})", quote(named));
            all.push((trimmed(&bundle.get("path")), source));
        }
        let certificate = source.get("podCertificate");
        for (field, what) in [
            ("certificateChainPath", "chain"),
            ("keyPath", "key"),
            ("credentialBundlePath", "credential bundle"),
        ] {
            if !certificate.get(field).is_empty() {
                all.push((trimmed(&certificate.get(field)), format!(" (PodCertificate {what})")));
            }
        }
    }
    overlaps(w, &format!("volume {} (Projected)", quote(name)), &all);
}

fn overlaps(w: &mut Warnings, head: &str, paths: &[Placed]) {
    for (i, (path, source)) in paths.iter().enumerate() {
        for (other, from) in paths[..i].iter().filter(|(other, _)| overlap(path, other)) {
            w.push(format!("{head}: overlapping paths: {}{source} with {}{from}", quote(path), quote(other)));
        }
    }
}

/// Whether one is the other or inside of it.
fn overlap(a: &str, b: &str) -> bool {
    let inside = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    !a.is_empty() && !b.is_empty() && (a == b || inside(a, b) || inside(b, a))
}
