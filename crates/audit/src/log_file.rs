//! Events as JSON lines in a file that is put aside when it grows too large.

use crate::Sink;
use jiff::{Timestamp, ToSpan};
use object::{Value, time};
use parking_lot::Mutex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// When a file is put aside, and what becomes of those that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file grows no larger, in bytes.
    pub max_bytes: u64,
    /// So many are kept; 0: all.
    pub max_backups: usize,
    /// For so many days; 0: for ever.
    pub max_days: u32,
}

/// A log file, or the standard output. Written to at once: an event that was recorded is not lost with the process.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Opens or makes a file, readable by its owner only; `-` is the standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let open = if path == Path::new("-") { None } else { Some(Open::at(path)?) };
        Ok(Self { path: path.to_owned(), rotation, open: Mutex::new(open) })
    }

    fn write(&self, line: &[u8], now: Timestamp) -> io::Result<()> {
        let mut open = self.open.lock();
        let Some(current) = open.as_mut() else { return io::stdout().lock().write_all(line) };
        if current.bytes > 0 && current.bytes + line.len() as u64 > self.rotation.max_bytes {
            fs::rename(&self.path, self.backup(now))?;
            *current = Open::at(&self.path)?;
            self.forget(now)?;
        }
        current.file.write_all(line)?;
        current.bytes += line.len() as u64;
        Ok(())
    }

    /// `audit.log` is put aside as `audit-2026-11-22T21-50-00.000.log`.
    fn backup(&self, now: Timestamp) -> PathBuf {
        let (stem, end) = self.name();
        self.path.with_file_name(format!("{stem}{}{end}", now.strftime("%Y-%m-%dT%H-%M-%S%.3f")))
    }

    fn name(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let end = self.path.extension().map(|end| format!(".{}", end.to_string_lossy()));
        (format!("{}-", text(self.path.file_stem())), end.unwrap_or_default())
    }

    /// Removes what was put aside too long ago, or before too many others.
    fn forget(&self, now: Timestamp) -> io::Result<()> {
        let (stem, end) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut aside = vec![];
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(&end));
            let time =
                time.and_then(|time| jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", time).ok());
            if let Some(time) = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok()) {
                aside.push((time.timestamp(), name));
            }
        }
        aside.sort();
        aside.reverse();
        let hours = i64::from(self.rotation.max_days) * 24;
        let oldest = now.checked_sub(hours.hours()).unwrap_or(Timestamp::MIN);
        for (index, (time, name)) in aside.iter().enumerate() {
            let too_many = self.rotation.max_backups > 0 && index >= self.rotation.max_backups;
            let too_old = self.rotation.max_days > 0 && *time < oldest;
            if too_many || too_old {
                fs::remove_file(self.path.with_file_name(name))?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }
}

impl Sink for LogFile {
    fn record(&self, event: &Value) {
        let line = format!("{event}\n");
        if let Err(error) = self.write(line.as_bytes(), time::now()) {
            tracing::error!(path = %self.path.display(), %error, "an audit event is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn large_files_are_put_aside_and_old_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation { max_bytes: 10, max_backups: 2, max_days: 3 };
        let log = LogFile::open(&path, rotation).unwrap();
        let day = |day: i64| Timestamp::from_second(1_795_364_879 + day * 24 * 3600).unwrap();
        fs::write(folder.path().join("audit-notes.log"), "mine").unwrap();
        for at in 0..4 {
            log.write(b"12345\n", day(at)).unwrap();
        }
        assert_eq!(
            names(folder.path()),
            [
                "audit-2026-11-24T16-27-59.000.log",
                "audit-2026-11-25T16-27-59.000.log",
                "audit-notes.log",
                "audit.log"
            ]
        );
        log.write(b"12345\n", day(7)).unwrap();
        assert_eq!(
            names(folder.path()),
            ["audit-2026-11-29T16-27-59.000.log", "audit-notes.log", "audit.log"]
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "12345\n");
        drop(log);
        let again = LogFile::open(&path, rotation).unwrap();
        again.write(b"123\n", day(7)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "12345\n123\n");
    }

    #[test]
    fn one_event_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/audit.log");
        let log = LogFile::open(&path, Rotation { max_bytes: 1000, max_backups: 0, max_days: 0 }).unwrap();
        log.record(&object::json!({"stage": "RequestReceived", "text": "a\nb"}));
        log.record(&object::json!({}));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"stage\":\"RequestReceived\",\"text\":\"a\\nb\"}\n{}\n"
        );
    }
}
