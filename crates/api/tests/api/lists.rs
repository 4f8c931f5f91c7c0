//! Lists: selections, pages, and what becomes of a page that waits too long.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use object::json;
use store::feed::Limits;

#[tokio::test]
async fn pages_show_one_moment() {
    let cluster = Cluster::new().await;
    for name in ["a", "b", "c"] {
        cluster.create(CONFIG_MAPS, config_map(name)).await;
    }
    let first = cluster.get(&format!("{CONFIG_MAPS}?limit=2")).await.body;
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    cluster.create(CONFIG_MAPS, config_map("d")).await;
    let token = first["metadata"]["continue"].as_str().unwrap_or("");
    let second = cluster.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.body;
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let names: Vec<_> =
        second["items"].as_array().into_iter().flatten().map(|i| i["metadata"]["name"].clone()).collect();
    assert_eq!(json!(names), json!(["c"]), "what came later is not in it");
}

#[tokio::test]
async fn old_pages_are_gone() {
    let cluster = Cluster::with(Limits { events: 4, ..Limits::default() }).await;
    for name in ["a", "b", "c"] {
        cluster.create(CONFIG_MAPS, config_map(name)).await;
    }
    let first = cluster.get(&format!("{CONFIG_MAPS}?limit=1")).await.body;
    let token = first["metadata"]["continue"].as_str().unwrap_or("");
    cluster.api.store().compact(cluster.api.store().revision()).await.expect("compacts");
    for round in 0..16 {
        cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"round": round.to_string()}})).await;
    }
    cluster.api.store().compact(cluster.api.store().revision()).await.expect("compacts");
    let late = cluster.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
    assert_eq!((late.code, late.body["reason"].as_str()), (410, Some("Expired")), "{}", late.body);
    let fresh = late.body["metadata"]["continue"].as_str().unwrap_or("");
    let rest = cluster.get(&format!("{CONFIG_MAPS}?continue={fresh}")).await.body;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(2), "b and c, as they are now: {rest}");
}

#[tokio::test]
async fn selectors_select() {
    let cluster = Cluster::new().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"tier": tier});
        cluster.create(CONFIG_MAPS, object).await;
    }
    for (query, count) in [
        ("labelSelector=tier%3Dweb", 2),
        ("labelSelector=tier%20notin%20(web)", 1),
        ("fieldSelector=metadata.name%3Db", 1),
        ("labelSelector=tier%3Dweb&limit=1", 1),
    ] {
        let list = cluster.get(&format!("{CONFIG_MAPS}?{query}")).await.body;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{query}: {list}");
    }
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}?fieldSelector=data%3Dx")).await.code, 400);
}
