//! Who is measured: a `joey serve` of our own, and a peer that somebody else started.

use super::connection::{Address, Asked, Connection};
use crate::sample::{processor_time, resident};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The static token of the joey that is measured.
const TOKEN: &str = "bench-token";
/// Tokens of two users that may do what they are allowed to.
pub(crate) const VICTIM: &str = "victim-token";
pub(crate) const FLOOD: &str = "flood-token";
/// A server that does not answer by then does not start.
const START: Duration = Duration::from_secs(60);

/// A server and the processes it consists of.
pub(crate) struct Target {
    pub name: &'static str,
    pub address: Address,
    /// The API server, and its store if that is a process of its own.
    pub processes: Vec<u32>,
}

impl Target {
    /// Seconds of processor time used so far.
    pub fn processor(&self) -> Result<f64, String> {
        self.processes.iter().map(|process| processor_time(*process)).sum()
    }

    /// Bytes resident.
    pub fn memory(&self) -> Result<f64, String> {
        self.processes.iter().map(|process| resident(*process)).sum()
    }
}

/// A `joey serve` in a folder of its own; it ends with this value.
pub(crate) struct Joey {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    /// Whether flow schemas and priority levels count.
    pub fair: bool,
}

impl Joey {
    pub fn new() -> Result<Self, String> {
        let program = std::env::var_os("JOEY").map(PathBuf::from).filter(|p| p.exists());
        let program = program.ok_or("JOEY names no program: run `cargo xtask bench`")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let tokens =
            format!("{TOKEN},admin,admin,\"system:masters\"\n{VICTIM},victim,victim\n{FLOOD},flood,flood\n");
        std::fs::write(folder.path().join("tokens.csv"), tokens).map_err(|e| e.to_string())?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        Ok(Self { program, folder, port: free.map_err(|e| e.to_string())?.port(), child: None, fair: true })
    }

    /// Starts it on the data that is there; seconds until it was ready.
    pub async fn start(&mut self) -> Result<(Target, f64), String> {
        let began = Instant::now();
        let address = format!("127.0.0.1:{}", self.port);
        let child = Command::new(&self.program)
            .args(["serve", "--controllers", "none", "--listen", &address])
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .arg("--token-auth-file")
            .arg(self.folder.path().join("tokens.csv"))
            .arg(format!("--enable-priority-and-fairness={}", self.fair))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot run {}: {e}", self.program.display()))?;
        let processes = vec![child.id()];
        self.child = Some(child);
        let address = Address { authority: address, token: TOKEN.into() };
        while began.elapsed() < START {
            if let Ok(connection) = Connection::open(&address).await
                && connection.ask(Asked::get("/readyz")).await.is_ok()
            {
                let took = began.elapsed().as_secs_f64();
                return Ok((Target { name: "joey", address, processes }, took));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err("joey serve did not become ready".into())
    }

    /// Ends it; its data stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Joey {
    fn drop(&mut self) {
        self.stop();
    }
}
