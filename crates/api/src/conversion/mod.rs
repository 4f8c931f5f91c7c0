//! Objects between the version they are kept in and the one they are asked for in.
//!
//! Built-in kinds and custom ones without a webhook convert at once; the rest ask the webhook of their definition, many
//! objects at a time. Whatever comes of it is pruned and defaulted by the schema of its version.

mod learned;
mod review;

pub(crate) use learned::{Learned, lookup, with_conversions};

use crate::call::Target;
use crate::{Api, codec, outbound, stored};
use kinds::Resource;
use kinds::custom::{Conversion, ConversionWebhook, CustomVersion};
use object::{ApiError, GroupVersionKind, Result, Value};
use review::{Asked, Refusal};
use std::time::{Duration, Instant};
use store::Entry;

/// How long a webhook may take; more is not to be had by configuration.
const TIMEOUT_SECONDS: u64 = 30;
/// So many objects are sent to a webhook at a time.
const BATCH: usize = 500;

/// The webhook that converts objects of a resource, if one does.
pub(crate) fn webhook(resource: &Resource) -> Option<(&Conversion, &ConversionWebhook)> {
    let conversion = &resource.definition.as_deref()?.conversion;
    Some((conversion, conversion.webhook.as_ref()?))
}

impl Api {
    /// A stored object in the version `target` asks for.
    pub(crate) async fn read(&self, target: &Target, entry: &Entry) -> Result<Value> {
        self.present(target, decode(entry)?).await
    }

    /// As [`Api::read`], of an object that no webhook has to convert.
    pub(crate) fn read_at_once(&self, target: &Target, entry: &Entry) -> Result<Value> {
        let mut object = decode(entry)?;
        at_once(&target.resource, &mut object, &target.resource.gvk())?;
        Ok(completed(target, object))
    }

    /// Stored objects in the version `target` asks for.
    pub(crate) async fn read_all(&self, target: &Target, entries: &[Entry]) -> Result<Vec<Value>> {
        let objects = entries.iter().map(decode).collect::<Result<Vec<_>>>()?;
        let converted = self.convert(&target.resource, objects, &target.resource.gvk()).await?;
        Ok(converted.into_iter().map(|object| completed(target, object)).collect())
    }

    /// An object of any version, as `target`'s version shows it.
    pub(crate) async fn present(&self, target: &Target, object: Value) -> Result<Value> {
        let object = self.convert_one(&target.resource, object, &target.resource.gvk()).await?;
        Ok(completed(target, object))
    }

    /// An object of `target`'s version in the version it is kept in.
    pub(crate) async fn to_storage(&self, target: &Target, object: Value) -> Result<Value> {
        let resource = &target.resource;
        self.convert_one(resource, object, &resource.storage_version.kind(&resource.kind)).await
    }

    /// `object` as `kind`, one of the versions of `resource`.
    pub(crate) async fn convert_one(
        &self,
        resource: &Resource,
        mut object: Value,
        kind: &GroupVersionKind,
    ) -> Result<Value> {
        if webhook(resource).is_none() {
            at_once(resource, &mut object, kind)?;
            return Ok(object);
        }
        let converted = self.convert(resource, vec![object], kind).await?;
        converted.into_iter().next().ok_or_else(|| ApiError::Internal("nothing was converted".into()))
    }

    /// `objects` as `kind`, one of the versions of `resource`.
    async fn convert(
        &self,
        resource: &Resource,
        mut objects: Vec<Value>,
        kind: &GroupVersionKind,
    ) -> Result<Vec<Value>> {
        let Some((conversion, webhook)) = webhook(resource) else {
            for object in &mut objects {
                at_once(resource, object, kind)?;
            }
            return Ok(objects);
        };
        let wanted = kind.api_version();
        let other = |object: &Value| object["apiVersion"] != wanted.as_str();
        // Those that come from one version are asked for together.
        let mut places: Vec<usize> = (0..objects.len()).filter(|i| other(&objects[*i])).collect();
        places.sort_by_cached_key(|i| objects[*i]["apiVersion"].as_str().map(str::to_owned));
        let groups = places.chunk_by(|a, b| objects[*a]["apiVersion"] == objects[*b]["apiVersion"]);
        let groups: Vec<Vec<usize>> = groups.flat_map(|g| g.chunks(BATCH)).map(<[_]>::to_vec).collect();
        for group in groups {
            let taken: Vec<Value> = group.iter().map(|i| objects[*i].take()).collect();
            let converted = self.ask(conversion, webhook, taken, kind).await?;
            for (place, mut object) in group.into_iter().zip(converted) {
                pruned(conversion, &mut object, kind);
                objects[place] = object;
            }
        }
        Ok(objects)
    }

    /// Asks the webhook, and counts.
    async fn ask(
        &self,
        conversion: &Conversion,
        webhook: &ConversionWebhook,
        mut objects: Vec<Value>,
        kind: &GroupVersionKind,
    ) -> Result<Vec<Value>> {
        let from = objects.first().and_then(|o| o["apiVersion"].as_str()).unwrap_or("").to_owned();
        let from = from.rsplit('/').next().unwrap_or("");
        for version in [from, kind.version.as_str()] {
            if conversion.schema(version).is_none() {
                let way = if version == from { "from" } else { "to" };
                let group = &kind.group;
                return Err(crate::failure::plain(format!(
                    "request to convert CR {way} an invalid group/version: {group}/{version}"
                )));
            }
        }
        if objects.iter().all(review::is_empty) {
            objects.iter_mut().for_each(|object| object::meta::set_gvk(object, kind));
            return Ok(objects);
        }
        let began = Instant::now();
        let answer = self.exchange(webhook, &objects, kind).await;
        let failure = answer.as_ref().err().map(|(kind, _)| *kind);
        let versions = (from, kind.version.as_str());
        self.metrics.hooks().converted(&conversion.definition, versions, failure, began.elapsed());
        answer.map_err(|(_, why)| crate::failure::plain(why))
    }

    async fn exchange(
        &self,
        webhook: &ConversionWebhook,
        objects: &[Value],
        kind: &GroupVersionKind,
    ) -> std::result::Result<Vec<Value>, Refusal> {
        const UNREACHED: &str = "conversion_webhook_call_failure";
        let version = review::version(&webhook.review_versions)
            .ok_or_else(|| (UNREACHED, "no supported conversion review versions".to_owned()))?;
        let uid = uuid::Uuid::new_v4().to_string();
        let asked = Asked { version, uid: &uid, to: kind, objects };
        let unreached =
            |why: String| (UNREACHED, format!("conversion webhook for {} failed: {why}", asked.subject()));
        let to = outbound::webhook(self, &webhook.client_config, TIMEOUT_SECONDS).await.map_err(unreached)?;
        let question = review::request(version, &uid, &kind.api_version(), objects.to_vec());
        let answer =
            self.post(to, &question, Duration::from_secs(TIMEOUT_SECONDS)).await.map_err(unreached)?;
        let answer = outbound::parse(&answer).map_err(unreached)?;
        let known = ["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"];
        match outbound::unregistered(&answer, "ConversionReview", &known) {
            Some(why) => Err(unreached(why)),
            None => asked.converted(answer),
        }
    }
}

fn decode(entry: &Entry) -> Result<Value> {
    stored::decode(entry).ok_or_else(|| ApiError::Internal(format!("{} cannot be decoded", entry.key)))
}

/// Converts without asking anybody.
fn at_once(resource: &Resource, object: &mut Value, kind: &GroupVersionKind) -> Result<()> {
    let converted = codec::convert(object, kind)?;
    if converted && let Some(custom) = resource.definition.as_deref() {
        pruned(&custom.conversion, object, kind);
    }
    Ok(())
}

/// What the version does not know is lost, as its schema has it.
fn pruned(conversion: &Conversion, object: &mut Value, kind: &GroupVersionKind) {
    if let Some(schema) = conversion.schema(&kind.version) {
        schema::custom::prune(schema.reference().get(), object);
    }
}

/// A custom object has the defaults of its version.
fn completed(target: &Target, mut object: Value) -> Value {
    if target.resource.definition.as_deref().is_some_and(has_defaults) {
        codec::default_custom(&target.resource, &mut object);
    }
    object
}

fn has_defaults(custom: &CustomVersion) -> bool {
    custom.schema.has_defaults()
}

/// An object of the pipeline, which holds custom ones in the version of the request, as that version shows it.
pub(crate) fn shown(target: &Target, mut object: Value) -> Result<Value> {
    // The options of a connection are of a kind of their own.
    if !target.resource.custom && object["kind"] == *target.resource.kind {
        codec::convert(&mut object, &target.resource.gvk())?;
    }
    Ok(object)
}
