//! `sys/remount`: moving a mount. It is done when the answer leaves; the status path is for clients that ask.

use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// The last moves, for those who ask how they went.
const REMEMBERED: usize = 64;

pub(in super::super) async fn start(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let (from, to) = (fields.required_text("from")?, fields.required_text("to")?);
    let id = call.parsed.request_id.clone();
    call.core.remount(call.permit, &from, &to).await?;
    let mut moves = call.moves.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if moves.len() >= REMEMBERED {
        moves.pop_front();
    }
    moves.push_back([id.clone(), from, to]);
    Ok(Reply::data(&json!({ "migration_id": id }))?.at_top())
}

pub(in super::super) async fn status(call: Call<'_>) -> Outcome {
    let wanted = call.part("id").to_owned();
    call.permit.spend();
    let moves = call.moves.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let [id, from, to] = moves.iter().find(|[id, ..]| *id == wanted).ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "migration_id": id,
        "migration_info": { "source_mount": from, "target_mount": to, "status": "success" },
    }))
}
