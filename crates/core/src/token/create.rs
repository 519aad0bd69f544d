//! Issuing tokens: the rules of `auth/token/create`, and what every login ends with.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;

use super::{
    BATCH_PREFIX, Entry, MAX_ISSUER_PATH, MAX_TOKEN_LEN, Role, RoleTokenType, SERVICE_PREFIX, TokenError, TokenId,
    TokenKind, Tokens, sanitize_policies,
    ttl::{Bounds, tighter},
};
use crate::{
    barrier::Batch,
    clock,
    door::{Caller, Permit},
    identity::IdentityError,
    keys,
    login::LoginIdentity,
    mount::DEFAULT_LEASE_TTL,
    policy::builtin::{NameUse, validate_name},
    secret::{SecretBytes, SecretString},
    storage::{Commit, Key},
    store::{Store, StoreError},
};

/// Characters of a service token after its prefix, and of an accessor: 142 bits.
const TOKEN_CHARS: usize = 24;

/// Policies of one token at the most.
const MAX_POLICIES: usize = 256;
/// Entries of a token's metadata at the most, and the longest key and value in bytes: as for secrets.
const MAX_META: usize = 64;
const MAX_META_KEY: usize = 128;
const MAX_META_VALUE: usize = 512;

/// What `auth/token/create` takes. Durations in seconds; `None`: not given.
#[derive(Debug, Default)]
pub struct CreateToken {
    /// A token of the caller's choosing; needs sudo.
    pub id: Option<SecretString>,
    /// Policies; none: the parent's, or what the role allows.
    pub policies: Vec<String>,
    /// Shown in look-ups and audit logs.
    pub meta: BTreeMap<String, String>,
    /// Make an orphan; needs sudo.
    pub no_parent: bool,
    /// Leave out the `default` policy.
    pub no_default_policy: bool,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// Seconds to live.
    pub ttl: u64,
    /// `service`, `batch` or empty.
    pub kind: String,
    /// Seconds after which it ends whatever happens.
    pub explicit_max_ttl: u64,
    /// Shown as `token-<display_name>`.
    pub display_name: String,
    /// Requests it is good for; 0: unlimited.
    pub num_uses: i64,
    /// Seconds that each renewal gives; needs sudo.
    pub period: u64,
    /// The alias, at `auth/token/`, of the entity that it is to stand for; only with a role that allows it.
    pub entity_alias: String,
}

/// A token at the moment it is issued: the only time that it is seen.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SecretString,
    /// What is known of it.
    pub entry: Entry,
    /// Its policies and those of its entity; sorted.
    pub policies: Vec<String>,
    /// Those of its entity; sorted.
    pub identity_policies: Vec<String>,
    /// What there is to say about it.
    pub warnings: Vec<String>,
}

impl Tokens {
    /// Issues a child of the caller's token (`auth/token/create`, `create-orphan` with `orphan`, `create/<role>`).
    ///
    /// # Errors
    /// When a rule forbids it: see [`TokenError::Invalid`]'s text.
    pub async fn create(
        &self,
        permit: Permit,
        ask: CreateToken,
        role: Option<&str>,
        orphan: bool,
    ) -> Result<Issued, TokenError> {
        let sudo = permit.has_sudo();
        let path = permit.path().to_owned();
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        let role = match role {
            None => None,
            Some(name) => {
                let unknown = || TokenError::invalid(format!("unknown role {name}"));
                Some(self.find_role(name).await?.ok_or_else(unknown)?)
            }
        };
        check_parent(&caller)?;
        check_bounds(&ask)?;
        let kind = kind_of(&ask, role.as_ref())?;
        let mut warnings = Vec::new();
        let policies = self.policies_of(&ask, role.as_ref(), &caller, sudo)?;
        check_root(&policies, &caller, kind)?;
        let orphan = match &role {
            Some(role) => role.orphan || orphan,
            None if ask.no_parent && !sudo => {
                return Err(TokenError::invalid("root or sudo privileges required to create orphan token"));
            }
            None => ask.no_parent || orphan,
        };
        if ask.period > 0 && !sudo {
            return Err(TokenError::invalid("root or sudo privileges required to create periodic token"));
        }
        let id = check_id(ask.id.as_ref(), sudo)?;
        let mut entry = draft(&ask, role.as_ref(), kind, path, policies, self.store.now());
        entry.parent = (!orphan).then(|| caller.id().clone());
        entry.entity_id = self.entity_of(&ask, role.as_ref(), &caller, orphan).await?;
        entry.bound_cidrs = match &role {
            Some(role) => role.bound_cidrs.clone(),
            None if orphan => Vec::new(),
            None => caller.entry().bound_cidrs.clone(),
        };
        self.set_life(&mut entry, &ask, &caller, &mut warnings)?;
        warnings.extend(self.missing_policies(&entry));
        let issued = self.issue(entry, id).await?;
        Ok(Issued { warnings, ..issued })
    }

    /// The entity that a new token stands for: the one that is asked for by its alias, or its parent's.
    async fn entity_of(
        &self,
        ask: &CreateToken,
        role: Option<&Role>,
        caller: &Caller,
        orphan: bool,
    ) -> Result<String, TokenError> {
        if ask.entity_alias.is_empty() {
            return Ok(if orphan { String::new() } else { caller.entry().entity_id.clone() });
        }
        let role =
            role.ok_or_else(|| TokenError::invalid("'entity_alias' is only allowed in combination with token role"))?;
        if !role.allows_alias(&ask.entity_alias) {
            return Err(TokenError::invalid("invalid 'entity_alias' value"));
        }
        let mount = self.mounts.at("auth/token/").ok_or(TokenError::BadToken)?;
        let who = LoginIdentity { alias: ask.entity_alias.clone(), ..LoginIdentity::default() };
        self.identity.log_in(&mount, &who).await.map_err(|error| match error {
            IdentityError::Disabled => TokenError::invalid("entity from given entity alias is disabled"),
            IdentityError::Store(error) => error.into(),
            error => TokenError::invalid(error.to_string()),
        })
    }

    /// Stores a service token or seals a batch token. `entry.parent`, if any, must still exist.
    pub(crate) async fn issue(&self, mut entry: Entry, id: Option<SecretString>) -> Result<Issued, TokenError> {
        if entry.kind == TokenKind::Batch {
            entry.accessor = String::new();
            let blob =
                self.store.barrier.seal_token(Store::encode(&entry)?.expose_secret()).map_err(StoreError::from)?;
            let token = SecretString::new(format!("{BATCH_PREFIX}{}", URL_SAFE_NO_PAD.encode(blob)));
            if token.len() > MAX_TOKEN_LEN {
                return Err(TokenError::invalid(
                    "the batch token would be longer than 8192 bytes: give it fewer policies or less meta",
                ));
            }
            self.store.counters.batch_tokens.count();
            return Ok(self.issued(token, entry, Vec::new()));
        }
        if entry.path.len() > MAX_ISSUER_PATH {
            return Err(TokenError::invalid(format!(
                "the path that issues the token would be longer than {MAX_ISSUER_PATH} bytes: shorten the role's name or path_suffix"
            )));
        }
        let token = match id {
            Some(id) => id,
            None => self.new_token()?,
        };
        entry.accessor = self.new_accessor()?;
        self.insert(&self.id_of(&token), &entry, &[]).await?;
        self.store.counters.service_tokens.count();
        Ok(self.issued(token, entry, Vec::new()))
    }

    /// What is told of a token that is handed out.
    pub(super) fn issued(&self, token: SecretString, entry: Entry, warnings: Vec<String>) -> Issued {
        let identity_policies = self.identity.policies_of(&entry.entity_id);
        let mut policies: Vec<String> = entry.policies.iter().chain(&identity_policies).cloned().collect();
        policies.sort();
        policies.dedup();
        Issued { token, entry, policies, identity_policies, warnings }
    }

    pub(crate) fn new_token(&self) -> Result<SecretString, StoreError> {
        let body = self.store.random.base62(TOKEN_CHARS)?;
        Ok(SecretString::new(format!("{SERVICE_PREFIX}{}", body.expose_secret())))
    }

    pub(crate) fn new_accessor(&self) -> Result<String, StoreError> {
        Ok(self.store.random.base62(TOKEN_CHARS)?.expose_secret().to_owned())
    }

    /// What is stored of a service token, its parent's record of it excepted. `entry` has its accessor.
    pub(crate) fn records(&self, id: &TokenId, entry: &Entry) -> Result<Batch, StoreError> {
        let key = keys::token(&id.0);
        let accessor_key = keys::token_accessor(&self.accessor_hash(&entry.accessor));
        let mut batch = Batch::new()
            .expect(key.clone(), None)
            .put(key, Store::encode(entry)?)
            .put(accessor_key, Store::encode(&(&id.0, &entry.accessor))?);
        if let Some(end) = entry.expires {
            batch = batch
                .put(keys::token_expiry(end, &id.0), Store::encode(&())?)
                .put(keys::token_lease(&entry.path, &id.0), Store::encode(&())?);
        }
        Ok(batch)
    }

    /// Stores a service token, and records that rest on it, in one commit.
    pub(super) async fn insert(
        &self,
        id: &TokenId,
        entry: &Entry,
        also: &[(Key, SecretBytes)],
    ) -> Result<(), TokenError> {
        loop {
            let key = keys::token(&id.0);
            let mut batch = self.records(id, entry)?;
            for (key, record) in also {
                batch = batch.expect(key.clone(), None).put(key.clone(), record.clone());
            }
            if let Some(parent) = &entry.parent {
                // The parent must still be there when the child is written, or the child would outlive it.
                let seen = self.find(parent).await?.ok_or(TokenError::BadToken)?;
                batch = batch
                    .expect(keys::token(&parent.0), Some(seen.revision))
                    .put(keys::token_child(&parent.0, &id.0), Store::encode(&())?);
            }
            match self.store.commit(batch).await? {
                Commit::Committed(_) => return Ok(()),
                Commit::Conflict(taken) if taken == key => {
                    return Err(TokenError::invalid("cannot create a token with a duplicate ID"));
                }
                Commit::Conflict(taken) if also.iter().any(|(key, _)| *key == taken) => {
                    return Err(StoreError::Contended.into());
                }
                // The parent was renewed meanwhile: read it again.
                Commit::Conflict(_) => {}
            }
        }
    }

    pub(super) fn missing_policies(&self, entry: &Entry) -> Vec<String> {
        let missing = entry.policies.iter().filter(|policy| !self.policies.exists(policy));
        missing.map(|policy| format!("Policy {policy:?} does not exist")).collect()
    }

    pub(super) fn policies_of(
        &self,
        ask: &CreateToken,
        role: Option<&Role>,
        caller: &Caller,
        sudo: bool,
    ) -> Result<Vec<String>, TokenError> {
        if let Some(role) = role.filter(|role| role.restricts_policies()) {
            return role.policies_for(ask, &caller.entry().policies);
        }
        let parent = &caller.entry().policies;
        let no_default = ask.no_default_policy || role.is_some_and(|role| role.no_default_policy);
        if ask.policies.is_empty() {
            let mut inherited = sanitize_policies(parent, !no_default && parent.iter().any(|name| name == "default"));
            if no_default {
                inherited.retain(|name| name != "default");
            }
            return Ok(inherited);
        }
        for name in &ask.policies {
            validate_name(name, NameUse::Assign).map_err(|error| TokenError::invalid(error.to_string()))?;
        }
        let free = sudo || caller.entry().is_root();
        let has_default = parent.iter().any(|name| name == "default");
        let wanted = sanitize_policies(&ask.policies, !no_default && (free || has_default));
        if !free && !wanted.iter().all(|name| parent.contains(name)) {
            return Err(TokenError::invalid("child policies must be subset of parent"));
        }
        Ok(wanted)
    }

    pub(super) fn set_life(
        &self,
        entry: &mut Entry,
        ask: &CreateToken,
        caller: &Caller,
        warnings: &mut Vec<String>,
    ) -> Result<(), TokenError> {
        let mount = self.mounts.route(&entry.path).map(|routed| routed.mount);
        let max = mount.as_ref().map_or(DEFAULT_LEASE_TTL, |mount| mount.max_lease_ttl());
        let default = mount.as_ref().map_or(DEFAULT_LEASE_TTL, |mount| mount.default_lease_ttl());
        if entry.explicit_max_ttl > max {
            warnings.push(format!(
                "Explicit max TTL of {} seconds is greater than the mount's, which rules",
                entry.explicit_max_ttl
            ));
        }
        let endless = entry.is_root() && ask.ttl == 0 && entry.period == 0 && entry.explicit_max_ttl == 0;
        if endless {
            if caller.entry().ttl != 0 {
                return Err(TokenError::invalid("expiring root tokens cannot create non-expiring root tokens"));
            }
            entry.renewable = false;
            entry.bound_cidrs.clear();
            return Ok(());
        }
        let bounds = Bounds { default, max, period: entry.period, explicit_max: entry.explicit_max_ttl };
        let granted = bounds
            .grant(ask.ttl, entry.created, entry.created)
            .map_err(|_| TokenError::invalid("the token would have no time to live"))?;
        warnings.extend(granted.warning);
        entry.ttl = granted.ttl;
        entry.expires = Some(clock::after(entry.created, granted.ttl));
        Ok(())
    }
}

/// Bounds on what every look-up and every audit entry of the token will repeat.
pub(super) fn check_bounds(ask: &CreateToken) -> Result<(), TokenError> {
    if ask.policies.len() > MAX_POLICIES {
        return Err(TokenError::invalid(format!("a token has at most {MAX_POLICIES} policies")));
    }
    if ask.display_name.len() > MAX_META_VALUE {
        return Err(TokenError::invalid(format!("display_name is longer than {MAX_META_VALUE} bytes")));
    }
    let too_long = |(key, value): (&String, &String)| key.len() > MAX_META_KEY || value.len() > MAX_META_VALUE;
    if ask.meta.len() > MAX_META || ask.meta.iter().any(too_long) {
        return Err(TokenError::invalid(format!(
            "meta has more than {MAX_META} entries, a key over {MAX_META_KEY} bytes or a value over {MAX_META_VALUE} bytes"
        )));
    }
    Ok(())
}

pub(super) fn check_parent(caller: &Caller) -> Result<(), TokenError> {
    if caller.entry().kind == TokenKind::Batch {
        return Err(TokenError::invalid("batch tokens cannot create more tokens"));
    }
    if caller.entry().uses != 0 {
        return Err(TokenError::invalid("restricted use token cannot generate child tokens"));
    }
    Ok(())
}

fn kind_of(ask: &CreateToken, role: Option<&Role>) -> Result<TokenKind, TokenError> {
    let asked = match role.map(|role| role.token_type) {
        Some(RoleTokenType::Service) => "service",
        Some(RoleTokenType::Batch) => "batch",
        Some(RoleTokenType::DefaultBatch) if ask.kind.is_empty() => "batch",
        _ => ask.kind.as_str(),
    };
    match asked {
        "" | "service" => Ok(TokenKind::Service),
        "batch" => {
            let set = [
                ("explicit_max_ttl", ask.explicit_max_ttl != 0),
                ("num_uses", ask.num_uses != 0),
                ("period", ask.period != 0),
            ];
            match set.iter().find(|(_, set)| *set) {
                Some((field, _)) => Err(TokenError::invalid(format!("batch tokens cannot have {field:?} set"))),
                None => Ok(TokenKind::Batch),
            }
        }
        _ => Err(TokenError::invalid("invalid 'token_type' value: allowed are \"service\" and \"batch\"")),
    }
}

pub(super) fn check_root(policies: &[String], caller: &Caller, kind: TokenKind) -> Result<(), TokenError> {
    if !policies.iter().any(|name| name == "root") {
        return Ok(());
    }
    if !caller.entry().is_root() {
        return Err(TokenError::invalid("root tokens may not be created without parent token being root"));
    }
    if kind == TokenKind::Batch {
        return Err(TokenError::invalid("batch tokens cannot be root tokens"));
    }
    Ok(())
}

fn check_id(id: Option<&SecretString>, sudo: bool) -> Result<Option<SecretString>, TokenError> {
    let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(None) };
    if !sudo {
        return Err(TokenError::invalid("root or sudo privileges required to specify token id"));
    }
    let text = id.expose_secret();
    let reserved = [SERVICE_PREFIX, BATCH_PREFIX, "hvr.", "s."].iter().any(|prefix| text.starts_with(prefix));
    if reserved || text.contains('.') {
        return Err(TokenError::invalid(
            "custom token ID cannot have a \".\" or a reserved prefix (hvs., hvb., hvr., s.)",
        ));
    }
    if text.len() > 512 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(TokenError::invalid("custom token ID must be 1 to 512 bytes without white space"));
    }
    Ok(Some(id.clone()))
}

pub(super) fn draft(
    ask: &CreateToken,
    role: Option<&Role>,
    kind: TokenKind,
    path: String,
    policies: Vec<String>,
    created: clock::Timestamp,
) -> Entry {
    let suffix = role.map_or("", |role| role.path_suffix.as_str());
    let uses = fewest_uses(ask.num_uses, role.map_or(0, |role| role.num_uses));
    Entry {
        accessor: String::new(),
        policies,
        path: if suffix.is_empty() { path } else { format!("{path}/{suffix}") },
        display_name: display_name(&ask.display_name),
        meta: ask.meta.clone(),
        created,
        ttl: 0,
        expires: None,
        explicit_max_ttl: role
            .map_or(ask.explicit_max_ttl, |role| tighter(role.explicit_max_ttl, ask.explicit_max_ttl)),
        period: role.map_or(ask.period, |role| tighter(role.period, ask.period)),
        max_ttl: 0,
        uses: if kind == TokenKind::Batch { 0 } else { uses },
        parent: None,
        kind,
        renewable: kind == TokenKind::Service && ask.renewable && role.is_none_or(|role| role.renewable),
        role: role.map(|role| role.name.clone()),
        bound_cidrs: Vec::<IpNet>::new(),
        last_renewal: None,
        entity_id: String::new(),
        access_key: None,
        named: None,
    }
}

fn fewest_uses(a: i64, b: i64) -> i64 {
    match (a, b) {
        (0, uses) | (uses, 0) => uses,
        (a, b) => a.min(b),
    }
}

/// `token`, or `token-<name>` with what is not a letter, digit, `-`, `_` or `.` replaced.
fn display_name(name: &str) -> String {
    if name.is_empty() {
        return "token".to_owned();
    }
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    format!("token-{clean}").trim_end_matches('-').to_owned()
}
