//! Who may come in, and by which door: what `kube-apiserver` takes as authentication and authorization flags.

use access::front_proxy::FrontProxy;
use access::oidc::OidcConfig;
use std::sync::Arc;

/// The doors of one API server. The default is Kubernetes', with bootstrap tokens on.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// `--anonymous-auth`: are requests without credentials `system:anonymous`'s, rather than refused?
    pub anonymous: bool,
    /// `--enable-bootstrap-token-auth`.
    pub bootstrap_tokens: bool,
    /// `--authorization-mode`, in their order.
    pub authorization: Vec<AuthorizationMode>,
    /// DER of the authorities whose client certificates name users. Empty: those that the listener verifies against.
    pub client_authorities: Vec<Vec<u8>>,
    /// `--requestheader-…`: proxies that name the user in headers.
    pub front_proxy: Option<TrustedProxies>,
    /// PEM of the certificate and key that extension API servers are shown (`--proxy-client-cert-file`); without, the server
    /// has an authority of its own for that.
    pub proxy_client: Option<(String, String)>,
    /// `--oidc-…`.
    pub oidc: Vec<OidcProvider>,
    /// `--service-account-max-token-expiration` in seconds; 0: no limit.
    pub max_token_seconds: i64,
    /// `--service-account-extend-token-expiration`.
    pub extend_tokens: bool,
    /// `--service-account-jwks-uri`; empty: this server's own.
    pub jwks_uri: String,
    /// `--audit-…`: who is told.
    pub audit: Option<Arc<audit::Audit>>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            anonymous: true,
            bootstrap_tokens: true,
            authorization: vec![AuthorizationMode::Node, AuthorizationMode::Rbac],
            client_authorities: vec![],
            front_proxy: None,
            proxy_client: None,
            oidc: vec![],
            max_token_seconds: 0,
            extend_tokens: true,
            jwks_uri: String::new(),
            audit: None,
        }
    }
}

/// One authorizer of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// Kubelets may do what their pods need.
    Node,
    /// Roles and bindings.
    Rbac,
    /// Everybody may do everything.
    AlwaysAllow,
    /// Nobody but `system:masters` may do anything.
    AlwaysDeny,
}

/// Proxies in front of the server that are believed.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    /// Which headers, and which of the certificates.
    pub headers: FrontProxy,
    /// DER of the authorities that their certificates are verified against.
    pub authorities: Vec<Vec<u8>>,
    /// The same as PEM, for those who want to believe the same proxies.
    pub authorities_pem: String,
}

/// An OpenID Connect provider and how its server is trusted.
#[derive(Clone, Debug)]
pub struct OidcProvider {
    /// How its tokens are read.
    pub config: OidcConfig,
    /// PEM of the CAs of its server; the system's when absent.
    pub ca_bundle: Option<Vec<u8>>,
}
