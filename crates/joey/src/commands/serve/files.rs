//! Files that flags name.

use hub::Error;
use std::path::Path;

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error(format!("cannot read {}: {e}", path.display())))
}

/// The text of a file, fit to be put before another.
pub(crate) fn read_all(path: &Path) -> Result<String, Error> {
    let mut text = read(path)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
