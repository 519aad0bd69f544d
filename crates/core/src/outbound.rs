//! Requests to other systems: an identity provider's keys, its token endpoint, a Kubernetes API server.
//!
//! Core says what to ask and judges the answer; the implementation, beside the listeners in `keyturn-server`, bounds
//! time and size and speaks TLS.

use crate::{
    hook_command::{HookCommands, NoCommands},
    secret::{SecretBytes, SecretString},
    storage::BoxFuture,
};

/// The largest answer that is read, in bytes. Key sets of large providers have some 20 KiB.
pub const MAX_REPLY: usize = 512 * 1024;

/// How the caller proves who it is.
#[derive(Debug, Clone, Default)]
pub enum Credential {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic`: a name and a password, as they are sent.
    Basic(String, SecretString),
}

/// What is sent along.
#[derive(Debug, Clone)]
pub enum Body {
    /// `application/json`.
    Json(SecretBytes),
    /// `application/x-www-form-urlencoded`.
    Form(SecretBytes),
}

/// One request. Without a body a GET, otherwise a POST.
#[derive(Debug, Clone)]
pub struct Request {
    /// An absolute `https` or `http` URL.
    pub url: String,
    /// The certificates that the server's must lead back to, in PEM; empty: the system's.
    pub ca_pem: String,
    /// How the caller proves who it is.
    pub credential: Credential,
    /// Headers beside those that each request has.
    pub headers: Vec<(String, String)>,
    /// What is sent along.
    pub body: Option<Body>,
}

impl Request {
    /// A GET without a credential.
    #[must_use]
    pub fn get(url: &str, ca_pem: &str) -> Self {
        Self {
            url: url.to_owned(),
            ca_pem: ca_pem.to_owned(),
            credential: Credential::None,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`MAX_REPLY`] bytes.
    pub body: SecretBytes,
}

/// There is no answer: no connection, no trust in it, too slow, too large. The text holds nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutboundError(pub String);

/// What a pod is given by its cluster.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// The certificates of the cluster's API server, in PEM.
    pub ca_pem: String,
    /// The pod's own token.
    pub token: SecretString,
}

/// The way out.
pub trait Outbound: Send + Sync {
    /// Sends a request and waits for the answer, for a bounded time.
    ///
    /// # Errors
    /// When there is no answer.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>>;

    /// The service account of the pod that this process runs in; `None` outside of a cluster.
    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>>;

    /// The programs that rotations may run; none unless somebody configures them.
    fn commands(&self) -> &dyn HookCommands {
        &NoCommands
    }
}
