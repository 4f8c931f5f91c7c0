//! `bench api`: how fast and how large one API server is, beside another when one is named.
//!
//! One load generator, one machine, rounds of both servers in turn. What counts is the server's own processor time for
//! each operation (from `/proc`), which says the same on a busy machine; wall-clock figures are printed beside it.

mod connection;
pub(crate) mod definitions;
mod fairness;
mod load;
mod scenarios;
mod size;
mod target;
mod watch;

use clap::Args;
use connection::{Address, Asked, Connection};
use http::Method;
use load::Taken;
use object::json;
use scenarios::{NAMESPACE, OBJECTS};
use std::time::Duration;
use target::{Joey, Target};

#[derive(Args)]
pub(crate) struct Api {
    /// Another API server to measure beside joey.
    #[arg(long, value_name = "URL", requires = "peer_token")]
    peer: Option<String>,
    /// A bearer token with all rights there.
    #[arg(long, value_name = "TOKEN")]
    peer_token: Option<String>,
    /// The peer's processes: the API server's id and that of its store, with a comma between.
    #[arg(long, value_name = "PID,PID", value_delimiter = ',', requires = "peer")]
    peer_pids: Vec<u32>,
    /// Seconds of each round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Rounds of each figure.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Watches of one collection.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// Objects of 2 kB whose memory is measured; 10,000 of them first.
    #[arg(long, default_value_t = 100_000)]
    objects: u64,
    /// Only figures whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
}

impl Api {
    pub fn run(&self) -> Result<(), String> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(self.measure())
    }

    async fn measure(&self) -> Result<(), String> {
        let mut joey = Joey::new()?;
        let (own, _) = joey.start().await?;
        let mut targets = vec![own];
        if let (Some(url), Some(token)) = (&self.peer, &self.peer_token) {
            let address = Address::parse(url, token)?;
            targets.push(Target { name: "peer", address, processes: self.peer_pids.clone() });
        }
        let salt = format!("{:x}", std::process::id());
        let empty: Vec<f64> = targets.iter().map(Target::memory).collect::<Result<_, _>>()?;
        println!("{} cores; {} rounds of {} s\n", cores(), self.rounds, self.seconds);
        println!("| operation | server | per CPU-second | ratio (aim) | CPU µs each | per second | p99 ms |");
        println!("|---|---|---:|---:|---:|---:|---:|");
        for target in &targets {
            prepare(target).await?;
        }
        self.loads(&targets, &salt).await?;
        self.watches(&targets).await?;
        if "fairness".contains(&self.only) {
            fairness::measure(self.lasting()).await?;
        }
        if "memory and start".contains(&self.only) {
            size::measure(&targets, &empty, self.objects, &salt).await?;
            size::start(&mut joey, 10_000).await?;
        }
        Ok(())
    }

    async fn loads(&self, targets: &[Target], salt: &str) -> Result<(), String> {
        for scenario in scenarios::all(salt) {
            if !scenario.name.contains(&self.only) {
                continue;
            }
            let mut taken = vec![Taken::default(); targets.len()];
            for round in 0..self.rounds {
                for (target, taken) in targets.iter().zip(&mut taken) {
                    let from = round * 10_000_000;
                    let round = load::during(target, &scenario.make, from, self.lasting()).await;
                    taken.add(round.map_err(|e| format!("{}: {e}", target.name))?);
                }
            }
            tell(scenario.name, targets, &taken, scenario.aim);
        }
        Ok(())
    }

    async fn watches(&self, targets: &[Target]) -> Result<(), String> {
        let name = format!("event to each of {} watches", self.watchers);
        if !name.contains(&self.only) {
            return Ok(());
        }
        let mut taken = vec![Taken::default(); targets.len()];
        for _ in 0..self.rounds {
            for (target, taken) in targets.iter().zip(&mut taken) {
                let round = watch::fan_out(target, self.watchers, self.lasting()).await;
                taken.add(round.map_err(|e| format!("{}: {e}", target.name))?);
            }
        }
        tell(&name, targets, &taken, 10.0);
        Ok(())
    }

    fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn tell(name: &str, targets: &[Target], taken: &[Taken], aim: f64) {
    let peer = taken.get(1).map(Taken::per_processor_second);
    for (number, (target, taken)) in targets.iter().zip(taken).enumerate() {
        let ratio = match peer {
            Some(peer) if number == 0 => {
                format!("{:.1} ({aim:.0})", taken.per_processor_second() / peer)
            }
            _ => String::new(),
        };
        println!(
            "| {name} | {} | {:.0} | {ratio} | {:.1} | {:.0} | {:.2} |",
            target.name,
            taken.per_processor_second(),
            1e6 / taken.per_processor_second(),
            taken.per_second(),
            taken.p99(),
        );
    }
    for (target, taken) in targets.iter().zip(taken).filter(|(_, taken)| taken.missed > 0.0) {
        let all = taken.operations + taken.missed;
        println!(
            "| {name} | {}: {:.0} of {all:.0} delivered in time | | | | | |",
            target.name, taken.operations
        );
    }
}

/// Makes what is read and changed; what an earlier run left is used again.
async fn prepare(target: &Target) -> Result<(), String> {
    let connection = Connection::open(&target.address).await?;
    make_namespace(&connection, watch::NAMESPACE).await?;
    for (namespace, prefix, count) in
        [(NAMESPACE, "object", OBJECTS), ("list-500", "item", 500), ("list-5000", "item", 5_000)]
    {
        make_namespace(&connection, namespace).await?;
        let last = format!("{}/{prefix}-{:06}", scenarios::collection(namespace), count - 1);
        if connection.ask(Asked::get(last)).await.is_err() {
            load::range(target, &scenarios::creation(namespace, prefix), 0, count).await?;
        }
    }
    Ok(())
}

async fn make_namespace(connection: &Connection, name: &str) -> Result<(), String> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
    match connection.ask(Asked::send(Method::POST, "/api/v1/namespaces", body)).await {
        Err(error) if !error.contains("AlreadyExists") => Err(error),
        _ => Ok(()),
    }
}
