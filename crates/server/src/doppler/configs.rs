//! `configs` and `configs/config`.

use keyturn_core::{
    policy::Operation,
    project::{ConfigName, ConfigView, ProjectView},
};
use keyturn_protocol::doppler::ConfigRef;
use serde::Deserialize;
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target, checked},
    error::Failure,
    reply::Reply,
    shape,
};

pub(super) async fn list(call: &Call) -> Outcome {
    let (project, page) = (call.project()?, call.parameters.page()?);
    let environment = call.parameters.text("environment")?;
    if let Some(scope) = call.scope() {
        // Only its own: a token for one config sees no other, not even by name.
        let target = Target { project, config: scope.config };
        return call
            .through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
                let (summary, config) = call.core.projects().read_config(permit).await?;
                let fits = environment.is_none_or(|environment| environment == config.environment);
                let own = fits.then(|| shape::config(&summary.name, &config, Vec::new()));
                let configs = page.of(own.into_iter().collect());
                Ok(Reply::ok(&json!({ "page": page.number, "configs": configs, "success": true })))
            })
            .await;
    }
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        let view = call.core.projects().read(permit).await?;
        let fits = |config: &&ConfigView| environment.as_ref().is_none_or(|wanted| *wanted == config.environment);
        let configs: Vec<_> = view
            .configs
            .iter()
            .filter(fits)
            .map(|config| shape::config(&view.name, config, inherited_by(&view, &config.name)))
            .collect();
        Ok(Reply::ok(&json!({ "page": page.number, "configs": page.of(configs), "success": true })))
    })
    .await
}

/// The configs of the same project that inherit from one.
fn inherited_by(project: &ProjectView, config: &str) -> Vec<ConfigRef> {
    let inherits =
        |other: &&ConfigView| other.inherits.iter().any(|base| base.project == project.name && base.config == config);
    let reference = |other: &ConfigView| ConfigRef { project: project.name.clone(), config: other.name.clone() };
    project.configs.iter().filter(inherits).map(reference).collect()
}

pub(super) async fn read(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
        let (summary, config) = call.core.projects().read_config(permit).await?;
        told(&summary.name, &config)
    })
    .await
}

/// `configs/config/ping`: whether the server is there, and the token still good for the config.
pub(super) async fn ping(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &call.config_path("data", &target), |permit| async {
        permit.spend();
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn told(project: &str, config: &ConfigView) -> Outcome {
    Ok(Reply::ok(&json!({ "config": shape::config(project, config, Vec::new()), "success": true })))
}

/// Makes a branch of an environment.
pub(super) async fn create(call: &Call) -> Outcome {
    let (project, name) = (call.project()?, checked("config", call.parameters.required("name")?)?);
    let environment = call.parameters.required("environment")?;
    let target = Target { project, config: name };
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().create_config(permit, &environment).await?)
    })
    .await
}

pub(super) async fn rename(call: &Call) -> Outcome {
    let (target, name) = (call.target()?, checked("config", call.parameters.required("name")?)?);
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().rename_config(permit, &name).await?)
    })
    .await
}

/// Copies a config as it is now.
pub(super) async fn copy(call: &Call) -> Outcome {
    let (target, name) = (call.target()?, checked("config", call.parameters.required("name")?)?);
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().clone_config(permit, &name).await?)
    })
    .await
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Delete, &call.config_path("metadata", &target), |permit| async {
        call.core.projects().delete_config(permit).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

/// Locks or unlocks a config.
pub(super) async fn lock(call: &Call, locked: bool) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().lock_config(permit, locked).await?)
    })
    .await
}

pub(super) async fn inheritable(call: &Call) -> Outcome {
    let target = call.target()?;
    let inheritable =
        call.parameters.boolean("inheritable")?.ok_or_else(|| Failure::bad_request("inheritable is missing"))?;
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().set_inheritable(permit, inheritable).await?)
    })
    .await
}

/// From which configs one is to inherit.
#[derive(Deserialize)]
struct Inherits {
    inherits: Vec<ConfigRef>,
}

pub(super) async fn inherits(call: &Call) -> Outcome {
    let target = call.target()?;
    let Inherits { inherits: bases } = call.parameters.body()?;
    let checked = |base: ConfigRef| {
        let (project, config) = (checked("project", base.project)?, checked("config", base.config)?);
        Ok::<_, Failure>(ConfigName { project, config })
    };
    let bases = bases.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        told(&target.project, &call.core.projects().set_inherits(permit, bases).await?)
    })
    .await
}
