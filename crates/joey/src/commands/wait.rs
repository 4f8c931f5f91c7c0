//! Waiting for a virtual cluster, event by event.

use client::{Client, FrameType, ListOptions, WatchOptions};
use deploy::gvr;
use hub::Error;
use object::{Value, meta};
use std::cell::Cell;
use std::time::Duration;

/// Waits until a virtual cluster is ready; `progress` is told each new phase.
///
/// # Errors
/// When it failed, is gone, or is not ready in time.
pub(crate) async fn ready(
    client: &Client,
    namespace: &str,
    name: &str,
    within: Duration,
    progress: &mut dyn FnMut(&str),
) -> Result<Value, Error> {
    let last = Cell::new(None);
    let waiting = follow(client, namespace, name, progress, &last);
    match tokio::time::timeout(within, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error(format!(
            "{name} is not ready after {} seconds{}: is an operator running on this host?",
            within.as_secs(),
            last.take().map(|m| format!(" ({m})")).unwrap_or_default()
        ))),
    }
}

async fn follow(
    client: &Client,
    namespace: &str,
    name: &str,
    progress: &mut dyn FnMut(&str),
    last: &Cell<Option<String>>,
) -> Result<Value, Error> {
    let failed = |e: object::ApiError| Error(e.to_string());
    loop {
        let list = client
            .list(&gvr(), namespace, &ListOptions::fields(format!("metadata.name={name}")))
            .await
            .map_err(failed)?;
        let mut current = list.items.into_iter().next();
        let options = WatchOptions {
            resource_version: list.resource_version,
            field_selector: format!("metadata.name={name}"),
            ..WatchOptions::default()
        };
        let mut watch = client.watch(&gvr(), namespace, &options).await.map_err(failed)?;
        loop {
            let Some(object) = current.take() else {
                return Err(Error(format!("virtual cluster {name} is gone")));
            };
            let phase = object["status"]["phase"].as_str().unwrap_or("Pending").to_owned();
            let observed = object["status"]["observedGeneration"].as_i64() == Some(meta::generation(&object));
            progress(&phase);
            last.set(object["status"]["message"].as_str().map(str::to_owned));
            match phase.as_str() {
                "Ready" if observed => return Ok(object),
                "Failed" if observed => {
                    let message = object["status"]["message"].as_str().unwrap_or("it does not say why");
                    return Err(Error(format!("virtual cluster {name} failed: {message}")));
                }
                _ => {}
            }
            match watch.next().await {
                Some(Ok(frame)) if frame.kind == FrameType::Deleted => {}
                Some(Ok(frame)) => current = serde_json::from_slice(&frame.object).ok(),
                // The server ended the watch: look again.
                Some(Err(_)) | None => break,
            }
        }
    }
}
