//! `environments`.

use keyturn_core::{
    policy::Operation,
    project::{EnvironmentChange, EnvironmentView, ProjectView, slug_of},
};
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

pub(super) async fn create(call: &Call) -> Outcome {
    let (project, name) = (call.project()?, call.parameters.required("name")?);
    let slug = call.parameters.text("slug")?.unwrap_or_else(|| slug_of(&name));
    let personal = call.parameters.boolean("personal_configs")?.unwrap_or(false);
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        one(&call.core.projects().create_environment(permit, &slug, &name, personal).await?, &slug)
    })
    .await
}

pub(super) async fn update(call: &Call) -> Outcome {
    let (project, slug) = (call.project()?, call.parameters.required("environment")?);
    let wanted = EnvironmentChange {
        slug: call.parameters.text("slug")?,
        name: call.parameters.text("name")?,
        personal_configs: call.parameters.boolean("personal_configs")?,
    };
    let after = wanted.slug.clone().unwrap_or_else(|| slug.clone());
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        one(&call.core.projects().change_environment(permit, &slug, wanted).await?, &after)
    })
    .await
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let (project, slug) = (call.project()?, call.parameters.required("environment")?);
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        call.core.projects().delete_environment(permit, &slug).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn one(project: &ProjectView, slug: &str) -> Outcome {
    let missing = || Failure::not_found(format!("Could not find requested environment '{slug}'"));
    let environment = project.environment(slug).ok_or_else(missing)?;
    Ok(Reply::ok(&json!({ "environment": shape::environment(&project.name, environment), "success": true })))
}
