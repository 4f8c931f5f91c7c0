//! The URL of a resource, an object, a subresource, with its query.

use object::GroupVersionResource;

/// `/apis/apps/v1/namespaces/default/deployments/web/status` and its shorter forms; empty parts are left out.
pub(crate) fn path(gvr: &GroupVersionResource, namespace: &str, name: &str, subresource: &str) -> String {
    let mut path = if gvr.group.is_empty() {
        format!("/api/{}", gvr.version)
    } else {
        format!("/apis/{}/{}", gvr.group, gvr.version)
    };
    if !namespace.is_empty() {
        path += "/namespaces/";
        encode(&mut path, namespace);
    }
    path.push('/');
    path += &gvr.resource;
    for part in [name, subresource] {
        if !part.is_empty() {
            path.push('/');
            encode(&mut path, part);
        }
    }
    path
}

/// A query that grows; empty values are left out.
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn of(path: String) -> Self {
        Self(path)
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0 += key;
        self.0.push('=');
        encode(&mut self.0, value);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_empty_are_left_out() {
        let pods = GroupVersionResource::new("", "v1", "pods");
        assert_eq!(path(&pods, "", "", ""), "/api/v1/pods");
        assert_eq!(path(&pods, "default", "a", "status"), "/api/v1/namespaces/default/pods/a/status");
        let roles = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
        assert_eq!(path(&roles, "", "a:b/c", ""), "/apis/rbac.authorization.k8s.io/v1/clusterroles/a:b%2Fc");
        let mut query = Query::of("/x".into());
        query.text("labelSelector", "a in (b,c)");
        query.text("continue", "");
        query.text("limit", "5");
        assert_eq!(query.finish(), "/x?labelSelector=a%20in%20%28b%2Cc%29&limit=5");
    }
}
