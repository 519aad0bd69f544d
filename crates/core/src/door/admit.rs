//! Admission: find the token, ask the policy, write the audit log, hand out the permit.

use std::{
    cell::{Cell, OnceCell},
    net::IpAddr,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, Ask, Caller, Credential, Exchange, Permit, special};
use crate::{
    audit::AuditFailure,
    core::Core,
    identity::Standing,
    mount::{Engine, Routed},
    policy::{AclAsk, Decision, Grant, Operation},
    secret::SecretString,
    store::StoreError,
    token::{self, Presented},
};

/// Why somebody is turned away.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No token, a token that is not good, or a policy that does not allow it. One text for all of them, so that
    /// an answer does not tell which.
    #[error("permission denied")]
    Denied,
    /// No audit device could record the request.
    #[error("internal error: no audit device could record the request")]
    NotAudited,
    /// The wrapping token that the request is about is none, or no longer.
    #[error("wrapping token is not valid or does not exist")]
    NotWrapping,
    /// Nothing is mounted there; told only to those with a good token.
    #[error("no handler for route {0:?}. route entry not found.")]
    NoRoute(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Core {
    /// Checks and records a request. Whatever comes of it, the exchange must be concluded before the answer leaves.
    pub async fn admit<'a>(&'a self, ask: Ask<'a>) -> (Exchange<'a>, Result<Permit, Refusal>) {
        let routed = self.mounts().route(ask.path);
        let mut exchange = Exchange::new(self, ask, routed.as_ref().map(|routed| Arc::clone(&routed.mount)));
        let decided = self.decide(&mut exchange, routed).await;
        let refusal = decided.as_ref().err().map(ToString::to_string);
        if exchange.decided(refusal).await.is_err() {
            return (exchange, Err(Refusal::NotAudited));
        }
        (exchange, decided)
    }

    /// Records a request that is turned away before anybody looks at it, as over a rate limit.
    ///
    /// # Errors
    /// When no audit device could record it.
    pub async fn turn_away(&self, ask: Ask<'_>, reason: &str) -> Result<(), AuditFailure> {
        let routed = self.mounts().route(ask.path);
        let mut exchange = Exchange::new(self, ask, routed.map(|routed| routed.mount));
        exchange.decided(Some(reason.to_owned())).await?;
        exchange.conclude(Answer { error: Some(reason), ..Answer::default() }).await
    }

    async fn decide(&self, exchange: &mut Exchange<'_>, routed: Option<Routed>) -> Result<Permit, Refusal> {
        let Some(routed) = routed else {
            // What is not mounted is told only to those who might use it if it were.
            let caller = self.identify(exchange, true).await?.ok_or(Refusal::Denied)?;
            ask_policy(exchange, &caller, exchange.operation).ok_or(Refusal::Denied)?;
            return Err(Refusal::NoRoute(exchange.ask.path.to_owned()));
        };
        let rest = routed.rest(exchange.ask.path);
        let engine = routed.mount.engine;
        let unwraps_own = special::is_about_wrapping(engine, rest) && self.check_wrapping_token(exchange).await?;
        if special::is_open(engine, rest) || (self.open_ceremonies && special::is_ceremony(engine, rest)) {
            // No token is needed, so none is used.
            let caller = self.identify(exchange, false).await?;
            return Ok(permit(exchange, &routed, caller, Grant::default(), true));
        }
        // A wrapping token that was good a moment ago and is not now was used by somebody else.
        let unknown = if unwraps_own { Refusal::NotWrapping } else { Refusal::Denied };
        let caller = self.identify(exchange, true).await?.ok_or(unknown)?;
        let address = exchange.ask.remote.map(|remote| remote.ip());
        if engine == Engine::Kv2 && !self.projects().trusts(&routed.mount, rest, address) {
            return Err(Refusal::Denied);
        }
        exchange.operation = self.create_or_update(exchange.ask.operation, &routed, rest, &caller).await?;
        let grant = ask_policy(exchange, &caller, exchange.operation).ok_or(Refusal::Denied)?;
        if special::needs_sudo(engine, rest) && !grant.sudo && !grant.root {
            return Err(Refusal::Denied);
        }
        let either_write = match exchange.operation {
            Operation::Create => ask_policy(exchange, &caller, Operation::Update).is_some(),
            Operation::Update => ask_policy(exchange, &caller, Operation::Create).is_some(),
            _ => true,
        };
        Ok(permit(exchange, &routed, Some(caller), grant, either_write))
    }

    /// Finds out who asks. A counted token loses a use here if the path asks for one, whatever comes of the request.
    async fn identify(&self, exchange: &mut Exchange<'_>, uses: bool) -> Result<Option<Arc<Caller>>, StoreError> {
        let presented = match exchange.ask.credential {
            None => None,
            Some(Credential::Token(token)) => self.tokens().resolve(token).await?,
            Some(Credential::AccessKey(proven)) => Some(proven.presented.clone()),
            Some(Credential::Known(known)) => Some(known.presented.clone()),
        };
        let Some(mut presented) = presented else { return Ok(None) };
        let address = exchange.ask.remote.map(|remote| remote.ip());
        if !token::address_allowed(&presented.entry.bound_cidrs, address) {
            return Ok(None);
        }
        let standing = self.identity().standing(&presented.entry.entity_id);
        if matches!(standing, Standing::Refused) {
            return Ok(None);
        }
        if uses && presented.entry.uses > 0 {
            match Box::pin(self.tokens().take_use(presented)).await? {
                None => return Ok(None),
                Some(counted) => presented = counted,
            }
        }
        let caller = Arc::new(self.caller(presented, standing));
        exchange.caller = Some(Arc::clone(&caller));
        Ok(Some(caller))
    }

    fn caller(&self, Presented { id, entry }: Presented, standing: Standing) -> Caller {
        let (acl, identity) = match standing {
            Standing::For(effective) => {
                let access = self.policies().access(&entry.policies, &effective);
                (access.acl, Some((effective, access.policies)))
            }
            Standing::Alone | Standing::Refused => (self.policies().acl(&entry.policies), None),
        };
        Caller { id, entry, acl, identity }
    }

    /// Whose token it is now, for an answer that goes on after its request was checked and recorded. `None`: it is not
    /// good any longer, or not from there.
    pub(crate) async fn caller_again(
        &self,
        token: &SecretString,
        from: Option<IpAddr>,
    ) -> Result<Option<Caller>, StoreError> {
        let Some(presented) = self.tokens().resolve(token).await? else { return Ok(None) };
        let standing = self.identity().standing(&presented.entry.entity_id);
        if !token::address_allowed(&presented.entry.bound_cidrs, from) || matches!(standing, Standing::Refused) {
            return Ok(None);
        }
        Ok(Some(self.caller(presented, standing)))
    }

    /// Refuses unless the wrapping token in the request's parameters, or else the caller's own, is good. Whether it is
    /// the caller's own.
    async fn check_wrapping_token(&self, exchange: &Exchange<'_>) -> Result<bool, Refusal> {
        #[derive(Deserialize)]
        struct Named {
            token: Option<SecretString>,
        }
        let data = exchange.ask.data.expose_secret();
        let named = if data.is_empty() {
            None
        } else {
            let read: Named = serde_json::from_slice(data).map_err(|_| Refusal::NotWrapping)?;
            read.token.filter(|token| !token.is_empty())
        };
        let token = named.as_ref().or(exchange.ask.token()).ok_or(Refusal::Denied)?;
        if self.wrapping().is_good(token).await? { Ok(named.is_none()) } else { Err(Refusal::NotWrapping) }
    }

    /// A write to what does not exist yet is a `Create`, for engines that can tell.
    async fn create_or_update(
        &self,
        asked: Operation,
        routed: &Routed,
        rest: &str,
        caller: &Caller,
    ) -> Result<Operation, StoreError> {
        if asked != Operation::Update {
            return Ok(asked);
        }
        let mount = &routed.mount;
        let exists = match mount.engine {
            Engine::Kv1 | Engine::Kv2 => self.kv().exists(mount, rest).await?,
            Engine::AppRole | Engine::UserPass | Engine::Jwt | Engine::Oidc | Engine::Kubernetes | Engine::Cert => {
                self.login_exists(mount, rest).await?
            }
            Engine::Token => match rest.strip_prefix("roles/") {
                Some(name) => self.tokens().find_role(name).await?.is_some(),
                None => true,
            },
            Engine::Cubbyhole => self.cubbyhole().exists(caller, rest).await?,
            Engine::Identity => rest.strip_prefix("oidc/").is_none_or(|rest| self.oidc().exists(rest)),
            Engine::Database => self.database().exists(mount, rest).await?,
            Engine::System => true,
        };
        Ok(if exists { Operation::Update } else { Operation::Create })
    }
}

/// What the caller's policies grant for `operation`, if they do. Parameters that cannot be read deny: a rule about them
/// could not be held to.
fn ask_policy(exchange: &Exchange<'_>, caller: &Caller, operation: Operation) -> Option<Grant> {
    let parsed: OnceCell<Option<Map<String, Value>>> = OnceCell::new();
    let data = exchange.ask.data.expose_secret();
    let unreadable = Cell::new(false);
    let parse = || {
        let read = if data.is_empty() { Ok(None) } else { serde_json::from_slice(data).map(Some) };
        read.unwrap_or_else(|_| {
            unreadable.set(true);
            None
        })
    };
    let parameters = || parsed.get_or_init(parse).as_ref();
    let ask = AclAsk { path: exchange.ask.path, operation, parameters: &parameters, wrap_ttl: exchange.ask.wrap_ttl };
    match caller.acl.allows(&ask) {
        Decision::Granted(grant) if !unreadable.get() => Some(grant),
        Decision::Granted(_) | Decision::Denied(_) => None,
    }
}

pub(super) fn permit(
    exchange: &Exchange<'_>,
    routed: &Routed,
    caller: Option<Arc<Caller>>,
    grant: Grant,
    either_write: bool,
) -> Permit {
    Permit {
        path: exchange.ask.path.to_owned(),
        operation: exchange.operation,
        caller,
        sudo: grant.root || grant.sudo,
        either_write,
        mount: Arc::clone(&routed.mount),
        remote: exchange.ask.remote.map(|remote| remote.ip()),
        certificates: None,
    }
}
