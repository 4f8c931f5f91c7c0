//! Figures of the embedded store: commits, writes, reads, lists, watch fan-out, memory. `cargo run --release -p store
//! --example bench [FOLDER]`; the folder (default: a temporary one) should be on the disk of interest. `CACHE_BYTES`
//! sets another cache than the default.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::embedded::{EmbeddedStore, Options};
use store::{Expect, ListRequest, Revision, Store, Write};

const VALUE: usize = 2_000;
const LARGE: &str = "/registry/configmaps/default/object-";

const PARTS: [&str; 5] = ["idle", "commits", "reads", "watches", "large"];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map(PathBuf::from).unwrap_or_else(std::env::temp_dir);
    let Some(part) = arguments.next() else {
        // a process for each part, so that memory figures are its own
        let program = std::env::current_exe().expect("this program");
        let root = folder.join(format!("store-bench-{}", std::process::id()));
        for part in PARTS {
            let status = Command::new(&program).arg(&root).arg(part).status();
            assert!(status.is_ok_and(|status| status.success()), "{part} failed");
        }
        return std::fs::remove_dir_all(&root).expect("the folder is ours");
    };
    let root = folder;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        match part.as_str() {
            "idle" => idle(&root).await,
            "commits" => commits(&root).await,
            "reads" => reads(&root).await,
            "watches" => fan_out(&root).await,
            "large" => large(&root).await,
            "open-large" => open_large(&root).await,
            "fill-idle" => fill_idle(&root).await,
            "fill-large" => drop(fill(&open(&root, "large"), LARGE, 100_000, 256).await),
            other => panic!("unknown part {other}; there are {PARTS:?}"),
        }
    });
}

/// Runs a part in another process.
fn prepare(root: &Path, part: &str) {
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).arg(root).arg(part).status();
    assert!(status.is_ok_and(|status| status.success()), "{part} failed");
}

fn open(root: &Path, name: &str) -> Arc<EmbeddedStore> {
    let mut options = Options::default();
    if let Some(cache) = std::env::var("CACHE_BYTES").ok().and_then(|bytes| bytes.parse().ok()) {
        options.cache_bytes = cache;
    }
    EmbeddedStore::open(root.join(name), options).expect("open")
}

async fn create(store: &dyn Store, key: String) -> Revision {
    let value = Some(vec![b'x'; VALUE].into());
    store.write(Write { key: key.into(), expect: Expect::Absent, value, ttl: None }).await.expect("write")
}

/// Creates this many objects with this many writers.
async fn fill(store: &Arc<EmbeddedStore>, prefix: &str, count: usize, writers: usize) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, prefix) = (store.clone(), prefix.to_owned());
            tokio::spawn(async move {
                for number in (writer..count).step_by(writers) {
                    create(&*store, format!("{prefix}{number:06}")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    start.elapsed()
}

/// Kilobytes of this process in memory.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn rate(what: &str, count: usize, time: Duration) {
    let each = time / count as u32;
    println!("{what:<44} {:>12.0} /s   {each:?} each", count as f64 / time.as_secs_f64());
}

async fn fill_idle(root: &Path) {
    for number in 0..50 {
        let store = open(root, &format!("idle-{number}"));
        fill(&store, "/registry/", 300, 32).await;
    }
}

async fn idle(root: &Path) {
    prepare(root, "fill-idle");
    drop(open(root, "warm"));
    let before = memory();
    let start = Instant::now();
    let mut stores = Vec::new();
    for number in 0..50 {
        stores.push(open(root, &format!("idle-{number}")));
    }
    let opened = start.elapsed();
    println!("open of a store with 300 objects               {:?}", opened / 50);
    println!("memory per idle store, 50 open                 {} kB", memory().saturating_sub(before) / 50);
    let watches: Vec<_> = futures::future::join_all(stores.iter().map(|store| async {
        let mut watches = Vec::new();
        for kind in 0..60 {
            watches.push(store.watch(&format!("/registry/{kind}/"), store.revision()).await.expect("watch"));
        }
        watches
    }))
    .await;
    println!("  with 60 watches each                         {} kB", memory().saturating_sub(before) / 50);
    drop(watches);
}

async fn commits(root: &Path) {
    let store = open(root, "commits");
    rate("single commits", 2_000, fill(&store, "/one/", 2_000, 1).await);
    rate("writes, 32 writers", 20_000, fill(&store, "/some/", 20_000, 32).await);
    rate("writes, 256 writers", 40_000, fill(&store, "/many/", 40_000, 256).await);
}

async fn reads(root: &Path) {
    let store = open(root, "reads");
    fill(&store, "/a/", 5_000, 256).await;
    let count = 200_000;
    let keys: Vec<String> = (0..5_000).map(|number| format!("/a/{number:06}")).collect();
    for (what, keys) in
        [("gets of one key", &keys[..1]), ("gets of 100 keys", &keys[..100]), ("gets of 5,000 keys", &keys)]
    {
        let start = Instant::now();
        for number in 0..count {
            store.get(&keys[number * 7 % keys.len()]).await.expect("get");
        }
        rate(what, count, start.elapsed());
    }
    for (what, limit) in [("list of 5,000", 0), ("page of 500 of 5,000", 500)] {
        let start = Instant::now();
        for _ in 0..100 {
            let request = ListRequest { prefix: "/a/".into(), limit, ..ListRequest::default() };
            assert!(store.list(request).await.expect("list").entries.len() >= 500);
        }
        rate(what, 100, start.elapsed());
    }
}

async fn fan_out(root: &Path) {
    for (watchers, others) in [(1_000, 0), (1_000, 1_000), (1, 10_000)] {
        let store = open(root, &format!("watch-{watchers}-{others}"));
        let events = 2_000;
        let mut idle = Vec::new();
        for number in 0..others {
            idle.push(store.watch(&format!("/other/{number}/"), Revision(0)).await.expect("watch"));
        }
        let mut tasks = Vec::new();
        for _ in 0..watchers {
            let mut watch = store.watch("/w/", Revision(0)).await.expect("watch");
            tasks.push(tokio::spawn(async move {
                for _ in 0..events {
                    watch.next().await.expect("an event");
                }
            }));
        }
        let start = Instant::now();
        fill(&store, "/w/", events, 32).await;
        for task in tasks {
            task.await.expect("a watcher");
        }
        let time = start.elapsed();
        println!(
            "{watchers} watchers beside {others} others: {events} events written and delivered in {time:?}"
        );
        rate("  deliveries", watchers * events, time);
    }
}

async fn open_large(root: &Path) {
    let start = Instant::now();
    let store = open(root, "large");
    let (time, count) = (start.elapsed(), store.count("").await.expect("count"));
    println!("opening a store of {count} objects             {time:?}");
}

async fn large(root: &Path) {
    // a process that is killed while it writes: opening verifies all of it
    let program = std::env::current_exe().expect("this program");
    let mut killed = Command::new(program).arg(root).arg("fill-large").spawn().expect("a process");
    let file = root.join("large").join(store::embedded::FILE);
    while std::fs::metadata(&file).map_or(0, |file| file.len()) < 100 << 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().and_then(|()| killed.wait()).expect("a process that can be killed");
    println!("after kill -9:");
    prepare(root, "open-large");
    std::fs::remove_dir_all(root.join("large")).expect("the folder is ours");
    prepare(root, "fill-large");
    let before = memory();
    let store = open(root, "large");
    println!("memory of 100,000 objects                      {} kB", memory().saturating_sub(before));
    drop(store);
    prepare(root, "open-large");
    let store = open(root, "large");
    let start = Instant::now();
    let mut after = None;
    loop {
        let request = ListRequest {
            prefix: "/registry/".into(),
            limit: 500,
            after: after.take(),
            at: None,
            ..Default::default()
        };
        let page = store.list(request).await.expect("list");
        if page.remaining == 0 {
            break;
        }
        after = page.entries.last().map(|entry| entry.key.to_string());
    }
    println!("200 pages of 500 of 100,000                    {:?}", start.elapsed());
    println!("  after listing them                           {} kB", memory().saturating_sub(before));
    let start = Instant::now();
    let copied = store.backup(root.join("backup")).await.expect("backup");
    println!("backup of it (revision {})                 {:?}", copied.0, start.elapsed());
}
