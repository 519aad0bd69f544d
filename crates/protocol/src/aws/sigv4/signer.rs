//! The client's side: signs a request for a server that verifies it.

use keyturn_core::{
    access_key::{CredentialScope, SigningKey, TERMINATOR},
    clock::Timestamp,
    secret::SecretString,
};

use super::{ALGORITHM, AmzTime, Broken, CanonicalRequest, DATE_HEADER, SESSION_TOKEN_HEADER, SignedHeaders, hash};

/// Who signs, for what.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region: String,
    /// The service: `secretsmanager`.
    pub service: String,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, encoded.
    pub path: &'a str,
    /// The query, encoded; may be empty.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The time.
    pub time: Timestamp,
}

impl Signer {
    /// Signs a request: adds `x-amz-date`, the session token's header and `authorization` to its headers, of which
    /// `host` must be one. All of them are signed.
    ///
    /// # Errors
    /// When the query is broken.
    pub fn sign(&self, what: &Signing<'_>, headers: &mut Vec<(String, String)>) -> Result<(), Broken> {
        let time = AmzTime::of(what.time);
        headers.push((DATE_HEADER.to_owned(), time.as_str().to_owned()));
        if let Some(token) = &self.session_token {
            headers.push((SESSION_TOKEN_HEADER.to_owned(), token.expose_secret().to_owned()));
        }
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        let names = names.join(";");
        let text = self.scope(&time);
        let Some((scope, signed)) = CredentialScope::parse(&text).zip(SignedHeaders::parse(&names)) else {
            return Err(Broken::Names);
        };
        let request = CanonicalRequest {
            method: what.method,
            path: what.path,
            query: what.query,
            headers: headers.as_slice(),
            signed,
            body_hash: &hash(what.body),
        };
        let string_to_sign = request.string_to_sign(time.as_str(), scope.without_key())?;
        let signature = SigningKey::derive(&self.secret_access_key, &scope).sign(string_to_sign.as_bytes());
        let signature = hex::encode(signature);
        let value = format!("{ALGORITHM} Credential={text}, SignedHeaders={names}, Signature={signature}");
        headers.push(("authorization".to_owned(), value));
        Ok(())
    }

    fn scope(&self, time: &AmzTime) -> String {
        [&self.access_key_id, time.date(), &self.region, &self.service, TERMINATOR].join("/")
    }
}
