//! The real `kubectl` against simulated pods, over TLS: WebSocket and SPDY. Skipped where there is no `kubectl` (set
//! `KUBECTL` to name one).

use crate::world::World;
use access::CertificateAuthority;
use access::certificates::SubjectAltNames;
use http_server::{Limits, Server, Tls, serve};
use object::json;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

struct Served {
    world: World,
    address: SocketAddr,
    folder: tempfile::TempDir,
    program: String,
    shutdown: CancellationToken,
}

impl Served {
    /// `None` where there is no kubectl.
    async fn start() -> Option<Self> {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
        let found = Command::new(&program)
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !found.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no kubectl");
            return None;
        }
        let world = World::start().await;
        let now = object::time::now().as_second();
        let authority = CertificateAuthority::generate("ca", now).unwrap();
        let serving = authority.issue_server("test", &SubjectAltNames::hosts(["127.0.0.1"]), now).unwrap();
        let tls =
            Tls::from_pem(serving.certificate_pem().as_bytes(), serving.key_pem().as_bytes(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = world.api.clone();
        let handler = move |request, peer: http_server::Peer| {
            let api = api.clone();
            async move {
                api.serve(request, api::Peer { certificate: peer.certificate, ..Default::default() }).await
            }
        };
        let server =
            Server { listener, tls: Some(tls), handler: Arc::new(handler), limits: Limits::default() };
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(server, shutdown.clone()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.certificate_pem()).unwrap();
        Some(Self { world, address, folder, program, shutdown })
    }

    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--server=https://{}", self.address))
            .arg(format!("--certificate-authority={}", self.folder.path().join("ca.crt").display()))
            .args(["--token=secret", "--namespace=default"])
            .args(args)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Exit code and all output.
    async fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.kubectl(args).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.world.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_logs_and_port_forward() {
    let Some(served) = Served::start().await else { return };
    let world = &served.world;
    world
        .run("web", &["sh", "-c", "echo up; exec nginx"], |pod| {
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
        })
        .await;
    world.until_ready("web").await;

    assert_eq!(served.run(&["logs", "web"]).await.1.lines().next(), Some("up"));
    let (code, text) = served.run(&["exec", "web", "--", "sh", "-c", "echo out; exit 5"]).await;
    assert_eq!((code, text.as_str()), (5, "out\ncommand terminated with exit code 5\n"));
    assert_eq!(served.run(&["exec", "web", "--", "hostname"]).await, (0, "web\n".into()));
    assert_eq!(piped(served.kubectl(&["exec", "-i", "web", "--", "cat"]), "to and fro").await, "to and fro");
    assert_eq!(
        piped(served.kubectl(&["exec", "-i", "web", "--", "sh"]), "x=1\necho $((x+1))\nexit\n").await,
        "2\n"
    );
    let missing = served.run(&["exec", "web", "-c", "none", "--", "ls"]).await;
    assert!(
        missing.1.contains("container none is not valid for pod web")
            || missing.1.contains("container none not found"),
        "{missing:?}"
    );

    let (there, back) = (served.folder.path().join("there"), served.folder.path().join("back"));
    std::fs::write(&there, [0, 255, 10, 13]).unwrap();
    let copied = served.run(&["cp", there.to_str().unwrap(), "web:/tmp/copy"]).await;
    assert_eq!(copied, (0, String::new()));
    assert_eq!(served.run(&["cp", "web:/tmp/copy", back.to_str().unwrap()]).await.0, 0);
    assert_eq!(std::fs::read(&back).unwrap(), [0, 255, 10, 13]);

    // The old way, without WebSockets.
    let mut spdy = served.kubectl(&["exec", "-i", "web", "--", "cat"]);
    spdy.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
    assert_eq!(piped(spdy, "spun").await, "spun");
    for websockets in ["true", "false"] {
        let text = through_port(&served, websockets).await;
        assert!(text.contains("sandbox: pod default/web is simulated"), "{websockets}: {text}");
    }
    served.stop().await;
}

async fn piped(mut command: Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Forwards a port and asks through it, twice.
async fn through_port(served: &Served, websockets: &str) -> String {
    let mut command = served.kubectl(&["port-forward", "pod/web", ":80", "--address=127.0.0.1"]);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // `Forwarding from 127.0.0.1:40001 -> 80`
    let line = lines.next_line().await.unwrap().unwrap_or_default();
    let port: u16 =
        line.split([':', ' ']).nth(3).and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let mut text = String::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        text.clear();
        stream.read_to_string(&mut text).await.unwrap();
    }
    child.kill().await.unwrap();
    text
}
