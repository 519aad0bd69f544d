//! `workplace/roles`, `projects/roles`: the policies of the server, as clients that speak of roles see them.

use keyturn_core::policy::Operation;
use serde_json::{Value, json};

use super::{Outcome, call::Call, error::Failure, reply::Reply, shape};

/// The role that grants nothing.
pub(super) const NO_ACCESS: &str = "no_access";

const PATH: &str = "sys/policies/acl";

/// A role in the shape that clients read. What a policy grants is no list of permissions: it is empty.
pub(super) fn told(name: &str) -> Value {
    json!({
        "name": name,
        "identifier": name,
        "permissions": [],
        "created_at": shape::time(keyturn_core::clock::Timestamp::UNIX_EPOCH),
        "is_custom_role": name != NO_ACCESS,
        "is_inline_role": false,
    })
}

pub(super) async fn list(call: &Call) -> Outcome {
    call.through(Operation::List, PATH, |permit| async {
        let names = call.core.policies().list(permit);
        let roles: Vec<_> = names.iter().map(|name| told(name)).collect();
        Ok(Reply::ok(&json!({ "roles": roles, "success": true })))
    })
    .await
}

pub(super) async fn read(call: &Call, name: &str) -> Outcome {
    let name = super::call::checked("role", name.to_owned())?;
    call.through(Operation::Read, &format!("{PATH}/{name}"), |permit| async {
        match call.core.policies().read(permit, &name) {
            Some(_) => Ok(Reply::ok(&json!({ "role": told(&name), "success": true }))),
            None => Err(Failure::not_found(format!("Could not find requested role '{name}'"))),
        }
    })
    .await
}

/// `permissions`: there are none, since policies say what is granted.
pub(super) async fn permissions(call: &Call) -> Outcome {
    call.through(Operation::Read, "auth/token/lookup-self", |permit| async {
        permit.spend();
        Ok(Reply::ok(&json!({ "permissions": [], "success": true })))
    })
    .await
}
