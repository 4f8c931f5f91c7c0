//! End-to-end tests: a real `joey`, driven by the real `kubectl` and `helm`.
//!
//! `JOEY`, `KUBECTL` and `HELM` name the programs (`cargo xtask e2e` sets them); without them the tests say that they were
//! skipped. Nothing here sleeps: it waits for output, or lets kubectl wait.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The programs under test and their clients.
pub struct Programs {
    joey: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
}

impl Programs {
    /// From the environment; `None`, loudly, when one is missing.
    pub fn find() -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.exists());
        match (path("JOEY"), path("KUBECTL"), path("HELM")) {
            (Some(joey), Some(kubectl), Some(helm)) => Some(Self { joey, kubectl, helm }),
            _ => {
                eprintln!("SKIPPED: set JOEY, KUBECTL and HELM, or run `cargo xtask e2e`");
                None
            }
        }
    }
}

/// A running `joey`, with a folder of its own for data, kubeconfig and scratch files.
pub struct Joey {
    programs: Programs,
    folder: tempfile::TempDir,
    child: Option<Child>,
    arguments: Vec<String>,
}

/// What a program said.
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: i32,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Joey {
    /// Starts `joey up`; `None` when the programs are missing.
    pub fn up() -> Option<Self> {
        Self::run(&["up"], "Ctrl-C stops")
    }

    /// Starts a sandbox host without an operator.
    pub fn bare_host() -> Option<Self> {
        Self::run(&["serve", "--listen", "127.0.0.1:0", "--sandbox-nodes", "2"], "kubectl --kubeconfig")
    }

    /// Starts a cluster of its own with simulated nodes.
    pub fn serve(nodes: u8) -> Option<Self> {
        let nodes = nodes.to_string();
        Self::run(&["serve", "--listen", "127.0.0.1:0", "--sandbox-nodes", &nodes], "kubectl --kubeconfig")
    }

    /// Starts `joey up` with further arguments.
    pub fn up_with(arguments: &[&str]) -> Option<Self> {
        Self::run(&[&["up"], arguments].concat(), "Ctrl-C stops")
    }

    /// Starts nothing: a folder, and programs to run. [`start`](Self::start) starts `joey up`.
    pub fn idle() -> Option<Self> {
        let programs = Programs::find()?;
        let folder = tempfile::tempdir().expect("a folder for the test");
        Some(Self { programs, folder, child: None, arguments: vec!["up".into()] })
    }

    fn run(arguments: &[&str], ready: &str) -> Option<Self> {
        let mut joey = Self::idle()?;
        joey.arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        joey.start(ready);
        Some(joey)
    }

    /// Starts the process (again) and waits until it says that it is ready.
    pub fn start(&mut self, ready: &str) {
        let mut command = Command::new(&self.programs.joey);
        command.args(&self.arguments).arg("--data-dir").arg(self.path("data"));
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("joey starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said_ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains(ready));
        assert!(said_ready, "joey did not become ready: {}", self.log());
        // Keep reading, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// What the next start says instead of `up`.
    pub fn with_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it was running");
            child.wait().expect("it ended");
        }
    }

    /// Asks the process to stop, as Ctrl-C does, and gives its exit code.
    pub fn interrupt(&mut self) -> i32 {
        let mut child = self.child.take().expect("it was running");
        signal(&child, "INT");
        child.wait().expect("it ended").code().unwrap_or(-1)
    }

    /// The process.
    pub fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A path in the test's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("data").join("kubeconfig")
    }

    /// Writes a file for kubectl or helm.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder made");
        std::fs::write(&path, text).expect("file written");
        path.display().to_string()
    }

    /// Runs `kubectl` in a context, whatever comes of it.
    pub fn try_kubectl(&self, context: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.programs.kubectl);
        command.args(["--context", context, "--request-timeout=60s"]).args(arguments);
        self.finish(command)
    }

    /// Runs `kubectl` in a context, which must succeed; gives its output.
    pub fn kubectl_in(&self, context: &str, arguments: &[&str]) -> String {
        let said = self.try_kubectl(context, arguments);
        assert_eq!(said.code, 0, "kubectl {arguments:?}: {}{}\n{}", said.out, said.err, self.log());
        said.out
    }

    /// Runs `kubectl` in the virtual cluster `demo`.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_in("joey-demo", arguments)
    }

    /// Runs `kubectl` on the host.
    pub fn host(&self, arguments: &[&str]) -> String {
        self.kubectl_in("joey-host", arguments)
    }

    /// An object of the virtual cluster.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// Applies a manifest in the virtual cluster.
    pub fn apply(&self, manifest: &str) {
        let mut command = Command::new(&self.programs.kubectl);
        command.args(["--context", "joey-demo", "apply", "-f", "-"]).env("KUBECONFIG", self.kubeconfig());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child.stdin.take().expect("its input").write_all(manifest.as_bytes()).expect("it reads");
        let said = Said::from(child.wait_with_output().expect("kubectl ends"));
        assert_eq!(said.code, 0, "apply: {}{}", said.out, said.err);
    }

    /// Runs `helm` against the virtual cluster, which must succeed.
    pub fn helm(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.programs.helm);
        command.args(["--kube-context", "joey-demo"]).args(arguments);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.path("helm"));
        }
        let said = self.finish(command);
        assert_eq!(said.code, 0, "helm {arguments:?}: {}{}\n{}", said.out, said.err, self.log());
        said.out
    }

    /// Runs a line of shell with `kubectl` in its path, with some input.
    pub fn shell(&self, line: &str, input: &str) -> Said {
        let folder = self.programs.kubectl.parent().expect("kubectl is in a folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&path)));
        let mut command = Command::new("timeout");
        command
            .args(["90", "sh", "-c", line])
            .env("PATH", path.expect("a path"))
            .env("KUBECONFIG", self.kubeconfig());
        command.env("HOME", self.path("home")).current_dir(self.folder.path());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut stdin = child.stdin.take().expect("its input");
        // Who does not read has gone.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the shell ends").into()
    }

    /// Runs another `joey` command against this one's host.
    pub fn joey(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.programs.joey);
        command.args(arguments);
        self.finish(command)
    }

    /// Runs another `joey` command without any kubeconfig but what the arguments say.
    pub fn joey_alone(&self, arguments: &[&str]) -> Said {
        // What should have failed may run for ever.
        let mut command = Command::new("timeout");
        command.args(["--signal=INT", "30"]).arg(&self.programs.joey);
        command.args(arguments).env_remove("KUBECONFIG").env("HOME", self.path("home"));
        command.env_remove("XDG_DATA_HOME").stdin(Stdio::null()).output().expect("it runs").into()
    }

    /// A command that runs `joey`, for what the other functions do not do.
    pub fn command(&self) -> Command {
        Command::new(&self.programs.joey)
    }

    /// Starts another long-running `joey`, given the line that says it is ready.
    pub fn spawn(&self, arguments: &[&str], ready: &str) -> Running {
        let mut command = Command::new(&self.programs.joey);
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn().expect("joey starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said_ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains(ready));
        assert!(said_ready, "joey {arguments:?} did not become ready: {}", self.log());
        std::thread::spawn(move || lines.for_each(drop));
        Running(child)
    }

    fn finish(&self, mut command: Command) -> Said {
        command.env("KUBECONFIG", self.kubeconfig()).stdin(Stdio::null()).output().expect("it runs").into()
    }
}

impl Drop for Joey {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "kill -{name} {}", child.id());
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Real manifests to apply, where they are at hand.
pub fn workloads() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/workloads");
    if folder.exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no workloads at {}", folder.display());
    None
}

/// An etcd of its own for a test.
pub struct Etcd {
    _process: Running,
    /// Where clients reach it.
    pub endpoint: String,
}

impl Etcd {
    /// Starts the etcd that `ETCD` names, with its data in a folder; `None`, loudly, without.
    pub fn start(folder: &Path) -> Option<Self> {
        let Some(program) = std::env::var_os("ETCD").filter(|p| Path::new(p).exists()) else {
            eprintln!("SKIPPED: set ETCD, or run `cargo xtask e2e`");
            return None;
        };
        let port = free_port();
        let (endpoint, peers) =
            (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(folder).args(["--log-level", "error", "--unsafe-no-fsync"]);
        command.args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd starts");
        let began = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed().as_secs() < 60, "etcd does not listen");
            std::thread::yield_now();
        }
        Some(Self { _process: Running(child), endpoint })
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
