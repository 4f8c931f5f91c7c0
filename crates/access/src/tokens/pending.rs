//! An issuer whose key may still be in the making.
//!
//! RSA keys take long to make, and most clusters never need theirs. Whoever asks first starts the making; the others wait
//! for the same key. Nothing is made while nobody asks.

use super::claims::TokenIssuer;
use crate::keys::CryptoError;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::fmt;
use std::sync::Arc;

type Made = Result<Arc<TokenIssuer>, CryptoError>;

/// A handle on the one issuer of a cluster.
#[derive(Clone)]
pub struct PendingIssuer {
    issuer: String,
    made: Shared<BoxFuture<'static, Made>>,
}

impl PendingIssuer {
    /// The issuer of a URL, which `make` gives when it is first asked for.
    pub fn new(
        issuer: impl Into<String>,
        make: impl Future<Output = Result<TokenIssuer, CryptoError>> + Send + 'static,
    ) -> Self {
        let made = async move { make.await.map(Arc::new) };
        Self { issuer: issuer.into(), made: made.boxed().shared() }
    }

    /// The issuer's URL.
    pub fn url(&self) -> &str {
        &self.issuer
    }

    /// The issuer, as soon as it has its key.
    ///
    /// # Errors
    /// When the key cannot be made or kept; that stays so.
    pub async fn get(&self) -> Made {
        self.made.clone().await
    }

    /// The issuer, if it has its key already.
    pub fn ready(&self) -> Option<Arc<TokenIssuer>> {
        self.made.peek()?.as_ref().ok().cloned()
    }
}

impl From<TokenIssuer> for PendingIssuer {
    fn from(issuer: TokenIssuer) -> Self {
        let pending = Self::new(issuer.issuer().to_owned(), std::future::ready(Ok(issuer)));
        // Known from the start: nobody has to wait for it.
        let _known = pending.made.clone().now_or_never();
        pending
    }
}

impl fmt::Debug for PendingIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PrivateKey;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn made_once_by_who_asks_first() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let pending = PendingIssuer::new("https://issuer", async move {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(TokenIssuer::new("https://issuer", PrivateKey::generate()?))
        });
        let other = pending.clone();
        assert!(pending.ready().is_none());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        let first = pending.get().now_or_never().unwrap().unwrap();
        let second = other.get().now_or_never().unwrap().unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(other.ready().is_some());
    }

    #[test]
    fn a_given_issuer_is_ready() {
        let issuer = TokenIssuer::new("https://issuer", PrivateKey::generate().unwrap());
        let pending = PendingIssuer::from(issuer);
        assert_eq!(pending.url(), "https://issuer");
        assert!(pending.ready().is_some());
    }
}
