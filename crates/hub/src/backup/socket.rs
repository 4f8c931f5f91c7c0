//! The way for another process to have a running joey write a backup: a socket in the data folder that only its owner may
//! use. One line of JSON asks, one answers.

use super::Summary;
use crate::{Error, Stores};
use serde_json::{Value, json};
use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

const FILE: &str = "backup.sock";
/// Longest request.
const LONGEST: u64 = 64 << 10;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens for as long as it is held. One request at a time is answered.
pub struct BackupSocket {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl BackupSocket {
    /// Listens in a data folder, which this process has to itself.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn listen(root: &Path, stores: Arc<Stores>) -> Result<Self, Error> {
        let root = root.canonicalize().map_err(|e| Error::file("use", root, &e))?;
        let path = root.join(FILE);
        let failed = |e| Error::file("listen on", &path, &e);
        // Of a process that ended without tidying up.
        let _ = fs::remove_file(&path);
        let (_folder, short) = short(&root).map_err(failed)?;
        let listener = UnixListener::bind(short).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => answer(stream, &root, &stores).await,
                    // Out of file descriptors, perhaps.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        });
        Ok(Self { path, task })
    }
}

impl Drop for BackupSocket {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// A short name for the socket in a folder, good while the file is held: addresses of sockets have little room.
fn short(root: &Path) -> std::io::Result<(File, PathBuf)> {
    let folder = File::open(root)?;
    let name = format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd());
    Ok((folder, name.into()))
}

async fn answer(stream: UnixStream, root: &Path, stores: &Arc<Stores>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut request = (&mut stream).take(LONGEST);
    let reading = request.read_line(&mut line);
    if !matches!(tokio::time::timeout(PATIENCE, reading).await, Ok(Ok(_))) {
        return;
    }
    let answer = match write(&line, root, stores).await {
        Ok(summary) => json!({"done": summary.to_value()}),
        Err(error) => json!({"error": error.0}),
    };
    let _ = stream.get_mut().write_all(format!("{answer}\n").as_bytes()).await;
}

async fn write(line: &str, root: &Path, stores: &Arc<Stores>) -> Result<Summary, Error> {
    let request: Value = serde_json::from_str(line).map_err(|e| Error(e.to_string()))?;
    let to = request["to"].as_str().map(Path::new).filter(|to| to.is_absolute());
    let to = to.ok_or_else(|| Error("the name of the file must be absolute".into()))?;
    let part = request["part"].as_str().map(Path::new);
    if part.is_some_and(|part| !part.components().all(|part| matches!(part, Component::Normal(_)))) {
        return Err(Error("no such part".into()));
    }
    super::write(root, part, to, stores).await
}

/// Has the joey that serves a folder write a backup; `None` when none does.
pub(super) async fn ask(root: &Path, part: Option<&Path>, to: &Path) -> Result<Option<Summary>, Error> {
    let Ok((_folder, short)) = short(root) else { return Ok(None) };
    let Ok(mut stream) = UnixStream::connect(short).await else { return Ok(None) };
    let request = json!({"to": to.to_str(), "part": part.and_then(Path::to_str)});
    let lost = |e: std::io::Error| Error(format!("the joey that serves {} went away: {e}", root.display()));
    stream.write_all(format!("{request}\n").as_bytes()).await.map_err(lost)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(lost)?;
    let answer: Value = serde_json::from_str(&text)
        .map_err(|_| Error(format!("the joey that serves {} gave no answer", root.display())))?;
    match (Summary::read(&answer["done"]), answer["error"].as_str()) {
        (Some(summary), _) => Ok(Some(summary)),
        (None, error) => Err(Error(error.unwrap_or("no answer").to_owned())),
    }
}
