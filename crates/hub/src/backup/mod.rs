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
        let mut entries =
            fs::read_dir(&folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
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
    let passing =
        ["lock", "audit.log"].contains(&name) || name.ends_with(".unfinished") || name.ends_with(".partial");
    !(passing || alone && name == crate::tenant::UID_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Expect, ListRequest, Store, Write};

    async fn create(store: &EmbeddedStore, key: &str) {
        let value = Some(vec![b'x'; 500].into());
        store.write(Write { key: key.into(), expect: Expect::Absent, value, ttl: None }).await.unwrap();
    }

    /// A folder as `joey up` makes it, with a host and a virtual cluster.
    fn data(root: &Path, stores: &Stores) -> Vec<Arc<EmbeddedStore>> {
        let open = |part: &str| {
            let folder = root.join(part);
            let store = stores.open(&folder.join(STORE), embedded::Options::default()).unwrap();
            fs::write(folder.join("ca.key"), part).unwrap();
            store
        };
        let opened = vec![open("host"), open("clusters/team/demo")];
        fs::write(root.join("clusters/team/demo").join(crate::tenant::UID_FILE), "1-2-3").unwrap();
        opened
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_folder_in_use_is_backed_up_through_its_socket_while_writes_go_on() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, file) = (scratch.path().join("data"), scratch.path().join("backup.tar"));
        let stores = Stores::new();
        let opened = data(&root, &stores);
        let _lock = FolderLock::take(&root).unwrap();
        let _socket = BackupSocket::listen(&root, stores.clone()).unwrap();
        for number in 0..100 {
            create(&opened[0], &format!("/before/{number}")).await;
        }
        let churn = tokio::spawn({
            let store = opened[0].clone();
            async move {
                for number in 0..300 {
                    create(&store, &format!("/during/{number:03}")).await;
                }
            }
        });
        let summary = backup(&root, None, &file).await.unwrap();
        assert_eq!(summary.stores, 2);
        churn.await.unwrap();
        let last = opened[0].revision();
        let refused = backup(&root, None, &file).await.unwrap_err().0;
        assert!(refused.contains("exists already"), "{refused}");
        assert!(
            !fs::read_dir(scratch.path())
                .unwrap()
                .flatten()
                .any(|e| e.path().to_string_lossy().contains("partial"))
        );

        let restored = scratch.path().join("restored");
        assert_eq!(restore(&file, &restored).unwrap(), summary);
        assert_eq!(fs::read_to_string(restored.join("host/ca.key")).unwrap(), "host");
        let store =
            EmbeddedStore::open(restored.join("host").join(STORE), embedded::Options::default()).unwrap();
        let count = |prefix: &'static str| store.count(prefix);
        assert_eq!(count("/before/").await, Ok(100));
        let during = store
            .list(ListRequest { prefix: "/during/".into(), ..Default::default() })
            .await
            .unwrap()
            .entries;
        let expected: Vec<_> = (0..during.len()).map(|number| format!("/during/{number:03}")).collect();
        assert_eq!(
            during.iter().map(|e| e.key.to_string()).collect::<Vec<_>>(),
            expected,
            "as of one moment"
        );
        assert!(store.revision() > last, "revisions do not go back");
        let refused = restore(&file, &restored).unwrap_err().0;
        assert!(refused.contains("data already"), "{refused}");
        assert_eq!(count("/before/").await, Ok(100));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_virtual_cluster_goes_from_one_folder_to_another() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, file) = (scratch.path().join("data"), scratch.path().join("demo.tar"));
        let opened = data(&root, &Stores::new());
        create(&opened[1], "/a").await;
        drop(opened);
        let part = part_of("team/demo").unwrap();
        assert_eq!(backup(&root, Some(&part), &file).await.unwrap().stores, 1);
        let other = scratch.path().join("other");
        let _busy = FolderLock::take(&other).unwrap();
        fs::write(other.join("kubeconfig"), "theirs").unwrap();
        restore(&file, &other).unwrap();
        let store = EmbeddedStore::open(other.join(&part).join(STORE), embedded::Options::default()).unwrap();
        assert_eq!(store.count("/a").await, Ok(1));
        assert!(
            !other.join(&part).join(crate::tenant::UID_FILE).exists(),
            "whichever object asks for it gets it"
        );
        assert_eq!(fs::read_to_string(other.join("kubeconfig")).unwrap(), "theirs");
        let refused = restore(&file, &other).unwrap_err().0;
        assert!(refused.contains("exists already"), "{refused}");
        for wrong in ["demo", "../demo", "a/b/c", "/demo"] {
            assert!(part_of(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_whole_is_not_restored() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, file) = (scratch.path().join("data"), scratch.path().join("backup.tar"));
        let opened = data(&root, &Stores::new());
        create(&opened[0], "/a").await;
        drop(opened);
        backup(&root, None, &file).await.unwrap();
        let whole = fs::read(&file).unwrap();
        let to = scratch.path().join("restored");
        // What follows the last entry is padding.
        for length in (0..whole.len() - 2_048).step_by(whole.len() / 23) {
            fs::write(&file, &whole[..length]).unwrap();
            let refused = restore(&file, &to).unwrap_err().0;
            assert!(refused.contains("backup") && !to.exists(), "{length}: {refused}");
        }
        let mut evil = tar::Builder::new(fs::File::create(&file).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_cksum();
        evil.append_data(&mut header, "joey-backup.json", &b"{}"[..]).unwrap();
        evil.into_inner().unwrap();
        assert!(restore(&file, &to).unwrap_err().0.contains("newer joey"));
        let nothing = scratch.path().join("nothing");
        fs::create_dir(&nothing).unwrap();
        assert!(
            backup(&nothing, None, &scratch.path().join("x")).await.unwrap_err().0.contains("holds no data")
        );
        assert!(!scratch.path().join("x").exists());
    }
}
