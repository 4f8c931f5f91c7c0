//! An API server in memory with a sandbox, and ways to wait for what should happen.

use access::static_tokens::StaticTokens;
use access::tokens::{TokenIssuer, TokenVerifier};
use access::{PrivateKey, UserInfo};
use api::{Api, Cidr, Config, InProcess, LocalAddresses};
use client::{Client, FrameType, WatchOptions};
use node::Kubelet;
use object::{GroupVersionResource, Value, json, meta};
use sandbox::{Handle, Options, Sandbox};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::memory::MemoryStore;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub api: Arc<Api>,
    pub client: Client,
    pub kubelet: Arc<dyn Kubelet>,
    pub sandbox: Handle,
}

pub fn core(resource: &str) -> GroupVersionResource {
    GroupVersionResource::new("", "v1", resource)
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let store: Arc<dyn Store> = MemoryStore::new();
        let issuer = TokenIssuer::new("https://issuer", PrivateKey::generate().unwrap());
        let keys = vec![issuer.public_key().clone()];
        let cidr = Cidr::parse("10.96.0.0/16").unwrap();
        let sandbox = Sandbox::new(options);
        let kubelet = sandbox.kubelet();
        let config = Config {
            issuer: issuer.into(),
            access: Default::default(),
            verifier: TokenVerifier {
                issuers: vec!["https://issuer".into()],
                keys,
                api_audiences: vec!["https://issuer".into()],
            },
            static_tokens: StaticTokens::parse("secret,admin,1,\"system:masters\"", "tokens").unwrap(),
            ca_pem: String::new(),
            advertise: "127.0.0.1:6443".parse().unwrap(),
            addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
            kubernetes_service_ip: IpAddr::V4(cidr.nth(1)),
            kubelet: Some(kubelet.clone()),
        };
        let api = Api::open(store, config).await.unwrap();
        let admin = UserInfo::new("admin", &["system:masters"]);
        let client = Client::new(Arc::new(InProcess::new(api.clone(), admin)), "test");
        let sandbox = sandbox.start(client.clone()).await.unwrap();
        let world = Self { api, client, kubelet, sandbox };
        // What the controllers of a cluster would make.
        world.create("serviceaccounts", json!({"metadata": {"name": "default"}})).await;
        let root = json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "PEM"}});
        world.create("configmaps", root).await;
        world
    }

    /// Creates an object of the core group in the namespace `default`.
    pub async fn create(&self, resource: &str, mut object: Value) -> Value {
        meta::set(&mut object, "namespace", "default");
        let kind = match resource {
            "pods" => "Pod",
            "configmaps" => "ConfigMap",
            "secrets" => "Secret",
            "persistentvolumeclaims" => "PersistentVolumeClaim",
            _ => "ServiceAccount",
        };
        object["apiVersion"] = "v1".into();
        object["kind"] = kind.into();
        self.client.create(&core(resource), &object).await.unwrap()
    }

    /// Creates a pod of one container that runs `command`.
    pub async fn run(&self, name: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> Value {
        let mut pod = json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "main", "image": "busybox", "command": command}]},
        });
        change(&mut pod);
        self.create("pods", pod).await
    }

    /// Watches an object until it fits; `None` is the object gone.
    pub async fn until(
        &self,
        resource: &str,
        name: &str,
        fits: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value> {
        let options =
            WatchOptions { field_selector: format!("metadata.name={name}"), ..WatchOptions::default() };
        let mut last = None;
        let waiting = async {
            let mut watch = self.client.watch(&core(resource), "default", &options).await.unwrap();
            while let Some(frame) = watch.next().await {
                let frame = frame.unwrap();
                let object: Value = serde_json::from_slice(&frame.object).unwrap();
                last = (frame.kind != FrameType::Deleted).then_some(object);
                if fits(last.as_ref()) {
                    return last.clone();
                }
            }
            panic!("the watch ended");
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(object) => object,
            Err(_) => panic!("{resource} {name} never got there: {last:#?}"),
        }
    }

    pub async fn until_phase(&self, name: &str, phase: &str) -> Value {
        self.until("pods", name, |pod| pod.is_some_and(|p| p["status"]["phase"] == phase)).await.unwrap()
    }

    pub async fn until_ready(&self, name: &str) -> Value {
        self.until("pods", name, |pod| pod.is_some_and(is_ready)).await.unwrap()
    }

    pub async fn log(&self, name: &str) -> String {
        let options = node::LogOptions { container: "main".into(), ..Default::default() };
        let stream = self.kubelet.logs("default", name, options).await.unwrap();
        String::from_utf8(node::connect::read_all(stream).await).unwrap()
    }

    /// Runs a command in a pod: its output and its final status.
    pub async fn exec(&self, name: &str, command: &[&str]) -> (String, Value) {
        let options = node::ExecOptions {
            container: "main".into(),
            command: command.iter().map(|c| (*c).to_owned()).collect(),
            streams: node::Streams { stdout: true, stderr: true, ..Default::default() },
        };
        let session = self.kubelet.exec("default", name, options).await.unwrap();
        let (mut out, mut err) = (session.stdout.unwrap(), session.stderr.unwrap());
        let mut text = vec![];
        while let Some(chunk) = out.recv().await {
            text.extend_from_slice(&chunk);
        }
        while let Some(chunk) = err.recv().await {
            text.extend_from_slice(&chunk);
        }
        (String::from_utf8(text).unwrap(), session.status.await.unwrap())
    }
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}
