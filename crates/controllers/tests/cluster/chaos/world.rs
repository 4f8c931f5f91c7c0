//! A disk, and the processes that live on it.

use super::fate::{Fate, Kill, Mortal};
use super::kubelet;
use super::stories::Act;
use crate::harness::{admin, open_api};
use api::InProcess;
use client::Client;
use controllers::{Clock, Controllers, Handle, Options, Which};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use store::Store;
use store::embedded::simulation::{Random, SimulatedDisk};
use store::embedded::{self, EmbeddedStore};
use tokio::time::{Instant, sleep};

/// Without a write for so long, everything is done: longer than any controller waits.
const QUIET: Duration = Duration::from_secs(120);
/// How often somebody looks.
const LOOK: Duration = Duration::from_secs(2);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(2 * 3_600);
/// The longest that anyone takes to come back, in milliseconds.
const ABSENCE: usize = 20_000;
/// How long a lease runs on when its holder was killed, in milliseconds.
const LEASE: usize = 15_000;

/// See the module.
pub struct World {
    /// What is durable.
    pub disk: SimulatedDisk,
    random: Random,
    began: Timestamp,
    /// Time that has passed since.
    elapsed: Duration,
    acted: bool,
}

/// What a run took.
#[derive(Debug, Default)]
pub struct Spent {
    pub requests: usize,
    /// Of the disk.
    pub operations: usize,
    pub time: Duration,
    /// How often something was killed.
    pub killed: usize,
}

/// What the processes of a world are, apart from their lives.
#[derive(Clone)]
struct Surroundings {
    disk: SimulatedDisk,
    fate: Arc<Fate>,
    clock: Clock,
}

impl World {
    pub fn new(disk: SimulatedDisk, random: Random) -> Self {
        Self { disk, random, began: object::time::now(), elapsed: Duration::ZERO, acted: false }
    }

    /// Lets a user act, and processes live and die, until everything is done.
    pub fn run(&mut self, act: Act, kills: Vec<Kill>) -> Spent {
        let mut kills = VecDeque::from(kills);
        let planned = kills.len();
        let mut spent = Spent::default();
        loop {
            let fate = Arc::new(Fate::new(kills, self.disk.clone()));
            let done = self.live(act, &fate, &mut spent);
            kills = fate.rest();
            if done {
                spent.killed = planned - kills.len();
                return spent;
            }
        }
    }

    /// One process, from its start to its end; says whether everything is done.
    fn live(&mut self, act: Act, fate: &Arc<Fate>, spent: &mut Spent) -> bool {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let done = runtime.block_on(async {
            let began = Instant::now();
            let base = self.began + self.elapsed;
            let clock = Clock::of(move || base + began.elapsed());
            let surroundings = Surroundings { disk: self.disk.clone(), fate: fate.clone(), clock };
            let done = tokio::select! {
                biased;
                () = fate.process_dies() => false,
                () = self.process(act, &surroundings, spent) => true,
            };
            self.elapsed += began.elapsed();
            done
        });
        // Also one that is done is killed: what counts is on the disk.
        self.disk.die();
        drop(runtime);
        self.disk = SimulatedDisk::new(self.disk.after_crash(), self.random.next());
        self.elapsed += Duration::from_millis(self.random.below(ABSENCE) as u64);
        done
    }

    async fn process(&mut self, act: Act, around: &Surroundings, spent: &mut Spent) {
        if self.acted {
            around.fate.arm();
        }
        let Some(store) = open(around) else {
            around.fate.survive_disk().await;
            panic!("a store that does not open on a disk that works");
        };
        let api = match open_api(store.clone()).await {
            Ok(api) => api,
            Err(error) => {
                around.fate.survive_disk().await;
                panic!("an API server that does not open: {error}");
            }
        };
        let transport = Mortal { inner: InProcess::new(api, admin()), fate: around.fate.clone() };
        let client = Client::new(Arc::new(transport), "test");
        let mut controllers = controllers(&client, around);
        let kubelet = kubelet::run(client.clone(), around.clock.clone(), Random(self.random.next()));
        let kubelet = tokio::spawn(kubelet);
        let (requests, operations, began) = (around.fate.requests(), self.disk.operations(), Instant::now());
        if !self.acted {
            // The user comes to a cluster that runs.
            sleep(Duration::from_secs(5)).await;
            around.fate.arm();
            act(&client).await;
            self.acted = true;
        }
        let mut last = (store.revision(), Instant::now());
        while last.1.elapsed() < QUIET {
            tokio::select! {
                biased;
                () = around.fate.leader_dies() => {
                    drop(controllers);
                    sleep(Duration::from_millis(self.random.below(LEASE) as u64)).await;
                    controllers = self::controllers(&client, around);
                    around.fate.arm();
                }
                () = sleep(LOOK) => {}
            }
            if store.revision() != last.0 {
                last = (store.revision(), Instant::now());
            }
            assert!(began.elapsed() < PATIENCE, "there is no end to it");
        }
        spent.requests += around.fate.requests() - requests;
        spent.operations += self.disk.operations() - operations;
        spent.time += last.1 - began;
        drop((controllers, kubelet));
        self.disk.die();
    }
}

fn open(around: &Surroundings) -> Option<Arc<EmbeddedStore>> {
    let clock = around.clock.clone();
    let now = move || UNIX_EPOCH + Duration::from_millis(clock.now().as_millisecond() as u64);
    EmbeddedStore::simulated(&around.disk, options(now)).ok()
}

/// A store that forgets nothing: its history is read in the end.
pub fn options(clock: impl Fn() -> std::time::SystemTime + Send + Sync + 'static) -> embedded::Options {
    let history = Duration::from_secs(1_000_000);
    embedded::Options { history, clock: Arc::new(clock), ..embedded::Options::default() }
}

fn controllers(client: &Client, around: &Surroundings) -> Handle {
    // There is one node, and nobody who reports for it.
    let which = Which::All.without("node-lifecycle-controller");
    let clock = around.clock.clone();
    Controllers::start(
        client.clone(),
        Options { which, clock, root_ca: Some("CA".into()), ..Options::default() },
    )
}
