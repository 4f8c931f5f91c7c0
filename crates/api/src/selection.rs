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
        Self::parse(call)?.of(target)
    }

    /// Reads the selectors, of whatever kind.
    pub(crate) fn parse(call: &Call) -> Result<Self> {
        let labels = match call.query.get("labelSelector") {
            "" => None,
            text => Some(LabelSelector::parse(text).map_err(ApiError::BadRequest)?),
        };
        let fields = match call.query.get("fieldSelector") {
            "" => None,
            text => Some(FieldSelector::parse(text).map_err(ApiError::BadRequest)?),
        };
        // A term without field and value says nothing.
        let said = |f: FieldSelector| {
            let terms =
                f.requirements().iter().filter(|r| !(r.equal && r.field.is_empty() && r.value.is_empty()));
            FieldSelector::of(terms.cloned().collect())
        };
        Ok(Self { labels, fields: fields.map(said).filter(|f| !f.is_empty()), name: None })
    }

    /// The selection among the objects of `target`.
    pub(crate) fn of(mut self, target: &Target) -> Result<Self> {
        if let Some(fields) = &self.fields {
            selectors::check(&target.resource, fields)?;
        }
        let asked = self.fields.as_ref().and_then(|f| f.requires_exact_match("metadata.name"));
        let path = target.at.name.as_str();
        if !path.is_empty() && self.fields.is_some() && asked != Some(path) {
            let why = "fieldSelector metadata.name doesn't match requested name";
            return Err(ApiError::BadRequest(why.into()));
        }
        self.name = Some(path).filter(|n| !n.is_empty()).or(asked).map(str::to_owned);
        Ok(self)
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
