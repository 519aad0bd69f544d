//! `configs` and `configs/config`.

use keyturn_core::{
    policy::Operation,
    project::{ConfigView, ProjectView},
};
use keyturn_protocol::doppler::ConfigRef;
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target},
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
        let config = shape::config(&summary.name, &config, Vec::new());
        Ok(Reply::ok(&json!({ "config": config, "success": true })))
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
