//! What can keep a virtual cluster from running, said so that a person knows what to do.

use object::ApiError;
use std::io::ErrorKind;
use std::path::Path;
use store::StoreError;

/// One message: what is wrong, where, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    /// A file or folder that cannot be used.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let help = match error.kind() {
            ErrorKind::PermissionDenied => ": choose another with --data-dir, or change its permissions",
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ": free some space and try again",
            ErrorKind::ReadOnlyFilesystem => ": it is read-only, choose another with --data-dir",
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                ": a file is where a folder should be, choose another with --data-dir"
            }
            ErrorKind::NotFound if doing == "make" => ": choose another with --data-dir",
            _ => "",
        };
        Self(format!("cannot {doing} {}: {error}{help}", path.display()))
    }

    /// A store that cannot be opened.
    pub fn store(folder: &Path, error: &StoreError) -> Self {
        let folder = folder.display();
        Self(match error {
            StoreError::Locked(_) => {
                format!(
                    "{folder} is in use by another joey: stop that one, or choose another folder with --data-dir"
                )
            }
            StoreError::Corrupt(what) => format!(
                "the data in {folder} is damaged ({what}); nothing was changed: restore a backup, or move the folder away to start afresh"
            ),
            other => format!("cannot use the data in {folder}: {other}{}", help(&other.to_string())),
        })
    }

    /// An API server that does not start on the store in a folder.
    pub fn start(folder: &Path, error: &ApiError) -> Self {
        let text = error.to_string();
        Self(format!("cannot start on the data in {}: {text}{}", folder.display(), help(&text)))
    }
}

/// What helps against a failure of the system that a store has put into words.
fn help(text: &str) -> &'static str {
    let says = |words: &str| text.contains(words);
    if says("No space left") || says("Disk quota exceeded") {
        ": free some space and try again"
    } else if says("Read-only file system") {
        ": choose another folder with --data-dir"
    } else if says("Permission denied") {
        ": choose another folder with --data-dir, or change its permissions"
    } else {
        ""
    }
}
