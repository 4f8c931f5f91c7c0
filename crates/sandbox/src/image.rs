//! Image names: how a runtime spells them, and which cannot be had. Nothing is ever pulled.

use crate::events::hash;

/// Why an image cannot be used.
pub struct Problem {
    /// The name makes sense, but the registry will not answer.
    pub pullable: bool,
    /// In the runtime's words.
    pub message: String,
}

/// Registries under `.invalid`, `invalid.…` and a few tags such as `404` are what people use for images that are not there;
/// names that are no image names are refused. Any other image is taken as present.
pub fn problem(image: &str) -> Option<Problem> {
    let (repository, tag) = split(image);
    let bad = image.is_empty()
        || image.contains(char::is_whitespace)
        || repository.split('/').skip(1).any(|part| part.chars().any(|c| c.is_ascii_uppercase()))
        || repository.contains("//");
    if bad {
        let message = format!(
            "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
        );
        return Some(Problem { pullable: false, message });
    }
    let host = repository.split('/').next().unwrap_or("");
    let host = host.split(':').next().unwrap_or("");
    let unreachable =
        repository.contains('/') && (host.ends_with(".invalid") || host.starts_with("invalid."));
    let full = normalized(image);
    let why = match (unreachable, ABSENT.contains(&tag.trim_start_matches(':'))) {
        (true, _) => {
            format!(
                "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": dial tcp: lookup {host}: no such host"
            )
        }
        (_, true) => {
            format!(
                "rpc error: code = NotFound desc = failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": {full}: not found"
            )
        }
        _ => return None,
    };
    Some(Problem { pullable: true, message: why })
}

/// Tags that nobody gives an image, but people and tests name when they want one that is not there.
const ABSENT: [&str; 7] =
    ["404", "non-existent", "nonexistent", "does-not-exist", "doesnotexist", "no-such-tag", "missing"];

/// Repository, and tag or digest with its separator.
fn split(image: &str) -> (&str, &str) {
    if let Some(at) = image.find('@') {
        return image.split_at(at);
    }
    let name = image.rfind('/').map_or(0, |at| at + 1);
    match image[name..].find(':') {
        Some(at) => image.split_at(name + at),
        None => (image, ""),
    }
}

/// The full name: `nginx` is `docker.io/library/nginx:latest`.
pub fn normalized(image: &str) -> String {
    let (repository, tag) = split(image);
    let first = repository.split('/').next().unwrap_or("");
    let hosted = repository.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let repository = match (hosted, repository.contains('/')) {
        (true, _) => repository.to_owned(),
        (false, true) => format!("docker.io/{repository}"),
        (false, false) => format!("docker.io/library/{repository}"),
    };
    format!("{repository}{}", if tag.is_empty() { ":latest" } else { tag })
}

/// An identity that depends on the name only.
pub fn id(image: &str) -> String {
    let full = normalized(image);
    let (repository, _) = split(&full);
    let digest: Vec<String> = (0..4).map(|i| format!("{:016x}", hash(&format!("{full}#{i}")))).collect();
    format!("{repository}@sha256:{}", digest.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_out() {
        assert_eq!(normalized("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(normalized("a/b:1"), "docker.io/a/b:1");
        assert_eq!(normalized("localhost:5000/b"), "localhost:5000/b:latest");
        assert!(id("quay.io/x/y:v1").starts_with("quay.io/x/y@sha256:"));
    }

    #[test]
    fn only_unusable_images_are_a_problem() {
        assert!(problem("nginx:1.27").is_none() && problem("localhost:5000/b").is_none());
        assert!(problem("invalid.registry.k8s.io/invalid/alpine:3.1").unwrap().pullable);
        assert!(problem("registry.invalid:5000/x").unwrap().pullable);
        assert!(!problem("docker.io/Foo").unwrap().pullable && !problem("").unwrap().pullable);
    }
}
