//! Core's views in the shapes that clients read.

use keyturn_core::{
    clock::Timestamp,
    project::{ConfigName, ConfigView, EnvironmentView, ProjectSummary},
};
use keyturn_protocol::doppler::{ConfigRef, ConfigShape, EnvironmentShape, ProjectShape};

/// A time to the millisecond: `2019-11-19T07:19:01.073Z`.
pub(super) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

pub(super) fn project(view: &ProjectSummary) -> ProjectShape {
    ProjectShape {
        id: view.name.clone(),
        slug: view.name.clone(),
        name: view.name.clone(),
        description: view.description.clone(),
        created_at: time(view.created),
    }
}

pub(super) fn environment(project: &str, view: &EnvironmentView) -> EnvironmentShape {
    EnvironmentShape {
        id: view.slug.clone(),
        slug: view.slug.clone(),
        name: view.name.clone(),
        initial_fetch_at: view.initial_fetch.map(time),
        created_at: time(view.created),
        project: project.to_owned(),
        personal_configs: view.personal_configs,
    }
}

/// `inherited_by`: the configs that inherit from it, as far as they are known to whoever asks.
pub(super) fn config(project: &str, view: &ConfigView, inherited_by: Vec<ConfigRef>) -> ConfigShape {
    ConfigShape {
        name: view.name.clone(),
        slug: view.name.clone(),
        root: view.is_root(),
        locked: view.locked,
        environment: view.environment.clone(),
        project: project.to_owned(),
        created_at: time(view.created),
        initial_fetch_at: view.initial_fetch.map(time),
        last_fetch_at: view.last_fetch.map(time),
        inheritable: view.inheritable,
        inheriting: !view.inherits.is_empty(),
        inherits: view.inherits.iter().map(reference).collect(),
        inherited_by,
    }
}

pub(super) fn reference(name: &ConfigName) -> ConfigRef {
    ConfigRef { project: name.project.clone(), config: name.config.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(time(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
