//! The options of the connect verbs, read off their query parameters and checked in Kubernetes' words.

use crate::query::Query;
use object::{ApiError, FieldError, GroupKind, Path, Result};
use serde_json::Value;

/// Which streams a session carries. Never empty: parsing refuses that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// The client writes standard input.
    pub stdin: bool,
    /// The client reads standard output.
    pub stdout: bool,
    /// The client reads standard error; always false with `tty`.
    pub stderr: bool,
    /// A terminal: one output stream, and sizes.
    pub tty: bool,
}

/// `PodExecOptions` and `PodAttachOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The container; empty until [`crate::choose_container`] has chosen.
    pub container: String,
    /// The command and its arguments; empty for attach.
    pub command: Vec<String>,
    /// The streams asked for.
    pub streams: Streams,
}

impl ExecOptions {
    /// Reads the query of `exec` and `attach`.
    ///
    /// # Errors
    /// `BadRequest` when no stream is asked for.
    pub fn parse(query: &Query) -> Result<Self> {
        let tty = query.flag("tty");
        let streams = Streams {
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr") && !tty,
            tty,
        };
        if !(streams.stdin || streams.stdout || streams.stderr) {
            return Err(ApiError::BadRequest("you must specify at least 1 of stdin, stdout, stderr".into()));
        }
        Ok(Self {
            container: query.get("container").into(),
            command: query.all("command").map(str::to_owned).collect(),
            streams,
        })
    }
}

/// `PodPortForwardOptions`: ports named in the query (only WebSocket clients without SPDY use them).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortForwardOptions {
    /// Ports of the pod.
    pub ports: Vec<u16>,
}

/// Ports that one client may name.
const MAX_PORTS: usize = 64;

impl PortForwardOptions {
    /// Reads the query of `portforward`.
    ///
    /// # Errors
    /// `BadRequest` when no port, or none that makes sense, is named.
    pub fn parse(query: &Query) -> Result<Self> {
        let mut ports = vec![];
        for text in query.all("ports").flat_map(|list| list.split(',')).filter(|p| !p.is_empty()) {
            match text.parse() {
                Ok(port @ 1..) if ports.len() < MAX_PORTS => ports.push(port),
                _ => {
                    let shown = object::error::quote(text);
                    return Err(ApiError::BadRequest(format!(
                        "query parameter \"ports\" is not valid: {shown}"
                    )));
                }
            }
        }
        match ports.is_empty() {
            true => Err(ApiError::BadRequest("query parameter \"ports\" is required".into())),
            false => Ok(Self { ports }),
        }
    }
}

/// Which output a log shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStream {
    /// Both, as they came.
    #[default]
    All,
    /// Standard output only.
    Stdout,
    /// Standard error only.
    Stderr,
}

/// `PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    /// The container; empty until [`crate::choose_container`] has chosen.
    pub container: String,
    /// Go on with what is written later.
    pub follow: bool,
    /// The container's run before this one.
    pub previous: bool,
    /// Start each line with its RFC 3339 time.
    pub timestamps: bool,
    /// Only this many lines from the end.
    pub tail_lines: Option<u64>,
    /// Stop after this many bytes.
    pub limit_bytes: Option<u64>,
    /// Only lines younger than this.
    pub since_seconds: Option<u64>,
    /// Only lines since this RFC 3339 time.
    pub since_time: Option<String>,
    /// Which stream.
    pub stream: LogStream,
}

impl LogOptions {
    /// Reads the query of `log` for the pod `name`.
    ///
    /// # Errors
    /// `BadRequest` when a value cannot be read, `Invalid` (of kind `PodLogOptions`) when it breaks a rule.
    pub fn parse(query: &Query, name: &str) -> Result<Self> {
        let tail = query.int64("tailLines")?;
        let limit = query.int64("limitBytes")?;
        let since = query.int64("sinceSeconds")?;
        let since_time = Some(query.get("sinceTime")).filter(|t| !t.is_empty());
        if let Some(text) = since_time {
            object::time::parse(text).map_err(ApiError::BadRequest)?;
        }
        let (stream, mut errors) = read_stream(query);
        let not_negative =
            |field: &str, value: Option<i64>, least: i64, rule: &str, errors: &mut Vec<FieldError>| {
                if let Some(value) = value.filter(|v| *v < least) {
                    errors.push(FieldError::invalid(&Path::new(field), &Value::from(value), rule));
                }
            };
        not_negative("tailLines", tail, 0, "must be greater than or equal to 0", &mut errors);
        not_negative("limitBytes", limit, 1, "must be greater than 0", &mut errors);
        if since.is_some() && since_time.is_some() {
            errors.push(exclusive("at most one of `sinceTime` or `sinceSeconds` may be specified"));
        } else {
            not_negative("sinceSeconds", since, 1, "must be greater than 0", &mut errors);
        }
        if stream != LogStream::All && tail.is_some() {
            errors.push(exclusive("`tailLines` and specific `stream` are mutually exclusive for now"));
        }
        if !errors.is_empty() {
            let kind = GroupKind { group: String::new(), kind: "PodLogOptions".into() };
            return Err(ApiError::Invalid { kind, name: name.into(), errors });
        }
        Ok(Self {
            container: query.get("container").into(),
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail_lines: tail.map(|n| n as u64),
            limit_bytes: limit.map(|n| n as u64),
            since_seconds: since.map(|n| n as u64),
            since_time: since_time.map(str::to_owned),
            stream,
        })
    }
}

fn read_stream(query: &Query) -> (LogStream, Vec<FieldError>) {
    match query.get("stream") {
        "" | "All" => (LogStream::All, vec![]),
        "Stdout" => (LogStream::Stdout, vec![]),
        "Stderr" => (LogStream::Stderr, vec![]),
        other => {
            let known = ["All", "Stderr", "Stdout"];
            (
                LogStream::All,
                vec![FieldError::not_supported(&Path::new("stream"), &Value::from(other), &known)],
            )
        }
    }
}

/// An error of the options as a whole: Kubernetes gives it an empty path.
fn exclusive(detail: &str) -> FieldError {
    FieldError { path: String::new(), ..FieldError::forbidden(&Path::root(), detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn log(query: &str, expected: Expect) {
        let shown = match LogOptions::parse(&Query::parse(query), "web") {
            Ok(options) => format!("{options:?}"),
            Err(error) => format!("{} {error}", error.code()),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn log_options_are_checked_in_kubernetes_words() {
        log(
            "tailLines=-1",
            expect![[
                r#"422 PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"#
            ]],
        );
        log("tailLines=x", expect![[r#"400 strconv.ParseInt: parsing "x": invalid syntax"#]]);
        log(
            "limitBytes=0&sinceSeconds=0",
            expect![[
                r#"422 PodLogOptions "web" is invalid: [limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0]"#
            ]],
        );
        log(
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
            expect![[
                r#"422 PodLogOptions "web" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"#
            ]],
        );
        log(
            "stream=Both",
            expect![[
                r#"422 PodLogOptions "web" is invalid: stream: Unsupported value: "Both": supported values: "All", "Stderr", "Stdout""#
            ]],
        );
        log(
            "follow=true&container=a&tailLines=3",
            expect![[
                r#"LogOptions { container: "a", follow: true, previous: false, timestamps: false, tail_lines: Some(3), limit_bytes: None, since_seconds: None, since_time: None, stream: All }"#
            ]],
        );
    }

    #[test]
    fn exec_needs_a_stream() {
        let error = ExecOptions::parse(&Query::parse("command=ls")).unwrap_err();
        assert_eq!(error.to_string(), "you must specify at least 1 of stdin, stdout, stderr");
        let options =
            ExecOptions::parse(&Query::parse("command=ls&command=-l&stdout=1&stderr=1&tty=true")).unwrap();
        assert_eq!(options.command, ["ls", "-l"]);
        assert_eq!(options.streams, Streams { stdin: false, stdout: true, stderr: false, tty: true });
    }
}
