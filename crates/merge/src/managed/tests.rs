//! Transcripts of writes: the object and who owns what after each.

use super::*;
use crate::fields::{FieldFilter, FieldSet};
use expect_test::{Expect, expect};
use object::GroupVersionKind;
use proptest::prelude::*;
use schema::{Field, ListType, Node, NodeId, Scalar, Schema, Shape, Types};
use serde_json::{Value, json};

/// Types of a custom kind of a few fields. In `v2` the field `a` is called `z`.
fn types(first: &str) -> Types {
    let mut types = Types::default();
    let mut add = |shape, list_type, atomic| {
        types.nodes.push(Node { shape, list_type, atomic, ..Node::default() });
        NodeId(types.nodes.len() as u32 - 1)
    };
    let field = |name: &str, node| Field { name: name.into(), node, omit_empty: true, pointer: true };
    let object = |mut fields: Vec<Field>| {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Shape::Object { fields, preserve_unknown: false, embedded_resource: false }
    };
    let plain = ListType::Atomic;
    let string = add(Shape::Scalar(Scalar::String), plain.clone(), false);
    let number = add(Shape::Scalar(Scalar::Int64), plain.clone(), false);
    let item = add(
        object(vec![field("name", string), field("x", string), field("y", string)]),
        plain.clone(),
        false,
    );
    let list = add(Shape::List(item), ListType::Map(vec!["name".into()]), false);
    let set = add(Shape::List(string), ListType::Set, false);
    let atomic = add(Shape::List(string), plain.clone(), false);
    let map = add(Shape::Map(string), plain.clone(), false);
    let whole = add(Shape::Map(string), plain.clone(), true);
    let inner = add(object(vec![field("n", number), field("s", string)]), plain.clone(), false);
    let fields = vec![
        field(first, string),
        field("inner", inner),
        field("list", list),
        field("set", set),
        field("atomic", atomic),
        field("map", map),
        field("whole", whole),
    ];
    let spec = add(object(fields), plain.clone(), false);
    let meta = schema::builtin().names["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"];
    let meta = add(Shape::Builtin(meta), plain.clone(), false);
    let fields = vec![
        field("apiVersion", string),
        field("kind", string),
        field("metadata", meta),
        field("spec", spec),
        field("status", inner),
    ];
    let root = add(object(fields), plain, false);
    types.names.insert("root".into(), root);
    types
}

struct Kind {
    v1: Types,
    v2: Types,
    filter: FieldFilter,
    typed: bool,
}

impl Versions for Kind {
    fn is_known(&self, api_version: &str) -> bool {
        matches!(api_version, "test/v1" | "test/v2")
    }

    fn schema(&self, api_version: &str) -> Option<Schema<'_>> {
        let types = if api_version == "test/v1" { &self.v1 } else { &self.v2 };
        types.named("root").filter(|_| self.typed)
    }

    fn filter(&self, _: &str) -> &FieldFilter {
        &self.filter
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        let mut object = object.clone();
        let (from, to) = if api_version == "test/v1" { ("z", "a") } else { ("a", "z") };
        object["apiVersion"] = json!(api_version);
        if let Some(spec) = object["spec"].as_object_mut()
            && let Some(value) = spec.remove(from)
        {
            spec.insert(to.into(), value);
        }
        Some(object)
    }
}

/// A server with one object.
struct Server {
    kind: Kind,
    version: &'static str,
    subresource: &'static str,
    object: Option<Value>,
    seconds: u32,
    log: String,
}

impl Server {
    fn new() -> Self {
        let kind = Kind { v1: types("a"), v2: types("z"), filter: FieldFilter::none(), typed: true };
        Self { kind, version: "v1", subresource: "", object: None, seconds: 0, log: String::new() }
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&FieldManager<'_>, ManagerInfo<'_>, Option<&Value>) -> T,
        manager: &str,
    ) -> T {
        self.seconds += 1;
        let time = format!("2026-01-01T00:00:{:02}Z", self.seconds);
        let gvk = GroupVersionKind::new("test", self.version, "Thing");
        let fields = FieldManager { kind: &gvk, subresource: self.subresource, versions: &self.kind };
        write(&fields, ManagerInfo { manager, time: &time }, self.object.as_ref())
    }

    /// The object in the version in use, as a client would read it.
    fn read(&self) -> Value {
        let object = self.object.clone().unwrap_or_default();
        let version = format!("test/{}", self.version);
        if object["apiVersion"] == version.as_str() {
            object
        } else {
            self.kind.convert(&object, &version).unwrap()
        }
    }

    fn apply(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_with(manager, false, json!({"metadata": {"name": "n"}, "spec": spec}))
    }

    fn force(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_with(manager, true, json!({"metadata": {"name": "n"}, "spec": spec}))
    }

    fn apply_with(&mut self, manager: &str, force: bool, mut config: Value) -> &mut Self {
        config["apiVersion"] = json!(format!("test/{}", self.version));
        config["kind"] = json!("Thing");
        if self.object.is_some() {
            self.object = Some(self.read());
        }
        let result = self.write(|fields, info, live| fields.apply(live, &config, info, force), manager);
        match result {
            Ok(mut object) => {
                object["metadata"]["uid"] = json!("u");
                self.object = Some(object);
            }
            Err(error) => self.log += &format!("{manager} is refused: {}\n", error.message()),
        }
        self
    }

    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) -> &mut Self {
        let fresh = json!({"apiVersion": "test/v1", "kind": "Thing", "metadata": {"name": "n"}});
        if self.object.is_some() {
            self.object = Some(self.read());
        }
        let mut new = self.object.clone().unwrap_or(fresh);
        change(&mut new);
        self.write(|fields, info, live| fields.update(live, &mut new, info), manager);
        new["metadata"]["uid"] = json!("u");
        self.object = Some(new);
        self
    }

    fn check(&mut self, expected: Expect) -> &mut Self {
        let object = self.object.clone().unwrap_or_default();
        let mut shown = format!("{}{}", std::mem::take(&mut self.log), object["spec"]);
        if object.get("status").is_some() {
            shown += &format!(" status={}", object["status"]);
        }
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let text = |field: &str| entry[field].as_str().unwrap_or("-");
            let paths = FieldSet::from_value(&entry["fieldsV1"]).unwrap().paths();
            let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
            let second = text("time").rsplit(':').next().unwrap().trim_end_matches('Z').to_owned();
            let subresource = entry["subresource"].as_str().map(|s| format!("/{s}")).unwrap_or_default();
            let (manager, version) = (text("manager"), text("apiVersion").trim_start_matches("test/"));
            shown += &format!(
                "\n{manager}{subresource} {} {version} {second}: {}",
                text("operation"),
                paths.join(" ")
            );
        }
        expected.assert_eq(&shown);
        self
    }
}

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
