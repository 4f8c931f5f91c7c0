//! Several joeys on one etcd: one cluster, of which any server may die at any time.

use client::{Client, WatchOptions};
use e2e::{Etcd, Joey, Running};
use object::{ApiError, GroupVersionResource, Value, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WRITERS: usize = 6;
/// What the servers are said to be reached by, in the cluster.
const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

/// Two servers of one etcd, each with a kubeconfig of its own.
struct Pair {
    joey: Joey,
    _etcd: Etcd,
    endpoint: String,
    servers: [Option<Running>; 2],
    ports: [u16; 2],
}

impl Pair {
    fn start() -> Option<Self> {
        let joey = Joey::idle()?;
        let etcd = Etcd::start(&joey.path("etcd"))?;
        let endpoint = etcd.endpoint.clone();
        let ports = [e2e::free_port(), e2e::free_port()];
        let mut pair = Self { joey, _etcd: etcd, endpoint, servers: [None, None], ports };
        pair.serve(0);
        pair.serve(1);
        Some(pair)
    }

    fn serve(&mut self, number: usize) {
        let data = self.joey.path(&format!("data-{number}")).display().to_string();
        let listen = format!("127.0.0.1:{}", self.ports[number]);
        let arguments =
            ["serve", "--store", "etcd", "--etcd-endpoints", &self.endpoint, "--etcd-prefix", "/test"];
        let address = ADDRESSES[number];
        let further = [
            "--data-dir",
            &data,
            "--listen",
            &listen,
            "--advertise-address",
            address,
            "--sandbox-nodes",
            "2",
        ];
        self.servers[number] =
            Some(self.joey.spawn(&[&arguments[..], &further[..]].concat(), "kubectl --kubeconfig"));
    }

    /// Ends a server at once, as a crash would.
    fn kill(&mut self, number: usize) {
        drop(self.servers[number].take());
    }

    fn kubeconfig(&self, number: usize) -> PathBuf {
        self.joey.path(&format!("data-{number}")).join("kubeconfig")
    }

    fn kubectl(&self, number: usize, arguments: &[&str]) -> String {
        let file = self.kubeconfig(number).display().to_string();
        self.joey.kubectl_in("joey", &[&["--kubeconfig", &file], arguments].concat())
    }
}

async fn client(kubeconfig: &Path) -> Client {
    hostclient::connect(Some(kubeconfig), None, "test").await.expect("a kubeconfig").client
}

fn config_maps() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "configmaps")
}

/// Name, version and value of a write that was acknowledged.
type Acknowledged = BTreeMap<u64, (String, String)>;

/// Creates and updates objects of its own through whichever server answers, until told to stop.
async fn write(clients: [Client; 2], number: usize, stop: Arc<AtomicBool>) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for step in 0usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (name, value) = (format!("w{number}-{}", step % 7), step.to_string());
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
            "data": {"step": value},
        });
        let client = &clients[(number + step) % 2];
        let written = match client.find(&config_maps(), "default", &name).await {
            Ok(None) => client.create(&config_maps(), &wanted).await,
            Ok(Some(mut held)) => {
                held["data"] = wanted["data"].clone();
                client.update(&config_maps(), &held).await
            }
            Err(error) => Err(error),
        };
        // One that is gone, or an answer that was lost: the other server is asked next.
        if let Ok(written) = written {
            acknowledged.insert(version(&written), (name, value));
        }
    }
    acknowledged
}

fn version(object: &Value) -> u64 {
    meta::resource_version(object).parse().expect("a number")
}

/// Follows all objects through whichever server answers, goes on where it was, and notes each change until `enough`.
async fn follow(clients: [Client; 2], from: u64, last: tokio::sync::watch::Receiver<u64>) -> Acknowledged {
    let mut seen = Acknowledged::new();
    let mut at = from;
    for turn in 0usize.. {
        let options = WatchOptions { resource_version: at.to_string(), ..WatchOptions::default() };
        let opened = clients[turn % 2].watch(&config_maps(), "default", &options).await;
        let mut watch = match opened {
            Ok(watch) => watch,
            Err(ApiError::Expired { .. }) => panic!("a watch from {at} is too old"),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        loop {
            let next = tokio::time::timeout(Duration::from_millis(200), watch.next()).await;
            if *last.borrow() > 0 && at >= *last.borrow() {
                return seen;
            }
            let frame = match next {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error @ ApiError::Expired { .. }))) => panic!("the watch ended: {error}"),
                Ok(_) => break,
                Err(_) => continue,
            };
            let object: Value = serde_json::from_slice(&frame.object).expect("an object");
            let revision = version(&object);
            assert!(revision > at, "{revision} after {at}: out of order");
            at = revision;
            let step = object["data"]["step"].as_str().unwrap_or_default().to_owned();
            seen.insert(revision, (meta::name(&object).to_owned(), step));
        }
    }
    seen
}

#[test]
fn either_of_two_servers_may_die_and_nothing_acknowledged_is_lost() {
    let Some(mut pair) = Pair::start() else { return };
    // What one is told, the other knows: roles, definitions, addresses.
    pair.kubectl(0, &["create", "namespace", "made-by-one"]);
    assert!(pair.kubectl(1, &["get", "namespace", "made-by-one", "-o", "name"]).contains("made-by-one"));
    for number in 0..6 {
        let name = format!("s{number}");
        pair.kubectl(number % 2, &["create", "service", "nodeport", &name, "--tcp=80"]);
    }
    let services = pair.kubectl(0, &["get", "services", "-o", "jsonpath={.items[*].spec.clusterIP}"]);
    let addresses: std::collections::BTreeSet<_> = services.split(' ').collect();
    assert_eq!(addresses.len(), 7, "each its own: {services}");
    let leads =
        pair.kubectl(0, &["get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[*].addresses[*].ip}"]);
    for address in ADDRESSES {
        assert!(leads.contains(address), "the kubernetes service leads to both: {leads}");
    }

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (one, two) =
        runtime.block_on(async { (client(&pair.kubeconfig(0)).await, client(&pair.kubeconfig(1)).await) });
    let from = runtime.block_on(one.list(&config_maps(), "default", &Default::default())).expect("a list");
    let from = from.resource_version.parse().expect("a number");
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, last) = tokio::sync::watch::channel(0);
    let following = runtime.spawn(follow([one.clone(), two.clone()], from, last));
    let writing: Vec<_> = (0..WRITERS)
        .map(|number| runtime.spawn(write([one.clone(), two.clone()], number, stop.clone())))
        .collect();
    for round in 0..4 {
        // Let there be some writes between.
        let settle =
            pair.kubectl(round % 2, &["create", "configmap", &format!("round-{round}"), "-o", "name"]);
        assert!(settle.contains("round"));
        pair.kill(round % 2);
        pair.kubectl((round + 1) % 2, &["create", "configmap", &format!("alone-{round}")]);
        pair.serve(round % 2);
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::new();
    for writer in writing {
        acknowledged.extend(runtime.block_on(writer).expect("a writer"));
    }
    pair.kubectl(0, &["create", "configmap", "the-last"]);
    let held =
        runtime.block_on(one.list(&config_maps(), "default", &Default::default())).expect("a list").items;
    let held: BTreeMap<String, Value> = held.into_iter().map(|o| (meta::name(&o).to_owned(), o)).collect();
    ended.send(version(&held["the-last"])).expect("somebody follows");
    let seen = runtime.block_on(following).expect("the follower");
    assert!(acknowledged.len() > 50, "only {} writes", acknowledged.len());
    for (revision, (name, value)) in &acknowledged {
        assert_eq!(seen.get(revision), Some(&(name.clone(), value.clone())), "the watch missed {revision}");
        assert!(version(&held[name]) >= *revision, "{name} went back");
    }
    for object in held.values() {
        let shown = seen.get(&version(object)).map(|(name, _)| name.as_str());
        assert!(
            shown == Some(meta::name(object)) || meta::name(object) == "kube-root-ca.crt",
            "{object} was not shown"
        );
    }
}

#[test]
fn when_the_leader_dies_the_other_finishes_its_rollout() {
    let Some(mut pair) = Pair::start() else { return };
    pair.kubectl(1, &["create", "deployment", "web", "--image=nginx", "--replicas=12"]);
    pair.kubectl(1, &["rollout", "status", "deployment/web", "--timeout=120s"]);
    let lease = ["get", "lease", "-n", "kube-system", "kube-controller-manager", "-o"];
    let held =
        |pair: &Pair, path: &str| pair.kubectl(1, &[&lease[..], &[&format!("jsonpath={path}")]].concat());
    let leader = held(&pair, "{.spec.holderIdentity}");
    assert_eq!(held(&pair, "{.spec.leaseTransitions}"), "0", "the first one leads");
    pair.kubectl(1, &["set", "image", "deployment/web", "nginx=nginx:2"]);
    pair.kill(0);
    pair.kubectl(1, &["rollout", "status", "deployment/web", "--timeout=120s"]);
    let now = held(&pair, "{.spec.holderIdentity}");
    assert_ne!(now, leader);
    assert_eq!(held(&pair, "{.spec.leaseTransitions}"), "1");
    let images = pair
        .kubectl(1, &["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[*].image}"]);
    let images: Vec<_> = images.split(' ').filter(|image| *image == "nginx:2").collect();
    assert_eq!(images.len(), 12);
    let events =
        pair.kubectl(1, &["get", "events", "-n", "kube-system", "-o", "jsonpath={.items[*].message}"]);
    assert!(events.contains(&format!("{now} became leader")), "{events}");
}
