//! A `joey up` to measure, in a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The programs, from the environment (`cargo xtask bench` sets it).
pub(crate) struct Programs {
    pub joey: PathBuf,
    pub kubectl: PathBuf,
}

impl Programs {
    pub fn find() -> Result<Self, String> {
        let path = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from).filter(|p| p.exists());
            value.ok_or_else(|| format!("{name} names no program: run `cargo xtask bench`"))
        };
        Ok(Self { joey: path("JOEY")?, kubectl: path("KUBECTL")? })
    }
}

/// A running `joey up`; it ends with this value.
pub(crate) struct Up<'a> {
    programs: &'a Programs,
    child: Child,
    folder: tempfile::TempDir,
    started: Instant,
}

impl<'a> Up<'a> {
    /// Starts it in a fresh folder and waits until it says that it is ready.
    pub fn start(programs: &'a Programs) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (child, started) = spawn(programs, &folder)?;
        Ok(Self { programs, child, folder, started })
    }

    /// Ends it and starts it again on the same data.
    pub fn restart(&mut self) -> Result<(), String> {
        self.end();
        (self.child, self.started) = spawn(self.programs, &self.folder)?;
        Ok(())
    }

    /// Milliseconds from the start of the process until `kubectl get ns` of `demo` has answered.
    pub fn until_kubectl_answers(&self) -> Result<f64, String> {
        for _ in 0..100 {
            let mut kubectl = Command::new(&self.programs.kubectl);
            kubectl.args(["--context", "joey-demo", "get", "ns"]).env("KUBECONFIG", self.kubeconfig());
            if kubectl.output().map_err(|e| e.to_string())?.status.success() {
                return Ok(self.started.elapsed().as_secs_f64() * 1e3);
            }
        }
        Err("kubectl gets no answer from the virtual cluster".into())
    }

    /// Milliseconds that `joey create NAME --wait` takes.
    pub fn create(&self, name: &str) -> Result<f64, String> {
        let mut command = Command::new(&self.programs.joey);
        command.args(["create", name, "--wait"]).env("KUBECONFIG", self.kubeconfig());
        let start = Instant::now();
        let said = command.output().map_err(|e| e.to_string())?;
        let taken = start.elapsed().as_secs_f64() * 1e3;
        let err = String::from_utf8_lossy(&said.stderr);
        if said.status.success() { Ok(taken) } else { Err(format!("joey create {name}: {err}")) }
    }

    /// Waits until the process is this old.
    pub fn wait_until_old(&self, age: Duration) {
        std::thread::sleep(age.saturating_sub(self.started.elapsed()));
    }

    /// The process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its contexts.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(programs: &Programs, folder: &tempfile::TempDir) -> Result<(Child, Instant), String> {
    let mut command = Command::new(&programs.joey);
    command.arg("up").arg("--data-dir").arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("cannot run {}: {e}", programs.joey.display()))?;
    let stdout = child.stdout.take().ok_or("joey has no output")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    if !lines.by_ref().any(|line| line.contains("Ctrl-C stops")) {
        let _ = child.kill();
        return Err("joey up did not become ready".into());
    }
    // Nobody reads what it says from here on; it must not block on it.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((child, started))
}
