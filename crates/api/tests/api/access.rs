//! Who may do what.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use access::tokens::ObjectRef;
use object::{json, meta};

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

#[tokio::test]
async fn the_use_of_a_token_of_a_secret_is_noted() {
    let cluster = Cluster::new().await;
    let (accounts, secrets) =
        ("/api/v1/namespaces/default/serviceaccounts", "/api/v1/namespaces/default/secrets");
    let account =
        cluster.create(accounts, json!({"metadata": {"name": "robot"}, "secrets": [{"name": "t"}]})).await;
    let robot = ObjectRef { name: "robot".into(), uid: meta::uid(&account).into() };
    let token = cluster.issuer.get().await.unwrap().issue_legacy("default", &robot, "t").unwrap();
    let secret = json!({"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token", "stringData": {"token": token}});
    cluster.create(secrets, secret).await;
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = cluster.post(reviews, review.clone()).await;
    assert_eq!(answer.body["status"]["authenticated"], true, "{}", answer.body);
    assert!(
        answer.warnings[0].contains("instead of auto-generated secret-based tokens."),
        "{:?}",
        answer.warnings
    );
    let noted = cluster.get(&format!("{secrets}/t")).await.body;
    let today = object::time::format(object::time::now())[..10].to_owned();
    assert_eq!(meta::label(&noted, "kubernetes.io/legacy-token-last-used"), Some(&*today), "{noted}");
    let marked = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": today}}});
    assert_eq!(cluster.merge(&format!("{secrets}/t"), marked).await.code, 200);
    let refused = cluster.post(reviews, review).await.body;
    assert!(refused["status"]["error"].as_str().unwrap().contains("has been marked invalid"), "{refused}");
}
