//! What an answer that is not a success means, in the words of `client-go`.

use bytes::Bytes;
use serde_json::Value;

/// The body of a success; else why it is none.
pub(crate) fn successful(code: u16, content_type: &str, body: Bytes) -> Result<Bytes, String> {
    if (200..=206).contains(&code) {
        return Ok(body);
    }
    // A server that speaks Kubernetes says it itself.
    if let Ok(status) = serde_json::from_slice::<Value>(&body)
        && status["kind"] == "Status"
        && status["status"] != "Success"
        && let Some(message) = status["message"].as_str()
    {
        return Err(message.to_owned());
    }
    let is_text = content_type.is_empty() || content_type.starts_with("text/");
    let text = String::from_utf8_lossy(&body);
    let said = if is_text && !text.trim().is_empty() { text.trim() } else { "unknown" };
    Err(match code {
        400 => "the server rejected our request for an unknown reason".into(),
        401 => "the server has asked for the client to provide credentials".into(),
        403 | 406 | 415 => said.to_owned(),
        404 => "the server could not find the requested resource".into(),
        405 => "the server does not allow this method on the requested resource".into(),
        409 => "the server reported a conflict".into(),
        422 => "the server rejected our request due to an error in our request".into(),
        429 => "the server has received too many requests and has asked us to try again later".into(),
        503 => "the server is currently unable to handle the request".into(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the request".into(),
        500.. => format!("an error on the server ({said:?}) has prevented the request from succeeding"),
        _ => format!("the server responded with the status code {code} but did not return more information"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_explained() {
        let check = |code, content_type: &str, body: &'static str| {
            successful(code, content_type, Bytes::from_static(body.as_bytes())).unwrap_err()
        };
        assert_eq!(
            check(500, "text/plain", "boom\n"),
            "an error on the server (\"boom\") has prevented the request from succeeding"
        );
        assert_eq!(check(404, "text/html", "gone"), "the server could not find the requested resource");
        let status = r#"{"kind": "Status", "status": "Failure", "message": "my own"}"#;
        assert_eq!(check(500, "application/json", status), "my own");
    }
}
