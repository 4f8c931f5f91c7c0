//! Where a control plane's data and keys are: in a folder that is its alone, or in an etcd that several joeys serve.

use crate::identity::Identity;
use crate::shared_keys::SharedKeys;
use crate::token_keys::TokenKeys;
use crate::{Error, Stores};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;
use store::embedded;
use store::etcd::{self, EtcdStore};

/// Where data and keys are kept.
#[derive(Clone)]
pub enum Storage {
    /// In the control plane's folder.
    Embedded {
        /// Bytes of data kept in memory; `None` for as few as a virtual cluster among many should use.
        cache_bytes: Option<usize>,
        /// The most bytes that may be kept; `None` for no bound.
        most_bytes: Option<u64>,
    },
    /// Under a prefix of an etcd. Any number of joeys may serve it at a time.
    Etcd {
        /// Which etcd.
        options: Box<etcd::Options>,
        /// A folder with the keys; `None`: they are in the etcd too, and made by whoever comes first.
        keys: Option<PathBuf>,
    },
}

/// Opened.
pub(crate) struct Opened {
    pub store: Arc<dyn Store>,
    pub identity: Identity,
    pub tokens: TokenKeys,
    /// For messages.
    pub place: PathBuf,
}

impl Storage {
    /// Whether others may serve the same data.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Etcd { .. })
    }

    pub(crate) async fn open(
        &self,
        folder: &Path,
        issuer: &str,
        stores: &Arc<Stores>,
    ) -> Result<Opened, Error> {
        match self {
            Self::Embedded { cache_bytes, most_bytes } => {
                let identity = Identity::load_or_create(folder)?;
                let place = folder.join("store");
                let mut options = embedded::Options::default();
                options.cache_bytes = cache_bytes.unwrap_or(options.cache_bytes);
                options.most_bytes = *most_bytes;
                let opened = tokio::task::spawn_blocking({
                    let (stores, place) = (stores.clone(), place.clone());
                    move || stores.open(&place, options)
                });
                let opened = opened.await.map_err(|e| Error(e.to_string()))?;
                let store = opened.map_err(|e| Error::store(&place, &e))?;
                Ok(Opened { store, identity, tokens: TokenKeys::of(folder, issuer)?, place })
            }
            Self::Etcd { options, keys } => {
                let store: Arc<dyn Store> =
                    EtcdStore::connect((**options).clone()).await.map_err(|e| Error(e.to_string()))?;
                let keys = match keys {
                    Some(folder) => SharedKeys::read(folder)?,
                    None => SharedKeys::of(&*store).await?,
                };
                let identity = keys.identity()?;
                let place = format!("etcd at {}", options.endpoints.join(","));
                Ok(Opened { store, identity, tokens: keys.tokens(issuer)?, place: place.into() })
            }
        }
    }
}
