//! gRPC to etcd: connections, time limits, TLS, tokens, errors in the store's terms.

use super::Options;
use super::messages::{
    AuthenticateRequest, AuthenticateResponse, CompactionRequest, HeaderResponse, LeaseGrantRequest,
    LeaseGrantResponse, PutRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse, WatchAction,
    WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::{Revision, StoreError};
use futures::StreamExt;
use http::uri::PathAndQuery;
use parking_lot::RwLock;
use prost::Message;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

/// How long a request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a read is tried when a member is gone. The balancer picks at random, so that a few tries may all meet the same one.
const ATTEMPTS: usize = 12;

/// Connections to the members of one etcd.
pub(super) struct Client {
    channel: Channel,
    user: Option<(String, String)>,
    token: RwLock<Option<AsciiMetadataValue>>,
}

/// What a watch brings.
pub(super) type WatchStream = Streaming<WatchResponse>;

impl Client {
    /// Prepares connections; they are made when they are needed.
    pub(super) fn new(options: &Options) -> Result<Self, StoreError> {
        let endpoints: Result<Vec<_>, _> =
            options.endpoints.iter().map(|endpoint| self::endpoint(endpoint, options)).collect();
        let mut endpoints = endpoints?;
        let channel = match (endpoints.pop(), endpoints.is_empty()) {
            (Some(only), true) => only.connect_lazy(),
            (Some(last), false) => Channel::balance_list(endpoints.into_iter().chain([last])),
            (None, _) => return Err(StoreError::Io("no endpoint given".into())),
        };
        Ok(Self { channel, user: options.user.clone(), token: RwLock::new(None) })
    }

    /// A linearizable read. Tried again when a member is gone.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        let mut attempts = 1;
        loop {
            let result = self.call("/etcdserverpb.KV/Range", request.clone()).await;
            match result {
                Err(status) if status.code() == Code::Unavailable && attempts < ATTEMPTS => attempts += 1,
                result => return result.map_err(|status| failed(&status)),
            }
        }
    }

    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, StoreError> {
        self.call("/etcdserverpb.KV/Txn", request).await.map_err(|status| failed(&status))
    }

    pub(super) async fn put(&self, request: PutRequest) -> Result<HeaderResponse, StoreError> {
        self.call("/etcdserverpb.KV/Put", request).await.map_err(|status| failed(&status))
    }

    pub(super) async fn compact(&self, revision: i64) -> Result<HeaderResponse, StoreError> {
        let request = CompactionRequest { revision };
        self.call("/etcdserverpb.KV/Compact", request).await.map_err(|status| failed(&status))
    }

    /// A lease of this many seconds.
    pub(super) async fn grant(&self, seconds: i64) -> Result<i64, StoreError> {
        let request = LeaseGrantRequest { ttl: seconds };
        let granted: Result<LeaseGrantResponse, _> =
            self.call("/etcdserverpb.Lease/LeaseGrant", request).await;
        granted.map(|lease| lease.id).map_err(|status| failed(&status))
    }

    pub(super) async fn watch(&self, request: WatchCreateRequest) -> Result<WatchStream, StoreError> {
        let opened = match self.open(request.clone()).await {
            Err(status) if self.outdated(&status) => self.open(request).await,
            opened => opened,
        };
        opened.map_err(|status| failed(&status))
    }

    async fn open(&self, request: WatchCreateRequest) -> Result<WatchStream, Status> {
        self.authenticated().await?;
        let create = WatchRequest { action: Some(WatchAction::Create(request)) };
        // the request side stays open: etcd ends a watch whose client says no more
        let requests = futures::stream::iter([create]).chain(futures::stream::pending());
        let mut request = tonic::Request::new(requests);
        self.sign(request.metadata_mut());
        let opening = async {
            let mut grpc = self.ready().await?;
            let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            grpc.streaming(request, path, ProstCodec::default()).await
        };
        in_time(opening).await.map(tonic::Response::into_inner)
    }

    /// Whether the answer means that our token ran out, which is then forgotten.
    fn outdated(&self, status: &Status) -> bool {
        let outdated = status.code() == Code::Unauthenticated && self.user.is_some();
        if outdated {
            self.forget_token();
        }
        outdated
    }

    /// Gets a new token with the next request.
    pub(super) fn forget_token(&self) {
        *self.token.write() = None;
    }

    /// Takes a token that etcd does not know.
    #[cfg(test)]
    pub(super) fn spoil_token(&self) {
        *self.token.write() = Some(AsciiMetadataValue::from_static("stale.1"));
    }

    /// One request, one answer. A token that ran out is replaced once.
    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.authenticated().await?;
        match self.send(path, request.clone()).await {
            Err(status) if self.outdated(&status) => {
                self.authenticated().await?;
                self.send(path, request).await
            }
            result => result,
        }
    }

    async fn send<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = tonic::Request::new(request);
        self.sign(request.metadata_mut());
        let sending = async {
            let mut grpc = self.ready().await?;
            grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::default()).await
        };
        in_time(sending).await.map(tonic::Response::into_inner)
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(|error| Status::unavailable(causes(&error)))?;
        Ok(grpc)
    }

    /// Gets a token when a user is set and there is none.
    async fn authenticated(&self) -> Result<(), Status> {
        let Some((name, password)) = &self.user else { return Ok(()) };
        if self.token.read().is_some() {
            return Ok(());
        }
        let request = AuthenticateRequest { name: name.clone(), password: password.clone() };
        let answer: AuthenticateResponse = self.send("/etcdserverpb.Auth/Authenticate", request).await?;
        let token =
            answer.token.parse().map_err(|_| Status::internal("etcd answered with an invalid token"))?;
        *self.token.write() = Some(token);
        Ok(())
    }

    fn sign(&self, metadata: &mut MetadataMap) {
        // a member that lost the others must not keep us waiting
        metadata.insert("hasleader", AsciiMetadataValue::from_static("true"));
        if let Some(token) = &*self.token.read() {
            metadata.insert("token", token.clone());
        }
    }
}

fn endpoint(address: &str, options: &Options) -> Result<Endpoint, StoreError> {
    let invalid =
        |error: &dyn std::error::Error| StoreError::Io(format!("endpoint {address}: {}", causes(error)));
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| invalid(&error))?;
    let endpoint = endpoint
        .connect_timeout(TIMEOUT / 2)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if endpoint.uri().scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new();
    if let Some(ca) = &options.ca {
        tls = tls.ca_certificate(Certificate::from_pem(ca));
    }
    if let Some((certificate, key)) = &options.identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = &options.server_name {
        tls = tls.domain_name(name);
    }
    endpoint.tls_config(tls).map_err(|error| invalid(&error))
}

async fn in_time<T>(request: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer in {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, request).await.map_err(late)?
}

/// An error and what lies behind it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// An answer that refuses. Which revision is compacted or current is for the caller to find out.
pub(super) fn failed(status: &Status) -> StoreError {
    let message = status.message();
    if status.code() == Code::OutOfRange && message.contains("has been compacted") {
        StoreError::Compacted(Revision(0))
    } else if status.code() == Code::OutOfRange && message.contains("is a future revision") {
        StoreError::Future(Revision(0))
    } else {
        let behind = std::error::Error::source(status).map(causes);
        StoreError::Io(
            behind
                .filter(|text| !message.contains(text))
                .map_or(message.to_owned(), |text| format!("{message}: {text}")),
        )
    }
}
