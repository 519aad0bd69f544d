//! Signature Version 4, from both sides: what is signed, how a signature is presented, and how a client makes one.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
//!
//! ```text
//! canonical request = method | path | query | the signed headers | their names | hash of the body     canonical.rs
//! string to sign    = AWS4-HMAC-SHA256 | time | scope | hash of the canonical request
//! signature         = HMAC of the string to sign by a key of the day, region and service    core::access_key
//! presented         in the Authorization header, or in the query (a presigned URL)              presented.rs
//! ```

mod canonical;
mod presented;
mod signer;
mod time;

use aws_lc_rs::digest;

pub use canonical::{Broken, CanonicalRequest, Headers, SignedHeaders, decode, decode_form};
pub use presented::{Place, Presented, PresentedError, query_parameter};
pub use signer::{Signer, Signing};
pub use time::AmzTime;

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The header that names the operation of a JSON service.
pub const TARGET_HEADER: &str = "x-amz-target";
/// The header with the time of signing.
pub const DATE_HEADER: &str = "x-amz-date";
/// The header with the session token of temporary credentials.
pub const SESSION_TOKEN_HEADER: &str = "x-amz-security-token";
/// The header with the hash of the body.
pub const CONTENT_HASH_HEADER: &str = "x-amz-content-sha256";

/// SHA-256 in lower-case hex, of a body as it stands in a canonical request.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    in_hex(digest::digest(&digest::SHA256, bytes)).as_str().to_owned()
}

/// A SHA-256 in lower-case hex.
struct Hex([u8; 64]);

impl Hex {
    fn as_str(&self) -> &str {
        // The digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Written in place: a character at a time costs more than the hash of a small body.
fn in_hex(digest: digest::Digest) -> Hex {
    let mut text = [b'0'; 64];
    // The buffer has exactly the room that is needed.
    _ = hex::encode_to_slice(digest, &mut text);
    Hex(text)
}
