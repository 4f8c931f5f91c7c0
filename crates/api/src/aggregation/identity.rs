//! How extension API servers know this one: by a certificate of an authority that is for nothing else, which they find in
//! the ConfigMap `kube-system/extension-apiserver-authentication`.
//!
//! The authority is made once and kept with the cluster's data, where all servers of the cluster find it and no API shows it.

use crate::{Api, failure, stored};
use access::CertificateAuthority;
use access::certificates::Subject;
use object::{ApiError, Result, Value, json};
use store::{Expect, StoreError, Write};
use tokio::sync::OnceCell;

const KEY: &str = "/joey/front-proxy-ca";
/// The name in the certificate, as kubeadm has it.
const NAME: &str = "front-proxy-client";
/// How long a certificate is good for: a server makes itself one whenever it starts.
const SECONDS: i64 = 10 * 365 * 24 * 3600;

/// The certificate and the key of this server, as PEM, once they were needed.
#[derive(Default)]
pub(crate) struct Identity(OnceCell<(String, String)>);

impl Identity {
    /// What this server shows.
    pub async fn get(&self, api: &Api) -> Result<(String, String)> {
        if let Some(given) = &api.config.access.proxy_client {
            return Ok(given.clone());
        }
        let issue = || async {
            let authority = authority(api).await?;
            let subject = Subject { common_name: NAME.into(), organizations: vec![], uid: None };
            let issued = authority.issue_client(&subject, SECONDS, object::time::now().as_second());
            let issued = issued.map_err(|e| ApiError::Internal(e.0))?;
            Ok((issued.certificate_pem(), issued.key_pem()))
        };
        self.0.get_or_try_init(issue).await.cloned()
    }
}

/// The authority, made when there is none yet.
async fn authority(api: &Api) -> Result<CertificateAuthority> {
    let unreadable = |e: access::CryptoError| ApiError::Internal(format!("{KEY}: {}", e.0));
    loop {
        let (entry, _) = api.store.get(KEY).await.map_err(failure::store)?;
        if let Some(kept) = entry.as_ref().and_then(stored::decode) {
            let text = |field: &str| kept["data"][field].as_str().unwrap_or("");
            return CertificateAuthority::from_pem(text("certificate"), text("key")).map_err(unreadable);
        }
        let now = object::time::now().as_second();
        let made = CertificateAuthority::generate("front-proxy-ca", now).map_err(unreadable)?;
        let kept = json!({
            "apiVersion": "joey", "kind": "Authority", "metadata": {"name": "front-proxy-ca"},
            "data": {"certificate": made.certificate_pem(), "key": made.key_pem()},
        });
        let value = Some(stored::encode(&kept));
        match api.store.write(Write { key: KEY.into(), expect: Expect::Absent, value, ttl: None }).await {
            Ok(_) => return Ok(made),
            // Another server of the cluster was quicker.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
}

/// What the ConfigMap tells extension API servers.
pub(crate) async fn published(api: &Api) -> Result<Value> {
    let access = &api.config.access;
    let headers = access.front_proxy.as_ref().map(|proxies| proxies.headers.clone()).unwrap_or_default();
    let mut authorities = access.front_proxy.as_ref().map_or("", |p| &p.authorities_pem).to_owned();
    let mut names = headers.allowed_names.clone();
    if access.proxy_client.is_none() {
        if access.front_proxy.is_none() || !names.is_empty() {
            names.push(NAME.into());
        }
        authorities.push_str(&authority(api).await?.certificate_pem());
    }
    let list = |words: &[String]| json!(words).to_string();
    Ok(json!({
        "client-ca-file": api.config.ca_pem,
        "requestheader-allowed-names": list(&names),
        "requestheader-client-ca-file": authorities,
        "requestheader-extra-headers-prefix": list(&headers.extra_prefixes),
        "requestheader-group-headers": list(&headers.group_headers),
        "requestheader-uid-headers": list(&headers.uid_headers),
        "requestheader-username-headers": list(&headers.username_headers),
    }))
}
