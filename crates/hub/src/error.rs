//! What can keep a virtual cluster from running, said so that a person knows what to do.

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
            std::io::ErrorKind::PermissionDenied => {
                ": choose another with --data-dir, or change its permissions"
            }
            std::io::ErrorKind::StorageFull => ": free some space and try again",
            std::io::ErrorKind::ReadOnlyFilesystem => ": it is read-only, choose another with --data-dir",
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
            other => format!("cannot use the data in {folder}: {other}"),
        })
    }
}
