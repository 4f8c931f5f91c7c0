//! What holds whatever is applied.

use super::server::Server;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Something to apply. (Applying an empty struct twice is not idempotent in Kubernetes either: once it is `null`, once `{}`.)
fn spec() -> impl Strategy<Value = Value> {
    let items =
        prop::collection::btree_map("[a-d]", (prop::option::of("[12]"), prop::option::of("[12]")), 1..4);
    let list = items.prop_map(|items| {
        let item = |(name, (x, y)): (String, (Option<String>, Option<String>))| {
            let mut item = json!({"name": name});
            x.into_iter().for_each(|x| item["x"] = json!(x));
            y.into_iter().for_each(|y| item["y"] = json!(y));
            item
        };
        items.into_iter().map(item).collect::<Vec<_>>()
    });
    let map = prop::collection::btree_map("[k-m]", "[12]", 1..3);
    let set = prop::collection::btree_set("[s-v]", 1..3);
    let field = |name: &'static str, value: BoxedStrategy<Value>| {
        prop::option::of(value).prop_map(move |v| v.map(|v| (name, v)))
    };
    (
        field("a", "[12]".prop_map(Value::from).boxed()),
        field("list", list.prop_shuffle().prop_map(Value::from).boxed()),
        field("map", map.clone().prop_map(|m| json!(m)).boxed()),
        field("whole", map.prop_map(|m| json!(m)).boxed()),
        field("set", set.clone().prop_map(|s| json!(s)).boxed()),
        field("atomic", set.prop_map(|s| json!(s)).boxed()),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let fields = [a, b, c, d, e, f].into_iter().flatten();
            fields.map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
        })
        .prop_filter("something", |spec: &Value| *spec != json!({}))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Applying again, or updating without a change, has no effect; afterwards everything applied is there and owned.
    #[test]
    fn apply_is_idempotent(first in spec(), second in spec(), other in spec()) {
        let mut server = Server::new();
        server.apply("alice", first).force("bob", other).force("alice", second.clone());
        let before = server.object.clone();
        server.force("alice", second.clone()).update("carol", |_| ());
        prop_assert_eq!(&server.object, &before);
        server.apply("alice", second);
        prop_assert_eq!(server.log.as_str(), "");
        prop_assert_eq!(&server.object, &before);
    }

    /// What an applier added goes when it applies nothing; what others own stays as it was.
    #[test]
    fn applying_nothing_takes_back(mine in spec(), theirs in spec()) {
        let mut alone = Server::new();
        alone.apply("bob", theirs.clone());
        let mut both = Server::new();
        both.apply("bob", theirs.clone());
        both.apply("alice", mine);
        if both.log.is_empty() {
            both.apply("alice", json!({}));
            prop_assert_eq!(both.log.as_str(), "");
            let strip = |server: &Server| server.object.clone().unwrap()["spec"].clone();
            let owned = |server: &Server| timeless(server.object.as_ref().unwrap(), "bob");
            prop_assert_eq!(owned(&both), owned(&alone));
            both.apply("bob", theirs);
            prop_assert_eq!(sorted(strip(&both)), sorted(strip(&alone)));
        }
    }
}

/// The fields of one manager.
fn timeless(object: &Value, manager: &str) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .into_iter()
        .filter(|entry| entry["manager"] == manager)
        .map(|entry| entry["fieldsV1"].clone())
        .collect()
}

/// A value with its lists in one order, without empty and null members.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        Value::Object(map) => {
            let kept = map
                .into_iter()
                .map(|(k, v)| (k, sorted(v)))
                .filter(|(_, v)| *v != json!([]) && *v != json!({}));
            Value::Object(kept.collect())
        }
        Value::Null => json!({}),
        other => other,
    }
}
