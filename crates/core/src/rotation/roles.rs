//! What the database engine asks for its static roles. A role and its rotation are written and removed by one commit,
//! and whoever makes a role or has it rotated waits for the outcome, as Vault's clients do.

use super::{
    Asked, Phase, Rotation, Rotations, Settings, Site,
    keeping::Held,
    operations::{TRIES, under_way},
    scheduler::Turn,
};
use crate::{barrier::Batch, clock::Timestamp, consumers::Reader, schedule::Schedule, store::StoreError};

/// A static role was not rotated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRotated {
    /// What was begun is taken back: the target is as it was.
    #[error("{0}")]
    Refused(String),
    /// It is tried again, or somebody else is at it.
    #[error("{0}")]
    Unfinished(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rotations {
    /// What stores the rotation of a static role with these settings, for the commit that stores the role; with `begin`,
    /// one that is due at once.
    ///
    /// # Errors
    /// [`NotRotated::Unfinished`], when a run is under way that works with other users.
    pub(crate) async fn of_role(&self, site: &Site, settings: Settings, begin: bool) -> Result<Batch, NotRotated> {
        let now = self.0.store.now();
        let mut held = match self.0.hold(site).await? {
            Some(held) => held,
            None => Held::fresh(site.clone(), Rotation::new(settings.clone(), now)),
        };
        let rotation = &mut held.rotation;
        let before = &rotation.settings;
        if rotation.phase != Phase::Idle && (before.strategy, &before.users) != (settings.strategy, &settings.users) {
            return Err(busy(rotation));
        }
        let schedule = Schedule::parse(&settings.schedule, &settings.zone).ok();
        rotation.settings = settings;
        // As the settings have it from the last time on, which may be in the past.
        rotation.next = schedule.and_then(|schedule| schedule.next(rotation.rotated.unwrap_or(now)));
        if rotation.phase == Phase::Idle {
            rotation.retries = 0;
            rotation.wake = if rotation.paused { None } else { rotation.next };
        } else {
            // Whatever it waits for may be there now.
            rotation.wake = Some(rotation.claim.as_ref().map_or(now, |claim| claim.until));
        }
        if begin {
            let id = self.0.store.random.uuid().map_err(StoreError::from)?.to_string();
            rotation.asked = Some(Asked { id, rehearsal: false });
            rotation.wake = Some(now);
        }
        Ok(held.batch()?)
    }

    /// What stores a rotation that was kept otherwise before.
    pub(crate) fn converted(site: Site, rotation: Rotation) -> Result<Batch, StoreError> {
        Held::fresh(site, rotation).batch()
    }

    /// What removes the rotation of a static role, for the commit that removes the role.
    pub(crate) async fn without_role(&self, site: &Site) -> Result<Batch, StoreError> {
        Ok(self.0.hold(site).await?.map_or_else(Batch::new, |held| held.removal()))
    }

    /// When a static role is to be rotated next.
    pub(crate) async fn next(&self, site: &Site) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.0.hold(site).await?.and_then(|held| held.rotation.next))
    }

    /// Notes that the credential of a static role was read.
    pub(crate) fn note_role(&self, site: &Site, version: u64, reader: &Reader) {
        self.0.consumers.note_role(site, version, reader, self.0.store.now());
    }

    /// Rotates a static role now: what somebody asked for or what is under way is carried on, else one begins.
    ///
    /// # Errors
    /// When the new credential is not current afterwards.
    pub(crate) async fn rotate_role(&self, turn: &Turn) -> Result<(), NotRotated> {
        let id = self.ask_for_role(turn).await?;
        self.0.advance(&turn.site).await?;
        let Some(Held { rotation, .. }) = self.0.hold(&turn.site).await? else {
            return Err(NotRotated::Unfinished("the role is gone".to_owned()));
        };
        match (&rotation.ended, &rotation.run) {
            (Some(ended), _) if ended.id == id && ended.promoted => Ok(()),
            (Some(ended), _) if ended.id == id => {
                Err(NotRotated::Refused(rotation.failure.map_or_else(String::new, |failure| failure.reason)))
            }
            (_, Some(run)) if run.id == id && run.promoted.is_some() => Ok(()),
            (_, Some(run)) if run.id == id && !run.reason.is_empty() => Err(NotRotated::Unfinished(run.reason.clone())),
            _ => Err(busy(&rotation)),
        }
    }

    /// The id of the run that is to be carried on.
    async fn ask_for_role(&self, turn: &Turn) -> Result<String, NotRotated> {
        for _ in 0..TRIES {
            let Some(mut held) = self.0.hold(&turn.site).await? else {
                return Err(NotRotated::Unfinished("the role is gone".to_owned()));
            };
            let (rotation, now) = (&mut held.rotation, self.0.store.now());
            if rotation.paused {
                return Err(NotRotated::Unfinished("its rotation is paused: resume it first".to_owned()));
            }
            let id = match (&rotation.run, &rotation.asked) {
                (Some(_), _) if rotation.phase.is_promoted() => {
                    return Err(busy(rotation));
                }
                (Some(run), _) => run.id.clone(),
                (None, Some(asked)) => asked.id.clone(),
                (None, None) => {
                    let id = self.0.store.random.uuid().map_err(StoreError::from)?.to_string();
                    rotation.asked = Some(Asked { id: id.clone(), rehearsal: false });
                    id
                }
            };
            if rotation.claim.as_ref().is_none_or(|claim| claim.until <= now) {
                rotation.wake = Some(now);
            }
            if self.0.keep(&mut held).await? {
                return Ok(id);
            }
        }
        Err(StoreError::Contended.into())
    }
}

fn busy(rotation: &Rotation) -> NotRotated {
    NotRotated::Unfinished(under_way(rotation).to_string())
}
