//! Why a request is nobody's, in the names that each service has for it.

use hyper::StatusCode;
use keyturn_core::{StoreError, access_key::ProofError};
use keyturn_protocol::aws::sigv4::{Broken, PresentedError};

use super::super::{AwsService, failure::Failure};

/// A signature that is not good. No text quotes what was sent, but times.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthFailure {
    /// There is none.
    #[error("Missing Authentication Token")]
    Missing,
    /// It cannot be read.
    #[error("The signature is incomplete: {0}.")]
    Presented(PresentedError),
    /// It stands in the header and in the query.
    #[error("Only one of the Authorization header and the X-Amz query parameters may carry a signature and its token.")]
    TwoPlaces,
    /// A header that counts is there twice.
    #[error("The header {0} must be there once.")]
    Twice(&'static str),
    /// A header that counts holds other characters than visible ASCII.
    #[error("The header {0} must be ASCII text.")]
    NotText(&'static str),
    /// The credential is no scope.
    #[error("Credential must have exactly 5 elements: keyid/date/region/service/aws4_request.")]
    Scope,
    /// The names of the signed headers are no list of such names.
    #[error("SignedHeaders must name headers in lower case, sorted, each once, joined by semicolons.")]
    SignedHeaders,
    /// A header that must be signed is not.
    #[error("'{0}' must be a signed header: name it in SignedHeaders.")]
    Unsigned(&'static str),
    /// There is no time, or one that cannot be read.
    #[error("The request requires an X-Amz-Date such as 20261124T150102Z.")]
    NoDate,
    /// The request has no canonical form.
    #[error("The request cannot be verified: {0}.")]
    Broken(Broken),
    /// The scope ends otherwise.
    #[error("Credential should be scoped with a valid terminator: 'aws4_request'.")]
    Terminator,
    /// The scope is another service's.
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Service(&'static str),
    /// The scope's region is none.
    #[error("Credential should be scoped to a valid region.")]
    Region,
    /// The scope's day is another than that of the time.
    #[error("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")]
    Day,
    /// It was signed in the future.
    #[error("Signature not yet current: {signed} is still later than {until} ({now} + 5 min.)")]
    Early {
        /// When it was signed.
        signed: String,
        /// The time here.
        now: String,
        /// The latest that is taken.
        until: String,
    },
    /// It was signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {from}{}", if *.skewed { format!(" ({now} - 5 min.)") } else { String::new() })]
    Late {
        /// When it was signed, or a presigned URL ended.
        signed: String,
        /// The time here.
        now: String,
        /// The earliest that is taken.
        from: String,
        /// Whether that is five minutes ago.
        skewed: bool,
    },
    /// The body has another hash than the request claims; that it is not signed is no claim that is taken.
    #[error("The value of the x-amz-content-sha256 header must be the SHA-256 of the body in hex.")]
    ContentHash,
    /// No such access key, or none any longer.
    #[error("The security token included in the request is invalid.")]
    Unknown,
    /// The temporary credentials have ended.
    #[error("The security token included in the request is expired")]
    Expired,
    /// It is not the signature of this request by this key.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

/// What a service calls it: the name in JSON, the name in STS, the status of STS.
type Names = (&'static str, &'static str, StatusCode);

impl AuthFailure {
    const fn names(&self) -> Names {
        match self {
            Self::Missing => {
                ("MissingAuthenticationTokenException", "MissingAuthenticationToken", StatusCode::FORBIDDEN)
            }
            Self::Presented(_)
            | Self::Twice(_)
            | Self::NotText(_)
            | Self::Scope
            | Self::SignedHeaders
            | Self::NoDate => ("IncompleteSignatureException", "IncompleteSignature", StatusCode::BAD_REQUEST),
            Self::Unknown => ("UnrecognizedClientException", "InvalidClientTokenId", StatusCode::FORBIDDEN),
            Self::Expired => ("ExpiredTokenException", "ExpiredToken", StatusCode::FORBIDDEN),
            Self::TwoPlaces
            | Self::Unsigned(_)
            | Self::Broken(_)
            | Self::Terminator
            | Self::Service(_)
            | Self::Region
            | Self::Day
            | Self::Early { .. }
            | Self::Late { .. }
            | Self::ContentHash
            | Self::Mismatch => ("InvalidSignatureException", "SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            Self::Store(_) => ("InternalServiceError", "InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The answer that says it.
    pub(super) fn told(self, service: AwsService, request_id: &str) -> Failure {
        let (json, sts, status) = self.names();
        match (service, &self) {
            (_, Self::Store(error)) => Failure::internal(error, request_id),
            (AwsService::SecretsManager, failure) => Failure::client(json, failure.to_string()),
            (AwsService::Sts, failure) => Failure::new(status, sts, failure.to_string()),
        }
    }
}

impl From<PresentedError> for AuthFailure {
    fn from(error: PresentedError) -> Self {
        if error == PresentedError::Missing { Self::Missing } else { Self::Presented(error) }
    }
}

impl From<ProofError> for AuthFailure {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Unknown => Self::Unknown,
            ProofError::Expired => Self::Expired,
            ProofError::Mismatch => Self::Mismatch,
            ProofError::Store(error) => Self::Store(error),
        }
    }
}
