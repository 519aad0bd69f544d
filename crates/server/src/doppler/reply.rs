//! Answers: JSON for nearly everything, text for downloads.

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use keyturn_core::secret::SecretBytes;
use serde::Serialize;

use crate::listener::Endless;

/// JSON's type, as clients look for it.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: SecretBytes,
    /// What the audit log records in place of a body that is no JSON object.
    audited: Option<SecretBytes>,
    headers: HeaderMap,
    /// A body that goes on until it is ended, in place of `body`.
    stream: Option<Body>,
}

impl Reply {
    /// JSON from a shape that holds no secret.
    pub(crate) fn json(status: StatusCode, shape: &impl Serialize) -> Self {
        // Our own shapes have string keys and nothing else that JSON could not hold.
        let text = serde_json::to_vec(shape).unwrap_or_default();
        Self::secret_json(status, SecretBytes::new(text))
    }

    /// The text of a JSON object, any value of which may be a secret.
    pub(crate) fn secret_json(status: StatusCode, text: SecretBytes) -> Self {
        Self { status, kind: JSON, body: text, audited: None, headers: HeaderMap::new(), stream: None }
    }

    /// JSON, all well.
    pub(crate) fn ok(shape: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, shape)
    }

    /// All well, and nothing to say.
    pub(crate) fn nothing() -> Self {
        Self::text(StatusCode::NO_CONTENT, "", SecretBytes::default(), SecretBytes::new(b"{}".to_vec()))
    }

    /// Text; `audited` is the JSON object that the audit log records of it.
    pub(crate) fn text(status: StatusCode, kind: &'static str, body: SecretBytes, audited: SecretBytes) -> Self {
        Self { status, kind, body, audited: Some(audited), headers: HeaderMap::new(), stream: None }
    }

    /// An answer that goes on until it is ended. Nothing of it is recorded but that it began.
    pub(crate) fn stream(kind: &'static str, body: Body) -> Self {
        let begun = Self::text(StatusCode::OK, kind, SecretBytes::default(), SecretBytes::new(b"{}".to_vec()));
        Self { stream: Some(body), ..begun }
    }

    /// The same, with a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// What the audit log records.
    pub(super) fn audited(&self) -> &SecretBytes {
        self.audited.as_ref().unwrap_or(&self.body)
    }

    pub(super) fn into_response(self, request_id: &str) -> Response<Body> {
        let endless = self.stream.is_some();
        let body = match self.stream {
            Some(stream) => stream,
            None if self.body.is_empty() => Body::empty(),
            None => Body::from(Bytes::from_owner(self.body)),
        };
        let mut response = Response::new(body);
        if endless {
            response.extensions_mut().insert(Endless);
        }
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        *headers = self.headers;
        if !self.kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        response
    }
}
