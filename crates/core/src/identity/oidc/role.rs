//! Roles: what identity tokens say, and for whom.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Oidc, OidcError, check_name, key, template};
use crate::{door::Permit, keys};

/// How long a token is good for if nobody says otherwise: a day, in seconds.
const DEFAULT_TTL: u64 = 86_400;

/// Characters of a client id that is made up.
const CLIENT_ID_CHARS: usize = 26;

/// The longest template and client id, in bytes.
const MAX_TEMPLATE: usize = 64 * 1024;
const MAX_CLIENT_ID: usize = 512;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcRole {
    /// Its name.
    pub name: String,
    /// The key that signs.
    pub key: String,
    /// What is in a token besides what always is: the text of a JSON object with directives.
    pub template: String,
    /// For how many seconds a token is good.
    pub ttl: u64,
    /// For whom the tokens are: their audience.
    pub client_id: String,
}

/// What somebody says of a role. `None`: it stays, or is as usual.
#[derive(Debug, Default)]
pub struct RoleInput {
    /// The key that signs.
    pub key: Option<String>,
    /// The text of a JSON object with directives, or that in base64.
    pub template: Option<String>,
    /// For how many seconds a token is good.
    pub ttl: Option<u64>,
    /// The tokens' audience; none for a new role: one is made up.
    pub client_id: Option<String>,
}

impl Oidc {
    /// Makes or changes a role.
    ///
    /// # Errors
    /// When there is no such key, its tokens would outlive it, or the template is none.
    pub async fn write_role(&self, permit: Permit, name: &str, input: RoleInput) -> Result<(), OidcError> {
        permit.spend();
        check_name(name)?;
        let _changing = self.changing.lock().await;
        let was = self.state.load().roles.get(name).map(|role| OidcRole::clone(role));
        let mut role = was.unwrap_or_else(|| OidcRole {
            name: name.to_owned(),
            key: String::new(),
            template: String::new(),
            ttl: DEFAULT_TTL,
            client_id: String::new(),
        });
        role.key = input.key.unwrap_or(role.key);
        role.ttl = input.ttl.unwrap_or(role.ttl);
        role.client_id = input.client_id.unwrap_or(role.client_id);
        if let Some(given) = input.template {
            role.template = plain(given);
        }
        if role.key.is_empty() {
            return Err(OidcError::invalid("the key parameter is required"));
        }
        if role.template.len() > MAX_TEMPLATE || role.client_id.len() > MAX_CLIENT_ID {
            return Err(OidcError::invalid("a template has at most 65536 bytes, a client_id 512"));
        }
        template::check(&role.template, self.store.now())?;
        if role.key == key::DEFAULT {
            self.ensure_default_key().await?;
        }
        let key = self.state.load().keys.get(&role.key).cloned();
        let key = key.ok_or_else(|| OidcError::invalid(format!("cannot find key {:?}", role.key)))?;
        if role.ttl > key.verification_ttl {
            return Err(OidcError::invalid(
                "a role's token ttl cannot be longer than the verification_ttl of the key it references",
            ));
        }
        if role.client_id.is_empty() {
            role.client_id = self.store.random.base62(CLIENT_ID_CHARS)?.expose_secret().to_owned();
        }
        self.store.write(keys::oidc_role(name), &role).await?;
        Ok(self.reload().await?)
    }

    /// A role.
    #[must_use]
    pub fn role(&self, permit: Permit, name: &str) -> Option<Arc<OidcRole>> {
        permit.spend();
        self.state.load().roles.get(name).cloned()
    }

    /// The names of all roles.
    #[must_use]
    pub fn role_names(&self, permit: Permit) -> Vec<String> {
        permit.spend();
        self.state.load().roles.keys().cloned().collect()
    }

    /// Removes a role; its tokens stay good. One that is not there is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_role(&self, permit: Permit, name: &str) -> Result<(), OidcError> {
        permit.spend();
        let _changing = self.changing.lock().await;
        self.store.delete(keys::oidc_role(name)).await?;
        Ok(self.reload().await?)
    }
}

/// A template may come in base64.
fn plain(given: String) -> String {
    let decoded = STANDARD.decode(given.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(given)
}
