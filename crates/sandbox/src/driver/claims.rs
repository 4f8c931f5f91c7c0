//! Claims and volumes: provisioning, binding, reclaiming.

use super::Shared;
use crate::events::Event;
use crate::{spec, storage};
use client::{DeleteOptions, Patch};
use object::{Result, Value, json, meta};
use std::sync::Arc;

const COMPONENT: &str = storage::PROVISIONER;

/// What a pod's claims let the scheduler do.
pub(super) enum Claims {
    /// All are bound.
    Ready,
    /// These wait to be told the node.
    WaitForNode(Vec<String>),
    /// The pod must wait; the scheduler's words.
    Wait(String),
}

impl Shared {
    /// The state of `pod`'s claims.
    pub(super) fn claims_of(&self, pod: &Value) -> Claims {
        let (mut waiting, namespace) = (vec![], meta::namespace(pod));
        for volume in spec::list(pod, "volumes") {
            let name = match volume["persistentVolumeClaim"]["claimName"].as_str() {
                Some(name) => name.to_owned(),
                None if volume["ephemeral"].is_object() => {
                    format!("{}-{}", meta::name(pod), spec::name(volume))
                }
                None => continue,
            };
            let Some(claim) = self.cache.get(&self.resources.claims, namespace, &name) else {
                return Claims::Wait(format!("persistentvolumeclaim \"{name}\" not found"));
            };
            if meta::deletion_timestamp(&claim).is_some() {
                return Claims::Wait(format!("persistentvolumeclaim \"{name}\" is being deleted"));
            }
            if claim["status"]["phase"] == "Bound" {
                continue;
            }
            match self.class_of(&claim) {
                Some(class) if storage::waits_for_consumer(&class) => waiting.push(name),
                _ => return Claims::Wait("pod has unbound immediate PersistentVolumeClaims".into()),
            }
        }
        if waiting.is_empty() { Claims::Ready } else { Claims::WaitForNode(waiting) }
    }

    fn class_of(&self, claim: &Value) -> Option<Arc<Value>> {
        self.cache.get(&self.resources.classes, "", claim["spec"]["storageClassName"].as_str()?)
    }

    /// Tells waiting claims where their first pod will be.
    pub(super) async fn select_node(&self, namespace: &str, claims: &[String], node: &str) -> Result<()> {
        for claim in claims {
            let patch = Patch::Merge(storage::select_node(node));
            let new = self.client.patch(&self.resources.claims, namespace, claim, "", &patch).await?;
            self.cache.observe(&self.resources.claims, &new);
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
