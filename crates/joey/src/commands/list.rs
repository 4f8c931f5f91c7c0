//! `joey list`.

use super::host::{Host, HostArgs};
use super::output::{self, Format};
use crate::telling::say;
use clap::Args;
use client::ListOptions;
use hub::Error;
use object::{GroupVersionResource, Value, meta};

#[derive(Args)]
pub(crate) struct List {
    /// Only those in this host namespace.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    host: HostArgs,
}

impl List {
    pub async fn run(self) -> Result<(), Error> {
        let host = self.host.open().await?;
        let clusters = host.clusters(self.namespace.as_deref().unwrap_or("")).await?;
        if output::objects(&clusters, self.output)? {
            return Ok(());
        }
        if clusters.is_empty() {
            say!("no virtual clusters on {}: make one with joey create NAME", host.server);
            return Ok(());
        }
        let wide = self.output == Some(Format::Wide);
        let mut rows = Vec::new();
        for cluster in &clusters {
            let mut row = row(&host, cluster).await;
            if wide {
                row.push(cluster["status"]["message"].as_str().unwrap_or("").to_owned());
            }
            rows.push(row);
        }
        let mut headings = vec!["NAME", "NAMESPACE", "VERSION", "STATUS", "AGE", "PODS", "ADDRESS"];
        if wide {
            headings.push("MESSAGE");
        }
        output::table(&headings, &rows);
        Ok(())
    }
}

async fn row(host: &Host, cluster: &Value) -> Vec<String> {
    let text = |field: &str| cluster["status"][field].as_str().unwrap_or("").to_owned();
    let phase = match meta::deletion_timestamp(cluster) {
        Some(_) => "Terminating".to_owned(),
        None if text("phase").is_empty() => "Pending".to_owned(),
        None => text("phase"),
    };
    let pods = pods(host, cluster).await.map_or("?".to_owned(), |n| n.to_string());
    let age = object::time::age(meta::creation_timestamp(cluster), object::time::now());
    vec![
        meta::name(cluster).into(),
        meta::namespace(cluster).into(),
        text("version"),
        phase,
        age,
        pods,
        text("address"),
    ]
}

/// How many pods a virtual cluster has on the host.
pub(crate) async fn pods(host: &Host, cluster: &Value) -> Option<usize> {
    let pods = GroupVersionResource::new("", "v1", "pods");
    let options = ListOptions::labels(format!("joey.dev/cluster={}", meta::name(cluster)));
    host.client.list_all(&pods, meta::namespace(cluster), &options).await.ok().map(|l| l.items.len())
}
