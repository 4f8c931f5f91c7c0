//! `bench definitions`: what thousands of CustomResourceDefinitions cost, and whether one more costs more for those before.
//!
//! Definitions are created one after the other, each until its resource is served. After every part memory is taken, and how
//! long clients wait for what they ask first: the groups, a group's resources, its OpenAPI document and the whole one.

use super::connection::{Asked, Connection};
use super::target::{Joey, Target};
use crate::sample::{median, percentile};
use clap::Args;
use http::Method;
use object::{Value, json};
use std::time::{Duration, Instant};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Resources of one group.
const OF_A_GROUP: u32 = 10;
/// How often each question is asked.
const QUESTIONS: usize = 7;
/// A definition that is not served by then never is.
const SERVED: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Definitions {
    /// How many definitions there are in the end.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    count: u32,
    /// Figures are taken so many times on the way.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    parts: u32,
}

impl Definitions {
    pub fn run(&self) -> Result<(), String> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(self.measure())
    }

    async fn measure(&self) -> Result<(), String> {
        let mut joey = Joey::new()?;
        let (target, _) = joey.start().await?;
        let connection = Connection::open(&target.address).await?;
        println!(
            "| definitions | created p50 ms | p99 ms | CPU ms each | served p50 ms | memory MB | /apis ms | group ms | OpenAPI v3 index ms | of a group ms | OpenAPI v2 ms | list of one ms | memory then MB |"
        );
        println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        let memory = target.memory()? / 1e6;
        let first = asked(&connection, 0).await?.join(" | ");
        println!("| 0 | | | | | {memory:.1} | {first} | {:.1} |", target.memory()? / 1e6);
        let (mut made, step) = (0, self.count.div_ceil(self.parts));
        while made < self.count {
            let until = self.count.min(made + step);
            self.part(&target, &connection, made, until).await?;
            made = until;
        }
        drop(connection);
        joey.stop();
        let (again, took) = joey.start().await?;
        let memory = again.memory()? / 1e6;
        println!("\nstart on {made} definitions: {:.0} ms, {memory:.1} MB then", took * 1e3);
        Ok(())
    }

    async fn part(
        &self,
        target: &Target,
        connection: &Connection,
        from: u32,
        until: u32,
    ) -> Result<(), String> {
        let (mut created, mut served) = (vec![], vec![]);
        let before = target.processor()?;
        for index in from..until {
            let began = Instant::now();
            let body = definition(index).to_string();
            connection.ask(Asked::send(Method::POST, DEFINITIONS, body)).await?;
            created.push(began.elapsed().as_secs_f64() * 1e3);
            until_served(connection, index).await?;
            served.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let each = (target.processor()? - before) * 1e3 / f64::from(until - from);
        let memory = target.memory()? / 1e6;
        let waits = asked(connection, until - 1).await?;
        println!(
            "| {until} | {:.2} | {:.2} | {each:.2} | {:.2} | {:.1} | {} | {:.1} |",
            median(&created),
            percentile(&created, 0.99),
            median(&served),
            memory,
            waits.join(" | "),
            target.memory()? / 1e6
        );
        Ok(())
    }
}

fn group(index: u32) -> String {
    format!("g{}.bench.example.com", index / OF_A_GROUP)
}

fn objects(index: u32) -> String {
    format!("/apis/{}/v1/namespaces/default/things{index}", group(index))
}

async fn until_served(connection: &Connection, index: u32) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match connection.ask(Asked::get(objects(index))).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > SERVED => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
        }
    }
}

/// Milliseconds (medians) until the answers to what clients ask, where `last` is the newest definition.
async fn asked(connection: &Connection, last: u32) -> Result<Vec<String>, String> {
    let own = group(last);
    let (one, document) = (format!("/apis/{own}/v1"), format!("/openapi/v3/apis/{own}/v1"));
    let listed = objects(last);
    let mut waits = vec![];
    for path in ["/apis", &one, "/openapi/v3", &document, "/openapi/v2", &listed] {
        let mut took = vec![];
        for _ in 0..QUESTIONS {
            let began = Instant::now();
            if connection.ask(Asked::get(path)).await.is_ok() {
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        waits.push(if took.is_empty() { String::new() } else { format!("{:.2}", median(&took)) });
    }
    Ok(waits)
}

/// A definition as operators have them: a dozen fields, a list map, a rule, a status and columns.
fn definition(index: u32) -> Value {
    let group = group(index);
    let text = json!({"type": "string", "maxLength": 64});
    let mut fields = serde_json::Map::new();
    for field in 0..12 {
        fields.insert(format!("field{field}"), text.clone());
    }
    fields.insert("replicas".into(), json!({"type": "integer", "minimum": 0, "default": 1}));
    fields.insert(
        "ports".into(),
        json!({"type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": text, "port": {"type": "integer"}}}}),
    );
    let spec = json!({"type": "object", "properties": fields,
        "x-kubernetes-validations": [{"rule": "self.replicas < 100", "message": "too many"}]});
    let status =
        json!({"type": "object", "properties": {"phase": text, "observedGeneration": {"type": "integer"}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things{index}.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": format!("things{index}"), "singular": format!("thing{index}"), "kind": format!("Thing{index}"), "listKind": format!("Thing{index}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}}]}})
}
