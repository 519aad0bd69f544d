//! Requests that a browser makes for a page of another origin: answered only if `sys/config/cors` allows the origin.
//!
//! Without the `Origin` header, which browsers send and other clients do not, none of this costs anything. An origin is
//! told back only after it was found to be allowed, and as the header value that it came as.

use axum::body::Body;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
    },
};
use keyturn_core::{node::Node, settings::Cors};

use super::error::Failure;

const METHODS: [&str; 7] = ["DELETE", "GET", "OPTIONS", "POST", "PUT", "LIST", "PATCH"];
const METHODS_TEXT: &str = "DELETE,GET,OPTIONS,POST,PUT,LIST,PATCH";

/// How long a browser may remember what a preflight said, in seconds; as with Vault.
const MAX_AGE: &str = "300";

/// What becomes of a request, as far as its origin goes.
pub(super) enum Crossing {
    /// It is no business of ours: no origin is named, or none is looked at.
    None,
    /// It goes on; its answer is to say that this origin may read it.
    Allowed(HeaderValue),
    /// It ends here: a preflight, or an origin that is not allowed.
    Answered(Box<Response<Body>>),
}

/// Looks at a request's origin.
pub(super) fn check(node: &Node, request: &Request<Body>) -> Crossing {
    let Some(origin) = request.headers().get(ORIGIN) else { return Crossing::None };
    let Some(cors) = node.core().ok().and_then(|core| core.settings().cors()) else { return Crossing::None };
    if !origin.to_str().is_ok_and(|text| cors.allows(text)) {
        let mut refused = Failure::new(StatusCode::FORBIDDEN, "origin not allowed").into_response();
        refused.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
        return Crossing::Answered(Box::new(refused));
    }
    if request.method() == Method::OPTIONS {
        return Crossing::Answered(Box::new(preflight(&cors, request.headers(), origin)));
    }
    Crossing::Allowed(origin.clone())
}

/// Answers what a browser asks before it makes the request itself.
fn preflight(cors: &Cors, asked: &HeaderMap, origin: &HeaderValue) -> Response<Body> {
    let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
    if !method.is_some_and(|method| METHODS.contains(&method)) {
        return Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not offered to other origins")
            .into_response();
    }
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS_TEXT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    // Each name was checked when it was set.
    if let Ok(names) = HeaderValue::from_str(&cors.headers().join(",")) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    allow(headers, origin.clone());
    answer
}

/// Lets a page of this origin read an answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}
