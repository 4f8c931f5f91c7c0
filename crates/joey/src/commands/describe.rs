//! `joey describe`.

use super::host::HostArgs;
use super::list::pods;
use super::output::{self, Format};
use crate::telling::say;
use clap::Args;
use hub::Error;
use object::{Value, meta};

#[derive(Args)]
pub(crate) struct Describe {
    /// Name of the virtual cluster.
    name: String,
    /// Its host namespace.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    host: HostArgs,
}

impl Describe {
    pub async fn run(self) -> Result<(), Error> {
        let host = self.host.open().await?;
        let cluster = host.cluster(&self.name, self.namespace.as_deref()).await?;
        if output::object(&cluster, self.output)? {
            return Ok(());
        }
        let status = |field: &str| cluster["status"][field].as_str().unwrap_or("-").to_owned();
        let count = pods(&host, &cluster).await.map_or("unknown".to_owned(), |n| n.to_string());
        let rows = [
            ("Name", meta::name(&cluster).to_owned()),
            ("Namespace", meta::namespace(&cluster).to_owned()),
            ("Host", format!("{} (context {})", host.server, host.context)),
            ("Status", status("phase")),
            ("Message", status("message")),
            ("Version", status("version")),
            ("Address", status("address")),
            ("Kubeconfig", format!("secret {}", status("kubeconfigSecret"))),
            ("Pods on host", count),
            ("Created", meta::creation_timestamp(&cluster).unwrap_or("-").to_owned()),
            ("Age", object::time::age(meta::creation_timestamp(&cluster), object::time::now())),
        ];
        for (name, value) in rows {
            say!("{:<14}{value}", format!("{name}:"));
        }
        say!("Spec:");
        print_fields(&cluster["spec"], 2);
        let conditions = cluster["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !conditions.is_empty() {
            say!("Conditions:");
            let text = |c: &Value, field: &str| c[field].as_str().unwrap_or("").to_owned();
            let row = |c| ["type", "status", "reason", "message"].map(|f| text(c, f)).to_vec();
            let rows: Vec<_> = conditions.iter().map(row).collect();
            output::table(&["TYPE", "STATUS", "REASON", "MESSAGE"], &rows);
        }
        Ok(())
    }
}

fn print_fields(value: &Value, indent: usize) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            say!("{:indent$}{key}:", "");
            print_fields(value, indent + 2);
        } else {
            say!("{:indent$}{key}: {value}", "");
        }
    }
}
