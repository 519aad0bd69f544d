//! All protocols on one listener: which of them a request speaks is seen from its path and its headers.
//!
//! ```text
//! /v1/…                                                       Vault
//! /v3/…                                                       Doppler, unless it is signed for AWS
//! POST / , GET /?Action=… , X-Amz-Target , a SigV4 signature   AWS
//! /metrics                                                    Vault's `sys/metrics`, in the format of Prometheus
//! anything else                                               Vault, which says what there is
//! ```

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use hyper::{Method, Request, Response, Uri, header};
use keyturn_core::{node::Node, storage::BoxFuture};
use tower_service::Service;

use crate::{
    aws::{self, AwsSettings},
    doppler::{self, DopplerSettings},
    limits::Limits,
    vault,
};

/// An answer on its way.
pub(crate) type Answering = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// The protocols of one node, as a service for the listener. Cloning it is cheap.
#[derive(Clone)]
pub struct Api {
    vault: vault::Api,
    aws: aws::Api,
    doppler: doppler::Api,
}

/// What the protocols are told where the server is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiSettings {
    /// The AWS APIs.
    pub aws: AwsSettings,
    /// The Doppler API.
    pub doppler: DopplerSettings,
}

impl Api {
    /// The protocols of one node, one of which is made already.
    #[must_use]
    pub fn new(vault: vault::Api, node: Arc<Node>, limits: Limits, settings: ApiSettings) -> Self {
        let doppler = doppler::Api::new(Arc::clone(&node), limits.clone(), settings.doppler);
        let aws = aws::Api::new(node, limits, settings.aws);
        vault.tell_of(aws.requests());
        Self { vault, aws, doppler }
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() == METRICS {
            self.vault.call(for_prometheus(request))
        } else if is_aws(&request) {
            self.aws.call(request)
        } else if request.uri().path().starts_with("/v3/") {
            self.doppler.call(request)
        } else {
            self.vault.call(request)
        }
    }
}

/// Where Prometheus looks.
const METRICS: &str = "/metrics";

/// The same request as the Vault API has it. Who asks, and whether they may, is seen to there.
fn for_prometheus<B>(mut request: Request<B>) -> Request<B> {
    *request.uri_mut() = Uri::from_static("/v1/sys/metrics?format=prometheus");
    request
}

fn is_aws<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    if path.starts_with("/v1/") {
        return false;
    }
    let query = request.uri().query().unwrap_or_default();
    let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let signed = |value: &header::HeaderValue| value.as_bytes().starts_with(b"AWS4-");
    path == "/" && (request.method() == Method::POST || asks("Action"))
        || request.headers().contains_key("x-amz-target")
        || request.headers().get(header::AUTHORIZATION).is_some_and(signed)
        || asks("X-Amz-Algorithm")
        || asks("X-Amz-Signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aws_request(method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_aws(&request.body(()).expect("a request"))
    }

    #[test]
    fn a_request_is_taken_for_what_it_speaks() {
        let signature = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
        for (method, uri, headers) in [
            ("POST", "/", &[][..]),
            ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", &[]),
            ("GET", "/elsewhere", &signature),
            ("POST", "/elsewhere", &[("x-amz-target", "secretsmanager.GetSecretValue")]),
            ("GET", "/?X-Amz-Signature=00", &[]),
        ] {
            assert!(is_aws_request(method, uri, headers), "{method} {uri}");
        }
        for (method, uri, headers) in [
            ("GET", "/v1/sys/health", &[][..]),
            ("POST", "/v1/secret/data/a", &signature),
            ("GET", "/v1/secret/data/a?X-Amz-Signature=00", &[]),
            ("GET", "/", &[]),
            ("GET", "/elsewhere?Action=x", &[]),
        ] {
            assert!(!is_aws_request(method, uri, headers), "{method} {uri}");
        }
    }
}
