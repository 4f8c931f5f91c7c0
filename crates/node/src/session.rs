//! A running command (or an attached process) as two ends: [`Session`] faces the client, [`Process`] the container.
//!
//! Either end may vanish: when the session is dropped, `Process::gone` resolves and writes fail; when the process is
//! dropped without a status, the client sees an internal error.

use crate::options::Streams;
use bytes::Bytes;
use object::ApiError;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Chunks waiting in each direction before the writer waits.
const CHUNKS: usize = 16;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl TerminalSize {
    /// Reads `{"Width":80,"Height":24}`.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(json).ok()?;
        let side = |name: &str| value[name].as_u64().and_then(|n| u16::try_from(n).ok());
        Some(Self { width: side("Width")?, height: side("Height")? })
    }
}

/// The client's end. Dropping it ends the process.
pub struct Session {
    /// Standard input; drop it to say that it ended.
    pub stdin: Option<mpsc::Sender<Bytes>>,
    /// Standard output, `None` unless asked for.
    pub stdout: Option<mpsc::Receiver<Bytes>>,
    /// Standard error, `None` unless asked for.
    pub stderr: Option<mpsc::Receiver<Bytes>>,
    /// Terminal sizes; what does not fit is dropped.
    pub resize: mpsc::Sender<TerminalSize>,
    /// The end: a `v1.Status` as [`exit_status`] makes it.
    pub status: oneshot::Receiver<Value>,
    /// Tells the process when this end is gone.
    pub guard: DropGuard,
}

/// The container's end.
pub struct Process {
    /// Standard input, `None` unless asked for; ends when the client closes it.
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    /// Standard output, `None` unless asked for.
    pub stdout: Option<mpsc::Sender<Bytes>>,
    /// Standard error, `None` unless asked for.
    pub stderr: Option<mpsc::Sender<Bytes>>,
    /// Terminal sizes.
    pub resize: mpsc::Receiver<TerminalSize>,
    status: oneshot::Sender<Value>,
    gone: CancellationToken,
}

impl Session {
    /// Both ends of a new session.
    pub fn pair(streams: Streams) -> (Self, Process) {
        let channel = |wanted: bool| wanted.then(|| mpsc::channel(CHUNKS)).unzip();
        let (stdin_tx, stdin_rx) = channel(streams.stdin);
        let (stdout_tx, stdout_rx) = channel(streams.stdout);
        let (stderr_tx, stderr_rx) = channel(streams.stderr);
        let (resize_tx, resize_rx) = mpsc::channel(4);
        let (status_tx, status_rx) = oneshot::channel();
        let gone = CancellationToken::new();
        let session = Self {
            stdin: stdin_tx,
            stdout: stdout_rx,
            stderr: stderr_rx,
            resize: resize_tx,
            status: status_rx,
            guard: gone.clone().drop_guard(),
        };
        let process = Process {
            stdin: stdin_rx,
            stdout: stdout_tx,
            stderr: stderr_tx,
            resize: resize_rx,
            status: status_tx,
            gone,
        };
        (session, process)
    }
}

impl Process {
    /// Resolves when the client is gone.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Ends the process; output still in the channels is delivered first.
    pub fn exit(self, code: i32) {
        // The client may be gone; then nobody wants to know.
        let _ = self.status.send(exit_status(code));
    }

    /// Ends the process with a `v1.Status` that somebody else made.
    pub fn end(self, status: Value) {
        let _ = self.status.send(status);
    }

    /// Ends the process with a failure that is not an exit code.
    pub fn fail(self, error: &ApiError) {
        let _ = self.status.send(failure(error));
    }
}

/// The `v1.Status` of a command that ended with `code`.
pub fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// The `v1.Status` of a session that could not run.
pub fn failure(error: &ApiError) -> Value {
    error.to_status()
}

/// The status to tell the client, also when the process vanished without one.
pub(crate) async fn final_status(status: oneshot::Receiver<Value>) -> Value {
    status.await.unwrap_or_else(|_| failure(&ApiError::Internal("the container's runtime went away".into())))
}
