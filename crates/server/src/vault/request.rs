//! From an HTTP request to a checked path, operation and JSON object. Whatever is wrong with it is said here, before
//! anybody is asked about anything.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use axum::body::Body;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri, header};
use keyturn_core::{
    door::read_may_change,
    duration,
    identity::oidc::is_authority,
    mount::Engine,
    policy::Operation,
    secret::{SecretBytes, SecretString},
    token, wrapping,
};

use super::{error::Failure, json_check::check_json};
use crate::{
    limits::{Limits, read_body},
    listener::{ClientCertificates, Peer, Secure},
    request_id,
};

/// The longest path, in bytes, after decoding.
const MAX_PATH: usize = 2048;

/// Pairs in a query or a form at the most.
const MAX_PAIRS: usize = 1000;

/// A request that is well-formed.
pub(super) struct Parsed {
    pub(super) request_id: String,
    pub(super) method: Method,
    pub(super) operation: Operation,
    /// Below `/v1/`, decoded; a listing's path ends with a slash.
    pub(super) path: String,
    pub(super) token: Option<SecretString>,
    pub(super) remote: Option<SocketAddr>,
    /// What the client showed in the handshake.
    pub(super) certificates: Option<Arc<Vec<Vec<u8>>>>,
    /// The text of a JSON object, from the body or the query; empty: nothing was sent.
    pub(super) data: SecretBytes,
    /// A body that is no JSON, still to be read: that is done once its sender is known to be allowed to send it.
    pub(super) upload: Mutex<Option<Body>>,
    pub(super) wrap_ttl: Option<u64>,
    /// Whether the client wants OpenMetrics; looked at for the one path that has it.
    pub(super) wants_open_metrics: bool,
    headers: HeaderMap,
    engine: OnceLock<Engine>,
    /// The server's address as the request names it (`https://host:port`); empty where nobody asks for it.
    pub(super) origin: String,
}

impl Parsed {
    pub(super) async fn read(request: Request<Body>, limits: &Limits) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let query = parse_query(&parts.uri)?;
        let operation = operation_of(&parts.method, &query)?;
        check_namespace(&parts.headers)?;
        let path = canonical(decode_path(&parts.uri)?, operation);
        let writes = matches!(operation, Operation::Update | Operation::Patch);
        if writes && path.ends_with('/') {
            return Err(Failure::bad_request("cannot write to a path ending in '/'"));
        }
        check_patch_type(operation, &parts.headers)?;
        let mut upload = None;
        let data = if writes && is_upload(&path) {
            upload = Some(body);
            SecretBytes::default()
        } else if writes {
            let body =
                read_body(body, limits).await.map_err(|error| Failure::new(error.status(), error.to_string()))?;
            body_to_json(body, &parts.headers, limits)?
        } else {
            query_to_json(&query)
        };
        let wrap_ttl = wrap_ttl_of(&parts.headers)?;
        if wrap_ttl.is_some() && path.len() > token::MAX_ISSUER_PATH {
            return Err(Failure::bad_request("the path is too long for its answer to be wrapped"));
        }
        let wants_open_metrics = path == "sys/metrics" && accepts(&parts.headers, "application/openmetrics-text");
        let origin = if path.starts_with("identity/oidc/") { origin_of(&parts) } else { String::new() };
        let request_id = request_id::next().map_err(|error| Failure::internal(&error, ""))?;
        Ok(Self {
            request_id,
            method: parts.method,
            operation,
            path,
            token: token_of(&parts.headers)?,
            remote: parts.extensions.get::<Peer>().map(|peer| peer.0),
            certificates: parts.extensions.get::<ClientCertificates>().map(|shown| Arc::clone(&shown.0)),
            data,
            upload: Mutex::new(upload),
            wrap_ttl,
            wants_open_metrics,
            headers: parts.headers,
            engine: OnceLock::new(),
            origin,
        })
    }

    /// The values of a header, as far as they are text.
    pub(super) fn header(&self, name: &str) -> Vec<SecretString> {
        let text = |value: &header::HeaderValue| value.to_str().ok().map(SecretString::from);
        self.headers.get_all(name).iter().filter_map(text).collect()
    }

    /// Notes which engine serves the request, for those who count.
    pub(super) fn note_engine(&self, engine: Engine) {
        // It is noted once; a second time would say the same.
        _ = self.engine.set(engine);
    }

    /// The engine that served the request, if one did.
    pub(super) fn engine(&self) -> Option<Engine> {
        self.engine.get().copied()
    }

    /// Whether the request may change something, if only a counter.
    pub(super) fn changes_something(&self) -> bool {
        !matches!(self.operation, Operation::Read | Operation::List | Operation::Help)
            || self.wrap_ttl.is_some()
            || read_may_change(&self.path)
    }
}

/// Whether what is written to `path` is a file, not parameters.
fn is_upload(path: &str) -> bool {
    const UPLOADS: [&str; 4] = [
        "sys/storage/raft/snapshot",
        "sys/storage/raft/snapshot-force",
        "sys/storage/snapshot",
        "sys/storage/snapshot-force",
    ];
    UPLOADS.contains(&path)
}

/// What the client calls this server. What is no host is left out.
fn origin_of(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(parts.uri.authority().map(hyper::http::uri::Authority::as_str));
    let tls = parts.extensions.get::<Secure>().is_some();
    match host.filter(|host| is_authority(host)) {
        Some(host) => format!("{}://{host}", if tls { "https" } else { "http" }),
        None => String::new(),
    }
}

fn operation_of(method: &Method, query: &[(String, String)]) -> Result<Operation, Failure> {
    // The words that Go takes for true; hvac sends `True`.
    let is_true = |value: &str| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    let wants = |what: &str| query.iter().any(|(name, value)| name == what && is_true(value));
    match method.as_str() {
        "GET" if wants("help") => Ok(Operation::Help),
        "GET" if wants("list") => Ok(Operation::List),
        "GET" | "HEAD" => Ok(Operation::Read),
        "POST" | "PUT" => Ok(Operation::Update),
        "DELETE" => Ok(Operation::Delete),
        "LIST" => Ok(Operation::List),
        "PATCH" => Ok(Operation::Patch),
        _ => Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "unsupported method: use GET, LIST, POST, PUT, PATCH or DELETE",
        )),
    }
}

/// One spelling for one thing, so that a policy for it cannot be dodged by another: a listing's path ends with a slash,
/// no other path of the system's does, and policy names are in lower case.
fn canonical(mut path: String, operation: Operation) -> String {
    if operation == Operation::List {
        if !path.ends_with('/') {
            path.push('/');
        }
        return path;
    }
    if path.starts_with("sys/") && matches!(operation, Operation::Read | Operation::Delete) {
        path.truncate(path.trim_end_matches('/').len());
    }
    for area in ["sys/policies/acl/", "sys/policy/"] {
        if let Some(name) = path.strip_prefix(area) {
            return format!("{area}{}", name.trim().to_lowercase());
        }
    }
    path
}

/// There is one namespace, and a request for another must not be answered from it.
fn check_namespace(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("x-vault-namespace").map(|value| value.to_str().unwrap_or("?").trim_matches('/')) {
        None | Some("" | "root") => Ok(()),
        Some(_) => Err(Failure::bad_request("namespaces are not offered by this server: leave X-Vault-Namespace out")),
    }
}

/// The path below `/v1/`, decoded once.
fn decode_path(uri: &Uri) -> Result<String, Failure> {
    let elsewhere = || Failure::new(StatusCode::NOT_FOUND, "the Vault API is below /v1/");
    let raw = uri.path().strip_prefix("/v1/").ok_or_else(elsewhere)?;
    let path = percent_decode(raw, false)
        .ok_or_else(|| Failure::bad_request("the path has a broken escape or is not valid UTF-8"))?;
    if path.len() > MAX_PATH {
        return Err(Failure::bad_request("the path is longer than 2048 bytes"));
    }
    if path.chars().any(char::is_control) {
        return Err(Failure::bad_request("path contains unprintable characters"));
    }
    // A slash at the end is allowed; the split shows it as one empty segment more.
    match path.strip_suffix('/').unwrap_or(&path).split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        None => Ok(path),
        Some("") => Err(Failure::bad_request("path cannot contain an empty segment: two slashes in a row")),
        Some(_) => Err(Failure::bad_request("path cannot contain parent references: a segment is \".\" or \"..\"")),
    }
}

fn parse_query(uri: &Uri) -> Result<Vec<(String, String)>, Failure> {
    decode_pairs(uri.query().unwrap_or_default().as_bytes()).ok_or_else(|| {
        Failure::bad_request("the query has a broken escape, more than 1000 parts, or is not valid UTF-8")
    })
}

/// `a=1&b=2`, decoded, [`MAX_PAIRS`] of them at the most. `None`: more, or not UTF-8.
fn decode_pairs(text: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.split('&').count() <= MAX_PAIRS)?;
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(name, true)?, percent_decode(value, true)?))
        })
        .collect()
}

/// RFC 3986, section 2.1; with `plus`, also `+` for a space, as forms have it. `None`: a broken escape, or
/// not UTF-8.
fn percent_decode(text: &str, plus: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits =
                text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            decoded.push(if plus && bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8(decoded).ok()
}

fn check_patch_type(operation: Operation, headers: &HeaderMap) -> Result<(), Failure> {
    let kind = media_type(headers);
    if operation == Operation::Patch && kind != "application/merge-patch+json" {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "PATCH requires Content-Type of application/merge-patch+json",
        ));
    }
    Ok(())
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(kind))
}

/// A body is JSON, whatever it is called, unless it is called a form and does not look like JSON.
fn body_to_json(body: SecretBytes, headers: &HeaderMap, limits: &Limits) -> Result<SecretBytes, Failure> {
    let text = body.expose_secret().trim_ascii();
    if text.is_empty() {
        return Ok(SecretBytes::default());
    }
    if media_type(headers) == "application/x-www-form-urlencoded" && !text.starts_with(b"{") && !text.starts_with(b"[")
    {
        let pairs = decode_pairs(text).ok_or_else(|| {
            Failure::bad_request("the form has a broken escape, more than 1000 parts, or is not valid UTF-8")
        })?;
        return Ok(pairs_to_json(&pairs));
    }
    if text == b"null" {
        return Ok(SecretBytes::default());
    }
    check_json(text, limits.json_depth)?;
    Ok(body)
}

fn query_to_json(query: &[(String, String)]) -> SecretBytes {
    let told: Vec<_> = query.iter().filter(|(name, _)| name != "list").cloned().collect();
    if told.is_empty() { SecretBytes::default() } else { pairs_to_json(&told) }
}

/// One value is text, several of one name are a list.
fn pairs_to_json(pairs: &[(String, String)]) -> SecretBytes {
    let mut object = serde_json::Map::new();
    for (name, value) in pairs {
        let value = serde_json::Value::from(value.as_str());
        match object.get_mut(name) {
            None => _ = object.insert(name.clone(), value),
            Some(serde_json::Value::Array(values)) => values.push(value),
            Some(first) => *first = serde_json::Value::from(vec![first.take(), value]),
        }
    }
    SecretBytes::new(serde_json::Value::Object(object).to_string().into_bytes())
}

fn token_of(headers: &HeaderMap) -> Result<Option<SecretString>, Failure> {
    let invalid = || Failure::bad_request("the token header holds characters that no token has");
    if let Some(value) = headers.get("x-vault-token") {
        let token = value.to_str().map_err(|_| invalid())?.trim();
        return Ok((!token.is_empty()).then(|| SecretString::from(token)));
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| invalid())?;
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    Ok(scheme.map(|_| SecretString::from(value[7..].trim())))
}

/// How long the answer is to be wrapped. A time that is none must not end in an answer in clear.
fn wrap_ttl_of(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get("x-vault-wrap-ttl") else { return Ok(None) };
    let invalid = || Failure::bad_request("X-Vault-Wrap-TTL must be seconds or a duration such as 10s");
    let text = value.to_str().map_err(|_| invalid())?;
    let ttl = match duration::parse_seconds(text).map_err(|_| invalid())? {
        0 if text.contains(|c: char| matches!(c, '1'..='9')) => {
            return Err(Failure::bad_request("X-Vault-Wrap-TTL is shorter than a second"));
        }
        0 => return Ok(None),
        ttl if ttl > wrapping::MAX_TTL => {
            return Err(Failure::bad_request("X-Vault-Wrap-TTL is longer than ten years"));
        }
        ttl => ttl,
    };
    if headers.get("x-vault-wrap-format").is_some_and(|format| format.as_bytes().eq_ignore_ascii_case(b"jwt")) {
        return Err(Failure::bad_request("X-Vault-Wrap-Format: jwt is not offered by this server: leave it out"));
    }
    Ok(Some(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once() {
        let path = |uri: &str| decode_path(&uri.parse().expect("a URI")).map_err(|failure| failure.text());
        assert_eq!(path("/v1/secret/data/a%20b"), Ok("secret/data/a b".into()));
        assert_eq!(path("/v1/secret/data/a%2520b"), Ok("secret/data/a%20b".into()));
        for uri in [
            "/v1/secret/%00",
            "/v1/a/%2e%2e/b",
            "/v1/a/../b",
            "/v1/%ff",
            "/v1/%zz",
            "/v1/%+1",
            "/v1/a%",
            "/v1/a//b",
            "/v1//a",
            "/v1/a//",
        ] {
            assert!(path(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_wrap_ttl_is_a_time_or_refused() {
        let ttl = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("x-vault-wrap-ttl"),
                header::HeaderValue::from_static(value),
            )]);
            wrap_ttl_of(&headers).map_err(|failure| failure.text())
        };
        assert_eq!(wrap_ttl_of(&HeaderMap::new()).map_err(|failure| failure.text()), Ok(None));
        for (text, seconds) in [("60", Some(60)), ("5m", Some(300)), ("1.5s", Some(1)), ("0", None), ("0s", None)] {
            assert_eq!(ttl(text), Ok(seconds), "{text}");
        }
        for text in ["-1", "-1s", "soon", "500ms", "0.9", "1ns", "87601h", "99999999999999999999"] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_thing_has_one_path() {
        let path = |path: &str, operation| canonical(path.to_owned(), operation);
        assert_eq!(path("sys/policies/acl/ADMIN ", Operation::Update), "sys/policies/acl/admin");
        assert_eq!(path("sys/mounts/kv/", Operation::Delete), "sys/mounts/kv");
        assert_eq!(path("kv/Name", Operation::Read), "kv/Name");
        assert_eq!(path("kv/folder", Operation::List), "kv/folder/");
    }

    #[test]
    fn forms_and_queries_become_objects() {
        let pairs = decode_pairs(b"a=1&b=x%20y&b=z+w&c").expect("UTF-8");
        assert_eq!(pairs_to_json(&pairs).expose_secret(), br#"{"a":"1","b":["x y","z w"],"c":""}"#);
    }
}
