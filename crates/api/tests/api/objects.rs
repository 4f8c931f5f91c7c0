//! Create, read, change and delete.

use crate::cluster::{CONFIG_MAPS, Cluster, PODS, config_map, pod};
use http::Method;
use object::json;

#[tokio::test]
async fn objects_live_and_die() {
    let cluster = Cluster::new().await;
    let made = cluster.create(CONFIG_MAPS, config_map("a")).await;
    assert_eq!(cluster.post(CONFIG_MAPS, config_map("a")).await.body["reason"], "AlreadyExists");
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(cluster.get(&path).await.body, made);

    let changed = cluster.merge(&path, json!({"data": {"k": "w"}})).await;
    assert_eq!(changed.body["data"]["k"], "w");
    let stale = cluster.put(&path, made.clone()).await;
    assert_eq!((stale.code, stale.body["reason"].as_str()), (409, Some("Conflict")));
    let same = cluster.put(&path, changed.body.clone()).await;
    assert_eq!(same.body["metadata"]["resourceVersion"], changed.body["metadata"]["resourceVersion"]);

    let gone = cluster.delete(&path).await;
    assert_eq!(gone.body["details"]["uid"], made["metadata"]["uid"]);
    assert_eq!(cluster.get(&path).await.code, 404);
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let cluster = Cluster::new().await;
    let path = format!("{CONFIG_MAPS}?dryRun=All");
    assert_eq!(cluster.post(&path, config_map("a")).await.code, 201);
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(cluster.delete(&format!("{path}?dryRun=All")).await.code, 200);
    for dry_run in [json!(["All"]), json!(["All", "All"])] {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": dry_run});
        assert_eq!(cluster.send(Method::DELETE, &path, "application/json", Some(options)).await.code, 200);
    }
    assert_eq!(cluster.get(&path).await.code, 200);
}

#[tokio::test]
async fn finalizers_hold_objects() {
    let cluster = Cluster::new().await;
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/a"]);
    cluster.create(CONFIG_MAPS, object).await;
    let path = format!("{CONFIG_MAPS}/a");
    let marked = cluster.delete(&path).await.body;
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    assert_eq!(cluster.merge(&path, json!({"metadata": {"finalizers": null}})).await.code, 200);
    assert_eq!(cluster.get(&path).await.code, 404);
}

#[tokio::test]
async fn pods_end_gracefully_only_where_they_run() {
    let cluster = Cluster::new().await;
    cluster.create(PODS, pod("unscheduled")).await;
    assert_eq!(cluster.delete(&format!("{PODS}/unscheduled")).await.code, 200);
    assert_eq!(cluster.get(&format!("{PODS}/unscheduled")).await.code, 404);

    let mut running = pod("running");
    running["spec"]["nodeName"] = "n".into();
    cluster.create(PODS, running).await;
    let path = format!("{PODS}/running");
    assert_eq!(cluster.delete(&path).await.body["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(cluster.get(&path).await.code, 200);
    cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    assert_eq!(cluster.get(&path).await.code, 404);
}

#[tokio::test]
async fn applied_fields_have_owners() {
    let cluster = Cluster::new().await;
    let path = format!("{CONFIG_MAPS}/a");
    let applied = cluster.apply(&path, "alice", config_map("a")).await;
    assert_eq!(applied.code, 201, "{}", applied.body);
    let again = cluster.apply(&path, "alice", config_map("a")).await;
    assert_eq!(again.body, applied.body, "nothing changed");
    let mut other = config_map("a");
    other["data"]["k"] = "b".into();
    let conflict = cluster.apply(&path, "bob", other.clone()).await;
    assert_eq!(conflict.body["details"]["causes"][0]["field"], ".data.k");
    let forced = cluster.apply(&path, "bob&force=true", other).await;
    assert_eq!(forced.body["data"]["k"], "b");
}

#[tokio::test]
async fn scaling_belongs_to_the_scaler() {
    let cluster = Cluster::new().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let labels = json!({"app": "d"});
    cluster
        .create(
            deployments,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod("x")["spec"]},
            }}),
        )
        .await;
    let scale = cluster.merge(&format!("{deployments}/d/scale"), json!({"spec": {"replicas": 3}})).await;
    assert_eq!(scale.body["spec"]["replicas"], 3, "{}", scale.body);
    let object = cluster.get(&format!("{deployments}/d")).await.body;
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(3), &json!(2)));
    let managers = object["metadata"]["managedFields"].as_array().map_or(0, Vec::len);
    assert_eq!(managers, 2, "{object}");
}

#[tokio::test]
async fn services_get_addresses_and_give_them_back() {
    let cluster = Cluster::new().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
            "ports": [{"port": 80}], "clusterIP": "10.96.0.10", "selector": {"a": "b"},
        }})
    };
    assert_eq!(cluster.create(services, service("a")).await["spec"]["clusterIPs"], json!(["10.96.0.10"]));
    let taken = cluster.post(services, service("b")).await;
    assert_eq!(taken.code, 422, "{}", taken.body);
    cluster.delete(&format!("{services}/a")).await;
    cluster.create(services, service("b")).await;
}

#[tokio::test]
async fn services_change_their_type() {
    let cluster = Cluster::new().await;
    let services = "/api/v1/namespaces/default/services";
    let path = format!("{services}/a");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
    let made = cluster.create(services, service).await;
    let address = made["spec"]["clusterIP"].clone();
    let retyped = |kind: &str| json!({"spec": {"type": kind}});
    let node_port = cluster.merge(&path, retyped("NodePort")).await.body;
    assert_eq!(node_port["spec"]["clusterIP"], address);
    assert!(node_port["spec"]["ports"][0]["nodePort"].as_i64().is_some_and(|p| p >= 30000), "{node_port}");
    let local = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}});
    let balanced = cluster.merge(&path, local).await.body;
    assert_eq!(balanced["spec"]["ports"], node_port["spec"]["ports"]);
    assert!(balanced["spec"]["healthCheckNodePort"].as_i64().is_some_and(|p| p >= 30000), "{balanced}");
    let plain = cluster.merge(&path, retyped("ClusterIP")).await;
    assert_eq!(plain.code, 200, "{}", plain.body);
    assert!(plain.body["spec"]["ports"][0]["nodePort"].is_null(), "{}", plain.body);
    assert!(plain.body["spec"]["healthCheckNodePort"].is_null(), "{}", plain.body);
    let external = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    let named = cluster.merge(&path, external).await;
    assert!(named.body["spec"]["clusterIP"].is_null(), "{}", named.body);
    let other = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"ports": [{"port": 80}], "clusterIP": address}});
    assert_eq!(cluster.post(services, other).await.code, 201, "the address is free again");
}
