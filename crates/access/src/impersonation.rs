//! Acting as someone else: the `Impersonate-…` headers, what must be allowed for them, and who one becomes.
//!
//! Five modes are tried (KEP-5284). The four constrained ones ask for the verb `impersonate:MODE` on the identity
//! *and* `impersonate-on:MODE:VERB` on the request itself; the legacy one asks for the verb `impersonate` only. When
//! none succeeds, the error is that of the first one tried: the mode that last succeeded for this requestor, if any.

use crate::attributes::Attributes;
use crate::rbac::Decision;
use crate::user::{
    EXTRA_NODE_NAME, GROUP_AUTHENTICATED, GROUP_MASTERS, GROUP_NODES, GROUP_UNAUTHENTICATED, USER_ANONYMOUS,
    UserInfo, node_name, service_account_groups, split_service_account_username,
};
use object::error::quote;
use object::{ApiError, FieldError, Path, Result};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

const AUTHENTICATION: &str = "authentication.k8s.io";
/// From this many groups or extras on, permission for all of them is asked for first.
const MANY: usize = 4;

/// An authorizer to ask.
pub type Authorize<'a> = &'a dyn Fn(&Attributes) -> Decision;

/// A way to impersonate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A service account acts as the node its pod runs on.
    AssociatedNode,
    /// As any node.
    ArbitraryNode,
    /// As a service account.
    ServiceAccount,
    /// As any other user.
    UserInfo,
    /// As anyone, by the verb `impersonate`.
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    /// The verb on the identity, which audit records as the constraint.
    pub fn verb(self) -> String {
        if self == Self::Legacy { "impersonate".into() } else { format!("impersonate:{}", self.name()) }
    }

    /// The API group of users and groups in this mode.
    fn group(self) -> &'static str {
        if self == Self::Legacy { "" } else { AUTHENTICATION }
    }

    /// Does the mode speak of such a user at all?
    fn applies(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let node = node_name(&wanted.username);
        let service_account = |name: &str| split_service_account_username(name).is_some();
        match self {
            Self::AssociatedNode => {
                only_name
                    && node.is_some()
                    && service_account(&requestor.username)
                    && requestor.extra_value(EXTRA_NODE_NAME) == node
            }
            Self::ArbitraryNode => only_name && node.is_some(),
            Self::ServiceAccount => only_name && service_account(&wanted.username),
            Self::UserInfo => node.is_none() && !service_account(&wanted.username),
            Self::Legacy => true,
        }
    }
}

/// Which mode last succeeded for whom; it is tried first. Bounded: when full, it starts afresh.
#[derive(Default)]
pub struct LastModes {
    hasher: RandomState,
    modes: Mutex<HashMap<u64, Mode>>,
}

impl LastModes {
    const BOUND: usize = 10_000;

    fn get(&self, username: &str) -> Option<Mode> {
        let modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        modes.get(&self.hasher.hash_one(username)).copied()
    }

    fn set(&self, username: &str, mode: Mode) {
        let mut modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        if modes.len() >= Self::BOUND {
            modes.clear();
        }
        modes.insert(self.hasher.hash_one(username), mode);
    }
}

/// Is the header one of impersonation's? They must not reach anything behind.
pub fn is_impersonation_header(name: &str) -> bool {
    name.get(..12).is_some_and(|head| head.eq_ignore_ascii_case("impersonate-"))
}

/// The user the headers ask for, as they say it; `None` when they ask for nobody.
pub fn wanted_user<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Option<UserInfo>> {
    let mut wanted = UserInfo::default();
    let mut asked = false;
    for (name, value) in headers.filter(|(name, _)| is_impersonation_header(name)) {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            // Of a repeated single header the first counts.
            "impersonate-user" if wanted.username.is_empty() => value.clone_into(&mut wanted.username),
            "impersonate-uid" if wanted.uid.is_empty() => {
                asked |= !value.is_empty();
                value.clone_into(&mut wanted.uid);
            }
            "impersonate-group" => {
                asked = true;
                wanted.groups.push(value.to_owned());
            }
            _ => {
                if let Some(key) = name.strip_prefix("impersonate-extra-") {
                    asked = true;
                    wanted.extra.entry(unescape(key)).or_default().push(value.to_owned());
                }
            }
        }
    }
    if !wanted.username.is_empty() {
        return Ok(Some(wanted));
    }
    if asked {
        let message = format!("requested {} without impersonating a user name", go_syntax(&wanted));
        return Err(ApiError::BadRequest(message));
    }
    Ok(None)
}

/// Percent-decoding; a key that cannot be decoded stays as it is.
pub(crate) fn unescape(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return key.to_owned(),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

/// The user as Go prints it (`%#v`), which is what this one message shows.
fn go_syntax(user: &UserInfo) -> String {
    let list = |items: &[String]| match items {
        [] => "[]string(nil)".to_owned(),
        items => {
            format!("[]string{{{}}}", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "))
        }
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let pairs: Vec<_> =
            user.extra.iter().map(|(key, values)| format!("{}:{}", quote(key), list(values))).collect();
        format!("map[string][]string{{{}}}", pairs.join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{}, UID:{}, Groups:{}, Extra:{extra}}}",
        quote(&user.username),
        quote(&user.uid),
        list(&user.groups)
    )
}

/// May the requestor (the user of `request`) make the request as `wanted`? Gives the user to go on as, and how.
pub fn impersonate(
    wanted: &UserInfo,
    request: &Attributes,
    last: &LastModes,
    authorize: Authorize<'_>,
) -> Result<(UserInfo, Mode)> {
    let known = last.get(&request.user.username);
    let mut first_error = None;
    for mode in known.into_iter().chain(MODES.into_iter().filter(|mode| Some(*mode) != known)) {
        if !mode.applies(wanted, &request.user) {
            continue;
        }
        match try_mode(mode, wanted, request, authorize) {
            Ok(user) => {
                last.set(&request.user.username, mode);
                return Ok((user, mode));
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| ApiError::Internal("all impersonation modes failed".into())))
}

fn try_mode(
    mode: Mode,
    wanted: &UserInfo,
    request: &Attributes,
    authorize: Authorize<'_>,
) -> Result<UserInfo> {
    let requestor = match mode {
        Mode::AssociatedNode => associated(&request.user),
        _ => request.user.clone(),
    };
    if mode != Mode::Legacy {
        let verb = format!("impersonate-on:{}:{}", mode.name(), request.verb);
        ask(authorize, &Attributes { user: requestor.clone(), verb, ..request.clone() })?;
    }
    let identity = |group: &str, resource: &str, namespace: &str, name: &str| {
        let mut attributes =
            Attributes::resource(requestor.clone(), &mode.verb(), group, resource, namespace, name);
        attributes.api_version = "v1".into();
        attributes
    };
    let mut user = wanted.clone();
    let constrained_node = node_name(&wanted.username).filter(|_| mode != Mode::Legacy);
    if let Some(node) = constrained_node {
        user.groups = vec![GROUP_NODES.into()];
        // The answer is good for whatever node the account's pod runs on, so it must hold for all of them.
        let name = if mode == Mode::AssociatedNode { "*" } else { node };
        ask(authorize, &identity(mode.group(), "nodes", "", name))?;
    } else if let Some((namespace, name)) = split_service_account_username(&wanted.username) {
        if wanted.groups.is_empty() {
            user.groups = service_account_groups(namespace);
        }
        ask(authorize, &identity(mode.group(), "serviceaccounts", namespace, name))?;
    } else {
        ask(authorize, &identity(mode.group(), "users", "", &wanted.username))?;
    }
    if !wanted.uid.is_empty() {
        ask(authorize, &identity(AUTHENTICATION, "uids", "", &wanted.uid))?;
    }
    check_groups(mode, &wanted.groups, authorize, &|name| identity(mode.group(), "groups", "", name))?;
    check_extra(mode, &wanted.extra, authorize, &|key, value| {
        let mut attributes = identity(AUTHENTICATION, "userextras", "", value);
        attributes.subresource = key.into();
        attributes
    })?;
    if user.username == USER_ANONYMOUS {
        ensure_group(&mut user, GROUP_UNAUTHENTICATED);
    } else if !user.has_group(GROUP_UNAUTHENTICATED) {
        ensure_group(&mut user, GROUP_AUTHENTICATED);
    }
    Ok(user)
}

/// What the associated-node mode tells authorizers of the requestor: which extras it has, not their values.
fn associated(requestor: &UserInfo) -> UserInfo {
    let keys = requestor.extra.keys().cloned().collect();
    let extra = BTreeMap::from([("authentication.kubernetes.io/associated-node-keys".to_owned(), keys)]);
    UserInfo { extra, ..requestor.clone() }
}

fn ask(authorize: Authorize<'_>, attributes: &Attributes) -> Result<()> {
    match authorize(attributes) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(attributes.forbidden(&reason)),
    }
}

fn check_groups(
    mode: Mode,
    groups: &[String],
    authorize: Authorize<'_>,
    attributes: &dyn Fn(&str) -> Attributes,
) -> Result<()> {
    if mode != Mode::Legacy {
        if groups.iter().any(String::is_empty) {
            return Err(attributes("").forbidden("impersonating the empty string group is not allowed"));
        }
        if groups.iter().any(|group| group == GROUP_MASTERS) {
            let message = "impersonating the system:masters group is not allowed";
            return Err(attributes(GROUP_MASTERS).forbidden(message));
        }
        if groups.len() >= MANY && ask(authorize, &attributes("*")).is_ok() {
            return Ok(());
        }
    }
    groups.iter().try_for_each(|group| ask(authorize, &attributes(group)))
}

fn check_extra(
    mode: Mode,
    extra: &BTreeMap<String, Vec<String>>,
    authorize: Authorize<'_>,
    attributes: &dyn Fn(&str, &str) -> Attributes,
) -> Result<()> {
    if mode != Mode::Legacy && !extra.is_empty() {
        validate_extra(extra).map_err(|message| attributes("", "").forbidden(&message))?;
        let values: usize = extra.values().map(Vec::len).sum();
        if values >= MANY && ask(authorize, &attributes("*", "*")).is_ok() {
            return Ok(());
        }
    }
    let mut pairs = extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    pairs.try_for_each(|(key, value)| ask(authorize, &attributes(key, value)))
}

/// Constrained modes are stricter about extra keys than the headers are.
fn validate_extra(extra: &BTreeMap<String, Vec<String>>) -> std::result::Result<(), String> {
    for (key, values) in extra {
        if key.is_empty() {
            return Err("impersonating the empty string key in extra is not allowed".into());
        }
        let good = key
            .split_once('/')
            .is_some_and(|(domain, path)| crate::user::is_dns_subdomain(domain) && !path.is_empty());
        if !good {
            let error = FieldError::invalid(
                &Path::new("extra.key"),
                &key.as_str().into(),
                "must be a domain-prefixed path (such as \"acme.io/foo\")",
            );
            return Err(format!(
                "impersonating an invalid key in extra is not allowed: {}: {}",
                error.path, error.message
            ));
        }
        if values.iter().any(String::is_empty) {
            return Err("impersonating the empty string value in extra is not allowed".into());
        }
    }
    Ok(())
}

fn ensure_group(user: &mut UserInfo, group: &str) {
    if !user.has_group(group) {
        user.groups.push(group.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(headers: &[(&str, &str)]) -> Result<Option<UserInfo>> {
        wanted_user(headers.iter().copied())
    }

    fn request(user: UserInfo) -> Attributes {
        Attributes::resource(user, "create", AUTHENTICATION, "selfsubjectreviews", "", "")
    }

    /// Allows `verb group/resource[/sub] name` lines.
    fn allow<'a>(lines: &'a [&'a str]) -> impl Fn(&Attributes) -> Decision + 'a {
        move |a: &Attributes| {
            let line = format!("{} {}/{} {}", a.verb, a.api_group, a.combined_resource(), a.name);
            if lines.contains(&line.trim_end()) {
                Decision::Allow(String::new())
            } else {
                Decision::NoOpinion(String::new())
            }
        }
    }

    #[test]
    fn headers() {
        assert_eq!(wanted(&[("accept", "x")]).unwrap(), None);
        let user = wanted(&[
            ("Impersonate-User", "jane"),
            ("impersonate-group", "a"),
            ("Impersonate-Group", "b"),
            ("Impersonate-Extra-Example.com%2fpath", "x"),
            ("impersonate-extra-scopes", "v"),
            ("impersonate-extra-100%", "w"),
            ("Impersonate-Uid", "u"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(
            (user.username.as_str(), user.uid.as_str(), user.groups.join(",")),
            ("jane", "u", "a,b".to_owned())
        );
        assert_eq!(user.extra.keys().collect::<Vec<_>>(), ["100%", "example.com/path", "scopes"]);
        let error = wanted(&[("Impersonate-Group", "g")]).unwrap_err();
        assert_eq!(
            error.message(),
            r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string(nil)} without impersonating a user name"#
        );
    }

    #[test]
    fn who_one_becomes() {
        let everything = |_: &Attributes| Decision::Allow(String::new());
        for (headers, groups, mode) in [
            (vec![("impersonate-user", "jane")], vec!["system:authenticated"], Mode::UserInfo),
            (
                vec![("impersonate-user", "jane"), ("impersonate-group", "g1")],
                vec!["g1", "system:authenticated"],
                Mode::UserInfo,
            ),
            (vec![("impersonate-user", "system:anonymous")], vec!["system:unauthenticated"], Mode::UserInfo),
            (
                vec![("impersonate-user", "system:serviceaccount:ns:default")],
                vec!["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
                Mode::ServiceAccount,
            ),
            (
                vec![("impersonate-user", "system:node:n")],
                vec!["system:nodes", "system:authenticated"],
                Mode::ArbitraryNode,
            ),
            (
                vec![("impersonate-user", "system:serviceaccount:ns:default"), ("impersonate-group", "g")],
                vec!["g", "system:authenticated"],
                Mode::Legacy,
            ),
            (
                vec![("impersonate-user", "jane"), ("impersonate-group", "system:masters")],
                vec!["system:masters", "system:authenticated"],
                Mode::Legacy,
            ),
            (
                vec![("impersonate-user", "jane"), ("impersonate-extra-scopes", "view")],
                vec!["system:authenticated"],
                Mode::Legacy,
            ),
        ] {
            let wanted = wanted(&headers).unwrap().unwrap();
            let request = request(UserInfo::new("admin", &[]));
            let (user, by) = impersonate(&wanted, &request, &LastModes::default(), &everything).unwrap();
            assert_eq!(
                (user.groups.iter().map(String::as_str).collect::<Vec<_>>(), by),
                (groups, mode),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn refusals() {
        let rules = ["impersonate /users jane"];
        let authorize = allow(&rules);
        let last = LastModes::default();
        let request = request(UserInfo::new("imp", &[]));
        let jane = wanted(&[("impersonate-user", "jane")]).unwrap().unwrap();
        let joe = wanted(&[("impersonate-user", "joe")]).unwrap().unwrap();
        let strong = wanted(&[("impersonate-user", "jane"), ("impersonate-group", "system:masters")])
            .unwrap()
            .unwrap();
        let extra =
            wanted(&[("impersonate-user", "jane"), ("impersonate-extra-scopes", "x")]).unwrap().unwrap();
        let refused = |user: &UserInfo| impersonate(user, &request, &last, &authorize).unwrap_err().message();
        assert_eq!(
            refused(&joe),
            r#"selfsubjectreviews.authentication.k8s.io is forbidden: User "imp" cannot impersonate-on:user-info:create resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope"#
        );
        assert_eq!(impersonate(&jane, &request, &last, &authorize).unwrap().1, Mode::Legacy);
        assert_eq!(
            refused(&joe),
            r#"users "joe" is forbidden: User "imp" cannot impersonate resource "users" in API group "" at the cluster scope"#
        );
        assert_eq!(
            refused(&strong),
            r#"groups "system:masters" is forbidden: User "imp" cannot impersonate resource "groups" in API group "" at the cluster scope"#
        );
        assert_eq!(
            refused(&extra),
            r#"userextras.authentication.k8s.io "x" is forbidden: User "imp" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope"#
        );
    }

    #[test]
    fn constrained() {
        let on = "impersonate-on:user-info:create authentication.k8s.io/selfsubjectreviews";
        let who = "impersonate:user-info authentication.k8s.io/users jane";
        let jane = wanted(&[("impersonate-user", "jane")]).unwrap().unwrap();
        let request = request(UserInfo::new("imp", &[]));
        for (rules, good) in [(vec![on, who], true), (vec![on], false), (vec![who], false)] {
            let authorize = allow(&rules);
            let result = impersonate(&jane, &request, &LastModes::default(), &authorize);
            assert_eq!(result.map(|(_, mode)| mode).ok(), good.then_some(Mode::UserInfo));
        }
    }

    #[test]
    fn a_daemon_acts_as_its_own_node() {
        let rules = [
            "impersonate-on:associated-node:create authentication.k8s.io/selfsubjectreviews",
            "impersonate:associated-node authentication.k8s.io/nodes *",
        ];
        let authorize = allow(&rules);
        let mut daemon = UserInfo::service_account("ns", "agent", "u");
        daemon.extra.insert(EXTRA_NODE_NAME.into(), vec!["mine".into()]);
        let request = request(daemon);
        for (node, good) in [("mine", true), ("other", false)] {
            let node = format!("system:node:{node}");
            let wanted = wanted(&[("impersonate-user", node.as_str())]).unwrap().unwrap();
            let result = impersonate(&wanted, &request, &LastModes::default(), &authorize);
            assert_eq!(result.map(|(user, _)| user.username).ok(), good.then_some(node));
        }
    }
}
