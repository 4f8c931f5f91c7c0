//! What an object may look like: one tree of [`Schema`] nodes for built-in kinds and custom ones alike.
//!
//! Built-in types come from the fact tables in `facts/` ([`builtin`]); custom ones are compiled from the structural
//! schema of a CustomResourceDefinition. Everything that walks an object by its shape (decoding, pruning, defaulting,
//! patching, server-side apply, protobuf, printing of OpenAPI) walks this tree and never asks which of the two it is.

pub mod custom;
pub mod decode;
mod facts;
mod load;
pub mod proto;
mod types;

pub use decode::zero;
pub use types::{Field, ListType, Node, NodeId, PatchStrategy, Scalar, Schema, Shape, Types};

use std::sync::LazyLock;

static BUILTIN: LazyLock<Types> = LazyLock::new(load::builtin);

/// The types of Kubernetes 1.36, by their OpenAPI names (`io.k8s.api.core.v1.Pod`).
pub fn builtin() -> &'static Types {
    &BUILTIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::GroupVersionKind;

    #[test]
    fn knows_the_shape_of_a_pod() {
        let pod = builtin().by_gvk(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let containers = pod.field("spec").unwrap().field("containers").unwrap();
        assert_eq!(containers.node().patch.merge_key.as_deref(), Some("name"));
        assert_eq!(containers.node().list_type, ListType::Map(vec!["name".into()]));
        let ports = containers.items().unwrap().field("ports").unwrap();
        let protocol = ports.items().unwrap().field("protocol").unwrap();
        assert_eq!(protocol.node().default, Some("TCP".into()));
        let volume = pod.field("spec").unwrap().field("volumes").unwrap().items().unwrap();
        assert!(volume.field("configMap").is_some(), "embedded structs are flattened");
        assert!(matches!(
            pod.field("metadata").unwrap().field("creationTimestamp").unwrap().node().shape,
            Shape::Scalar(Scalar::Time)
        ));
    }

    #[test]
    fn fields_may_change_their_type() {
        let deployment = builtin().named("io.k8s.api.apps.v1.DeploymentSpec").unwrap();
        let strategy = deployment.field("strategy").unwrap();
        assert!(strategy.node().patch.retain_keys && strategy.field("rollingUpdate").is_some());
        assert!(!builtin().named("io.k8s.api.apps.v1.DeploymentStrategy").unwrap().node().patch.retain_keys);
        assert!(deployment.field("selector").unwrap().node().atomic);
    }

    #[test]
    fn every_reference_is_known() {
        let known_any = ["runtime.RawExtension", "meta.v1.FieldsV1"];
        let any: Vec<_> = builtin()
            .names
            .iter()
            .filter(|(_, id)| matches!(builtin().at(**id).node().shape, Shape::Any))
            .collect();
        assert_eq!(any.len(), known_any.len() + 4, "{any:?}");
        let unnamed =
            builtin().nodes.iter().filter(|node| matches!(node.shape, Shape::Any)).count() - any.len();
        assert_eq!(unnamed, 1, "only the cells of a Table");
        assert!(builtin().nodes.len() < 4000, "{}", builtin().nodes.len());
    }
}
