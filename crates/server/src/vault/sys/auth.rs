//! `sys/auth`: auth methods.

use super::{
    super::{Outcome, call::Call, reply::Reply},
    mount_class::{self, Class},
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    mount_class::list(call, Class::Auth).await
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    mount_class::read(call, Class::Auth).await
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    mount_class::write(call, Class::Auth).await
}

/// Disables a method. The tokens that it issued end with it.
pub(in super::super) async fn disable(call: Call<'_>) -> Outcome {
    let path = Class::Auth.full_path(call.part("path"));
    call.core.disable_mount(call.permit, &path).await?;
    Ok(Reply::empty())
}
