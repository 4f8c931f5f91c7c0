//! Who may do what.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use object::json;

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";

#[tokio::test]
async fn roles_allow_and_do_not_grow_by_themselves() {
    let cluster = Cluster::new().await;
    let alice = cluster.acting_as("alice");
    assert_eq!(alice.get(CONFIG_MAPS).await.code, 403);
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]},
    ]);
    cluster.create(ROLES, json!({"metadata": {"name": "r"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    cluster.create(BINDINGS, binding).await;
    assert_eq!(alice.get(CONFIG_MAPS).await.code, 200);
    assert_eq!(alice.post(CONFIG_MAPS, config_map("a")).await.code, 403);
    let more = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let refused = alice.post(ROLES, json!({"metadata": {"name": "more"}, "rules": more})).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
    cluster.delete(&format!("{BINDINGS}/b")).await;
    assert_eq!(alice.get(CONFIG_MAPS).await.code, 403, "at once");
}

#[tokio::test]
async fn tokens_stand_and_fall_with_their_account() {
    let cluster = Cluster::new().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.create(accounts, json!({"metadata": {"name": "robot"}})).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let granted = cluster.create(&format!("{accounts}/robot/token"), request).await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": granted["status"]["token"]}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let known = cluster.create(reviews, review.clone()).await;
    assert_eq!(known["status"]["user"]["username"], "system:serviceaccount:default:robot", "{known}");
    cluster.delete(&format!("{accounts}/robot")).await;
    let unknown = cluster.create(reviews, review).await;
    assert!(unknown["status"]["authenticated"].is_null(), "{unknown}");
}
