//! What goes wrong between here and the server, in words that say what to do next.

use std::fmt;
use std::io;

use ureq::http::{Method, StatusCode};

use super::Address;
use crate::exit::Exit;

/// Where the server is asked which mount serves a path; a user does not know that route.
pub(crate) const MOUNT_QUESTION: &str = "sys/internal/ui/mounts/";

/// A failed exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing listens there.
    #[error(
        "no server listens at {address}: start one with `keyturn dev`, or name the right one by --address or KEYTURN_ADDR"
    )]
    Refused { address: Address },
    /// The name does not resolve.
    #[error("the host of {address} is unknown: check the spelling in --address or KEYTURN_ADDR")]
    UnknownHost { address: Address },
    /// No answer in time.
    #[error("{address} gave no answer in time ({phase}): check the address and the network, then try again")]
    Timeout { address: Address, phase: String },
    /// The certificate or the handshake.
    #[error("no secure connection to {address}: {reason}\n  {}", tls_hint(reason))]
    Tls { address: Address, reason: String },
    /// Any other failure below HTTP.
    #[error("talking to {address} failed: {reason}")]
    Transport { address: Address, reason: String },
    /// A redirect; following it would hand the token to whoever it names.
    #[error("{address} refers to {location}: if you trust that server, name it by --address or KEYTURN_ADDR")]
    Redirected { address: Address, location: String },
    /// The answer is no JSON of the expected shape. The position only: the parser's message may quote a secret.
    #[error(
        "the answer of {address} to {method} {path} is not what a Keyturn or Vault server says (line {line}, column \
         {column}): check the address"
    )]
    Unexpected { address: Address, method: Method, path: String, line: usize, column: usize },
    /// A refusal.
    #[error(transparent)]
    Status(#[from] Box<Refusal>),
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Refusal {
    /// The request.
    pub(super) method: Method,
    pub(super) path: String,
    /// Whether a token went with it.
    pub(super) with_token: bool,
    /// The answer.
    pub(super) status: StatusCode,
    pub(super) errors: Vec<String>,
}

impl Refusal {
    fn is_sealed(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.errors.iter().any(|error| error.contains("sealed"))
    }

    fn is_denied(&self) -> bool {
        matches!(self.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)
    }

    /// What to try next, if that is known.
    fn hint(&self) -> Option<String> {
        if self.is_sealed() {
            Some("unseal it with `keyturn operator unseal`, or see `keyturn operator status`".to_owned())
        } else if self.is_denied() && !self.with_token {
            Some("no token was sent: run `keyturn login`, or set KEYTURN_TOKEN".to_owned())
        } else if self.is_denied() && self.path.starts_with(MOUNT_QUESTION) {
            Some("there is no such mount, or the token may see nothing below it: see `keyturn mount list`".to_owned())
        } else if self.is_denied() {
            Some(format!(
                "the token is not valid, or its policies do not allow this: see `keyturn token lookup` and \
                 `keyturn token capabilities {}`",
                self.path
            ))
        } else if self.status == StatusCode::NOT_FOUND && self.errors.is_empty() {
            Some("there is nothing at that path".to_owned())
        } else {
            None
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {} to {} {}", self.status.as_u16(), self.method, self.path)?;
        for error in &self.errors {
            write!(f, "\n  {}", error.trim())?;
        }
        match self.hint() {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl ClientError {
    /// Whether the server said 404.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(refusal) if refusal.status == StatusCode::NOT_FOUND)
    }

    /// Whether the server understood and said no, as it does to a wrong password.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(refusal) if refusal.status.is_client_error())
    }

    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Status(refusal) if refusal.is_sealed() => Exit::Sealed,
            Self::Status(refusal) if refusal.is_denied() => Exit::Denied,
            Self::Status(_) if self.is_not_found() => Exit::NotFound,
            Self::Status(_) => Exit::Failed,
            _ => Exit::Unreachable,
        }
    }

    /// Sorts a transport's error by what the user can do about it.
    pub(super) fn from_transport(error: ureq::Error, address: &Address) -> Self {
        let address = address.clone();
        match error {
            ureq::Error::HostNotFound => Self::UnknownHost { address },
            ureq::Error::Timeout(phase) => Self::Timeout { address, phase: phase.to_string() },
            ureq::Error::Rustls(error) => Self::Tls { address, reason: error.to_string() },
            ureq::Error::Tls(reason) => Self::Tls { address, reason: reason.to_owned() },
            ureq::Error::Io(error) => Self::from_io(&error, address),
            other => Self::Transport { address, reason: other.to_string() },
        }
    }

    fn from_io(error: &io::Error, address: Address) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            return Self::Tls { address, reason: error.to_string() };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { address },
            // The standard library has no kind for it; the words are its own.
            _ if error.to_string().contains("failed to lookup address") => Self::UnknownHost { address },
            // What a server that expects plain HTTP does with a TLS greeting, if it does not answer in plain text.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset if address.is_tls() => {
                Self::Tls { address, reason: "the server hung up".to_owned() }
            }
            io::ErrorKind::TimedOut => Self::Timeout { address, phase: "network".to_owned() },
            _ => Self::Transport { address, reason: error.to_string() },
        }
    }
}

fn tls_hint(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") {
        "its certificate comes from an authority that is not trusted here: name the authority's PEM file by --ca-cert or KEYTURN_CACERT"
    } else if reason.contains("NotValidForName") {
        "its certificate is for another name: use that name in --address"
    } else if reason.contains("Expired") {
        "its certificate has expired: renew it on the server"
    } else if reason.contains("InvalidContentType") || reason.contains("corrupt message") || reason.contains("hung up")
    {
        "the server may speak plain HTTP: then use http:// in --address, on loopback only"
    } else {
        "check the server's certificate, --ca-cert and the address"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_errors_are_sorted_by_what_can_be_done() {
        let address = Address::parse("https://a.example").unwrap();
        let told = |error: io::Error| ClientError::from_transport(ureq::Error::Io(error), &address).to_string();
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert!(told(lookup).contains("spelling"));
        assert!(told(io::ErrorKind::ConnectionRefused.into()).contains("keyturn dev"));
        assert!(told(io::ErrorKind::TimedOut.into()).contains("in time"));
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(told(io::Error::new(io::ErrorKind::InvalidData, tls)).contains("--ca-cert"));
        let tls = ureq::Error::Rustls(rustls::Error::InvalidCertificate(rustls::CertificateError::Expired));
        assert!(ClientError::from_transport(tls, &address).to_string().contains("renew it"));
    }

    #[test]
    fn only_a_sealed_503_counts_as_sealed() {
        let refused = |status, error: &str| {
            let errors = vec![error.to_owned()];
            let (method, path) = (Method::GET, "x".to_owned());
            ClientError::from(Box::new(Refusal { method, path, with_token: true, status, errors })).exit()
        };
        assert_eq!(refused(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"), Exit::Sealed);
        assert_eq!(refused(StatusCode::SERVICE_UNAVAILABLE, "busy"), Exit::Failed);
        assert_eq!(refused(StatusCode::BAD_REQUEST, "sealed"), Exit::Failed);
        assert_eq!(refused(StatusCode::UNAUTHORIZED, ""), Exit::Denied);
    }
}
