//! Two principals take turns. The one that is not in use gets the new password; the other keeps its own, with all its
//! sessions, until it is disabled. Both are members of one role, which owns what they make.

use super::{Acting, current_username, make, principal};
use crate::rotation::{Inner, machine::StepError};

pub(super) async fn set(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = principal(inner, acting, &acting.run.new).await?;
    if acting.run.made {
        return make(acting, &new).await;
    }
    Ok(acting.target()?.set_password(&new, &[]).await?)
}

pub(super) async fn revoke(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let Some(old) = &acting.run.old else { return Ok(()) };
    if current_username(inner, acting).await?.as_ref() == Some(&old.username) {
        // Somebody wrote the earlier credential back by hand: it is the one in use.
        return Ok(());
    }
    Ok(acting.target()?.disable(&old.username).await?)
}

pub(super) async fn undo(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = &acting.run.new.username;
    if current_username(inner, acting).await?.as_ref() == Some(new) || !acting.knows(new).await? {
        return Ok(());
    }
    let target = acting.target()?;
    if acting.run.made { Ok(target.revoke(new, &[]).await?) } else { Ok(target.disable(new).await?) }
}
