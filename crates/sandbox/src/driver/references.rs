//! Reads the ConfigMaps and Secrets that pods refer to. What does not change is read once, not for each pod.

use super::Shared;
use crate::sources::{Kind, Sources, references};
use object::{GroupVersionResource, Result, Value, meta};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Objects remembered; when there are more, all are forgotten.
const REMEMBERED: usize = 512;

/// Every namespace has one, every pod refers to it, and only the controller that publishes it writes it.
const ROOT_CA: &str = "kube-root-ca.crt";

/// The objects that do not change, by uid.
#[derive(Default)]
pub(crate) struct Lasting(Mutex<HashMap<Box<str>, Arc<Value>>>);

impl Lasting {
    fn get(&self, uid: &str, version: u64) -> Option<Arc<Value>> {
        let known = self.0.lock().get(uid).cloned()?;
        // Its data cannot change, but its publisher may have put that right.
        (meta::resource_version(&known).parse() == Ok(version)).then_some(known)
    }

    fn keep(&self, object: &Arc<Value>) {
        if object["immutable"] != true && meta::name(object) != ROOT_CA {
            return;
        }
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(meta::uid(object).into(), object.clone());
    }
}

impl Shared {
    /// Looks up what a pod refers to.
    pub async fn sources(&self, pod: &Value) -> Result<Sources> {
        let mut sources = Sources::default();
        for (kind, name) in references(pod) {
            if let Some(object) = self.source(kind, meta::namespace(pod), &name).await? {
                sources.objects.insert((kind, name), object);
            }
        }
        Ok(sources)
    }

    async fn source(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Arc<Value>>> {
        let gvr = self.resource_of(kind);
        let entry = self.cache.entry(gvr, namespace, name);
        if let Some(known) = entry.and_then(|entry| self.lasting.get(&entry.uid, entry.version)) {
            return Ok(Some(known));
        }
        let Some(mut object) = self.client.find(gvr, namespace, name).await? else { return Ok(None) };
        object["kind"] = if kind == Kind::Secret { "Secret" } else { "ConfigMap" }.into();
        let object = Arc::new(object);
        self.lasting.keep(&object);
        Ok(Some(object))
    }

    fn resource_of(&self, kind: Kind) -> &GroupVersionResource {
        match kind {
            Kind::ConfigMap => &self.resources.config_maps,
            Kind::Secret => &self.resources.secrets,
        }
    }
}
