//! Binds claims to volumes that are there. Volumes are made by provisioners, elsewhere; a claim that waits for one says so.
//!
//! A claim that someone else bound (a syncer, from a host) to a volume nobody here knows is left as it is.

use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, Quantity, meta};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::sync::Arc;

const BOUND: &str = "pv.kubernetes.io/bind-completed";
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const OLD_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(crate) struct PersistentVolumeBinder;

impl Controller for PersistentVolumeBinder {
    fn name(&self) -> &'static str {
        "persistentvolume-binder-controller"
    }

    fn component(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PERSISTENT_VOLUMES, &PERSISTENT_VOLUME_CLAIMS, &STORAGE_CLASSES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&PERSISTENT_VOLUME_CLAIMS) {
            add(Key::new(&entry.namespace, &entry.name));
            // The volume hears of a claim that went.
            for claim in change.both().filter_map(|claim| claim.value()) {
                if let Some(volume) = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()) {
                    add(Key::new("", volume));
                }
            }
            return;
        }
        if change.is(&PERSISTENT_VOLUMES) {
            add(Key::new("", &entry.name));
            // A claim that loses its volume hears of it.
            let gone = change.new.is_none().then(|| entry.value()).flatten();
            if let Some(claim) =
                gone.as_ref().map(|volume| &volume["spec"]["claimRef"]).filter(|c| c.is_object())
            {
                add(Key::new(
                    claim["namespace"].as_str().unwrap_or(""),
                    claim["name"].as_str().unwrap_or(""),
                ));
            }
        }
        for claim in cache.list(&PERSISTENT_VOLUME_CLAIMS, "") {
            if claim.value().is_some_and(|claim| claim["status"]["phase"] != "Bound") {
                add(Key::new(&claim.namespace, &claim.name));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        if key.namespace.is_empty() {
            let volume = cache.get(&PERSISTENT_VOLUMES, "", &key.name);
            return Plan::of(volume.iter().filter_map(|volume| of_volume(cache, volume)).collect());
        }
        let Some(claim) = cache.get(&PERSISTENT_VOLUME_CLAIMS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        if meta::deletion_timestamp(&claim).is_some() {
            return Plan::nothing();
        }
        match claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()) {
            Some(volume) => Plan::of(named(cache, &claim, volume)),
            None => Plan::of(unnamed(cache, &claim)),
        }
    }
}

/// A volume's phase; one that is released and may be deleted here goes. (Others are deleted by who made them.)
fn of_volume(cache: &Cache, volume: &Value) -> Option<Action> {
    let phase = volume_phase(cache, volume);
    let spec = &volume["spec"];
    let released = phase.is_none() && volume["status"]["phase"] == "Released";
    let ours = spec["hostPath"]["path"].as_str().is_some_and(|path| path.starts_with("/tmp/"));
    let deletes = released && ours && spec["persistentVolumeReclaimPolicy"] == "Delete";
    let alive = meta::deletion_timestamp(volume).is_none();
    phase.or_else(|| (deletes && alive).then(|| Action::delete(&PERSISTENT_VOLUMES, volume)))
}

/// Available, bound or released.
fn volume_phase(cache: &Cache, volume: &Value) -> Option<Action> {
    let claim = &volume["spec"]["claimRef"];
    let text = |field: &str| claim[field].as_str().unwrap_or("");
    let phase = if text("uid").is_empty() {
        "Available"
    } else {
        let found = cache.get(&PERSISTENT_VOLUME_CLAIMS, text("namespace"), text("name"));
        match found.filter(|found| meta::uid(found) == text("uid")) {
            Some(_) => "Bound",
            // Someone else's claim: only what was bound here can be released here.
            None if volume["status"]["phase"] == "Bound" => "Released",
            None => return None,
        }
    };
    if volume["status"]["phase"] == phase {
        return None;
    }
    let mut next = volume.clone();
    next["status"]["phase"] = phase.into();
    Some(Action::update_status(&PERSISTENT_VOLUMES, next))
}

/// A claim that names its volume.
fn named(cache: &Cache, claim: &Value, name: &str) -> Vec<Action> {
    let Some(volume) = cache.get(&PERSISTENT_VOLUMES, "", name) else {
        // Only what was bound here can be lost here.
        let ours = meta::annotation(claim, BY_CONTROLLER).is_some() && claim["status"]["phase"] == "Bound";
        return if ours { lost(claim) } else { vec![] };
    };
    let reference = &volume["spec"]["claimRef"];
    let theirs = reference["uid"].as_str().is_some_and(|uid| !uid.is_empty() && uid != meta::uid(claim));
    let elsewhere = reference.is_object()
        && (reference["namespace"] != claim["metadata"]["namespace"]
            || reference["name"] != claim["metadata"]["name"]);
    if theirs || elsewhere {
        return if meta::annotation(claim, BOUND).is_some() { misbound(claim) } else { pending(claim) };
    }
    if meta::annotation(claim, BOUND).is_none()
        && !reference.is_object()
        && let Some(why) = unfit(claim, &volume)
    {
        let message = format!("Cannot bind to requested volume {name:?}: {why}");
        let mut actions = pending(claim);
        actions.push(Action::event(Event::warning(claim, "VolumeMismatch", message)));
        return actions;
    }
    bind(claim, &volume, false)
}

/// Why a volume will not do for a claim that names it.
fn unfit(claim: &Value, volume: &Value) -> Option<&'static str> {
    let text =
        |object: &Value, field: &str, other: &str| object["spec"][field].as_str().unwrap_or(other).to_owned();
    let wanted = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]);
    let attributes = "volumeAttributesClassName";
    if wanted.is_ok_and(|wanted| capacity(volume).sub(&wanted).signum() < 0) {
        Some("requested PV is too small")
    } else if class_of(claim).unwrap_or("") != class_of(volume).unwrap_or("") {
        Some("storageClassName does not match")
    } else if text(claim, attributes, "") != text(volume, attributes, "") {
        Some("VolumeAttributesClassName does not match")
    } else if text(claim, "volumeMode", "Filesystem") != text(volume, "volumeMode", "Filesystem") {
        Some("incompatible volumeMode")
    } else {
        let offered = volume["spec"]["accessModes"].as_array().map_or(&[][..], Vec::as_slice);
        let mut modes = claim["spec"]["accessModes"].as_array().into_iter().flatten();
        modes.any(|wanted| !offered.contains(wanted)).then_some("incompatible accessMode")
    }
}

fn misbound(claim: &Value) -> Vec<Action> {
    if claim["status"]["phase"] == "Lost" {
        return vec![];
    }
    let mut next = claim.clone();
    next["status"] = json!({"phase": "Lost"});
    let message = "Two claims are bound to the same volume, this one is bound incorrectly";
    let event = Event::warning(claim, "ClaimMisbound", message);
    vec![Action::update_status(&PERSISTENT_VOLUME_CLAIMS, next).told(event)]
}

fn lost(claim: &Value) -> Vec<Action> {
    let mut next = claim.clone();
    next["status"] = json!({"phase": "Lost"});
    let event = Event::warning(
        claim,
        "ClaimLost",
        "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
    );
    vec![Action::update_status(&PERSISTENT_VOLUME_CLAIMS, next).told(event)]
}

/// A claim that any fitting volume will do for.
fn unnamed(cache: &Cache, claim: &Value) -> Vec<Action> {
    let name = class_of(claim);
    let class = name.filter(|name| !name.is_empty()).and_then(|name| cache.get(&STORAGE_CLASSES, "", name));
    let waits = class.as_ref().is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer")
        && meta::annotation(claim, SELECTED_NODE).is_none();
    if let Some(volume) = choose(cache, claim, !waits) {
        return bind(claim, &volume, true);
    }
    let mut actions = pending(claim);
    if waits {
        let message = "waiting for first consumer to be created before binding";
        actions.push(Action::event(Event::normal(claim, "WaitForFirstConsumer", message)));
        return actions;
    }
    let Some(provisioner) = class.as_ref().and_then(|class| class["provisioner"].as_str()) else {
        actions.push(Action::event(match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
                Event::warning(claim, "ProvisioningFailed", message)
            }
            None => {
                let message = "no persistent volumes available for this claim and no storage class is set";
                Event::normal(claim, "FailedBinding", message)
            }
        }));
        return actions;
    };
    if provisioner == "kubernetes.io/no-provisioner" {
        let message = "no volume plugin matched name: kubernetes.io/no-provisioner";
        actions.push(Action::event(Event::warning(claim, "ProvisioningFailed", message)));
        return actions;
    }
    if meta::annotation(claim, PROVISIONER) != Some(provisioner) {
        let patch =
            json!({"metadata": {"annotations": {PROVISIONER: provisioner, OLD_PROVISIONER: provisioner}}});
        actions.push(Action::merge(&PERSISTENT_VOLUME_CLAIMS, claim, patch));
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    actions.push(Action::event(Event::normal(claim, "ExternalProvisioning", message)));
    actions
}

fn pending(claim: &Value) -> Vec<Action> {
    if claim["status"]["phase"].is_string() {
        return vec![];
    }
    let mut next = claim.clone();
    next["status"]["phase"] = "Pending".into();
    vec![Action::update_status(&PERSISTENT_VOLUME_CLAIMS, next)]
}

fn class_of(object: &Value) -> Option<&str> {
    object["spec"]["storageClassName"].as_str().or(meta::annotation(object, CLASS))
}

/// The smallest volume that fits; one that is reserved for the claim before all.
fn choose(cache: &Cache, claim: &Value, any: bool) -> Option<Arc<Value>> {
    let volumes = cache.values(&PERSISTENT_VOLUMES, "");
    let reserved = |volume: &&Arc<Value>| {
        let reference = &volume["spec"]["claimRef"];
        let free = reference["uid"].as_str().is_none_or(|uid| uid.is_empty() || uid == meta::uid(claim));
        reference["name"] == claim["metadata"]["name"]
            && reference["namespace"] == claim["metadata"]["namespace"]
            && free
    };
    if let Some(mine) = volumes.iter().find(reserved) {
        return Some(mine.clone());
    }
    if !any {
        return None;
    }
    let mut fitting: Vec<_> = volumes.iter().filter(|volume| fits(claim, volume)).collect();
    fitting.sort_by(|a, b| by_size(a, b));
    fitting.first().map(|volume| (*volume).clone())
}

fn capacity(volume: &Value) -> Quantity {
    Quantity::from_json(&volume["spec"]["capacity"]["storage"]).unwrap_or_else(|_| Quantity::from_int(0))
}

fn by_size(a: &Value, b: &Value) -> Ordering {
    capacity(a).sub(&capacity(b)).signum().cmp(&0).then_with(|| meta::name(a).cmp(meta::name(b)))
}

fn fits(claim: &Value, volume: &Value) -> bool {
    let free = !volume["spec"]["claimRef"].is_object() && meta::deletion_timestamp(volume).is_none();
    let mode = |object: &Value| object["spec"]["volumeMode"].as_str().unwrap_or("Filesystem").to_owned();
    let same_class = class_of(claim).unwrap_or("") == class_of(volume).unwrap_or("");
    let offered = volume["spec"]["accessModes"].as_array().map_or(&[][..], Vec::as_slice);
    let modes =
        claim["spec"]["accessModes"].as_array().into_iter().flatten().all(|wanted| offered.contains(wanted));
    let selected = match claim["spec"].get("selector").filter(|selector| selector.is_object()) {
        Some(selector) => {
            LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches_object(volume))
        }
        None => true,
    };
    let wanted = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]);
    let large = wanted.is_ok_and(|wanted| capacity(volume).sub(&wanted).signum() >= 0);
    free && same_class && mode(claim) == mode(volume) && modes && selected && large
}

/// Ties both together: the volume first, so that no two claims get it.
fn bind(claim: &Value, volume: &Value, chosen: bool) -> Vec<Action> {
    let mut actions = vec![];
    if volume["spec"]["claimRef"]["uid"] != claim["metadata"]["uid"] {
        let mut next = volume.clone();
        let fresh = !volume["spec"]["claimRef"].is_object();
        next["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": meta::uid(claim),
            "name": meta::name(claim), "namespace": meta::namespace(claim), "resourceVersion": meta::resource_version(claim)});
        if fresh {
            meta::set_annotation(&mut next, BY_CONTROLLER, "yes");
        }
        actions.push(Action::update(&PERSISTENT_VOLUMES, next));
        // The rest follows when the volume is seen to be ours.
        return actions;
    }
    if claim["spec"]["volumeName"] != volume["metadata"]["name"] || meta::annotation(claim, BOUND).is_none() {
        let mut next = claim.clone();
        next["spec"]["volumeName"] = volume["metadata"]["name"].clone();
        meta::set_annotation(&mut next, BOUND, "yes");
        if chosen {
            meta::set_annotation(&mut next, BY_CONTROLLER, "yes");
        }
        actions.push(Action::update(&PERSISTENT_VOLUME_CLAIMS, next));
        return actions;
    }
    if claim["status"]["phase"] != "Bound" {
        let mut next = claim.clone();
        next["status"] = json!({"phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"]});
        actions.push(Action::update_status(&PERSISTENT_VOLUME_CLAIMS, next));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn claim(more: Value) -> Value {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a", "uid": "c"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Pending"}});
        for (key, value) in more.as_object().unwrap() {
            claim["spec"][key] = value.clone();
        }
        claim
    }

    fn volume(name: &str, size: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size}}, "status": {"phase": "Available"}})
    }

    fn plan(objects: Vec<Value>) -> Vec<String> {
        let cache = snapshot(objects);
        shown(PersistentVolumeBinder.plan(&cache, &Key::new("a", "c"), Timestamp::UNIX_EPOCH), &cache)
    }

    #[test]
    fn the_smallest_volume_that_fits_is_bound_step_by_step() {
        assert_eq!(
            plan(vec![claim(json!({})), volume("big", "5Gi"), volume("fit", "2Gi"), volume("small", "1Mi")]),
            ["update persistentvolumes fit"]
        );
        let mut taken = volume("fit", "2Gi");
        taken["spec"]["claimRef"] = json!({"name": "c", "namespace": "a", "uid": "c"});
        assert_eq!(plan(vec![claim(json!({})), taken.clone()]), ["update persistentvolumeclaims c"]);
        let mut tied = claim(json!({"volumeName": "fit"}));
        meta::set_annotation(&mut tied, BOUND, "yes");
        assert!(
            plan(vec![tied, taken])[0].starts_with("update persistentvolumeclaims c/status {\"accessModes\"")
        );
    }

    #[test]
    fn a_claim_waits_for_its_provisioner_or_consumer() {
        let class = |mode: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gold"},
                "provisioner": "x/y", "volumeBindingMode": mode})
        };
        let golden = || claim(json!({"storageClassName": "gold"}));
        let made = plan(vec![golden(), class("Immediate")]);
        assert!(
            made[0].starts_with("patch persistentvolumeclaims c")
                && made[1].starts_with("event ExternalProvisioning"),
            "{made:?}"
        );
        assert_eq!(
            plan(vec![golden(), class("WaitForFirstConsumer"), volume("v", "9Gi")]),
            ["event WaitForFirstConsumer: waiting for first consumer to be created before binding"]
        );
        assert!(plan(vec![claim(json!({}))])[0].starts_with("event FailedBinding"));
    }

    #[test]
    fn what_others_bound_is_left_alone() {
        let mut foreign = claim(json!({"volumeName": "pvc-of-the-host"}));
        foreign["status"]["phase"] = "Bound".into();
        assert!(plan(vec![foreign]).is_empty());
    }
}
