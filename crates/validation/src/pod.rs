//! Pods and everything that holds a pod template.
//!
//! [`PodContext`] says where a pod spec stands; [`spec::validate`] is the one path all of them take.

pub mod affinity;
pub mod annotations;
pub mod containers;
pub mod dns;
pub mod env;
pub mod mounts;
pub mod os;
pub mod probes;
pub mod resize;
pub mod scheduling;
pub mod security;
pub mod spec;
pub mod status;
pub mod update;
pub mod volume_sources;
pub mod volumes;

use crate::metadata;
use crate::node::{Errors, Node};
use serde_json::Value;

/// Where a pod spec stands.
#[derive(Clone, Copy, Default)]
pub struct PodContext<'a> {
    /// A pod's own spec, not one inside a template.
    pub is_pod: bool,
    /// The pod's name, if it is a pod and has one: claims of ephemeral volumes are named after it.
    pub name: &'a str,
}

/// A new Pod, but for its ObjectMeta.
pub fn validate_create(e: &mut Errors, pod: &Value) {
    validate(e, pod);
    let root = Node::root(pod);
    let spec = root.get("spec");
    if !spec.get("ephemeralContainers").is_empty() {
        e.push(spec.get("ephemeralContainers").forbidden("cannot be set on create"));
    }
    if !spec.get("nodeName").is_empty() && !spec.get("schedulingGates").is_empty() {
        e.push(spec.get("nodeName").forbidden("cannot be set until all schedulingGates have been cleared"));
    }
    annotations::profiles_match_fields(e, &root.get("metadata"), &spec);
}

/// What holds for a Pod at any time, but for its ObjectMeta.
pub fn validate(e: &mut Errors, pod: &Value) {
    let root = Node::root(pod);
    let (meta, spec) = (root.get("metadata"), root.get("spec"));
    annotations::validate(e, &meta.get("annotations"), &spec);
    spec::validate(e, &spec, PodContext { is_pod: true, name: meta.get("name").text() });
    if spec.get("serviceAccountName").is_empty() {
        for volume in spec.get("volumes").items() {
            for source in volume.get("projected").get("sources").items() {
                let token = source.get("serviceAccountToken");
                if token.is_set() {
                    e.push(token.forbidden("must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).items() {
            containers::image_without_padding(e, &container);
        }
    }
}

/// A PodTemplateSpec.
pub fn validate_template(e: &mut Errors, template: &Node<'_>) {
    let (meta, spec) = (template.get("metadata"), template.get("spec"));
    template_metadata(e, template);
    spec::validate(e, &spec, PodContext::default());
    annotations::profiles_match_fields(e, &meta, &spec);
    if !spec.get("ephemeralContainers").is_empty() {
        e.push(spec.get("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template"));
    }
}

/// The labels and annotations of a template.
pub fn template_metadata(e: &mut Errors, template: &Node<'_>) {
    metadata::template(e, template);
    let annotations = template.get("metadata").get("annotations").moved(template.path.field("annotations"));
    annotations::validate(e, &annotations, &template.get("spec"));
}

/// All containers of a pod spec, with their paths: init, then ordinary, then ephemeral.
pub fn all_containers<'a>(spec: &Node<'a>) -> Vec<Node<'a>> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| spec.get(list).items())
        .collect()
}
