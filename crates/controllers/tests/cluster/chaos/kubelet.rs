//! A scheduler and a kubelet that remember nothing: each pod takes its next step some time after it was last seen.

use crate::harness::resource;
use client::{Client, DeleteOptions, FrameType, WatchOptions};
use controllers::Clock;
use object::{GroupVersionResource, Value, json, meta};
use std::time::Duration;
use store::embedded::simulation::Random;
use tokio::time::sleep;

/// The longest that a step of a pod takes, in milliseconds.
const STEP: usize = 3_000;

pub const NODE: &str = "node-1";

fn pods() -> GroupVersionResource {
    resource("", "v1", "pods")
}

/// Runs all pods, for ever.
pub async fn run(client: Client, clock: Clock, mut random: Random) {
    loop {
        let Ok(mut watch) = client.watch(&pods(), "", &WatchOptions::default()).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        while let Some(Ok(frame)) = watch.next().await {
            if !matches!(frame.kind, FrameType::Added | FrameType::Modified) {
                continue;
            }
            let pod: Value = serde_json::from_slice(&frame.object).unwrap();
            let wait = Duration::from_millis(random.below(STEP) as u64);
            let (client, clock) = (client.clone(), clock.clone());
            tokio::spawn(async move {
                sleep(wait).await;
                // A conflict means that the pod has changed, and will be seen again.
                step(&client, &clock, pod).await;
            });
        }
    }
}

async fn step(client: &Client, clock: &Clock, mut pod: Value) {
    let (namespace, name) = (meta::namespace(&pod), meta::name(&pod));
    let phase = pod["status"]["phase"].as_str();
    if meta::deletion_timestamp(&pod).is_some() {
        // Also one whose grace is over: the server may have died between the mark and the removal.
        if meta::finalizers(&pod).next().is_none() {
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(meta::uid(&pod)) };
            let _ = client.delete(&pods(), namespace, name, &now).await;
        }
    } else if pod["spec"]["nodeName"].is_null() {
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "uid": meta::uid(&pod)},
            "target": {"kind": "Node", "name": NODE}});
        let _ = client.create_subresource(&pods(), namespace, name, "binding", &binding).await;
    } else if phase == Some("Pending") || phase == Some("Running") && ends(&pod) {
        pod["status"] = status(&pod, phase == Some("Running"), clock);
        let _ = client.update_status(&pods(), &pod).await;
    }
}

/// Whether the pod is one that ends by itself.
fn ends(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["command"][0] == "exit"
}

fn status(pod: &Value, over: bool, clock: &Clock) -> Value {
    let now = object::time::format(clock.now());
    let address = uuid(pod).map_or_else(String::new, |[a, b]| format!("10.1.{a}.{b}"));
    let state = if over {
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}})
    } else {
        json!({"running": {"startedAt": now}})
    };
    let phase = if over { "Succeeded" } else { "Running" };
    let ready = if over { "False" } else { "True" };
    json!({"phase": phase, "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": now}],
        "containerStatuses": [{"name": pod["spec"]["containers"][0]["name"], "ready": !over, "restartCount": 0, "image": "i",
            "imageID": "i", "state": state}]})
}

/// Two bytes that differ from pod to pod.
fn uuid(pod: &Value) -> Option<[u8; 2]> {
    let uid = meta::uid(pod);
    let byte = |at: usize| u8::from_str_radix(uid.get(at..at + 2)?, 16).ok();
    Some([byte(0)?, byte(2)?])
}
