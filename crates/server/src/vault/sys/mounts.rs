//! `sys/mounts`: secrets engines.

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    mount_class::{self, Class},
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    mount_class::list(call, Class::Secrets).await
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    mount_class::read(call, Class::Secrets).await
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    mount_class::write(call, Class::Secrets).await
}

pub(in super::super) async fn disable(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    if call.core.mounts().at(&path).is_some_and(|mount| mount.engine.is_auth()) {
        return Err(Failure::bad_request("auth methods are disabled at sys/auth"));
    }
    call.core.disable_mount(call.permit, &path).await?;
    Ok(Reply::empty())
}
