//! An etcd for a check: alone, on loopback, gone with the value.

use crate::process::shown;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running etcd.
pub(crate) struct Etcd {
    child: Child,
    /// Where clients reach it.
    pub(crate) endpoint: String,
}

impl Etcd {
    /// Starts the program with its data in a folder, and waits until it listens.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let (client, peer) = (port()?, port()?);
        let endpoint = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let log = fs::File::create(folder.join("etcd.log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(folder.join("etcd")).args([
            "--log-level",
            "error",
            "--unsafe-no-fsync",
        ]);
        command.args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let etcd =
            Self { child: child.map_err(|e| format!("cannot run {}: {e}", shown(&command)))?, endpoint };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", client)).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(format!("{} does not listen", shown(&command)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(etcd)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
fn port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    listener.map(|address| address.port()).map_err(|e| e.to_string())
}
