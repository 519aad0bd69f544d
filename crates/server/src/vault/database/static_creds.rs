//! `database/static-creds`: the passwords of static roles.

use serde::Serialize;

use super::super::{Outcome, call::Call, reply::Reply};

#[derive(Serialize)]
struct Told<'a> {
    username: &'a str,
    password: &'a str,
    ttl: u64,
    last_vault_rotation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_schedule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_window: Option<u64>,
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let found = call.core.database().read_static_credential(call.permit).await?;
    let by_schedule = !found.rotation_schedule.is_empty();
    let told = Told {
        username: &found.username,
        password: found.password.expose_secret(),
        ttl: found.ttl,
        last_vault_rotation: found.last_rotation.map(|time| time.to_string()),
        rotation_period: (!by_schedule).then_some(found.rotation_period),
        rotation_schedule: by_schedule.then_some(&found.rotation_schedule),
        rotation_window: (found.rotation_window > 0).then_some(found.rotation_window),
    };
    // Escaping makes at most six bytes of one.
    let room = 384 + 6 * (told.username.len() + told.password.len() + found.rotation_schedule.len());
    let reply = Reply::secret(&told, room)?;
    Ok(if found.password.is_empty() {
        reply.warn("the password is not known to this server before its first rotation")
    } else {
        reply
    })
}
