//! `workplace/template/import`: projects, environments, configs and first secrets from one file, all or nothing.

use keyturn_core::{
    policy::Operation,
    project::{NewConfigValues, NewEnvironment, NewProject, slug_of},
};
use keyturn_protocol::doppler::template::{self, TemplateEnvironment, TemplateProject};
use serde_json::json;

use super::{
    Outcome,
    call::{Call, Target, checked},
    error::Failure,
    projects::check_description,
    reply::Reply,
    shape,
};

pub(super) async fn import(call: &Call) -> Outcome {
    let text = call.parameters.secret("template")?.ok_or_else(|| Failure::bad_request("template is missing"))?;
    let template = template::parse(text.expose_secret())
        .map_err(|error| Failure::bad_request(format!("The template cannot be imported: {error}")))?;
    let mut projects = template.projects.into_iter();
    let Some(first) = projects.next() else {
        return Err(Failure::bad_request("The template has no projects"));
    };
    // Each project, and each config that is to hold something, is asked about by itself. What the request said, and what
    // came of it, is recorded with the first.
    let mut others = Vec::new();
    for project in projects {
        let name = name_of(&project)?;
        let permit = call.also(Operation::Update, &call.project_path(&name)).await?;
        others.push((permit, values(call, &name, &project).await?, project));
    }
    let name = name_of(&first)?;
    let first_values = values(call, &name, &first).await?;
    call.through(Operation::Update, &call.project_path(&name), |permit| async {
        let all = std::iter::once((permit, first_values, first)).chain(others);
        let wanted = all.map(|(permit, values, project)| wanted(permit, values, project)).collect::<Result<_, _>>()?;
        let made = call.core.import_projects(wanted).await?;
        let projects: Vec<_> = made.iter().map(shape::project).collect();
        Ok(Reply::ok(&json!({ "projects": projects, "success": true })))
    })
    .await
}

fn name_of(project: &TemplateProject) -> Result<String, Failure> {
    checked("project", slug_of(&project.name))
}

async fn values(call: &Call, project: &str, template: &TemplateProject) -> Result<Vec<NewConfigValues>, Failure> {
    let mut all = Vec::new();
    for (config, values) in template.secrets.iter().filter(|(_, values)| !values.is_empty()) {
        let config = checked("config", config.clone())?;
        let target = Target { project: project.to_owned(), config };
        let permit = call.also(Operation::Update, &call.config_path("data", &target)).await?;
        all.push(NewConfigValues { permit, values: values.clone() });
    }
    Ok(all)
}

fn wanted(
    permit: keyturn_core::door::Permit,
    values: Vec<NewConfigValues>,
    project: TemplateProject,
) -> Result<NewProject, Failure> {
    check_description(&project.description)?;
    let environments = project.environments.into_iter().map(|environment| {
        let TemplateEnvironment { slug, name, configs } = environment;
        let name = if name.is_empty() { slug.clone() } else { name };
        NewEnvironment { slug, name, configs }
    });
    Ok(NewProject { permit, description: project.description, environments: environments.collect(), values })
}
