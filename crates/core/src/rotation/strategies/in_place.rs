//! One principal and one password. From the moment at which the target takes the new one until it is current, whoever
//! logs in with the one before is refused: applications have to try again.

use super::{Acting, make, principal};
use crate::{
    rotation::{Inner, machine::StepError},
    target::{Login, Principal, TargetError},
};

pub(super) async fn set(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = principal(inner, acting, &acting.run.new).await?;
    if acting.run.made {
        return make(acting, &new).await;
    }
    let Err(error) = acting.target()?.set_password(&new, &acting.settings.statements).await else { return Ok(()) };
    if acting.site.is_static_role() { certain(acting, &new, error).await } else { Err(error.into()) }
}

/// Whether the target has refused a password for certain, or may have taken it. Of a static role nobody may know the
/// password before, so that nothing could be taken back.
async fn certain(acting: &Acting<'_>, new: &Principal, error: TargetError) -> Result<(), StepError> {
    let again = |error: TargetError| Err(StepError::Again(error.to_string()));
    if error.leaves_doubt() {
        return again(error);
    }
    // It may be set already, by an attempt before this one or by the first of several statements.
    match acting.target()?.log_in(&new.username, &new.password).await {
        Ok(Login::Accepted) => Ok(()),
        Ok(Login::Refused) => Err(StepError::Never(error.to_string())),
        Err(_) => again(error),
    }
}

pub(super) async fn undo(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let target = acting.target()?;
    if acting.run.made {
        let name = &acting.run.new.username;
        return if acting.knows(name).await? { Ok(target.revoke(name, &[]).await?) } else { Ok(()) };
    }
    let Some(old) = &acting.run.old else { return Ok(()) };
    Ok(target.set_password(&principal(inner, acting, old).await?, &acting.settings.statements).await?)
}
