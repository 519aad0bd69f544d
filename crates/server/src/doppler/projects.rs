//! `projects`.

use keyturn_core::{
    policy::Operation,
    project::{ProjectSummary, slug_of},
};
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target, checked},
    error::Failure,
    reply::Reply,
    shape,
};

pub(super) async fn list(call: &Call) -> Outcome {
    let page = call.parameters.page()?;
    let told = |projects: Vec<ProjectSummary>| {
        let projects: Vec<_> = page.of(projects).iter().map(shape::project).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "projects": projects, "success": true })))
    };
    if let Some(scope) = call.scope() {
        let target = Target { project: call.project()?, config: scope.config };
        return call
            .through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
                told(vec![call.core.projects().read_config(permit).await?.0])
            })
            .await;
    }
    let path = format!("{}metadata/", call.mount());
    call.through(Operation::List, &path, |permit| async { told(call.core.projects().list(permit).await?) }).await
}

pub(super) async fn read(call: &Call) -> Outcome {
    let project = call.project()?;
    if let Some(scope) = call.scope() {
        let target = Target { project, config: scope.config };
        return call
            .through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
                told(&call.core.projects().read_config(permit).await?.0)
            })
            .await;
    }
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        told(&call.core.projects().read(permit).await?.summary())
    })
    .await
}

/// Makes a project. What people call it becomes its name.
pub(super) async fn create(call: &Call) -> Outcome {
    let name = slug_of(&call.parameters.required("name")?);
    let description = call.parameters.text("description")?.unwrap_or_default();
    check_description(&description)?;
    let name = checked("project", name)?;
    call.through(Operation::Update, &call.project_path(&name), |permit| async {
        told(&call.core.projects().create(permit, description).await?)
    })
    .await
}

pub(super) async fn update(call: &Call) -> Outcome {
    let project = call.project()?;
    let name = call.parameters.text("name")?.map(|name| slug_of(&name));
    let description = call.parameters.value::<String>("description", "a text")?;
    description.as_deref().map(check_description).transpose()?;
    let name = name.map(|name| checked("project", name)).transpose()?;
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        told(&call.core.projects().update(permit, name, description).await?)
    })
    .await
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let project = call.project()?;
    call.through(Operation::Delete, &call.project_path(&project), |permit| async {
        call.core.projects().delete(permit).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn told(summary: &ProjectSummary) -> Outcome {
    Ok(Reply::ok(&json!({ "project": shape::project(summary), "success": true })))
}

pub(super) fn check_description(text: &str) -> Result<(), Failure> {
    if text.chars().count() > 1000 {
        return Err(Failure::bad_request("description has more than 1000 characters"));
    }
    Ok(())
}
