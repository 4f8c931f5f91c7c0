//! May they? RBAC over the roles and bindings in the store, and impersonation.

use crate::call::Call;
use crate::followed::State;
use crate::pipeline::Write;
use crate::{Api, AuthorizationMode, failure, stored};
use access::attributes::Attributes;

use access::node_authorizer::NodeObjects;
use access::rbac::{Decision, RbacIndex, RoleWrite};
use access::{RulePool, UserInfo, impersonation};
use object::{Result, Value};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use store::ListRequest;

/// Rules that are equal in many clusters, such as those of the default roles, are in memory once.
static POOL: LazyLock<Arc<RulePool>> = LazyLock::new(Arc::default);

/// The access rules of this cluster.
pub(crate) struct Rules {
    pub index: RbacIndex,
}

impl Default for Rules {
    fn default() -> Self {
        Self { index: RbacIndex::with_pool(POOL.clone()) }
    }
}

impl State for Rules {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        // Keys are /rbac.authorization.k8s.io/<resource>/[<namespace>/]<name>.
        let mut parts = key.split('/').skip(2);
        let kind = match parts.next() {
            Some("roles") => "Role",
            Some("rolebindings") => "RoleBinding",
            Some("clusterroles") => "ClusterRole",
            Some("clusterrolebindings") => "ClusterRoleBinding",
            _ => return,
        };
        let rest: Vec<&str> = parts.collect();
        let (namespace, name) = match rest.as_slice() {
            [name] => ("", *name),
            [namespace, name] => (*namespace, *name),
            _ => return,
        };
        match object {
            Some(object) => self.index.upsert(kind, &object),
            None => self.index.remove(kind, namespace, name),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether `attributes` are allowed.
pub(crate) async fn decide(api: &Api, attributes: &Attributes) -> Result<Decision> {
    let modes = api.config.access.authorization.as_slice();
    let node = node_name(&attributes.user).filter(|_| modes.contains(&AuthorizationMode::Node));
    let Some(node) = node else {
        return Ok(api.access.read().await?.state.decide(modes, attributes));
    };
    // Nodes may read what the pods on them use; what that is, is found out by asking.
    let mut objects = NodeSnapshot { pods: pods_on(api, node).await?, ..NodeSnapshot::default() };
    loop {
        let decision = api.access.read().await?.state.decide_with(modes, attributes, Some(&objects));
        let missing = std::mem::take(&mut *objects.missing.lock());
        if missing.is_empty() {
            return Ok(decision);
        }
        for key in missing {
            let (entry, _) = api.store().get(&key).await.map_err(failure::store)?;
            objects.known.insert(key, entry.as_ref().and_then(stored::decode));
        }
    }
}

fn node_name(user: &UserInfo) -> Option<&str> {
    let node = user.username.strip_prefix("system:node:")?;
    user.groups.iter().any(|g| g == "system:nodes").then_some(node)
}

async fn pods_on(api: &Api, node: &str) -> Result<Vec<Value>> {
    let request = ListRequest { prefix: "/core/pods/".into(), ..Default::default() };
    let listing = api.store().list(request).await.map_err(failure::store)?;
    Ok(listing.entries.iter().filter_map(stored::decode).filter(|p| p["spec"]["nodeName"] == node).collect())
}

/// What the node authorizer has asked for so far.
#[derive(Default)]
struct NodeSnapshot {
    pods: Vec<Value>,
    known: HashMap<String, Option<Value>>,
    missing: Mutex<Vec<String>>,
}

impl NodeObjects for NodeSnapshot {
    fn pods_on(&self, _: &str) -> Vec<Value> {
        self.pods.clone()
    }

    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let group = if resource == "volumeattachments" { "storage.k8s.io" } else { "core" };
        let key = match namespace {
            "" => format!("/{group}/{resource}/{name}"),
            namespace => format!("/{group}/{resource}/{namespace}/{name}"),
        };
        match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                self.missing.lock().push(key);
                None
            }
        }
    }
}

impl Rules {
    fn decide(&self, modes: &[AuthorizationMode], attributes: &Attributes) -> Decision {
        self.decide_with(modes, attributes, None)
    }

    /// Authorizers only ever allow, so that their order decides no more than whose reason is told.
    fn decide_with(
        &self,
        modes: &[AuthorizationMode],
        attributes: &Attributes,
        nodes: Option<&dyn NodeObjects>,
    ) -> Decision {
        if modes.contains(&AuthorizationMode::AlwaysAllow) {
            return Decision::Allow(String::new());
        }
        let decision = if modes.contains(&AuthorizationMode::Rbac) {
            access::authorize(attributes, &self.index, nodes)
        } else {
            access::authorize(attributes, &RbacIndex::default(), nodes)
        };
        match decision {
            Decision::NoOpinion(reason) if modes.contains(&AuthorizationMode::AlwaysDeny) => {
                let reasons = [reason.as_str(), "Everything is forbidden."];
                let reasons: Vec<&str> = reasons.into_iter().filter(|r| !r.is_empty()).collect();
                Decision::NoOpinion(reasons.join("\n"))
            }
            decision => decision,
        }
    }
}

/// Refuses a role or binding that gives more than its writer has.
pub(crate) async fn check_escalation(write: &Write<'_>, object: &Value) -> Result<()> {
    let (call, at) = (write.call, &write.target.at);
    if at.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let rules = call.api.access.read().await?;
    let url_name = call.info.resource.as_ref().map_or("", |at| at.name.as_str());
    let write = RoleWrite {
        user: &call.user,
        resource: &at.resource,
        namespace: &at.namespace,
        url_name,
        object,
        old: write.old,
    };
    write.check(&rules.state.index, &|attributes| {
        rules.state.decide(&call.api.config.access.authorization, attributes)
    })
}

/// Refuses a request that its user may not make.
pub(crate) async fn authorize(api: &Api, call: &Call) -> Result<()> {
    let attributes = attributes(call);
    let decision = decide(api, &attributes).await?;
    let outcome = if decision.is_allowed() { "allow" } else { "forbid" };
    call.annotate("authorization.k8s.io/decision", outcome);
    call.annotate("authorization.k8s.io/reason", decision.reason());
    match decision {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(attributes.forbidden(&reason)),
    }
}

/// What a request is, to those who decide about it.
pub(crate) fn attributes(call: &Call) -> Attributes {
    match &call.info.resource {
        None => Attributes::path(call.user.clone(), call.info.verb, &call.info.path),
        Some(at) => {
            let name = if at.name.is_empty() { named_by_selector(call) } else { at.name.clone() };
            let mut attributes = Attributes::resource(
                call.user.clone(),
                call.info.verb,
                &at.group,
                &at.resource,
                &at.namespace,
                &name,
            );
            attributes.api_version = at.version.clone();
            attributes.subresource = at.subresource.clone();
            attributes.path = call.info.path.clone();
            attributes
        }
    }
}

/// A list or watch of one name is a question about that name, if its options can be read.
fn named_by_selector(call: &Call) -> String {
    let query = &call.query;
    let readable = matches!(call.info.verb, "list" | "watch")
        && query.int64("timeoutSeconds").is_ok()
        && query.int64("limit").is_ok()
        && object::LabelSelector::parse(query.get("labelSelector")).is_ok();
    let selector = object::FieldSelector::parse(query.get("fieldSelector")).ok().filter(|_| readable);
    let name = selector.as_ref().and_then(|s| s.requires_exact_match("metadata.name")).unwrap_or_default();
    if object::names::path_segment_name(name).is_empty() { name.to_owned() } else { String::new() }
}

/// The user to act as: the authenticated one, or whom the impersonation headers name if that is allowed.
pub(crate) async fn impersonated(api: &Api, call: &Call) -> Result<UserInfo> {
    // No header is passed over: who cannot be read must not leave the caller with rights of its own.
    let headers: Vec<_> =
        call.headers.iter().map(|(k, v)| (k.as_str(), String::from_utf8_lossy(v.as_bytes()))).collect();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_ref()));
    let Some(wanted) = impersonation::wanted_user(headers)? else { return Ok(call.user.clone()) };
    let rules = api.access.read().await?;
    let authorize =
        |attributes: &Attributes| rules.state.decide(&api.config.access.authorization, attributes);
    let (user, mode) =
        impersonation::impersonate(&wanted, &attributes(call), &api.impersonation, &authorize)?;
    let constraint = if mode == impersonation::Mode::Legacy { String::new() } else { mode.verb() };
    call.record_impersonation(&user, &constraint);
    Ok(user)
}
