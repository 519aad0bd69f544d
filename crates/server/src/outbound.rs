//! Requests to other systems over HTTP, bounded in time and size.
//!
//! Nothing is asked of a proxy, nothing is compressed. A GET without a credential follows a few redirects, never from
//! https to http; anything that carries a secret follows none. TLS needs a certificate that leads back to the ones the
//! request names, else to the system's.

use std::{io, path::Path, sync::Arc, time::Duration};

use keyturn_core::{
    hook_command::HookCommands,
    outbound::{Body, Credential, MAX_REPLY, Outbound, OutboundError, Reply, Request, ServiceAccount},
    secret::{SecretBytes, SecretString},
    storage::BoxFuture,
};
use rustls::crypto::aws_lc_rs;
use tokio::sync::Semaphore;
use ureq::{
    Agent,
    http::{HeaderValue, Response, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::hook_command::Commands;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the whole exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: u32 = 3;
/// Requests under way at once; more wait. Each takes a thread.
const AT_ONCE: usize = 32;

/// Where Linux distributions, the BSDs and macOS keep the certificates that the system trusts.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where a cluster puts what it gives to a pod.
const POD_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The largest file of those that is read, in bytes.
const MAX_POD_FILE: u64 = 256 * 1024;

/// The way out, over HTTP.
#[derive(Debug)]
pub struct Http {
    slots: Arc<Semaphore>,
    commands: Commands,
}

impl Default for Http {
    fn default() -> Self {
        Self::with_commands(Commands::default())
    }
}

impl Http {
    /// The way out, with programs that rotations may run.
    #[must_use]
    pub fn with_commands(commands: Commands) -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), commands }
    }
}

impl Outbound for Http {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        Box::pin(async move {
            // The semaphore is never closed.
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            let work = tokio::task::spawn_blocking(move || {
                let reply = exchange(&request);
                drop(slot);
                reply
            });
            work.await.map_err(|_| OutboundError("the request was interrupted".to_owned()))?
        })
    }

    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>> {
        Box::pin(async {
            // Read anew each time: the cluster exchanges the token within the hour.
            let read = || Some((read_small(Path::new(POD_CA)).ok()?, read_small(Path::new(POD_TOKEN)).ok()?));
            let (ca_pem, token) = tokio::task::spawn_blocking(read).await.ok().flatten()?;
            Some(ServiceAccount { ca_pem, token: SecretString::from(token.trim()) })
        })
    }

    fn commands(&self) -> &dyn HookCommands {
        &self.commands
    }
}

fn read_small(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_POD_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn exchange(request: &Request) -> Result<Reply, OutboundError> {
    let is_tls = request.url.starts_with("https://");
    if !is_tls && !request.url.starts_with("http://") {
        return Err(OutboundError("the URL must begin with https:// or http://".to_owned()));
    }
    let plain_get = request.body.is_none() && matches!(request.credential, Credential::None);
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(if plain_get { MAX_REDIRECTS } else { 0 })
        .max_redirects_will_error(false)
        .https_only(is_tls)
        .proxy(None)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(EXCHANGE_TIMEOUT))
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")));
    if is_tls {
        config = config.tls_config(trust(&request.ca_pem)?);
    }
    let agent = config.build().new_agent();
    let mut reply = send(&agent, request).map_err(|error| OutboundError(reason(&error)))?;
    let limit = u64::try_from(MAX_REPLY).unwrap_or(u64::MAX);
    let body = reply.body_mut().with_config().limit(limit).read_to_vec();
    let body = body.map_err(|error| OutboundError(reason(&error)))?;
    Ok(Reply { status: reply.status().as_u16(), body: SecretBytes::new(body) })
}

fn send(agent: &Agent, request: &Request) -> Result<Response<ureq::Body>, ureq::Error> {
    let authorization = match &request.credential {
        Credential::None => None,
        Credential::Bearer(token) => Some(header_value(format!("Bearer {}", token.expose_secret().trim()))?),
        Credential::Basic(name, password) => Some(header_value(basic(name, password))?),
    };
    match &request.body {
        None => {
            let mut get = agent.get(&request.url).header(header::ACCEPT, "application/json");
            if let Some(value) = authorization {
                get = get.header(header::AUTHORIZATION, value);
            }
            get.call()
        }
        Some(body) => {
            let (kind, bytes) = match body {
                Body::Json(bytes) => ("application/json", bytes),
                Body::Form(bytes) => ("application/x-www-form-urlencoded", bytes),
            };
            let mut post = agent.post(&request.url).header(header::ACCEPT, "application/json").content_type(kind);
            for (name, value) in &request.headers {
                post = post.header(name, value);
            }
            if let Some(value) = authorization {
                post = post.header(header::AUTHORIZATION, value);
            }
            post.send(bytes.as_ref())
        }
    }
}

fn basic(name: &str, password: &SecretString) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pair = zeroize::Zeroizing::new(format!("{name}:{}", password.expose_secret()));
    format!("Basic {}", STANDARD.encode(pair.as_bytes()))
}

fn header_value(text: String) -> Result<HeaderValue, ureq::Error> {
    let mut value = HeaderValue::try_from(text).map_err(ureq::http::Error::from)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is told of a failure: neither the URL nor anything that was sent.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {EXCHANGE_TIMEOUT:?}"),
        ureq::Error::HostNotFound => "the host's name could not be resolved".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => format!("the answer is larger than {MAX_REPLY} bytes"),
        ureq::Error::RequireHttpsOnly(_) => "it redirects from https to http".to_owned(),
        ureq::Error::Io(error) => format!("no connection, or it broke: {error}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            "the URL, or something that was to be sent, is malformed".to_owned()
        }
        _ => "the answer could not be read".to_owned(),
    }
}

fn trust(ca_pem: &str) -> Result<TlsConfig, OutboundError> {
    let certificates = if ca_pem.trim().is_empty() { system_certificates()? } else { certificates(ca_pem.as_bytes()) };
    if certificates.is_empty() {
        return Err(OutboundError("the CA certificate is not PEM (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build())
}

fn system_certificates() -> Result<Vec<Certificate<'static>>, OutboundError> {
    let named = std::env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty());
    let path = named.as_deref().or_else(|| SYSTEM_BUNDLES.into_iter().find(|path| Path::new(path).exists()));
    let path = path.ok_or_else(|| {
        OutboundError(
            "the system's trusted certificates were not found: name a CA certificate, or set SSL_CERT_FILE".to_owned(),
        )
    })?;
    let text = std::fs::read(path).map_err(|error| OutboundError(format!("cannot read {path}: {error}")))?;
    Ok(certificates(&text))
}

/// A bundle may hold something unreadable between good certificates; each is judged alone.
fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request after the other with `answers`; returns its address and what it was sent.
    async fn responder(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.expect("a request");
                heads.push(String::from_utf8_lossy(&head[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.expect("sent");
            }
            heads
        });
        (address, serving)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn an_answer_comes_back_whatever_its_status() {
        let (address, serving) = responder(vec![answer("404 Not Found", "", "gone")]).await;
        let reply = Http::default().send(Request::get(&format!("{address}/keys"), "")).await.expect("a reply");
        assert_eq!((reply.status, reply.body.as_ref()), (404, b"gone".as_slice()));
        assert!(serving.await.expect("served")[0].starts_with("GET /keys HTTP/1.1"));
    }

    #[tokio::test]
    async fn a_credential_follows_no_redirect() {
        let away = answer("302 Found", "location: http://127.0.0.1:9/\r\n", "");
        let (address, serving) = responder(vec![away]).await;
        let request = Request { credential: Credential::Bearer("s3cret".into()), ..Request::get(&address, "") };
        assert_eq!(Http::default().send(request).await.expect("a reply").status, 302);
        assert!(serving.await.expect("served")[0].to_lowercase().contains("authorization: bearer s3cret"));
    }

    #[tokio::test]
    async fn a_plain_get_follows_a_few_redirects() {
        let (there, _serving) = responder(vec![answer("200 OK", "", "keys")]).await;
        let (address, _redirecting) =
            responder(vec![answer("302 Found", &format!("location: {there}/keys\r\n"), "")]).await;
        let reply = Http::default().send(Request::get(&address, "")).await.expect("a reply");
        assert_eq!((reply.status, reply.body.as_ref()), (200, b"keys".as_slice()));
    }

    #[tokio::test]
    async fn a_large_answer_is_refused() {
        let (address, _serving) = responder(vec![answer("200 OK", "", &"x".repeat(MAX_REPLY + 1))]).await;
        let error = Http::default().send(Request::get(&address, "")).await.expect_err("too large");
        assert!(error.to_string().contains("larger than"), "{error}");
    }

    #[tokio::test]
    async fn other_schemes_and_broken_authorities_are_refused() {
        for (url, ca_pem) in [("file:///etc/passwd", ""), ("ftp://x/", ""), ("https://127.0.0.1:9/", "no PEM")] {
            assert!(Http::default().send(Request::get(url, ca_pem)).await.is_err(), "{url}");
        }
    }
}
