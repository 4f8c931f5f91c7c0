//! What expressions of admission policies and webhooks can refer to.

use crate::environment::Environment;
use crate::types::{Decl, Field, Object, Shape, Type};
use std::sync::{Arc, LazyLock};

const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
/// The authorizer's question about the very request, as expressions name it.
pub const REQUEST_RESOURCE: &str = "authorizer.requestResource";

/// Which variables a kind of expression has, besides `object`, `oldObject` and `request`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'s> {
    /// `namespaceObject`: policies have it, webhooks do not.
    pub namespace: bool,
    /// `params`: the policy names a kind of parameters.
    pub params: bool,
    /// `authorizer`: expressions that only make messages have none.
    pub authorizer: bool,
    /// `variables`, with their types; `None` in match conditions.
    pub variables: Option<&'s [(String, Type)]>,
    /// `Object` and `JSONPatch` can be made.
    pub mutations: bool,
    /// What objects and parameters are, where that is known: the types of a policy are only judged, never acted on.
    pub types: Option<Types<'s>>,
}

/// The types of what a policy is about.
#[derive(Clone, Copy, Debug)]
pub struct Types<'s> {
    /// `object` and `oldObject`
    pub object: &'s Arc<Decl>,
    /// `params`, if its type is known.
    pub params: Option<&'s Arc<Decl>>,
}

impl Scope<'_> {
    /// The environment of such expressions.
    pub fn environment(&self) -> Environment {
        let known = |of: Option<&Arc<Decl>>| of.cloned().unwrap_or_else(Decl::any);
        let object = known(self.types.map(|types| types.object));
        let mut environment = Environment::new()
            .with("object", object.clone())
            .with("oldObject", object)
            .with("request", REQUEST.clone());
        if self.namespace {
            environment = environment.with("namespaceObject", NAMESPACE.clone());
        }
        if self.params {
            environment = environment.with("params", known(self.types.and_then(|types| types.params)));
        }
        if self.authorizer {
            environment = environment.with("authorizer", Decl::scalar(Type::Opaque(AUTHORIZER)));
            // Kubernetes does not know it where it judges types.
            if self.types.is_none() {
                environment = environment.with(REQUEST_RESOURCE, Decl::scalar(Type::Opaque(RESOURCE_CHECK)));
            }
        }
        if let Some(variables) = self.variables {
            let decl = |ty: &Type| match remembered(ty) {
                Type::Dyn => Decl::any(),
                ty => Decl::scalar(ty),
            };
            let fields = variables.iter().map(|(name, ty)| (name.as_str(), decl(ty)));
            environment = environment.with("variables", Decl::object("kubernetes.variables", fields));
            // Each by its whole name, too: it is evaluated when it is asked for.
            for (name, ty) in variables {
                environment = environment.with(&format!("variables.{name}"), decl(ty));
            }
        }
        if self.mutations { environment.with_mutations() } else { environment }
    }
}

/// What is known of a variable's type: nothing of objects and of the libraries' own types.
fn remembered(ty: &Type) -> Type {
    match ty {
        Type::List(item) => Type::list(remembered(item)),
        Type::Map(key, value) => Type::map(remembered(key), remembered(value)),
        Type::Error
        | Type::Struct(_)
        | Type::Opaque(_)
        | Type::Optional(_)
        | Type::Type(_)
        | Type::Param(_) => Type::Dyn,
        plain => plain.clone(),
    }
}

fn string() -> Arc<Decl> {
    Decl::scalar(Type::String)
}

fn strings() -> Arc<Decl> {
    Decl::list(string())
}

static REQUEST: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let names = |name: &str, last: &'static str| {
        Decl::object(name, [("group", string()), ("version", string()), (last, string())])
    };
    let kind = names("kubernetes.GroupVersionKind", "kind");
    let resource = names("kubernetes.GroupVersionResource", "resource");
    let user = Decl::object(
        "kubernetes.UserInfo",
        [("username", string()), ("uid", string()), ("groups", strings()), ("extra", Decl::map(strings()))],
    );
    Decl::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", string()),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", string()),
            ("name", string()),
            ("namespace", string()),
            ("operation", string()),
            ("userInfo", user),
            ("dryRun", Decl::scalar(Type::Bool)),
            ("options", Decl::any()),
        ],
    )
});

/// An object whose `uid` expressions call `UID`.
fn renamed<const N: usize>(name: &str, fields: [(&'static str, Arc<Decl>); N]) -> Arc<Decl> {
    let named = |(json, decl): (&'static str, Arc<Decl>)| {
        let seen = if json == "uid" { "UID" } else { json };
        (seen.into(), Field { json: json.into(), decl })
    };
    let fields = fields.into_iter().map(named).collect();
    let object = Arc::new(Object { name: name.to_owned(), fields, open: false });
    let ty = Type::Struct(object.clone());
    Arc::new(Decl { ty, max_elements: None, min_size: 2, shape: Shape::Object(object) })
}

static NAMESPACE: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let time = || Decl::scalar(Type::Timestamp);
    let metadata = renamed(
        "kubernetes.NamespaceMetadata",
        [
            ("name", string()),
            ("generateName", string()),
            ("namespace", string()),
            ("labels", Decl::map(string())),
            ("annotations", Decl::map(string())),
            ("uid", string()),
            ("creationTimestamp", time()),
            ("deletionGracePeriodSeconds", Decl::scalar(Type::Int)),
            ("deletionTimestamp", time()),
            ("generation", Decl::scalar(Type::Int)),
            ("resourceVersion", string()),
            ("finalizers", strings()),
        ],
    );
    let spec = Decl::object("kubernetes.NamespaceSpec", [("finalizers", strings())]);
    let status = Decl::object("kubernetes.NamespaceStatus", [("phase", string())]);
    Decl::object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});

/// The declaration of `request`, to read its JSON by.
pub fn request_decl() -> &'static Arc<Decl> {
    &REQUEST
}

/// The declaration of `namespaceObject`, to read its JSON by.
pub fn namespace_decl() -> &'static Arc<Decl> {
    &NAMESPACE
}
