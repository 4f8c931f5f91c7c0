//! A data folder belongs to one process at a time. Taken before anything in it is read or changed, so that a second joey
//! leaves everything as it was.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// Held for as long as the folder is in use; the system lets go of it when the process ends, however it ends.
pub struct FolderLock {
    _file: File,
}

/// Says which process uses the folder.
const FILE: &str = "lock";

impl FolderLock {
    /// Makes the folder if it is absent, and takes it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be made or written.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|e| Error::file("make", folder, &e))?;
        let path = folder.join(FILE);
        let failed = |e: std::io::Error| Error::file("use", folder, &e);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // For the message only: a full disk is noticed where it matters.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn in_use(folder: &Path, mut file: File) -> Error {
    let mut text = String::new();
    let known = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    let who = known.map(|process| format!(" (process {process})")).unwrap_or_default();
    Error(format!(
        "{} is in use by another joey{who}: stop that one, or choose another folder with --data-dir",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_process_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let held = FolderLock::take(&path).unwrap();
        let Err(refused) = FolderLock::take(&path) else { panic!("taken twice") };
        assert!(refused.0.contains(&format!("another joey (process {})", std::process::id())), "{refused}");
        drop(held);
        assert!(FolderLock::take(&path).is_ok());
    }
}
