//! Which crate stands on which layer. Dependencies point down or sideways, never up.

use crate::process::{cargo, output};
use serde_json::Value;

/// From the ground up. Tests may look one way only as well: a crate that tests itself against an API server (`api` as a
/// development dependency) stands above it.
pub(crate) const LAYERS: [(&str, &[&str]); 8] = [
    ("vocabulary", &["object"]),
    (
        "pure",
        &[
            "schema",
            "kinds",
            "descriptions",
            "validation",
            "openapi",
            "cel-rules",
            "merge",
            "access",
            "translate",
        ],
    ),
    ("engines", &["audit", "store", "client", "node"]),
    ("semantics", &["api"]),
    (
        "edges",
        &["outbound", "http-server", "hostclient", "controllers", "syncer", "sandbox", "deploy", "dns"],
    ),
    ("wiring", &["hub"]),
    ("top", &["joey"]),
    ("around", &["e2e", "bench", "fuzz", "xtask"]),
];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, crates)| crates.contains(&name))
}

/// Prints the layers; the problems found.
pub(crate) fn check() -> Result<Vec<String>, String> {
    for (name, crates) in LAYERS.iter().rev() {
        println!("{name:>12}  {}", crates.join(" "));
    }
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let mut problems = vec![];
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or("?");
        let Some(own) = layer(name) else {
            problems.push(format!("crate {name} has no layer: add it to LAYERS in xtask/src/layers.rs"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter_map(|d| d["name"].as_str()) {
            if layer(dependency).is_some_and(|other| other > own) {
                problems.push(format!("{name} depends on {dependency}, which is on a layer above it"));
            }
        }
    }
    Ok(problems)
}
