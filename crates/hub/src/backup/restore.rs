//! Restore: an archive becomes a data folder, or a virtual cluster in one, that was not there before.

use super::archive::{FIRST, LAST, VERSION};
use super::{STORE, Summary};
use crate::{Error, FolderLock};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use store::embedded::{self, EmbeddedStore};

/// Longest first and last entry.
const SHORT: u64 = 64 << 10;

/// Makes the data folder `root` of an archive, or, when that holds one virtual cluster, the folder of that in `root`. All of
/// it is checked before anything gets its name. Blocks on the disk.
///
/// # Errors
/// When the archive cannot be read or is not whole, or there is something in its place already.
pub fn restore(from: &Path, root: &Path) -> Result<Summary, Error> {
    let unpacked = Unpacked(
        root.with_file_name(format!(".{}.restoring", root.file_name().unwrap_or_default().to_string_lossy())),
    );
    let _ = fs::remove_dir_all(&unpacked.0);
    fs::create_dir_all(&unpacked.0).map_err(|e| Error::file("make", &unpacked.0, &e))?;
    let summary = unpack(from, &unpacked.0)?;
    match only_cluster(&unpacked.0) {
        Some(part) => take_place(&unpacked.0.join(&part), &root.join(&part))?,
        None => take_folder(&unpacked.0, root)?,
    }
    Ok(summary)
}

/// Removed with the value, unless it got its place.
struct Unpacked(PathBuf);

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unpack(from: &Path, to: &Path) -> Result<Summary, Error> {
    let damaged = |what: &str| Error(format!("{} is not a whole backup of joey: {what}", from.display()));
    let file = File::open(from).map_err(|e| Error::file("read", from, &e))?;
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().map_err(|e| damaged(&e.to_string()))?;
    let (mut begun, mut summary, mut told) = (false, Summary::default(), None);
    for entry in &mut entries {
        let mut entry = entry.map_err(|e| damaged(&e.to_string()))?;
        let name = entry.path().map_err(|e| damaged(&e.to_string()))?.into_owned();
        let special = |entry: &mut dyn Read| {
            let mut text = String::new();
            entry.take(SHORT).read_to_string(&mut text).map_err(|e| damaged(&e.to_string()))?;
            serde_json::from_str::<Value>(&text).map_err(|e| damaged(&e.to_string()))
        };
        match name.to_str() {
            Some(FIRST) => {
                let version = special(&mut entry)?["version"].as_u64();
                if version != Some(VERSION) {
                    return Err(damaged("it was made by a newer joey"));
                }
                begun = true;
            }
            _ if !begun => return Err(damaged("it begins differently")),
            Some(LAST) => told = Summary::read(&special(&mut entry)?),
            _ => {
                let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
                if !plain || !entry.header().entry_type().is_file() || told.is_some() {
                    return Err(damaged(&format!("{} has no place in it", name.display())));
                }
                summary.bytes += entry.size();
                summary.stores += usize::from(put(&mut entry, &to.join(&name)).map_err(|e| match e {
                    Put::Read(e) => damaged(&e.to_string()),
                    Put::Other(e) => e,
                })?);
            }
        }
    }
    if told != Some(summary) { Err(damaged("its end is missing")) } else { Ok(summary) }
}

enum Put {
    Read(std::io::Error),
    Other(Error),
}

/// Writes an entry to its place; says whether it is a store.
fn put(entry: &mut impl Read, to: &Path) -> Result<bool, Put> {
    let other = |e| Put::Other(Error::file("write", to, &e));
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(other)?;
    let is_store = folder.ends_with(STORE) && to.ends_with(embedded::FILE);
    let written = if is_store { folder.with_extension("backup") } else { to.to_owned() };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&written).map_err(other)?;
    // What fails here is the archive, or the disk: the error says which.
    std::io::copy(entry, &mut file).map_err(Put::Read)?;
    file.sync_all().map_err(other)?;
    if is_store {
        let restored = EmbeddedStore::restore(&written, folder);
        restored.map_err(|e| Put::Other(Error(format!("the backup's {}: {e}", to.display()))))?;
        fs::remove_file(&written).map_err(other)?;
    }
    Ok(is_store)
}

/// The one virtual cluster that an archive without a host holds.
fn only_cluster(unpacked: &Path) -> Option<PathBuf> {
    let only = |folder: &Path| {
        let mut entries = fs::read_dir(folder).ok()?.flatten();
        let first = entries.next()?;
        entries.next().is_none().then(|| first.file_name())
    };
    let clusters = only(unpacked).filter(|name| name == "clusters")?;
    let namespace = only(&unpacked.join(&clusters))?;
    let name = only(&unpacked.join(&clusters).join(&namespace))?;
    Some(Path::new(&clusters).join(namespace).join(name))
}

fn take_place(made: &Path, place: &Path) -> Result<(), Error> {
    let failed = |e| Error::file("make", place, &e);
    if place.exists() {
        let place = place.display();
        return Err(Error(format!("{place} exists already: delete the virtual cluster, or move it away")));
    }
    fs::create_dir_all(place.parent().unwrap_or(place)).map_err(failed)?;
    fs::rename(made, place).map_err(failed)
}

/// Gives what was made the name of a folder that is empty or absent.
fn take_folder(made: &Path, root: &Path) -> Result<(), Error> {
    let failed = |e| Error::file("make", root, &e);
    if root.exists() {
        let lock = FolderLock::take(root)?;
        let others = fs::read_dir(root).map_err(failed)?.flatten().any(|entry| entry.file_name() != "lock");
        if others {
            return Err(Error(format!(
                "{} has data already: nothing was changed; choose another folder with --data-dir",
                root.display()
            )));
        }
        drop(lock);
        let _ = fs::remove_file(root.join("lock"));
    }
    fs::rename(made, root).map_err(failed)
}
