//! What a caller may ask of a rotation. The secret's path comes from the permit's: `sys/rotation/<mount>/<name>` to set
//! one up, look at it and remove it, `sys/rotation-<verb>/<mount>/<name>` for the rest.
//!
//! Whoever sets up a rotation has its target's administrator make principals, and what they log in with written to the
//! secret. That is why these paths are the system's own, and why policies for a mount of secrets do not reach them.

use super::{
    Asked, Evidence, InUse, Keeper, Phase, Rotation, Rotations, Settings, SettingsError, Site, Strategy, keeping::Held,
    machine::StepError, site::STATIC_ROLES, strategies::Acting,
};
use crate::{
    clock::Timestamp,
    consumers::Readers,
    door::Permit,
    hook_command::CommandError,
    keys,
    kv::{KvError, RotatingError, check_name},
    mount::Engine,
    store::StoreError,
    target::Login,
};

/// Times that a change is tried over while others change the same rotation.
pub(super) const TRIES: usize = 16;

/// An operation on a rotation failed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The path is no secret's.
    #[error(
        "{0:?} is no path of a secret on a mount with versions, nor of a static role: write MOUNT/NAME, or \
         MOUNT/static-roles/NAME"
    )]
    Path(String),
    /// Its rotation goes with the role.
    #[error("the rotation of a static role is set up, changed and removed with the role: write or delete {0}")]
    StaticRole(String),
    /// As with the secret's name.
    #[error(transparent)]
    Name(#[from] KvError),
    /// There is none.
    #[error("the secret has no rotation")]
    NotFound,
    /// The settings cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A new one must say how.
    #[error("missing strategy: one of alternating, dual-credential, in-place, hook, generated")]
    NoStrategy,
    /// The strategy of a rotation stays.
    #[error("the secret has a rotation by another strategy: delete that one first")]
    OtherStrategy,
    /// Something is under way.
    #[error("a rotation is under way: {0}")]
    UnderWay(String),
    /// It is paused.
    #[error("the rotation is paused: resume it first")]
    Paused,
    /// There is nothing to go back to.
    #[error("there is nothing to go back to: {0}")]
    NoWayBack(String),
    /// The secret or the target.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RotatingError> for RotationError {
    fn from(error: RotatingError) -> Self {
        match error {
            RotatingError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<StepError> for RotationError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// A rotation as it stands.
#[derive(Debug)]
pub struct RotationView {
    /// `mount/name`.
    pub path: String,
    /// The rotation.
    pub rotation: Rotation,
    /// Who has read the secret.
    pub readers: Readers,
    /// During an overlap, who still holds the credential before.
    pub evidence: Option<Evidence>,
    /// Whether a scheduled time has passed without a rotation.
    pub overdue: bool,
    /// Which credential is in use, if it was asked.
    pub in_use: Option<InUse>,
}

impl Rotations {
    /// The secret or static role that a permit's path names behind its first two parts.
    fn site(&self, permit: &Permit) -> Result<(Site, String), RotationError> {
        let path = permit.rest().split_once('/').map_or("", |(_, path)| path);
        let bad = || RotationError::Path(path.chars().take(80).collect());
        let routed = self.0.mounts.route(path).ok_or_else(bad)?;
        let (mount, rest) = (&routed.mount.uuid, routed.rest(path));
        let site = match routed.mount.engine {
            Engine::Kv2 => {
                check_name(rest)?;
                Site::secret(mount, rest)
            }
            Engine::Database => Site::static_role(mount, rest.strip_prefix(STATIC_ROLES).ok_or_else(bad)?),
            _ => return Err(bad()),
        };
        Ok((site, path.to_owned()))
    }

    /// The secret that a permit's path names.
    fn secret(&self, permit: &Permit) -> Result<(Site, String), RotationError> {
        match self.site(permit)? {
            (Site { keeper: Keeper::StaticRole, .. }, path) => Err(RotationError::StaticRole(path)),
            found => Ok(found),
        }
    }

    /// Sets a rotation up, or changes its settings. A new one begins at once if the secret does not hold a credential
    /// of its principals yet.
    ///
    /// # Errors
    /// When the settings cannot be, the secret is none that can be rotated, or there is no such target.
    pub async fn configure<E: From<RotationError>>(
        &self,
        permit: Permit,
        strategy: Option<Strategy>,
        change: impl Fn(&mut Settings) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let (site, path) = self.secret(&permit)?;
        permit.spend();
        for _ in 0..TRIES {
            let found = self.0.hold(&site).await.map_err(RotationError::from)?;
            let mut settings = base_settings(found.as_ref(), strategy)?;
            change(&mut settings)?;
            if let Some(hook) = settings.hook.as_mut().filter(|hook| hook.secret_id.is_empty()) {
                hook.secret_id.clone_from(&path);
            }
            settings.check().map_err(RotationError::from)?;
            if self.store_settings(&site, found, settings).await? {
                self.start(site);
                return Ok(());
            }
        }
        Err(RotationError::from(StoreError::Contended).into())
    }

    /// `false`: somebody else changed it, or the secret, meanwhile.
    async fn store_settings(
        &self,
        site: &Site,
        found: Option<Held>,
        settings: Settings,
    ) -> Result<bool, RotationError> {
        if settings.strategy.has_target() {
            self.0.target(site, &settings).await.map_err(StepError::from)?;
        }
        let command = settings.hook.as_ref().map(|hook| &hook.command).filter(|command| !command.is_empty());
        if let Some(name) = command.filter(|name| self.0.outbound.commands().timeout(name).is_none()) {
            return Err(RotationError::Refused(CommandError::Unknown(name.clone()).to_string()));
        }
        let now = self.0.store.now();
        let is_new = found.is_none();
        let mut held = found.unwrap_or_else(|| Held::fresh(site.clone(), Rotation::new(settings.clone(), now)));
        held.rotation.settings = settings;
        let shift = self.0.shift(&held.rotation)?;
        held.rotation.plan_next(now, shift);
        held.rotation.wake = if held.rotation.paused { None } else { held.rotation.next };
        if is_new && self.wants_first(site, &held.rotation.settings).await? {
            let id = self.0.store.random.uuid().map_err(StoreError::from)?.to_string();
            held.rotation.asked = Some(Asked { id, rehearsal: false });
            held.rotation.wake = Some(now);
        }
        let schedule = &held.rotation.settings.schedule;
        match self.0.kv.mark_rotated(site, true, true, schedule, held.batch()?).await {
            Ok(_) => Ok(true),
            Err(RotatingError::Lost | RotatingError::Store(StoreError::Contended)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the secret holds no credential yet that a rotation could begin from.
    async fn wants_first(&self, site: &Site, settings: &Settings) -> Result<bool, RotationError> {
        if settings.strategy == Strategy::Hook {
            return Ok(false);
        }
        let current = match self.0.kv.rotating(site).await {
            Ok(secret) => secret.current(),
            Err(RotatingError::Gone) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let payload = if current == 0 { None } else { self.0.payload(site, current).await? };
        let Some(payload) = payload else { return Ok(true) };
        let Some(_password) = payload.secret_field(&settings.password_field) else { return Ok(true) };
        if !settings.strategy.has_target() {
            return Ok(false);
        }
        let name = payload.secret_field(&settings.username_field);
        Ok(name.is_none_or(|name| !settings.users.iter().any(|user| user == name.expose_secret())))
    }

    /// A rotation as it stands.
    ///
    /// # Errors
    /// [`RotationError::NotFound`].
    pub async fn read(&self, permit: Permit) -> Result<RotationView, RotationError> {
        self.look(permit, false).await
    }

    /// The same, with who uses which credential: the target is asked, whatever the state.
    ///
    /// # Errors
    /// [`RotationError::NotFound`].
    pub async fn read_with_use(&self, permit: Permit) -> Result<RotationView, RotationError> {
        self.look(permit, true).await
    }

    async fn look(&self, permit: Permit, with_use: bool) -> Result<RotationView, RotationError> {
        let (site, path) = self.site(&permit)?;
        permit.spend();
        let held = self.0.hold(&site).await?.ok_or(RotationError::NotFound)?;
        let readers = self.0.consumers.of(&site).await?;
        let evidence = match &held.rotation.run {
            Some(run) if held.rotation.phase.is_promoted() => Some(self.0.evidence(&site, &held.rotation, run).await?),
            _ => None,
        };
        let in_use = match with_use {
            true => Some(self.0.in_use(&site, &held.rotation, &readers).await?),
            false => None,
        };
        let now = self.0.store.now();
        let overdue = is_overdue(&held.rotation, now);
        Ok(RotationView { path, rotation: held.rotation, readers, evidence, overdue, in_use })
    }

    /// The paths of all secrets and static roles that have a rotation, up to `limit` of them, after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit, after: &str, limit: usize) -> Result<Vec<String>, RotationError> {
        permit.spend();
        let mut paths = Vec::new();
        for mount in self.0.mounts.all() {
            let (folder, prefix) = match mount.engine {
                Engine::Kv2 => (mount.path.clone(), keys::kv_rotations(&mount.uuid)),
                Engine::Database => {
                    (format!("{}{STATIC_ROLES}", mount.path), keys::database(&mount.uuid, "rotation", ""))
                }
                _ => continue,
            };
            if !after.starts_with(&folder) && folder.as_str() <= after {
                continue;
            }
            let mut behind = after.strip_prefix(&folder).map(|name| [prefix.as_slice(), name.as_bytes()].concat());
            while paths.len() < limit {
                let room = (limit - paths.len()).min(crate::store::PAGE);
                let page =
                    self.0.store.barrier.keys(&prefix, behind.as_deref(), room).await.map_err(StoreError::from)?;
                let name = |key: &Vec<u8>| String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                paths.extend(page.iter().map(|key| format!("{folder}{}", name(key))));
                if page.len() < room {
                    break;
                }
                behind = page.last().cloned();
            }
        }
        Ok(paths)
    }

    /// Removes a rotation; the secret and what is at the target stay as they are. One that is under way is only removed
    /// with `force`: what it has begun then stays, too.
    ///
    /// # Errors
    /// [`RotationError::NotFound`], [`RotationError::UnderWay`].
    pub async fn delete(&self, permit: Permit, force: bool) -> Result<(), RotationError> {
        let (site, _) = self.secret(&permit)?;
        permit.spend();
        for _ in 0..TRIES {
            let held = self.0.hold(&site).await?.ok_or(RotationError::NotFound)?;
            if held.rotation.phase != Phase::Idle && !force {
                return Err(under_way(&held.rotation));
            }
            match self.0.kv.mark_rotated(&site, false, false, "", held.removal()).await {
                Ok(_) => return Ok(()),
                Err(RotatingError::Lost | RotatingError::Store(StoreError::Contended)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Begins a rotation now; `id` names its version, chosen at random if empty. If a hook filled a version and then
    /// failed, that one is tried again. With `rehearsal` the present credential
    /// is only tried. Returns the id.
    ///
    /// # Errors
    /// [`RotationError::NotFound`], [`RotationError::UnderWay`], [`RotationError::Paused`].
    pub async fn run(&self, permit: Permit, id: String, rehearsal: bool) -> Result<String, RotationError> {
        let (site, _) = self.site(&permit)?;
        permit.spend();
        let left = self.left_at(&site).await?;
        if let (true, Some(left)) = (rehearsal, &left) {
            return Err(to_be_repeated(left));
        }
        let id = match (&left, id.is_empty()) {
            (Some(left), _) => left.clone(),
            (None, true) => self.0.store.random.uuid().map_err(StoreError::from)?.to_string(),
            (None, false) => id,
        };
        self.change(&site, |rotation, now| {
            if rotation.phase != Phase::Idle || rotation.asked.is_some() {
                return Err(under_way(rotation));
            }
            if rotation.paused {
                return Err(RotationError::Paused);
            }
            rotation.asked = Some(Asked { id: id.clone(), rehearsal });
            if left.is_some() {
                // How the one of that id ended is yet to be seen.
                rotation.ended = None;
            }
            rotation.wake = Some(now);
            Ok(())
        })
        .await?;
        self.start(site);
        Ok(id)
    }

    /// The version that waits for another attempt.
    pub(super) async fn left_at(&self, site: &Site) -> Result<Option<String>, RotationError> {
        match self.0.hold(site).await? {
            Some(held) => Ok(self.0.left(&held).await?),
            None => Ok(None),
        }
    }

    /// Stops new rotations from beginning, and credentials from being revoked, until it is resumed.
    ///
    /// # Errors
    /// [`RotationError::NotFound`].
    pub async fn pause(&self, permit: Permit) -> Result<(), RotationError> {
        let (site, _) = self.site(&permit)?;
        permit.spend();
        self.change(&site, |rotation, _| {
            rotation.pause();
            Ok(())
        })
        .await
    }

    /// Goes on after a pause. What was missed meanwhile is done once.
    ///
    /// # Errors
    /// [`RotationError::NotFound`].
    pub async fn resume(&self, permit: Permit) -> Result<(), RotationError> {
        let (site, _) = self.site(&permit)?;
        permit.spend();
        self.change(&site, |rotation, now| {
            rotation.paused = false;
            rotation.wake = if rotation.phase == Phase::Idle { rotation.next } else { rotation.wake.or(Some(now)) };
            Ok(())
        })
        .await?;
        self.start(site);
        Ok(())
    }

    /// Makes the credential before current again, while it is still good: what was current becomes the one to be
    /// revoked once nobody needs it.
    ///
    /// # Errors
    /// [`RotationError::NotFound`], [`RotationError::NoWayBack`].
    pub async fn roll_back(&self, permit: Permit) -> Result<u64, RotationError> {
        let (site, _) = self.site(&permit)?;
        permit.spend();
        let no = |why: &str| RotationError::NoWayBack(why.to_owned());
        let mut held = self.0.hold(&site).await?.ok_or(RotationError::NotFound)?;
        let now = self.0.store.now();
        if held.rotation.claim.as_ref().is_some_and(|claim| claim.until > now) {
            return Err(under_way(&held.rotation));
        }
        if held.rotation.phase != Phase::Overlap {
            return Err(no("the credential before is good during the overlap alone"));
        }
        let run = held.rotation.run.clone().ok_or_else(|| no("no rotation is under way"))?;
        let old = run.old.clone().ok_or_else(|| no("there was no credential before"))?;
        let target = self.0.target(&site, &held.rotation.settings).await.map_err(StepError::from)?;
        let acting = Acting { site: &site, settings: &held.rotation.settings, run: &run, target: None };
        let principal = super::strategies::principal(&self.0, &acting, &old).await?;
        if target.log_in(&principal.username, &principal.password).await.map_err(StepError::from)? == Login::Refused {
            return Err(no("the target refuses the credential before"));
        }
        let (base, version) = (run.new.version, old.version);
        if let Some(run) = &mut held.rotation.run {
            run.old = Some(std::mem::replace(&mut run.new, old));
            run.promoted = Some(now);
            run.reason = String::new();
        }
        held.rotation.rotated = Some(now);
        held.rotation.wake = Some(now);
        self.0.promote_earlier(&site, version, base, held.batch()?).await?;
        self.start(site);
        Ok(version)
    }

    pub(super) async fn change(
        &self,
        site: &Site,
        change: impl Fn(&mut Rotation, Timestamp) -> Result<(), RotationError>,
    ) -> Result<(), RotationError> {
        for _ in 0..TRIES {
            let mut held = self.0.hold(site).await?.ok_or(RotationError::NotFound)?;
            change(&mut held.rotation, self.0.store.now())?;
            if self.0.keep(&mut held).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }
}

/// The settings that a change starts from.
fn base_settings(found: Option<&Held>, strategy: Option<Strategy>) -> Result<Settings, RotationError> {
    let Some(held) = found else {
        return strategy.map(Settings::new).ok_or(RotationError::NoStrategy);
    };
    let rotation = &held.rotation;
    if strategy.is_some_and(|strategy| strategy != rotation.settings.strategy) {
        return Err(RotationError::OtherStrategy);
    }
    if rotation.phase != Phase::Idle || rotation.asked.is_some() {
        return Err(under_way(rotation));
    }
    Ok(rotation.settings.clone())
}

/// A hook filled a version and then failed: it is that one's turn.
pub(super) fn to_be_repeated(left: &str) -> RotationError {
    RotationError::UnderWay(format!("the hook filled version {left} and failed: it is to be tried again first"))
}

pub(super) fn under_way(rotation: &Rotation) -> RotationError {
    let reason = rotation.run.as_ref().map_or("", |run| run.reason.as_str());
    let name = if rotation.phase == Phase::Idle { "about to begin" } else { rotation.phase.name() };
    RotationError::UnderWay(if reason.is_empty() { name.to_owned() } else { format!("{name}, {reason}") })
}

/// Whether the scheduled time has passed by more than the upkeep needs.
fn is_overdue(rotation: &Rotation, now: Timestamp) -> bool {
    let late = |next: Timestamp| now.duration_since(next).as_secs() > 60;
    !rotation.phase.is_promoted() && rotation.next.is_some_and(late)
}
