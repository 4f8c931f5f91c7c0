//! The targets by name, and how they take their input apart.

use crate::{credentials, expressions, objects, patches, requests, sessions, values};

/// What is done with an input. It panics when it finds something.
pub(crate) type Run = fn(&[u8]);

/// Every target. Each has a folder of inputs to begin with under `seeds/`.
pub(crate) const ALL: [(&str, Run); 17] = [
    ("audit-policy", values::audit_policy),
    ("cel", expressions::cel),
    ("cel-functions", expressions::cel_functions),
    ("certificates", credentials::certificates),
    ("crd-schema", expressions::crd_schema),
    ("fields", patches::fields),
    ("json", objects::json),
    ("kubeconfig", credentials::kubeconfig),
    ("patch", patches::patch),
    ("protobuf", objects::protobuf),
    ("requests", requests::requests),
    ("schedules", values::schedules),
    ("selectors", values::selectors),
    ("sessions", sessions::sessions),
    ("streams", values::streams),
    ("tokens", credentials::tokens),
    ("values", values::values),
];

/// The target that `FUZZ_TARGET` names.
pub(crate) fn chosen() -> Run {
    static CHOSEN: std::sync::OnceLock<Run> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = ALL.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("FUZZ_TARGET names no target: {name:?}")).1
    })
}

/// The first line, and what follows it.
pub(crate) fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// The input as text, if it is.
pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_target_takes_its_seeds_whole_and_cut_short() {
        for (name, run) in ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let files: Vec<_> = std::fs::read_dir(&folder).expect(name).map(|f| f.unwrap().path()).collect();
            assert!(!files.is_empty(), "{name} has nothing to begin with");
            for file in files {
                let seed = std::fs::read(file).unwrap();
                run(&seed);
                run(&seed[..seed.len() / 2]);
                run(&seed[seed.len() / 3..]);
            }
        }
    }
}
