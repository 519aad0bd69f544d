//! How a signature is presented: in the `Authorization` header, or in the query of a presigned URL.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=<scope>, SignedHeaders=<names>, Signature=<64 hex digits>
//! ?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=<scope>&X-Amz-Date=<time>&X-Amz-Expires=<seconds>
//!  &X-Amz-SignedHeaders=<names>[&X-Amz-Security-Token=<token>]&X-Amz-Signature=<64 hex digits>
//! ```

use keyturn_core::secret::SecretString;

use super::{ALGORITHM, decode};

/// The longest a presigned URL may be good, in seconds: a week, as with AWS.
const MAX_EXPIRES: u64 = 604_800;

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query.
    Query {
        /// Seconds for which it is good.
        expires: u64,
    },
}

/// A signature that is presented. What it says of itself is yet to be proven.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Where it stands.
    pub place: Place,
    /// The access key and the scope.
    pub credential: String,
    /// The names of the signed headers.
    pub signed_headers: String,
    /// The signature as it was sent.
    pub signature: String,
    /// The time of signing, where the query has it.
    pub date: Option<String>,
    /// The session token, where the query has it.
    pub session_token: Option<SecretString>,
}

/// A signature that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PresentedError {
    /// There is none.
    #[error("the request is not signed")]
    Missing,
    /// Another algorithm, or no signature at all.
    #[error("the algorithm must be {ALGORITHM}")]
    Algorithm,
    /// A part is missing or empty.
    #[error("{0} is missing")]
    Part(&'static str),
    /// A part is there twice.
    #[error("{0} is there more than once")]
    Twice(&'static str),
    /// `X-Amz-Expires` is no number of seconds up to a week.
    #[error("X-Amz-Expires must be 1 to {MAX_EXPIRES} seconds")]
    Expires,
    /// The query has a broken escape.
    #[error("the query has a broken escape or is not UTF-8")]
    Query,
}

impl Presented {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// When it is of another kind, or has not its three parts once each.
    pub fn from_header(value: &str) -> Result<Self, PresentedError> {
        let rest = value.strip_prefix(ALGORITHM).ok_or(PresentedError::Algorithm)?;
        let mut parts: [Option<&str>; 3] = [None; 3];
        const NAMES: [&str; 3] = ["Credential", "SignedHeaders", "Signature"];
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
            if let Some(at) = NAMES.iter().position(|known| *known == name)
                && parts[at].replace(value).is_some()
            {
                return Err(PresentedError::Twice(NAMES[at]));
            }
        }
        let part = |at: usize| {
            parts[at].filter(|value| !value.is_empty()).map(str::to_owned).ok_or(PresentedError::Part(NAMES[at]))
        };
        Ok(Self {
            place: Place::Header,
            credential: part(0)?,
            signed_headers: part(1)?,
            signature: part(2)?,
            date: None,
            session_token: None,
        })
    }

    /// Reads the query of a presigned URL. `Ok(None)`: it is not signed.
    ///
    /// # Errors
    /// When a part is missing, there twice, or out of bounds.
    pub fn from_query(query: &str) -> Result<Option<Self>, PresentedError> {
        let algorithm = query_parameter(query, "X-Amz-Algorithm")?;
        let signature = query_parameter(query, "X-Amz-Signature")?;
        if algorithm.is_none() && signature.is_none() {
            return Ok(None);
        }
        if algorithm.as_deref() != Some(ALGORITHM) {
            return Err(PresentedError::Algorithm);
        }
        let part = |name| {
            let value = query_parameter(query, name)?;
            value.filter(|value| !value.is_empty()).ok_or(PresentedError::Part(name))
        };
        let expires = part("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=MAX_EXPIRES).contains(seconds));
        Ok(Some(Self {
            place: Place::Query { expires: expires.ok_or(PresentedError::Expires)? },
            credential: part("X-Amz-Credential")?,
            signed_headers: part("X-Amz-SignedHeaders")?,
            signature: part("X-Amz-Signature")?,
            date: Some(part("X-Amz-Date")?),
            session_token: query_parameter(query, "X-Amz-Security-Token")?.map(SecretString::new),
        }))
    }
}

/// A parameter of a query, decoded.
///
/// # Errors
/// When it is there twice, or cannot be decoded.
pub fn query_parameter(query: &str, name: &'static str) -> Result<Option<String>, PresentedError> {
    let mut found = None;
    for pair in query.split('&') {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(known).ok_or(PresentedError::Query)?.as_ref() != name.as_bytes() {
            continue;
        }
        let value = decode(value).ok_or(PresentedError::Query)?.into_owned();
        let value = String::from_utf8(value).map_err(|_| PresentedError::Query)?;
        if found.replace(value).is_some() {
            return Err(PresentedError::Twice(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "AWS4-HMAC-SHA256 Credential=AK/1/r/s/aws4_request, SignedHeaders=host, Signature=00";

    #[test]
    fn a_header_has_three_parts_once_each() {
        for spelled in [HEADER.to_owned(), HEADER.replace(", ", ","), HEADER.replace(", ", ",  ")] {
            let presented = Presented::from_header(&spelled).expect("presented");
            assert_eq!(presented.credential, "AK/1/r/s/aws4_request");
            assert_eq!((presented.signed_headers.as_str(), presented.signature.as_str()), ("host", "00"));
        }
        let error = |text: &str| Presented::from_header(text).map(|_| ()).expect_err("refused");
        assert_eq!(error("Bearer x"), PresentedError::Algorithm);
        assert_eq!(error(&HEADER.replace("Signature=00", "")), PresentedError::Part("Signature"));
        assert_eq!(error(&HEADER.replace("Signature=00", "Signature=")), PresentedError::Part("Signature"));
        assert_eq!(error(&format!("{HEADER}, Signature=11")), PresentedError::Twice("Signature"));
    }

    #[test]
    fn a_query_has_its_parts_once_each_and_an_end_within_a_week() {
        let query = "Action=x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F1&X-Amz-Date=d\
                     &X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx&X-Amz-Signature=00";
        let presented = Presented::from_query(query).expect("read").expect("signed");
        assert_eq!((presented.credential.as_str(), presented.signed_headers.as_str()), ("AK/1", "host;x"));
        assert_eq!(presented.place, Place::Query { expires: 60 });
        assert!(Presented::from_query("Action=x").expect("read").is_none());
        let error = |text: &str| Presented::from_query(text).map(|_| ()).expect_err("refused");
        assert_eq!(error(&format!("{query}&X-Amz-Signature=11")), PresentedError::Twice("X-Amz-Signature"));
        assert_eq!(error(&format!("{query}&X-Amz-%44ate=11")), PresentedError::Twice("X-Amz-Date"));
        assert_eq!(error(&query.replace("=60", "=604801")), PresentedError::Expires);
        assert_eq!(error(&query.replace("=60", "=0")), PresentedError::Expires);
        assert_eq!(error(&query.replace("X-Amz-Date", "X")), PresentedError::Part("X-Amz-Date"));
        assert_eq!(error("X-Amz-Signature=1"), PresentedError::Algorithm);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(text in ".*", tail in ".*") {
            let _ = Presented::from_header(&text);
            let _ = Presented::from_header(&format!("{HEADER}{tail}"));
            let _ = Presented::from_query(&format!("X-Amz-Algorithm=AWS4-HMAC-SHA256&{text}"));
        }
    }
}
