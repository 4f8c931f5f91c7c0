//! Backup of a data folder, or of one virtual cluster in it, to a file, and restore.
//!
//! The file is a tar archive of the folder's small files as they are and of each store as of one revision, so that it can be
//! looked into with any tool. A first entry says what it is and a last one that it is whole. Nothing that exists is
//! overwritten, neither by a backup nor by a restore, and what is half done has another name.

mod archive;
mod restore;
mod socket;

use crate::{Error, FolderLock, Stores};
use archive::Archive;
pub use restore::restore;
use serde_json::{Value, json};
pub use socket::BackupSocket;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::embedded::{self, EmbeddedStore};

/// The folder of a store, which is backed up by itself.
const STORE: &str = "store";
/// What a folder is deep at most: `clusters/NAMESPACE/NAME/store`.
const DEEPEST: usize = 6;

/// What a backup or a restore came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Control planes.
    pub stores: usize,
    /// Bytes of the archive's contents.
    pub bytes: u64,
}

impl Summary {
    fn to_value(self) -> Value {
        json!({"stores": self.stores, "bytes": self.bytes})
    }

    fn read(value: &Value) -> Option<Self> {
        let stores = usize::try_from(value["stores"].as_u64()?).ok()?;
        Some(Self { stores, bytes: value["bytes"].as_u64()? })
    }
}

/// The part of a data folder that is one virtual cluster's, of which `NAMESPACE/NAME` is given.
///
/// # Errors
/// When that is not what is given.
pub fn part_of(cluster: &str) -> Result<PathBuf, Error> {
    let names: Vec<&str> = cluster.split('/').collect();
    let plain = |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains('\\');
    match names.as_slice() {
        [namespace, name] if [namespace, name].into_iter().all(plain) => {
            Ok(Path::new("clusters").join(namespace).join(name))
        }
        _ => Err(Error(format!("{cluster:?} is not a virtual cluster: give NAMESPACE/NAME"))),
    }
}

/// Writes a backup of the data folder `root`, or of a part of it, to the file `to`. When a joey serves the folder, it does
/// that and goes on; otherwise this process does.
///
/// # Errors
/// When something cannot be read or written, or the file exists.
pub async fn backup(root: &Path, part: Option<&Path>, to: &Path) -> Result<Summary, Error> {
    let to = std::path::absolute(to).map_err(|e| Error::file("use", to, &e))?;
    if !root.is_dir() {
        return Err(Error(format!("there is no folder {}: give one with --data-dir", root.display())));
    }
    if let Some(answer) = socket::ask(root, part, &to).await? {
        return Ok(answer);
    }
    let _lock = FolderLock::take(root)?;
    write(root, part, &to, &Stores::new()).await
}

/// Writes a backup. Stores that this process has open go on.
pub(crate) async fn write(
    root: &Path,
    part: Option<&Path>,
    to: &Path,
    stores: &Arc<Stores>,
) -> Result<Summary, Error> {
    let (root, part, to) = (root.to_owned(), part.map(Path::to_owned), to.to_owned());
    let (stores, runtime) = (stores.clone(), tokio::runtime::Handle::current());
    let writing = tokio::task::spawn_blocking(move || {
        let from = part.as_ref().map_or(root.clone(), |part| root.join(part));
        if !from.is_dir() {
            return Err(Error(format!("there is nothing at {}", from.display())));
        }
        let mut archive = Archive::create(&to, &root)?;
        let mut found = 0;
        for path in files(&from, part.is_some())? {
            if path.file_name().is_some_and(|name| name == STORE) && path.is_dir() {
                found += 1;
                let copy = archive.beside("store");
                let copied = runtime.block_on(copy_store(&path, &copy, &stores));
                let added = copied.and_then(|()| archive.add(&copy, &path.join(embedded::FILE)));
                let _ = fs::remove_file(&copy);
                added?;
            } else {
                archive.add(&path, &path)?;
            }
        }
        if found == 0 {
            return Err(Error(format!(
                "{} holds no data: what joey keeps in etcd is backed up with etcd's own tools",
                from.display()
            )));
        }
        archive.finish(found)
    });
    writing.await.map_err(|e| Error(e.to_string()))?
}

/// A copy of the store in a folder, as of one revision.
async fn copy_store(folder: &Path, to: &Path, stores: &Stores) -> Result<(), Error> {
    let failed = |e| Error::store(folder, &e);
    let store = match stores.find(folder) {
        Some(store) => store,
        None => EmbeddedStore::open(folder, embedded::Options::default()).map_err(failed)?,
    };
    store.backup(to).await.map(drop).map_err(failed)
}

/// What a backup of `from` holds: small files, and folders of stores. `alone`: of one virtual cluster, which may come back
/// as that of another VirtualCluster object.
fn files(from: &Path, alone: bool) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![];
    let mut folders = vec![(from.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let failed = |e: std::io::Error| Error::file("read", &folder, &e);
        let mut entries = fs::read_dir(&folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            let name = entry.file_name();
            if kind.is_dir() && name == STORE {
                if path.join(embedded::FILE).exists() {
                    found.push(path);
                }
            } else if kind.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
            } else if kind.is_file() && belongs(&name.to_string_lossy(), alone) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn belongs(name: &str, alone: bool) -> bool {
    let passing = ["lock", "audit.log"].contains(&name) || name.ends_with(".unfinished") || name.ends_with(".partial");
    !passing && !(alone && name == crate::tenant::UID_FILE)
}
