//! The simulated nodes' side of logs, exec, attach, port-forward and proxying.

use super::measured::Measured;
use super::run::Key;
use super::{Shared, interactive, logs};
use crate::environment::{Place, environment};
use crate::shell::Files;
use crate::sources::{self, Sources};
use crate::{script, spec, volumes};
use bytes::Bytes;
use client::{Body, BodyStream};
use futures::future::BoxFuture;
use node::{ExecOptions, Io, Kubelet, LogOptions, Metrics, PortForward, Session};
use object::{ApiError, GroupResource, Result, Value, json, meta};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reaches into simulated pods.
pub(super) struct SandboxKubelet {
    running: Arc<OnceLock<Arc<Shared>>>,
}

/// A container that was found, with all that its processes see.
pub(super) struct Found {
    pub pod: Arc<Value>,
    pub container: Value,
    /// The container's entry in the pod's status, `null` if none.
    pub status: Value,
    pub variables: BTreeMap<String, String>,
    pub files: Files,
    /// Those of them that other containers left before its start.
    pub begun: Files,
    pub sources: Sources,
    pub host_ip: String,
}

impl Found {
    pub fn place(&self) -> Place<'_> {
        Place { host_ip: &self.host_ip, pod_ip: self.pod["status"]["podIP"].as_str().unwrap_or("") }
    }
}

impl SandboxKubelet {
    pub fn new(running: Arc<OnceLock<Arc<Shared>>>) -> Self {
        Self { running }
    }

    fn shared(&self) -> Result<Arc<Shared>> {
        let starting = || ApiError::ServiceUnavailable("the simulated nodes are starting".into());
        self.running.get().cloned().ok_or_else(starting)
    }
}

impl Shared {
    /// The pod, if it is on one of our nodes, with the status that whoever asks may have seen: the cache may be behind.
    async fn local_pod(&self, namespace: &str, name: &str) -> Result<Arc<Value>> {
        let missing =
            || ApiError::NotFound { resource: GroupResource::new("", "pods"), name: name.to_owned() };
        let pod = self.client.find(&self.resources.pods, namespace, name).await?.ok_or_else(missing)?;
        match self.node_index(spec::node_name(&pod)) {
            Some(_) => Ok(Arc::new(pod)),
            None => Err(ApiError::Internal(format!("the node of pod {name} cannot be reached"))),
        }
    }

    /// A container with its environment and files.
    pub(super) async fn find(&self, namespace: &str, name: &str, container: &str) -> Result<Found> {
        let pod = self.local_pod(namespace, name).await?;
        let wrong = || ApiError::BadRequest(format!("container {container} is not valid for pod {name}"));
        let container = spec::containers(&pod).find(|c| c["name"] == container).cloned().ok_or_else(wrong)?;
        let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
        let status = lists
            .iter()
            .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten())
            .find(|status| status["name"] == container["name"])
            .cloned()
            .unwrap_or(Value::Null);
        let mut sources = self.sources(&pod).await?;
        sources.services = self.service_environment(&pod).await;
        sources.tokens = self.tokens(&pod).await;
        let index = self.node_index(spec::node_name(&pod)).unwrap_or(0);
        let host_ip = self.options.node_ip(index).to_string();
        let place = Place { host_ip: &host_ip, pod_ip: pod["status"]["podIP"].as_str().unwrap_or("") };
        let variables = environment(&pod, &container, &sources, &place).unwrap_or_default();
        let mut files = volumes::files(&pod, &container, &sources, &place);
        let begun =
            self.found.lock().get(meta::uid(&pod)).and_then(|f| f.get(spec::name(&container))).cloned();
        let begun = begun.unwrap_or_default();
        files.extend(begun.clone());
        if let Some(written) =
            self.written.lock().get(meta::uid(&pod)).and_then(|w| w.get(spec::name(&container)))
        {
            files.extend(written.clone());
        }
        Ok(Found { pod, container, status, variables, files, begun, sources, host_ip })
    }

    /// The shell that is a container's main process has ended, and with it the container.
    pub(super) fn talked_out(&self, found: &Found, code: i32) {
        let id = found.status["containerID"].as_str().unwrap_or("").to_owned();
        self.talked.lock().entry(meta::uid(&found.pod).to_owned()).or_default().insert(id, code);
        self.queue.push(Key::Pod(meta::namespace(&found.pod).into(), meta::name(&found.pod).into()));
    }

    async fn service_environment(&self, pod: &Value) -> BTreeMap<String, String> {
        let mut services = vec![];
        let gvr = &self.resources.services;
        if pod["spec"]["enableServiceLinks"] != false {
            let listed = self.client.list(gvr, meta::namespace(pod), &client::ListOptions::default()).await;
            services.extend(listed.map(|l| l.items).unwrap_or_default());
        }
        if let Ok(Some(api)) = self.client.find(gvr, "default", "kubernetes").await {
            services.push(api);
        }
        sources::service_environment(services.iter())
    }

    /// Tokens for the pod's service account, as a kubelet asks for them.
    async fn tokens(&self, pod: &Value) -> BTreeMap<String, String> {
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let mut tokens = BTreeMap::new();
        for (audience, seconds) in sources::audiences(pod) {
            let mut request = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {
                    "audiences": [], "expirationSeconds": seconds.max(600),
                    "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod)},
                },
            });
            if !audience.is_empty() {
                request["spec"]["audiences"] = json!([audience]);
            }
            let gvr = &self.resources.service_accounts;
            let answer =
                self.client.create_subresource(gvr, meta::namespace(pod), account, "token", &request).await;
            match answer {
                Ok(answer) => {
                    drop(tokens.insert(audience, answer["status"]["token"].as_str().unwrap_or("").to_owned()))
                }
                Err(error) => tracing::debug!(error = %error.message(), "no token for a simulated pod"),
            }
        }
        tokens
    }
}

impl Kubelet for SandboxKubelet {
    fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let shared = self.shared()?;
            let found = shared.find(&namespace, &pod, &options.container).await?;
            logs::stream(shared, found, options)
        })
    }

    fn exec(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let shared = self.shared()?;
            let found = shared.find(&namespace, &pod, &options.container).await?;
            require_running(&found)?;
            let (session, process) = Session::pair(options.streams);
            shared.tasks.spawn(interactive::exec(shared.clone(), found, options, process));
            Ok(session)
        })
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let shared = self.shared()?;
            let found = shared.find(&namespace, &pod, &options.container).await?;
            require_running(&found)?;
            let (session, process) = Session::pair(options.streams);
            shared.tasks.spawn(interactive::attach(shared.clone(), found, options, process));
            Ok(session)
        })
    }

    fn port_forward(&self, namespace: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let shared = self.shared()?;
            let pod = shared.local_pod(&namespace, &pod).await?;
            if pod["status"]["phase"] != "Running" {
                let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
                return Err(ApiError::BadRequest(format!(
                    "unable to forward port because pod is not running. Current status={phase}"
                )));
            }
            Ok(Box::new(Network { pod, shared }) as Box<dyn PortForward>)
        })
    }

    fn proxy(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let pod = self.shared()?.local_pod(&namespace, &pod).await?;
            if !listens(&pod, port) {
                let ip = pod["status"]["podIP"].as_str().unwrap_or("");
                let message = format!(
                    "error trying to reach service: dial tcp {ip}:{port}: connect: connection refused"
                );
                return Err(ApiError::ServiceUnavailable(message));
            }
            let mut response =
                http::Response::new(Body::Full(greeting(&pod, port, request.uri().path()).into()));
            let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(http::header::CONTENT_TYPE, text);
            Ok(response)
        })
    }

    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        Some(Arc::new(Measured(self.running.clone())))
    }

    fn node_get(&self, node: &str, path: &str) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let answer = self.shared().and_then(|shared| shared.kubelet_answer(node, path));
        Box::pin(std::future::ready(answer))
    }
}

fn require_running(found: &Found) -> Result<()> {
    match found.status["state"]["running"].is_object() {
        true => Ok(()),
        false => {
            let name = object::error::quote(spec::name(&found.container));
            Err(ApiError::Internal(format!("unable to upgrade connection: container not found ({name})")))
        }
    }
}

/// The network of a simulated pod: behind each port that its containers declare, something answers HTTP.
struct Network {
    pod: Arc<Value>,
    shared: Arc<Shared>,
}

fn listens(pod: &Value, port: u16) -> bool {
    let ports = spec::containers(pod).flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports.into_iter().any(|p| p["containerPort"].as_u64() == Some(port.into()))
}

fn greeting(pod: &Value, port: u16, path: &str) -> String {
    format!(
        "sandbox: pod {}/{} is simulated; nothing real listens on port {port} (asked for {path})\n",
        meta::namespace(pod),
        meta::name(pod)
    )
}

impl PortForward for Network {
    fn open(&self, port: u16) -> BoxFuture<'_, std::result::Result<Box<dyn Io>, String>> {
        Box::pin(async move {
            if !listens(&self.pod, port) {
                return Err(format!(
                    "failed to connect to localhost:{port} inside namespace of the simulated pod: connection refused (no container declares this port)"
                ));
            }
            let (ours, theirs) = tokio::io::duplex(16 << 10);
            let pod = self.pod.clone();
            let shutdown = self.shared.shutdown.clone();
            self.shared.tasks.spawn(async move {
                let _ = shutdown.run_until_cancelled(answer(ours, &pod, port)).await;
            });
            Ok(Box::new(theirs) as Box<dyn Io>)
        })
    }
}

/// Answers one HTTP request and hangs up. Waits for the end of the header, at most 8 kB of it.
async fn answer(mut io: tokio::io::DuplexStream, pod: &Value, port: u16) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() < 8 << 10 && !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match io.read(&mut buffer).await {
            Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let line = String::from_utf8_lossy(&head);
    let path = line.split_whitespace().nth(1).unwrap_or("/");
    let body = greeting(pod, port, path);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = io.write_all(answer.as_bytes()).await;
    let _ = io.shutdown().await;
}

/// What the container's main process runs.
pub(super) fn argv(found: &Found) -> Vec<String> {
    script::argv(&found.container, &found.variables)
}
