//! What a simulated container can reach: the API server that its environment names, with its own token.
//!
//! Service addresses are not real here. The sandbox's own `kubernetes` service leads to the sandbox's API server, as the
//! pod's service account; a service that says so by an annotation leads to a real address, over real TLS.

use super::kubelet::Found;
use super::{Shared, now};
use crate::deeds::Deed;
use bytes::Bytes;
use object::{Value, meta};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Annotation of a Service: the real address behind it.
const ADDRESS: &str = "sandbox.joey.dev/address";

const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long a simulated program tries.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

impl Shared {
    /// Does what the container's program would leave behind, if it is a known one; answers whether all is well.
    pub(super) async fn do_deed(&self, namespace: &str, pod: &str, container: &str) -> Result<(), String> {
        let found = self.find(namespace, pod, container).await.map_err(|e| e.message())?;
        let argv = super::kubelet::argv(&found);
        let Some(deed) = Deed::of(&found.container, &argv) else { return Ok(()) };
        let own = found
            .files
            .get(&format!("{CREDENTIALS}/namespace"))
            .map(|n| String::from_utf8_lossy(n).into_owned());
        let asked = argv.iter().find_map(|word| word.strip_prefix("--namespace=")).map(str::to_owned);
        let target = asked.or(own).unwrap_or_else(|| namespace.to_owned());
        let secret = deed.secret(&target, &random()?, now())?;
        let path = format!("/api/v1/namespaces/{target}/secrets");
        let code = tokio::time::timeout(PATIENCE, self.post_from(&found, &path, &secret));
        match code.await.map_err(|_| "the API server did not answer".to_owned())?? {
            // It is there already: so much the better.
            200..300 | 409 => Ok(()),
            code => Err(format!("the API server answered {code}")),
        }
    }

    /// Posts `body` as the container would; answers the status code.
    async fn post_from(&self, found: &Found, path: &str, body: &Value) -> Result<u16, String> {
        let variable = |name: &str| found.variables.get(name).map(String::as_str).unwrap_or("");
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"));
        let services = self.client.list(&self.resources.services, "", &client::ListOptions::default()).await;
        let services = services.map_err(|e| e.message())?.items;
        let service = services.iter().find(|s| s["spec"]["clusterIP"] == host);
        let service = service.ok_or_else(|| format!("dial tcp {host}:{port}: no route to host"))?;
        if let Some(address) = meta::annotation(service, ADDRESS).and_then(|a| a.parse().ok()) {
            return post(address, host, found, path, body).await;
        }
        match (meta::namespace(service), meta::name(service)) {
            ("default", "kubernetes") => self.post_here(found, path, body).await,
            _ => Err(format!("dial tcp {host}:{port}: connect: connection refused")),
        }
    }

    /// Posts to the sandbox's own API server, as the pod's service account.
    async fn post_here(&self, found: &Found, path: &str, body: &Value) -> Result<u16, String> {
        let namespace = meta::namespace(&found.pod);
        let account = found.pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .header("impersonate-user", format!("system:serviceaccount:{namespace}:{account}"))
            .header("impersonate-group", "system:serviceaccounts")
            .header("impersonate-group", format!("system:serviceaccounts:{namespace}"))
            .header("impersonate-group", "system:authenticated")
            .body(Bytes::from(body.to_string()))
            .map_err(|e| e.to_string())?;
        self.client.send(request).await.map(|answer| answer.status().as_u16()).map_err(|e| e.to_string())
    }
}

/// Posts over TLS, trusting the mounted CA, with the mounted token.
async fn post(
    address: SocketAddr,
    host: &str,
    found: &Found,
    path: &str,
    body: &Value,
) -> Result<u16, String> {
    let file = |name: &str| {
        let bytes = found.files.get(&format!("{CREDENTIALS}/{name}"));
        bytes.ok_or_else(|| format!("open {CREDENTIALS}/{name}: no such file or directory"))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(file("ca.crt")?) {
        roots.add(certificate.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    let token = String::from_utf8_lossy(file("token")?).trim().to_owned();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let ip: IpAddr = host.parse().map_err(|_| format!("{host} is no address"))?;
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream =
        connector.connect(ServerName::IpAddress(ip.into()), stream).await.map_err(|e| e.to_string())?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(|e| e.to_string())?;
    stream.write_all(body.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut answer = vec![];
    // Only the status line matters; how the connection ends after it does not.
    let _ = stream.take(ANSWER).read_to_end(&mut answer).await;
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| "no answer".to_owned())
}

fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    filled.map_err(|_| "no randomness".to_owned())?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
