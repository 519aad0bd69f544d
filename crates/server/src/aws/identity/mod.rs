//! Who asks: a request's signature is verified against all that it says, never skipped.
//!
//! ```text
//! presented (header or query) -> the headers that we act on are signed -> signed lately -> for this service
//!   -> the body has the hash it claims -> core proves the signature by the access key's secret -> Verified
//! ```

mod failure;
mod record;

use hyper::{HeaderMap, http::request::Parts};
use keyturn_core::{
    access_key::{Claim, CredentialScope, Proven, TERMINATOR},
    clock::{SignedDuration, Timestamp},
    core::Core,
    door::Credential,
    secret::SecretString,
};
use keyturn_protocol::aws::sigv4::{
    AmzTime, CONTENT_HASH_HEADER, CanonicalRequest, DATE_HEADER, Headers, Place, Presented, SESSION_TOKEN_HEADER,
    SignedHeaders, TARGET_HEADER, hash,
};

pub(crate) use self::{
    failure::AuthFailure,
    record::{identify, rate_limit},
};
use super::{AwsService, settings::AwsSettings};

/// How far a client's clock may be off, in seconds.
const SKEW: i64 = 300;

/// Headers that change what a request means: where they are there, they must be signed, and there once.
const MEANINGFUL: [&str; 4] = [DATE_HEADER, TARGET_HEADER, SESSION_TOKEN_HEADER, CONTENT_HASH_HEADER];

/// A request whose signature is good.
#[derive(Debug)]
pub(crate) struct Verified {
    proven: Proven,
    region: String,
}

impl Verified {
    /// For the door.
    pub(crate) fn credential(&self) -> Credential<'_> {
        Credential::AccessKey(&self.proven)
    }

    /// The access key that signed.
    pub(crate) fn access_key(&self) -> &Proven {
        &self.proven
    }

    /// The account that the key belongs to.
    pub(crate) fn account<'a>(&'a self, settings: &'a AwsSettings) -> &'a str {
        Some(self.proven.account()).filter(|own| !own.is_empty()).unwrap_or(&settings.account_id)
    }

    /// Who that is, as an ARN: a key's name is that of a user; a role's temporary credentials are named after the role
    /// and the session.
    pub(crate) fn arn(&self, settings: &AwsSettings) -> String {
        let account = self.account(settings);
        let key = &self.proven;
        if key.name().contains('/') {
            format!("arn:aws:sts::{account}:assumed-role/{}", key.name())
        } else {
            format!("arn:aws:iam::{account}:user/{}", key.name())
        }
    }

    /// The region that the request was signed for; 1 to 64 letters, digits and dashes.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }
}

/// Finds out who signed a request.
///
/// # Errors
/// When nobody did, not lately, not for `service`, or not with an access key that is good.
pub(crate) async fn authenticate(
    core: &Core,
    service: AwsService,
    parts: &Parts,
    body: &[u8],
) -> Result<Verified, AuthFailure> {
    let presented = presented(parts)?;
    let scope = CredentialScope::parse(&presented.credential).ok_or(AuthFailure::Scope)?;
    let signed = SignedHeaders::parse(&presented.signed_headers).ok_or(AuthFailure::SignedHeaders)?;
    check_signed(&parts.headers, signed, presented.place)?;
    let date = match &presented.date {
        Some(date) => date,
        None => single(&parts.headers, DATE_HEADER)?.ok_or(AuthFailure::NoDate)?,
    };
    let time = AmzTime::parse(date).ok_or(AuthFailure::NoDate)?;
    check_scope(&scope, service, &time)?;
    check_window(&time, presented.place, core.now())?;
    let body_hash = hash(body);
    if single(&parts.headers, CONTENT_HASH_HEADER)?.is_some_and(|claimed| claimed != body_hash) {
        return Err(AuthFailure::ContentHash);
    }
    let request = CanonicalRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &Received(parts),
        signed,
        body_hash: &body_hash,
    };
    let string_to_sign = request.string_to_sign(time.as_str(), scope.without_key()).map_err(AuthFailure::Broken)?;
    let session_token = match presented.session_token {
        Some(token) => Some(token),
        None => single(&parts.headers, SESSION_TOKEN_HEADER)?.map(SecretString::from),
    };
    let mut signature = [0; 32];
    hex::decode_to_slice(&presented.signature, &mut signature).map_err(|_| AuthFailure::Mismatch)?;
    let claim = Claim {
        scope,
        session_token: session_token.as_ref(),
        string_to_sign: string_to_sign.as_bytes(),
        signature: &signature,
    };
    let proven = core.access_keys().prove(&claim).await?;
    Ok(Verified { proven, region: scope.region.to_owned() })
}

/// The signature, from the one place where it stands.
fn presented(parts: &Parts) -> Result<Presented, AuthFailure> {
    let in_query = Presented::from_query(parts.uri.query().unwrap_or_default())?;
    match (single(&parts.headers, "authorization")?, in_query) {
        (None, None) => Err(AuthFailure::Missing),
        (Some(_), Some(_)) => Err(AuthFailure::TwoPlaces),
        (Some(value), None) => Ok(Presented::from_header(value)?),
        (None, Some(presented)) if presented.session_token.is_some() => {
            match single(&parts.headers, SESSION_TOKEN_HEADER)? {
                Some(_) => Err(AuthFailure::TwoPlaces),
                None => Ok(presented),
            }
        }
        (None, Some(presented)) => Ok(presented),
    }
}

/// A header's value. A header that is there twice is refused: it would be in doubt which of them counts.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, AuthFailure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthFailure::Twice(name));
    }
    first.map(|value| value.to_str().map_err(|_| AuthFailure::NotText(name))).transpose()
}

fn check_signed(headers: &HeaderMap, signed: SignedHeaders<'_>, place: Place) -> Result<(), AuthFailure> {
    if !signed.contains("host") {
        return Err(AuthFailure::Unsigned("host"));
    }
    if place == Place::Header && !signed.contains(DATE_HEADER) {
        return Err(if headers.contains_key(DATE_HEADER) {
            AuthFailure::Unsigned(DATE_HEADER)
        } else {
            AuthFailure::NoDate
        });
    }
    for name in MEANINGFUL {
        if single(headers, name)?.is_some() && !signed.contains(name) {
            return Err(AuthFailure::Unsigned(name));
        }
    }
    Ok(())
}

fn check_scope(scope: &CredentialScope<'_>, service: AwsService, time: &AmzTime) -> Result<(), AuthFailure> {
    let is_region =
        |text: &str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if scope.terminator != TERMINATOR {
        return Err(AuthFailure::Terminator);
    }
    if scope.service != service.name() {
        return Err(AuthFailure::Service(service.name()));
    }
    if !is_region(scope.region) {
        return Err(AuthFailure::Region);
    }
    if scope.date != time.date() {
        return Err(AuthFailure::Day);
    }
    Ok(())
}

/// A header is good for five minutes before and after its time; a presigned URL from five minutes before its time until
/// it ends.
fn check_window(time: &AmzTime, place: Place, now: Timestamp) -> Result<(), AuthFailure> {
    let (signed, now_second) = (time.timestamp().as_second(), now.as_second());
    if signed > now_second + SKEW {
        return Err(AuthFailure::Early {
            signed: time.as_str().to_owned(),
            now: written(now),
            until: shifted(now, SKEW),
        });
    }
    let end = match place {
        Place::Header => signed + SKEW,
        Place::Query { expires } => signed.saturating_add(i64::try_from(expires).unwrap_or(i64::MAX)),
    };
    if now_second > end {
        let (signed, from, skewed) = match place {
            Place::Header => (time.as_str().to_owned(), shifted(now, -SKEW), true),
            Place::Query { .. } => (of_second(end), written(now), false),
        };
        return Err(AuthFailure::Late { signed, now: written(now), from, skewed });
    }
    Ok(())
}

fn written(time: Timestamp) -> String {
    AmzTime::of(time).as_str().to_owned()
}

fn of_second(second: i64) -> String {
    written(Timestamp::from_second(second).unwrap_or(Timestamp::MAX))
}

fn shifted(time: Timestamp, seconds: i64) -> String {
    written(time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(time))
}

/// A request's headers. HTTP/2 has no `Host`: there the authority stands for it.
struct Received<'a>(&'a Parts);

impl Headers for Received<'_> {
    fn values(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let Parts { headers, uri, .. } = self.0;
        if name == "host" && !headers.contains_key(name) {
            return uri.authority().map(|authority| visit(authority.as_str().as_bytes())).unwrap_or_default();
        }
        headers.get_all(name).iter().for_each(|value| visit(value.as_bytes()));
    }
}
