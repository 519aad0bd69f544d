//! One principal and one password. From the moment at which the target takes the new one until it is current, whoever
//! logs in with the one before is refused: applications have to try again.

use super::{Acting, make, principal};
use crate::rotation::{Inner, machine::StepError};

pub(super) async fn set(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = principal(inner, acting, &acting.run.new).await?;
    if acting.run.made {
        return make(acting, &new).await;
    }
    Ok(acting.target()?.set_password(&new, &[]).await?)
}

pub(super) async fn undo(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let target = acting.target()?;
    if acting.run.made {
        let name = &acting.run.new.username;
        return if acting.knows(name).await? { Ok(target.revoke(name, &[]).await?) } else { Ok(()) };
    }
    let Some(old) = &acting.run.old else { return Ok(()) };
    Ok(target.set_password(&principal(inner, acting, old).await?, &[]).await?)
}
