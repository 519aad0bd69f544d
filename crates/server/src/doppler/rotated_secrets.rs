//! `configs/config/rotated_secrets`: the rotation of a config, as clients of the real service's provider for Terraform set
//! one up.
//!
//! ```text
//! name          DB: the fields DB_USERNAME and DB_PASSWORD are kept by the rotation
//! integration   the connection of the target, such as `database/pg`
//! credentials   [{username}]: two take turns, one gets a new password in place; without any the value NAME is generated
//! parameters    {owner_role, strategy}
//! ```
//!
//! It is asked for as the rotation itself is: `MOUNT/PROJECT/CONFIG` below `sys/rotation/`.

use keyturn_core::{
    config_values::is_secret_name,
    duration::parse_seconds,
    policy::Operation,
    project::value_names,
    rotation::{RotationError, RotationView, Settings, Strategy},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
    shape,
};

/// A principal. What else a client sends of it, such as its first password, is not needed: the rotation sets one.
#[derive(Deserialize)]
struct Principal {
    username: String,
}

#[derive(Default, Deserialize)]
struct More {
    owner_role: Option<String>,
    strategy: Option<String>,
}

pub(super) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &path(call, &target), |permit| async {
        let all: Vec<Value> = match call.core.rotations().read(permit).await {
            Ok(view) => vec![told(&target, &view)],
            Err(RotationError::NotFound) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Reply::ok(&json!({ "rotated_secrets": all, "success": true })))
    })
    .await
}

pub(super) async fn read(call: &Call) -> Outcome {
    let target = call.target()?;
    let view = view_of(call, &target).await?;
    shown(&target, &view)
}

pub(super) async fn create(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("name")?;
    if !is_secret_name(&name) || value_names(&name).iter().any(|name| !is_secret_name(name)) {
        return Err(Failure::bad_request("name must be upper-case letters, digits and underscores, no digit in front"));
    }
    let wanted = Wanted::read(call, &target)?;
    call.through(Operation::Update, &path(call, &target), |permit| async {
        let change = |settings: &mut Settings| {
            if *settings != Settings::new(wanted.strategy) {
                return Err(Failure::conflict(
                    "The config has a rotated secret already, which is all that it can have",
                ));
            }
            wanted.apply(settings, &name);
            Ok(())
        };
        call.core.rotations().configure(permit, Some(wanted.strategy), change).await?;
        Ok(Reply::ok(&json!({ "rotated_secret": wanted.told(&name), "success": true })))
    })
    .await
}

pub(super) async fn update(call: &Call) -> Outcome {
    let target = call.target()?;
    let view = view_of(call, &target).await?;
    let (name, schedule) = (call.parameters.text("name")?, schedule(call)?);
    if name.is_some_and(|name| name != name_of(&view.rotation.settings)) {
        let text = "The name of a rotated secret cannot be changed, since readers know its values by it: delete it and create another";
        return Err(Failure::bad_request(text));
    }
    call.through(Operation::Update, &path(call, &target), |permit| async {
        let change = |settings: &mut Settings| {
            settings.schedule.clone_from(&schedule);
            Ok::<(), Failure>(())
        };
        call.core.rotations().configure(permit, None, change).await?;
        Ok(Reply::nothing())
    })
    .await?;
    shown(&target, &view_of(call, &target).await?)
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let target = call.target()?;
    view_of(call, &target).await?;
    call.through(Operation::Delete, &path(call, &target), |permit| async {
        call.core.rotations().delete(permit, false).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn path(call: &Call, target: &Target) -> String {
    format!("sys/rotation/{}{}/{}", call.mount(), target.project, target.config)
}

/// The rotation that the request's `slug` names.
async fn view_of(call: &Call, target: &Target) -> Result<RotationView, Failure> {
    let slug = call.parameters.required("slug")?;
    call.besides(Operation::Read, &path(call, target), |permit| async {
        let view = call.core.rotations().read(permit).await?;
        if name_of(&view.rotation.settings) == slug { Ok(view) } else { Err(RotationError::NotFound.into()) }
    })
    .await
}

fn shown(target: &Target, view: &RotationView) -> Outcome {
    Ok(Reply::ok(&json!({ "rotated_secret": told(target, view), "success": true })))
}

/// What a rotation is called: what its two fields have in common, or else the field with the password.
fn name_of(settings: &Settings) -> &str {
    let stem = settings.username_field.strip_suffix("_USERNAME");
    let stem = stem.filter(|stem| settings.password_field == value_names(stem)[1]);
    stem.filter(|_| settings.strategy.has_target()).unwrap_or(&settings.password_field)
}

fn told(target: &Target, view: &RotationView) -> Value {
    let (rotation, settings) = (&view.rotation, &view.rotation.settings);
    let mut told = shape_of(target, name_of(settings), settings);
    told["state"] = json!(rotation.state());
    told["created_at"] = json!(shape::time(rotation.created));
    told["last_rotated_at"] = json!(rotation.rotated.map(shape::time));
    told["next_rotation_at"] = json!(rotation.next.map(shape::time));
    told
}

fn shape_of(target: &Target, name: &str, settings: &Settings) -> Value {
    let username = settings.strategy.has_target().then_some(&settings.username_field);
    let secrets: Vec<&String> = username.into_iter().chain([&settings.password_field]).collect();
    json!({
        "slug": name,
        "name": name,
        "project": target.project,
        "config": target.config,
        "integration": { "slug": settings.target, "name": settings.target },
        "rotation_period_sec": parse_seconds(&settings.schedule).ok(),
        "strategy": settings.strategy.name(),
        "secrets": secrets,
    })
}

fn schedule(call: &Call) -> Result<String, Failure> {
    let wanted = "a whole number of seconds from 1";
    let period = call.parameters.value::<u64>("rotation_period_sec", wanted)?;
    let period = period.ok_or_else(|| Failure::bad_request("rotation_period_sec is missing"))?;
    Ok(format!("{period}s"))
}

/// What a new rotation is to be.
struct Wanted<'a> {
    target: &'a Target,
    strategy: Strategy,
    connection: String,
    users: Vec<String>,
    owner_role: String,
    schedule: String,
}

impl<'a> Wanted<'a> {
    fn read(call: &Call, target: &'a Target) -> Result<Self, Failure> {
        let principals: Vec<Principal> =
            call.parameters.value("credentials", "a list of objects with a username")?.unwrap_or_default();
        let more: More = call.parameters.value("parameters", "an object")?.unwrap_or_default();
        let strategy = match (more.strategy.as_deref(), principals.len()) {
            (Some(name), _) => {
                Strategy::named(name).filter(|strategy| *strategy != Strategy::Hook).ok_or_else(|| {
                    Failure::bad_request(
                        "parameters.strategy must be alternating, dual-credential, in-place or generated",
                    )
                })?
            }
            (None, 0) => Strategy::Generated,
            (None, 1) => Strategy::InPlace,
            (None, _) => Strategy::Alternating,
        };
        Ok(Self {
            target,
            strategy,
            connection: call.parameters.text("integration")?.unwrap_or_default(),
            users: principals.into_iter().map(|principal| principal.username).collect(),
            owner_role: more.owner_role.unwrap_or_default(),
            schedule: schedule(call)?,
        })
    }

    fn apply(&self, settings: &mut Settings, name: &str) {
        settings.target.clone_from(&self.connection);
        settings.users.clone_from(&self.users);
        settings.owner_role.clone_from(&self.owner_role);
        settings.schedule.clone_from(&self.schedule);
        if self.strategy.has_target() {
            [settings.username_field, settings.password_field] = value_names(name);
        } else {
            name.clone_into(&mut settings.password_field);
        }
    }

    fn told(&self, name: &str) -> Value {
        let mut settings = Settings::new(self.strategy);
        self.apply(&mut settings, name);
        shape_of(self.target, name, &settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_called_what_its_fields_have_in_common() {
        let named = |strategy, username: &str, password: &str| {
            let settings = Settings {
                username_field: username.into(),
                password_field: password.into(),
                ..Settings::new(strategy)
            };
            name_of(&settings).to_owned()
        };
        assert_eq!(named(Strategy::Alternating, "DB_USERNAME", "DB_PASSWORD"), "DB");
        assert_eq!(named(Strategy::Alternating, "A_USERNAME", "B_PASSWORD"), "B_PASSWORD");
        assert_eq!(named(Strategy::InPlace, "username", "password"), "password");
        assert_eq!(named(Strategy::Generated, "username", "KEY"), "KEY");
    }
}
