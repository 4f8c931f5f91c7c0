//! A server with one object of a custom kind in two versions.

use crate::fields::{FieldFilter, FieldSet};
use crate::managed::{FieldManager, ManagerInfo, SeveralVersions};
use expect_test::Expect;
use object::GroupVersionKind;
use schema::{Field, ListType, Node, NodeId, Scalar, Shape, Types};
use serde_json::{Value, json};

/// Types of a custom kind of a few fields. In `v2` the field `a` is called `z`.
fn types(first: &str) -> Types {
    let mut types = Types::default();
    let mut add = |shape, list_type, atomic| {
        types.nodes.push(Node { shape, list_type, atomic, ..Node::default() });
        NodeId(types.nodes.len() as u32 - 1)
    };
    let field =
        |name: &str, node| Field { name: name.into(), node, order: 0, omit_empty: true, pointer: true };
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

pub(super) struct Kind {
    v1: Types,
    v2: Types,
    pub(super) filter: FieldFilter,
    pub(super) typed: bool,
}

impl Kind {
    fn versions(&self) -> SeveralVersions<'_> {
        let all = [("test/v1", &self.v1), ("test/v2", &self.v2)];
        let known = all.map(|(version, types)| (version.into(), types.named("root").filter(|_| self.typed)));
        SeveralVersions { known: known.into(), filter: self.filter.clone(), convert: &convert }
    }
}

fn convert(object: &Value, api_version: &str) -> Option<Value> {
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

/// A server with one object.
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) version: &'static str,
    pub(super) subresource: &'static str,
    pub(super) object: Option<Value>,
    seconds: u32,
    pub(super) log: String,
}

impl Server {
    pub(super) fn new() -> Self {
        let kind = Kind { v1: types("a"), v2: types("z"), filter: FieldFilter::none(), typed: true };
        Self { kind, version: "v1", subresource: "", object: None, seconds: 0, log: String::new() }
    }

    pub(super) fn write<T>(
        &mut self,
        write: impl FnOnce(&FieldManager<'_>, ManagerInfo<'_>, Option<&Value>) -> T,
        manager: &str,
    ) -> T {
        self.seconds += 1;
        let time = format!("2026-01-01T00:00:{:02}Z", self.seconds);
        let gvk = GroupVersionKind::new("test", self.version, "Thing");
        let versions = self.kind.versions();
        let fields = FieldManager { kind: &gvk, subresource: self.subresource, versions: &versions };
        write(&fields, ManagerInfo { manager, time: &time }, self.object.as_ref())
    }

    /// The object in the version in use, as a client would read it.
    fn read(&self) -> Value {
        let object = self.object.clone().unwrap_or_default();
        let version = format!("test/{}", self.version);
        if object["apiVersion"] == version.as_str() { object } else { convert(&object, &version).unwrap() }
    }

    pub(super) fn apply(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_with(manager, false, json!({"metadata": {"name": "n"}, "spec": spec}))
    }

    pub(super) fn force(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.apply_with(manager, true, json!({"metadata": {"name": "n"}, "spec": spec}))
    }

    pub(super) fn apply_with(&mut self, manager: &str, force: bool, mut config: Value) -> &mut Self {
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

    pub(super) fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) -> &mut Self {
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

    pub(super) fn check(&mut self, expected: Expect) -> &mut Self {
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
