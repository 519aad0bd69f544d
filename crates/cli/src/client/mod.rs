//! The blocking HTTP client of the Vault API.
//!
//! Every request carries `X-Vault-Request: true`; lists are `GET ?list=true`; patches are JSON merge patches. Redirects
//! are not followed, proxies are not used for loopback addresses, and answers are bounded.

mod address;
mod aws;
mod error;
mod identity;
mod tls;

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use keyturn_core::secret::{SecretBytes, SecretString};
use keyturn_protocol::vault::{Envelope, Errors};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{HeaderValue, Method, Request, StatusCode, request::Builder};

pub(crate) use address::{Address, AddressError, is_loopback};
use error::Refusal;
pub(crate) use error::{ClientError, MOUNT_QUESTION};
pub(crate) use identity::Identity;
pub(crate) use tls::{TlsError, Trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the whole exchange; a server's own bound on a request is 90 s, of which a client need not see the end.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read: the API's largest request is 32 MiB, and a list may exceed what was ever written.
const MAX_ANSWER: u64 = 64 << 20;

/// A server, and the token to act with.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    address: Address,
    token: Option<SecretString>,
    wrap_ttl: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    address: &'a Address,
    method: Method,
    path: String,
    with_token: bool,
    status: StatusCode,
    body: SecretBytes,
}

impl Client {
    /// A client of the server at `address`; nothing is sent yet.
    pub(crate) fn new(
        address: Address,
        trust: &Trust,
        identity: Option<&Identity>,
        token: Option<SecretString>,
    ) -> Result<Self, TlsError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(EXCHANGE_TIMEOUT))
            .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")));
        if address.is_loopback() {
            config = config.proxy(None);
        }
        if address.is_tls() {
            config = config.tls_config(trust.config(identity)?);
        }
        Ok(Self { agent: config.build().new_agent(), address, token, wrap_ttl: None })
    }

    /// Whether the token would travel in clear text to another machine.
    pub(crate) fn exposes_token(&self) -> bool {
        self.token.is_some() && !self.address.is_tls() && !self.address.is_loopback()
    }

    /// The same server, asked with another token.
    pub(crate) fn with_token(&self, token: SecretString) -> Self {
        Self { agent: self.agent.clone(), address: self.address.clone(), token: Some(token), wrap_ttl: None }
    }

    /// The same server and token; answers are to be wrapped for this long.
    pub(crate) fn wrapping(self, ttl: String) -> Self {
        Self { wrap_ttl: Some(ttl), ..self }
    }

    /// `GET`; refusals are errors.
    pub(crate) fn get(&self, path: &str) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::GET, path, &[], None)?.accepted()
    }

    /// `GET` with query parameters; a refusal is the caller's to judge.
    pub(crate) fn get_any(&self, path: &str, query: &[(&str, String)]) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::GET, path, query, None)
    }

    /// The names directly below a path.
    pub(crate) fn list(&self, path: &str) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::GET, path, &[("list", "true".to_owned())], None)?.accepted()
    }

    /// `DELETE`; refusals are errors.
    pub(crate) fn delete(&self, path: &str) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::DELETE, path, &[], None)?.accepted()
    }

    /// `GET` with query parameters; refusals are errors.
    pub(crate) fn get_with(&self, path: &str, query: &[(&str, String)]) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::GET, path, query, None)?.accepted()
    }

    /// `DELETE` with query parameters; refusals are errors.
    pub(crate) fn delete_with(&self, path: &str, query: &[(&str, String)]) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::DELETE, path, query, None)?.accepted()
    }

    /// `POST` of a JSON body; refusals are errors.
    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::POST, path, &[], Some(self.encode(body)?))?.accepted()
    }

    /// `PUT` of a JSON body; refusals are errors.
    pub(crate) fn put(&self, path: &str, body: &impl Serialize) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::PUT, path, &[], Some(self.encode(body)?))?.accepted()
    }

    /// `PATCH` of a JSON merge patch (RFC 7396); refusals are errors.
    pub(crate) fn patch(&self, path: &str, body: &impl Serialize) -> Result<Reply<'_>, ClientError> {
        self.exchange(Method::PATCH, path, &[], Some(self.encode(body)?))?.accepted()
    }

    /// `GET` of what is no JSON, as it comes; for as long as it takes. Refusals are errors.
    pub(crate) fn download(&self, path: &str) -> Result<impl Read + use<>, ClientError> {
        let request = self.request(&Method::GET, path, &[]).and_then(|request| Ok(request.body(())?));
        let request = request.map_err(|error| self.failed(error))?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let answer = self.agent.run(request).map_err(|error| self.failed(error))?;
        if answer.status().is_success() {
            return Ok(answer.into_body().into_with_config().limit(u64::MAX).reader());
        }
        self.reply(Method::GET, path, answer)?.accepted()?;
        Err(ClientError::Transport { address: self.address.clone(), reason: "the answer is no file".to_owned() })
    }

    /// `POST` of a file that is no JSON, for as long as it takes; refusals are errors.
    pub(crate) fn upload(&self, path: &str, file: &File) -> Result<Reply<'_>, ClientError> {
        let request = self
            .request(&Method::POST, path, &[])
            .and_then(|request| Ok(request.header("Content-Type", "application/octet-stream").body(file)?));
        let request = request.map_err(|error| self.failed(error))?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let answer = self.agent.run(request).map_err(|error| self.failed(error))?;
        self.reply(Method::POST, path, answer)?.accepted()
    }

    fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<SecretBytes>,
    ) -> Result<Reply<'_>, ClientError> {
        let answer = self.send(&method, path, query, body).map_err(|error| self.failed(error))?;
        self.reply(method, path, answer)
    }

    fn reply(
        &self,
        method: Method,
        path: &str,
        mut answer: ureq::http::Response<ureq::Body>,
    ) -> Result<Reply<'_>, ClientError> {
        let status = answer.status();
        if status.is_redirection() {
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.unwrap_or("another server").to_owned();
            return Err(ClientError::Redirected { address: self.address.clone(), location });
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = SecretBytes::new(body.map_err(|error| self.failed(error))?);
        let with_token = self.token.is_some();
        Ok(Reply { address: &self.address, method, path: path.to_owned(), with_token, status, body })
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<SecretBytes>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = self.request(method, path, query)?;
        let Some(body) = body else { return self.agent.run(request.body(())?) };
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        self.agent.run(request.header("Content-Type", kind).body(body.expose_secret())?)
    }

    fn request(&self, method: &Method, path: &str, query: &[(&str, String)]) -> Result<Builder, ureq::Error> {
        let mut request =
            Request::builder().method(method).uri(self.address.url(path, query)).header("X-Vault-Request", "true");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(ureq::http::Error::from)?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(ttl) = &self.wrap_ttl {
            request = request.header("X-Vault-Wrap-TTL", ttl);
        }
        Ok(request)
    }

    fn failed(&self, error: ureq::Error) -> ClientError {
        ClientError::from_transport(error, &self.address)
    }

    /// The body in memory of exactly its size: a buffer that grows leaves copies behind, unwiped.
    fn encode(&self, body: &impl Serialize) -> Result<SecretBytes, ClientError> {
        let encode = || {
            let mut size = Counter(0);
            serde_json::to_writer(&mut size, body)?;
            let mut bytes = Vec::with_capacity(size.0);
            serde_json::to_writer(&mut bytes, body)?;
            Ok(SecretBytes::new(bytes))
        };
        encode().map_err(|error: serde_json::Error| ClientError::Transport {
            address: self.address.clone(),
            reason: format!("the request cannot be written as JSON: {error}"),
        })
    }
}

impl<'a> Reply<'a> {
    /// The answer if it is a success, the server's reasons if not.
    pub(crate) fn accepted(self) -> Result<Self, ClientError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// The answer as a refusal, whatever its status.
    pub(crate) fn refusal(self) -> ClientError {
        let errors = serde_json::from_slice::<Errors>(self.body.expose_secret()).map(|body| body.errors);
        ClientError::Status(Box::new(Refusal {
            method: self.method,
            path: self.path,
            with_token: self.with_token,
            status: self.status,
            errors: errors.unwrap_or_default(),
        }))
    }

    /// Whether it is a success.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Whether there is a body at all; a 204 has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The body, read as `T`.
    pub(crate) fn json<'b, T: Deserialize<'b>>(&'b self) -> Result<T, ClientError> {
        serde_json::from_slice(self.body.expose_secret()).map_err(|error| self.unexpected(error.line(), error.column()))
    }

    /// What the envelope carries.
    pub(crate) fn data<'b, T: Deserialize<'b>>(&'b self) -> Result<T, ClientError> {
        self.json::<Envelope<T>>()?.data.ok_or_else(|| self.unexpected(1, 1))
    }

    fn unexpected(&self, line: usize, column: usize) -> ClientError {
        let (method, path) = (self.method.clone(), self.path.clone());
        ClientError::Unexpected { address: self.address.clone(), method, path, line, column }
    }
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
