//! The state machine: one step, one commit, the next step. Whoever works on a rotation has a claim on it that ends by
//! itself, and every commit names the revision of what it was read at: of two who work on one rotation, the second
//! commit fails, and what its steps did to the target is what the first one's do.

use super::{
    ConnectionError, Inner, Opened, Phase, Rotation, Site, Strategy,
    keeping::Held,
    record::{Claim, Credential, Ended, Failure, Run},
    strategies::{self, Act, Acting},
};
use crate::{
    clock::{self, Timestamp},
    kv::{PENDING, RotatingError},
    store::StoreError,
    target::TargetError,
};

/// Seconds for which a claim holds unless it is renewed, which each step does.
pub(super) const CLAIM: u64 = 60;

/// Failures of one step before what was begun is taken back.
pub(crate) const MAX_ATTEMPTS: u32 = 6;

/// The longest pause after a failure, in seconds.
const MAX_PAUSE: u64 = 600;

/// A step could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// It may succeed another time.
    #[error("{0}")]
    Again(String),
    /// It will not.
    #[error("{0}")]
    Never(String),
    /// Somebody else works on the rotation.
    #[error("somebody else works on this rotation")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TargetError> for StepError {
    fn from(error: TargetError) -> Self {
        if error.is_transient() { Self::Again(error.to_string()) } else { Self::Never(error.to_string()) }
    }
}

impl From<ConnectionError> for StepError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Target(error) => error.into(),
            ConnectionError::Store(error) => error.into(),
            ConnectionError::Missing(_) | ConnectionError::Refused(_) => Self::Never(error.to_string()),
        }
    }
}

impl From<RotatingError> for StepError {
    fn from(error: RotatingError) -> Self {
        match error {
            RotatingError::Lost => Self::Lost,
            RotatingError::Store(StoreError::Contended) => Self::Again("the secret changed meanwhile".to_owned()),
            RotatingError::Store(error) => Self::Store(error),
            other => Self::Never(other.to_string()),
        }
    }
}

/// What comes after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next one.
    On,
    /// Nothing for now; the claim is given back.
    Rest,
}

impl Inner {
    /// Carries a rotation on until it waits for a time, or somebody else has it.
    pub(super) async fn advance(&self, site: &Site) -> Result<(), StoreError> {
        let Some(mut held) = self.hold(site).await? else { return Ok(()) };
        let now = self.store.now();
        let busy = held.rotation.claim.as_ref().is_some_and(|claim| claim.until > now);
        if busy || held.rotation.wake.is_none_or(|at| at > now) {
            return Ok(());
        }
        let until = clock::after(now, CLAIM);
        held.rotation.claim = Some(Claim { owner: self.store.random.uuid()?.to_string(), until });
        if held.rotation.phase != Phase::Idle {
            held.rotation.wake = Some(until);
            if !self.keep(&mut held).await? {
                return Ok(());
            }
        }
        loop {
            match self.step(&mut held).await {
                Ok(Flow::On) => {}
                Ok(Flow::Rest) | Err(StepError::Lost) => return Ok(()),
                Err(StepError::Store(error)) => return Err(error),
                Err(StepError::Again(reason)) => {
                    if self.failed(&mut held, reason, false).await? == Flow::Rest {
                        return Ok(());
                    }
                }
                Err(StepError::Never(reason)) => {
                    if self.failed(&mut held, reason, true).await? == Flow::Rest {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn step(&self, held: &mut Held) -> Result<Flow, StepError> {
        if held.rotation.phase == Phase::Idle {
            return self.start_if_due(held).await;
        }
        if held.rotation.run.is_none() {
            // Unreachable by any commit of ours; a phase without a run is nothing to carry on.
            held.rotation.phase = Phase::Idle;
            return self.rest_until_next(held).await;
        }
        match held.rotation.phase {
            Phase::Idle | Phase::Creating => self.create(held).await,
            Phase::Setting => {
                self.act(held, Act::Set).await?;
                self.go(held, Phase::Testing).await
            }
            Phase::Testing => {
                self.act(held, Act::Test).await?;
                let rehearsal = held.rotation.run.as_ref().is_some_and(|run| run.rehearsal);
                self.go(held, if rehearsal { Phase::Undoing } else { Phase::Promoting }).await
            }
            Phase::Promoting => self.promote(held).await,
            Phase::Overlap => self.overlap(held).await,
            Phase::Revoking => self.revoke(held).await,
            Phase::Undoing => self.undo(held).await,
        }
    }

    /// Begins what is due or asked for.
    async fn start_if_due(&self, held: &mut Held) -> Result<Flow, StepError> {
        let now = self.store.now();
        let due = held.rotation.retries > 0 || held.rotation.next.is_some_and(|next| next <= now);
        let asked = held.rotation.asked.take();
        if asked.is_none() && (!due || held.rotation.paused) {
            return self.rest_until_next(held).await;
        }
        if asked.is_none() && !held.rotation.is_in_window(now) {
            held.rotation.plan_missed(now, self.shift(&held.rotation)?);
            held.rotation.retries = 0;
            if held.rotation.next.is_none_or(|next| next > now) {
                return self.rest_until_next(held).await;
            }
        }
        let (id, rehearsal) = match asked {
            Some(asked) => (Some(asked.id), asked.rehearsal),
            None => (None, false),
        };
        let left = self.left(held).await?;
        if rehearsal && left.is_some() {
            // The label is needed where it is; why the last one failed is told still.
            return self.rest_until_next(held).await;
        }
        let id = match left.or(id) {
            Some(id) => id,
            None => self.store.random.uuid().map_err(StoreError::from)?.to_string(),
        };
        held.rotation.run = Some(Run {
            id,
            began: now,
            promoted: None,
            new: Credential::default(),
            old: None,
            base: 0,
            made: false,
            rehearsal,
            attempts: 0,
            reason: String::new(),
        });
        held.rotation.failure = None;
        self.go(held, Phase::Creating).await
    }

    /// The version that a hook filled before its rotation failed, if it waits for another attempt still. The target may
    /// know its value and no other.
    pub(super) async fn left(&self, held: &Held) -> Result<Option<String>, StoreError> {
        if held.rotation.left_behind().is_none() {
            return Ok(None);
        }
        match self.kv.rotating(&held.site).await {
            Ok(secret) => Ok(held.rotation.left_in(&secret, self.store.now())),
            Err(RotatingError::Store(error)) => Err(error),
            // Whoever begins one is told.
            Err(_) => Ok(None),
        }
    }

    /// The next step, with the claim renewed.
    pub(super) async fn go(&self, held: &mut Held, phase: Phase) -> Result<Flow, StepError> {
        self.enter(held, phase);
        if self.keep(held).await? { Ok(Flow::On) } else { Err(StepError::Lost) }
    }

    /// Puts a rotation into a phase, with the claim renewed; to be stored.
    pub(super) fn enter(&self, held: &mut Held, phase: Phase) {
        let until = clock::after(self.store.now(), CLAIM);
        let rotation = &mut held.rotation;
        rotation.phase = phase;
        if let Some(claim) = &mut rotation.claim {
            claim.until = until;
        }
        rotation.wake = Some(until);
        if let Some(run) = &mut rotation.run {
            run.attempts = 0;
            run.reason.clear();
        }
    }

    /// Gives the claim back until `at`.
    pub(super) async fn rest(&self, held: &mut Held, at: Option<Timestamp>) -> Result<Flow, StepError> {
        held.rotation.claim = None;
        held.rotation.wake = at;
        if self.keep(held).await? { Ok(Flow::Rest) } else { Err(StepError::Lost) }
    }

    async fn rest_until_next(&self, held: &mut Held) -> Result<Flow, StepError> {
        let next = if held.rotation.paused { None } else { held.rotation.next };
        self.rest(held, next).await
    }

    /// Does something to the target with the credentials at hand.
    async fn act(&self, held: &mut Held, act: Act) -> Result<(), StepError> {
        let least = 2 * strategies::bound(self, &held.rotation.settings).as_secs();
        if least > CLAIM {
            let until = clock::after(self.store.now(), least);
            if let Some(claim) = &mut held.rotation.claim {
                claim.until = until;
            }
            held.rotation.wake = Some(until);
            if !self.keep(held).await? {
                return Err(StepError::Lost);
            }
        }
        if held.rotation.settings.strategy == Strategy::Hook {
            self.mend_label(held).await?;
        }
        let acting = self.acting(held).await?;
        strategies::perform(self, &acting, act).await
    }

    /// Puts the label back on the version of a step that has failed, should somebody have taken it: a rotation function
    /// refuses a version without.
    async fn mend_label(&self, held: &mut Held) -> Result<(), StepError> {
        let Some(run) = held.rotation.run.as_ref().filter(|run| run.attempts > 0) else { return Ok(()) };
        let secret = self.kv.rotating(&held.site).await?;
        let is_lost = secret.by_id(&run.id).is_some_and(|version| !version.has(PENDING));
        if !is_lost || secret.current() != run.base {
            return Ok(());
        }
        let (site, id, base) = (held.site.clone(), run.id.clone(), run.base);
        let revision = self.kv.stage_pending(&site, &id, None, base, |_| held.batch()).await?;
        held.stored(revision);
        Ok(())
    }

    async fn promote(&self, held: &mut Held) -> Result<Flow, StepError> {
        self.act(held, Act::Finish).await?;
        let before = held.clone();
        let now = self.store.now();
        let Some(run) = &mut held.rotation.run else { return Ok(Flow::On) };
        run.promoted = Some(now);
        let (number, base) = (run.new.version, run.base);
        let overlaps = run.old.is_some() && held.rotation.settings.strategy.overlaps();
        held.rotation.rotated = Some(now);
        held.rotation.count += 1;
        if overlaps {
            self.enter(held, Phase::Overlap);
        } else {
            self.end(held)?;
        }
        match self.promote_pending(&held.site, number, base, held.batch()?).await {
            Ok(revision) => held.stored(revision),
            Err(error) => {
                *held = before;
                return Err(error.into());
            }
        }
        Ok(if overlaps { Flow::On } else { Flow::Rest })
    }

    async fn revoke(&self, held: &mut Held) -> Result<Flow, StepError> {
        self.act(held, Act::Revoke).await?;
        self.end(held)?;
        if self.keep(held).await? { Ok(Flow::Rest) } else { Err(StepError::Lost) }
    }

    async fn undo(&self, held: &mut Held) -> Result<Flow, StepError> {
        self.act(held, Act::Undo).await?;
        let before = held.clone();
        let Some(run) = &held.rotation.run else { return Ok(Flow::On) };
        let (id, rehearsal) = (run.id.clone(), run.rehearsal);
        self.end(held)?;
        let dropped = match before.rotation.settings.strategy {
            // What the hook has done cannot be taken back: the target may know the new value already.
            Strategy::Hook if !rehearsal => self.kv.drop_pending_if_empty(&held.site, &id, held.batch()?).await,
            _ => self.drop_pending(&held.site, &id, held.batch()?).await,
        };
        match dropped {
            Ok(revision) => held.stored(revision),
            Err(error) => {
                *held = before;
                return Err(error.into());
            }
        }
        Ok(Flow::Rest)
    }

    /// Ends the run; to be stored.
    fn end(&self, held: &mut Held) -> Result<(), StoreError> {
        let now = self.store.now();
        let shift = self.shift(&held.rotation)?;
        let rotation = &mut held.rotation;
        let retry = match &rotation.run {
            Some(run) if held.site.is_static_role() && run.promoted.is_none() && !run.rehearsal => {
                rotation.retries = rotation.retries.saturating_add(1);
                Some(clock::after(now, self.pause(rotation.retries)?))
            }
            _ => {
                rotation.plan_next(now, shift);
                None
            }
        };
        if let Some(run) = rotation.run.take() {
            if run.promoted.is_some() {
                rotation.retries = 0;
            }
            rotation.ended = Some(Ended { id: run.id, at: now, promoted: run.promoted.is_some() });
        }
        rotation.phase = Phase::Idle;
        rotation.claim = None;
        rotation.wake = if rotation.paused { None } else { retry.or(rotation.next) };
        Ok(())
    }

    /// A step failed: another time, or what was begun is taken back.
    async fn failed(&self, held: &mut Held, reason: String, for_good: bool) -> Result<Flow, StoreError> {
        let now = self.store.now();
        let phase = held.rotation.phase;
        let Some(run) = &mut held.rotation.run else { return Ok(Flow::Rest) };
        run.attempts = run.attempts.saturating_add(1);
        let attempts = run.attempts;
        run.reason.clone_from(&reason);
        // Nobody may know the password that a static role's user had before: what may have been set is set until it is.
        let insists = held.site.is_static_role()
            && phase == Phase::Setting
            && (run.old.is_none() || held.rotation.settings.strategy == Strategy::InPlace);
        let gives_up = for_good || attempts >= MAX_ATTEMPTS && !insists;
        tracing::warn!(secret = held.site.name, phase = phase.name(), attempts, reason, "a step of a rotation failed");
        if gives_up && !phase.is_promoted() && phase != Phase::Undoing {
            held.rotation.failure = Some(Failure { at: now, phase, reason, attempts });
            self.enter(held, Phase::Undoing);
            return Ok(if self.keep(held).await? { Flow::On } else { Flow::Rest });
        }
        let pause = self.pause(attempts)?;
        held.rotation.claim = None;
        held.rotation.wake = Some(clock::after(now, pause));
        // Lost: whoever has it goes on.
        let _kept = self.keep(held).await?;
        Ok(Flow::Rest)
    }

    /// Seconds to wait after so many failures: twice as long each time, and a quarter more or less at random.
    fn pause(&self, attempts: u32) -> Result<u64, StoreError> {
        let full = (2_u64 << attempts.min(16)).min(MAX_PAUSE);
        let draw = u64::from(u16::from_le_bytes(self.store.random.bytes()?));
        Ok((full * 3 / 4 + full / 2 * draw / u64::from(u16::MAX)).max(1))
    }

    /// Seconds by which the next scheduled time is put off.
    pub(super) fn shift(&self, rotation: &Rotation) -> Result<u64, StoreError> {
        let jitter = rotation.settings.jitter;
        let draw = u64::from(u32::from_le_bytes(self.store.random.bytes()?));
        Ok(if jitter == 0 { 0 } else { draw % (jitter + 1) })
    }

    /// What a step works with.
    async fn acting<'h>(&self, held: &'h Held) -> Result<Acting<'h>, StepError> {
        let Held { site, rotation, .. } = held;
        let run = rotation.run.as_ref().ok_or(StepError::Lost)?;
        let untouched = site.is_static_role()
            && rotation.phase == Phase::Undoing
            && rotation.settings.strategy == Strategy::InPlace;
        let target = match rotation.settings.strategy.has_target() && run.new.version > 0 && !untouched {
            true => Some(self.open(held).await?),
            false => None,
        };
        Ok(Acting { site, settings: &rotation.settings, run, target })
    }

    async fn open(&self, held: &Held) -> Result<Opened, StepError> {
        match self.target(&held.site, &held.rotation.settings).await.map_err(StepError::from) {
            // An attempt before this one may have set the password: the connection is waited for.
            Err(StepError::Never(reason)) if held.site.is_static_role() => Err(StepError::Again(reason)),
            outcome => outcome,
        }
    }
}
