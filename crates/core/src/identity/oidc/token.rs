//! Identity tokens: issuing them, looking into them, and what others need to verify them.

use serde_json::{Map, Value, json};

use super::{Algorithm, Oidc, OidcError, State, key::Generation, signing, template};
use crate::{
    clock,
    door::Permit,
    identity::Standing,
    keys,
    secret::{SecretBytes, SecretString},
};

/// The longest token that is looked into, in bytes.
const MAX_TOKEN_LEN: usize = 256 * 1024;

/// How often a token is tried to be signed while keys rotate.
const ATTEMPTS: usize = 3;

/// A token at the moment it is issued.
#[derive(Debug)]
pub struct IdToken {
    /// The token: who holds it is taken for the entity.
    pub token: SecretString,
    /// Its audience.
    pub client_id: String,
    /// For how many seconds its role lets it be good.
    pub ttl: u64,
    /// What there is to say about it.
    pub warning: Option<String>,
}

impl Oidc {
    /// Issues a token about the caller's entity. `origin`: the server's address as the request names it, for the issuer
    /// if none is set.
    ///
    /// # Errors
    /// When there is no such role, the key may not sign for it, or the caller has no entity.
    pub async fn issue(&self, permit: Permit, role: &str, origin: &str) -> Result<IdToken, OidcError> {
        let caller = permit.spend_as_caller();
        let effective = caller.as_ref().and_then(|caller| caller.identity());
        for _ in 0..ATTEMPTS {
            let state = self.state.load_full();
            let role = state.roles.get(role).ok_or_else(|| OidcError::invalid(format!("role {role:?} not found")))?;
            let missing = || OidcError::invalid(format!("key {:?} not found", role.key));
            let key = state.keys.get(&role.key).ok_or_else(missing)?;
            if !key.allows(&role.client_id) {
                return Err(OidcError::invalid(format!(
                    "the key {:?} does not list the client ID of the role {:?} as an allowed client ID",
                    role.key, role.name
                )));
            }
            let effective =
                effective.ok_or_else(|| OidcError::invalid("no entity associated with the request's token"))?;
            let Some(private) =
                self.store.barrier.get(&keys::oidc_private(&key.current.id)).await.map_err(crate::StoreError::from)?
            else {
                // The key was rotated just now.
                continue;
            };
            let ttl = role.ttl.min(key.verification_ttl);
            let now = self.store.now();
            let mut claims = Map::new();
            template::add_claims(&mut claims, &role.template, effective, now);
            claims.insert("iss".to_owned(), json!(state.issuer(origin)));
            claims.insert("namespace".to_owned(), json!("root"));
            claims.insert("sub".to_owned(), json!(effective.entity.id));
            claims.insert("aud".to_owned(), json!(role.client_id));
            claims.insert("iat".to_owned(), json!(now.as_second()));
            claims.insert("exp".to_owned(), json!(clock::after(now, ttl).as_second()));
            let Generation { id, algorithm, .. } = &key.current;
            let token = algorithm.token(id, &private.plaintext, &Value::Object(claims))?;
            let warning = (ttl < role.ttl).then(|| {
                format!(
                    "a role's token ttl cannot be longer than the verification_ttl of the key it references, setting \
                     token ttl to {ttl}"
                )
            });
            return Ok(IdToken {
                token: SecretString::new(token),
                client_id: role.client_id.clone(),
                ttl: role.ttl,
                warning,
            });
        }
        Err(OidcError::Signing)
    }

    /// Whether a token is one of this server's, good now, and of an entity that may act. `Err`: why it is not.
    ///
    /// # Errors
    /// The reason, for the answer.
    pub fn introspect(
        &self,
        permit: Permit,
        token: &SecretString,
        client_id: &str,
        origin: &str,
    ) -> Result<(), &'static str> {
        permit.spend();
        if token.len() > MAX_TOKEN_LEN {
            return Err("error parsing token: too long");
        }
        let parsed = signing::parse(token.expose_secret()).ok_or("error parsing token: not a signed token")?;
        let (state, now) = (self.state.load(), self.store.now());
        let generation = state.verifying(now).find(|generation| generation.id == parsed.key_id);
        let holds = generation.is_some_and(|generation| {
            generation.algorithm.verify(&generation.public, parsed.message.as_bytes(), &parsed.signature)
        });
        if !holds {
            return Err("unable to validate the token signature");
        }
        let claims = &parsed.claims;
        let time = |name: &str| claims.get(name).and_then(Value::as_i64);
        if claims.get("iss").and_then(Value::as_str) != Some(&state.issuer(origin)) {
            return Err("error validating claims: validation failed, invalid issuer claim (iss)");
        }
        if time("exp").is_none_or(|end| end <= now.as_second()) {
            return Err("error validating claims: validation failed, token is expired (exp)");
        }
        if time("iat").is_none_or(|start| start > now.as_second() + 60) {
            return Err("error validating claims: validation failed, token issued in the future (iat)");
        }
        if !client_id.is_empty() && claims.get("aud").and_then(Value::as_str) != Some(client_id) {
            return Err("error validating claims: validation failed, invalid audience claim (aud)");
        }
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        match self.identity.standing(subject) {
            Standing::For(_) => Ok(()),
            Standing::Alone => Err("entity was not found"),
            Standing::Refused => Err(self.identity.why_refused(subject)),
        }
    }

    /// What OpenID Connect Discovery asks for: the text of a JSON object.
    #[must_use]
    pub fn discovery(&self, permit: Permit, origin: &str) -> SecretBytes {
        permit.spend();
        let issuer = self.state.load().issuer(origin);
        let told = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/keys"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        });
        SecretBytes::new(told.to_string().into_bytes())
    }

    /// The public parts of all keys that verify now: the text of a JSON Web Key Set.
    #[must_use]
    pub fn public_keys(&self, permit: Permit) -> SecretBytes {
        permit.spend();
        let (state, now) = (self.state.load(), self.store.now());
        let told = state.verifying(now).filter_map(|key| key.algorithm.jwk(&key.id, &key.public));
        SecretBytes::new(json!({ "keys": told.collect::<Vec<Value>>() }).to_string().into_bytes())
    }
}

impl State {
    fn issuer(&self, origin: &str) -> String {
        let base = if self.config.issuer.is_empty() { origin } else { &self.config.issuer };
        format!("{base}/v1/identity/oidc")
    }

    fn verifying(&self, now: clock::Timestamp) -> impl Iterator<Item = &Generation> {
        self.keys.values().flat_map(move |key| key.verifying(now))
    }
}
