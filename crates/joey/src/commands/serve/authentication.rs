//! Who may come in: flags of `joey serve`, named as kube-apiserver's.

use super::files::{read, read_all};
use access::front_proxy::FrontProxy;
use access::oidc::OidcConfig;
use access::static_tokens::StaticTokens;
use access::{PrivateKey, PublicKey};
use api::{AccessOptions, AuthorizationMode, OidcProvider, TrustedProxies};
use clap::builder::ArgAction;
use clap::{Args, ValueEnum};
use hub::{Error, Security};
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(next_help_heading = "Authentication and authorization, as for kube-apiserver")]
pub(crate) struct Authentication {
    /// File of static tokens: lines of token,user,uid,"group,group".
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,
    /// Are requests without credentials those of system:anonymous, rather than refused?
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    anonymous_auth: bool,
    /// Accept the tokens of Secrets of type bootstrap.kubernetes.io/token.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_bootstrap_token_auth: bool,
    /// Authorizers; a request passes when one of them allows it.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "Node,RBAC")]
    authorization_mode: Vec<Mode>,
    /// PEM of authorities whose client certificates name users, besides the cluster's own.
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    #[command(flatten)]
    service_accounts: ServiceAccounts,
    #[command(flatten)]
    oidc: Oidc,
    #[command(flatten)]
    request_header: RequestHeader,
    #[command(flatten)]
    not_here: NotHere,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    #[value(name = "Node")]
    Node,
    #[value(name = "RBAC")]
    Rbac,
    #[value(name = "AlwaysAllow")]
    AlwaysAllow,
    #[value(name = "AlwaysDeny")]
    AlwaysDeny,
    #[value(name = "ABAC", hide = true)]
    Abac,
    #[value(name = "Webhook", hide = true)]
    Webhook,
}

#[derive(Args)]
struct ServiceAccounts {
    /// Issuer of service account tokens; given several times, the first signs and all are accepted.
    #[arg(long, value_name = "URL")]
    service_account_issuer: Vec<String>,
    /// Key that signs service account tokens, instead of one of the cluster's own: RSA or ECDSA P-256.
    #[arg(long, value_name = "FILE")]
    service_account_signing_key_file: Option<PathBuf>,
    /// Keys that verify service account tokens too: public or private, several in a file.
    #[arg(long, value_name = "FILE")]
    service_account_key_file: Vec<PathBuf>,
    /// Where others find the keys, if not at this server.
    #[arg(long, value_name = "URL")]
    service_account_jwks_uri: Option<String>,
    /// Longest life of a token that is asked for: 1h to 2^32s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    service_account_max_token_expiration: Option<i64>,
    /// Let the tokens of pods live for a year, for clients that never read them again.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    service_account_extend_token_expiration: bool,
    /// Who this server is to tokens: by default the issuer.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    api_audiences: Vec<String>,
}

#[derive(Args)]
struct Oidc {
    /// URL of an OpenID Connect issuer whose tokens are accepted; https.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer_url: Option<String>,
    /// Audience that its tokens must be for.
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    oidc_client_id: Option<String>,
    /// PEM of the authorities of the issuer's server; by default the system's.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer_url")]
    oidc_ca_file: Option<PathBuf>,
    /// Claim that is the user's name.
    #[arg(long, value_name = "CLAIM", default_value = "sub")]
    oidc_username_claim: String,
    /// Put before names; - for nothing. By default the issuer's URL and #, except before an email.
    #[arg(long, value_name = "TEXT")]
    oidc_username_prefix: Option<String>,
    /// Claim that lists groups.
    #[arg(long, value_name = "CLAIM", default_value = "")]
    oidc_groups_claim: String,
    /// Put before groups.
    #[arg(long, value_name = "TEXT", default_value = "")]
    oidc_groups_prefix: String,
    /// CLAIM=VALUE that a token must have; may be given several times.
    #[arg(long, value_name = "CLAIM=VALUE")]
    oidc_required_claim: Vec<String>,
    /// Algorithms that tokens may be signed with.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "RS256")]
    oidc_signing_algs: Vec<String>,
}

#[derive(Args)]
struct RequestHeader {
    /// PEM of the authorities of proxies that name the user in headers.
    #[arg(long, value_name = "FILE")]
    requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of such proxies; by default any.
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "requestheader_client_ca_file")]
    requestheader_allowed_names: Vec<String>,
    /// Headers with the user's name.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "X-Remote-User")]
    requestheader_username_headers: Vec<String>,
    /// Headers with the user's uid.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    requestheader_uid_headers: Vec<String>,
    /// Headers with groups.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "X-Remote-Group")]
    requestheader_group_headers: Vec<String>,
    /// Beginnings of headers with further facts.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "X-Remote-Extra-")]
    requestheader_extra_headers_prefix: Vec<String>,
    /// Certificate that extension API servers are shown; by default one of an authority of its own.
    #[arg(long, value_name = "FILE", requires = "proxy_client_key_file")]
    proxy_client_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "proxy_client_cert_file")]
    proxy_client_key_file: Option<PathBuf>,
}

/// Known, and refused: whoever relies on one of these must not find out later that it was passed over.
#[derive(Args)]
struct NotHere {
    #[arg(long, hide = true, value_name = "FILE")]
    authentication_config: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    authentication_token_webhook_config_file: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    authorization_config: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    authorization_policy_file: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    authorization_webhook_config_file: Option<PathBuf>,
}

impl Authentication {
    /// The static tokens.
    pub fn static_tokens(&self) -> Result<StaticTokens, Error> {
        let Some(path) = &self.token_auth_file else { return Ok(StaticTokens::default()) };
        StaticTokens::parse(&read(path)?, &path.display().to_string()).map_err(Error)
    }

    /// Everything else.
    pub fn security(&self) -> Result<Security, Error> {
        self.not_here.refuse()?;
        let authorization = self.modes()?;
        let accounts = &self.service_accounts;
        let access = AccessOptions {
            // As kube-apiserver: where everybody may do everything, somebody must be known.
            anonymous: self.anonymous_auth && !authorization.contains(&AuthorizationMode::AlwaysAllow),
            bootstrap_tokens: self.enable_bootstrap_token_auth,
            authorization,
            front_proxy: self.request_header.proxies()?,
            proxy_client: self.request_header.proxy_client()?,
            oidc: self.oidc.provider()?.into_iter().collect(),
            max_token_seconds: accounts.longest()?,
            extend_tokens: accounts.service_account_extend_token_expiration,
            jwks_uri: accounts.service_account_jwks_uri.clone().unwrap_or_default(),
            ..AccessOptions::default()
        };
        let client_ca = self.client_ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
        Ok(Security {
            access,
            client_ca,
            issuers: accounts.service_account_issuer.clone(),
            audiences: accounts.api_audiences.clone(),
            signing_key: accounts.signing_key()?,
            keys: accounts.keys()?,
        })
    }

    fn modes(&self) -> Result<Vec<AuthorizationMode>, Error> {
        let mode = |mode: &Mode| {
            match mode {
            Mode::Node => Ok(AuthorizationMode::Node),
            Mode::Rbac => Ok(AuthorizationMode::Rbac),
            Mode::AlwaysAllow => Ok(AuthorizationMode::AlwaysAllow),
            Mode::AlwaysDeny => Ok(AuthorizationMode::AlwaysDeny),
            Mode::Abac | Mode::Webhook => Err(Error(
                "--authorization-mode: ABAC and Webhook are not supported: use Node, RBAC, AlwaysAllow or AlwaysDeny".into(),
            )),
        }
        };
        self.authorization_mode.iter().map(mode).collect()
    }
}

impl ServiceAccounts {
    fn signing_key(&self) -> Result<Option<PrivateKey>, Error> {
        let Some(path) = &self.service_account_signing_key_file else { return Ok(None) };
        let key = PrivateKey::from_pem(&read(path)?);
        key.map(Some).map_err(|e| Error(format!("{}: {e}", path.display())))
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Error> {
        let mut keys = vec![];
        for path in &self.service_account_key_file {
            let read = PublicKey::all_from_pem(&read(path)?);
            keys.extend(read.map_err(|e| Error(format!("{}: {e}", path.display())))?);
        }
        Ok(keys)
    }

    fn longest(&self) -> Result<i64, Error> {
        match self.service_account_max_token_expiration {
            None => Ok(0),
            Some(seconds @ 3600..=4_294_967_296) => Ok(seconds),
            Some(_) => Err(Error(
                "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds".into(),
            )),
        }
    }
}

/// A Go duration in whole seconds.
fn duration(text: &str) -> Result<i64, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}"))?;
    Ok(span.as_secs())
}

impl Oidc {
    fn provider(&self) -> Result<Option<OidcProvider>, Error> {
        let (Some(url), Some(client)) = (&self.oidc_issuer_url, &self.oidc_client_id) else {
            return Ok(None);
        };
        if !url.starts_with("https://") {
            return Err(Error(format!("--oidc-issuer-url {url}: it must begin with https://")));
        }
        let mut config = OidcConfig::new(url, client);
        config.username(&self.oidc_username_claim, self.oidc_username_prefix.as_deref());
        config.groups_claim.clone_from(&self.oidc_groups_claim);
        config.groups_prefix.clone_from(&self.oidc_groups_prefix);
        config.signing_algorithms = self.algorithms()?;
        for pair in &self.oidc_required_claim {
            let (claim, value) = pair
                .split_once('=')
                .ok_or_else(|| Error(format!("--oidc-required-claim {pair}: give it as CLAIM=VALUE")))?;
            config.required_claims.insert(claim.to_owned(), value.to_owned());
        }
        let ca_bundle = self.oidc_ca_file.as_deref().map(authorities).transpose()?.map(String::into_bytes);
        Ok(Some(OidcProvider { config, ca_bundle }))
    }

    fn algorithms(&self) -> Result<Vec<String>, Error> {
        const KNOWN: [&str; 8] = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512"];
        match self.oidc_signing_algs.iter().find(|name| !KNOWN.contains(&name.as_str())) {
            Some(other) => Err(Error(format!(
                "--oidc-signing-algs {other}: not supported; known are {}",
                KNOWN.join(", ")
            ))),
            None => Ok(self.oidc_signing_algs.clone()),
        }
    }
}

impl RequestHeader {
    fn proxy_client(&self) -> Result<Option<(String, String)>, Error> {
        match (&self.proxy_client_cert_file, &self.proxy_client_key_file) {
            (Some(certificate), Some(key)) => Ok(Some((read(certificate)?, read(key)?))),
            _ => Ok(None),
        }
    }

    fn proxies(&self) -> Result<Option<TrustedProxies>, Error> {
        let Some(path) = &self.requestheader_client_ca_file else { return Ok(None) };
        let authorities_pem = authorities(path)?;
        let headers = FrontProxy {
            allowed_names: self.requestheader_allowed_names.clone(),
            username_headers: self.requestheader_username_headers.clone(),
            uid_headers: self.requestheader_uid_headers.clone(),
            group_headers: self.requestheader_group_headers.clone(),
            extra_prefixes: self.requestheader_extra_headers_prefix.clone(),
        };
        Ok(Some(TrustedProxies {
            headers,
            authorities: hub::certificates(&authorities_pem)?,
            authorities_pem,
        }))
    }
}

impl NotHere {
    fn refuse(&self) -> Result<(), Error> {
        let given = [
            ("authentication-config", &self.authentication_config, "use the --oidc-… flags"),
            (
                "authentication-token-webhook-config-file",
                &self.authentication_token_webhook_config_file,
                "use the --oidc-… flags or a front proxy (--requestheader-…)",
            ),
            ("authorization-config", &self.authorization_config, "use --authorization-mode"),
            ("authorization-policy-file", &self.authorization_policy_file, "use RBAC"),
            ("authorization-webhook-config-file", &self.authorization_webhook_config_file, "use RBAC"),
        ];
        match given.into_iter().find(|(_, file, _)| file.is_some()) {
            Some((name, _, instead)) => Err(Error(format!("--{name} is not supported: {instead}"))),
            None => Ok(()),
        }
    }
}

/// PEM of certificates, each on its own line ends.
fn authorities(path: &Path) -> Result<String, Error> {
    let text = read_all(path)?;
    hub::certificates(&text).map_err(|e| Error(format!("{}: {e}", path.display())))?;
    Ok(text)
}
