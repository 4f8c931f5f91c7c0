//! Snapshots and readable plans for tests.

use crate::plan::{Action, Plan, Verb};
use client::{Cache, Keep};
use object::{GroupVersionResource, meta};
use serde_json::Value;

/// A cache that holds these objects; each gets a uid (its name) and a version if it has none.
pub(crate) fn snapshot(objects: Vec<Value>) -> Cache {
    let cache = Cache::offline();
    for (index, mut object) in objects.into_iter().enumerate() {
        if meta::uid(&object).is_empty() {
            let uid = format!("uid-{}", meta::name(&object));
            meta::set(&mut object, "uid", uid);
        }
        if meta::resource_version(&object).is_empty() {
            meta::set(&mut object, "resourceVersion", (index + 1).to_string());
        }
        let gvr = resource_of(&object);
        cache.track(&gvr, Keep::Full);
        cache.observe(&gvr, &object);
    }
    cache
}

fn resource_of(object: &Value) -> GroupVersionResource {
    let gvk = meta::gvk(object).expect("a test object has a kind");
    let plural = match gvk.kind.as_str() {
        "Endpoints" => "endpoints".to_owned(),
        "IPAddress" => "ipaddresses".to_owned(),
        kind => {
            let lower = kind.to_lowercase();
            match lower.strip_suffix('s') {
                Some(_) if lower.ends_with("ss") => format!("{lower}es"),
                _ => match lower.strip_suffix('y') {
                    Some(stem) => format!("{stem}ies"),
                    None => format!("{lower}s"),
                },
            }
        }
    };
    gvk.group_version().resource(&plural)
}

/// The plan's actions, a line each.
pub(crate) fn shown(plan: Plan, cache: &Cache) -> Vec<String> {
    let mut lines: Vec<_> = plan.actions.iter().map(line).collect();
    if let Some(finish) = plan.finish {
        lines.extend(finish(cache, None).iter().map(line));
    }
    lines
}

fn line(action: &Action) -> String {
    let resource = &action.gvr.resource;
    match &action.verb {
        Verb::Create(object) => {
            format!(
                "create {resource} {}/{}",
                meta::namespace(object),
                [meta::name(object), meta::generate_name(object)]
                    .into_iter()
                    .find(|name| !name.is_empty())
                    .unwrap_or("")
            )
        }
        Verb::Update(object, sub) => {
            let shown = match *sub {
                "status" => format!(" {}", object["status"]),
                _ => String::new(),
            };
            format!(
                "update {resource} {}{}{}{shown}",
                meta::name(object),
                if sub.is_empty() { "" } else { "/" },
                sub
            )
        }
        Verb::Patch { name, patch, .. } => format!("patch {resource} {name} {patch:?}"),
        Verb::Delete { name, .. } => format!("delete {resource} {name}"),
        Verb::Nothing => {
            let event = action.succeeded.as_ref().expect("an action without a verb has an event");
            format!("event {}: {}", event.reason, event.message)
        }
    }
}
