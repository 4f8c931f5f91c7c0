//! What joey's identity may watch on a host. The host is asked; nothing is tried and refused.

use crate::resources::{CLAIMS, EVENTS, NODES, PODS, SERVICES, STORAGE_CLASSES};
use client::Client;
use futures::future;
use object::{GroupVersionResource, Result, json};

/// What may be watched on a host beyond the namespaces of virtual clusters, in which everything listed in `docs/permissions.md`
/// has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Tenants' kinds in all namespaces: one watch a kind, however many virtual clusters there are.
    pub everywhere: bool,
    /// The host's nodes.
    pub nodes: bool,
    /// The host's storage classes.
    pub storage_classes: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { everywhere: true, nodes: true, storage_classes: true };

    /// Asks the host.
    ///
    /// # Errors
    /// When the host does not answer access reviews.
    pub async fn of(client: &Client) -> Result<Self> {
        let everywhere = [&PODS, &SERVICES, &CLAIMS, &EVENTS].map(|gvr| may_watch(client, gvr));
        let (everywhere, nodes, storage_classes) = future::try_join3(
            future::try_join_all(everywhere),
            may_watch(client, &NODES),
            may_watch(client, &STORAGE_CLASSES),
        )
        .await?;
        Ok(Self { everywhere: everywhere.into_iter().all(|may| may), nodes, storage_classes })
    }
}

async fn may_watch(client: &Client, gvr: &GroupVersionResource) -> Result<bool> {
    let (list, watch) = future::try_join(may(client, gvr, "list"), may(client, gvr, "watch")).await?;
    Ok(list && watch)
}

async fn may(client: &Client, gvr: &GroupVersionResource, verb: &str) -> Result<bool> {
    let reviews = GroupVersionResource::new("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"group": gvr.group, "version": gvr.version, "resource": gvr.resource, "verb": verb}},
    });
    Ok(client.create(&reviews, &review).await?["status"]["allowed"] == true)
}
