//! Login with a token that the client has, and the trust that it rests on.

use std::{net::IpAddr, sync::Arc};

use super::{
    Jwt, JwtError, JwtRole, RoleType,
    claims::{audiences, check_bound, groups, metadata, user},
    mount_of,
    provider::Source,
};
use crate::{
    door::Permit,
    keys,
    login::{
        LoginIdentity, TokenSettings,
        issue::Proven,
        jose::{Claims, Token, TokenFault, check_times},
        name_of,
    },
    mount::Mount,
    secret::SecretString,
    store::Seen,
    token::{Entry, Issued, address_allowed},
};

/// The entry of a token's metadata that names its role.
pub(super) const ROLE: &str = "role";

/// What a token proved at a role: everything that a login goes on with.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The role.
    pub role: String,
    /// Who it is, as the role reads the token.
    pub identity: LoginIdentity,
    /// All that the token says.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// Which token of ours that is worth.
    pub settings: TokenSettings,
}

impl Jwt {
    /// Logs in with a token, at `role` or, if that is empty, the mount's default.
    ///
    /// # Errors
    /// When the token is not good for the role.
    pub async fn login(&self, permit: Permit, role: &str, jwt: &SecretString) -> Result<Issued, JwtError> {
        let (mount, path) = (mount_of(&permit)?, permit.path().to_owned());
        let trusted = self.verify(permit, role, jwt).await?;
        self.issue(&mount, path, trusted).await
    }

    /// Judges a token as [`Jwt::login`] does, and issues none. The permit is that of the mount's login path.
    ///
    /// # Errors
    /// When the token is not good for the role.
    pub async fn verify(&self, permit: Permit, role: &str, jwt: &SecretString) -> Result<Trusted, JwtError> {
        let (mount, from) = (mount_of(&permit)?, permit.remote());
        permit.spend();
        let config = self.require_config(&mount).await?;
        let (name, role) = self.role_for(&mount, role, &config.value.default_role).await?;
        if role.role_type == RoleType::Oidc {
            return Err(JwtError::Invalid("role with oidc role_type is not allowed".to_owned()));
        }
        if jwt.is_empty() {
            return Err(JwtError::Invalid("missing token".to_owned()));
        }
        check_source(&role, from)?;
        let issuer = config.value.bound_issuer.clone();
        let source = self.providers.of(&mount.uuid, config);
        let claims = self.verify_claims(&source, jwt, &role).await?;
        if !issuer.is_empty() && claims.get("iss").and_then(|iss| iss.as_str()) != Some(&issuer) {
            return Err(TokenFault::Claim("invalid issuer (iss) claim").into());
        }
        check_subject(&role, &claims)?;
        check_audience(&role, &claims)?;
        identify(name, role, claims)
    }

    /// The claims of a token whose signature and times are good.
    pub(super) async fn verify_claims(
        &self,
        source: &Arc<Source>,
        jwt: &SecretString,
        role: &JwtRole,
    ) -> Result<Claims, JwtError> {
        let token = Token::parse(jwt)?;
        let claims = self.providers.verify(source, &token).await?;
        check_times(&claims, role.leeways(), self.store.now())?;
        Ok(claims)
    }

    /// A role by its name, or the default where none is given.
    pub(super) async fn role_for(
        &self,
        mount: &Mount,
        given: &str,
        default: &str,
    ) -> Result<(String, JwtRole), JwtError> {
        let given = if given.is_empty() { default } else { given };
        if given.is_empty() {
            return Err(JwtError::Invalid("missing role".to_owned()));
        }
        let gone = || JwtError::NoRole(given.chars().take(80).collect());
        let name = name_of(given).map_err(|_| gone())?;
        let found: Option<Seen<JwtRole>> = self.store.read(&keys::login_role(&mount.uuid, &name)).await?;
        Ok((name, found.ok_or_else(gone)?.value))
    }

    pub(super) async fn issue(&self, mount: &Mount, path: String, trusted: Trusted) -> Result<Issued, JwtError> {
        Ok(self.issuer.issue(proven(mount, path, &trusted)).await?)
    }

    /// What the token of a login would be, for one that gets something else in its place.
    pub(crate) async fn prepare(&self, mount: &Mount, path: String, trusted: &Trusted) -> Result<Entry, JwtError> {
        Ok(self.issuer.prepare(proven(mount, path, trusted)).await?.0)
    }
}

fn proven<'a>(mount: &'a Mount, path: String, trusted: &'a Trusted) -> Proven<'a> {
    let Trusted { role, identity, settings, .. } = trusted;
    let mut meta = identity.metadata.clone();
    // Last, so that no claim can name another role.
    meta.insert(ROLE.to_owned(), role.clone());
    let bound_cidrs = settings.bound_cidrs.clone();
    Proven { mount, path, name: &identity.alias, meta, settings, bound_cidrs, identity: identity.clone() }
}

pub(super) fn check_source(role: &JwtRole, from: Option<IpAddr>) -> Result<(), JwtError> {
    if address_allowed(&role.token.bound_cidrs, from) { Ok(()) } else { Err(JwtError::Denied) }
}

pub(super) fn check_subject(role: &JwtRole, claims: &Claims) -> Result<(), JwtError> {
    let subject = claims.get("sub").and_then(|subject| subject.as_str());
    if !role.bound_subject.is_empty() && subject != Some(&role.bound_subject) {
        return Err(TokenFault::Claim("invalid subject (sub) claim").into());
    }
    Ok(())
}

/// A token that says whom it is for must be for the role: one made for somebody else is not good here.
fn check_audience(role: &JwtRole, claims: &Claims) -> Result<(), JwtError> {
    let audiences = audiences(claims);
    match (role.bound_audiences.is_empty(), audiences.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => {
            Err(JwtError::Claims("audience claim found in JWT but no audiences bound to the role".to_owned()))
        }
        _ if role.bound_audiences.iter().any(|bound| audiences.contains(&bound.as_str())) => Ok(()),
        _ => {
            Err(TokenFault::Claim("invalid audience (aud) claim: audience claim does not match any expected audience")
                .into())
        }
    }
}

/// Holds the claims against the role, and reads from them who it is.
pub(super) fn identify(name: String, role: JwtRole, claims: Claims) -> Result<Trusted, JwtError> {
    let mut metadata = metadata(&role, &claims)?;
    metadata.insert(ROLE.to_owned(), name.clone());
    let identity = LoginIdentity { alias: user(&role, &claims)?, metadata, groups: groups(&role, &claims)? };
    check_bound(&role, &claims)?;
    Ok(Trusted { role: name, identity, claims, settings: role.token })
}
