//! What the fields of Kubernetes' types are for, in upstream's words: for `kubectl explain`.
//!
//! The texts are those of the `k8s-openapi` crate, read from its source when this is built. They stay packed until asked for, and are
//! not kept: who asks holds the [`Descriptions`] as long as needed.

use flate2::read::DeflateDecoder;
use std::collections::HashMap;
use std::io::Read;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.bin"));

/// Unpacked descriptions.
#[derive(Debug, Default)]
pub struct Descriptions {
    text: String,
    /// Where each type's lines start and end.
    types: HashMap<String, (usize, usize)>,
}

/// The descriptions of one type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a>(&'a str);

impl Descriptions {
    /// Unpacks all of them (a megabyte, some milliseconds).
    pub fn unpack() -> Self {
        let mut text = String::new();
        // The table is part of the program; were it broken, there would be no descriptions.
        if DeflateDecoder::new(PACKED).read_to_string(&mut text).is_err() {
            return Self::default();
        }
        let mut types = HashMap::new();
        let mut at = 0;
        let mut open: Option<(&str, usize)> = None;
        for line in text.split_inclusive('\n') {
            if !line.starts_with('.') {
                if let Some((name, start)) = open {
                    types.insert(name.to_owned(), (start, at));
                }
                open = line.split_once('\t').map(|(name, _)| (name, at));
            }
            at += line.len();
        }
        if let Some((name, start)) = open {
            types.insert(name.to_owned(), (start, at));
        }
        Self { text, types }
    }

    /// Those of a type such as `io.k8s.api.core.v1.Pod`.
    pub fn of(&self, name: &str) -> Option<Type<'_>> {
        self.types.get(name).map(|&(from, to)| Type(&self.text[from..to]))
    }
}

impl Type<'_> {
    /// What the type is; empty when nothing is said.
    pub fn description(self) -> String {
        self.0
            .lines()
            .next()
            .and_then(|line| line.split_once('\t'))
            .map(|(_, text)| spell(text))
            .unwrap_or_default()
    }

    /// The fields that are described, and how.
    pub fn fields(self) -> impl Iterator<Item = (String, String)> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.strip_prefix('.')?.split_once('\t'));
        lines.map(|(field, text)| (field.to_owned(), spell(text))).collect::<Vec<_>>().into_iter()
    }
}

fn spell(text: &str) -> String {
    text.replace('\u{1}', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_described() {
        let all = Descriptions::unpack();
        let spec = all.of("io.k8s.api.core.v1.PodSpec").expect("described");
        assert!(spec.description().starts_with("PodSpec is a description of a pod"));
        let fields: HashMap<String, String> = spec.fields().collect();
        for field in ["containers", "affinity", "restartPolicy", "hostNetwork", "nodeSelector"] {
            assert!(fields.get(field).is_some_and(|text| text.len() > 10), "{field}");
        }
        let pod = all.of("io.k8s.api.core.v1.Pod").expect("described");
        assert_eq!(
            pod.fields().map(|(field, _)| field).collect::<Vec<_>>(),
            ["apiVersion", "kind", "metadata", "spec", "status"]
        );
        assert!(all.types.len() > 600, "{}", all.types.len());
        assert!(all.of("io.k8s.api.core.v1.Nope").is_none());
    }
}
