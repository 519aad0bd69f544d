//! How connections are protected: which certificates are believed, for which name, and what is shown.

use std::sync::Arc;

use keyturn_core::target::{TargetError, Tls};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};

/// What is asked of the target's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Nothing: the connection is secret from those who listen, not from those who stand in between.
    Nothing,
    /// That it leads back to an authority that is believed, whatever its name.
    Chain,
    /// That as well, and that it carries the target's name.
    Name,
}

/// Certificates and key, in the form that libraries take.
pub(crate) struct Material {
    /// The authorities that are believed.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// What is shown.
    pub(crate) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Material {
    /// Reads the settings' PEM; without authorities there, the system's are believed.
    pub(crate) fn of(tls: &Tls) -> Result<Self, TargetError> {
        let roots = if tls.ca_pem.is_empty() {
            rustls_native_certs::load_native_certs().certs
        } else {
            certificates(&tls.ca_pem, "the CA certificate")?
        };
        Ok(Self { roots, identity: identity(tls)? })
    }
}

fn identity(tls: &Tls) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TargetError> {
    match (tls.certificate_pem.is_empty(), tls.key_pem.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => {
            let chain = certificates(&tls.certificate_pem, "the client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(tls.key_pem.expose_secret().as_bytes())
                .map_err(|_| TargetError::Settings("the client certificate's key is no key in PEM".to_owned()))?;
            Ok(Some((chain, key)))
        }
        _ => Err(TargetError::Settings("a client certificate and its key must be given together".to_owned())),
    }
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let wrong = || TargetError::Settings(format!("{what} is no certificate in PEM"));
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(wrong)
}

/// The configuration of a client.
pub(crate) fn client(tls: &Tls, verify: Verify) -> Result<Arc<ClientConfig>, TargetError> {
    let material = Material::of(tls)?;
    let wrong = |error: rustls::Error| TargetError::Settings(format!("TLS cannot be set up: {error}"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new(verify, material.roots, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match material.identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(wrong)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The name to be verified: the settings', or the host's.
pub(crate) fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>, TargetError> {
    let name = if tls.server_name.is_empty() { host } else { &tls.server_name };
    ServerName::try_from(name.to_owned()).map_err(|_| {
        TargetError::Settings("the target's name cannot stand in a certificate: set its server name".into())
    })
}

#[derive(Debug)]
struct Verifier {
    verify: Verify,
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        verify: Verify,
        roots: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TargetError> {
        let inner = if verify == Verify::Nothing {
            None
        } else {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(roots);
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
            Some(built.map_err(|_| {
                TargetError::Settings("no certificate authority is believed: give the target's CA certificate".into())
            })?)
        };
        Ok(Self { verify, inner, provider: Arc::clone(provider) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, after the chain was found good.
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. },
            )) if self.verify == Verify::Chain => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
