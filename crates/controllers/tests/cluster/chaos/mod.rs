//! kill -9 at any point of a rollout, a scale-down, a namespace's deletion, a job's run and more: the end is always the one
//! that an undisturbed run reaches, no pod is made twice and none is lost.
//!
//! A run is a [`World`]: a disk in memory, and the processes that live on it one after the other, each with an API server
//! on the embedded store, all controllers and a kubelet. Time is tokio's, paused. A seed decides what dies when (see
//! [`Kill`](fate::Kill)), how long pods take, and what an unsynced disk keeps.
//!
//! `CHAOS_SEEDS` runs another number of seeds a story, `CHAOS_SEED` one of them.

mod fate;
mod kubelet;
mod record;
mod stories;
mod world;

use fate::Kill;
use record::Record;
use store::embedded::simulation::{Random, SimulatedDisk};
use stories::Story;
use world::{Spent, World};

/// Seeds a story.
const SEEDS: u64 = 50;
/// Seeds of stories that are much like others.
const FEW: u64 = 20;
/// Kills a run, at most.
const KILLS: usize = 4;

/// Where a story begins, and how it ends when nobody is killed.
struct Undisturbed {
    image: Vec<u8>,
    record: Record,
    spent: Spent,
}

fn undisturbed(story: &Story) -> Undisturbed {
    let mut world = World::new(SimulatedDisk::new(Vec::new(), 1), Random(1));
    world.run(story.prepare, vec![]);
    let image = world.disk.image();
    let mut world = World::new(SimulatedDisk::new(image.clone(), 2), Random(2));
    let spent = world.run(story.act, vec![]);
    let record = Record::read(&world.disk, &image);
    Undisturbed { image, record, spent }
}

/// One disturbed run; says how often something was killed.
fn run_seed(story: &Story, seed: u64, expected: &Undisturbed) -> usize {
    let mut random = Random(seed ^ 0xc4a0_5000);
    let disk = SimulatedDisk::new(expected.image.clone(), random.next());
    let count = 1 + random.below(KILLS);
    let kills: Vec<_> = (0..count).map(|_| Kill::any(&mut random, &expected.spent, count)).collect();
    let plan = format!("{kills:?}");
    let mut world = World::new(disk, random);
    let spent = world.run(story.act, kills);
    let record = Record::read(&world.disk, &expected.image);
    record.hold(story.holds);
    record.compare(&expected.record, &plan);
    spent.killed
}

fn run(story: &Story, seeds: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let expected = undisturbed(story);
    expected.record.hold(story.holds);
    let seeds = match number("CHAOS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHAOS_SEEDS").unwrap_or(seeds),
    };
    let mut killed = 0;
    for seed in seeds.clone() {
        let run = std::panic::AssertUnwindSafe(|| run_seed(story, seed, &expected));
        match std::panic::catch_unwind(run) {
            Ok(kills) => killed += kills,
            Err(_) => panic!("{}: replay with CHAOS_SEED={seed}", story.name),
        }
    }
    println!("{}: {} seeds, {killed} kills", story.name, seeds.end - seeds.start);
    assert!(killed as u64 >= seeds.end - seeds.start, "only {killed} kills: the seeds prove little");
}

#[test]
fn a_rollout() {
    run(&stories::ROLLOUT, SEEDS);
}

#[test]
fn a_scale_down() {
    run(&stories::SCALE_DOWN, SEEDS);
}

#[test]
fn a_namespace() {
    run(&stories::NAMESPACE, SEEDS);
}

#[test]
fn a_job() {
    run(&stories::JOB, SEEDS);
}

#[test]
fn a_scale_up() {
    run(&stories::SCALE_UP, FEW);
}

#[test]
fn a_stateful_rollout() {
    run(&stories::STATEFUL, FEW);
}
