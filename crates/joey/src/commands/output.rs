//! Tables and other forms that objects are printed in.

use crate::telling::{self, say};
use clap::ValueEnum;
use hub::Error;
use object::{Value, json, meta};

/// `-o`
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Wide,
    Json,
    Yaml,
    Name,
}

/// Prints one object in a form other than a description; `false` when that is wanted.
pub(crate) fn object(object: &Value, format: Option<Format>) -> Result<bool, Error> {
    match format {
        None | Some(Format::Wide) => return Ok(false),
        Some(Format::Name) => say!("virtualcluster.joey.dev/{}", meta::name(object)),
        Some(Format::Json) => say!("{object:#}"),
        Some(Format::Yaml) => {
            telling::text(&serde_saphyr::to_string(object).map_err(|e| Error(e.to_string()))?);
        }
    }
    Ok(true)
}

/// Prints objects in a form other than a table; `false` when a table is wanted.
pub(crate) fn objects(objects: &[Value], format: Option<Format>) -> Result<bool, Error> {
    match format {
        None | Some(Format::Wide) => return Ok(false),
        Some(Format::Name) => {
            for object in objects {
                say!("virtualcluster.joey.dev/{}", meta::name(object));
            }
        }
        Some(Format::Json) => say!("{:#}", as_list(objects)),
        Some(Format::Yaml) => {
            telling::text(&serde_saphyr::to_string(&as_list(objects)).map_err(|e| Error(e.to_string()))?);
        }
    }
    Ok(true)
}

fn as_list(objects: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// Prints rows under headings, aligned as kubectl does.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = (0..headings.len())
        .map(|i| rows.iter().map(|r| r[i].chars().count()).chain([headings[i].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        say!("{}", padded.join("   ").trim_end());
    };
    line(headings.to_vec());
    rows.iter().for_each(|r| line(r.iter().map(String::as_str).collect()));
}
