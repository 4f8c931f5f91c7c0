//! The roles and bindings of one cluster, parsed and indexed by subject.
//!
//! Memory: rule sets, bindings and words come from a [`RulePool`]; give the indexes of many virtual clusters one pool and
//! the default roles are in memory once. The pool forgets what no index uses any more, each time it has doubled. What an
//! index holds of its own are sorted lists of pointers.

use super::rule::Rule;
use crate::user::service_account_username;
use object::meta;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Parsed rule sets, their words and bindings, each in memory once however many indexes use it.
#[derive(Default)]
pub struct RulePool(Mutex<Pool>);

#[derive(Default)]
struct Pool {
    words: HashSet<Arc<str>>,
    rules: HashSet<Arc<[Rule]>>,
    bindings: HashSet<Arc<Binding>>,
    sweep_at: usize,
}

impl RulePool {
    /// Below this many rule sets and bindings nothing is swept.
    const SWEEP_FLOOR: usize = 256;

    fn binding(&self, parsed: Binding) -> Arc<Binding> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pool.bindings.get(&parsed) {
            return known.clone();
        }
        let binding = Arc::new(parsed);
        pool.bindings.insert(binding.clone());
        pool.sweep();
        binding
    }

    fn rules(&self, json: &Value) -> Arc<[Rule]> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Pool { words, rules, .. } = &mut *pool;
        let mut intern = |word: &str| match words.get(word) {
            Some(known) => known.clone(),
            None => {
                let word: Arc<str> = word.into();
                words.insert(word.clone());
                word
            }
        };
        let parsed: Arc<[Rule]> =
            json.as_array().into_iter().flatten().map(|rule| Rule::parse(rule, &mut intern)).collect();
        match rules.get(&parsed) {
            Some(known) => known.clone(),
            None => {
                rules.insert(parsed.clone());
                pool.sweep();
                parsed
            }
        }
    }
}

impl Pool {
    /// Forgets unused sets and bindings, then unused words, each time their number has doubled.
    fn sweep(&mut self) {
        if self.rules.len() + self.bindings.len() < self.sweep_at.max(RulePool::SWEEP_FLOOR) {
            return;
        }
        self.rules.retain(|set| Arc::strong_count(set) > 1);
        self.bindings.retain(|binding| Arc::strong_count(binding) > 1);
        self.words.retain(|word| Arc::strong_count(word) > 1);
        self.sweep_at = (self.rules.len() + self.bindings.len()) * 2;
    }
}

/// The role a binding gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleRef {
    /// A `ClusterRole`, or else a `Role` in the binding's namespace.
    pub cluster: bool,
    /// The role's name.
    pub name: Arc<str>,
}

impl RoleRef {
    /// Reads a binding's `roleRef`.
    pub fn from_json(role_ref: &Value) -> Self {
        let name = role_ref["name"].as_str().unwrap_or("");
        Self { cluster: role_ref["kind"] == "ClusterRole", name: name.into() }
    }

    /// `ClusterRole` or `Role`.
    pub fn kind(&self) -> &'static str {
        if self.cluster { "ClusterRole" } else { "Role" }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub kind: SubjectKind,
    /// As users and groups are called: a service account by its user name.
    pub key: Box<str>,
    /// Name and namespace of a service account, as reasons show them.
    pub shown: Option<Box<str>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub name: Box<str>,
    pub role: RoleRef,
    pub subjects: Box<[Subject]>,
}

/// The bindings of the cluster scope or of one namespace.
#[derive(Default)]
pub(super) struct Bindings {
    /// By name.
    all: Vec<Arc<Binding>>,
    /// Each with the number of one of its subjects, by whether that is a group and by what it is called.
    by_subject: Vec<(Arc<Binding>, u32)>,
}

/// Rules by the name of their role.
type Roles = HashMap<Box<str>, Arc<[Rule]>>;

/// All roles and bindings of one cluster.
#[derive(Default)]
pub struct RbacIndex {
    pool: Arc<RulePool>,
    cluster_roles: Roles,
    roles: HashMap<Box<str>, Roles>,
    cluster_bindings: Bindings,
    bindings: HashMap<Box<str>, Bindings>,
}

impl RbacIndex {
    /// An empty index that shares what it can with others of the same pool.
    pub fn with_pool(pool: Arc<RulePool>) -> Self {
        Self { pool, ..Self::default() }
    }

    /// Takes in a new or changed object of `kind` (`ClusterRole`, `Role`, `ClusterRoleBinding`, `RoleBinding`; any
    /// other kind is passed over).
    pub fn upsert(&mut self, kind: &str, object: &Value) {
        let (namespace, name) = (meta::namespace(object), meta::name(object));
        match kind {
            "ClusterRole" => {
                let rules = self.pool.rules(&object["rules"]);
                self.cluster_roles.insert(name.into(), rules);
            }
            "Role" => {
                let rules = self.pool.rules(&object["rules"]);
                self.roles.entry(namespace.into()).or_default().insert(name.into(), rules);
            }
            "ClusterRoleBinding" => {
                self.cluster_bindings.upsert(self.pool.binding(Binding::parse(object, "")));
            }
            "RoleBinding" => {
                let binding = self.pool.binding(Binding::parse(object, namespace));
                self.bindings.entry(namespace.into()).or_default().upsert(binding);
            }
            _ => {}
        }
    }

    /// Forgets an object of `kind`. Removing what is not there does nothing.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        match kind {
            "ClusterRole" => {
                self.cluster_roles.remove(name);
            }
            "Role" => {
                if let Some(roles) = self.roles.get_mut(namespace) {
                    roles.remove(name);
                    if roles.is_empty() {
                        self.roles.remove(namespace);
                    }
                }
            }
            "ClusterRoleBinding" => self.cluster_bindings.remove(name),
            "RoleBinding" => {
                if let Some(bindings) = self.bindings.get_mut(namespace) {
                    bindings.remove(name);
                    if bindings.all.is_empty() {
                        self.bindings.remove(namespace);
                    }
                }
            }
            _ => {}
        }
    }

    /// The rules of a role; the error is a missing role's, as authorizers report it.
    pub fn role_rules(&self, role: &RoleRef, namespace: &str) -> Result<&Arc<[Rule]>, String> {
        let found = if role.cluster {
            self.cluster_roles.get(role.name.as_ref())
        } else {
            self.roles.get(namespace).and_then(|roles| roles.get(role.name.as_ref()))
        };
        found.ok_or_else(|| {
            let resource = if role.cluster { "clusterrole" } else { "role" };
            format!("{resource}.rbac.authorization.k8s.io {} not found", object::error::quote(&role.name))
        })
    }

    pub(super) fn cluster_bindings(&self) -> &Bindings {
        &self.cluster_bindings
    }

    pub(super) fn bindings_in(&self, namespace: &str) -> Option<&Bindings> {
        self.bindings.get(namespace)
    }
}

impl Bindings {
    fn upsert(&mut self, binding: Arc<Binding>) {
        self.remove(&binding.name);
        for number in 0..binding.subjects.len() as u32 {
            let place = subject_order(&binding, number);
            let at = self.by_subject.partition_point(|(held, n)| subject_order(held, *n) < place);
            self.by_subject.insert(at, (binding.clone(), number));
        }
        let at = self.all.partition_point(|held| held.name < binding.name);
        self.all.insert(at, binding);
    }

    fn remove(&mut self, name: &str) {
        let Ok(at) = self.all.binary_search_by(|held| held.name.as_ref().cmp(name)) else { return };
        let binding = self.all.remove(at);
        self.by_subject.retain(|(held, _)| !Arc::ptr_eq(held, &binding));
    }

    /// The bindings that have the user as a subject, by name, each once.
    pub(super) fn of(&self, user: &crate::UserInfo) -> Vec<&Arc<Binding>> {
        let mut found: Vec<_> = self.of_subject((false, user.username.as_str())).collect();
        found.extend(user.groups.iter().flat_map(|group| self.of_subject((true, group.as_str()))));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found
    }

    fn of_subject<'a, 'u>(
        &'a self,
        subject: (bool, &'u str),
    ) -> impl Iterator<Item = &'a Arc<Binding>> + use<'a, 'u> {
        let from = self.by_subject.partition_point(|(held, number)| subject_order(held, *number) < subject);
        let rest = self.by_subject[from..].iter();
        rest.take_while(move |(held, number)| subject_order(held, *number) == subject).map(|(held, _)| held)
    }
}

/// What bindings are found by: users and service accounts first, then groups.
fn subject_order(binding: &Binding, number: u32) -> (bool, &str) {
    let subject = &binding.subjects[number as usize];
    (subject.kind == SubjectKind::Group, &subject.key)
}

impl Binding {
    fn parse(object: &Value, namespace: &str) -> Self {
        let subjects = object["subjects"].as_array().into_iter().flatten();
        Self {
            name: meta::name(object).into(),
            role: RoleRef::from_json(&object["roleRef"]),
            subjects: subjects.filter_map(|subject| Subject::parse(subject, namespace)).collect(),
        }
    }

    /// The first subject that is the user, or a group of theirs.
    pub(super) fn subject_of(&self, user: &crate::UserInfo) -> Option<&Subject> {
        self.subjects.iter().find(|subject| match subject.kind {
            SubjectKind::Group => user.has_group(&subject.key),
            SubjectKind::User | SubjectKind::ServiceAccount => *subject.key == *user.username,
        })
    }
}

impl Subject {
    /// A service account without a namespace is one of the binding's own; in a cluster binding it is nobody.
    fn parse(json: &Value, binding_namespace: &str) -> Option<Self> {
        let name = json["name"].as_str()?;
        let (kind, key, shown) = match json["kind"].as_str()? {
            "User" => (SubjectKind::User, name.to_owned(), None),
            "Group" => (SubjectKind::Group, name.to_owned(), None),
            "ServiceAccount" => {
                let namespace =
                    json["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(binding_namespace);
                if namespace.is_empty() {
                    return None;
                }
                let shown = format!("{name}/{namespace}").into_boxed_str();
                (SubjectKind::ServiceAccount, service_account_username(namespace, name), Some(shown))
            }
            _ => return None,
        };
        Some(Self { kind, key: key.into(), shown })
    }

    /// `User "jane"`, `ServiceAccount "name/namespace"`.
    pub(super) fn describe(&self) -> String {
        let kind = match self.kind {
            SubjectKind::User => "User",
            SubjectKind::Group => "Group",
            SubjectKind::ServiceAccount => "ServiceAccount",
        };
        format!("{kind} {}", object::error::quote(self.shown.as_deref().unwrap_or(&self.key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_rules_are_in_memory_once() {
        let pool = Arc::new(RulePool::default());
        let (mut one, mut two) = (RbacIndex::with_pool(pool.clone()), RbacIndex::with_pool(pool.clone()));
        let role = json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        one.upsert("ClusterRole", &role);
        two.upsert("ClusterRole", &role);
        let role = RoleRef { cluster: true, name: "r".into() };
        let (a, b) = (one.role_rules(&role, "").unwrap(), two.role_rules(&role, "").unwrap());
        assert!(Arc::ptr_eq(a, b));
    }

    #[test]
    fn the_pool_forgets() {
        let pool = Arc::new(RulePool::default());
        let mut index = RbacIndex::with_pool(pool.clone());
        for i in 0..5000 {
            let rules = json!([{"verbs": [format!("v{i}")], "apiGroups": [""], "resources": ["pods"]}]);
            index.upsert("ClusterRole", &json!({"metadata": {"name": "same"}, "rules": rules}));
        }
        let state = pool.0.lock().unwrap();
        assert!(
            state.rules.len() <= 257 && state.words.len() <= 300,
            "{} {}",
            state.rules.len(),
            state.words.len()
        );
    }

    #[test]
    fn upsert_replaces_and_remove_forgets() {
        let binding = |user: &str| {
            json!({"metadata": {"name": "b", "namespace": "ns"}, "roleRef": {"kind": "Role", "name": "r"},
                   "subjects": [{"kind": "User", "name": user}, {"kind": "Group", "name": "g"}, {"kind": "User", "name": user}]})
        };
        let mut index = RbacIndex::default();
        index.upsert("RoleBinding", &binding("a"));
        index.upsert("RoleBinding", &binding("b"));
        let of = |index: &RbacIndex, user: &str| {
            index.bindings_in("ns").map_or(0, |own| own.of(&crate::UserInfo::new(user, &[])).len())
        };
        assert_eq!((of(&index, "a"), of(&index, "b")), (0, 1));
        index.remove("RoleBinding", "ns", "b");
        assert!(index.bindings.is_empty());
        index.remove("RoleBinding", "ns", "b");
        index.remove("Role", "ns", "b");
    }
}
