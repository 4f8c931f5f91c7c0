//! Pods: those without a node are scheduled, those on our nodes are brought on.

use super::claims::Claims;
use super::run::{Done, Key, done};
use super::{Shared, now};
use crate::deeds::Deed;
use crate::environment::Place;
use crate::events::Event;
use crate::lifecycle::{Facts, Outcome, Prepared, advance};
use crate::rehearsal::Scratch;
use crate::scheduler::{Attempt, Cluster, Preemption, Victim, Volumes};
use crate::{script, spec};
use client::{DeleteOptions, Entry, Patch};
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{Result, Value, json, meta};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

const SCHEDULER: &str = "default-scheduler";

/// Longest note of an event.
const NOTE: usize = 1024;

/// Steps of one pod in a row; more are put off for a second, so that a disagreement with the server stays cheap.
const STEPS: usize = 12;

/// What is remembered of a pod between its steps.
pub(crate) struct Memo {
    uid: String,
    prepared: Option<Prepared>,
    /// Exit codes of the containers that did what others wait for.
    deeds: BTreeMap<String, i32>,
    /// What containers left in empty volumes and host paths.
    scratch: Scratch,
}

impl Memo {
    /// How a deed went decides how its container ends.
    fn judge(&mut self) {
        let Some(prepared) = &mut self.prepared else { return };
        for (name, code) in &self.deeds {
            prepared.containers.insert(name.clone(), Ok(Outcome::Exits { code: *code, after: 0.0 }));
        }
    }
}

type Name = (Arc<str>, Arc<str>);

/// All pods, as far as they are work.
pub(super) struct Pods {
    shared: Arc<Shared>,
    pub cluster: Cluster,
    memos: HashMap<Name, Memo>,
    /// Uids by name, to know who is gone.
    uids: HashMap<Name, String>,
    /// Nodes of pods whose binding is under way, or done and not yet heard of.
    assumed: HashMap<String, String>,
    /// Pods that no node took; looked at again when something changes.
    waiting: BTreeSet<Name>,
    /// Pods that miss a ConfigMap or Secret.
    incomplete: BTreeSet<Name>,
}

impl Pods {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            cluster: Cluster::default(),
            memos: HashMap::new(),
            uids: HashMap::new(),
            assumed: HashMap::new(),
            waiting: BTreeSet::new(),
            incomplete: BTreeSet::new(),
        }
    }

    /// A namespace appeared or changed; pods that wait look again if its labels did.
    pub fn put_namespace(&mut self, entry: &Entry) {
        let labels = entry.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        if self.cluster.put_namespace(&entry.name, labels) {
            self.retry();
        }
    }

    /// Looks at all waiting pods again.
    pub fn retry(&mut self) {
        for (namespace, name) in std::mem::take(&mut self.waiting) {
            self.shared.queue.push(Key::Pod(namespace, name));
        }
    }

    /// Looks at the pods again that miss something in this namespace.
    pub fn sources_changed(&mut self, namespace: &str) {
        for (namespace, name) in self.incomplete.iter().filter(|(n, _)| **n == *namespace) {
            self.shared.queue.push(Key::Pod(namespace.clone(), name.clone()));
        }
    }

    /// Keeps what the work has learnt.
    pub fn remember(&mut self, namespace: &Arc<str>, name: &Arc<str>, memo: Memo) {
        let key = (namespace.clone(), name.clone());
        match memo.prepared.as_ref().is_some_and(|p| !p.complete()) {
            true => self.incomplete.insert(key.clone()),
            false => self.incomplete.remove(&key),
        };
        if self.uids.get(&key) == Some(&memo.uid) {
            self.memos.insert(key, memo);
        }
    }

    fn forget(&mut self, key: &Name) {
        self.memos.remove(key);
        self.waiting.remove(key);
        self.incomplete.remove(key);
        if let Some(uid) = self.uids.remove(key) {
            self.assumed.remove(&uid);
            self.cluster.remove_pod(&uid);
            self.shared.addresses.lock().release(&uid);
            self.shared.written.lock().remove(&uid);
            self.shared.found.lock().remove(&uid);
            self.shared.talked.lock().remove(&uid);
            self.retry();
        }
    }

    /// What to do about a pod, if anything.
    pub fn work(&mut self, namespace: &Arc<str>, name: &Arc<str>) -> Option<BoxFuture<'static, Done>> {
        let key = (namespace.clone(), name.clone());
        let entry = self.shared.cache.entry(&self.shared.resources.pods, namespace, name);
        if entry.as_ref().is_some_and(|pod| self.goes_on_elsewhere(&key, pod)) {
            return None;
        }
        let Some(pod) = entry.and_then(|pod| pod.value()) else {
            self.forget(&key);
            return None;
        };
        let uid = meta::uid(&pod).to_owned();
        if self.uids.get(&key).is_some_and(|known| *known != uid) {
            self.forget(&key);
        }
        self.uids.insert(key.clone(), uid.clone());
        let node = spec::node_name(&pod).to_owned();
        if node.is_empty() {
            return self.schedule(key, pod);
        }
        self.assumed.remove(&uid);
        self.waiting.remove(&key);
        self.cluster.put_pod(&pod, &node);
        if spec::is_terminal(&pod) {
            self.shared.addresses.lock().release(&uid);
            self.retry();
        }
        let index = self.shared.node_index(&node)?;
        let fresh = pod["status"]["startTime"].is_null() && !spec::is_terminal(&pod);
        let fresh = fresh && meta::deletion_timestamp(&pod).is_none();
        if fresh && let Some((reason, message)) = self.cluster.rejected(&pod, &node) {
            self.cluster.remove_pod(&uid);
            let (shared, key) = (self.shared.clone(), Key::Pod(key.0, key.1));
            return Some(Box::pin(
                async move { done(key, shared.reject(&pod, &node, reason, message).await) },
            ));
        }
        let memo = self.memos.remove(&key).unwrap_or(Memo {
            uid,
            prepared: None,
            deeds: BTreeMap::new(),
            scratch: Scratch::new(),
        });
        let shared = self.shared.clone();
        Some(Box::pin(async move { shared.bring_on(key, pod, index, memo).await }))
    }

    /// Takes in the news of a pod that somebody else's node runs, if there are none but of its status.
    fn goes_on_elsewhere(&mut self, key: &Name, pod: &Entry) -> bool {
        let node = pod.at(&["spec", "nodeName"]);
        let Some(node) = node.as_ref().and_then(Value::as_str).filter(|node| !node.is_empty()) else {
            return false;
        };
        let known = self.uids.get(key).is_some_and(|uid| **uid == *pod.uid);
        let goes_on = known && self.shared.node_index(node).is_none() && self.cluster.goes_on(pod, node);
        if goes_on {
            self.assumed.remove(&*pod.uid);
            self.waiting.remove(key);
        }
        goes_on
    }

    fn schedule(&mut self, key: Name, pod: Arc<Value>) -> Option<BoxFuture<'static, Done>> {
        let ours = self.shared.options.scheduler
            && pod["spec"]["schedulerName"].as_str().unwrap_or(SCHEDULER) == SCHEDULER
            && spec::list(&pod, "schedulingGates").is_empty()
            && meta::deletion_timestamp(&pod).is_none()
            && !spec::is_terminal(&pod);
        if !ours || self.assumed.contains_key(meta::uid(&pod)) {
            return None;
        }
        let done_key = Key::Pod(key.0.clone(), key.1.clone());
        let shared = self.shared.clone();
        if let Some(node) = pod["status"]["nominatedNodeName"].as_str().filter(|n| !n.is_empty()) {
            self.cluster.nominate(&pod, node);
        }
        let (decision, volumes) = match shared.claims_of(&pod) {
            Claims::Wait(why) => (Err(self.cluster.refusal_for_all(&why)), Volumes::default()),
            Claims::Known(volumes) => (self.cluster.schedule(&pod, &volumes), volumes),
        };
        match decision {
            Ok(node) if !volumes.waiting.is_empty() => {
                self.waiting.insert(key);
                let given =
                    self.cluster.node(&node).and_then(|value| volumes.places(value)).unwrap_or_default();
                let claims = volumes.waiting.into_iter().map(|waiting| waiting.claim).zip(given).collect();
                Some(Box::pin(async move { done(done_key, shared.select_node(claims, &node).await) }))
            }
            Ok(node) => {
                self.assumed.insert(meta::uid(&pod).to_owned(), node.clone());
                self.cluster.put_pod(&pod, &node);
                self.waiting.remove(&key);
                Some(Box::pin(async move { done(done_key, shared.bind(&pod, &node).await) }))
            }
            Err(refused) => {
                self.waiting.insert(key);
                let budgets = shared.cache.values(&shared.resources.budgets, "");
                let attempt = self.cluster.preempt(&pod, &volumes, &budgets, &refused);
                match &attempt {
                    Attempt::Room(preemption) => self.cluster.nominate(&pod, &preemption.node),
                    Attempt::Helpless(_) => self.cluster.forget_nomination(meta::uid(&pod)),
                    Attempt::Waits(_) => {}
                }
                let message = refused.message(attempt.words());
                Some(Box::pin(async move {
                    let nomination = match &attempt {
                        Attempt::Room(preemption) => Some(preemption.node.as_str()),
                        Attempt::Waits(_) => None,
                        Attempt::Helpless(_) => Some(""),
                    };
                    let told = shared.unschedulable(&pod, message, nomination).await;
                    let made = match attempt {
                        Attempt::Room(preemption) => shared.preempt(&pod, preemption).await,
                        _ => Ok(()),
                    };
                    done(done_key, told.and(made))
                }))
            }
        }
    }
}

impl Shared {
    async fn bind(&self, pod: &Arc<Value>, node: &str) -> Result<()> {
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": meta::uid(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        match self.client.create_subresource(&self.resources.pods, namespace, name, "binding", &binding).await
        {
            Ok(_) => {
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.tell(pod, Event::normal("Scheduled", message).doing("Binding"), SCHEDULER, "");
                Ok(())
            }
            // Gone, or bound by someone else: the watch will tell.
            Err(error) if error.is_not_found() || error.code() == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says why no node takes the pod; `nominated` is where room is being made, empty where nowhere any longer.
    async fn unschedulable(&self, pod: &Arc<Value>, message: String, nominated: Option<&str>) -> Result<()> {
        let nominated = nominated.filter(|n| *n != pod["status"]["nominatedNodeName"].as_str().unwrap_or(""));
        let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let known = conditions.iter_mut().find(|c| c["type"] == "PodScheduled");
        let since = match &known {
            Some(known) if known["message"] == message.as_str() && nominated.is_none() => return Ok(()),
            Some(known) if known["status"] == "False" => known["lastTransitionTime"].clone(),
            _ => object::time::format(now()).into(),
        };
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": meta::generation(pod),
        });
        match known {
            Some(known) => *known = condition,
            None => conditions.push(condition),
        }
        let mut note = message.clone();
        if note.len() > NOTE {
            note.truncate(note.floor_char_boundary(NOTE - 4));
            note.push_str(" ...");
        }
        self.tell(pod, Event::warning("FailedScheduling", note).doing("Scheduling"), SCHEDULER, "");
        let mut status = object::Map::new();
        status.insert("conditions".into(), conditions.into());
        if let Some(node) = nominated {
            let node = if node.is_empty() { Value::Null } else { node.into() };
            status.insert("nominatedNodeName".into(), node);
        }
        self.write_status(pod, status).await.map(drop)
    }

    /// Refuses a pod as the kubelet of its node.
    async fn reject(&self, pod: &Arc<Value>, node: &str, reason: String, message: String) -> Result<()> {
        self.tell(
            pod,
            Event { reason: reason.clone().into(), ..Event::warning("", message.clone()) },
            "kubelet",
            node,
        );
        let mut status = object::Map::new();
        status.insert("phase".into(), "Failed".into());
        status.insert("reason".into(), reason.into());
        status.insert("message".into(), format!("Pod was rejected: {message}").into());
        status.insert("startTime".into(), object::time::format(now()).into());
        status.insert("observedGeneration".into(), meta::generation(pod).into());
        self.write_status(pod, status).await.map(drop)
    }

    /// Sends the victims away.
    async fn preempt(&self, pod: &Value, preemption: Preemption) -> Result<()> {
        for Victim { namespace, name, uid } in preemption.victims {
            let Some(victim) = self.cache.get(&self.resources.pods, &namespace, &name) else { continue };
            if meta::uid(&victim) != uid || meta::deletion_timestamp(&victim).is_some() {
                continue;
            }
            let mut conditions = victim["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.retain(|c| c["type"] != "DisruptionTarget");
            conditions.push(json!({
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": format!("{SCHEDULER}: preempting to accommodate a higher priority pod"),
                "lastProbeTime": null, "lastTransitionTime": object::time::format(now()),
                "observedGeneration": meta::generation(&victim),
            }));
            let mut status = object::Map::new();
            status.insert("conditions".into(), conditions.into());
            self.write_status(&victim, status).await?;
            let gvr = &self.resources.pods;
            match self.client.delete(gvr, &namespace, &name, &DeleteOptions::uid(uid)).await {
                Err(error) if !error.is_not_found() && error.code() != 409 => return Err(error),
                _ => {}
            }
            let message = format!("Preempted by pod {} on node {}", meta::uid(pod), preemption.node);
            self.tell(&victim, Event::normal("Preempted", message).doing("Preempting"), SCHEDULER, "");
        }
        Ok(())
    }

    /// Writes fields of a pod's status, unless the pod changed meanwhile: then the watch will tell, and `None` is answered.
    async fn write_status(
        &self,
        pod: &Value,
        status: object::Map<String, Value>,
    ) -> Result<Option<Arc<Value>>> {
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        let patch = Patch::Merge(json!({
            "metadata": {"uid": meta::uid(pod), "resourceVersion": meta::resource_version(pod)}, "status": status,
        }));
        let gvr = &self.resources.pods;
        match self.client.patch_encoded(gvr, namespace, name, "status", &patch).await {
            Ok(new) => match self.cache.observe_encoded(gvr, &new).and_then(|entry| entry.value()) {
                Some(pod) => Ok(Some(pod)),
                None => new.parse().map(|pod| Some(Arc::new(pod))),
            },
            Err(error) if error.is_not_found() || error.code() == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a pod as many steps on as there are now.
    async fn bring_on(self: Arc<Self>, name: Name, pod: Arc<Value>, index: u16, mut memo: Memo) -> Done {
        let key = Key::Pod(name.0, name.1);
        let result = self.steps(pod, index, &mut memo).await;
        if let Err(error) = &result {
            tracing::debug!(?key, error = %error.message(), "a pod could not be brought on");
        }
        let failed = result.is_err();
        Done { wake: result.unwrap_or(None), memo: Some(memo), failed, key }
    }

    async fn steps(&self, mut pod: Arc<Value>, index: u16, memo: &mut Memo) -> Result<Option<Timestamp>> {
        let host_ip = self.options.node_ip(index).to_string();
        let node = self.options.node_name(index);
        for _ in 0..STEPS {
            let pod_ip = self.pod_ip(&pod, index);
            let place = Place { host_ip: &host_ip, pod_ip: &pod_ip };
            self.prepare(&pod, memo, &place).await?;
            let nothing = Prepared::default();
            let prepared = memo.prepared.as_ref().unwrap_or(&nothing);
            let facts = Facts { host_ip: &host_ip, pod_ip: &pod_ip, prepared };
            let now = now();
            let step = advance(&pod, &facts, now);
            for event in step.events {
                self.tell(&pod, event, "kubelet", &node);
            }
            let changed = !step.status.is_empty();
            if changed {
                match self.write_status(&pod, step.status).await? {
                    Some(new) => {
                        self.deeds(&pod, &new, memo).await;
                        pod = new;
                    }
                    // Someone else was faster; the watch brings the newer pod.
                    None => return Ok(Some(spec::later(now, 1.0))),
                }
            }
            if step.delete {
                return self.delete(&pod).await.map(|()| None);
            }
            let at_once = step.wake.is_some_and(|wake| wake <= now);
            if !changed && !at_once {
                return Ok(step.wake);
            }
        }
        Ok(Some(spec::later(now(), 1.0)))
    }

    /// Lets the containers that have just started do what others wait for; one that cannot fails.
    async fn deeds(&self, old: &Value, new: &Value, memo: &mut Memo) {
        let running = |pod: &Value| -> BTreeSet<String> {
            let lists = ["initContainerStatuses", "containerStatuses"];
            let all = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
            let running = all.filter(|s| s["state"]["running"].is_object());
            running.map(|s| s["containerID"].as_str().unwrap_or("").to_owned() + spec::name(s)).collect()
        };
        let before = running(old);
        for container in spec::containers(new) {
            let words = script::argv(container, &Default::default());
            let name = spec::name(container);
            let known = Deed::of(container, &words).is_some();
            let started = running(new).difference(&before).any(|s| s.ends_with(name));
            if !known || !started {
                continue;
            }
            let done = self.do_deed(meta::namespace(new), meta::name(new), name).await;
            if let Err(error) = &done {
                tracing::debug!(pod = meta::name(new), container = name, error, "a simulated program failed");
            }
            memo.deeds.insert(name.to_owned(), i32::from(done.is_err()));
            memo.judge();
        }
    }

    /// Containers whose shell was told to exit have ended.
    fn judge_talks(&self, pod: &Value, memo: &mut Memo) {
        let talked = self.talked.lock();
        let (Some(ended), Some(prepared)) = (talked.get(meta::uid(pod)), &mut memo.prepared) else { return };
        let lists = ["containerStatuses", "ephemeralContainerStatuses"];
        for status in lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten()) {
            let code = status["containerID"].as_str().and_then(|id| ended.get(id));
            let started = spec::time(&status["state"]["running"]["startedAt"]);
            if let (Some(code), Some(started)) = (code, started) {
                let after = now().duration_since(started).as_secs_f64().floor().max(0.0);
                prepared
                    .containers
                    .insert(spec::name(status).to_owned(), Ok(Outcome::Exits { code: *code, after }));
            }
        }
    }

    fn pod_ip(&self, pod: &Value, index: u16) -> String {
        if spec::host_network(pod) {
            return self.options.node_ip(index).to_string();
        }
        if let Some(ip) = pod["status"]["podIP"].as_str().filter(|ip| !ip.is_empty()) {
            return ip.to_owned();
        }
        if spec::is_terminal(pod) || meta::deletion_timestamp(pod).is_some() {
            return String::new();
        }
        self.addresses.lock().of(meta::uid(pod), self.options.pod_network(index)).to_string()
    }

    /// Reads what the containers need, unless that is known or of no use any more.
    async fn prepare(&self, pod: &Value, memo: &mut Memo, place: &Place<'_>) -> Result<()> {
        let over = spec::is_terminal(pod) || meta::deletion_timestamp(pod).is_some();
        let known = memo.prepared.as_ref().is_some_and(|prepared| {
            prepared.complete()
                && spec::containers(pod).map(spec::name).all(|name| {
                    prepared.details.get(name).is_some_and(|d| d.run == script::next_run(pod, name))
                })
        });
        if !over && !known {
            let sources = self.sources(pod).await?;
            self.disks.lock().lend(pod, &mut memo.scratch);
            let prepared = script::prepare(pod, &sources, place, &mut memo.scratch, memo.prepared.as_ref());
            self.disks.lock().keep(pod, &memo.scratch);
            self.keep_found(pod, &prepared);
            memo.prepared = Some(prepared);
            memo.judge();
        }
        self.judge_talks(pod, memo);
        Ok(())
    }

    async fn delete(&self, pod: &Value) -> Result<()> {
        let (gvr, namespace, name) = (&self.resources.pods, meta::namespace(pod), meta::name(pod));
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(meta::uid(pod)) };
        match self.client.delete(gvr, namespace, name, &options).await {
            Ok(answer) => {
                self.cache.observe_delete(gvr, namespace, name, meta::uid(pod), &answer);
                Ok(())
            }
            Err(error) if error.is_not_found() || error.code() == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }
}
