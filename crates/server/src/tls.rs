//! The server's side of TLS: a certificate and its key from PEM files, TLS 1.2 and 1.3, exchanged without a restart.
//!
//! Clients are asked for a certificate and need none. Whatever they show is accepted, if they have its key: whether it is
//! trusted is decided where somebody logs in with it (`client_certificate.rs`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use keyturn_core::{
    alert::{End, end_of},
    secret::SecretBytes,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio::net::TcpStream;

use crate::client_certificate::AnyCertificate;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Certificate files that cannot be served. The certificate in use, if any, stays in use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read the {what} file {path}: {source}")]
    Read {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file is not PEM, or its base64 is broken.
    #[error("the {what} file {path} is not valid PEM: {reason}")]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The parser's reason; it quotes no content.
        reason: &'static str,
    },
    /// A file holds nothing of its kind.
    #[error("there is no {what} in {path}; expected {expected}")]
    Nothing {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The PEM header that was looked for.
        expected: &'static str,
    },
    /// The key is not that of the first certificate.
    #[error(
        "the key in {key} does not belong to the first certificate in {certificate}; \
         the server's own certificate comes first, then its issuers"
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate or key is of a kind that cannot be used.
    #[error("the certificate in {certificate} with the key in {key} cannot be used: {source}")]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are, and need not have one.
    Asked,
    /// They are not: nobody can log in with one.
    Ignored,
}

/// A certificate and its key, read from files and read again on [`TlsSource::reload`].
#[derive(Debug)]
pub struct TlsSource {
    certificate: PathBuf,
    key: PathBuf,
    clients: ClientCertificates,
    current: ArcSwap<ServerConfig>,
    /// The certificates of it.
    chain: ArcSwap<Vec<CertificateDer<'static>>>,
}

impl TlsSource {
    /// Reads the certificate chain (PEM, the server's own first) and the private key (PEM: PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        clients: ClientCertificates,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let (config, chain) = server_config(&certificate, &key, clients)?;
        let (current, chain) = (ArcSwap::new(config), ArcSwap::from_pointee(chain));
        Ok(Self { certificate, key, clients, current, chain })
    }

    /// Reads the files again. Handshakes from now on use what they hold; connections in use are not disturbed.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use then stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let (config, chain) = server_config(&self.certificate, &self.key, self.clients)?;
        self.current.store(config);
        self.chain.store(Arc::new(chain));
        Ok(())
    }

    /// Until when the certificates in use are good: the server's own under the name `subject`, its issuers numbered.
    #[must_use]
    pub fn ends(&self, subject: &str) -> Vec<End> {
        let name = |index: usize| if index == 0 { subject.to_owned() } else { format!("{subject} #{}", index + 1) };
        let chain = self.chain.load();
        chain.iter().enumerate().filter_map(|(index, der)| end_of(&name(index), der)).collect()
    }

    /// The certificate file, to name the source in a log.
    #[must_use]
    pub fn certificate_path(&self) -> &Path {
        &self.certificate
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }
}

/// What handshakes use, and its certificates.
type Served = (Arc<ServerConfig>, Vec<CertificateDer<'static>>);

fn server_config(certificate: &Path, key: &Path, clients: ClientCertificates) -> Result<Served, TlsError> {
    let chain = read_chain(certificate)?;
    let private = read_key(key)?;
    let unusable = |source| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = AnyCertificate::new(&provider);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable)?;
    let builder = match clients {
        ClientCertificates::Asked => builder.with_client_cert_verifier(Arc::new(verifier)),
        ClientCertificates::Ignored => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain.clone(), private).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        source => unusable(source),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), chain))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text =
        fs::read(path).map_err(|source| TlsError::Read { what: "certificate", path: path.to_owned(), source })?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken_pem("certificate", path, &error))?;
    if chain.is_empty() {
        return Err(TlsError::Nothing {
            what: "certificate",
            path: path.to_owned(),
            expected: "-----BEGIN CERTIFICATE-----",
        });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = fs::read(path).map(SecretBytes::new).map_err(|source| TlsError::Read {
        what: "key",
        path: path.to_owned(),
        source,
    })?;
    PrivateKeyDer::from_pem_slice(text.expose_secret()).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::Nothing {
            what: "private key",
            path: path.to_owned(),
            expected: "-----BEGIN PRIVATE KEY----- (an encrypted key is not supported: decrypt it first)",
        },
        error => broken_pem("key", path, &error),
    })
}

/// The parser's own words quote the file, which may hold a key, so they are replaced.
fn broken_pem(what: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no -----END line",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "the base64 of a section is broken",
        _ => "it cannot be parsed",
    };
    TlsError::Pem { what, path: path.to_owned(), reason }
}
