//! The envelope around every answer but those of `sys/init`, `sys/seal-status` and their kin.

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use serde::Deserialize;

/// The envelope: `T` is the shape of `data`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Envelope<T> {
    /// What was asked for; `null` in the answer to a login.
    pub data: Option<T>,
    /// The token that a login or a token creation brought forth.
    pub auth: Option<Auth>,
    /// What the server did not like but accepted.
    pub warnings: Option<Vec<String>>,
}

/// A new or renewed token.
#[derive(Debug, Deserialize)]
pub struct Auth {
    /// The token itself.
    pub client_token: SecretString,
    /// The handle that names the token without being it.
    #[serde(default)]
    pub accessor: String,
    /// All policies that the token carries, sorted.
    #[serde(default)]
    pub policies: Vec<String>,
    /// What the auth method says about the one who logged in.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Seconds of validity; 0 for a token that does not expire.
    #[serde(default)]
    pub lease_duration: u64,
    /// Whether `token renew` can extend it.
    #[serde(default)]
    pub renewable: bool,
    /// `service` or `batch`.
    #[serde(default)]
    pub token_type: String,
    /// Whether it outlives the token that created it.
    #[serde(default)]
    pub orphan: bool,
}

/// The body of every refusal.
#[derive(Debug, Deserialize)]
pub struct Errors {
    /// Each cause in the server's words; may be empty. The Doppler API calls them messages.
    #[serde(alias = "messages")]
    pub errors: Vec<String>,
}

/// The `data` of every list.
#[derive(Debug, Deserialize)]
pub struct Keys {
    /// The names, sorted; one that ends in `/` is a folder.
    pub keys: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_yields_a_token_that_does_not_print_itself() {
        let body =
            br#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,
            "warnings":null,"auth":{"client_token":"hvs.canary","accessor":"a","policies":["default"],"metadata":null,
            "lease_duration":60,"renewable":true,"token_type":"service","orphan":true,"mfa_requirement":null}}"#;
        let envelope: Envelope<Keys> = serde_json::from_slice(body).unwrap();
        assert!(!format!("{envelope:?}").contains("canary"));
        let auth = envelope.auth.unwrap();
        assert_eq!((auth.client_token.expose_secret(), auth.lease_duration), ("hvs.canary", 60));
    }
}
