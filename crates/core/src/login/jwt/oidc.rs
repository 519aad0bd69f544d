//! Login through a browser: the authorization code flow of OpenID Connect, with PKCE.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    Jwt, JwtConfig, JwtError, JwtRole, RoleType,
    claims::audiences,
    flow::Flow,
    login::{check_source, check_subject, identify},
    mount_of,
    provider::{Endpoints, Source},
    redirect,
};
use crate::{
    barrier::{Mac, MacPurpose},
    door::Permit,
    login::jose::Claims,
    mount::Mount,
    outbound::{Body, Credential, Request},
    secret::{SecretBytes, SecretString},
    token::Issued,
};

/// Letters and digits of a state, a nonce (119 bits) and a PKCE verifier (380 bits; 43 to 128 are allowed).
const STATE_LENGTH: usize = 20;
const VERIFIER_LENGTH: usize = 64;
/// The longest client nonce and code, in bytes.
const MAX_PARAMETER: usize = 4096;

/// What need not be escaped in a query or form (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the provider sent the browser back with.
#[derive(Debug, Clone, Default)]
pub struct Callback {
    /// Which login it is.
    pub state: SecretString,
    /// What the token endpoint gives an ID token for.
    pub code: SecretString,
    /// What the client said when it began.
    pub client_nonce: SecretString,
    /// Why there is no code.
    pub error: String,
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<SecretString>,
    #[serde(default)]
    access_token: SecretString,
}

impl Jwt {
    /// Begins a login: the URL that the browser is sent to. Empty if the role does not allow it; this path is open to
    /// everybody, so the answer does not say why.
    ///
    /// # Errors
    /// When the mount is not for such logins, or a parameter is missing.
    pub async fn auth_url(
        &self,
        permit: Permit,
        role: &str,
        redirect_uri: &str,
        client_nonce: SecretString,
    ) -> Result<String, JwtError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        let config = self.require_config(&mount).await?;
        if !config.value.is_flow() {
            return Err(JwtError::Invalid("OIDC login is not configured for this mount".to_owned()));
        }
        let (name, role) = self.role_for(&mount, role, &config.value.default_role).await?;
        if redirect_uri.is_empty() {
            return Err(JwtError::Invalid("missing redirect_uri".to_owned()));
        }
        if client_nonce.len() > MAX_PARAMETER {
            return Err(JwtError::Invalid("client_nonce is longer than 4096 bytes".to_owned()));
        }
        if role.role_type != RoleType::Oidc || !redirect::is_allowed(redirect_uri, &role.allowed_redirect_uris) {
            tracing::debug!(role = name, "a login through a browser was refused: wrong role_type or redirect_uri");
            return Ok(String::new());
        }
        let client_id = config.value.oidc_client_id.clone();
        let source = self.providers.of(&mount.uuid, config);
        let Ok(provider) = self.providers.current(&source).await else { return Ok(String::new()) };
        if provider.endpoints.authorization_endpoint.is_empty() || provider.endpoints.token_endpoint.is_empty() {
            tracing::warn!("the provider's configuration names no authorization_endpoint or no token_endpoint");
            return Ok(String::new());
        }
        let random = &self.store.random;
        let (state, nonce) = (random.base62(STATE_LENGTH)?, random.base62(STATE_LENGTH)?);
        let flow = Flow {
            mount: mount.uuid.clone(),
            role: name,
            redirect_uri: redirect_uri.to_owned(),
            nonce,
            verifier: random.base62(VERIFIER_LENGTH)?,
            client_nonce,
        };
        let url = authorization_url(&provider.endpoints, &client_id, &role, &flow, &state);
        self.flows.begin(self.hash(&state), flow, self.store.now());
        Ok(url)
    }

    /// Ends a login: exchanges the code for an ID token and judges that. The state is used up, whatever comes of it.
    ///
    /// # Errors
    /// When the state is not one of this mount, or the provider or its token are not good.
    pub async fn callback(&self, permit: Permit, callback: Callback) -> Result<Issued, JwtError> {
        let (mount, path, from) = (mount_of(&permit)?, permit.path().to_owned(), permit.remote());
        permit.spend();
        let config = self.require_config(&mount).await?;
        let flow = self.take(&mount, &callback.state)?;
        check_callback(&callback, &flow)?;
        let (name, role) = match self.role_for(&mount, &flow.role, "").await {
            Err(JwtError::NoRole(_)) => return Err(JwtError::Flow("Role could not be found".to_owned())),
            found => found?,
        };
        check_source(&role, from)?;
        let settings = config.value.clone();
        let source = self.providers.of(&mount.uuid, config);
        let endpoints = self.providers.current(&source).await?.endpoints.clone();
        let tokens = self.exchange(&settings, &endpoints, &flow, &callback.code).await?;
        let id_token =
            tokens.id_token.ok_or_else(|| failed("Token verification failed. No id_token found in response."))?;
        let mut claims = self.judge(&source, &settings, &role, &flow, &id_token).await?;
        self.add_user_info(&settings, &endpoints, tokens.access_token, &mut claims).await;
        let trusted = identify(name, role, claims)?;
        self.issue(&mount, path, trusted).await
    }

    fn take(&self, mount: &Mount, state: &SecretString) -> Result<Flow, JwtError> {
        let flow = self.flows.take(self.hash(state), self.store.now());
        let flow = flow.filter(|flow| flow.mount == mount.uuid);
        flow.ok_or_else(|| failed("Expired or missing OAuth state."))
    }

    fn hash(&self, state: &SecretString) -> Mac {
        self.store.barrier.mac(MacPurpose::SecretId, &[b"oidc-state\0", state.expose_secret().as_bytes()])
    }

    /// Gives the code to the token endpoint.
    async fn exchange(
        &self,
        config: &JwtConfig,
        endpoints: &Endpoints,
        flow: &Flow,
        code: &SecretString,
    ) -> Result<Tokens, JwtError> {
        let (client, secret) = (config.oidc_client_id.as_str(), &config.oidc_client_secret);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &flow.redirect_uri),
            ("code_verifier", flow.verifier.expose_secret()),
        ];
        let methods = &endpoints.token_endpoint_auth_methods_supported;
        let in_form = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let credential = if in_form {
            form.extend([("client_id", client), ("client_secret", secret.expose_secret())]);
            Credential::None
        } else {
            // RFC 6749, section 2.3.1: both are escaped as in a form before they are joined.
            Credential::Basic(escape(client), SecretString::new(escape(secret.expose_secret())))
        };
        let request = Request {
            url: endpoints.token_endpoint.clone(),
            ca_pem: config.oidc_discovery_ca_pem.clone(),
            credential,
            headers: Vec::new(),
            body: Some(Body::Form(encode_form(&form))),
        };
        let reply = self.outbound.send(request).await;
        let reply = reply.map_err(|error| failed(format!("Error exchanging oidc code: {error}.")))?;
        if reply.status != 200 {
            return Err(failed(format!("Error exchanging oidc code: the provider answered {}.", reply.status)));
        }
        serde_json::from_slice(reply.body.as_ref())
            .map_err(|_| failed("Error exchanging oidc code: the provider's answer cannot be read."))
    }

    /// The claims of an ID token that is the answer to `flow` (OpenID Connect Core, section 3.1.3.7).
    async fn judge(
        &self,
        source: &std::sync::Arc<Source>,
        config: &JwtConfig,
        role: &JwtRole,
        flow: &Flow,
        id_token: &SecretString,
    ) -> Result<Claims, JwtError> {
        let verified = self.verify_claims(source, id_token, role).await;
        let mut claims = verified.map_err(|error| failed(format!("Token verification failed. {error}")))?;
        let text = |name: &str| claims.get(name).and_then(|value| value.as_str());
        let refused = |what: &str| Err(failed(format!("Token verification failed. {what}")));
        if text("iss") != Some(&config.oidc_discovery_url) {
            return refused("invalid issuer (iss) claim");
        }
        let audiences = audiences(&claims);
        if !audiences.contains(&config.oidc_client_id.as_str()) {
            return refused("invalid audience (aud) claim: it does not hold the client id");
        }
        if text("azp").is_some_and(|party| party != config.oidc_client_id) {
            return refused("invalid authorized party (azp) claim");
        }
        let bound = &role.bound_audiences;
        if !bound.is_empty() && !bound.iter().any(|bound| audiences.contains(&bound.as_str())) {
            return refused("invalid audience (aud) claim: audience claim does not match any expected audience");
        }
        let nonce = text("nonce").unwrap_or_default();
        if verify_slices_are_equal(nonce.as_bytes(), flow.nonce.expose_secret().as_bytes()).is_err() {
            return refused("invalid ID token nonce.");
        }
        if role.max_age > 0 {
            let latest = claims.get("auth_time").and_then(serde_json::Value::as_u64).unwrap_or(0);
            let until = latest.saturating_add(role.max_age).saturating_add(60);
            if until < u64::try_from(self.store.now().as_second()).unwrap_or(0) {
                return refused("the user was last asked for a password longer ago than max_age");
            }
        }
        check_subject(role, &claims)?;
        claims.remove("nonce");
        Ok(claims)
    }

    /// Adds what the provider tells of the user besides the ID token. What the token says stays: it is signed. Having
    /// nothing to add is no failure.
    async fn add_user_info(&self, config: &JwtConfig, endpoints: &Endpoints, token: SecretString, claims: &mut Claims) {
        if endpoints.userinfo_endpoint.is_empty() || token.is_empty() {
            return;
        }
        let request = Request {
            credential: Credential::Bearer(token),
            ..Request::get(&endpoints.userinfo_endpoint, &config.oidc_discovery_ca_pem)
        };
        let info = match self.outbound.send(request).await {
            Ok(reply) if reply.status == 200 => serde_json::from_slice::<Claims>(reply.body.as_ref()).ok(),
            _ => None,
        };
        match info {
            // Section 5.3.2: an answer about somebody else must not be used.
            Some(info) if info.get("sub") == claims.get("sub") => {
                for (name, value) in info {
                    claims.entry(name).or_insert(value);
                }
            }
            _ => tracing::warn!("the provider's userinfo_endpoint gave nothing that could be used"),
        }
    }
}

/// What can be told of a callback before the provider is asked.
fn check_callback(callback: &Callback, flow: &Flow) -> Result<(), JwtError> {
    const KNOWN: [&str; 7] = [
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
    ];
    let error = callback.error.trim().to_lowercase();
    if !error.is_empty() {
        let known = KNOWN.iter().find(|known| **known == error);
        return Err(failed(*known.unwrap_or(&"The provider answered with an error that is not known.")));
    }
    let shown = callback.client_nonce.expose_secret().as_bytes();
    let begun_with = flow.client_nonce.expose_secret().as_bytes();
    if !begun_with.is_empty() && verify_slices_are_equal(shown, begun_with).is_err() {
        return Err(JwtError::Invalid("invalid client_nonce".to_owned()));
    }
    if callback.code.is_empty() || callback.code.len() > MAX_PARAMETER {
        return Err(failed("No code or id_token received."));
    }
    Ok(())
}

fn authorization_url(
    endpoints: &Endpoints,
    client_id: &str,
    role: &JwtRole,
    flow: &Flow,
    state: &SecretString,
) -> String {
    let challenge = digest::digest(&digest::SHA256, flow.verifier.expose_secret().as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(challenge.as_ref());
    let scopes = role
        .oidc_scopes
        .iter()
        .filter(|scope| *scope != "openid")
        .fold("openid".to_owned(), |all, scope| format!("{all} {scope}"));
    let max_age = role.max_age.to_string();
    let mut pairs = vec![
        ("client_id", client_id),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("nonce", flow.nonce.expose_secret()),
        ("redirect_uri", &flow.redirect_uri),
        ("response_type", "code"),
        ("scope", &scopes),
        ("state", state.expose_secret()),
    ];
    if role.max_age > 0 {
        pairs.push(("max_age", &max_age));
    }
    let endpoint = &endpoints.authorization_endpoint;
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    let query = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&");
    format!("{endpoint}{mark}{query}")
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Into a buffer that does not grow: growing would leave a copy of the secrets behind.
fn encode_form(pairs: &[(&str, &str)]) -> SecretBytes {
    let room = pairs.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut text = String::with_capacity(room);
    for (name, value) in pairs {
        let mark = if text.is_empty() { "" } else { "&" };
        // Writing to memory cannot fail.
        _ = write!(text, "{mark}{name}={}", utf8_percent_encode(value, ESCAPED));
    }
    SecretBytes::new(text.into_bytes())
}

fn failed(text: impl Into<String>) -> JwtError {
    JwtError::Flow(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_escaped() {
        let form = encode_form(&[("a", "x y&b=1"), ("c", "ü+~")]);
        assert_eq!(form.as_ref(), b"a=x%20y%26b%3D1&c=%C3%BC%2B~");
    }
}
