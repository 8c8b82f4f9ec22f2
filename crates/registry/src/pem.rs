//! A certificate with its key, from PEM files, checked to be a pair that TLS can use: ours as a client, or
//! that of the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// A certificate, those that vouch for it, and its key.
pub(crate) struct Pair {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// The file with the key.
    pub(crate) key_text: Vec<u8>,
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// What is in them is no certificate, no key, or does not belong together.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, Unusable> {
        let no_pair = |reason: String| Unusable { path: certificate.to_owned(), reason };
        let no_key = |reason: &str| Unusable { path: key.to_owned(), reason: reason.to_owned() };
        let text = std::fs::read(certificate).map_err(|error| no_pair(error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| no_pair(error.to_string()))?;
        if chain.is_empty() {
            return Err(no_pair("there is no certificate in it".to_owned()));
        }
        let text = std::fs::read(key).map_err(|error| no_key(&error.to_string()))?;
        // The parser's reason is not shown: it could quote the key.
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| no_key("it is no private key in PEM"))?;
        let pair = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider());
        pair.map_err(|error| no_pair(error.to_string()))?;
        Ok(Self { chain, key, key_text: text })
    }
}

/// What does the cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
