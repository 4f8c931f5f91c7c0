//! The keys of a control plane's service-account tokens: read from its folder, or made when somebody first needs one.
//!
//! `service-account.key` signs. What signed before it is kept in `service-account-former.keys`, so that tokens of an
//! earlier key stay good.

use crate::Error;
use crate::identity::{read, write_private};
use access::tokens::{PendingIssuer, TokenIssuer};
use access::{CryptoError, PrivateKey, PublicKey};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;

const SIGNING: &str = "service-account.key";
/// Held while a key is made.
const LOCK: &str = "service-account.lock";
const FORMER: &str = "service-account-former.keys";
/// Keys made at a time: what is made for one new cluster should not keep all others waiting.
static MAKING: Semaphore = Semaphore::const_new(1);

/// Signs tokens, and verifies those that were signed before.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    /// Signs.
    pub issuer: PendingIssuer,
    /// Verify too.
    pub former: Vec<PublicKey>,
}

impl TokenKeys {
    /// The keys of a folder. A key that is no RSA key verifies, and is replaced when the next token is asked for.
    ///
    /// # Errors
    /// When the files cannot be read or do not hold keys.
    pub fn of(folder: &Path, issuer: &str) -> Result<Self, Error> {
        let mut former = former(folder)?;
        let held = read(&folder.join(SIGNING))?.map(|pem| key(folder, &pem)).transpose()?;
        match held {
            Some(key) if key.token_algorithm() == "RS256" => {
                return Ok(Self { issuer: TokenIssuer::new(issuer, key).into(), former });
            }
            Some(key) if !former.contains(&key.public_key()) => former.push(key.public_key()),
            _ => {}
        }
        let (folder, url) = (folder.to_owned(), issuer.to_owned());
        let making = async move {
            let _turn = MAKING.acquire().await;
            let made = tokio::task::spawn_blocking(move || make(folder));
            let key = made.await.map_err(|e| CryptoError(e.to_string()))?;
            key.map(|key| TokenIssuer::new(url, key)).inspect_err(|error| {
                tracing::error!(%error, "there will be no service account tokens");
            })
        };
        Ok(Self { issuer: PendingIssuer::new(issuer, making), former })
    }
}

fn key(folder: &Path, pem: &str) -> Result<PrivateKey, Error> {
    PrivateKey::from_pem(pem).map_err(|e| Error(format!("{}: {e}", folder.join(SIGNING).display())))
}

fn former(folder: &Path) -> Result<Vec<PublicKey>, Error> {
    let path = folder.join(FORMER);
    let Some(text) = read(&path)? else { return Ok(vec![]) };
    PublicKey::all_from_pem(&text).map_err(|e| Error(format!("{}: {e}", path.display())))
}

/// Makes the key and keeps it, unless another process that shares the folder was quicker. What it replaces is kept first.
fn make(folder: PathBuf) -> Result<PrivateKey, CryptoError> {
    let make = || -> Result<PrivateKey, Error> {
        let path = folder.join(SIGNING);
        // Held until the end: the others then find the key.
        let _lock = lock(&folder.join(LOCK))?;
        let held = read(&path)?.map(|pem| key(&folder, &pem)).transpose()?;
        if let Some(public) = held {
            if public.token_algorithm() == "RS256" {
                return Ok(public);
            }
            let kept = read(&folder.join(FORMER))?.unwrap_or_default();
            let info = access::keys::pem("PUBLIC KEY", &public.public_key_info());
            write_private(&folder.join(FORMER), &(kept + &info))?;
        }
        let made = PrivateKey::generate_rsa().map_err(|e| Error(e.to_string()))?;
        write_private(&path, &made.to_pem())?;
        Ok(made)
    };
    make().map_err(|e| CryptoError(e.to_string()))
}

fn lock(path: &Path) -> Result<std::fs::File, Error> {
    let open = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.and_then(|file| file.lock().map(|()| file));
    file.map_err(|e| Error::file("lock", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeys::of(folder.path(), "i").unwrap();
        assert!(!folder.path().join(SIGNING).exists());
        let made = keys.issuer.get().await.unwrap();
        assert_eq!(made.public_key().algorithm(), "RS256");
        let again = TokenKeys::of(folder.path(), "i").unwrap();
        assert_eq!(again.issuer.ready().unwrap().public_key(), made.public_key());
        assert_eq!(again.former, []);
    }

    #[tokio::test]
    async fn who_shares_a_folder_shares_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let all: Vec<_> = (0..3).map(|_| TokenKeys::of(folder.path(), "i").unwrap()).collect();
        let mut keys = vec![];
        for keys_of_one in &all {
            keys.push(keys_of_one.issuer.get().await.unwrap().public_key().clone());
        }
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[tokio::test]
    async fn keys_of_another_kind_keep_verifying() {
        let folder = tempfile::tempdir().unwrap();
        let old = PrivateKey::generate().unwrap();
        write_private(&folder.path().join(SIGNING), &old.to_pem()).unwrap();
        let keys = TokenKeys::of(folder.path(), "i").unwrap();
        assert_eq!(keys.former, [old.public_key()]);
        keys.issuer.get().await.unwrap();
        let again = TokenKeys::of(folder.path(), "i").unwrap();
        assert_eq!(again.former, [old.public_key()]);
        assert_eq!(again.issuer.ready().unwrap().public_key().algorithm(), "RS256");
    }
}
