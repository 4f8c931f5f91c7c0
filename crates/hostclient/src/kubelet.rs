//! Pods of a remote host: its API server's log, exec, attach and portforward subresources.

use crate::HostTransport;
use crate::measured::{self, RemoteMetrics};
use bytes::Bytes;
use client::{Body, BodyStream, Transport};
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use node::{
    ExecOptions, Io, Kubelet, LogOptions, LogStream, Metrics, PortForward, Process, Session, Streams,
};
use object::{ApiError, Result, Value};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes read from a stream at a time.
const CHUNK: usize = 16 << 10;

/// Reaches the pods of a host over its API.
pub struct RemoteKubelet(kube::Client, Arc<RemoteMetrics>);

impl RemoteKubelet {
    /// Speaks through `client`.
    pub fn new(client: kube::Client) -> Self {
        let metrics = RemoteMetrics::new(HostTransport::new(client.clone()));
        Self(client, Arc::new(metrics))
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.0.clone(), namespace)
    }

    async fn read_logs(&self, namespace: &str, pod: &str, options: LogOptions) -> Result<BodyStream> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?{}", log_query(&options));
        let request =
            http::Request::get(path).body(Bytes::new()).map_err(|e| ApiError::Internal(e.to_string()))?;
        let response = HostTransport::new(self.0.clone()).send(request).await;
        let response =
            response.map_err(|e| ApiError::ServiceUnavailable(format!("the host cannot be reached: {e}")))?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(refusal(body).await);
        }
        Ok(match body {
            Body::Stream(stream) => stream,
            Body::Full(bytes) => futures::stream::once(async move { Ok(bytes) }).boxed(),
        })
    }

    async fn session(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
        attach: bool,
    ) -> Result<Session> {
        let streams = options.streams;
        let params = AttachParams {
            container: Some(options.container.clone()).filter(|c| !c.is_empty()),
            stdin: streams.stdin,
            stdout: streams.stdout,
            // A terminal has no separate error output.
            stderr: streams.stderr && !streams.tty,
            tty: streams.tty,
            ..AttachParams::default()
        };
        let pods = self.pods(namespace);
        let attached = if attach {
            pods.attach(pod, &params).await
        } else {
            pods.exec(pod, options.command, &params).await
        };
        let attached = attached.map_err(host_error)?;
        let (session, process) = Session::pair(streams);
        tokio::spawn(pump(attached, process, streams));
        Ok(session)
    }
}

/// The `v1.Status` in a refused answer.
pub(crate) async fn refusal(body: Body) -> ApiError {
    let bytes = match body {
        Body::Full(bytes) => bytes,
        Body::Stream(mut stream) => match stream.next().await {
            Some(Ok(bytes)) => bytes,
            _ => Bytes::new(),
        },
    };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(status) if status["kind"] == "Status" => ApiError::Status(Box::new(status)),
        _ => ApiError::Internal(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn host_error(error: kube::Error) -> ApiError {
    match error {
        kube::Error::Api(status) => match serde_json::to_value(&*status) {
            Ok(status) => ApiError::Status(Box::new(status)),
            Err(error) => ApiError::Internal(error.to_string()),
        },
        other => ApiError::Internal(format!("the host: {other}")),
    }
}

fn log_query(options: &LogOptions) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !options.container.is_empty() {
        query.append_pair("container", &options.container);
    }
    for (name, set) in
        [("follow", options.follow), ("previous", options.previous), ("timestamps", options.timestamps)]
    {
        if set {
            query.append_pair(name, "true");
        }
    }
    for (name, value) in [
        ("tailLines", options.tail_lines),
        ("limitBytes", options.limit_bytes),
        ("sinceSeconds", options.since_seconds),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value.to_string());
        }
    }
    if let Some(time) = &options.since_time {
        query.append_pair("sinceTime", time);
    }
    match options.stream {
        LogStream::All => {}
        LogStream::Stdout => drop(query.append_pair("stream", "Stdout")),
        LogStream::Stderr => drop(query.append_pair("stream", "Stderr")),
    }
    query.finish()
}

/// Moves bytes both ways until the process has ended or the client is gone.
async fn pump(mut attached: AttachedProcess, mut process: Process, streams: Streams) {
    let status = attached.take_status();
    let input = attached.stdin().zip(process.stdin.take());
    let output = attached.stdout().zip(process.stdout.take());
    let errors = attached.stderr().zip(process.stderr.take());
    let mut sizes = attached.terminal_size().filter(|_| streams.tty);
    let feed = async {
        if let Some((mut writer, mut chunks)) = input {
            while let Some(chunk) = chunks.recv().await {
                if writer.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            let _ = writer.shutdown().await;
        }
    };
    let resize = async {
        while let Some(size) = process.resize.recv().await {
            if let Some(sizes) = &mut sizes {
                use futures::SinkExt;
                let _ = sizes.send(TerminalSize { width: size.width, height: size.height }).await;
            }
        }
        std::future::pending::<()>().await;
    };
    let finished = async {
        tokio::join!(copy(output), copy(errors));
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let side = async {
        tokio::join!(feed, resize);
    };
    let status = tokio::select! {
        status = finished => status,
        () = side => None,
    };
    attached.abort();
    let status = status.and_then(|s| serde_json::to_value(s).ok());
    process.end(
        status.unwrap_or_else(|| node::failure(&ApiError::Internal("the host closed the session".into()))),
    );
}

async fn copy<R: AsyncRead + Unpin>(stream: Option<(R, mpsc::Sender<Bytes>)>) {
    let Some((mut reader, sender)) = stream else { return };
    let mut buffer = vec![0; CHUNK];
    while let Ok(n) = reader.read(&mut buffer).await {
        if n == 0 || sender.send(Bytes::copy_from_slice(&buffer[..n])).await.is_err() {
            return;
        }
    }
}

/// The network of one remote pod.
struct RemoteForward {
    pods: Api<Pod>,
    pod: String,
}

impl PortForward for RemoteForward {
    fn open(&self, port: u16) -> BoxFuture<'_, std::result::Result<Box<dyn Io>, String>> {
        Box::pin(async move {
            let mut forwarder = self.pods.portforward(&self.pod, &[port]).await.map_err(|e| e.to_string())?;
            let stream = forwarder.take_stream(port).ok_or("the host did not open the port")?;
            // It runs for as long as the stream is used.
            tokio::spawn(forwarder.join());
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

impl Kubelet for RemoteKubelet {
    fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move { self.read_logs(&namespace, &pod, options).await })
    }

    fn exec(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move { self.session(&namespace, &pod, options, false).await })
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        Box::pin(async move { self.session(&namespace, &pod, options, true).await })
    }

    fn port_forward(&self, namespace: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        let forward = RemoteForward { pods: self.pods(namespace), pod: pod.to_owned() };
        Box::pin(async move { Ok(Box::new(forward) as Box<dyn PortForward>) })
    }

    fn proxy(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let transport = HostTransport::new(self.0.clone());
        Box::pin(async move { measured::proxy(&transport, &namespace, &pod, port, request).await })
    }

    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        Some(self.1.clone())
    }

    fn node_get(&self, node: &str, path: &str) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let (node, path) = (node.to_owned(), path.to_owned());
        let transport = HostTransport::new(self.0.clone());
        Box::pin(async move { measured::node_get(&transport, &node, &path).await })
    }
}
