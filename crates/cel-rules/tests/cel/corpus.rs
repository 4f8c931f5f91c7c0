//! Definitions of others, in a folder named by CEL_CORPUS: all their rules are accepted, as the API servers that run them do.

use object::{Path, Value};

#[test]
fn rules_of_a_corpus_are_accepted() {
    let Some(folder) = std::env::var_os("CEL_CORPUS") else {
        eprintln!("SKIPPED: CEL_CORPUS names no folder");
        return;
    };
    let (mut schemas, mut refused) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        for document in text.split("\n---") {
            let Ok(object) = serde_saphyr::from_str::<Value>(document) else { continue };
            for version in object["spec"]["versions"].as_array().into_iter().flatten() {
                schemas += 1;
                let errors =
                    cel_rules::check_rules(&version["schema"]["openAPIV3Schema"], &Path::new("schema"));
                refused
                    .extend(errors.iter().map(|e| format!("{}: {}: {}", file.display(), e.path, e.message)));
            }
        }
    }
    assert!(refused.is_empty(), "{schemas} schemas\n{}", refused.join("\n"));
}
