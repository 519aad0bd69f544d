//! One principal that has two passwords for a time: the new one is added, and the one before taken away later.

use super::{Acting, make, principal};
use crate::{
    rotation::{Inner, machine::StepError},
    target::Login,
};

pub(super) async fn set(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = principal(inner, acting, &acting.run.new).await?;
    if acting.run.made {
        return make(acting, &new).await;
    }
    let target = acting.target()?;
    if acting.run.old.is_none() {
        // Nobody knows the password before, so nobody could tell when it is needed no more.
        return Ok(target.set_password(&new, &[]).await?);
    }
    // Where the engine keeps two passwords at the most, adding one a second time would push the earlier one out.
    if target.log_in(&new.username, &new.password).await? == Login::Accepted {
        return Ok(());
    }
    Ok(target.add_password(&new).await?)
}

pub(super) async fn revoke(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let new = principal(inner, acting, &acting.run.new).await?;
    Ok(acting.target()?.keep_only_password(&new).await?)
}

pub(super) async fn undo(inner: &Inner, acting: &Acting<'_>) -> Result<(), StepError> {
    let target = acting.target()?;
    if acting.run.made {
        let name = &acting.run.new.username;
        return if acting.knows(name).await? { Ok(target.revoke(name, &[]).await?) } else { Ok(()) };
    }
    let Some(old) = &acting.run.old else { return Ok(()) };
    Ok(target.keep_only_password(&principal(inner, acting, old).await?).await?)
}
