//! Watches: what is there, what happens, and what has been forgotten.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use expect_test::expect;
use object::json;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn events_follow_a_list() {
    let cluster = Cluster::new().await;
    let list = cluster.get(CONFIG_MAPS).await.body;
    let from = list["metadata"]["resourceVersion"].as_str().unwrap_or("");
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"x": "y"}})).await;
    cluster.delete(&format!("{CONFIG_MAPS}/a")).await;
    expect![[r#"
        ADDED a
        MODIFIED a
        DELETED a
    "#]]
    .assert_eq(&watch.lines(3).await);
}

#[tokio::test]
async fn selections_come_and_go() {
    let cluster = Cluster::new().await;
    let path = format!("{CONFIG_MAPS}?watch=1&labelSelector=on");
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    let mut watch = cluster.watch(&path).await;
    let on = |value: object::Value| json!({"metadata": {"labels": {"on": value}}});
    cluster.merge(&format!("{CONFIG_MAPS}/a"), on("yes".into())).await;
    cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"x": "y"}})).await;
    cluster.merge(&format!("{CONFIG_MAPS}/a"), on(object::Value::Null)).await;
    expect![[r#"
        ADDED a
        MODIFIED a
        DELETED a
    "#]]
    .assert_eq(&watch.lines(3).await);
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::new().await;
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.next().await.0, "ADDED a");
    let (kind, bookmark) = watch.next().await;
    assert_eq!(kind.trim(), "BOOKMARK");
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn forgotten_history_is_an_error() {
    let cluster = Cluster::new().await;
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    cluster.api.store().compact(cluster.api.store().revision()).await.expect("compacts");
    let answer = cluster.get(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")).await;
    assert_eq!((answer.code, answer.body["reason"].as_str()), (410, Some("Expired")), "{}", answer.body);
}

#[tokio::test]
async fn browsers_watch_over_a_websocket() {
    let cluster = Cluster::new().await;
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    let mut socket = cluster.watch_socket(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=600")).await;
    let mut head = [0; 4];
    socket.read_exact(&mut head).await.expect("a frame");
    // A whole text message with a length of two bytes.
    assert_eq!(head[..2], [0x81, 126]);
    let mut event = vec![0; u16::from_be_bytes([head[2], head[3]]).into()];
    socket.read_exact(&mut event).await.expect("an event");
    let event: object::Value = serde_json::from_slice(&event).expect("JSON");
    assert_eq!(
        (event["type"].as_str(), event["object"]["metadata"]["name"].as_str()),
        (Some("ADDED"), Some("a"))
    );
}

#[tokio::test]
async fn thousands_watch_one_resource() {
    let cluster = Cluster::new().await;
    let mut watches = Vec::new();
    for _ in 0..2000 {
        watches.push(cluster.watch(&format!("{CONFIG_MAPS}?watch=1")).await);
    }
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    for watch in &mut watches {
        assert_eq!(watch.next().await.0, "ADDED a");
    }
}
