//! Failures as AWS's clients read them. The one place where they get their form: JSON for Secrets Manager, XML for STS.

use std::fmt;

use axum::body::Body;
use hyper::{Response, StatusCode, header};
use keyturn_core::door::Refusal;
use keyturn_protocol::aws::STS_NAMESPACE;
use serde_json::json;

use super::{AwsService, sts::xml};
use crate::limits::BodyError;

/// An answer that says what was wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A client's error: 400 whatever it is, as with AWS's JSON services.
    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Our fault: the details go to the server's log, under the request's id.
    pub(crate) fn internal(error: &dyn fmt::Display, request_id: &str) -> Self {
        tracing::error!(%error, request_id, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceError",
            "An error occurred on the server side; see the server's log.",
        )
    }

    pub(super) fn unread(error: &BodyError) -> Self {
        Self::new(error.status(), "RequestNotReadException", error.to_string())
    }

    /// What it says, for the audit log.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }

    /// The name of the error.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// What it says to the client.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the server is at fault.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Self {
        Self { status: self.status, code: self.code, message: self.message.clone() }
    }

    pub(crate) fn into_response(self, service: AwsService, request_id: &str) -> Response<Body> {
        match service {
            AwsService::SecretsManager => {
                // Clients take either case of `message`; modelled errors have the one, all others the other.
                let body = json!({ "__type": self.code, "message": self.message, "Message": self.message });
                respond(self.status, JSON, request_id, Body::from(body.to_string()))
            }
            AwsService::Sts => respond(self.status, xml::TYPE, request_id, Body::from(self.xml(request_id))),
        }
    }

    fn xml(&self, request_id: &str) -> String {
        let side = if self.status.is_server_error() { "Receiver" } else { "Sender" };
        format!(
            "<ErrorResponse xmlns=\"{STS_NAMESPACE}\"><Error><Type>{side}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            self.code,
            xml::escaped(&self.message)
        )
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied | Refusal::NotWrapping | Refusal::NoRoute(_) => {
                Self::client("AccessDeniedException", "No policy of this access key allows the operation.")
            }
            Refusal::NotAudited | Refusal::Store(_) => Self::internal(&refusal, ""),
        }
    }
}

/// The type of the JSON protocol.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";

/// An answer with the headers that every answer has.
pub(crate) fn respond(status: StatusCode, kind: &'static str, request_id: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Ok(id) = header::HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
