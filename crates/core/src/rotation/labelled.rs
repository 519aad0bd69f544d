//! Rotations as those ask for them who know versions by id and label: settings kept with the secret, a version's id
//! chosen by the caller.

use super::{
    Asked, Phase, Rotation, RotationError, Rotations, Site,
    operations::{to_be_repeated, under_way},
};
use crate::{
    clock::Timestamp,
    door::Permit,
    duration,
    kv::{Restriction, RotationChange, RotationSettings, Secret, SecretError},
};

/// Rules as they are kept with the secret: days, schedule, window.
type Rules = (u32, String, String);

impl Rotations {
    /// Keeps the settings with the secret ([`crate::kv::Kv::configure_rotation`]). If the secret has a rotation, it
    /// takes the rules for its schedule, goes on if it was paused, and begins: with `rehearsal` only to try the present
    /// credential. The same id again changes nothing more.
    ///
    /// # Errors
    /// As [`crate::kv::Kv::configure_rotation`]; [`RotationError::UnderWay`].
    pub async fn rotate_labelled<E: From<SecretError> + From<RotationError>>(
        &self,
        permit: Permit,
        change: RotationChange,
        id: &str,
        allowed: Restriction<'_>,
        check: impl FnOnce(&RotationSettings, bool) -> Result<(), E> + Send,
    ) -> Result<Secret, E> {
        let site = site_of(&permit);
        let rehearsal = change.start.is_none();
        let rules = change.rules.clone();
        let secret = self.0.kv.configure_rotation(permit, change, allowed, check).await?;
        if let Some(site) = site.filter(|_| secret.rotated) {
            let left = self.left_at(&site).await?;
            if let (true, Some(left)) = (rehearsal, &left) {
                return Err(to_be_repeated(left).into());
            }
            let asked = Wanted { id: left.as_deref().unwrap_or(id), again: left.is_some(), rehearsal };
            self.change(&site, |rotation, now| ask(rotation, rules.as_ref(), &asked, now)).await?;
            self.start(site);
            // It begins all the same, with the version that waits.
            if let Some(left) = left.filter(|left| left != id) {
                return Err(to_be_repeated(&left).into());
            }
        }
        Ok(secret)
    }

    /// Switches rotation off: a rotation of this server's own is paused.
    ///
    /// # Errors
    /// As [`crate::kv::Kv::cancel_rotation`].
    pub async fn cancel_labelled(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let site = site_of(&permit);
        let secret = self.0.kv.cancel_rotation(permit, allowed).await?;
        if let Some(site) = site.filter(|_| secret.rotated) {
            let paused = self.change(&site, |rotation, _| {
                rotation.pause();
                Ok(())
            });
            match paused.await {
                Ok(()) | Err(RotationError::NotFound) => {}
                Err(RotationError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(SecretError::Kv(crate::kv::KvError::Invalid(error.to_string()))),
            }
        }
        Ok(secret)
    }
}

/// The secret that a permit for one of its areas is about.
fn site_of(permit: &Permit) -> Option<Site> {
    let (_, name) = permit.rest().split_once('/')?;
    Some(Site::secret(&permit.mount().uuid, name))
}

/// A rotation that is asked for.
struct Wanted<'a> {
    id: &'a str,
    /// One of that id has failed and is to be tried again.
    again: bool,
    rehearsal: bool,
}

fn ask(
    rotation: &mut Rotation,
    rules: Option<&Rules>,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<(), RotationError> {
    let known = [
        rotation.asked.as_ref().map(|asked| &asked.id),
        rotation.run.as_ref().map(|run| &run.id),
        rotation.ended.as_ref().map(|ended| &ended.id).filter(|_| !wanted.again),
    ];
    if known.into_iter().flatten().any(|known| known == wanted.id) {
        return Ok(());
    }
    if rotation.phase != Phase::Idle || rotation.asked.is_some() {
        return Err(under_way(rotation));
    }
    if let Some((days, schedule, window)) = rules {
        let settings = &mut rotation.settings;
        settings.schedule = if *days > 0 { format!("rate({days} days)") } else { schedule.clone() };
        settings.zone.clear();
        settings.window = duration::parse_seconds(window).unwrap_or(0);
        settings.jitter = settings.jitter.min(settings.window.saturating_sub(1));
        rotation.plan_next(now, 0);
    }
    if wanted.again {
        // How the one of that id ended is yet to be seen.
        rotation.ended = None;
    }
    rotation.paused = false;
    rotation.asked = Some(Asked { id: wanted.id.to_owned(), rehearsal: wanted.rehearsal });
    rotation.wake = Some(now);
    Ok(())
}
