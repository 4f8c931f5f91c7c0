//! Reads one part of an encoded object without building the rest.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The `metadata.resourceVersion` of an encoded object (or bookmark), if it is a number.
pub(super) fn version_of(bytes: &[u8]) -> Option<u64> {
    part_of::<Cow<'_, str>>(bytes, &["metadata", "resourceVersion"])?.parse().ok()
}

/// What is at a path of field names, if it is there and a `T`. What comes after it is not looked at.
pub(super) fn part_of<'de, T: Deserialize<'de>>(bytes: &'de [u8], path: &[&str]) -> Option<T> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    // Finding ends the reading with an error.
    let _ = Level { path, found: &mut found, of: PhantomData }.deserialize(&mut json);
    found
}

/// Looks for the value at `path`.
struct Level<'a, 'de, T> {
    path: &'a [&'a str],
    found: &'a mut Option<T>,
    of: PhantomData<&'de ()>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Level<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.path {
            [] => {
                *self.found = Some(T::deserialize(from)?);
                Err(D::Error::custom("found"))
            }
            _ => from.deserialize_map(self),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Level<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Some((wanted, deeper)) = self.path.split_first() else { return Ok(()) };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == *wanted {
                map.next_value_seed(Level { path: deeper, found: self.found, of: PhantomData })?;
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
    use serde_json::{Value, json};

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

    #[test]
    fn a_part_is_read_as_what_it_is() {
        let text = r#"{"spec":{"nodeName":"n","volumes":[{"name":"v"}]},"status":null}"#;
        let of = |path: &[&str]| part_of::<Value>(text.as_bytes(), path);
        assert_eq!(of(&["spec", "nodeName"]), Some(json!("n")));
        assert_eq!(of(&["spec", "volumes"]), Some(json!([{"name": "v"}])));
        assert_eq!(of(&["status"]), Some(Value::Null));
        assert_eq!(of(&["status", "phase"]), None);
        assert_eq!(of(&["spec", "nodeName", "n"]), None);
        assert_eq!(part_of::<u64>(text.as_bytes(), &["spec", "nodeName"]), None);
    }
}
