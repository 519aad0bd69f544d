//! The certificate that this client shows to a TLS server.

use std::path::{Path, PathBuf};

use keyturn_core::secret::SecretBytes;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use super::TlsError;

/// A certificate, with those of its issuers behind it, and its key: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// Reads both files.
    pub(super) fn load(&self) -> Result<ClientCert, TlsError> {
        let chain: Vec<Certificate<'static>> = parse_pem(read(&self.certificate)?.as_ref())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: self.certificate.clone() });
        }
        let key =
            PrivateKey::from_pem(read(&self.key)?.as_ref()).map_err(|_| TlsError::NoKey { path: self.key.clone() })?;
        Ok(ClientCert::new_with_certs(&chain, key))
    }
}

fn read(path: &Path) -> Result<SecretBytes, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })?;
    Ok(SecretBytes::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_and_each_is_named_when_it_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let issued = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let identity = Identity { certificate: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        assert!(matches!(identity.load(), Err(TlsError::Unreadable { .. })));
        std::fs::write(&identity.certificate, issued.cert.pem()).unwrap();
        std::fs::write(&identity.key, "no key").unwrap();
        assert!(matches!(identity.load(), Err(TlsError::NoKey { .. })));
        std::fs::write(&identity.key, issued.signing_key.serialize_pem()).unwrap();
        assert!(identity.load().is_ok());
    }
}
