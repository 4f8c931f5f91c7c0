//! Measures a release build of joey: `cargo xtask bench first-light`, `cargo xtask bench api`, `cargo xtask bench controllers`,
//! `cargo xtask bench definitions`.
//!
//! Figures that take a process as a whole are the median of ten processes. Those that wait (memory, idle processor time) are
//! taken from ten processes that idle at the same time; each is measured by its own memory and its own processor time.

mod api;
mod controllers;
mod pods;
mod sample;
mod up;

use clap::{Parser, Subcommand};
use sample::{median, percentile, processor_time, resident};
use std::process::ExitCode;
use std::time::Duration;
use up::{Programs, Up};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Requests, watches and memory of one API server, beside another's when one is named.
    Api(api::Api),
    /// Many deployments at once: until all pods are ready, and what that costs.
    Controllers(controllers::Controllers),
    /// The simulated nodes of `controllers`, which starts this.
    #[command(hide = true)]
    Nodes(controllers::Nodes),
    /// Thousands of CustomResourceDefinitions: creation, discovery, OpenAPI and memory.
    Definitions(api::definitions::Definitions),
    /// Start, create, memory, idle processor time, pod latencies and the program's size.
    FirstLight {
        /// How often each figure is taken.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
        /// Further virtual clusters for the figures of many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        clusters: u32,
        /// Pods of each run.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10000))]
        pods: u32,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().what {
        What::Api(api) => api.run().map(|()| true),
        What::Controllers(controllers) => controllers.run().map(|()| true),
        What::Nodes(nodes) => nodes.run().map(|()| true),
        What::Definitions(definitions) => definitions.run().map(|()| true),
        What::FirstLight { runs, clusters, pods } => first_light(runs, clusters, pods),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a figure is not within what it must be");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A line of the table.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    must: f64,
    aim: f64,
}

/// Takes all figures and prints the table; whether all are within what they must be.
fn first_light(runs: u32, clusters: u32, pods: u32) -> Result<bool, String> {
    let programs = Programs::find()?;
    let mut figures = vec![];
    let mut add = |name: &str, value: f64, unit, must: f64, aim: f64| {
        eprintln!("{name}: {value:.1} {unit}");
        figures.push(Figure { name: name.to_owned(), value, unit, must, aim });
    };
    let (fresh, again) = starts(&programs, runs)?;
    add("joey up → kubectl get ns", fresh, "ms", 1500.0, 300.0);
    add("the same on kept data", again, "ms", 1500.0, 300.0);
    add("joey create --wait", creations(&programs, runs)?, "ms", 500.0, 100.0);
    let (down, up) = pod_latencies(&programs, runs, pods)?;
    for (name, values) in [("virtual pod → host pod", down), ("host Running → virtual Running", up)] {
        add(&format!("{name}, p50"), values.0, "ms", 100.0, 20.0);
        add(&format!("{name}, p99"), values.1, "ms", 100.0, 20.0);
    }
    let idle = idle(&programs, runs, clusters)?;
    add("idle memory (RSS)", idle.resident / 1e6, "MB", 60.0, 25.0);
    add("memory of a further cluster", idle.further / 1e6, "MB", 3.0, 0.5);
    add(&format!("idle CPU with {clusters} clusters"), idle.processor * 100.0, "% of a core", 3.0, 0.5);
    let size = std::fs::metadata(&programs.joey).map_err(|e| e.to_string())?.len();
    add("release binary", size as f64 / 1e6, "MB", 40.0, 20.0);

    println!(
        "\nEach the median of {runs} runs; {} cores.",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    println!("\n| figure | measured | must | aim |\n|---|---|---|---|");
    for Figure { name, value, unit, must, aim } in &figures {
        let verdict = if value < aim {
            ""
        } else if value < must {
            " (aim missed)"
        } else {
            " **(too much)**"
        };
        println!("| {name} | {value:.2} {unit}{verdict} | < {must} {unit} | < {aim} {unit} |");
    }
    Ok(figures.iter().all(|f| f.value < f.must))
}

/// Milliseconds from starting `joey up` until kubectl has an answer: in a fresh folder, and on kept data.
fn starts(programs: &Programs, runs: u32) -> Result<(f64, f64), String> {
    let (mut fresh, mut again) = (vec![], vec![]);
    for _ in 0..runs {
        let mut up = Up::start(programs)?;
        fresh.push(up.until_kubectl_answers()?);
        up.restart()?;
        again.push(up.until_kubectl_answers()?);
    }
    Ok((median(&fresh), median(&again)))
}

fn creations(programs: &Programs, runs: u32) -> Result<f64, String> {
    let up = Up::start(programs)?;
    let taken: Result<Vec<f64>, String> = (0..runs).map(|n| up.create(&format!("b{n}"))).collect();
    Ok(median(&taken?))
}

/// p50 and p99 of both ways, each the median over the runs.
fn pod_latencies(programs: &Programs, runs: u32, pods: u32) -> Result<((f64, f64), (f64, f64)), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let up = Up::start(programs)?;
    let mut all = vec![];
    for run in 0..runs {
        all.push(runtime.block_on(pods::measure(&up.kubeconfig(), &format!("run-{run}"), pods as usize))?);
    }
    let of = |which: fn(&pods::Latencies) -> &Vec<f64>, share| {
        median(&all.iter().map(|l| percentile(which(l), share)).collect::<Vec<_>>())
    };
    let both = |which: fn(&pods::Latencies) -> &Vec<f64>| (of(which, 0.5), of(which, 0.99));
    Ok((both(|l| &l.down), both(|l| &l.up)))
}

struct Idle {
    /// Bytes, 30 seconds after the start.
    resident: f64,
    /// Bytes added by each further virtual cluster.
    further: f64,
    /// Share of one core.
    processor: f64,
}

/// Memory and processor time of processes that nobody asks anything.
fn idle(programs: &Programs, runs: u32, clusters: u32) -> Result<Idle, String> {
    const SETTLE: Duration = Duration::from_secs(30);
    const WATCHED: Duration = Duration::from_secs(60);
    let ups: Vec<Up<'_>> = (0..runs).map(|_| Up::start(programs)).collect::<Result<_, _>>()?;
    ups.iter().for_each(|up| up.wait_until_old(SETTLE));
    let of_each = |what: fn(u32) -> Result<f64, String>| -> Result<Vec<f64>, String> {
        ups.iter().map(|up| what(up.process())).collect()
    };
    let alone = of_each(resident)?;
    for up in &ups {
        for number in 0..clusters {
            up.create(&format!("c{number}"))?;
        }
    }
    std::thread::sleep(SETTLE);
    let many = of_each(resident)?;
    let before = of_each(processor_time)?;
    std::thread::sleep(WATCHED);
    let after = of_each(processor_time)?;
    let difference =
        |a: &[f64], b: &[f64], by: f64| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| (a - b) / by).collect() };
    Ok(Idle {
        resident: median(&alone),
        further: median(&difference(&many, &alone, f64::from(clusters))),
        processor: median(&difference(&after, &before, WATCHED.as_secs_f64())),
    })
}
