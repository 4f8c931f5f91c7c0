//! Reads the version off an encoded object without reading the rest.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The `metadata.resourceVersion` of an encoded object (or bookmark), if it is a number.
pub(super) fn version_of(bytes: &[u8]) -> Option<u64> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    // Finding ends the reading with an error.
    let _ = Level { path: &["metadata", "resourceVersion"], found: &mut found }.deserialize(&mut json);
    found
}

/// Looks for the value at `path`.
struct Level<'a> {
    path: &'a [&'static str],
    found: &'a mut Option<u64>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.path {
            [] => {
                let text: Cow<'de, str> = serde::Deserialize::deserialize(from)?;
                *self.found = text.parse().ok();
                Err(D::Error::custom("found"))
            }
            _ => from.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Some((wanted, deeper)) = self.path.split_first() else { return Ok(()) };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == *wanted {
                map.next_value_seed(Level { path: deeper, found: self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_of_the_object_itself_counts() {
        let of = |text: &str| version_of(text.as_bytes());
        assert_eq!(
            of(r#"{"spec":{"resourceVersion":"1"},"metadata":{"name":"a","resourceVersion":"7"},"#),
            Some(7)
        );
        assert_eq!(
            of(r#"{"metadata":{"annotations":{"resourceVersion":"1"},"resourceVersion":"8"}}"#),
            Some(8)
        );
        assert_eq!(of(r#"{"metadata":{"name":"a"},"resourceVersion":"7"}"#), None);
        assert_eq!(of(r#"{"metadata":{"resourceVersion":"x"}}"#), None);
        assert_eq!(of(r#"{"metadata":[]}"#), None);
        assert_eq!(of(""), None);
    }
}
