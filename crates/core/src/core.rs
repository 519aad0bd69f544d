//! The open store: everything that can be asked while it is unsealed. Dropping it wipes the keys.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    access_key::AccessKeys,
    alert::Alerts,
    audit::Broker,
    audit_devices::{AuditDevices, ConfiguredDevice},
    barrier::{Barrier, BarrierError, KeyStatus},
    clock::Timestamp,
    config_values::Outlines,
    consumers::Consumers,
    cubbyhole::Cubbyhole,
    database::{Database, NamedTargets},
    device_login::DeviceLogins,
    door::Permit,
    identity::{Identity, Standing, oidc::Oidc},
    key_rotation, keys,
    kv::Kv,
    lease::Leases,
    login::Logins,
    metrics::{BarrierStatistics, Counters},
    mount::{Enable, Engine, Leftover, Mount, MountConfig, MountError, Mounts},
    outbox::Outbox,
    password::PasswordPolicies,
    policies::Policies,
    policy::Acl,
    project::Projects,
    quota::Quotas,
    rotation::Rotations,
    secret::SecretString,
    service_account::ServiceAccounts,
    settings::Settings,
    store::{Store, StoreError},
    surroundings::Surroundings,
    token::{Entry, Issued, TokenError, TokenKind, Tokens, Which},
    wrapping::Wrapping,
};

/// The open store.
pub struct Core {
    store: Arc<Store>,
    mounts: Arc<Mounts>,
    policies: Arc<Policies>,
    password_policies: PasswordPolicies,
    quotas: Quotas,
    settings: Settings,
    identity: Arc<Identity>,
    oidc: Oidc,
    tokens: Arc<Tokens>,
    kv: Arc<Kv>,
    consumers: Arc<Consumers>,
    rotations: Rotations,
    logins: Logins,
    cubbyhole: Cubbyhole,
    wrapping: Wrapping,
    leases: Arc<Leases>,
    database: Arc<Database>,
    access_keys: AccessKeys,
    projects: Projects,
    device_logins: DeviceLogins,
    service_accounts: ServiceAccounts,
    outlines: Outlines,
    audit_devices: AuditDevices,
    pub(crate) alerts: Alerts,
    /// Whether the paths of key ceremonies answer without a token.
    pub(crate) open_ceremonies: bool,
}

/// The store could not be opened or prepared.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A built-in mount could not be made.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The root token could not be issued.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Core {
    /// Opens what lies behind `barrier`, and completes a store that is new or was interrupted while it was made.
    pub(crate) async fn open(
        barrier: Arc<dyn Barrier>,
        surroundings: Surroundings,
        configured: &[ConfiguredDevice],
    ) -> Result<Self, OpenError> {
        let Surroundings { clock, devices, outbound, targets, alerts } = surroundings;
        let store = Arc::new(Store::new(barrier, clock));
        key_rotation::load(&store).await?;
        let mounts = Arc::new(Mounts::load(Arc::clone(&store)).await?);
        mounts.enable_builtins().await?;
        let policies = Arc::new(Policies::load(Arc::clone(&store)).await?);
        if !policies.exists(crate::policy::builtin::DEFAULT) {
            policies.create_default().await?;
        }
        let identity = Arc::new(Identity::load(Arc::clone(&store), Arc::clone(&mounts)).await?);
        let tokens = Arc::new(Tokens::new(
            Arc::clone(&store),
            Arc::clone(&policies),
            Arc::clone(&mounts),
            Arc::clone(&identity),
        ));
        let audit_devices = AuditDevices::load(Arc::clone(&store), devices, configured).await?;
        let outbox = Arc::new(Outbox::new(Arc::clone(&store), Arc::clone(&outbound)));
        let logins = Logins::new(Arc::clone(&store), Arc::clone(&tokens), Arc::clone(&identity), Arc::clone(&outbound));
        tokens.index_leases().await?;
        let leases = Leases::open(Arc::clone(&store), Arc::clone(&tokens), Arc::clone(&mounts)).await?;
        let consumers = Arc::new(Consumers::new(Arc::clone(&store)));
        let kv = Arc::new(Kv::new(Arc::clone(&store), Arc::clone(&consumers)));
        let rotations =
            Rotations::new(Arc::clone(&store), Arc::clone(&kv), Arc::clone(&mounts), Arc::clone(&consumers), outbound);
        let database = Database::new(Arc::clone(&store), Arc::clone(&leases), targets, rotations.clone());
        rotations.connect(Arc::new(NamedTargets::new(&database, Arc::clone(&mounts))));
        database.convert_static_roles(&mounts.all()).await?;
        let alerts =
            Alerts::new(Arc::clone(&store), Arc::clone(&mounts), Arc::clone(&leases), Arc::clone(&outbox), alerts);
        let core = Self {
            alerts,
            database,
            rotations,
            kv,
            consumers,
            cubbyhole: Cubbyhole::new(Arc::clone(&store), Arc::clone(&tokens)),
            wrapping: Wrapping::new(Arc::clone(&store), Arc::clone(&tokens)),
            leases,
            password_policies: PasswordPolicies::new(Arc::clone(&store)),
            quotas: Quotas::load(Arc::clone(&store), Arc::clone(&mounts)).await?,
            settings: Settings::load(Arc::clone(&store)).await?,
            oidc: Oidc::load(Arc::clone(&store), Arc::clone(&identity)).await?,
            access_keys: AccessKeys::new(Arc::clone(&store), Arc::clone(&tokens)),
            service_accounts: ServiceAccounts::new(Arc::clone(&store), Arc::clone(&tokens), Arc::clone(&policies)),
            device_logins: DeviceLogins::new(Arc::clone(&store), Arc::clone(&tokens)),
            projects: Projects::load(Arc::clone(&store), Arc::clone(&tokens), &mounts, outbox).await?,
            outlines: Outlines::new(),
            store,
            mounts,
            policies,
            identity,
            tokens,
            logins,
            audit_devices,
            open_ceremonies: true,
        };
        core.sweep().await?;
        Ok(core)
    }

    /// Issues a root token: at initialisation, and for a development server.
    pub(crate) async fn issue_root(&self, id: Option<SecretString>) -> Result<Issued, TokenError> {
        let entry = Entry {
            accessor: String::new(),
            policies: vec!["root".to_owned()],
            path: "auth/token/root".to_owned(),
            display_name: "root".to_owned(),
            meta: BTreeMap::new(),
            created: self.now(),
            ttl: 0,
            expires: None,
            explicit_max_ttl: 0,
            period: 0,
            max_ttl: 0,
            uses: 0,
            parent: None,
            kind: TokenKind::Service,
            renewable: false,
            role: None,
            bound_cidrs: Vec::new(),
            last_renewal: None,
            entity_id: String::new(),
            access_key: None,
            named: None,
        };
        self.tokens.issue(entry, id).await
    }

    /// Mounts versioned secrets at `secret/` unless something is there, for a development server.
    pub(crate) async fn ensure_secret_mount(&self) -> Result<(), MountError> {
        if self.mounts.at("secret/").is_some() {
            return Ok(());
        }
        let secret = Enable {
            path: "secret/".to_owned(),
            engine: Engine::Kv2,
            description: "key/value secret storage".to_owned(),
            options: BTreeMap::new(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        };
        self.mounts.enable_unguarded(secret).await
    }

    /// One round of upkeep: removes tokens and secret ids that have ended and secrets that are past recovery, rotates
    /// keys of identity tokens, writes down what is counted in memory.
    ///
    /// # Errors
    /// When the store fails; the next round goes on where this one stopped.
    pub async fn tend(&self) -> Result<(), StoreError> {
        let expired = self.tokens.expire_due().await;
        self.leases.nudge();
        let mounts = self.mounts.all();
        let tidied = self.logins.tend(&mounts).await;
        let rotated = self.oidc.tend().await;
        let swept = self.sweep().await;
        self.write_down().await?;
        self.kv.purge_due(&mounts).await?;
        self.projects.tend(&self.mounts).await?;
        self.kv.follow_orders().await?;
        self.rotations.tend().await?;
        self.alerts.tend().await?;
        expired.map(|_| ()).and(tidied).and(rotated).and(swept)
    }

    /// Writes down what is counted in memory: access dates, uses of access keys, and how far the audit
    /// logs have come.
    pub(crate) async fn write_down(&self) -> Result<(), StoreError> {
        let heads = self.audit_devices.save_heads().await;
        self.kv.flush_accesses().await?;
        self.access_keys.flush_uses().await?;
        self.projects.flush_fetches(&self.mounts).await?;
        self.consumers.flush().await?;
        heads
    }

    /// Moves a mount. Tokens that an auth method issued under its old path are revoked, as with Vault.
    ///
    /// # Errors
    /// When either path is unfit.
    pub async fn remount(&self, permit: Permit, from: &str, to: &str) -> Result<(), MountError> {
        permit.spend();
        let path = self.mounts.remount(from, to).await?;
        self.sweep_now(&path).await
    }

    /// Takes a mount away, with all that it held, all tokens and all credentials that it issued. Requests to it fail at
    /// once; the rest is done when this answers, or, after a crash in between, by the next server. A mount that is not
    /// there is no error, as with Vault.
    ///
    /// # Errors
    /// When it is part of the server, the store fails, or some of its credentials could not be revoked: then its path
    /// is not free until they are.
    pub async fn disable_mount(&self, permit: Permit, path: &str) -> Result<(), MountError> {
        permit.spend();
        match self.mounts.detach(path).await? {
            Some(path) => self.sweep_now(&path).await,
            // Somebody tries again what has failed: see `sweep_now`.
            None => self.sweep_now(&format!("{}/", path.trim_end_matches('/'))).await,
        }
    }

    /// Removes what a mount left behind that was at `path`, and waits for its credentials to be revoked. The mount is
    /// gone whatever comes of it; what cannot be revoked now is tried again, and keeps what it needs for that.
    async fn sweep_now(&self, path: &str) -> Result<(), MountError> {
        self.sweep().await?;
        if !self.mounts.is_left(path).await? {
            return Ok(());
        }
        let swept = self.leases.sweep_below(path).await?;
        self.sweep().await?;
        match swept.first {
            Some(first) if swept.failed > 0 => {
                Err(MountError::NotRevoked { path: path.to_owned(), failed: swept.failed, first })
            }
            _ => Ok(()),
        }
    }

    /// Removes what disabled and moved mounts left behind, but for those whose credentials are still to be revoked.
    async fn sweep(&self) -> Result<(), StoreError> {
        for (name, left) in self.store.read_all::<Leftover>(keys::SWEEPS).await? {
            // Wrapping tokens of answers from below the path go as well, hence for secrets engines too.
            self.tokens.revoke_issued_below(&left.path).await?;
            if self.leases.any_below(&left.path).await? {
                self.leases.end_left(&left.path).await?;
                continue;
            }
            self.leases.forget_left(&left.path);
            for prefix in left.uuid.as_deref().map(keys::of_mount).into_iter().flatten() {
                self.store.delete_below(&prefix).await?;
            }
            if let Some(uuid) = &left.uuid {
                self.tokens.revoke_named_below(&format!("config/{uuid}/")).await?;
                self.quotas.forget_mount(uuid).await?;
            }
            self.store.delete(keys::join(&[keys::SWEEPS, &name])).await?;
        }
        Ok(())
    }

    /// The mounts that everyone may see, and those below which the caller may do something.
    #[must_use]
    pub fn visible_mounts(&self, permit: Permit) -> Vec<Arc<Mount>> {
        let caller = permit.spend_as_caller();
        let open = |mount: &Mount| mount.config.listing_visibility.as_deref() == Some("unauth");
        let reachable =
            |mount: &Mount| caller.as_ref().is_some_and(|caller| caller.acl().allows_anything_below(&mount.path));
        self.mounts.all().into_iter().filter(|mount| open(mount) || reachable(mount)).collect()
    }

    /// The compiled rules of a token.
    ///
    /// # Errors
    /// When there is no such token.
    pub async fn acl_of(&self, permit: Permit, which: Which<'_>) -> Result<Arc<Acl>, TokenError> {
        let entry = self.tokens.lookup(permit, which).await?;
        match self.identity.standing(&entry.entity_id) {
            Standing::Alone => Ok(self.policies.acl(&entry.policies)),
            Standing::For(effective) => Ok(self.policies.access(&entry.policies, &effective).acl),
            Standing::Refused => Err(TokenError::BadToken),
        }
    }

    /// The newest data key's term, age and use.
    #[must_use]
    pub fn key_status(&self, permit: Permit) -> KeyStatus {
        permit.spend();
        self.store.barrier.key_status()
    }

    /// Starts a new term of data keys.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rotate_keys(&self, permit: Permit) -> Result<KeyStatus, BarrierError> {
        permit.spend();
        self.store.barrier.rotate().await
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.store.counters
    }

    pub(crate) fn barrier_statistics(&self) -> BarrierStatistics {
        self.store.barrier.statistics()
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// The mounts.
    #[must_use]
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The password policies.
    #[must_use]
    pub fn password_policies(&self) -> &PasswordPolicies {
        &self.password_policies
    }

    /// The rate limits.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Entities and groups.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Identity tokens.
    #[must_use]
    pub fn oidc(&self) -> &Oidc {
        &self.oidc
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The secrets.
    #[must_use]
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// The rotations of secrets.
    #[must_use]
    pub fn rotations(&self) -> &Rotations {
        &self.rotations
    }

    /// The auth methods.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// What tokens keep for themselves.
    #[must_use]
    pub fn cubbyhole(&self) -> &Cubbyhole {
        &self.cubbyhole
    }

    /// The wrapped answers.
    #[must_use]
    pub fn wrapping(&self) -> &Wrapping {
        &self.wrapping
    }

    /// The leases.
    #[must_use]
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// The database engine.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The access keys of AWS's clients.
    #[must_use]
    pub fn access_keys(&self) -> &AccessKeys {
        &self.access_keys
    }

    /// The projects, environments and configs.
    #[must_use]
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// The logins of programs that wait for somebody's approval.
    #[must_use]
    pub fn device_logins(&self) -> &DeviceLogins {
        &self.device_logins
    }

    /// The service accounts.
    #[must_use]
    pub fn service_accounts(&self) -> &ServiceAccounts {
        &self.service_accounts
    }

    pub(crate) fn outlines(&self) -> &Outlines {
        &self.outlines
    }

    /// The audit devices.
    #[must_use]
    pub fn audit_devices(&self) -> &AuditDevices {
        &self.audit_devices
    }

    pub(crate) fn barrier(&self) -> &Arc<dyn Barrier> {
        &self.store.barrier
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn audit(&self) -> &Broker {
        self.audit_devices.broker()
    }

    /// Opens the audit devices' files anew, after somebody rotated them.
    pub fn reopen_audit_devices(&self) {
        self.audit().reopen_all();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.leases.close();
    }
}
