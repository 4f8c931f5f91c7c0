//! Which objects of a collection a list or watch shows: by namespace, name, labels and fields.

use crate::call::{Call, Target};
use kinds::selectors;
use object::{ApiError, FieldSelector, LabelSelector, Result, Value, meta};

/// A parsed selection.
pub(crate) struct Selection {
    labels: Option<LabelSelector>,
    fields: Option<FieldSelector>,
    /// The one name that can match, from the path or from `metadata.name=`.
    pub name: Option<String>,
}

impl Selection {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// `BadRequest` for what does not parse, or for fields that the kind cannot be selected by.
    pub fn new(call: &Call, target: &Target) -> Result<Self> {
        let unable = |message: String| ApiError::BadRequest(message);
        let labels = match call.query.get("labelSelector") {
            "" => None,
            text => Some(LabelSelector::parse(text).map_err(unable)?),
        };
        let fields = match call.query.get("fieldSelector") {
            "" => None,
            text => Some(FieldSelector::parse(text).map_err(|e| unable(e.to_string()))?),
        };
        if let Some(fields) = &fields {
            selectors::check(&target.resource, fields)?;
        }
        let mut name = Some(target.at.name.clone()).filter(|n| !n.is_empty());
        if let Some(wanted) = fields.as_ref().and_then(|f| f.requires_exact_match("metadata.name")) {
            name.get_or_insert_with(|| wanted.to_owned());
        }
        Ok(Self { labels, fields, name })
    }

    /// Nothing is left out, as far as selectors go.
    pub fn is_everything(&self) -> bool {
        self.labels.is_none() && self.fields.is_none() && self.name.is_none()
    }

    /// Whether `object` is shown.
    pub fn matches(&self, target: &Target, object: &Value) -> bool {
        self.name.as_deref().is_none_or(|n| meta::name(object) == n)
            && self.labels.as_ref().is_none_or(|l| l.matches_object(object))
            && self.fields.as_ref().is_none_or(|f| {
                f.matches(|field| selectors::value(&target.resource, object, field).unwrap_or_default())
            })
    }
}
