//! PersistentVolumes, PersistentVolumeClaims, StorageClasses and RuntimeClasses.

use super::{Warnings, labels, pods};
use crate::node::Node;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// A PersistentVolume.
pub fn volume(w: &mut Warnings, root: &Node<'_>) {
    class_annotation(w, root);
    let spec = root.get("spec");
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        w.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            policy.path
        ));
    }
    let terms = spec.get("nodeAffinity").get("required").get("nodeSelectorTerms");
    terms.items().for_each(|term| labels::term(w, &term, false));
    for (source, state) in [
        ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ] {
        if spec.get(source).is_set() {
            // The one whose name a warning spells differently.
            let shown = if source == "storageos" { "storageOS" } else { source };
            w.push(format!("{}: {state}", spec.path.field(shown)));
        }
    }
}

fn class_annotation(w: &mut Warnings, root: &Node<'_>) {
    if object::meta::annotation(root.value, CLASS_ANNOTATION).is_some() {
        w.push(format!(
            "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
}

/// A PersistentVolumeClaim.
pub fn claim(w: &mut Warnings, root: &Node<'_>) {
    class_annotation(w, root);
    claim_spec(w, &root.get("spec"));
}

/// A claim's spec, wherever it stands.
pub fn claim_spec(w: &mut Warnings, spec: &Node<'_>) {
    for list in ["requests", "limits"] {
        pods::fractional(w, &spec.get("resources").get(list), "storage");
    }
}

/// A StorageClass.
pub fn class(w: &mut Warnings, root: &Node<'_>) {
    for topology in root.get("allowedTopologies").items() {
        for expression in topology.get("matchLabelExpressions").items() {
            let key = expression.get("key");
            w.extend(labels::deprecated(key.text()).map(|message| format!("{}: {message}", key.path)));
        }
    }
}

/// A RuntimeClass.
pub fn runtime_class(w: &mut Warnings, root: &Node<'_>) {
    let selector = root.get("scheduling").get("nodeSelector");
    for (key, _) in selector.entries() {
        w.extend(labels::deprecated(key).map(|message| format!("{}: {message}", selector.path)));
    }
}
