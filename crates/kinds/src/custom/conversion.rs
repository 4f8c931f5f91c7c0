//! How objects of a definition get from one of its versions to another.

use super::CustomSchema;
use object::Value;
use std::sync::Arc;

/// The versions of a definition, and who converts between them.
#[derive(Debug)]
pub struct Conversion {
    /// The definition's name.
    pub definition: String,
    /// Every version, served or not, with its schema.
    versions: Vec<(String, Arc<CustomSchema>)>,
    /// `strategy: Webhook`; without one only `apiVersion` changes.
    pub webhook: Option<ConversionWebhook>,
}

/// `spec.conversion.webhook`.
#[derive(Debug)]
pub struct ConversionWebhook {
    /// `clientConfig`: a url or a service, and the CA to trust.
    pub client_config: Value,
    /// Versions of `ConversionReview` that the webhook understands, best first.
    pub review_versions: Vec<String>,
}

impl Conversion {
    /// As a definition has it.
    pub fn of(definition: &Value) -> Self {
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array().into_iter().flatten().map(|version| {
            let schema = CustomSchema::of(&version["schema"]["openAPIV3Schema"]);
            (super::text(&version["name"]).to_owned(), schema)
        });
        let conversion = &spec["conversion"];
        let webhook = (conversion["strategy"] == "Webhook").then(|| ConversionWebhook {
            client_config: conversion["webhook"]["clientConfig"].clone(),
            review_versions: super::words(&conversion["webhook"]["conversionReviewVersions"]),
        });
        Self {
            definition: super::text(&definition["metadata"]["name"]).to_owned(),
            versions: versions.collect(),
            webhook,
        }
    }

    /// The schema of `version`; `None` when the definition has no such version.
    pub fn schema(&self, version: &str) -> Option<&Arc<CustomSchema>> {
        self.versions.iter().find(|(name, _)| name == version).map(|(_, schema)| schema)
    }
}
