//! The archive while it is written, under another name than it gets in the end.

use super::Summary;
use crate::Error;
use serde_json::json;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// First: what the file is.
pub(super) const FIRST: &str = "joey-backup.json";
/// Last: that it is whole, and what it holds.
pub(super) const LAST: &str = "joey-backup-end.json";
/// The format.
pub(super) const VERSION: u64 = 1;

pub(super) struct Archive {
    root: PathBuf,
    to: PathBuf,
    partial: PathBuf,
    builder: tar::Builder<File>,
    bytes: u64,
}

impl Archive {
    /// Begins an archive at `to` of files below `root`.
    pub(super) fn create(to: &Path, root: &Path) -> Result<Self, Error> {
        if to.exists() {
            return Err(Error(format!("{} exists already: choose another name", to.display())));
        }
        let partial = named(to, ".partial");
        let mut options = OpenOptions::new();
        // It holds keys.
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = file.map_err(|e| Error::file("write", &partial, &e))?;
        let (root, to) = (root.to_owned(), to.to_owned());
        let mut archive = Self { root, to, partial, builder: tar::Builder::new(file), bytes: 0 };
        let made = object::time::format(object::time::now());
        archive.text(
            FIRST,
            &json!({"version": VERSION, "made": made, "joey": env!("CARGO_PKG_VERSION")}).to_string(),
        )?;
        Ok(archive)
    }

    /// A name for what is needed while this is written.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        named(&self.to, &format!(".{name}.partial"))
    }

    /// Adds a file under the name of another.
    pub(super) fn add(&mut self, file: &Path, called: &Path) -> Result<(), Error> {
        let name = called.strip_prefix(&self.root).unwrap_or(called);
        let mut contents = File::open(file).map_err(|e| Error::file("read", file, &e))?;
        let length = contents.metadata().map_err(|e| Error::file("read", file, &e))?.len();
        let mut header = header(length);
        let added = self.builder.append_data(&mut header, name, &mut contents);
        added.map_err(|e| Error::file("write", &self.partial, &e))?;
        self.bytes += length;
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let mut header = header(text.len() as u64);
        let added = self.builder.append_data(&mut header, name, text.as_bytes());
        added.map_err(|e| Error::file("write", &self.partial, &e))
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(mut self, stores: usize) -> Result<Summary, Error> {
        let summary = Summary { stores, bytes: self.bytes };
        self.text(LAST, &summary.to_value().to_string())?;
        let failed = |path: &Path, e: std::io::Error| Error::file("write", path, &e);
        let finish = || -> std::io::Result<()> {
            self.builder.finish()?;
            self.builder.get_mut().flush()?;
            self.builder.get_mut().sync_all()
        };
        let mut finish = finish;
        finish().map_err(|e| failed(&self.partial, e))?;
        // Unlike a rename, this replaces nothing that came to be meanwhile.
        fs::hard_link(&self.partial, &self.to).map_err(|e| failed(&self.to, e))?;
        let folder = self.to.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(folder, e))?;
        Ok(summary)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial);
    }
}

fn header(length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    let now = u64::try_from(object::time::now().as_second()).unwrap_or(0);
    header.set_mtime(now);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

fn named(path: &Path, with: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(with);
    name.into()
}
