//! The authorizers in their order: `system:masters`, then nodes, then RBAC.

use crate::attributes::Attributes;
use crate::node_authorizer::{NodeObjects, authorize_node};
use crate::rbac::{Decision, RbacIndex};

/// May the request be made? The reasons of authorizers without opinion are joined by newlines, as Kubernetes does.
pub fn authorize(request: &Attributes, rbac: &RbacIndex, nodes: Option<&dyn NodeObjects>) -> Decision {
    if request.user.is_privileged() {
        return Decision::Allow(String::new());
    }
    let node = match nodes {
        Some(objects) => authorize_node(request, objects),
        None => Decision::NoOpinion(String::new()),
    };
    if node.is_allowed() {
        return node;
    }
    match rbac.authorize(request) {
        Decision::NoOpinion(reason) => {
            let reasons: Vec<&str> =
                [node.reason(), &reason].into_iter().filter(|reason| !reason.is_empty()).collect();
            Decision::NoOpinion(reasons.join("\n"))
        }
        allowed => allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserInfo;

    #[test]
    fn masters_may_do_anything_without_a_reason() {
        let request = Attributes::path(UserInfo::new("x", &["system:masters"]), "get", "/anything");
        assert_eq!(authorize(&request, &RbacIndex::default(), None), Decision::Allow(String::new()));
        let request = Attributes::path(UserInfo::new("x", &[]), "get", "/anything");
        assert_eq!(authorize(&request, &RbacIndex::default(), None), Decision::NoOpinion(String::new()));
    }
}
