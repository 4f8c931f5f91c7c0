//! The keys of a control plane that several joeys serve: each must sign what the others accept.
//!
//! They are kept beside the data, under a key that no API path leads to, and made by whoever comes first; or they are given
//! in a folder, as kube-apiserver takes them. Nothing in etcd is encrypted by joey: who can read it reads these keys, as it
//! reads every Secret.

use crate::Error;
use crate::identity::{Identity, read};
use crate::token_keys::TokenKeys;
use access::tokens::TokenIssuer;
use access::{CertificateAuthority, PrivateKey};
use serde_json::{Value, json};
use std::path::Path;
use store::{Expect, Store, StoreError, Write};

/// Beside the objects; `/joey/` is no group.
const KEY: &str = "/joey/keys";
const CERTIFICATE: &str = "ca.crt";
const AUTHORITY: &str = "ca.key";
const TOKENS: &str = "service-account.key";

/// PEM of each.
pub(crate) struct SharedKeys {
    certificate: String,
    authority: String,
    tokens: String,
    /// For messages.
    place: String,
}

impl SharedKeys {
    /// The keys in a folder, all of which must be there: another joey with a folder of its own could not make the same.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let file = |name: &str| {
            let path = folder.join(name);
            read(&path)?.ok_or_else(|| {
                let names = [CERTIFICATE, AUTHORITY, TOKENS].join(", ");
                Error(format!("{} is missing: the folder of shared keys must hold {names}", path.display()))
            })
        };
        let (certificate, authority, tokens) = (file(CERTIFICATE)?, file(AUTHORITY)?, file(TOKENS)?);
        Ok(Self { certificate, authority, tokens, place: folder.display().to_string() })
    }

    /// The keys in a store; made if there are none.
    pub(crate) async fn of(store: &dyn Store) -> Result<Self, Error> {
        let failed = |e: StoreError| Error(e.to_string());
        if let (Some(entry), _) = store.get(KEY).await.map_err(failed)? {
            return Self::decode(&entry.value);
        }
        let made = tokio::task::spawn_blocking(Self::make).await.map_err(|e| Error(e.to_string()))??;
        let write =
            Write { key: KEY.into(), expect: Expect::Absent, value: Some(made.encode().into()), ttl: None };
        match store.write(write).await {
            Ok(_) => Ok(made),
            // Another joey was quicker: its keys count.
            Err(StoreError::Conflict(Some(entry))) => Self::decode(&entry.value),
            Err(error) => Err(failed(error)),
        }
    }

    fn make() -> Result<Self, Error> {
        let failed = |e: access::CryptoError| Error(e.to_string());
        let now = object::time::now().as_second();
        let authority = CertificateAuthority::generate("joey-ca", now).map_err(failed)?;
        let tokens = PrivateKey::generate_rsa().map_err(failed)?;
        Ok(Self {
            certificate: authority.certificate_pem(),
            authority: authority.key_pem(),
            tokens: tokens.to_pem(),
            place: KEY.into(),
        })
    }

    fn encode(&self) -> String {
        json!({CERTIFICATE: self.certificate, AUTHORITY: self.authority, TOKENS: self.tokens}).to_string()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| Error(format!("{KEY} in etcd: {e}")))?;
        let text = |name: &str| {
            let text = value[name].as_str().map(str::to_owned);
            text.ok_or_else(|| Error(format!("{KEY} in etcd has no {name}")))
        };
        Ok(Self {
            certificate: text(CERTIFICATE)?,
            authority: text(AUTHORITY)?,
            tokens: text(TOKENS)?,
            place: format!("{KEY} in etcd"),
        })
    }

    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        let authority = CertificateAuthority::from_pem(&self.certificate, &self.authority);
        Ok(Identity { authority: authority.map_err(|e| Error(format!("keys in {}: {}", self.place, e.0)))? })
    }

    pub(crate) fn tokens(&self, issuer: &str) -> Result<TokenKeys, Error> {
        let key = PrivateKey::from_pem(&self.tokens);
        let key = key.map_err(|e| Error(format!("{TOKENS} in {}: {e}", self.place)))?;
        Ok(TokenKeys { issuer: TokenIssuer::new(issuer, key).into(), former: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::memory::MemoryStore;

    #[tokio::test]
    async fn whoever_comes_first_makes_the_keys_of_all() {
        let store = MemoryStore::new();
        let all = futures::future::join_all((0..3).map(|_| SharedKeys::of(&*store))).await;
        let all: Vec<_> = all.into_iter().map(|keys| keys.unwrap()).collect();
        for keys in &all {
            assert_eq!((&keys.authority, &keys.tokens), (&all[0].authority, &all[0].tokens));
            keys.identity().unwrap();
            keys.tokens("i").unwrap();
        }
    }

    #[test]
    fn a_folder_of_keys_must_be_complete() {
        let folder = tempfile::tempdir().unwrap();
        let keys = SharedKeys::make().unwrap();
        std::fs::write(folder.path().join(CERTIFICATE), &keys.certificate).unwrap();
        std::fs::write(folder.path().join(AUTHORITY), &keys.authority).unwrap();
        let missing = SharedKeys::read(folder.path()).err().unwrap().to_string();
        assert!(missing.contains("service-account.key is missing"), "{missing}");
        std::fs::write(folder.path().join(TOKENS), &keys.tokens).unwrap();
        let read = SharedKeys::read(folder.path()).unwrap();
        assert_eq!(read.identity().unwrap().authority.certificate_pem(), keys.certificate);
    }
}
