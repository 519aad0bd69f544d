//! A service that speaks like AWS Secrets Manager: the source of an import, and its target.

use std::thread;
use std::time::Duration;

use keyturn_core::secret::{SecretBytes, SecretString};
use keyturn_protocol::aws::secretsmanager::{Operation, TARGET_PREFIX};
use keyturn_protocol::aws::sigv4::Signer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::StatusCode;

use crate::client::{Client, ClientError};
use crate::exit::Exit;

/// Tries of one request in all, when the service says that it is asked too often or cannot answer.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Codes that say that no further request has a chance.
const HOPELESS: [&str; 6] = [
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestNotReadException",
    "UnrecognizedClientException",
];

/// A service, and who asks it.
pub(super) struct Service {
    /// What it is called in errors.
    pub(super) role: &'static str,
    pub(super) client: Client,
    pub(super) signer: Signer,
}

/// A secret's value, to be sent on.
pub(super) struct Payload<'a> {
    /// `SecretString` or `SecretBinary`.
    pub(super) member: &'static str,
    /// The text, of bytes in base64.
    pub(super) text: &'a SecretString,
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// Below the protocol.
    #[error("the {role}: {source}")]
    Client {
        /// Source or target.
        role: &'static str,
        /// What happened.
        source: ClientError,
    },
    /// The service said no.
    #[error("the {role} refuses {operation}: {code}: {message}")]
    Refused {
        /// Source or target.
        role: &'static str,
        /// The operation.
        operation: &'static str,
        /// The error's name.
        code: String,
        /// What the service says of it.
        message: String,
    },
    /// An answer of another shape; its text may hold a secret.
    #[error("the {role} answers {operation} in a way that Secrets Manager does not: check the endpoint")]
    Unexpected {
        /// Source or target.
        role: &'static str,
        /// The operation.
        operation: &'static str,
    },
}

impl ServiceError {
    /// Whether the service answered with this code.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// Whether it is useless to go on with other secrets.
    pub(super) fn is_hopeless(&self) -> bool {
        match self {
            Self::Client { .. } => true,
            Self::Refused { code, .. } => HOPELESS.contains(&code.as_str()),
            Self::Unexpected { .. } => false,
        }
    }

    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client { source, .. } => source.exit(),
            Self::Refused { code, .. } if code == "AccessDeniedException" || HOPELESS.contains(&code.as_str()) => {
                Exit::Denied
            }
            Self::Refused { .. } | Self::Unexpected { .. } => Exit::Failed,
        }
    }
}

/// An error as JSON services tell it: the spelling of `message` differs among them, and some have both.
#[derive(Deserialize)]
struct ErrorShape {
    #[serde(rename = "__type", default)]
    kind: String,
    message: Option<String>,
    #[serde(rename = "Message")]
    modelled: Option<String>,
}

impl Service {
    /// An operation whose answer holds no secret, or keeps it in a type that does.
    pub(super) fn call<T: DeserializeOwned>(&self, operation: Operation, fields: &Value) -> Result<T, ServiceError> {
        self.read(operation, &self.send(operation, &SecretBytes::new(fields.to_string().into_bytes()))?)
    }

    /// An operation that changes something, whose answer does not matter.
    pub(super) fn change(&self, operation: Operation, fields: &Value) -> Result<(), ServiceError> {
        self.send(operation, &SecretBytes::new(fields.to_string().into_bytes())).map(drop)
    }

    /// An operation that writes a value.
    pub(super) fn write(&self, operation: Operation, fields: &Value, value: &Payload<'_>) -> Result<(), ServiceError> {
        self.send(operation, &with_value(fields, value)).map(drop)
    }

    fn read<T: DeserializeOwned>(&self, operation: Operation, body: &SecretBytes) -> Result<T, ServiceError> {
        serde_json::from_slice(body.expose_secret())
            .map_err(|_| ServiceError::Unexpected { role: self.role, operation: operation.name() })
    }

    fn send(&self, operation: Operation, body: &SecretBytes) -> Result<SecretBytes, ServiceError> {
        let target = format!("{TARGET_PREFIX}{}", operation.name());
        let mut pause = FIRST_PAUSE;
        let mut left = TRIES;
        loop {
            let answer = self.client.post_signed(&self.signer, &target, body);
            let (status, text) = answer.map_err(|source| ServiceError::Client { role: self.role, source })?;
            if status.is_success() {
                return Ok(text);
            }
            let error = self.refused(operation, status, &text);
            left -= 1;
            if left == 0 || !is_passing(status, &error) {
                return Err(error);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn refused(&self, operation: Operation, status: StatusCode, text: &SecretBytes) -> ServiceError {
        let (role, operation) = (self.role, operation.name());
        // Only what has the form of an error is told: anything else may be a value.
        match serde_json::from_slice::<ErrorShape>(text.expose_secret()) {
            Ok(ErrorShape { kind, message, modelled }) if !kind.is_empty() => {
                let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
                ServiceError::Refused { role, operation, code, message: modelled.or(message).unwrap_or_default() }
            }
            _ => ServiceError::Refused { role, operation, code: status.to_string(), message: String::new() },
        }
    }
}

/// Whether the same request may succeed a little later.
fn is_passing(status: StatusCode, error: &ServiceError) -> bool {
    let throttled = ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"];
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() || throttled.iter().any(|code| error.is(code))
}

/// An object's text with a value added, in memory that does not grow and leave copies behind.
fn with_value(fields: &Value, value: &Payload<'_>) -> SecretBytes {
    let fields = fields.to_string();
    // Escaping makes at most six bytes of one.
    let mut body = SecretBytes::new(Vec::with_capacity(fields.len() + value.text.len() * 6 + 32));
    let out = body.expose_secret_mut();
    out.extend_from_slice(fields.trim_end_matches('}').as_bytes());
    out.extend_from_slice(format!(",\"{}\":", value.member).as_bytes());
    // Writing text to memory cannot fail.
    _ = serde_json::to_writer(&mut *out, value.text.expose_secret());
    out.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_added_to_what_is_sent() {
        let text = SecretString::from("a\"\n");
        let fields = json!({"SecretId": "x", "VersionStages": ["AWSCURRENT"]});
        let body = with_value(&fields, &Payload { member: "SecretString", text: &text });
        let read: Value = serde_json::from_slice(body.expose_secret()).unwrap();
        assert_eq!(read, json!({"SecretId": "x", "VersionStages": ["AWSCURRENT"], "SecretString": "a\"\n"}));
    }

    #[test]
    fn what_passes_is_known() {
        let refused = |code: &str| ServiceError::Refused {
            role: "source",
            operation: "ListSecrets",
            code: code.to_owned(),
            message: String::new(),
        };
        assert!(is_passing(StatusCode::BAD_REQUEST, &refused("ThrottlingException")));
        assert!(is_passing(StatusCode::SERVICE_UNAVAILABLE, &refused("x")));
        assert!(!is_passing(StatusCode::BAD_REQUEST, &refused("ResourceNotFoundException")));
        assert!(refused("UnrecognizedClientException").is_hopeless() && !refused("x").is_hopeless());
    }
}
