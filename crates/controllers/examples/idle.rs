//! How much memory idle clusters take: `cargo run -p controllers --example idle [CLUSTERS [CONTROLLERS]]`.

use access::UserInfo;
use access::keys::PrivateKey;
use access::tokens::{TokenIssuer, TokenVerifier};
use api::{Api, Cidr, Config, InProcess, LocalAddresses};
use client::Client;
use controllers::{Controllers, Handle, Options, Which};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::memory::MemoryStore;

async fn open(which: Which) -> Option<(Arc<Api>, Handle)> {
    let store: Arc<dyn Store> = MemoryStore::new();
    let issuer = TokenIssuer::new("idle", PrivateKey::generate().ok()?);
    let cidr = Cidr::parse("10.96.0.0/16")?;
    let config = Config {
        verifier: TokenVerifier {
            issuers: vec!["idle".into()],
            keys: vec![issuer.public_key().clone()],
            api_audiences: vec![],
        },
        issuer: issuer.into(),
        access: Default::default(),
        static_tokens: Default::default(),
        ca_pem: "CA".into(),
        advertise: "127.0.0.1:6443".parse().ok()?,
        addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
        kubernetes_service_ip: std::net::IpAddr::V4(cidr.nth(1)),
        kubelet: None,
    };
    let api = Api::open(store, config).await.ok()?;
    let admin = UserInfo::new("admin", &["system:masters", "system:authenticated"]);
    let client = Client::new(Arc::new(InProcess::new(api.clone(), admin)), "idle");
    let options = Options { which, root_ca: Some("CA".into()), ..Options::default() };
    let controllers = Controllers::start(client, options);
    tokio::time::sleep(Duration::from_millis(300)).await;
    Some((api, controllers))
}

fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(50);
    let some = std::env::args().nth(2).and_then(|text| Which::parse(&text).ok()).unwrap_or_default();
    for which in [Which::None, some] {
        let mut clusters = vec![open(which.clone()).await];
        tokio::time::sleep(Duration::from_secs(6)).await;
        let before = resident_kb();
        for _ in 0..count {
            clusters.push(open(which.clone()).await);
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        let each = (resident_kb() - before) / count as i64;
        println!("{which:?}: {each} kB for each of {count} further idle clusters (memory store)");
    }
}
