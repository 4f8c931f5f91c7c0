//! Bootstrap tokens (`abcdef.0123456789abcdef`), with which new nodes join: each is a Secret of `kube-system`.

use crate::same_secret;
use crate::user::UserInfo;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object::meta;
use serde_json::Value;

/// The `type` of their Secrets.
pub const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
/// All who authenticate with one are in this group.
pub const GROUP: &str = "system:bootstrappers";
const USER_PREFIX: &str = "system:bootstrap:";

/// A token of the right form, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BootstrapToken<'a> {
    /// The public half.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> BootstrapToken<'a> {
    /// Takes a token apart; `None` if it does not look like one.
    pub fn parse(token: &'a str) -> Option<Self> {
        let (id, secret) = token.split_once('.')?;
        let good = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        (good(id, 6) && good(secret, 16)).then_some(Self { id, secret })
    }

    /// The name of its Secret in `kube-system`.
    pub fn secret_name(&self) -> String {
        format!("bootstrap-token-{}", self.id)
    }

    /// Whom it authenticates, given its Secret; `None` if the Secret does not say so. `now`: seconds since 1970.
    pub fn user(&self, secret: &Value, now: i64) -> Option<UserInfo> {
        let data =
            |key: &str| -> Option<Vec<u8>> { BASE64_STANDARD.decode(secret["data"][key].as_str()?).ok() };
        let text = |key: &str| String::from_utf8(data(key)?).ok();
        if meta::deletion_timestamp(secret).is_some()
            || secret["type"] != SECRET_TYPE
            || !same_secret(&data("token-secret")?, self.secret.as_bytes())
            || text("token-id")? != self.id
            || is_expired(secret, now)
            || text("usage-bootstrap-authentication").as_deref() != Some("true")
        {
            return None;
        }
        let mut extra: Vec<String> = match text("auth-extra-groups") {
            Some(list) if !list.is_empty() => list.split(',').map(str::to_owned).collect(),
            _ => vec![],
        };
        if !extra.iter().all(|group| is_bootstrap_group(group)) {
            return None;
        }
        extra.sort();
        extra.dedup();
        let groups =
            std::iter::once(GROUP.to_owned()).chain(extra.into_iter().filter(|group| group != GROUP));
        Some(UserInfo {
            username: format!("{USER_PREFIX}{}", self.id),
            groups: groups.collect(),
            ..UserInfo::default()
        })
    }
}

/// Has a bootstrap token's Secret expired? One whose `expiration` cannot be read has.
pub fn is_expired(secret: &Value, now: i64) -> bool {
    let Some(data) = secret["data"]["expiration"].as_str().filter(|data| !data.is_empty()) else {
        return false;
    };
    let time = BASE64_STANDARD.decode(data).ok().and_then(|data| String::from_utf8(data).ok());
    let time = time.and_then(|text| object::time::parse(&text).ok());
    time.is_none_or(|time| time.as_second() <= now)
}

/// `system:bootstrappers:` and lower-case letters, digits, `:` and `-`, the last a letter or digit.
fn is_bootstrap_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=256).contains(&rest.len())
        && rest.bytes().all(|b| word(b) || b == b':' || b == b'-')
        && rest.bytes().last().is_some_and(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_795_364_879;

    fn secret(change: &[(&str, &str)]) -> Value {
        let mut secret =
            json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": SECRET_TYPE, "data": {}});
        let fields = [
            ("token-id", "abcdef"),
            ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-authentication", "true"),
        ];
        for (key, text) in fields.iter().chain(change) {
            secret["data"][*key] = BASE64_STANDARD.encode(text).into();
        }
        secret
    }

    #[test]
    fn forms() {
        for (text, good) in [
            ("abcdef.0123456789abcdef", true),
            ("abcdef.0123456789abcde", false),
            ("ABCDEF.0123456789abcdef", false),
            ("abcdef0123456789abcdef", false),
            ("abcdef.0123456789abcdef.", false),
        ] {
            assert_eq!(BootstrapToken::parse(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn secrets_decide() {
        let token = BootstrapToken::parse("abcdef.0123456789abcdef").unwrap();
        assert_eq!(token.secret_name(), "bootstrap-token-abcdef");
        let groups = "system:bootstrappers:b,system:bootstrappers:a";
        for (change, groups) in [
            (vec![], Some(vec![GROUP])),
            (
                vec![("auth-extra-groups", groups)],
                Some(vec![GROUP, "system:bootstrappers:a", "system:bootstrappers:b"]),
            ),
            (vec![("auth-extra-groups", "system:masters")], None),
            (vec![("expiration", "2026-11-23T00:00:00Z")], Some(vec![GROUP])),
            (vec![("expiration", "2026-11-22T00:00:00Z")], None),
            (vec![("expiration", "soon")], None),
            (vec![("token-secret", "0123456789abcdeX")], None),
            (vec![("token-id", "other1")], None),
            (vec![("usage-bootstrap-authentication", "false")], None),
        ] {
            let user = token.user(&secret(&change), NOW);
            let expected = groups.map(|groups| UserInfo::new("system:bootstrap:abcdef", &groups));
            assert_eq!(user, expected, "{change:?}");
        }
        let mut other_type = secret(&[]);
        other_type["type"] = "Opaque".into();
        assert_eq!(token.user(&other_type, NOW), None);
    }
}
