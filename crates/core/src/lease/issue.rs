//! Issuing: the intent before the credential is made, the outcome after.

use super::{
    Leases,
    lookup::Lease,
    record::{Change, LeaseRecord, Phase, second_of},
};
use crate::{
    barrier::{Batch, MacPurpose},
    clock::{self, Timestamp},
    door::{Caller, Permit},
    keys,
    mount::Mount,
    storage::Commit,
    store::{Seen, Store, StoreError},
    token::{Entry, MAX_ISSUER_PATH, TokenId, TokenKind, to_hex, ttl::Bounds, ttl::tighter},
};

/// Seconds that an engine may take to make a credential, the time for which its target is busy with it included.
pub const ACT_SECONDS: u64 = 60;

/// Seconds after which an intent that nobody confirmed is revoked: well after the engine and its target are done with
/// it, whatever became of it.
const INTENT_SECONDS: u64 = 180;

/// Characters of an id after its path.
const ID_CHARS: usize = 24;

/// The longest id, in bytes.
pub(super) const MAX_ID: usize = MAX_ISSUER_PATH + 1 + ID_CHARS;

/// The longest that an engine may write down about a credential, in bytes.
const MAX_DATA: usize = 1 << 20;

/// What a lease is made from. Its path, its mount and whose it is come from the permit.
#[derive(Debug, Clone, Default)]
pub struct NewLease {
    /// What its engine counts it under; for metrics.
    pub role: String,
    /// Where the credential is valid: the mount's uuid and the connection, for example. Revocations at one target are
    /// bounded in number and rate, and wait together while it does not answer.
    pub target: String,
    /// What the engine needs to revoke the credential later, even if the role is gone by then: JSON, for example. No
    /// secret: a password does not belong here.
    pub data: String,
    /// Seconds to live; 0: as the mount says.
    pub ttl: u64,
    /// The longest life in seconds, renewals included; 0: as the mount says.
    pub max_ttl: u64,
    /// Whether it may be renewed.
    pub renewable: bool,
}

/// A lease that has begun: its credential is to be made now, and then confirmed or given up. Dropped, it is revoked
/// after `INTENT_SECONDS`.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    seen: Seen<LeaseRecord>,
    mount_path: String,
    warnings: Vec<String>,
}

impl Pending {
    /// The lease as it is stored.
    #[must_use]
    pub fn lease(&self) -> &LeaseRecord {
        &self.seen.value
    }

    /// When the credential ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.seen.value.expires
    }
}

/// How far the making of a credential went that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The target was not asked, or answered that nothing was done: the lease is forgotten.
    Nothing,
    /// It may have been done, now or a moment later: the lease is revoked at once, and once more when the target
    /// cannot be at it any longer.
    Perhaps,
}

/// A lease could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// The caller has no token, or it ended meanwhile. What was made is revoked.
    #[error("permission denied")]
    Denied,
    /// The mount was disabled or moved meanwhile. What was made is revoked.
    #[error("the mount of {0:?} was disabled or moved while the credential was made; it is revoked")]
    MountGone(String),
    /// The lease was revoked while its credential was made.
    #[error("the lease was revoked while its credential was made")]
    Revoked,
    /// The token ends with this request.
    #[error("Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")]
    LastUse,
    /// A name is too long, or the time to live is none.
    #[error("{0}")]
    Invalid(String),
    /// The store failed. What was made is revoked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What must hold for a lease to be issued: the records that a commit names.
struct Ground {
    token: Option<(TokenId, Seen<Entry>)>,
    mount: Seen<Mount>,
}

impl Leases {
    /// Writes down the intent to make a credential, for the caller and below the path of the permit.
    ///
    /// # Errors
    /// When the caller's token or the mount is gone, or the lease cannot be: nothing has been done then.
    pub async fn begin(&self, permit: &Permit, new: NewLease) -> Result<Pending, NotIssued> {
        let caller = permit.caller().ok_or(NotIssued::Denied)?;
        if caller.entry().uses < 0 {
            return Err(NotIssued::LastUse);
        }
        if permit.path().len() > MAX_ISSUER_PATH || new.data.len() > MAX_DATA {
            return Err(NotIssued::Invalid(format!(
                "the path that issues the credential is longer than {MAX_ISSUER_PATH} bytes, or its statements than {MAX_DATA}"
            )));
        }
        let (record, warnings) = self.draft(permit, caller, new)?;
        let mount_path = permit.mount().path.clone();
        loop {
            let ground = self.ground(&record, &mount_path).await?;
            let batch = self.owning(ground.expected(&mount_path), &ground).await?;
            let change = Change::create(record.clone());
            if let Commit::Committed(revision) = self.commit(std::slice::from_ref(&change), batch).await? {
                return Ok(Pending { seen: Seen { revision, value: record }, mount_path, warnings });
            }
        }
    }

    /// Writes down that the credential was made: only now may it be handed out.
    ///
    /// # Errors
    /// When the caller's token, the mount or the lease has ended meanwhile, or the store fails. The credential must not
    /// be handed out, and is revoked.
    pub async fn confirm(&self, pending: Pending) -> Result<Lease, NotIssued> {
        let Pending { mut seen, mount_path, warnings } = pending;
        loop {
            let ground = match self.ground(&seen.value, &mount_path).await {
                Ok(ground) => ground,
                Err(error) => {
                    self.settle_now(&seen.value).await?;
                    return Err(error);
                }
            };
            let end = second_of(seen.value.expires);
            let lease = LeaseRecord { phase: Phase::Active, due: end, since: end, ..seen.value.clone() };
            let change = Change::update(seen, lease);
            let batch = ground.expected(&mount_path);
            if let Commit::Committed(_) = self.commit(std::slice::from_ref(&change), batch).await? {
                self.counters.issued.count();
                let Some(lease) = change.after else { return Err(NotIssued::Revoked) };
                return Ok(Lease { warnings, ..Lease::of(&lease, self.store.now()) });
            }
            let Some(before) = change.before else { return Err(NotIssued::Revoked) };
            match self.find(&before.value.id).await? {
                Some(now) if now.value.phase == Phase::Pending => seen = now,
                _ => {
                    self.settle_now(&before.value).await?;
                    return Err(NotIssued::Revoked);
                }
            }
        }
    }

    /// Gives a lease up whose credential could not be made.
    ///
    /// # Errors
    /// When the store fails: the lease is revoked later then.
    pub async fn abandon(&self, pending: Pending, undone: Undone) -> Result<(), StoreError> {
        let id = &pending.seen.value.id;
        if undone == Undone::Perhaps {
            let now = self.store.now();
            self.change(id, |lease| lease.ended(now, true)).await?;
            return Ok(());
        }
        while let Some(seen) = self.find(id).await? {
            if let Commit::Committed(_) = self.commit(&[Change::remove(seen)], Batch::new()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Ends a lease whose credential is made for certain, so that revoking it once is enough. Should its record be gone
    /// it is written anew.
    async fn settle_now(&self, made: &LeaseRecord) -> Result<(), StoreError> {
        let due = self.store.now().as_second();
        let settled =
            |lease: &LeaseRecord| LeaseRecord { phase: Phase::Ending, due, unsettled: false, ..lease.clone() };
        loop {
            let change = match self.find(&made.id).await? {
                Some(seen) => {
                    let after = settled(&seen.value);
                    Change::update(seen, after)
                }
                None => Change::create(settled(made)),
            };
            if let Commit::Committed(_) = self.commit(&[change], Batch::new()).await? {
                return Ok(());
            }
        }
    }

    fn draft(&self, permit: &Permit, caller: &Caller, new: NewLease) -> Result<(LeaseRecord, Vec<String>), NotIssued> {
        let (now, mount, entry) = (self.store.now(), permit.mount(), caller.entry());
        let token = match entry.kind {
            TokenKind::Service => Some(caller.id().clone()),
            // Not stored itself: it ends with its parent.
            TokenKind::Batch => entry.parent.clone(),
        };
        let bounds = Bounds {
            default: if new.ttl == 0 { mount.default_lease_ttl() } else { new.ttl },
            max: tighter(new.max_ttl, mount.max_lease_ttl()),
            ..Bounds::default()
        };
        let none = || NotIssued::Invalid("the credential would have no time to live".to_owned());
        let granted = bounds.grant(0, now, now).map_err(|_| none())?;
        let latest = entry.expires.filter(|_| entry.kind == TokenKind::Batch);
        let end = clock::after(now, granted.ttl);
        let expires = latest.map_or(end, |latest| latest.min(end));
        let random = self.store.random.base62(ID_CHARS).map_err(StoreError::from)?;
        let settles = second_of(clock::after(now, INTENT_SECONDS));
        let record = LeaseRecord {
            id: format!("{}/{}", permit.path().trim_end_matches('/'), random.expose_secret()),
            engine: mount.engine,
            mount: mount.uuid.clone(),
            role: new.role,
            data: new.data,
            issued: now,
            expires,
            latest,
            last_renewal: None,
            renewable: new.renewable,
            target: self.target_hash(&new.target),
            token,
            phase: Phase::Pending,
            due: settles,
            since: settles,
            settles,
            unsettled: false,
            attempts: 0,
            error: String::new(),
        };
        Ok((record, granted.warning.into_iter().collect()))
    }

    fn target_hash(&self, target: &str) -> String {
        let mac = self.store.barrier.mac(MacPurpose::Fingerprint, &[b"\0lease-target\0", target.as_bytes()]);
        let mut hash = to_hex(&mac);
        hash.truncate(32);
        hash
    }

    /// The caller's token and the mount as they are now, if they are good.
    async fn ground(&self, lease: &LeaseRecord, mount_path: &str) -> Result<Ground, NotIssued> {
        let token = match &lease.token {
            None => None,
            Some(id) => {
                let seen = self.tokens.find(id).await?.filter(|seen| seen.value.is_live(self.store.now()));
                Some((id.clone(), seen.ok_or(NotIssued::Denied)?))
            }
        };
        let mount = self.store.read::<Mount>(&keys::mount(mount_path)).await?;
        let mount = mount.filter(|seen| seen.value.uuid == lease.mount);
        Ok(Ground { token, mount: mount.ok_or_else(|| NotIssued::MountGone(lease.path().to_owned()))? })
    }

    /// Marks a token that has its first lease. Its record is written anew, unchanged: its removal, which names that
    /// record's revision, cannot miss the mark.
    async fn owning(&self, batch: Batch, ground: &Ground) -> Result<Batch, StoreError> {
        let Some((id, seen)) = &ground.token else { return Ok(batch) };
        let mark = keys::lease_owner(&id.0);
        if self.store.barrier.get(&mark).await?.is_some() {
            return Ok(batch);
        }
        let batch = batch.expect(mark.clone(), None).put(mark, Store::encode(&())?);
        Ok(batch.put(keys::token(&id.0), Store::encode(&seen.value)?))
    }
}

impl Ground {
    fn expected(&self, mount_path: &str) -> Batch {
        let batch = Batch::new().expect(keys::mount(mount_path), Some(self.mount.revision));
        match &self.token {
            Some((id, seen)) => batch.expect(keys::token(&id.0), Some(seen.revision)),
            None => batch,
        }
    }
}
