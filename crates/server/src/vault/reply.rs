//! Answers: the envelope that Vault's clients expect, written around the data without copying it twice.

use axum::body::Body;
use bytes::Bytes;
use hyper::{HeaderMap, Response, StatusCode, header};
use keyturn_core::{
    door::Answer,
    lease::Lease,
    mount::Engine,
    secret::SecretBytes,
    token::Issued,
    wrapping::{WrapInfo, Wrapped},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::Failure;

/// A successful answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    status: Option<StatusCode>,
    /// The text of a JSON object.
    data: Option<SecretBytes>,
    issued: Option<Issued>,
    /// A token that the audit log is to know of, and the answer is not to show.
    recorded: Option<Box<Issued>>,
    /// A body that is no JSON, in the envelope's place.
    stream: Option<Body>,
    warnings: Vec<String>,
    lease_duration: u64,
    /// The lease of the credential in `data`.
    lease: Option<Box<Lease>>,
    /// An answer that was wrapped: it is sent as it was then, and `data` and `unwrapped_auth` are for the audit log.
    verbatim: Option<SecretBytes>,
    unwrapped_auth: Option<SecretBytes>,
    /// The accessor of the secret in `data`, should it be wrapped.
    accessor: Option<String>,
    /// What is sent instead of an answer that is wrapped.
    wrapped: Option<Box<WrapInfo>>,
    /// Whether `data` also stands at the top level, as some `sys` routes have it.
    at_top: bool,
    /// An answer that is no envelope: its type and all of it.
    plain: Option<(&'static str, Bytes)>,
    /// Whether `data` stands alone, without the envelope.
    bare: bool,
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

#[derive(Serialize)]
struct Auth<'a> {
    client_token: &'a str,
    accessor: &'a str,
    policies: &'a [String],
    token_policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identity_policies: &'a [String],
    metadata: Option<&'a std::collections::BTreeMap<String, String>>,
    lease_duration: u64,
    renewable: bool,
    entity_id: &'a str,
    token_type: &'a str,
    orphan: bool,
    mfa_requirement: Option<()>,
    num_uses: i64,
}

#[derive(Serialize)]
struct WrapInfoText<'a> {
    token: &'a str,
    accessor: &'a str,
    ttl: u64,
    creation_time: String,
    creation_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped_accessor: Option<&'a str>,
}

/// What the audit log records of an answer that was wrapped.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
}

impl Reply {
    /// Nothing to say: 204.
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// `data`, written once, into memory that is wiped.
    pub(super) fn data(data: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_vec(data).map_err(|error| Failure::internal(&error, ""))?;
        Ok(Self::raw(SecretBytes::new(text)))
    }

    /// `data`, already the text of a JSON object.
    pub(super) fn raw(data: SecretBytes) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// A listing; none is a 404, as with Vault.
    pub(super) fn keys(keys: &[String]) -> Result<Self, Failure> {
        if keys.is_empty() { Err(Failure::nothing()) } else { Self::data(&Keys { keys }) }
    }

    /// A token that is handed out.
    pub(super) fn issued(mut issued: Issued) -> Self {
        let warnings = std::mem::take(&mut issued.warnings);
        Self { issued: Some(issued), warnings, ..Self::default() }
    }

    /// An answer that was wrapped, as it was then.
    pub(super) fn unwrapped(wrapped: Wrapped) -> Result<Self, Failure> {
        let status = StatusCode::from_u16(wrapped.code).map_err(|error| Failure::internal(&error, ""))?;
        let parts: Parts<'_> =
            serde_json::from_slice(wrapped.body.expose_secret()).map_err(|error| Failure::internal(&error, ""))?;
        let kept = |part: Option<&RawValue>| part.map(|part| SecretBytes::new(part.get().as_bytes().to_vec()));
        let (data, unwrapped_auth) = (kept(parts.data), kept(parts.auth));
        Ok(Self { status: Some(status), data, unwrapped_auth, verbatim: Some(wrapped.body), ..Self::default() })
    }

    /// What stands for an answer that is wrapped.
    pub(super) fn wrapped(info: WrapInfo) -> Self {
        Self { wrapped: Some(Box::new(info)), ..Self::default() }
    }

    /// Names the accessor of the secret in the answer.
    pub(super) fn with_accessor(self, accessor: &str) -> Self {
        Self { accessor: Some(accessor.to_owned()), ..self }
    }

    /// Whether the answer goes out without an envelope.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.is_some() || self.stream.is_some()
    }

    /// Whether there is an answer to wrap: not if there is nothing to say, nor if it is one already, or has no envelope.
    pub(super) fn can_be_wrapped(&self) -> bool {
        self.wrapped.is_none() && !self.is_empty()
    }

    /// The answer to be wrapped, and the accessor of the token or secret in it.
    pub(super) fn into_wrapped(mut self, request_id: &str, engine: Option<Engine>) -> (Wrapped, Option<String>) {
        let body = self.verbatim.take().unwrap_or_else(|| self.envelope(request_id, engine));
        let issued = self.issued.as_ref().or(self.recorded.as_deref());
        let accessor = issued.map(|issued| issued.entry.accessor.clone());
        let accessor = accessor.filter(|accessor| !accessor.is_empty()).or(self.accessor);
        (Wrapped { code: self.status.unwrap_or(StatusCode::OK).as_u16(), body }, accessor)
    }

    /// An answer without the envelope, that holds no secret.
    pub(super) fn plain(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { plain: Some((content_type, body.into())), ..Self::default() }
    }

    /// `data` that is secret, `room` bytes at the most: the buffer must not grow, or a copy of it stays behind.
    pub(super) fn secret(data: &impl Serialize, room: usize) -> Result<Self, Failure> {
        let mut text = SecretBytes::new(Vec::with_capacity(room));
        serde_json::to_writer(text.expose_secret_mut(), data).map_err(|error| Failure::internal(&error, ""))?;
        Ok(Self::raw(text))
    }

    /// Bytes that are no JSON, sent as they come.
    pub(super) fn stream(body: Body) -> Self {
        Self { stream: Some(body), ..Self::default() }
    }

    /// Data alone, for clients that know of no envelope.
    pub(super) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    /// Has the audit log record a token that the answer shows in another form.
    pub(super) fn recording(self, issued: Box<Issued>) -> Self {
        Self { recorded: Some(issued), ..self }
    }

    pub(super) fn at_top(self) -> Self {
        Self { at_top: true, ..self }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(super) fn with_lease_duration(self, lease_duration: u64) -> Self {
        Self { lease_duration, ..self }
    }

    /// Names the lease of the credential that is handed out, or that was renewed.
    pub(super) fn leased(mut self, mut lease: Lease) -> Self {
        self.warnings.append(&mut lease.warnings);
        Self { lease_duration: lease.ttl, lease: Some(Box::new(lease)), ..self }
    }

    pub(super) fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// What the audit log records of it.
    pub(super) fn audited(&self) -> Answer<'_> {
        let issued = self.issued.as_ref().or(self.recorded.as_deref());
        Answer {
            data: self.data.as_ref(),
            issued,
            unwrapped_auth: self.unwrapped_auth.as_ref(),
            wrapped: self.wrapped.as_deref(),
            lease_id: self.lease.as_deref().map(|lease| lease.id.as_str()),
            warnings: &self.warnings,
            error: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.data.is_none()
            && self.issued.is_none()
            && self.lease.is_none()
            && self.warnings.is_empty()
            && self.verbatim.is_none()
            && self.wrapped.is_none()
    }

    pub(super) fn into_response(mut self, request_id: &str, engine: Option<Engine>) -> Response<Body> {
        if let Some((content_type, body)) = self.plain {
            let mut response = json(self.status.unwrap_or(StatusCode::OK), body);
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
            return response;
        }
        if let Some(body) = self.stream.take() {
            return octets(body);
        }
        if self.bare {
            let data = self.data.take().map(Bytes::from_owner);
            let usual = if data.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
            return json(self.status.unwrap_or(usual), data.unwrap_or_default());
        }
        if self.is_empty() {
            return json(self.status.unwrap_or(StatusCode::NO_CONTENT), Bytes::new());
        }
        // A wrapped answer's id is known to whoever unwraps it, as with Vault.
        let request_id = if self.wrapped.is_some() { "" } else { request_id };
        let body = self.verbatim.take().unwrap_or_else(|| self.envelope(request_id, engine));
        // The body wipes the buffer when it is sent.
        json(self.status.unwrap_or(StatusCode::OK), Bytes::from_owner(body))
    }

    /// All keys of the envelope are always there. The buffer is large enough from the start: growing would leave a
    /// copy behind.
    fn envelope(&self, request_id: &str, engine: Option<Engine>) -> SecretBytes {
        let data = self.data.as_ref().map_or(b"null".as_slice(), SecretBytes::expose_secret);
        let auth = self.issued.as_ref().map(auth_text).unwrap_or_default();
        let wrapped = self.wrapped.as_deref().map(wrap_info_text).unwrap_or_default();
        let warnings = if self.warnings.is_empty() { None } else { serde_json::to_vec(&self.warnings).ok() };
        let warnings = warnings.as_deref().unwrap_or(b"null");
        let copies = if self.at_top { 2 } else { 1 };
        let lease = self.lease.as_deref();
        let renewable = lease.is_some_and(|lease| lease.renewable);
        let lease_id = lease.map_or_else(|| "\"\"".to_owned(), |lease| serde_json::Value::from(&*lease.id).to_string());
        let lengths =
            [data.len() * copies, auth.len(), wrapped.len(), warnings.len(), request_id.len(), lease_id.len()];
        let room = lengths.iter().sum::<usize>() + 256;
        let mut body = SecretBytes::new(Vec::with_capacity(room));
        let out = body.expose_secret_mut();
        let inner = data.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).filter(|inner| !inner.is_empty());
        out.push(b'{');
        if let Some(inner) = inner.filter(|_| self.at_top) {
            out.extend_from_slice(inner);
            out.push(b',');
        }
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        put(&[b"\"request_id\":\"", request_id.as_bytes(), b"\",\"lease_id\":", lease_id.as_bytes()]);
        put(&[b",\"renewable\":", if renewable { b"true" } else { b"false" }]);
        put(&[b",\"lease_duration\":", self.lease_duration.to_string().as_bytes(), b",\"data\":", data]);
        put(&[b",\"wrap_info\":", if wrapped.is_empty() { b"null" } else { wrapped.expose_secret() }]);
        put(&[b",\"warnings\":", warnings, b",\"auth\":"]);
        put(&[if auth.is_empty() { b"null" } else { auth.expose_secret() }]);
        put(&[b",\"mount_type\":\"", engine.map_or("", Engine::name).as_bytes(), b"\"}"]);
        body
    }
}

fn auth_text(issued: &Issued) -> SecretBytes {
    let entry = &issued.entry;
    let ttl = entry.expires.map_or(0, |end| {
        let start = entry.last_renewal.unwrap_or(entry.created);
        keyturn_core::clock::seconds_until(start, end)
    });
    let auth = Auth {
        client_token: issued.token.expose_secret(),
        accessor: &entry.accessor,
        policies: &issued.policies,
        token_policies: &entry.policies,
        identity_policies: &issued.identity_policies,
        metadata: (!entry.meta.is_empty()).then_some(&entry.meta),
        lease_duration: ttl,
        renewable: entry.renewable,
        entity_id: &entry.entity_id,
        token_type: entry.kind.name(),
        orphan: entry.parent.is_none(),
        mfa_requirement: None,
        num_uses: entry.uses,
    };
    // Escaping makes at most six bytes of one; the buffer must not grow, or a copy of the token stays behind.
    let lengths =
        issued.policies.iter().chain(entry.meta.keys()).chain(entry.meta.values()).map(|text| text.len() * 18 + 24);
    let mut text = SecretBytes::new(Vec::with_capacity(1024 + issued.token.len() * 6 + lengths.sum::<usize>()));
    // Writing plain text and numbers to memory cannot fail.
    _ = serde_json::to_writer(text.expose_secret_mut(), &auth);
    text
}

fn wrap_info_text(info: &WrapInfo) -> SecretBytes {
    let told = WrapInfoText {
        token: info.token.expose_secret(),
        accessor: &info.accessor,
        ttl: info.ttl,
        creation_time: info.created.to_string(),
        creation_path: &info.path,
        wrapped_accessor: info.wrapped_accessor.as_deref(),
    };
    let lengths = info.token.len() + info.path.len() + info.wrapped_accessor.as_ref().map_or(0, String::len);
    let mut text = SecretBytes::new(Vec::with_capacity(512 + 6 * lengths));
    // Writing plain text and numbers to memory cannot fail.
    _ = serde_json::to_writer(text.expose_secret_mut(), &told);
    text
}

/// A JSON answer with the headers that every answer has. Clients parse errors only if the type is exactly this.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    *response.headers_mut() = headers;
    response
}

/// An answer that is no JSON.
fn octets(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    *response.headers_mut() = headers;
    response
}

/// An answer without the envelope, of `sys/init`, `sys/seal-status` and their kin.
pub(super) fn plain(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Room for 255 shares in two encodings: the buffer must not grow, or a copy of them stays behind.
    let mut text = SecretBytes::new(Vec::with_capacity(64 * 1024));
    match serde_json::to_writer(text.expose_secret_mut(), body) {
        Ok(()) => json(status, Bytes::from_owner(text)),
        Err(error) => Failure::internal(&error, "").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> String {
        String::from_utf8(reply.envelope("id", Some(Engine::Kv2)).expose_secret().to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_envelope_has_all_its_keys() {
        let reply = Reply::raw(SecretBytes::new(b"{\"a\":1}".to_vec())).warn("careful");
        assert_eq!(
            text(&reply),
            r#"{"request_id":"id","lease_id":"","renewable":false,"lease_duration":0,"data":{"a":1},"wrap_info":null,"warnings":["careful"],"auth":null,"mount_type":"kv"}"#
        );
    }

    #[test]
    fn data_can_also_stand_at_the_top() {
        let reply = Reply::raw(SecretBytes::new(b"{\"keys\":[]}".to_vec())).at_top();
        assert!(text(&reply).starts_with(r#"{"keys":[],"request_id":"id","#));
        let empty = Reply::raw(SecretBytes::new(b"{}".to_vec())).at_top();
        assert!(text(&empty).starts_with(r#"{"request_id":"id","#));
    }
}
