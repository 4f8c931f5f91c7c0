//! Claims and volumes: provisioning, binding, reclaiming.

use super::Shared;
use crate::events::Event;
use crate::scheduler::{Volumes, Waiting, would_do};
use crate::{spec, storage};
use client::{DeleteOptions, Patch};
use object::{Result, Value, json, meta};
use std::sync::Arc;

const COMPONENT: &str = storage::PROVISIONER;

/// What a pod's claims let the scheduler do.
pub(super) enum Claims {
    /// It may look for a node.
    Known(Volumes),
    /// The pod must wait; the scheduler's words.
    Wait(String),
}

impl Shared {
    /// The state of `pod`'s claims.
    pub(super) fn claims_of(&self, pod: &Value) -> Claims {
        let (mut volumes, namespace) = (Volumes::default(), meta::namespace(pod));
        for volume in spec::list(pod, "volumes") {
            let (name, ephemeral) = match volume["persistentVolumeClaim"]["claimName"].as_str() {
                Some(name) => (name.to_owned(), false),
                None if volume["ephemeral"].is_object() => {
                    (format!("{}-{}", meta::name(pod), spec::name(volume)), true)
                }
                None => continue,
            };
            let Some(claim) = self.cache.get(&self.resources.claims, namespace, &name) else {
                return Claims::Wait(match ephemeral {
                    true => format!(
                        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
                    ),
                    false => format!("persistentvolumeclaim \"{name}\" not found"),
                });
            };
            if let Err(why) = self.claim_into(&mut volumes, pod, claim) {
                return Claims::Wait(why);
            }
        }
        Claims::Known(volumes)
    }

    /// Adds what one claim asks of nodes; `Err` where it keeps the pod from all of them.
    fn claim_into(
        &self,
        volumes: &mut Volumes,
        pod: &Value,
        claim: Arc<Value>,
    ) -> std::result::Result<(), String> {
        let name = meta::name(&claim);
        let volume = claim["spec"]["volumeName"].as_str().unwrap_or("");
        if claim["status"]["phase"] == "Lost" {
            return Err(format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
            ));
        }
        if meta::deletion_timestamp(&claim).is_some() {
            return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        if claim["status"]["phase"] == "Bound" {
            match self.cache.get(&self.resources.volumes, "", volume) {
                Some(volume) => volumes.bound.push(volume),
                None => volumes.lost = true,
            }
            volumes.taken |= self.is_taken(pod, &claim);
            return Ok(());
        }
        match self.class_of(&claim).filter(|class| storage::waits_for_consumer(class)) {
            Some(class) if volume.is_empty() => {
                volumes.waiting.push(self.waiting(claim, &class));
                Ok(())
            }
            _ => Err("pod has unbound immediate PersistentVolumeClaims".into()),
        }
    }

    fn waiting(&self, claim: Arc<Value>, class: &Value) -> Waiting {
        let volumes = self.cache.values(&self.resources.volumes, "").into_iter();
        let mut fitting: Vec<(i64, Arc<Value>)> =
            volumes.filter_map(|volume| Some((would_do(&volume, &claim)?, volume))).collect();
        fitting.sort_by(|(a, x), (b, y)| (a, meta::name(x)).cmp(&(b, meta::name(y))));
        let made = class["provisioner"] != "kubernetes.io/no-provisioner";
        Waiting {
            claim,
            candidates: fitting.into_iter().map(|(_, volume)| volume).collect(),
            made: made.then(|| class["allowedTopologies"].clone()),
        }
    }

    /// Whether another pod that has a node uses a claim that only one pod may use.
    fn is_taken(&self, pod: &Value, claim: &Value) -> bool {
        if spec::strings(&claim["spec"]["accessModes"]) != ["ReadWriteOncePod"] {
            return false;
        }
        let uses = |other: &Value| {
            let mut volumes = spec::list(other, "volumes").iter();
            meta::uid(other) != meta::uid(pod)
                && !spec::node_name(other).is_empty()
                && !spec::is_terminal(other)
                && volumes.any(|v| v["persistentVolumeClaim"]["claimName"] == *meta::name(claim))
        };
        self.cache.values(&self.resources.pods, meta::namespace(pod)).iter().any(|other| uses(other))
    }

    fn class_of(&self, claim: &Value) -> Option<Arc<Value>> {
        self.cache.get(&self.resources.classes, "", claim["spec"]["storageClassName"].as_str()?)
    }

    /// Gives waiting claims the volumes that are there for them on `node`, and tells the others where their pod will be.
    pub(super) async fn select_node(
        &self,
        claims: Vec<(Arc<Value>, Option<Arc<Value>>)>,
        node: &str,
    ) -> Result<()> {
        for (claim, volume) in claims {
            let (namespace, name) = (meta::namespace(&claim), meta::name(&claim));
            match volume {
                Some(volume) => {
                    let (gvr, patch) =
                        (&self.resources.volumes, Patch::Merge(storage::claimed(&volume, &claim)));
                    let new = self.client.patch(gvr, "", meta::name(&volume), "", &patch).await?;
                    self.cache.observe(gvr, &new);
                }
                None if storage::selected_node(&claim) == Some(node) => {}
                None => {
                    let (gvr, patch) = (&self.resources.claims, Patch::Merge(storage::select_node(node)));
                    let new = self.client.patch(gvr, namespace, name, "", &patch).await?;
                    self.cache.observe(gvr, &new);
                }
            }
        }
        Ok(())
    }

    /// Makes and binds a claim's volume, if it is time.
    pub(super) async fn claim(&self, namespace: &str, name: &str) -> Result<()> {
        let of = &self.resources;
        let Some(claim) = self.cache.get(&of.claims, namespace, name) else { return Ok(()) };
        let Some(class) = self.class_of(&claim) else { return Ok(()) };
        let volume = match storage::volume(&claim, &class) {
            Some(volume) => match self.client.create(&of.volumes, &volume).await {
                Err(error) if error.code() == 409 => volume,
                other => other?,
            },
            None => {
                // Bound, but interrupted before it was said.
                let ours = claim["spec"]["volumeName"] == format!("pvc-{}", meta::uid(&claim));
                let said = claim["status"]["phase"] == "Bound";
                match (ours && !said, claim["spec"]["volumeName"].as_str()) {
                    (true, Some(volume)) => match self.client.find(&of.volumes, "", volume).await? {
                        Some(volume) => volume,
                        None => return Ok(()),
                    },
                    _ => return Ok(()),
                }
            }
        };
        self.cache.observe(&of.volumes, &volume);
        let bound = meta::name(&volume);
        self.client.patch(&of.claims, namespace, name, "", &Patch::Merge(storage::bind(bound))).await?;
        let status = Patch::Merge(json!({"status": {"phase": "Bound"}}));
        self.client.patch(&of.volumes, "", bound, "status", &status).await?;
        let status = Patch::Merge(storage::bound(&volume));
        let new = self.client.patch(&of.claims, namespace, name, "status", &status).await?;
        self.cache.observe(&of.claims, &new);
        let message = format!("Successfully provisioned volume {bound}");
        self.tell(&claim, Event::normal("ProvisioningSucceeded", message), COMPONENT, "");
        Ok(())
    }

    /// Deletes a volume whose claim is gone.
    pub(super) async fn volume(&self, name: &str) -> Result<()> {
        let of = &self.resources;
        let Some(volume) = self.cache.get(&of.volumes, "", name) else { return Ok(()) };
        let claim = &volume["spec"]["claimRef"];
        let (namespace, claim) =
            (claim["namespace"].as_str().unwrap_or(""), claim["name"].as_str().unwrap_or(""));
        if !storage::may_go(&volume, None) {
            return Ok(());
        }
        // The copy may be older than the claim: ask.
        let claim = self.client.find(&of.claims, namespace, claim).await?;
        if storage::may_go(&volume, claim.as_ref()) {
            let options = DeleteOptions::uid(meta::uid(&volume));
            match self.client.delete(&of.volumes, "", name, &options).await {
                Err(error) if error.is_not_found() => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}
