//! Failures as Doppler's clients read them: `{"messages": […], "success": false}`. The command line takes 401, 403 and
//! 404 as final and removes what it kept for bad times; anything else lets it fall back to that.

use std::fmt;

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};
use keyturn_core::{
    StoreError,
    door::Refusal,
    kv::{KvError, SecretError},
    project::ProjectError,
    rotation::RotationError,
    token::TokenError,
};
use keyturn_protocol::doppler::ErrorShape;

use super::reply::Reply;
use crate::limits::BodyError;

/// An answer that says what was wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    messages: Vec<String>,
    /// Few have any, and a failure is small.
    headers: Option<Box<HeaderMap>>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, messages: vec![message.into()], headers: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Nobody, or somebody whose token is not good.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid Auth token")
    }

    /// Our fault: the details go to the server's log, under the request's id.
    pub(crate) fn internal(error: &dyn fmt::Display, request_id: &str) -> Self {
        tracing::error!(%error, request_id, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the server's log")
    }

    pub(super) fn unread(error: &BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the door, or a rule, said no.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// What it says, for the audit log.
    pub(crate) fn text(&self) -> String {
        self.messages.join("; ")
    }

    /// The same, with a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    pub(super) fn into_reply(self) -> Reply {
        let reply = Reply::json(self.status, &ErrorShape { messages: &self.messages, success: false });
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        headers.fold(reply, |reply, (name, value)| reply.with(name.clone(), value.clone()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(&error, "")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied | Refusal::NotWrapping => {
                Self::forbidden("This token does not have access to the requested resource")
            }
            Refusal::NoRoute(_) => Self::not_found("nothing is mounted where the secrets of this API should be"),
            Refusal::NotAudited => Self::internal(&refusal, ""),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Store(error) => error.into(),
            ProjectError::NotFound { .. } => Self::not_found(error.to_string()),
            ProjectError::Exists { .. } => Self::conflict(error.to_string()),
            ProjectError::Denied => Self::from(Refusal::Denied),
            ProjectError::Invalid(_) | ProjectError::Locked(_) | ProjectError::NoPlace => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Store(error) => error.into(),
            KvError::NotFound => Self::not_found("Could not find the requested secret"),
            KvError::Denied => Self::from(Refusal::Denied),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Kv(error) => error.into(),
            SecretError::NotFound => Self::not_found("Could not find the requested secret"),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<RotationError> for Failure {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Store(error) => error.into(),
            RotationError::NotFound => Self::not_found("Could not find the requested rotated secret"),
            RotationError::UnderWay(_) => Self::conflict(error.to_string()),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => error.into(),
            TokenError::BadToken => Self::unauthenticated(),
            TokenError::NotFound(text) => Self::not_found(text),
            TokenError::Invalid(text) => Self::bad_request(text),
        }
    }
}
