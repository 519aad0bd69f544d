//! Certificates: what is served, what is refused, and how they are exchanged.

use std::{fs, path::PathBuf, sync::Arc};

use keyturn_server::{
    limits::Limits,
    tls::{ClientCertificates, TlsError, TlsSource},
};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Client, SHORT, Server};

/// A certificate and its key in files, replaced by `renew`.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { directory: tempfile::tempdir().expect("directory") };
        let certificate = files.renew();
        (files, certificate)
    }

    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        fs::write(self.certificate(), cert.pem()).expect("write");
        fs::write(self.key(), signing_key.serialize_pem()).expect("write");
        cert.der().clone()
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    fn load(&self) -> Result<TlsSource, TlsError> {
        TlsSource::load(self.certificate(), self.key(), ClientCertificates::Asked)
    }
}

async fn shake(
    server: &Server,
    trusted: &CertificateDer<'static>,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").expect("name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Client)
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_alpn_is_agreed() {
    let (files, certificate) = Files::new();
    let server = Server::start(Limits::default(), Some(Arc::new(files.load().expect("load")))).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = shake(&server, &certificate, version).await.expect("handshake");
        assert_eq!(client.0.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(client.get("/peer").await.0, 200);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_closed() {
    let (files, _) = Files::new();
    let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
    let server = Server::start(limits, Some(Arc::new(files.load().expect("load")))).await;
    assert!(server.connect().await.closed().await.is_empty());
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_leaves_connections_alone() {
    let (files, old) = Files::new();
    let source = Arc::new(files.load().expect("load"));
    let server = Server::start(Limits::default(), Some(source.clone())).await;
    let version = &rustls::version::TLS13;
    let mut before = shake(&server, &old, version).await.expect("handshake");

    let new = files.renew();
    source.reload().expect("reload");
    assert!(shake(&server, &old, version).await.is_err(), "the old certificate is still served");
    assert_eq!(shake(&server, &new, version).await.expect("handshake").get("/peer").await.0, 200);
    assert_eq!(before.get("/peer").await.0, 200);
}

#[tokio::test]
async fn a_reload_of_bad_files_keeps_the_old_certificate() {
    let (files, certificate) = Files::new();
    let source = Arc::new(files.load().expect("load"));
    let server = Server::start(Limits::default(), Some(source.clone())).await;
    fs::write(files.key(), "not a key").expect("write");
    source.reload().expect_err("refused");
    assert!(shake(&server, &certificate, &rustls::version::TLS13).await.is_ok());
}

#[test]
fn bad_files_are_told_apart_and_never_quoted() {
    let (files, _) = Files::new();
    let good_key = fs::read_to_string(files.key()).expect("read");
    let good_certificate = fs::read_to_string(files.certificate()).expect("read");
    let refused = |what: &str| {
        let error = files.load().map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains(what), "{error}");
        assert!(error.contains("/server."), "no file named: {error}");
        assert!(!error.contains("SECRETCANARY"), "quoted: {error}");
    };

    fs::write(files.key(), KeyPair::generate().expect("key").serialize_pem()).expect("write");
    refused("does not belong to the first certificate");
    fs::write(files.key(), "-----BEGIN PRIVATE KEY-----\nSECRETCANARY!\n-----END PRIVATE KEY-----\n").expect("write");
    refused("base64 of a section is broken");
    fs::write(files.key(), "-----BEGIN PRIVATE KEY-----\nSECRETCANARY\n").expect("write");
    refused("no -----END line");
    fs::write(files.key(), &good_certificate).expect("write");
    refused("there is no private key in");
    fs::remove_file(files.key()).expect("remove");
    refused("cannot read the key file");
    fs::write(files.certificate(), &good_key).expect("write");
    refused("there is no certificate in");
    fs::remove_file(files.certificate()).expect("remove");
    refused("cannot read the certificate file");
}
