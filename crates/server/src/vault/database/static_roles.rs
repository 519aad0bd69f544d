//! `database/static-roles`.

use keyturn_core::{
    database::StaticRole,
    rotation::{AtMax, Strategy},
};
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, auth::set, call::Call, error::Failure, fields::Fields, reply::Reply},
    check_credential_type, password_policy,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.database().list_static_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let role = call.core.database().read_static_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    call.core.database().write_static_role(call.permit, |role, new| apply(role, new, &fields)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.database().delete_static_role(call.permit).await?;
    Ok(Reply::empty())
}

fn apply(role: &mut StaticRole, new: bool, fields: &Fields<'_>) -> Result<(), Failure> {
    check_credential_type(fields)?;
    for name in ["self_managed_password", "password"] {
        if fields.secret(name)?.is_some_and(|given| !given.is_empty()) {
            return Err(Failure::bad_request(format!(
                "{name} is not offered by this server: the connection's own user sets the password"
            )));
        }
    }
    set(&mut role.db_name, fields.text("db_name")?);
    match fields.text("username")? {
        Some(username) if !new && username != role.username => {
            return Err(Failure::bad_request("cannot update static account username"));
        }
        username => set(&mut role.username, username),
    }
    set(&mut role.rotation_statements, fields.statements("rotation_statements")?);
    set(&mut role.password_policy, password_policy(fields)?);
    set(&mut role.skip_import_rotation, fields.boolean("skip_import_rotation")?);
    apply_times(role, fields)?;
    apply_overlap(role, fields)
}

/// A period replaces a schedule and the other way round.
fn apply_times(role: &mut StaticRole, fields: &Fields<'_>) -> Result<(), Failure> {
    let period = fields.seconds("rotation_period")?;
    let schedule = fields.text("rotation_schedule")?.filter(|schedule| !schedule.is_empty());
    let window = fields.seconds("rotation_window")?;
    match (period, schedule) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request(
                "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them \
                 can be provided",
            ));
        }
        (Some(period), None) => {
            (role.rotation_period, role.rotation_window) = (period, 0);
            role.rotation_schedule.clear();
            if period == 0 {
                return Err(Failure::bad_request("rotation_period must be 5 seconds or more"));
            }
        }
        (None, Some(schedule)) => (role.rotation_schedule, role.rotation_period) = (schedule, 0),
        (None, None) => {}
    }
    set(&mut role.rotation_window, window);
    Ok(())
}

/// What goes beyond Vault: both credentials are good for a time.
fn apply_overlap(role: &mut StaticRole, fields: &Fields<'_>) -> Result<(), Failure> {
    if let Some(name) = fields.text("strategy")? {
        let unknown = || Failure::bad_request("strategy is one of in-place, dual-credential, alternating");
        role.strategy = Strategy::named(&name).ok_or_else(unknown)?;
    }
    set(&mut role.username_alternate, fields.text("username_alternate")?);
    set(&mut role.owner_role, fields.text("owner_role")?);
    set(&mut role.overlap_min, fields.seconds("overlap_min")?);
    set(&mut role.overlap_max, fields.seconds("overlap_max")?);
    match fields.text("at_max")?.as_deref() {
        None => {}
        Some("wait") => role.at_max = AtMax::Wait,
        Some("revoke") => role.at_max = AtMax::Revoke,
        Some(_) => return Err(Failure::bad_request("at_max is wait or revoke")),
    }
    Ok(())
}

fn told(role: &StaticRole) -> Map<String, Value> {
    let times = if role.rotation_schedule.is_empty() {
        vec![("rotation_period", json!(role.rotation_period))]
    } else {
        vec![("rotation_schedule", json!(role.rotation_schedule)), ("rotation_window", json!(role.rotation_window))]
    };
    let mut told: Map<_, _> = [
        ("db_name", json!(role.db_name)),
        ("username", json!(role.username)),
        ("rotation_statements", json!(role.rotation_statements)),
        ("credential_type", json!("password")),
        ("skip_import_rotation", json!(role.skip_import_rotation)),
    ]
    .into_iter()
    .chain(times)
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if role.strategy.overlaps() {
        told.extend(told_overlap(role));
    }
    if let Some(last) = role.last_rotation() {
        told.insert("last_vault_rotation".to_owned(), json!(last));
    }
    if !role.password_policy.is_empty() {
        told.insert("credential_config".to_owned(), json!({ "password_policy": role.password_policy }));
    }
    told
}

fn told_overlap(role: &StaticRole) -> impl Iterator<Item = (String, Value)> {
    let at_max = match role.at_max {
        AtMax::Wait => "wait",
        AtMax::Revoke => "revoke",
    };
    [
        ("strategy", json!(role.strategy.name())),
        ("username_alternate", json!(role.username_alternate)),
        ("owner_role", json!(role.owner_role)),
        ("overlap_min", json!(role.overlap_min)),
        ("overlap_max", json!(role.overlap_max)),
        ("at_max", json!(at_max)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
}
