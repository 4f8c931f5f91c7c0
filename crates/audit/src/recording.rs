//! One request as it is being recorded.

use crate::stage::{Level, Stage};
use crate::{Audit, Kept};
use access::{Attributes, UserInfo};
use jiff::Timestamp;
use object::{Value, json, meta, time};
use parking_lot::Mutex;
use std::sync::Arc;

/// Longer user agents are cut.
const MAX_USER_AGENT: usize = 1024;

/// What is known of a request when it comes in.
pub struct Asked<'a> {
    /// Names the request in the log and to the client.
    pub id: &'a str,
    /// Path and query.
    pub uri: &'a str,
    /// As sent.
    pub user_agent: &'a str,
    /// From the client to the last proxy, as far as the headers can be believed, and who connected.
    pub source_ips: Vec<String>,
    /// Who wants what; before impersonation.
    pub attributes: &'a Attributes,
    /// When it came in.
    pub received: Timestamp,
}

/// Gathers what is kept of one request, and tells the sinks at every stage.
#[derive(Debug)]
pub struct Recording {
    audit: Arc<Audit>,
    kept: Kept,
    event: Mutex<Value>,
}

impl Recording {
    /// Begins to record; `None` when nothing of this request is kept.
    pub fn begin(audit: &Arc<Audit>, asked: &Asked<'_>) -> Option<Arc<Self>> {
        let kept = audit.policy.of(asked.attributes);
        if kept.level == Level::None {
            return None;
        }
        let event = Mutex::new(first(asked, kept.level));
        Some(Arc::new(Self { audit: audit.clone(), kept, event }))
    }

    /// Are request objects kept?
    pub fn keeps_requests(&self) -> bool {
        self.kept.level >= Level::Request
    }

    /// Are response objects kept?
    pub fn keeps_responses(&self) -> bool {
        self.kept.level >= Level::RequestResponse
    }

    /// A stage is reached.
    pub fn stage(&self, stage: Stage, now: Timestamp) {
        if self.kept.omit_stages.contains(&stage) {
            return;
        }
        let event = {
            let mut event = self.event.lock();
            event["stage"] = stage.name().into();
            event["stageTimestamp"] = match stage {
                Stage::RequestReceived => event["requestReceivedTimestamp"].clone(),
                _ => time::format_micro(now).into(),
            };
            event.clone()
        };
        for sink in &self.audit.sinks {
            sink.record(&event);
        }
    }

    /// Notes a fact about the request. The first value of a key stays.
    pub fn annotate(&self, key: &str, value: &str) {
        let mut event = self.event.lock();
        meta::child_mut(&mut event, "annotations").entry(key).or_insert_with(|| value.into());
    }

    /// On whose behalf the request is made; `constraint`: the verb of constrained impersonation.
    pub fn impersonated(&self, user: &UserInfo, constraint: &str) {
        let mut event = self.event.lock();
        event["impersonatedUser"] = user.to_json();
        if !constraint.is_empty() {
            event["authenticationMetadata"] = json!({"impersonationConstraint": constraint});
        }
    }

    /// The object of the request. Its name and the like are kept at every level.
    pub fn request_object(&self, object: &Value) {
        let mut event = self.event.lock();
        if event["objectRef"].is_object() {
            let facts = [
                ("namespace", meta::namespace(object)),
                ("name", meta::name(object)),
                ("uid", meta::uid(object)),
                ("resourceVersion", meta::resource_version(object)),
            ];
            for (field, own) in facts.into_iter().filter(|(_, own)| !own.is_empty()) {
                meta::child_mut(&mut event, "objectRef").entry(field).or_insert_with(|| own.into());
            }
        }
        if self.keeps_requests() {
            event["requestObject"] = self.kept_of(object);
        }
    }

    /// A patch, as it was sent.
    pub fn request_patch(&self, patch: &Value) {
        if self.keeps_requests() {
            self.event.lock()["requestObject"] = patch.clone();
        }
    }

    /// The outcome: the HTTP code, and the `Status` if that is what was answered.
    pub fn response(&self, code: u16, status: Option<&Value>) {
        let mut outcome = json!({"metadata": {}, "code": code});
        for field in ["status", "message", "reason", "details"] {
            if let Some(value) = status.and_then(|status| status.get(field)).filter(|value| *value != "") {
                outcome[field] = value.clone();
            }
        }
        self.event.lock()["responseStatus"] = outcome;
    }

    /// The object that was answered.
    pub fn response_object(&self, object: &Value) {
        if self.keeps_responses() {
            self.event.lock()["responseObject"] = self.kept_of(object);
        }
    }

    fn kept_of(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if self.kept.omit_managed_fields {
            forget_managed_fields(&mut object);
            let nested = |list: &str, field: &str, object: &mut Value| {
                for item in object[list].as_array_mut().into_iter().flatten() {
                    forget_managed_fields(if field.is_empty() { item } else { &mut item[field] });
                }
            };
            if object.get("items").is_some() {
                nested("items", "", &mut object);
            } else if object["kind"] == "Table" {
                nested("rows", "object", &mut object);
            }
        }
        object
    }
}

fn forget_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn first(asked: &Asked<'_>, level: Level) -> Value {
    let attributes = asked.attributes;
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": level.name(), "auditID": asked.id,
        "requestURI": asked.uri, "verb": attributes.verb, "user": attributes.user.to_json(),
        "sourceIPs": asked.source_ips, "requestReceivedTimestamp": time::format_micro(asked.received),
    });
    if !asked.user_agent.is_empty() {
        event["userAgent"] = cut(asked.user_agent).into();
    }
    if attributes.resource_request {
        let facts = [
            ("resource", &attributes.resource),
            ("namespace", &attributes.namespace),
            ("name", &attributes.name),
            ("apiGroup", &attributes.api_group),
            ("apiVersion", &attributes.api_version),
            ("subresource", &attributes.subresource),
        ];
        let facts = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
        event["objectRef"] =
            facts.map(|(field, fact)| (field.to_owned(), Value::from(fact.as_str()))).collect();
    }
    event
}

fn cut(agent: &str) -> String {
    match agent.char_indices().find(|(at, c)| at + c.len_utf8() > MAX_USER_AGENT) {
        Some((at, _)) => format!("{}...TRUNCATED", &agent[..at]),
        None => agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, Sink};

    #[derive(Default)]
    struct Kept(Mutex<Vec<Value>>);

    impl Sink for Kept {
        fn record(&self, event: &Value) {
            self.0.lock().push(event.clone());
        }
    }

    fn record(level: Level) -> Option<(Arc<Recording>, Arc<Kept>)> {
        let kept = Arc::new(Kept::default());
        let audit = Arc::new(Audit { policy: Arc::new(Policy::uniform(level)), sinks: vec![kept.clone()] });
        let user = UserInfo::new("jane", &["dev"]);
        let mut attributes = Attributes::resource(user, "create", "", "secrets", "a", "");
        attributes.api_version = "v1".into();
        let asked = Asked {
            id: "1",
            uri: "/api/v1/namespaces/a/secrets",
            user_agent: &"é".repeat(600),
            source_ips: vec!["10.0.0.1".into()],
            attributes: &attributes,
            received: Timestamp::UNIX_EPOCH,
        };
        Some((Recording::begin(&audit, &asked)?, kept))
    }

    fn run(level: Level) -> Vec<Value> {
        let Some((recording, kept)) = record(level) else { return vec![] };
        recording.stage(Stage::RequestReceived, Timestamp::UNIX_EPOCH);
        let secret =
            json!({"metadata": {"name": "s", "managedFields": []}, "data": {"password": "aHVzaA=="}});
        recording.request_object(&secret);
        recording.annotate("authorization.k8s.io/decision", "allow");
        recording.annotate("authorization.k8s.io/decision", "forbid");
        recording.response_object(&secret);
        recording.response(201, None);
        recording.stage(Stage::ResponseComplete, Timestamp::UNIX_EPOCH);
        std::mem::take(&mut *kept.0.lock())
    }

    #[test]
    fn levels_keep_what_they_say() {
        assert_eq!(run(Level::None), Vec::<Value>::new());
        let events = run(Level::Metadata);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0]["stage"], "RequestReceived");
        assert_eq!(events[0]["stageTimestamp"], "1970-01-01T00:00:00.000000Z");
        assert!(events[0].get("annotations").is_none() && events[0].get("responseStatus").is_none());
        let last = &events[1];
        assert_eq!(
            last["objectRef"],
            json!({"resource": "secrets", "namespace": "a", "name": "s", "apiVersion": "v1"})
        );
        assert_eq!(last["annotations"], json!({"authorization.k8s.io/decision": "allow"}));
        assert_eq!(last["responseStatus"], json!({"metadata": {}, "code": 201}));
        assert!(!last.to_string().contains("aHVzaA"));
        assert!(last["userAgent"].as_str().unwrap().ends_with("é...TRUNCATED"));

        let last = run(Level::Request).pop().unwrap();
        assert_eq!(last["requestObject"]["data"]["password"], "aHVzaA==");
        assert!(last.get("responseObject").is_none());
        assert!(run(Level::RequestResponse).pop().unwrap().get("responseObject").is_some());
    }
}
