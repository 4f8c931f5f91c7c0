//! Every directive, and the messages for malformed ones.

use super::strategic_merge_patch;
use expect_test::{Expect, expect};
use schema::{Field, ListType, Node, NodeId, PatchStrategy, Scalar, Shape, Types};
use serde_json::{Value, json};

/// `Thing { list: [Item] by name, names: [string] merged, plain: [string], map, whole: Item replaced, one: Item }`.
fn types() -> Types {
    let mut types = Types::default();
    let mut add = |node: Node| {
        types.nodes.push(node);
        NodeId(types.nodes.len() as u32 - 1)
    };
    let shape = |shape| Node { shape, ..Node::default() };
    let field =
        |name: &str, node| Field { name: name.into(), node, order: 0, omit_empty: true, pointer: false };
    let object = |fields| Shape::Object { fields, preserve_unknown: false, embedded_resource: false };
    let string = add(shape(Shape::Scalar(Scalar::String)));
    let map = add(shape(Shape::Map(string)));
    let item = add(shape(object(vec![
        field("a", string),
        field("b", string),
        field("map", map),
        field("name", string),
    ])));
    let merge = |key: Option<&str>| PatchStrategy {
        merge: true,
        merge_key: key.map(Into::into),
        ..PatchStrategy::default()
    };
    let list = add(Node {
        shape: Shape::List(item),
        list_type: ListType::Map(vec!["name".into()]),
        patch: merge(Some("name")),
        ..Node::default()
    });
    let names = add(Node { shape: Shape::List(string), patch: merge(None), ..Node::default() });
    let plain = add(shape(Shape::List(string)));
    let thing = add(shape(object(vec![
        field("list", list),
        field("map", map),
        field("names", names),
        field("one", item),
        field("plain", plain),
    ])));
    types.names.insert("test.Thing".into(), thing);
    types
}

fn check(patch: Value, expected: Expect) {
    let document = json!({
        "list": [{"name": "x", "a": "1"}, {"name": "y", "a": "2"}, {"name": "z", "a": "3"}],
        "names": ["k", "l", "m"], "plain": ["p"], "map": {"u": "v"}, "one": {"a": "1", "b": "2"},
    });
    let types = types();
    let shown = match strategic_merge_patch(types.named("test.Thing").unwrap(), &document, &patch) {
        Ok(result) => {
            let keys = patch.as_object().unwrap().keys().map(|key| key.rsplit('/').next().unwrap());
            let mut keys: Vec<_> = keys.collect();
            keys.dedup();
            keys.iter()
                .map(|key| format!("{key}={}", result.get(*key).unwrap_or(&Value::Null)))
                .collect::<Vec<_>>()
                .join(" ")
        }
        Err(error) => format!("{} {}", error.code(), error.message()),
    };
    expected.assert_eq(&shown);
}

#[test]
fn merges_maps_and_lists() {
    check(json!({"map": {"u": null, "w": "1"}, "new": 1}), expect![[r#"map={"w":"1"} new=1"#]]);
    check(json!({"plain": ["q"]}), expect![[r#"plain=["q"]"#]]);
    check(json!({"names": ["n", "l"]}), expect![[r#"names=["n","k","l","m"]"#]]);
    check(
        json!({"list": [{"name": "w", "a": "0"}, {"name": "y", "b": "9"}]}),
        expect![[
            r#"list=[{"a":"0","name":"w"},{"a":"1","name":"x"},{"a":"2","b":"9","name":"y"},{"a":"3","name":"z"}]"#
        ]],
    );
    check(
        json!({"map": {"u": "x"}, "new": {"deep": null, "k": [{"z": null}]}}),
        expect![[r#"map={"u":"x"} new={"k":[{}]}"#]],
    );
    check(
        json!({"plain": null, "map": "text"}),
        expect![[
            r#"422  "" is invalid: patch: Invalid value: "map[map:text plain:<nil>]": cannot restore map from string"#
        ]],
    );
}

#[test]
fn carries_out_directives() {
    check(json!({"one": {"$patch": "replace", "a": "9"}}), expect![[r#"one={"a":"9"}"#]]);
    check(json!({"one": {"$patch": "delete"}}), expect!["one={}"]);
    check(
        json!({"list": [{"name": "y", "$patch": "delete"}, {"name": "n"}]}),
        expect![[r#"list=[{"name":"n"},{"a":"1","name":"x"},{"a":"3","name":"z"}]"#]],
    );
    check(json!({"list": [{"$patch": "replace"}, {"name": "n"}]}), expect![[r#"list=[{"name":"n"}]"#]]);
    check(json!({"$deleteFromPrimitiveList/names": ["k", "nope"]}), expect![[r#"names=["l","m"]"#]]);
    check(
        json!({"one": {"$retainKeys": ["a", "name"], "name": "n"}}),
        expect![[r#"one={"a":"1","name":"n"}"#]],
    );
    check(json!({"new": {"$patch": "delete"}}), expect!["new=null"]);
    check(
        json!({"new": {"x": {"$patch": "replace"}, "y": [{"$patch": "delete"}, 1]}}),
        expect![[r#"new={"y":[1]}"#]],
    );
}

#[test]
fn orders_elements() {
    check(json!({"$setElementOrder/names": ["m", "k"], "names": ["k"]}), expect![[r#"names=["l","m","k"]"#]]);
    check(
        json!({"$setElementOrder/list": [{"name": "z"}, {"name": "n"}, {"name": "x"}], "list": [{"name": "n", "a": "7"}]}),
        expect![[
            r#"list=[{"a":"2","name":"y"},{"a":"3","name":"z"},{"a":"7","name":"n"},{"a":"1","name":"x"}]"#
        ]],
    );
    check(json!({"$setElementOrder/names": ["l", "k"]}), expect![[r#"names=["l","k","m"]"#]]);
}

/// What `kubectl apply` sends when an item goes and another comes.
#[test]
fn new_items_take_the_places_of_deleted_ones() {
    check(
        json!({
            "$setElementOrder/list": [{"name": "n"}, {"name": "y"}],
            "list": [{"name": "n"}, {"name": "x", "$patch": "delete"}],
        }),
        expect![[r#"list=[{"a":"3","name":"z"},{"name":"n"},{"a":"2","name":"y"}]"#]],
    );
    // A directive after the last item of the order does not belong there.
    check(
        json!({
            "$setElementOrder/list": [{"name": "n"}],
            "list": [{"name": "n"}, {"name": "m", "$patch": "replace"}],
        }),
        expect![[r#"
            500 The order in patch list:
            [map[name:n] map[$patch:replace name:m]]
             doesn't match $setElementOrder list:
            [map[name:n]]
        "#]],
    );
}

#[test]
fn refuses_with_kubernetes_words() {
    check(
        json!({"list": [{"a": "1"}]}),
        expect!["500 map: map[a:1] does not contain declared merge key: name"],
    );
    check(
        json!({"list": [{"$patch": "delete"}]}),
        expect!["500 map: map[$patch:delete] does not contain declared merge key: name"],
    );
    check(
        json!({"list": [{"$patch": "merge", "name": "x"}]}),
        expect!["500 merging lists cannot yet be specified in the patch"],
    );
    check(
        json!({"list": ["text"]}),
        expect![
            "500 list element types are not identical: [[map[a:1 name:x] map[a:2 name:y] map[a:3 name:z]] [text]]"
        ],
    );
    check(
        json!({"one": {"$patch": "frob"}}),
        expect!["500 unknown patch type: frob in map: map[$patch:frob]"],
    );
    check(
        json!({"one": {"$retainKeys": ["b"], "a": "1"}}),
        expect!["400 invalid patch format of retainKeys"],
    );
    check(json!({"one": {"$retainKeys": "a"}}), expect!["400 invalid patch format of retainKeys"]);
    check(json!({"$deleteFromPrimitiveList": ["k"]}), expect!["400 invalid patch format of primitive list"]);
    check(json!({"$setElementOrder": ["k"]}), expect!["400 invalid patch format of setElementOrder list"]);
    check(
        json!({"$setElementOrder/names": "k"}),
        expect!["500 expected a []interface {}, but received a string"],
    );
    check(
        json!({"$setElementOrder/none": ["k"]}),
        expect![[r#"500 unable to find api field in struct Thing for the json field "none""#]],
    );
    check(
        json!({"$setElementOrder/names": ["l"], "names": ["k"]}),
        expect![["500 The order in patch list:\n[k]\n doesn't match $setElementOrder list:\n[l]\n"]],
    );
    check(json!({"names": [["k"]]}), expect!["500 list element types are not identical: [[k l m] [[k]]]"]);
}
