//! Transcripts of writes: the object and who owns what after each.

mod laws;
mod server;

use crate::fields::FieldFilter;
use expect_test::expect;
use serde_json::{Value, json};
use server::Server;

#[test]
fn appliers_share_an_object() {
    Server::new()
        .apply("alice", json!({"a": "1", "list": [{"name": "p", "x": "1"}], "map": {"k": "1"}}))
        .check(expect![[r#"
            {"a":"1","list":[{"name":"p","x":"1"}],"map":{"k":"1"}}
            alice Apply v1 01: .spec.a .spec.list[name="p"] .spec.list[name="p"].name .spec.list[name="p"].x .spec.map.k"#]])
        .apply("bob", json!({"a": "1", "list": [{"name": "p", "y": "2"}, {"name": "q"}]}))
        .check(expect![[r#"
            {"a":"1","list":[{"name":"p","x":"1","y":"2"},{"name":"q"}],"map":{"k":"1"}}
            alice Apply v1 01: .spec.a .spec.list[name="p"] .spec.list[name="p"].name .spec.list[name="p"].x .spec.map.k
            bob Apply v1 02: .spec.a .spec.list[name="p"] .spec.list[name="q"] .spec.list[name="p"].name .spec.list[name="p"].y .spec.list[name="q"].name"#]])
        .apply("bob", json!({"a": "2", "map": {"k": "2"}}))
        .check(expect![[r#"
            bob is refused: Apply failed with 2 conflicts: conflicts with "alice":
            - .spec.a
            - .spec.map.k
            {"a":"1","list":[{"name":"p","x":"1","y":"2"},{"name":"q"}],"map":{"k":"1"}}
            alice Apply v1 01: .spec.a .spec.list[name="p"] .spec.list[name="p"].name .spec.list[name="p"].x .spec.map.k
            bob Apply v1 02: .spec.a .spec.list[name="p"] .spec.list[name="q"] .spec.list[name="p"].name .spec.list[name="p"].y .spec.list[name="q"].name"#]])
        .force("bob", json!({"a": "2"}))
        .check(expect![[r#"
            {"a":"2","list":[{"name":"p","x":"1"}],"map":{"k":"1"}}
            alice Apply v1 01: .spec.list[name="p"] .spec.list[name="p"].name .spec.list[name="p"].x .spec.map.k
            bob Apply v1 04: .spec.a"#]])
        .apply("alice", json!({}))
        .check(expect![[r#"
            {"a":"2"}
            bob Apply v1 04: .spec.a
            alice Apply v1 05: .spec"#]]);
}

#[test]
fn doing_it_again_changes_nothing() {
    let mut server = Server::new();
    server.apply("alice", json!({"a": "1", "set": ["x"]}));
    let before = server.object.clone();
    server.apply("alice", json!({"a": "1", "set": ["x"]}));
    assert_eq!(server.object, before);
    server.update("bob", |_| ());
    assert_eq!(server.object, before);
}

#[test]
fn updates_take_fields_from_appliers() {
    Server::new()
        .apply("alice", json!({"a": "1", "inner": {"n": 1}, "atomic": ["x"]}))
        .update("kubectl", |object| {
            object["spec"]["a"] = json!("2");
            object["spec"]["inner"]["s"] = json!("t");
            object["spec"]["atomic"] = json!(["x", "y"]);
        })
        .check(expect![[r#"
            {"a":"2","atomic":["x","y"],"inner":{"n":1,"s":"t"}}
            alice Apply v1 01: .spec.inner.n
            kubectl Update v1 02: .spec.a .spec.atomic .spec.inner.s"#]])
        .apply("alice", json!({"a": "1", "inner": {"n": 1}}))
        .check(expect![[r#"
            alice is refused: Apply failed with 1 conflict: conflict with "kubectl" using test/v1: .spec.a
            {"a":"2","atomic":["x","y"],"inner":{"n":1,"s":"t"}}
            alice Apply v1 01: .spec.inner.n
            kubectl Update v1 02: .spec.a .spec.atomic .spec.inner.s"#]])
        // What others set inside what alice applied stays.
        .apply("alice", json!({}))
        .check(expect![[r#"
            {"a":"2","atomic":["x","y"],"inner":{"s":"t"}}
            alice Apply v1 04: .spec
            kubectl Update v1 02: .spec.a .spec.atomic .spec.inner.s"#]])
        .update("kubectl", |object| object["spec"] = json!({"map": {"a": "b"}}))
        .check(expect![[r#"
            {"map":{"a":"b"}}
            alice Apply v1 04: .spec
            kubectl Update v1 05: .spec.map .spec.map.a"#]]);
}

#[test]
fn what_was_there_before_the_first_apply_is_kept() {
    let mut server = Server::new();
    server.object = Some(json!({
        "apiVersion": "test/v1", "kind": "Thing", "metadata": {"name": "n", "uid": "u"}, "spec": {"a": "1", "set": ["x"]},
    }));
    server
        .update("kubectl", |object| object["spec"]["a"] = json!("2"))
        .check(expect![[r#"{"a":"2","set":["x"]}"#]])
        .apply("alice", json!({"a": "3", "set": ["y"]}))
        .check(expect![[r#"
            alice is refused: Apply failed with 1 conflict: conflict with "before-first-apply" using test/v1: .spec.a
            {"a":"2","set":["x"]}"#]])
        .force("alice", json!({"a": "3", "set": ["y"]}))
        .check(expect![[r#"
            {"a":"3","set":["x","y"]}
            alice Apply v1 03: .spec.a .spec.set[="y"]
            before-first-apply Update v1 03: .spec .spec.set .spec.set[="x"]"#]]);
}

#[test]
fn kubectl_moves_over_from_the_annotation() {
    let annotation = r#"{"apiVersion":"test/v1","kind":"Thing","spec":{"a":"1","map":{"k":"1"}}}"#;
    let config = |spec: Value| json!({"metadata": {"name": "n", "annotations": {"e": "<"}}, "spec": spec});
    let mut server = Server::new();
    server
        .update("kubectl-client-side-apply", |object| {
            object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": annotation});
            object["spec"] = json!({"a": "1", "map": {"k": "1"}, "inner": {"n": 1}});
        })
        .apply_with("kubectl", false, config(json!({"a": "2", "map": {"k": "2"}, "inner": {"n": 2}})))
        .check(expect![[r#"
            kubectl is refused: Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using test/v1: .spec.inner.n
            {"a":"1","inner":{"n":1},"map":{"k":"1"}}
            kubectl-client-side-apply Update v1 01: .spec .metadata.annotations .metadata.annotations.kubectl.kubernetes.io/last-applied-configuration .spec.a .spec.inner .spec.map .spec.inner.n .spec.map.k"#]])
        .apply_with("other", false, config(json!({"a": "2"})))
        .check(expect![[r#"
            other is refused: Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using test/v1: .spec.a
            {"a":"1","inner":{"n":1},"map":{"k":"1"}}
            kubectl-client-side-apply Update v1 01: .spec .metadata.annotations .metadata.annotations.kubectl.kubernetes.io/last-applied-configuration .spec.a .spec.inner .spec.map .spec.inner.n .spec.map.k"#]])
        .apply_with("kubectl", false, config(json!({"a": "2", "map": {"k": "2"}})))
        .check(expect![[r#"
            {"a":"2","inner":{"n":1},"map":{"k":"2"}}
            kubectl Apply v1 04: .metadata.annotations.e .spec.a .spec.map.k
            kubectl-client-side-apply Update v1 01: .spec .metadata.annotations .metadata.annotations.kubectl.kubernetes.io/last-applied-configuration .spec.inner .spec.map .spec.inner.n"#]]);
    let text = object::meta::annotation(
        server.object.as_ref().unwrap(),
        "kubectl.kubernetes.io/last-applied-configuration",
    );
    expect![[r#"
        {"apiVersion":"test/v1","kind":"Thing","metadata":{"annotations":{"e":"\u003c"},"name":"n"},"spec":{"a":"2","map":{"k":"2"}}}
    "#]].assert_eq(text.unwrap());
}

#[test]
fn clients_may_send_entries_of_their_own() {
    Server::new()
        .update("one", |object| object["spec"] = json!({"a": "1"}))
        // Broken ones are passed over.
        .update("two", |object| {
            object["metadata"]["managedFields"][0]["operation"] = json!("Frob");
            object["spec"]["inner"] = json!({"n": 1});
        })
        .check(expect![[r#"
            {"a":"1","inner":{"n":1}}
            one Update v1 01: .spec .spec.a
            two Update v1 02: .spec.inner .spec.inner.n"#]])
        .update("three", |object| {
            object["metadata"]["managedFields"][0]["manager"] = json!("renamed");
        })
        .check(expect![[r#"
            {"a":"1","inner":{"n":1}}
            renamed Update v1 01: .spec .spec.a
            two Update v1 02: .spec.inner .spec.inner.n"#]])
        .update("four", |object| object["metadata"]["managedFields"] = json!([]))
        .check(expect![[r#"{"a":"1","inner":{"n":1}}"#]])
        .update("five", |object| object["spec"]["a"] = json!("2"))
        .check(expect![[r#"{"a":"2","inner":{"n":1}}"#]]);
}

#[test]
fn subresources_have_entries_of_their_own() {
    let mut server = Server::new();
    server.update("controller", |object| object["spec"] = json!({"a": "1"}));
    server.subresource = "status";
    server.kind.filter = FieldFilter::exclude(&[&["spec"]]);
    server
        .update("controller", |object| {
            object["status"] = json!({"n": 1});
            object["spec"]["a"] = json!("reset");
            object["metadata"]["managedFields"] = json!([]);
        })
        .check(expect![[r#"
            {"a":"reset"} status={"n":1}
            controller Update v1 01: .spec .spec.a
            controller/status Update v1 02: .status .status.n"#]])
        .apply_with("alice", false, json!({"metadata": {"name": "n"}, "status": {"n": 2}}))
        .check(expect![[r#"
            alice is refused: Apply failed with 1 conflict: conflict with "controller" with subresource "status" using test/v1: .status.n
            {"a":"reset"} status={"n":1}
            controller Update v1 01: .spec .spec.a
            controller/status Update v1 02: .status .status.n"#]]);
}

#[test]
fn managers_write_in_several_versions() {
    let mut server = Server::new();
    server
        .apply("alice", json!({"a": "1"}))
        .update("bob", |object| object["spec"]["inner"] = json!({"n": 1}));
    server.version = "v2";
    server
        .check(expect![[r#"
            {"a":"1","inner":{"n":1}}
            alice Apply v1 01: .spec.a
            bob Update v1 02: .spec.inner .spec.inner.n"#]])
        .apply("carol", json!({"z": "2", "inner": {"n": 2}}))
        .check(expect![[r#"
            carol is refused: Apply failed with 2 conflicts: conflicts with "alice":
            - .spec.a
            conflicts with "bob" using test/v1:
            - .spec.inner.n
            {"inner":{"n":1},"z":"1"}
            alice Apply v1 01: .spec.a
            bob Update v1 02: .spec.inner .spec.inner.n"#]])
        .force("carol", json!({"z": "2", "set": ["s"]}))
        .check(expect![[r#"
            {"inner":{"n":1},"set":["s"],"z":"2"}
            carol Apply v2 04: .spec.z .spec.set[="s"]
            bob Update v1 02: .spec.inner .spec.inner.n"#]]);
    server.version = "v1";
    // Alice owns nothing any more; the same manager in another version replaces its entry.
    server.apply("carol", json!({"a": "3"})).check(expect![[r#"
        {"a":"3","inner":{"n":1}}
        carol Apply v1 05: .spec.a
        bob Update v1 02: .spec.inner .spec.inner.n"#]]);
    // An unknown version is dropped.
    server
        .update("dave", |object| object["metadata"]["managedFields"][0]["apiVersion"] = json!("test/v0"))
        .check(expect![[r#"
            {"a":"3","inner":{"n":1}}
            bob Update v1 02: .spec.inner .spec.inner.n"#]]);
}

#[test]
fn ownership_follows_types_that_became_atomic() {
    let mut server = Server::new();
    server.kind.typed = false;
    server.apply("alice", json!({"whole": {"k": "1"}, "map": {"k": "1"}})).check(expect![[r#"
        {"map":{"k":"1"},"whole":{"k":"1"}}
        alice Apply v1 01: .spec .spec.map .spec.whole .spec.map.k .spec.whole.k"#]]);
    server.kind.typed = true;
    server.apply("bob", json!({"a": "1"})).check(expect![[r#"
        {"a":"1","map":{"k":"1"},"whole":{"k":"1"}}
        alice Apply v1 01: .spec .spec.map .spec.whole .spec.map.k
        bob Apply v1 02: .spec.a"#]]);
}

#[test]
fn types_are_deduced_without_a_schema() {
    let mut server = Server::new();
    server.kind.typed = false;
    server
        .apply("alice", json!({"any": {"b": [1, {"c": 2}], "d": {"e": null}}, "n": 1.5}))
        .check(expect![[r#"
            {"any":{"b":[1,{"c":2}],"d":{"e":null}},"n":1.5}
            alice Apply v1 01: .spec .spec.any .spec.n .spec.any.b .spec.any.d .spec.any.d.e"#]])
        .apply("bob", json!({"any": {"b": [1], "x": "y"}}))
        .check(expect![[r#"
            bob is refused: Apply failed with 1 conflict: conflict with "alice": .spec.any.b
            {"any":{"b":[1,{"c":2}],"d":{"e":null}},"n":1.5}
            alice Apply v1 01: .spec .spec.any .spec.n .spec.any.b .spec.any.d .spec.any.d.e"#]])
        .force("bob", json!({"any": "text"}))
        .check(expect![[r#"
            {"any":"text","n":1.5}
            alice Apply v1 01: .spec .spec.n
            bob Apply v1 03: .spec .spec.any"#]]);
}

#[test]
fn lists_keep_their_order() {
    let names = |names: &str| {
        let items = names.split(' ').map(|name| json!({"name": name}));
        json!({"list": items.collect::<Vec<_>>()})
    };
    for (live, config, merged) in [
        ("a b c", "c b a", "c b a"),
        ("a b c", "x b", "a x b c"),
        ("a b c d", "c a", "b c d a"),
        ("a b", "x y", "a b x y"),
        ("a b c", "b", "a b c"),
    ] {
        let mut server = Server::new();
        server.apply("alice", names(live)).apply("bob", names(config));
        let list = server.object.as_ref().unwrap()["spec"]["list"].as_array().unwrap().clone();
        let order: Vec<_> = list.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(order.join(" "), merged, "{live} + {config}");
    }
}

#[test]
fn duplicates_in_old_objects_are_owned_as_one() {
    Server::new()
        .update("old", |object| object["spec"] = json!({"set": ["x", "x", "y"], "list": [{"name": "p"}, {"name": "p", "x": "1"}]}))
        .check(expect![[r#"
            {"list":[{"name":"p"},{"name":"p","x":"1"}],"set":["x","x","y"]}
            old Update v1 01: .spec .spec.list .spec.set .spec.list[name="p"] .spec.set[="x"] .spec.set[="y"]"#]])
        .apply("alice", json!({"set": ["z"], "list": [{"name": "q"}]}))
        .check(expect![[r#"
            {"list":[{"name":"p"},{"name":"p","x":"1"},{"name":"q"}],"set":["x","x","y","z"]}
            alice Apply v1 02: .spec.list[name="q"] .spec.list[name="q"].name .spec.set[="z"]
            old Update v1 01: .spec .spec.list .spec.set .spec.list[name="p"] .spec.set[="x"] .spec.set[="y"]"#]])
        .update("new", |object| object["spec"]["set"] = json!(["x", "z"]))
        .check(expect![[r#"
            {"list":[{"name":"p"},{"name":"p","x":"1"},{"name":"q"}],"set":["x","z"]}
            alice Apply v1 02: .spec.list[name="q"] .spec.list[name="q"].name .spec.set[="z"]
            old Update v1 01: .spec .spec.list .spec.set .spec.list[name="p"]
            new Update v1 03: .spec.set[="x"]"#]]);
}

#[test]
fn refuses_what_is_not_of_the_kind() {
    let mut server = Server::new();
    let mut refuse = |config: Value| {
        server.write(
            |fields, info, live| fields.apply(live, &config, info, false).unwrap_err().message(),
            "alice",
        )
    };
    assert_eq!(refuse(json!({"kind": "Thing"})), "invalid object type: /, Kind=Thing");
    assert_eq!(refuse(json!({"apiVersion": "a/b/c", "kind": "Thing"})), "invalid object type: /, Kind=");
    let config = |field: &str, value: Value| {
        let mut config = json!({"apiVersion": "test/v1", "kind": "Thing", "metadata": {"name": "n", "namespace": "s"}, "spec": {}});
        config["spec"][field] = value;
        config
    };
    let typed = "failed to create typed patch object (s/n; test/v1, Kind=Thing): ";
    for (field, value, message) in [
        ("new", json!(1), ".spec.new: field not declared in schema"),
        ("a", json!(1), ".spec.a: expected string, got &value.valueUnstructured{Value:1}"),
        ("inner", json!({"n": "x"}), ".spec.inner.n: expected numeric (int or float), got string"),
        ("inner", json!("x"), ".spec.inner: expected map, got &{x}"),
        ("list", json!({}), ".spec.list: expected list, got &{map[]}"),
        ("set", json!(["x", "x"]), ".spec.set: duplicate entries for key [=\"x\"]"),
        (
            "set",
            json!([null]),
            ".spec.set: element 0: associative list without keys has an element that's an explicit null",
        ),
        (
            "list",
            json!([{"name": "p", "x": 1}]),
            ".spec.list[name=\"p\"].x: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            "atomic",
            json!(["x", 1]),
            ".spec.atomic[1]: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            "map",
            json!({"a": 1, "b": []}),
            "errors:\n  .spec.map.a: expected string, got &value.valueUnstructured{Value:1}\n  .spec.map.b: expected string, got &value.valueUnstructured{Value:[]interface {}{}}",
        ),
    ] {
        assert_eq!(refuse(config(field, value)), format!("{typed}{message}"));
    }
    let mut own = config("a", json!("1"));
    own["metadata"]["managedFields"] = json!([]);
    assert_eq!(refuse(own), "metadata.managedFields must be nil");
}
