//! Passing requests on.

use super::Remote;
use crate::call::Call;
use crate::respond::{self, Answer};
use access::UserInfo;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use object::Result;
use std::time::Duration;

/// What is no watch and no connection has to be answered by then.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Headers that concern one connection, or say who is asking: they are not the client's to pass on.
const OWN: [&str; 10] = [
    "host",
    "authorization",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

/// Answers with what the other server says.
pub(crate) async fn pass_on(mut call: Call, remote: &Remote) -> Result<Answer> {
    if !remote.available {
        return Ok(unavailable("service unavailable"));
    }
    let upgrade = call.upgrade.take();
    let mut headers = passed_on(&call.headers, upgrade.is_some());
    forwarded(&call, &mut headers);
    name_user(&mut headers, &call.user);
    let mut path = call.info.path.clone();
    if !call.raw_query.is_empty() {
        path = format!("{path}?{}", call.raw_query);
    }
    let endless = upgrade.is_some() || call.info.verb == "watch";
    let asked = ask(&call, remote, path, headers, upgrade);
    let answer = if endless { Ok(asked.await) } else { tokio::time::timeout(ANSWER_WITHIN, asked).await };
    let late = || Err("context deadline exceeded".into());
    Ok(answer.unwrap_or_else(|_| late()).unwrap_or_else(|error: String| {
        let why = if error.is_empty() { "service unavailable" } else { error.as_str() };
        unavailable(why)
    }))
}

/// The other server's OpenAPI document, asked for by this server itself.
pub(super) async fn document(call: &Call, remote: &Remote) -> Result<Answer> {
    let mut headers = HeaderMap::new();
    if let Some(accept) = call.headers.get(header::ACCEPT) {
        headers.insert(header::ACCEPT, accept.clone());
    }
    name_user(&mut headers, &UserInfo { username: "system:aggregator".into(), ..UserInfo::default() });
    let path = match call.raw_query.as_str() {
        "" => call.info.path.clone(),
        query => format!("{}?{query}", call.info.path),
    };
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(call, remote, path, headers, None));
    Ok(match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) => unavailable(&why),
        Err(_) => unavailable("context deadline exceeded"),
    })
}

/// The error is empty when the service leads nowhere.
async fn ask(
    call: &Call,
    remote: &Remote,
    path: String,
    headers: HeaderMap,
    upgrade: Option<node::Upgrade>,
) -> std::result::Result<Answer, String> {
    let to = remote.destination(&call.api, &path).await.map_err(|why| {
        tracing::debug!(api_service = remote.name, why, "service cannot be resolved");
        String::new()
    })?;
    let outbound = call.api.outbound.get().ok_or("this server makes no calls")?;
    let mut request = http::Request::new(call.body.clone());
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = path.parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
    *request.headers_mut() = headers;
    outbound.forward(to, request, upgrade).await
}

fn unavailable(why: &str) -> Answer {
    let mut answer = respond::bytes(503, "text/plain; charset=utf-8", format!("{why}\n"));
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

fn passed_on(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let one_hop: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let text = name.as_str();
        let connection = text == "connection" || text == "upgrade" || one_hop.iter().any(|n| n == text);
        let claims = text.starts_with("x-remote-") || text.starts_with("impersonate-");
        let ours = *name == crate::in_process::MARK;
        if !(OWN.contains(&text) || claims || ours || (connection && !upgrades)) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

fn forwarded(call: &Call, headers: &mut HeaderMap) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-forwarded-proto", "https");
    set("x-forwarded-uri", &call.info.path);
    if let Some(host) = call.headers.get(header::HOST).and_then(|h| h.to_str().ok()) {
        set("x-forwarded-host", host);
    }
}

/// Who is asking, for a server that believes this one by its certificate.
pub(super) fn name_user(headers: &mut HeaderMap, user: &UserInfo) {
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.username);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    for group in &user.groups {
        add("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        values.iter().for_each(|value| add(&name, value));
    }
}

/// A key as part of a header's name: what may not stand there is percent-encoded.
fn escaped(key: &str) -> String {
    const ALLOWED: &[u8] = b"!#$&'*+-.^_`|~";
    let keep = |b: u8| b.is_ascii_alphanumeric() || ALLOWED.contains(&b);
    key.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_for_somebody_else() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "evil"),
            ("impersonate-user", "evil"),
            ("authorization", "Bearer t"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("accept", "a/b"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut kept = passed_on(&headers, false);
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
        let mut user = UserInfo::new("bob", &["g"]);
        user.extra.insert("foo/bar".into(), vec!["v".into()]);
        name_user(&mut kept, &user);
        assert_eq!(
            (&kept["x-remote-user"], &kept["x-remote-group"]),
            (&"bob".parse().unwrap(), &"g".parse().unwrap())
        );
        assert_eq!(kept["x-remote-extra-foo%2fbar"], "v");
    }
}
