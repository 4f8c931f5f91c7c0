//! A control plane's CA, made once and kept in its folder, and what it signs.

use crate::Error;
use access::certificates::{Subject, SubjectAltNames};
use access::{CertificateAuthority, CryptoError};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How long the certificates in kubeconfigs are good for.
const CLIENT_SECONDS: i64 = 365 * 24 * 3600;

/// The CA of one control plane.
pub struct Identity {
    /// Signs serving and client certificates.
    pub authority: CertificateAuthority,
}

/// A certificate and its key as PEM.
pub struct Credentials {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Identity {
    /// Reads the keys in `folder`, or makes them.
    ///
    /// # Errors
    /// When the files cannot be read or written, or do not hold what they should.
    pub fn load_or_create(folder: &Path) -> Result<Self, Error> {
        let crypto = |e: CryptoError| {
            let folder = folder.display();
            let help = "restore them from a backup, or move the folder away to start afresh";
            Error(format!("the keys in {folder} are damaged ({}); nothing was changed: {help}", e.0))
        };
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        let missing = match (read(&certificate)?, read(&key)?) {
            (Some(certificate), Some(key)) => {
                let authority = CertificateAuthority::from_pem(&certificate, &key).map_err(crypto)?;
                return Ok(Self { authority });
            }
            (Some(_), None) => &key,
            (None, _) => &certificate,
        };
        // The certificate is written last and the data is made after it: without both, making keys was cut off.
        if missing == &key || folder.join("store").join(store::embedded::FILE).exists() {
            return Err(Error(format!(
                "{} is missing, and no kubeconfig would be good with another: restore it from a backup, or move {} away to start afresh",
                missing.display(),
                folder.display()
            )));
        }
        let authority =
            CertificateAuthority::generate("joey-ca", object::time::now().as_second()).map_err(crypto)?;
        write_private(&key, &authority.key_pem())?;
        // Last: with it, the set is complete.
        write_private(&certificate, &authority.certificate_pem())?;
        Ok(Self { authority })
    }

    /// A serving certificate for these host names and addresses.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn serving(&self, hosts: &[String]) -> Result<Credentials, Error> {
        let names = SubjectAltNames::hosts(hosts.iter().map(String::as_str));
        let issued = self.authority.issue_server("joey", &names, object::time::now().as_second());
        let issued = issued.map_err(|e| Error(e.0))?;
        Ok(Credentials { certificate: issued.certificate_pem(), key: issued.key_pem() })
    }

    /// A client certificate for a user in groups.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Credentials, Error> {
        let subject = Subject {
            common_name: user.into(),
            organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
            uid: None,
        };
        let issued = self.authority.issue_client(&subject, CLIENT_SECONDS, object::time::now().as_second());
        let issued = issued.map_err(|e| Error(e.0))?;
        Ok(Credentials { certificate: issued.certificate_pem(), key: issued.key_pem() })
    }
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file("read", path, &e)),
    }
}

/// Writes a file that only its owner may read, all of it or nothing.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let unfinished = path.with_extension("unfinished");
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|e| Error::file("write", path, &e))
}
