//! Crashes, full disks and failing disks, replayed from a seed on a [`SimulatedDisk`].
//!
//! The write path is driven on the test's own thread, so that a seed always gives the same run.

use super::{Random, SimulatedDisk};
use crate::embedded::disk::Disk;
use crate::embedded::driver::{Driver, Job};
use crate::embedded::*;
use crate::{Expect, Write};
use futures::FutureExt;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Seeds run by default; `STORE_SEEDS` runs another number, `STORE_SEED` one of them.
const SEEDS: u64 = 1_000;

/// What a store must hold: key to value, revision.
type Model = BTreeMap<String, (Vec<u8>, Revision)>;

struct Machine {
    disk: SimulatedDisk,
    store: Arc<EmbeddedStore>,
    random: Random,
    /// As of `acknowledged`.
    model: Model,
    acknowledged: Revision,
    time: Arc<AtomicU64>,
}

fn options(time: &Arc<AtomicU64>) -> Options {
    let time = time.clone();
    Options {
        cache_bytes: 0,
        history: Duration::from_millis(300),
        clock: Arc::new(move || UNIX_EPOCH + Duration::from_millis(time.load(Ordering::Relaxed))),
        ..Options::default()
    }
}

fn open(disk: &SimulatedDisk, time: &Arc<AtomicU64>) -> Result<Arc<EmbeddedStore>, StoreError> {
    EmbeddedStore::on(Disk(Arc::new(disk.clone())), None, None, "simulated", options(time))
}

/// The value of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("reads do not wait")
}

/// Runs jobs as one or a few commits.
fn drive(engine: &Arc<Engine>, jobs: Vec<Job>) {
    engine.queue.lock().jobs.extend(jobs);
    engine.queue.lock().driving = true;
    Driver::new(engine.clone()).run();
}

fn write(engine: &Arc<Engine>, write: Write) -> Result<Revision, StoreError> {
    let (reply, mut answer) = oneshot::channel();
    drive(engine, vec![Job::Write(write, reply)]);
    answer.try_recv().expect("an answer")
}

fn create(engine: &Arc<Engine>, key: &str, value: Vec<u8>) -> Result<Revision, StoreError> {
    write(engine, Write { key: key.into(), expect: Expect::Absent, value: Some(value.into()), ttl: None })
}

fn state(store: &EmbeddedStore, at: Option<Revision>) -> Model {
    let listing = now(store.list(ListRequest { at, ..ListRequest::default() })).expect("a list");
    let entry = |entry: Entry| (entry.key.to_string(), (entry.value.to_vec(), entry.mod_revision));
    listing.entries.into_iter().map(entry).collect()
}

impl Machine {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(Vec::new(), seed ^ 0xd15c);
        let time = Arc::new(AtomicU64::new(1_000_000));
        let store = open(&disk, &time).expect("a new store");
        let model = Model::new();
        Self { disk, store, random: Random(seed), model, acknowledged: Revision(0), time }
    }

    /// Some writes and perhaps a compaction, together. False when the disk died.
    fn step(&mut self) -> bool {
        let random = &mut self.random;
        let mut jobs = Vec::new();
        let mut answers = Vec::new();
        let mut used = std::collections::BTreeSet::new();
        for _ in 0..1 + random.below(6) {
            let key = format!("/k/{}", random.below(12));
            if !used.insert(key.clone()) {
                continue;
            }
            let held = self.model.get(&key);
            let deletes = held.is_some() && random.below(4) == 0;
            let size = [0, 10, 300, 2_000, 9_000][random.below(5)];
            let value = (!deletes).then(|| vec![random.next() as u8; size]);
            let write = Write {
                key: key.as_str().into(),
                expect: held.map_or(Expect::Absent, |(_, revision)| Expect::At(*revision)),
                value: value.clone().map(Into::into),
                ttl: None,
            };
            let (reply, answer) = oneshot::channel();
            jobs.push(Job::Write(write, reply));
            answers.push((key, value, answer));
        }
        if random.below(8) == 0 {
            jobs.push(Job::Compact(self.acknowledged, oneshot::channel().0));
        }
        if random.below(6) == 0 {
            // a page, whose revision is let pass some time later
            drop(now(self.store.list(ListRequest { limit: 1, ..ListRequest::default() })));
        }
        self.time.fetch_add(random.below(40) as u64, Ordering::Relaxed);
        drive(&self.store.engine, jobs);
        for (key, value, mut answer) in answers {
            match answer.try_recv().expect("an answer") {
                Ok(revision) => {
                    assert!(revision > self.acknowledged, "revisions grow");
                    self.acknowledged = revision;
                    match value {
                        Some(value) => drop(self.model.insert(key, (value, revision))),
                        None => drop(self.model.remove(&key)),
                    }
                }
                Err(StoreError::Io(_)) => return false,
                Err(other) => panic!("{other}"),
            }
        }
        true
    }

    /// Turns the power off and on and checks what is left.
    fn crash(&mut self) {
        self.disk.die();
        let seen = self.store.revision();
        let image = self.disk.after_crash();
        self.disk = SimulatedDisk::new(image, self.random.next());
        self.store = open(&self.disk, &self.time).expect("a store after a crash");
        let revision = self.store.revision();
        assert!(revision >= self.acknowledged && revision >= seen, "revisions went back to {revision:?}");
        // what was cut off is there as a whole or not at all, and is now part of history
        let from = self.store.engine.state.read().compacted;
        // an outdated page may have been compacted together with writes that were cut off
        if from <= self.acknowledged {
            let held = state(&self.store, Some(self.acknowledged));
            assert_eq!(held, self.model, "what was acknowledged is there");
        }
        let mut replayed = state(&self.store, Some(from));
        let mut watch = now(self.store.watch("", from)).expect("a watch");
        while let Some(event) = watch.try_next().expect("an event") {
            let before = replayed.get(&*event.key).map(|(_, revision)| *revision);
            assert_eq!(event.previous.as_ref().map(|entry| entry.mod_revision), before);
            match &event.value {
                Some(value) => drop(replayed.insert(event.key.to_string(), (value.to_vec(), event.revision))),
                None => drop(replayed.remove(&*event.key)),
            }
        }
        self.model = state(&self.store, None);
        assert_eq!(replayed, self.model, "history leads to the current state");
        self.acknowledged = revision;
    }
}

fn run_seed(seed: u64) {
    let mut machine = Machine::new(seed);
    for _ in 0..2 {
        let operations = machine.random.below(60);
        machine.disk.die_in(operations);
        for _ in 0..25 {
            if !machine.step() {
                break;
            }
        }
        machine.crash();
    }
    assert!(machine.step(), "the store goes on");
}

#[test]
fn nothing_acknowledged_is_lost_in_a_crash() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    if let Some(seed) = number("STORE_SEED") {
        return run_seed(seed);
    }
    for seed in 0..number("STORE_SEEDS").unwrap_or(SEEDS) {
        let run = std::panic::catch_unwind(|| run_seed(seed));
        assert!(run.is_ok(), "replay with STORE_SEED={seed}");
    }
}

/// The power goes at every single operation of a short life: creation, a few commits, compaction, sweep.
#[test]
fn every_point_of_a_commit_can_be_the_last() {
    let whole = {
        let mut machine = Machine::new(1);
        for _ in 0..12 {
            assert!(machine.step());
        }
        machine.disk.operations()
    };
    assert!(whole > 60, "the life has {whole} operations");
    let born = Machine::new(1).disk.operations();
    for last in 0..whole - born {
        let mut machine = Machine::new(1);
        machine.disk.die_in(last);
        while machine.step() {}
        machine.crash();
        assert!(machine.step(), "the store goes on after a crash at operation {last}");
    }
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let mut machine = Machine::new(3);
    for _ in 0..10 {
        assert!(machine.step());
    }
    for space in [0, 1, 2, 5, 9] {
        machine.disk.leave_space(space);
        let mut refused = None;
        for number in 0..400 {
            let key = format!("/big/{space}/{number}");
            let before = machine.store.revision();
            match create(&machine.store.engine, &key, vec![7; 20_000]) {
                Ok(revision) => drop(machine.model.insert(key, (vec![7; 20_000], revision))),
                Err(error) => {
                    assert!(
                        matches!(&error, StoreError::Io(what) if what.contains("no storage space")),
                        "{error}"
                    );
                    assert_eq!(machine.store.revision(), before);
                    refused = Some(key);
                    break;
                }
            }
        }
        let refused = refused.expect("a disk that fills up");
        assert_eq!(now(machine.store.get(&refused)).expect("a read").0, None, "nothing of it is visible");
        assert_eq!(state(&machine.store, None), machine.model, "reads go on");
        assert!(create(&machine.store.engine, &refused, vec![7; 20_000]).is_err(), "still full");
        machine.disk.leave_space(usize::MAX);
        let revision =
            create(&machine.store.engine, &refused, vec![1]).expect("a write when there is space again");
        machine.model.insert(refused, (vec![1], revision));
    }
    let image = {
        let Machine { store, disk, .. } = &machine;
        let revision = store.revision();
        let again =
            open(&SimulatedDisk::new(disk.after_crash(), 5), &machine.time).expect("a store after a crash");
        assert!(again.revision() >= revision);
        state(&again, None)
    };
    assert_eq!(image, machine.model);
}

#[test]
fn a_failed_sync_shows_nothing_and_the_store_goes_on() {
    for seed in 0..40 {
        let mut machine = Machine::new(seed);
        for _ in 0..5 {
            assert!(machine.step());
        }
        let mut watch = now(machine.store.watch("", machine.store.revision())).expect("a watch");
        machine.disk.fail_syncs(1 + seed as usize % 2);
        let error = create(&machine.store.engine, "/x", vec![1]).expect_err("a failed sync");
        assert_eq!(error, StoreError::Io("simulated: sync failed".into()));
        assert_eq!(state(&machine.store, None), machine.model);
        machine.disk.fail_syncs(0);
        let revision = create(&machine.store.engine, "/x", vec![2]).expect("a write after the failure");
        machine.model.insert("/x".into(), (vec![2], revision));
        machine.acknowledged = revision;
        let event = watch.try_next().expect("a running watch").expect("an event");
        assert_eq!(
            (event.revision, event.previous.is_none()),
            (revision, true),
            "only the second write happened"
        );
        assert!(watch.try_next().expect("a running watch").is_none());
        machine.crash();
    }
}

#[test]
fn a_failed_read_is_told_and_the_next_one_works() {
    let mut machine = Machine::new(11);
    for _ in 0..20 {
        assert!(machine.step());
    }
    let image = machine.disk.image();
    machine.disk = SimulatedDisk::new(image, 0);
    machine.store = open(&machine.disk, &machine.time).expect("open");
    let key =
        machine.model.iter().find(|(_, (value, _))| value.len() > 1_000).expect("a large value").0.clone();
    let mut failed = 0;
    for failing in 0..20 {
        machine.disk.fail_reads(failing);
        failed += usize::from(now(machine.store.get(&key)).is_err());
        machine.disk.fail_reads(0);
        assert_eq!(state(&machine.store, None), machine.model);
    }
    assert!(failed > 0, "no read failed");
    assert!(machine.step());
}
