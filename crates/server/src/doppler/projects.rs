//! `projects`.

use keyturn_core::{policy::Operation, project::ProjectSummary};
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target},
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
    let told =
        |summary: &ProjectSummary| Ok(Reply::ok(&json!({ "project": shape::project(summary), "success": true })));
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
