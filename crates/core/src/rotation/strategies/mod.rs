//! What each strategy does to the target, one file a strategy. Each act may be done again.

mod alternating;
mod dual_credential;
mod hook;
mod in_place;

use std::time::Duration;

use super::{
    Inner, Opened, Settings, Site, Strategy,
    machine::{CLAIM, StepError},
    record::{Credential, Run},
};
use crate::target::{Login, Principal, Target};

/// What an act may take on top of what its hook may.
const MARGIN: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The target takes the new credential.
    Set,
    /// The new credential is tried.
    Test,
    /// All is ready for it to become current.
    Finish,
    /// The credential before is good no longer.
    Revoke,
    /// The target is as it was.
    Undo,
}

/// What an act works with.
pub(super) struct Acting<'h> {
    pub(super) site: &'h Site,
    pub(super) settings: &'h Settings,
    pub(super) run: &'h Run,
    /// Absent for strategies without one, and while nothing was done at it yet.
    pub(super) target: Option<Opened>,
}

impl Acting<'_> {
    fn target(&self) -> Result<&dyn Target, StepError> {
        self.target.as_deref().ok_or_else(|| StepError::Never("the rotation has no target".to_owned()))
    }

    /// Whether the target knows a principal.
    async fn knows(&self, username: &str) -> Result<bool, StepError> {
        Ok(!self.target()?.existing(&[username.to_owned()]).await?.is_empty())
    }
}

/// How long an act may take at the most. Of what takes longer than half a claim, the claim has to be made longer first.
pub(super) fn bound(inner: &Inner, settings: &Settings) -> Duration {
    let least = Duration::from_secs(CLAIM / 2);
    // The first act of a hook are two of its steps.
    hook::patience(inner, settings).map_or(least, |patience| least.max(2 * patience + MARGIN))
}

/// Does it, in less time than the claim holds.
pub(super) async fn perform(inner: &Inner, acting: &Acting<'_>, act: Act) -> Result<(), StepError> {
    let bound = bound(inner, acting.settings);
    match tokio::time::timeout(bound, choose(inner, acting, act)).await {
        Ok(done) => done,
        Err(_) => Err(StepError::Again(format!("it took longer than {} seconds", bound.as_secs()))),
    }
}

async fn choose(inner: &Inner, acting: &Acting<'_>, act: Act) -> Result<(), StepError> {
    match (acting.settings.strategy, act) {
        // What is tried is the credential that the target has.
        (_, Act::Set | Act::Undo) if acting.run.rehearsal => Ok(()),
        (Strategy::Hook, act) => hook::perform(inner, acting, act).await,
        (Strategy::Generated, _) => Ok(()),
        // Nothing was done at the target yet.
        (_, Act::Undo) if acting.target.is_none() => Ok(()),
        (_, Act::Finish) => Ok(()),
        // A static role's user may be one that cannot log in from here. What the target refused for certain is not there.
        (Strategy::InPlace, Act::Test) if acting.site.is_static_role() && !acting.run.rehearsal => Ok(()),
        (Strategy::InPlace, Act::Undo) if acting.site.is_static_role() => Ok(()),
        (_, Act::Test) => test(inner, acting).await,
        (Strategy::Alternating, Act::Set) => alternating::set(inner, acting).await,
        (Strategy::Alternating, Act::Revoke) => alternating::revoke(inner, acting).await,
        (Strategy::Alternating, Act::Undo) => alternating::undo(inner, acting).await,
        (Strategy::DualCredential, Act::Set) => dual_credential::set(inner, acting).await,
        (Strategy::DualCredential, Act::Revoke) => dual_credential::revoke(inner, acting).await,
        (Strategy::DualCredential, Act::Undo) => dual_credential::undo(inner, acting).await,
        (Strategy::InPlace, Act::Set) => in_place::set(inner, acting).await,
        (Strategy::InPlace, Act::Undo) => in_place::undo(inner, acting).await,
        (Strategy::InPlace, Act::Revoke) => Ok(()),
    }
}

/// Logs in with the new credential.
async fn test(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let principal = principal(inner, acting, &acting.run.new).await?;
    match acting.target()?.log_in(&principal.username, &principal.password).await? {
        Login::Accepted => Ok(()),
        Login::Refused => {
            Err(StepError::Again(format!("the target refuses the new login of {:?}", principal.username)))
        }
    }
}

/// A credential with its password, from the version that holds it.
pub(super) async fn principal(
    inner: &Inner,
    acting: &Acting<'_>,
    credential: &Credential,
) -> Result<Principal, StepError> {
    let gone = || StepError::Never(format!("version {} of the secret holds no password any more", credential.version));
    let payload = inner.payload(acting.site, credential.version).await?.ok_or_else(gone)?;
    let password = payload.secret_field(&acting.settings.password_field).ok_or_else(gone)?;
    Ok(Principal { username: credential.username.clone(), password, expires: None })
}

/// The name that the secret's current version holds.
async fn current_username(inner: &Inner, acting: &Acting<'_>) -> Result<Option<String>, StepError> {
    let number = inner.current_version(acting.site).await?;
    let payload = if number == 0 { None } else { inner.payload(acting.site, number).await? };
    let name = payload.and_then(|payload| payload.secret_field(&acting.settings.username_field));
    Ok(name.map(|name| name.expose_secret().to_owned()))
}

/// Makes a principal. One that is there by now is what an earlier attempt left, perhaps half-made: without its role,
/// where the engine has no transaction around the two.
async fn make(acting: &Acting<'_>, principal: &Principal) -> Result<(), StepError> {
    Ok(acting.target()?.create_member(principal, &acting.settings.owner_role).await?)
}
