//! `database/creds`: credentials on demand.

use serde::Serialize;

use super::super::{Outcome, call::Call, reply::Reply};

#[derive(Serialize)]
struct Told<'a> {
    username: &'a str,
    password: &'a str,
}

pub(in super::super) async fn issue(call: Call<'_>) -> Outcome {
    let issued = call.core.database().issue(call.permit).await?;
    let told = Told { username: &issued.username, password: issued.password.expose_secret() };
    // Escaping makes at most six bytes of one.
    let room = 64 + 6 * (told.username.len() + told.password.len());
    Ok(Reply::secret(&told, room)?.leased(issued.lease))
}
