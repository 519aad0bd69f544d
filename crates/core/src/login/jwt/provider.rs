//! Providers and their keys: fetched when first wanted, kept, and fetched anew when they are old or a token wants a key
//! that is not known.
//!
//! Whoever invents key ids must not turn this server against the provider: one fetch runs at a time, whoever waited for
//! it uses what it brought, and an [`Allowance`] bounds how often there is one at all, failures included.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{JwtConfig, JwtError};
use crate::{
    clock::{self, Clock, Timestamp},
    login::jose::{Allowance, Claims, KeySet, Token, TokenFault},
    outbound::{Outbound, Request},
    storage::Revision,
    store::Seen,
};

/// Keys older than this are fetched anew when they are next wanted, in seconds.
const FRESH: u64 = 3600;
/// Keys are used for so long while fetching them anew fails, in seconds.
const USABLE: u64 = 24 * 3600;
/// Mounts whose keys are kept at the most.
const MAX_SOURCES: usize = 1024;

/// Where a provider does what, as its discovery document says.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Endpoints {
    pub(super) issuer: String,
    pub(super) jwks_uri: String,
    #[serde(default)]
    pub(super) authorization_endpoint: String,
    #[serde(default)]
    pub(super) token_endpoint: String,
    #[serde(default)]
    pub(super) userinfo_endpoint: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
}

/// A provider as it was when it was last asked.
pub(super) struct Provider {
    keys: KeySet,
    /// What its discovery document says; nothing where keys are given or fetched directly.
    pub(super) endpoints: Endpoints,
    fetched: Timestamp,
}

impl Provider {
    /// Fetches a provider's keys, and before them the document that says where they are.
    ///
    /// # Errors
    /// What went wrong and with which URL.
    pub(super) async fn load(config: &JwtConfig, outbound: &dyn Outbound, now: Timestamp) -> Result<Self, String> {
        if !config.jwt_validation_pubkeys.is_empty() {
            let keys = KeySet::from_pems(&config.jwt_validation_pubkeys)?;
            return Ok(Self { keys, endpoints: Endpoints::default(), fetched: now });
        }
        let (endpoints, ca_pem) = if config.jwks_url.is_empty() {
            (discover(config, outbound).await?, &config.oidc_discovery_ca_pem)
        } else {
            (Endpoints { jwks_uri: config.jwks_url.clone(), ..Endpoints::default() }, &config.jwks_ca_pem)
        };
        let url = &endpoints.jwks_uri;
        let text = fetch(outbound, url, ca_pem).await?;
        let keys = KeySet::from_jwks(&text).ok_or_else(|| format!("{url} holds no JSON Web Key Set"))?;
        Ok(Self { keys, endpoints, fetched: now })
    }
}

async fn discover(config: &JwtConfig, outbound: &dyn Outbound) -> Result<Endpoints, String> {
    let issuer = &config.oidc_discovery_url;
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let text = fetch(outbound, &url, &config.oidc_discovery_ca_pem).await?;
    let endpoints: Endpoints =
        serde_json::from_slice(&text).map_err(|_| format!("{url} holds no provider's configuration"))?;
    if endpoints.issuer != *issuer {
        return Err(format!("{url} names another issuer than the configured oidc_discovery_url"));
    }
    // A document that came safely must not lead to where the rest would not.
    let safe = issuer.starts_with("https://");
    let Endpoints { jwks_uri, authorization_endpoint, token_endpoint, userinfo_endpoint, .. } = &endpoints;
    for endpoint in [jwks_uri, authorization_endpoint, token_endpoint, userinfo_endpoint] {
        if safe && !endpoint.is_empty() && !endpoint.starts_with("https://") {
            return Err(format!("{url} names an endpoint that is not https"));
        }
    }
    Ok(endpoints)
}

async fn fetch(outbound: &dyn Outbound, url: &str, ca_pem: &str) -> Result<Vec<u8>, String> {
    let reply = outbound.send(Request::get(url, ca_pem)).await.map_err(|error| format!("{url}: {error}"))?;
    if reply.status != 200 {
        return Err(format!("{url} answered with status {}", reply.status));
    }
    Ok(reply.body.as_ref().to_vec())
}

/// The provider of one configuration, over time.
pub(super) struct Source {
    revision: Revision,
    config: JwtConfig,
    current: ArcSwapOption<Provider>,
    /// Held while the provider is asked.
    asking: Mutex<Allowance>,
}

/// The providers of all mounts.
pub(super) struct Providers {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    /// By the mount's uuid.
    sources: StdMutex<HashMap<String, Arc<Source>>>,
}

impl Providers {
    pub(super) fn new(outbound: Arc<dyn Outbound>, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, clock, sources: StdMutex::default() }
    }

    /// The provider of a mount's configuration. A configuration that was written anew begins anew.
    pub(super) fn of(&self, mount: &str, config: Seen<JwtConfig>) -> Arc<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sources.get(mount).filter(|known| known.revision == config.revision) {
            return Arc::clone(known);
        }
        if sources.len() >= MAX_SOURCES {
            sources.clear();
        }
        let source = Arc::new(Source {
            revision: config.revision,
            config: config.value,
            current: ArcSwapOption::empty(),
            asking: Mutex::new(Allowance::new()),
        });
        sources.insert(mount.to_owned(), Arc::clone(&source));
        source
    }

    /// The provider as it is known, asked first if nothing is known or what is known is old.
    pub(super) async fn current(&self, source: &Source) -> Result<Arc<Provider>, JwtError> {
        let now = self.clock.now();
        let known = source.current.load_full();
        let is_static = !source.config.jwt_validation_pubkeys.is_empty();
        match known {
            Some(known) if is_static || now < clock::after(known.fetched, FRESH) => Ok(known),
            Some(known) => match self.ask(source, Some(&known)).await {
                Ok(newer) => Ok(newer),
                Err(_) if now < clock::after(known.fetched, USABLE) => Ok(known),
                Err(error) => Err(error),
            },
            None => self.ask(source, None).await,
        }
    }

    /// The claims of a token that one of the provider's keys signed.
    pub(super) async fn verify(&self, source: &Source, token: &Token<'_>) -> Result<Claims, JwtError> {
        token.check_algorithm(&source.config.jwt_supported_algs)?;
        let known = self.current(source).await?;
        if !source.config.jwt_validation_pubkeys.is_empty() {
            // Keys that were given have no id: each is tried.
            return Ok(token.verify(known.keys.all())?);
        }
        match token.verify(known.keys.of(token.key_id())) {
            // A signature that does not fit a known key is a forged one; asking for the key again would not change it.
            Err(TokenFault::Signature) if !known.knows(token) => {}
            verified => return Ok(verified?),
        }
        match self.ask(source, Some(&known)).await {
            Ok(newer) => Ok(token.verify(newer.keys.of(token.key_id()))?),
            Err(_) => Err(TokenFault::Signature.into()),
        }
    }

    /// Asks the provider, unless somebody has since `known`, or it was asked too often.
    async fn ask(&self, source: &Source, known: Option<&Arc<Provider>>) -> Result<Arc<Provider>, JwtError> {
        let mut allowance = source.asking.lock().await;
        if let Some(newer) = source.current.load_full()
            && known.is_none_or(|known| !Arc::ptr_eq(known, &newer))
        {
            return Ok(newer);
        }
        let now = self.clock.now();
        if !allowance.take(now) {
            return Err(JwtError::Keys("the provider was asked for its keys too often; try again shortly".to_owned()));
        }
        let loaded = Provider::load(&source.config, self.outbound.as_ref(), now).await.map_err(|reason| {
            tracing::warn!(reason, "a provider's keys could not be fetched");
            JwtError::Keys(format!("failed to fetch keys: {reason}"))
        })?;
        let loaded = Arc::new(loaded);
        source.current.store(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }
}

impl Provider {
    /// Whether the key that the token names is known. One that names none may be signed by a key that is not.
    fn knows(&self, token: &Token<'_>) -> bool {
        token.key_id().is_some_and(|id| self.keys.of(Some(id)).next().is_some())
    }
}
