//! From a proven identity to a token.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use super::TokenSettings;
use crate::{
    clock,
    identity::{Identity, IdentityError},
    mount::Mount,
    policy::builtin::{NameError, NameUse, ROOT, validate_name},
    store::Store,
    token::{
        Entry, Issued, TokenError, TokenKind, Tokens, sanitize_policies,
        ttl::{Bounds, tighter},
    },
};

/// A login that proved itself got no token all the same.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The role or user names the root policy.
    #[error("auth methods cannot create root tokens")]
    RootPolicy,
    /// The role or user names a policy that no token can have.
    #[error(transparent)]
    Policy(#[from] NameError),
    /// The mount issues batch tokens, but the role or user counts the uses of its tokens.
    #[error("the mount issues batch tokens, which cannot be counted: set its token_type or unset token_num_uses")]
    CountedBatch,
    /// The bounds leave no time at all.
    #[error("the token would have no time to live: look at the TTLs of the mount and of the role or user")]
    NoTime,
    /// The entity is disabled, or could not be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The token could not be stored.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Who a login is, as its method knows them: what becomes the alias of an entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginIdentity {
    /// What the method calls them for good: a role id, a user's name, a subject. Together with the mount's accessor it
    /// names one entity.
    pub alias: String,
    /// What the method knows about them; replaces the alias's metadata at each login.
    pub metadata: BTreeMap<String, String>,
    /// The groups that the method says they are in: names of aliases of external groups. Those that no group has are
    /// ignored.
    pub groups: Vec<String>,
}

/// Who has proven themselves, where.
pub(super) struct Proven<'a> {
    pub(super) mount: &'a Mount,
    /// Whom the token will stand for.
    pub(super) identity: LoginIdentity,
    /// The full path of the login.
    pub(super) path: String,
    /// Follows the mount's name in the display name.
    pub(super) name: &'a str,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) settings: &'a TokenSettings,
    /// Where the token may be used from.
    pub(super) bound_cidrs: Vec<IpNet>,
}

/// Issues the tokens of all methods.
pub(super) struct Issuer {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    identity: Arc<Identity>,
}

impl Issuer {
    pub(super) fn new(store: Arc<Store>, tokens: Arc<Tokens>, identity: Arc<Identity>) -> Self {
        Self { store, tokens, identity }
    }

    /// What the token of a proven login would be, for one that gets something else in its place. Its entity is the one
    /// that is known under the login's alias.
    pub(super) async fn prepare(&self, proven: Proven<'_>) -> Result<(Entry, Vec<String>), IssueError> {
        let (mount, who) = (proven.mount, proven.identity.clone());
        let (mut entry, warnings) = draft(proven, self.store.now())?;
        entry.entity_id = self.identity.log_in(mount, &who).await?;
        Ok((entry, warnings))
    }

    /// Issues a token without a parent.
    pub(super) async fn issue(&self, proven: Proven<'_>) -> Result<Issued, IssueError> {
        let (entry, warnings) = self.prepare(proven).await?;
        let issued = self.tokens.issue(entry, None).await?;
        Ok(Issued { warnings, ..issued })
    }
}

fn draft(proven: Proven<'_>, now: clock::Timestamp) -> Result<(Entry, Vec<String>), IssueError> {
    let Proven { mount, settings, .. } = proven;
    let kind = settings.kind(mount);
    let batch = kind == TokenKind::Batch;
    if batch && settings.num_uses > 0 {
        return Err(IssueError::CountedBatch);
    }
    let bounds = Bounds {
        default: mount.default_lease_ttl(),
        max: tighter(settings.max_ttl, mount.max_lease_ttl()),
        period: settings.period,
        explicit_max: settings.explicit_max_ttl,
    };
    let granted = bounds.grant(settings.ttl, now, now).map_err(|_| IssueError::NoTime)?;
    let entry = Entry {
        accessor: String::new(),
        policies: policies_of(settings)?,
        path: proven.path,
        display_name: display_name(mount, proven.name),
        meta: proven.meta,
        created: now,
        ttl: granted.ttl,
        expires: Some(clock::after(now, granted.ttl)),
        explicit_max_ttl: if batch { 0 } else { settings.explicit_max_ttl },
        period: if batch { 0 } else { settings.period },
        max_ttl: settings.max_ttl,
        uses: i64::try_from(settings.num_uses).unwrap_or(i64::MAX),
        parent: None,
        kind,
        renewable: !batch,
        role: None,
        bound_cidrs: proven.bound_cidrs,
        last_renewal: None,
        entity_id: String::new(),
        access_key: None,
        named: None,
    };
    Ok((entry, granted.warning.into_iter().collect()))
}

fn policies_of(settings: &TokenSettings) -> Result<Vec<String>, IssueError> {
    let policies = sanitize_policies(&settings.policies, !settings.no_default_policy);
    for policy in &policies {
        if policy == ROOT {
            return Err(IssueError::RootPolicy);
        }
        validate_name(policy, NameUse::Assign)?;
    }
    Ok(policies)
}

/// `approle`, `userpass-ann`, `team-approle`.
fn display_name(mount: &Mount, name: &str) -> String {
    let source = mount.listed_path().replace('/', "-");
    format!("{source}{name}").trim_end_matches('-').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        mount::{Engine, MountConfig},
    };

    pub(crate) fn mount() -> Mount {
        Mount {
            path: "auth/team/userpass/".to_owned(),
            engine: Engine::UserPass,
            uuid: "uuid".to_owned(),
            accessor: "auth_userpass_1".to_owned(),
            description: String::new(),
            options: BTreeMap::new(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        }
    }

    fn draft_with(mount: &Mount, settings: &TokenSettings) -> Result<(Entry, Vec<String>), IssueError> {
        let path = format!("{}login/ann", mount.path);
        let identity = LoginIdentity { alias: "ann".to_owned(), ..LoginIdentity::default() };
        let meta = BTreeMap::new();
        let proven = Proven { mount, identity, path, name: "ann", meta, settings, bound_cidrs: Vec::new() };
        draft(proven, Timestamp::UNIX_EPOCH)
    }

    fn ttl_with(mount: &Mount, settings: &TokenSettings) -> u64 {
        draft_with(mount, settings).expect("a token").0.ttl
    }

    #[test]
    fn a_token_lives_as_its_role_says_within_the_mounts_bounds() {
        let mut mount = mount();
        (mount.config.default_lease_ttl, mount.config.max_lease_ttl) = (600, 1200);
        let settings = |ttl, max_ttl, period, explicit_max_ttl| TokenSettings {
            ttl,
            max_ttl,
            period,
            explicit_max_ttl,
            ..TokenSettings::default()
        };
        assert_eq!(ttl_with(&mount, &settings(0, 0, 0, 0)), 600, "the mount's default");
        assert_eq!(ttl_with(&mount, &settings(60, 0, 0, 0)), 60, "the role's own");
        assert_eq!(ttl_with(&mount, &settings(5000, 0, 0, 0)), 1200, "the mount's maximum");
        assert_eq!(ttl_with(&mount, &settings(0, 300, 0, 0)), 300, "the role's maximum");
        assert_eq!(ttl_with(&mount, &settings(60, 0, 90, 0)), 90, "the period");
        assert_eq!(ttl_with(&mount, &settings(60, 0, 90, 30)), 30, "the explicit maximum");
        let (_, warnings) = draft_with(&mount, &settings(5000, 0, 0, 0)).expect("a token");
        assert!(warnings[0].contains("capped"), "{warnings:?}");
    }

    #[test]
    fn a_logins_token_is_named_after_its_mount_and_has_the_default_policy() {
        let settings = TokenSettings { policies: vec!["B".into(), "a".into(), "a".into()], ..TokenSettings::default() };
        let (entry, _) = draft_with(&mount(), &settings).expect("a token");
        assert_eq!(entry.display_name, "team-userpass-ann");
        assert_eq!(entry.policies, ["a", "b", "default"]);
        assert!(entry.renewable && entry.parent.is_none());
        let bare = TokenSettings { no_default_policy: true, ..settings };
        assert_eq!(draft_with(&mount(), &bare).expect("a token").0.policies, ["a", "b"]);
    }

    #[test]
    fn no_login_gives_root_or_an_unassignable_policy() {
        let named = |name: &str| TokenSettings { policies: vec![name.into()], ..TokenSettings::default() };
        assert!(matches!(draft_with(&mount(), &named("Root")), Err(IssueError::RootPolicy)));
        assert!(matches!(draft_with(&mount(), &named("response-wrapping")), Err(IssueError::Policy(_))));
    }

    #[test]
    fn a_batch_token_is_not_renewed_and_never_stands_in_for_a_counted_one() {
        let mut mount = mount();
        mount.config.token_type = Some("batch".into());
        let periodic = TokenSettings { period: 60, ..TokenSettings::default() };
        let (entry, _) = draft_with(&mount, &periodic).expect("a token");
        assert_eq!((entry.kind, entry.renewable, entry.period, entry.ttl), (TokenKind::Batch, false, 0, 60));
        let counted = TokenSettings { num_uses: 1, ..TokenSettings::default() };
        assert!(matches!(draft_with(&mount, &counted), Err(IssueError::CountedBatch)));
    }
}
