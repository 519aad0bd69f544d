//! `database/rotate-root` and `database/rotate-role`.

use super::super::{Outcome, call::Call, reply::Reply};

pub(in super::super) async fn root(call: Call<'_>) -> Outcome {
    call.core.database().rotate_root(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn role(call: Call<'_>) -> Outcome {
    call.core.database().rotate_role(call.permit).await?;
    Ok(Reply::empty())
}
