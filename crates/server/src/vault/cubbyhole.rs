//! `cubbyhole/`: what a token keeps for itself.

use super::{Outcome, call::Call, error::Failure, reply::Reply};

const DEPRECATED: &str = "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap \
                          responses, as it provides additional security checks and other benefits.";

pub(super) async fn read(call: Call<'_>) -> Outcome {
    let unwraps = call.permit.caller().is_some_and(|caller| caller.entry().is_wrapping());
    let fields = call.core.cubbyhole().read(call.permit).await?.ok_or_else(Failure::nothing)?;
    let reply = Reply::raw(fields);
    Ok(if unwraps { reply.warn(DEPRECATED) } else { reply })
}

pub(super) async fn write(call: Call<'_>) -> Outcome {
    if call.data().is_empty() {
        return Err(Failure::bad_request("missing data fields"));
    }
    let data = call.data();
    call.core.cubbyhole().write(call.permit, data).await?;
    Ok(Reply::empty())
}

pub(super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.cubbyhole().delete(call.permit).await?;
    Ok(Reply::empty())
}

pub(super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.cubbyhole().list(call.permit).await?)
}
