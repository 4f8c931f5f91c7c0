//! Reads the descriptions of Kubernetes 1.36's types out of the source of the `k8s-openapi` crate, and packs them.
//!
//! The crate is in the workspace's dependency graph anyway (through `kube`); only its source text is needed, so that
//! this waits for no compilation. Where it is missing, there are no descriptions.

use flate2::{Compression, write::DeflateEncoder};
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let mut table = String::new();
    match source() {
        Some(source) => read_folder(&source.join("src/v1_36"), &mut table)?,
        None => println!("cargo::warning=k8s-openapi not found: kubectl explain will have no descriptions"),
    }
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?).join("descriptions.bin");
    let mut encoder = DeflateEncoder::new(fs::File::create(out)?, Compression::best());
    encoder.write_all(table.as_bytes())?;
    encoder.finish()?;
    Ok(())
}

/// The folder of the `k8s-openapi` crate.
fn source() -> Option<PathBuf> {
    // Only this platform's crates have been downloaded for sure.
    let (cargo, target) = (env::var("CARGO").ok()?, env::var("TARGET").ok()?);
    let arguments = ["metadata", "--format-version=1", "--offline", "--filter-platform", &target];
    let output = Command::new(cargo).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let manifests = text.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    manifests.map(|path| Path::new(path).parent().unwrap_or(Path::new("")).to_owned()).find(|folder| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("k8s-openapi"))
    })
}

fn read_folder(folder: &Path, table: &mut String) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            read_folder(&entry.path(), table)?;
        } else {
            read_type(&fs::read_to_string(entry.path())?, table);
        }
    }
    Ok(())
}

/// Writes `TYPE<tab>description` and `.field<tab>description` lines for one generated file.
///
/// Its JSON schema is laid out by depth: the type's own entries stand at 12 spaces, its properties at 16.
fn read_type(source: &str, table: &mut String) {
    let Some(name) = source.lines().find_map(|l| l.strip_prefix("// Generated from definition ")) else {
        return;
    };
    let Some(schema) = source.split("json_schema!(").nth(1) else { return };
    table.push_str(name);
    let mut property: Option<&str> = None;
    let mut of_type = None;
    let mut rows = Vec::new();
    for line in schema.lines() {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim_start();
        if depth == 16 && text.starts_with('"') {
            property = text.split('"').nth(1);
        }
        let Some(description) = description(text) else { continue };
        match property {
            None if depth == 12 => of_type = Some(description),
            Some(field) if depth == 20 => {
                rows.push((field, description));
                property = None;
            }
            _ => {}
        }
    }
    table.push('\t');
    table.push_str(&of_type.unwrap_or_default());
    table.push('\n');
    for (field, description) in rows {
        table.push_str(&format!(".{field}\t{description}\n"));
    }
}

/// The description a line sets, with line breaks as `\u{1}`.
fn description(line: &str) -> Option<String> {
    let rest = line
        .strip_prefix("\"description\": \"")
        .or_else(|| line.split_once("insert(\"description\".into(), \"").map(|(_, rest)| rest))?;
    let mut out = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => match chars.next()? {
                'n' => out.push('\u{1}'),
                't' => out.push(' '),
                'u' => {
                    let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                c => out.push(c),
            },
            c => out.push(c),
        }
    }
}
