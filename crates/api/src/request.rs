//! What a request asks for, read off its method, path and query: [`RequestInfo`], as Kubernetes' request filter sees it.

use http::Method;
use node::Query;

/// A request to a resource or to another path.
#[derive(Clone, Debug, Default)]
pub struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-case method elsewhere.
    pub verb: &'static str,
    /// The whole path.
    pub path: String,
    /// Set when the path is one of a resource.
    pub resource: Option<ResourcePath>,
}

/// The parts of a resource path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, empty for cluster scope and for all namespaces. For a Namespace object: its own name.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    /// Object name, empty for collections.
    pub name: String,
    /// `status`, `exec` …, empty for none.
    pub subresource: String,
    /// What follows the subresource (`proxy/a/b`).
    pub rest: String,
    /// `namespaces/NS` was in the path (also when the resource is `namespaces` itself).
    pub in_namespace: bool,
    /// `watch` or `proxy` where the path began with it, the old way to say what is wanted; otherwise empty.
    pub special: &'static str,
}

impl RequestInfo {
    /// Reads a request line.
    pub fn new(method: &Method, path: &str, query: &Query) -> Self {
        let resource = ResourcePath::parse(path);
        let verb = match &resource {
            None => lower_method(method),
            Some(at) => resource_verb(method, at, query),
        };
        Self { verb, path: path.to_owned(), resource }
    }
}

fn resource_verb(method: &Method, at: &ResourcePath, query: &Query) -> &'static str {
    let watch = query.flag("watch");
    match *method {
        _ if !at.special.is_empty() => at.special,
        Method::POST => "create",
        Method::GET | Method::HEAD if at.name.is_empty() && watch => "watch",
        Method::GET | Method::HEAD if at.name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if at.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        // What is done with OPTIONS to a resource has no name.
        _ => "",
    }
}

fn lower_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        _ => "",
    }
}

impl ResourcePath {
    /// `/api/V/…` or `/apis/G/V/…` with at least a resource; `None` for anything else.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let mut at = Self { group: group.into(), version: parts.next()?.into(), ..Self::default() };
        let parts: Vec<&str> = parts.collect();
        let parts = match parts.as_slice() {
            ["watch", rest @ ..] => {
                at.special = "watch";
                rest
            }
            ["proxy", rest @ ..] => {
                at.special = "proxy";
                rest
            }
            parts => parts,
        };
        let rest = match parts {
            [] => return None,
            ["namespaces", namespace, rest @ ..] => {
                at.namespace = (*namespace).into();
                at.in_namespace = true;
                match rest {
                    // Subresources of the Namespace itself, not resources inside of it.
                    [] | ["status" | "finalize"] => {
                        at.resource = "namespaces".into();
                        at.name = (*namespace).into();
                        at.subresource = rest.first().copied().unwrap_or("").into();
                        return Some(at);
                    }
                    rest => rest,
                }
            }
            rest => rest,
        };
        at.resource = (*rest.first()?).into();
        at.name = rest.get(1).copied().unwrap_or("").into();
        if at.special != "proxy" {
            at.subresource = rest.get(2).copied().unwrap_or("").into();
        }
        at.rest = rest.get(3..).map(|r| r.join("/")).unwrap_or_default();
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(line: &str, expected: Expect) {
        let (method, uri) = line.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let info = RequestInfo::new(&method.parse().unwrap(), path, &Query::parse(query));
        let at = info.resource.unwrap_or_default();
        let words =
            [&at.group, &at.version, &at.namespace, &at.resource, &at.name, &at.subresource, &at.rest];
        expected.assert_eq(&format!(
            "{} {}",
            info.verb,
            words.map(|w| if w.is_empty() { "-" } else { w }).join(" ")
        ));
    }

    #[test]
    fn reads_paths_as_kubernetes_does() {
        check("GET /api/v1/pods", expect!["list - v1 - pods - - -"]);
        check("GET /api/v1/namespaces/a/pods?watch=1", expect!["watch - v1 a pods - - -"]);
        check("GET /api/v1/namespaces/a", expect!["get - v1 a namespaces a - -"]);
        check("PUT /api/v1/namespaces/a/finalize", expect!["update - v1 a namespaces a finalize -"]);
        check("POST /api/v1/namespaces/a/pods/p/exec", expect!["create - v1 a pods p exec -"]);
        check("GET /api/v1/namespaces/a/services/s/proxy/x/y", expect!["get - v1 a services s proxy x/y"]);
        check(
            "DELETE /apis/apps/v1/namespaces/a/deployments",
            expect!["deletecollection apps v1 a deployments - - -"],
        );
        check("GET /api/v1/watch/namespaces/a/pods/p", expect!["watch - v1 a pods p - -"]);
        check("GET /api/v1/watch/namespaces/a", expect!["watch - v1 a namespaces a - -"]);
        check("GET /apis/apps/v1", expect!["get - - - - - - -"]);
        check("GET /healthz", expect!["get - - - - - - -"]);
    }
}
