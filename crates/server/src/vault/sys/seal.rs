//! `sys/seal`.

use super::super::{Outcome, call::Call, reply::Reply};

pub(in super::super) async fn seal(call: Call<'_>) -> Outcome {
    call.node.seal(call.permit).await;
    Ok(Reply::empty())
}
