//! Users that a trusted proxy in front of the API server names in headers (`X-Remote-User` and the like).
//!
//! The headers count only on a connection whose client certificate was verified against the proxies' authority, and
//! must be dropped from every request, whether they counted or not.

use crate::user::UserInfo;

/// Which headers name the user, and which proxies are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontProxy {
    /// Common names of believed certificates; empty: any that the authority signed.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name; the first that is there counts.
    pub username_headers: Vec<String>,
    /// Headers with the uid.
    pub uid_headers: Vec<String>,
    /// Headers with a group each.
    pub group_headers: Vec<String>,
    /// Prefixes of headers with extra facts.
    pub extra_prefixes: Vec<String>,
}

impl Default for FrontProxy {
    fn default() -> Self {
        Self {
            allowed_names: vec![],
            username_headers: vec!["X-Remote-User".into()],
            uid_headers: vec!["X-Remote-Uid".into()],
            group_headers: vec!["X-Remote-Group".into()],
            extra_prefixes: vec!["X-Remote-Extra-".into()],
        }
    }
}

impl FrontProxy {
    /// The user the headers name, if the proxy (the common name of its verified certificate) is believed.
    pub fn user<'a>(
        &self,
        proxy_name: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Option<UserInfo> {
        if !self.allowed_names.is_empty() && !self.allowed_names.iter().any(|name| name == proxy_name) {
            return None;
        }
        let first = |names: &[String]| {
            names.iter().find_map(|name| {
                let mut values = headers
                    .clone()
                    .filter(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_empty());
                values.next().map(|(_, value)| value.to_owned())
            })
        };
        let mut user = UserInfo { username: first(&self.username_headers)?, ..UserInfo::default() };
        user.uid = first(&self.uid_headers).unwrap_or_default();
        for name in &self.group_headers {
            let groups = headers.clone().filter(|(own, _)| own.eq_ignore_ascii_case(name));
            user.groups.extend(groups.map(|(_, group)| group.to_owned()));
        }
        for (name, value) in headers.clone() {
            let key = self.extra_prefixes.iter().find_map(|prefix| {
                let head = name.get(..prefix.len())?;
                head.eq_ignore_ascii_case(prefix).then(|| name[prefix.len()..].to_ascii_lowercase())
            });
            if let Some(key) = key {
                user.extra.entry(crate::impersonation::unescape(&key)).or_default().push(value.to_owned());
            }
        }
        Some(user.authenticated())
    }

    /// Is the header one of those, to be dropped?
    pub fn is_ours(&self, header: &str) -> bool {
        let named = [&self.username_headers, &self.uid_headers, &self.group_headers];
        named.iter().any(|names| names.iter().any(|name| name.eq_ignore_ascii_case(header)))
            || self.extra_prefixes.iter().any(|prefix| {
                header.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_believed_proxy() {
        let headers = [
            ("x-remote-user", "jane"),
            ("X-Remote-Group", "a"),
            ("x-remote-group", "b"),
            ("x-remote-extra-acme.io%2Fscopes", "s"),
            ("accept", "x"),
        ];
        let mut proxy = FrontProxy { allowed_names: vec!["front-proxy".into()], ..FrontProxy::default() };
        let user = proxy.user("front-proxy", headers.into_iter()).unwrap();
        assert_eq!(
            (user.username.as_str(), user.groups.join(",")),
            ("jane", "a,b,system:authenticated".to_owned())
        );
        assert_eq!(user.extra_value("acme.io/scopes"), Some("s"));
        assert_eq!(proxy.user("other", headers.into_iter()), None);
        assert_eq!(proxy.user("front-proxy", headers[1..].iter().copied()), None);
        proxy.allowed_names.clear();
        assert!(proxy.user("other", headers.into_iter()).is_some());
        assert!(
            proxy.is_ours("X-REMOTE-EXTRA-foo") && proxy.is_ours("x-remote-uid") && !proxy.is_ours("accept")
        );
    }
}
