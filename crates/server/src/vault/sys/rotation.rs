//! `sys/rotation/<mount>/<name>`: the rotation of a secret; `sys/rotation-run`, `-pause`, `-resume` and `-rollback`
//! with the same path behind them: what is done with it.

use keyturn_core::{
    consumers::Consumer,
    rotation::{AtMax, Evidence, Hook, InUse, Rotation, RotationView, Settings, Strategy},
    target::Session,
};
use serde_json::{Value, json};

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

/// Paths in one answer, unless the caller asks for fewer.
const MAX_LISTED: u64 = 100_000;

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let after = fields.text("after")?.unwrap_or_default();
    let limit = fields.natural("limit")?.filter(|limit| *limit > 0).unwrap_or(MAX_LISTED).min(MAX_LISTED);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let paths = call.core.rotations().list(call.permit, &after, limit).await?;
    if paths.is_empty() { Err(Failure::nothing()) } else { Reply::keys(&paths) }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let with_use = call.fields()?.boolean("use")?.unwrap_or(false);
    let rotations = call.core.rotations();
    let view = match with_use {
        true => rotations.read_with_use(call.permit).await?,
        false => rotations.read(call.permit).await?,
    };
    let mut shown = shown(&view);
    if let (Some(found), Value::Object(members)) = (&view.in_use, &mut shown) {
        members.insert("in_use".to_owned(), in_use(found));
    }
    Reply::data(&shown)
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let strategy = fields.text("strategy")?;
    let unknown = || Failure::bad_request("strategy is one of alternating, dual-credential, in-place, hook, generated");
    let strategy = strategy.map(|name| Strategy::named(&name).ok_or_else(unknown)).transpose()?;
    call.core.rotations().configure(call.permit, strategy, |settings| change(settings, &fields)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let force = call.fields()?.boolean("force")?.unwrap_or(false);
    call.core.rotations().delete(call.permit, force).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn run(call: Call<'_>) -> Outcome {
    let test = call.fields()?.boolean("test")?.unwrap_or(false);
    let id = call.core.rotations().run(call.permit, String::new(), test).await?;
    Reply::data(&json!({ "id": id }))
}

pub(in super::super) async fn pause(call: Call<'_>) -> Outcome {
    call.core.rotations().pause(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn resume(call: Call<'_>) -> Outcome {
    call.core.rotations().resume(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn roll_back(call: Call<'_>) -> Outcome {
    let version = call.core.rotations().roll_back(call.permit).await?;
    Reply::data(&json!({ "version": version }))
}

/// Sets what is given and leaves the rest.
fn change(settings: &mut Settings, fields: &Fields<'_>) -> Result<(), Failure> {
    for (name, setting) in [
        ("target", &mut settings.target),
        ("owner_role", &mut settings.owner_role),
        ("schedule", &mut settings.schedule),
        ("time_zone", &mut settings.zone),
        ("password_policy", &mut settings.password_policy),
        ("username_field", &mut settings.username_field),
        ("password_field", &mut settings.password_field),
    ] {
        if let Some(text) = fields.text(name)? {
            *setting = text;
        }
    }
    for (name, setting) in [
        ("window", &mut settings.window),
        ("jitter", &mut settings.jitter),
        ("overlap_min", &mut settings.overlap_min),
        ("overlap_max", &mut settings.overlap_max),
        ("look_back", &mut settings.look_back),
    ] {
        if let Some(seconds) = fields.seconds(name)? {
            *setting = seconds;
        }
    }
    if let Some(users) = fields.list("users")? {
        settings.users = users;
    }
    match fields.text("at_max")?.as_deref() {
        None => {}
        Some("wait") => settings.at_max = AtMax::Wait,
        Some("revoke") => settings.at_max = AtMax::Revoke,
        Some(_) => return Err(Failure::bad_request("at_max is wait or revoke")),
    }
    change_hook(settings, fields)
}

fn change_hook(settings: &mut Settings, fields: &Fields<'_>) -> Result<(), Failure> {
    let given = [
        fields.text("hook_url")?,
        fields.text("hook_ca_pem")?,
        fields.text("hook_secret_id")?,
        fields.text("hook_command")?,
    ];
    if given.iter().all(Option::is_none) {
        return Ok(());
    }
    let [url, ca_pem, secret_id, command] = given;
    let before = settings.hook.take().unwrap_or_default();
    settings.hook = Some(Hook {
        url: url.unwrap_or(before.url),
        ca_pem: ca_pem.unwrap_or(before.ca_pem),
        secret_id: secret_id.unwrap_or(before.secret_id),
        command: command.unwrap_or(before.command),
    });
    Ok(())
}

fn shown(view: &RotationView) -> Value {
    let rotation = &view.rotation;
    let mut shown = settings(&rotation.settings);
    let evidence = view.evidence.clone().unwrap_or_default();
    let state = json!({
        "path": view.path,
        "state": rotation.state(),
        "paused": rotation.paused,
        "overdue": view.overdue,
        "created_time": rotation.created.to_string(),
        "last_rotation_time": rotation.rotated.map(|at| at.to_string()),
        "next_rotation_time": rotation.next.map(|at| at.to_string()),
        "rotations": rotation.count,
        "run": under_way(rotation),
        "failure": rotation.failure.as_ref().map(|failure| json!({
            "time": failure.at.to_string(),
            "step": failure.phase.name(),
            "reason": failure.reason,
            "attempts": failure.attempts,
        })),
        "last_run": rotation.ended.as_ref().map(|ended| json!({
            "id": ended.id,
            "time": ended.at.to_string(),
            "promoted": ended.promoted,
        })),
        "consumers": view.readers.consumers.iter().map(consumer).collect::<Vec<_>>(),
        "stragglers": evidence.stragglers.iter().map(consumer).collect::<Vec<_>>(),
        "sessions": evidence.sessions.iter().map(session).collect::<Vec<_>>(),
        "evidence": told(view.evidence.as_ref()),
    });
    if let (Value::Object(shown), Value::Object(state)) = (&mut shown, state) {
        shown.extend(state);
    }
    shown
}

fn settings(settings: &Settings) -> Value {
    let hook = settings.hook.as_ref();
    json!({
        "strategy": settings.strategy.name(),
        "target": settings.target,
        "owner_role": settings.owner_role,
        "users": settings.users,
        "schedule": settings.schedule,
        "time_zone": settings.zone,
        "window": settings.window,
        "jitter": settings.jitter,
        "overlap_min": settings.overlap_min,
        "overlap_max": settings.overlap_max,
        "at_max": match settings.at_max { AtMax::Wait => "wait", AtMax::Revoke => "revoke" },
        "look_back": settings.look_back,
        "password_policy": settings.password_policy,
        "username_field": settings.username_field,
        "password_field": settings.password_field,
        "hook_url": hook.map(|hook| &hook.url),
        "hook_command": hook.map(|hook| &hook.command),
        "hook_secret_id": hook.map(|hook| &hook.secret_id),
    })
}

fn under_way(rotation: &Rotation) -> Option<Value> {
    rotation.run.as_ref().map(|run| {
        json!({
            "id": run.id,
            "began_time": run.began.to_string(),
            "promoted_time": run.promoted.map(|at| at.to_string()),
            "version": run.new.version,
            "username": run.new.username,
            "previous_version": run.old.as_ref().map(|old| old.version),
            "previous_username": run.old.as_ref().map(|old| &old.username),
            "attempts": run.attempts,
            "waiting_for": run.reason,
            "test": run.rehearsal,
        })
    })
}

/// What the evidence amounts to; `null` while nothing is to be revoked.
fn told(evidence: Option<&Evidence>) -> Option<&str> {
    let evidence = evidence?;
    Some(match evidence {
        clear if clear.is_clear() => "clear",
        Evidence { unknown, .. } if !unknown.is_empty() => unknown,
        _ => "in use",
    })
}

fn in_use(found: &InUse) -> Value {
    json!({
        "version": found.current.version,
        "username": found.current.username,
        "behind": found.behind.iter().map(consumer).collect::<Vec<_>>(),
        "sessions": found.sessions.iter().map(session).collect::<Vec<_>>(),
        "other_sessions": found.other_sessions.iter().map(session).collect::<Vec<_>>(),
        "unknown": found.unknown,
    })
}

fn consumer(one: &Consumer) -> Value {
    json!({
        "identity": one.identity,
        "name": one.name,
        "version": one.version,
        "last_read_time": one.at.to_string(),
        "address": one.address.map(|address| address.to_string()),
    })
}

fn session(one: &Session) -> Value {
    json!({
        "username": one.username,
        "id": one.id,
        "address": one.remote,
        "application": one.application,
        "since": one.since.map(|at| at.to_string()),
    })
}
