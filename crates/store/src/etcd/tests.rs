//! The etcd engine against a real etcd: the binary that `ETCD` names. Without it these tests say so and do nothing.

use super::*;
use crate::suite;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicUsize;

/// A member of an etcd, with a folder of its own. Stopped when dropped.
struct Etcd {
    process: Child,
    folder: tempfile::TempDir,
    endpoint: String,
    program: String,
    arguments: Vec<String>,
}

/// A free port of this machine.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

impl Etcd {
    /// One member by itself; `None` when there is no etcd to run.
    fn start(scheme: &str, extra: impl FnOnce(&std::path::Path) -> Vec<String>) -> Option<Self> {
        let peer = format!("http://127.0.0.1:{}", port());
        Self::member("alone", scheme, &peer, &format!("alone={peer}"), extra)
    }

    /// Three members.
    fn cluster() -> Option<Vec<Self>> {
        let peers = ["a", "b", "c"].map(|name| (name, format!("http://127.0.0.1:{}", port())));
        let all = peers.each_ref().map(|(name, peer)| format!("{name}={peer}")).join(",");
        peers.iter().map(|(name, peer)| Self::member(name, "http", peer, &all, |_| Vec::new())).collect()
    }

    fn member(
        name: &str,
        scheme: &str,
        peer: &str,
        cluster: &str,
        extra: impl FnOnce(&std::path::Path) -> Vec<String>,
    ) -> Option<Self> {
        let Ok(program) = std::env::var("ETCD") else {
            eprintln!("SKIPPED: the environment variable ETCD does not name an etcd binary");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = format!("{scheme}://127.0.0.1:{}", port());
        let data = folder.path().join("data").display().to_string();
        let mut arguments: Vec<String> = [
            ("--name", name),
            ("--data-dir", &data),
            ("--listen-client-urls", &endpoint),
            ("--advertise-client-urls", &endpoint),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", cluster),
            ("--log-level", "error"),
        ]
        .iter()
        .flat_map(|(name, value)| [name.to_string(), value.to_string()])
        .collect();
        arguments.push("--unsafe-no-fsync".into());
        arguments.extend(extra(folder.path()));
        let process = Self::spawn(&program, &arguments);
        Some(Self { process, folder, endpoint, program, arguments })
    }

    fn spawn(program: &str, arguments: &[String]) -> Child {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary that ETCD names runs")
    }

    /// Kills the process and starts it again on the same data.
    fn restart(&mut self) {
        self.stop();
        self.process = Self::spawn(&self.program, &self.arguments);
    }

    fn stop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("a process that can be killed");
    }

    fn options(&self, prefix: &str) -> Options {
        Options::new([&self.endpoint], prefix)
    }
}

/// Connects as soon as etcd answers.
async fn connect(options: Options) -> Arc<EtcdStore> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match EtcdStore::connect(options.clone()).await {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates the key although members come and go.
async fn insist(store: &EtcdStore, key: &str) -> Revision {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match create(store, key, "x").await {
            Ok(revision) => return revision,
            Err(StoreError::Io(error)) => {
                assert!(Instant::now() < deadline, "etcd does not come back: {error}")
            }
            // the answer was lost, not the write
            Err(StoreError::Conflict(Some(entry))) => return entry.mod_revision,
            Err(other) => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn plain() -> Option<Etcd> {
    Etcd::start("http", |_| Vec::new())
}

async fn create(store: &EtcdStore, key: &str, value: &str) -> Result<Revision, StoreError> {
    let value = Some(value.to_owned().into());
    store.write(Write { key: key.into(), expect: Expect::Absent, value, ttl: None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_with_a_large_ring() {
    let Some(etcd) = plain() else { return };
    let number = AtomicUsize::new(0);
    suite::run(|| {
        let options = etcd.options(&format!("/vc-{}", number.fetch_add(1, Ordering::Relaxed)));
        async { connect(options).await as Arc<dyn Store> }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_with_a_tiny_ring() {
    let Some(etcd) = plain() else { return };
    let number = AtomicUsize::new(0);
    suite::run(|| {
        let mut options = etcd.options(&format!("/vc-{}", number.fetch_add(1, Ordering::Relaxed)));
        options.recent = Limits { events: 3, bytes: 2_000 };
        async { connect(options).await as Arc<dyn Store> }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_of_reopening() {
    let Some(etcd) = plain() else { return };
    suite::reopen(|| async { connect(etcd.options("/vc/")).await as Arc<dyn Store> }).await;
}

/// Two processes on one prefix, and a third on another that they must not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_serve_the_same_data_in_the_same_order() {
    let Some(etcd) = plain() else { return };
    let one = connect(etcd.options("/vc/")).await;
    let two = connect(etcd.options("/vc/")).await;
    let other = connect(etcd.options("/vd/")).await;
    let from = one.revision();
    let mut watches = Vec::new();
    for store in [&one, &two] {
        watches.push(store.watch("/", from).await.expect("watch"));
    }
    let tasks: Vec<_> = [&one, &two, &other]
        .into_iter()
        .enumerate()
        .map(|(writer, store)| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    create(&store, &format!("/{writer}/{number}"), "x").await.expect("create");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    let mut orders = Vec::new();
    for watch in &mut watches {
        let mut order = Vec::new();
        while order.len() < 200 {
            let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("in time");
            order.push(event.map(|event| (event.revision, event.key.clone())).expect("an event"));
        }
        assert!(order.is_sorted());
        orders.push(order);
    }
    assert_eq!(orders[0], orders[1]);
    // a client that wrote through one may watch through the other from there
    let revision = create(&one, "/last", "x").await.expect("create");
    let mut watch = two.watch("/", Revision(revision.0 - 1)).await.expect("watch");
    let event = tokio::time::timeout(Duration::from_secs(30), watch.next())
        .await
        .expect("in time")
        .expect("an event");
    assert_eq!(event.revision, revision);
    let entry = two.get("/last").await.expect("get").0.expect("the key");
    let stale =
        one.write(Write { key: "/last".into(), expect: Expect::At(from), value: None, ttl: None }).await;
    assert_eq!(stale, Err(StoreError::Conflict(Some(entry))));
    drop(one);
    assert!(create(&two, "/after", "x").await.is_ok(), "the other goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_survive_a_restart_of_etcd() {
    let Some(mut etcd) = plain() else { return };
    let store = connect(etcd.options("/vc/")).await;
    let mut watch = store.watch("/", store.revision()).await.expect("watch");
    let mut revisions = Vec::new();
    for round in 0..3 {
        etcd.restart();
        revisions.push(insist(&store, &format!("/{round}")).await);
    }
    for revision in revisions {
        let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("in time");
        assert_eq!(event.expect("an event").revision, revision);
    }
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_named() {
    let refused = EtcdStore::connect(Options::new(["http://127.0.0.1:1"], "/")).await.err();
    assert!(
        matches!(&refused, Some(StoreError::Io(what)) if what.contains("http://127.0.0.1:1")),
        "{refused:?}"
    );
}

/// Certificates of a little authority: its own, and name, certificate and key of each leaf.
fn certificates() -> (String, [(String, String); 2]) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, key);
    let leaves = ["server", "client"].map(|name| {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["127.0.0.1".to_owned(), name.to_owned()];
        let leaf = CertificateParams::new(names).expect("parameters");
        (leaf.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
    });
    (ca, leaves)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_client_certificates() {
    let (ca, [server, client]) = certificates();
    let etcd = Etcd::start("https", |folder| {
        let mut arguments = vec!["--client-cert-auth".to_owned()];
        for (name, file, text) in [
            ("--trusted-ca-file", "ca.pem", &ca),
            ("--cert-file", "server.pem", &server.0),
            ("--key-file", "server-key.pem", &server.1),
        ] {
            let path = folder.join(file);
            std::fs::write(&path, text).expect("a file");
            arguments.extend([name.to_owned(), path.display().to_string()]);
        }
        arguments
    });
    let Some(etcd) = etcd else { return };
    assert!(etcd.folder.path().join("ca.pem").exists());
    let mut options = etcd.options("/vc/");
    options.ca = Some(ca.into_bytes());
    options.identity = Some((client.0.into_bytes(), client.1.into_bytes()));
    let store = connect(options.clone()).await;
    let revision = create(&store, "/a", "1").await.expect("create");
    let mut watch = store.watch("/", Revision(revision.0 - 1)).await.expect("watch");
    let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("in time");
    assert_eq!(event.expect("an event").revision, revision);
    options.identity = None;
    assert!(
        matches!(EtcdStore::connect(options.clone()).await.err(), Some(StoreError::Io(_))),
        "no certificate"
    );
    options.ca = None;
    assert!(
        matches!(EtcdStore::connect(options).await.err(), Some(StoreError::Io(_))),
        "an unknown authority"
    );
}

/// A quiet store beside a busy one on the same etcd: its watchers must not be left behind by compaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_compacts_and_keeps_quiet_watchers_up() {
    let Some(mut etcd) = plain() else { return };
    let mut options = etcd.options("/quiet/");
    options.history = Some(Duration::from_millis(400));
    let quiet = connect(options).await;
    let busy = connect(etcd.options("/busy/")).await;
    let first = create(&quiet, "/a", "x").await.expect("create");
    let mut watch = quiet.watch("/", first).await.expect("watch");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut written = first;
    while quiet.engine.compacted.load(Ordering::Relaxed) <= first.0 + 100 {
        assert!(Instant::now() < deadline, "nothing is compacted");
        for number in 0..20 {
            written = create(&busy, &format!("/{}/{number}", written.0), "x").await.expect("create");
        }
        let wait = quiet.maintain().await.expect("maintenance").expect("there is a watcher");
        let event = tokio::time::timeout(wait.min(Duration::from_millis(100)), watch.next()).await;
        assert!(event.is_err(), "nothing happens here");
    }
    assert!(watch.position().0 > first.0 + 100, "the position advances with the writes of others");
    let refused = quiet.list(ListRequest { at: Some(first), ..ListRequest::default() }).await.err();
    assert!(matches!(refused, Some(StoreError::Compacted(_))), "{refused:?}");
    etcd.restart();
    let next = insist(&quiet, "/b").await;
    let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("in time");
    assert_eq!(event.expect("the watch goes on").revision, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_a_password() {
    let Some(etcd) = plain() else { return };
    let control = std::path::Path::new(&etcd.program).with_file_name("etcdctl");
    if !control.exists() {
        eprintln!("SKIPPED: there is no etcdctl beside {}", etcd.program);
        return;
    }
    connect(etcd.options("/vc/")).await;
    let run = |arguments: &str| {
        let endpoint = format!("--endpoints={}", etcd.endpoint);
        let output = Command::new(&control).arg(endpoint).args(arguments.split(' ')).output();
        assert!(output.is_ok_and(|output| output.status.success()), "etcdctl {arguments}");
    };
    for arguments in ["user add root:secret", "user grant-role root root", "auth enable"] {
        run(arguments);
    }
    let refused = EtcdStore::connect(etcd.options("/vc/")).await.err();
    assert!(matches!(refused, Some(StoreError::Io(_))), "{refused:?}");
    let mut options = etcd.options("/vc/");
    options.user = Some(("root".into(), "secret".into()));
    let store = EtcdStore::connect(options).await.expect("connect");
    let revision = create(&store, "/a", "x").await.expect("create");
    // a token that ran out is replaced
    store.engine.client.spoil_token();
    let update = Write { key: "/a".into(), expect: Expect::At(revision), value: Some("y".into()), ttl: None };
    store.write(update).await.expect("update");
    store.engine.client.spoil_token();
    let mut watch = store.watch("/", Revision(revision.0 - 1)).await.expect("watch");
    let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("in time");
    assert_eq!(event.expect("an event").revision, revision);
}

/// Any one of three members may go at any time, also the one that our watch hangs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_members_one_after_the_other() {
    let Some(mut members) = Etcd::cluster() else { return };
    let endpoints: Vec<_> = members.iter().map(|member| member.endpoint.clone()).collect();
    let store = connect(Options::new(&endpoints, "/vc/")).await;
    let mut watch = store.watch("/", store.revision()).await.expect("watch");
    let mut revisions = vec![insist(&store, "/first").await];
    for (round, member) in members.iter_mut().enumerate() {
        member.stop();
        for number in 0..5 {
            revisions.push(insist(&store, &format!("/{round}/{number}")).await);
        }
        assert_eq!(store.count(&format!("/{round}/")).await, Ok(5), "reads go to a member that is there");
        member.restart();
        // whole again before the next one goes
        let alone = connect(member.options("/vc/")).await;
        revisions.push(insist(&alone, &format!("/{round}/back")).await);
    }
    for revision in revisions {
        let event = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("in time");
        assert_eq!(event.expect("an event").revision, revision);
    }
}
