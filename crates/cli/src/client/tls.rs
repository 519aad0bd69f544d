//! Which certificates a TLS server's must lead back to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Identity;

/// Where Linux distributions, the BSDs and macOS keep the certificates that the system trusts.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The source of the trusted certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those in this PEM file and no others.
    File(PathBuf),
    /// The system's: the file that OpenSSL's variable `SSL_CERT_FILE` names, else the first usual one that exists.
    System { preferred: Option<PathBuf> },
}

/// Why there is nothing to trust.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file cannot be read.
    #[error("cannot read the trusted certificates in {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It holds none.
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate { path: PathBuf },
    /// It holds no private key.
    #[error("{} holds no private key in PEM form that is not encrypted", path.display())]
    NoKey { path: PathBuf },
    /// The system has no known bundle.
    #[error("the system's trusted certificates were not found: name a PEM file by --ca-cert or SSL_CERT_FILE")]
    NoSystemBundle,
}

impl Trust {
    /// The TLS settings of a connection.
    pub(crate) fn config(&self, identity: Option<&Identity>) -> Result<TlsConfig, TlsError> {
        let path = self.file().ok_or(TlsError::NoSystemBundle)?;
        let certificates = read(path)?;
        let own = identity.map(Identity::load).transpose()?;
        Ok(TlsConfig::builder()
            .client_cert(own)
            .root_certs(RootCerts::Specific(Arc::new(certificates)))
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build())
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::System { preferred: Some(path) } => Some(path),
            Self::System { preferred: None } => SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, TlsError> {
    let pem = std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })?;
    // A system's bundle may hold something unreadable between good certificates; each is judged alone.
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() { Err(TlsError::NoCertificate { path: path.into() }) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(matches!(Trust::File(path.clone()).config(None), Err(TlsError::Unreadable { .. })));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(Trust::File(path).config(None), Err(TlsError::NoCertificate { .. })));
    }

    #[test]
    fn a_certificate_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&path, issued.cert.pem()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        assert!(Trust::System { preferred: Some(path) }.config(None).is_ok());
    }
}
