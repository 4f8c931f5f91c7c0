//! What changes or refuses writes.

use crate::cluster::{CONFIG_MAPS, Cluster, PODS, config_map, pod};
use object::{Value, json};

#[tokio::test]
async fn pods_run_as_an_account() {
    let cluster = Cluster::new().await;
    let made = cluster.create(PODS, pod("a")).await;
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["containers"][0]["volumeMounts"][0]["readOnly"], true);
    assert_eq!(made["status"]["qosClass"], "BestEffort");
    let nowhere = cluster.post("/api/v1/namespaces/none/pods", pod("a")).await;
    assert_eq!(nowhere.code, 404, "{}", nowhere.body);
}

#[tokio::test]
async fn limit_ranges_fill_in_and_refuse() {
    let cluster = Cluster::new().await;
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}},
    ]}});
    cluster.create("/api/v1/namespaces/default/limitranges", range).await;
    let made = cluster.create(PODS, pod("a")).await;
    assert_eq!(made["spec"]["containers"][0]["resources"]["limits"]["cpu"], "500m");
    let mut large = pod("b");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    let refused = cluster.post(PODS, large).await;
    assert_eq!(
        refused.body["message"],
        "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
}

#[tokio::test]
async fn quotas_are_never_exceeded() {
    let cluster = Cluster::new().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"count/configmaps": "5"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
    cluster.create(quotas, quota).await;
    let status = json!({"status": {"hard": hard, "used": {"count/configmaps": "0"}}});
    cluster.merge(&format!("{quotas}/q/status"), status).await;
    let names: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
    let all = futures::future::join_all(names.iter().map(|n| cluster.post(CONFIG_MAPS, config_map(n)))).await;
    assert_eq!(all.iter().filter(|a| a.code == 201).count(), 5);
    assert!(all.iter().all(|a| matches!(a.code, 201 | 403)));
    let used = cluster.get(&format!("{quotas}/q")).await.body["status"]["used"].clone();
    assert_eq!(used, json!({"count/configmaps": "5"}));
}

#[tokio::test]
async fn namespaces_choose_how_secure_pods_are() {
    let cluster = Cluster::new().await;
    let labels = |level: &str| json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    assert_eq!(cluster.merge("/api/v1/namespaces/default", labels("nope")).await.code, 422);
    assert_eq!(cluster.merge("/api/v1/namespaces/default", labels("baseline")).await.code, 200);
    let mut host = pod("a");
    host["spec"]["hostNetwork"] = true.into();
    let refused = cluster.post(PODS, host).await;
    assert_eq!(
        refused.body["message"],
        "pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
    );
    assert_eq!(cluster.post(PODS, pod("a")).await.code, 201);
}

#[tokio::test]
async fn hostile_bodies_are_answered() {
    let cluster = Cluster::new().await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (media, text) in [
        ("application/json", deep.as_str()),
        ("application/json", "{\"metadata\":{\"name\":\"\u{0}\"}}"),
        ("application/yaml", "a: &a [*a, *a]"),
        ("application/vnd.kubernetes.protobuf", "k8s\u{0}\u{7f}\u{7f}\u{7f}"),
        ("application/merge-patch+json", "{}"),
    ] {
        let request =
            http::Request::post(CONFIG_MAPS).header("content-type", media).body(text.to_owned().into());
        let peer =
            api::Peer { user: Some(access::UserInfo::new("x", &["system:masters"])), ..Default::default() };
        let answer = cluster.api.serve(request.expect("a request"), peer).await;
        assert!((400..500).contains(&answer.status().as_u16()), "{media}: {}", answer.status());
    }
    let _: Value = cluster.get(CONFIG_MAPS).await.body;
}
