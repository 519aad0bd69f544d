//! `environments`.

use keyturn_core::{policy::Operation, project::EnvironmentView};
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
    shape,
};

pub(super) async fn list(call: &Call) -> Outcome {
    let (project, page) = (call.project()?, call.parameters.page()?);
    let all = |project: String, environments: Vec<EnvironmentView>| {
        let environments: Vec<_> =
            environments.iter().map(|environment| shape::environment(&project, environment)).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "environments": page.of(environments), "success": true })))
    };
    if let Some(scope) = call.scope() {
        let target = Target { project, config: scope.config };
        return own(call, &target, |environment| all(target.project.clone(), vec![environment])).await;
    }
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        let view = call.core.projects().read(permit).await?;
        all(view.name, view.environments)
    })
    .await
}

pub(super) async fn read(call: &Call) -> Outcome {
    let project = call.project()?;
    let told = |project: &str, environment: &EnvironmentView| {
        Ok(Reply::ok(&json!({ "environment": shape::environment(project, environment), "success": true })))
    };
    let slug = call.parameters.required("environment")?;
    let missing = |slug: &str| Failure::not_found(format!("Could not find requested environment '{slug}'"));
    if let Some(scope) = call.scope() {
        let target = Target { project, config: scope.config };
        return own(call, &target, |environment| {
            if environment.slug == slug { told(&target.project, &environment) } else { Err(missing(&slug)) }
        })
        .await;
    }
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        let view = call.core.projects().read(permit).await?;
        told(&view.name, view.environment(&slug).ok_or_else(|| missing(&slug))?)
    })
    .await
}

/// The environment of the caller's own config.
async fn own(call: &Call, target: &Target, told: impl FnOnce(EnvironmentView) -> Outcome) -> Outcome {
    call.through(Operation::Read, &call.config_path("metadata", target), |permit| async {
        let (_, config) = call.core.projects().read_config(permit).await?;
        told(EnvironmentView {
            slug: config.environment.clone(),
            name: config.environment,
            created: config.created,
            personal_configs: false,
            initial_fetch: config.initial_fetch,
        })
    })
    .await
}
