//! `configs/config/logs`: the versions of a config's secret, the newest first.

use hyper::StatusCode;
use keyturn_core::{
    kv::{FieldChange, FieldValue, KvError, Version},
    policy::Operation,
    project::{ConfigView, ProjectSummary},
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::{doppler::LogShape, vault::SecretJson};
use serde::Serialize;
use serde_json::json;

use super::{
    Outcome,
    activity::user,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
    secrets::{sees_restricted, unreadable},
    shape,
};

pub(super) async fn list(call: &Call) -> Outcome {
    let (target, page) = (call.target()?, call.parameters.page()?);
    let config = config_of(call, &target).await?;
    call.through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
        let secret = call.core.kv().metadata(permit).await?;
        let versions = secret.map(|secret| secret.versions).unwrap_or_default();
        let logs = versions.iter().rev().map(|version| told(&target, &config, version, None)).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "logs": page.of::<LogShape>(logs), "success": true })))
    })
    .await
}

#[derive(Serialize)]
struct Told<'a> {
    log: Log<'a>,
    success: bool,
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(flatten)]
    log: LogShape,
    diff: Vec<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<Side<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Side<'a>>,
}

/// A value before or after; null: it is restricted, and not shown to who asks.
type Side<'a> = Option<&'a str>;

/// One version with what it changed.
pub(super) async fn read(call: &Call) -> Outcome {
    let (target, id) = (call.target()?, call.parameters.required("log")?);
    let config = config_of(call, &target).await?;
    call.through(Operation::Read, &call.config_path("data", &target), |permit| async {
        let (version, changes) = call.core.kv().difference(permit, &id).await.map_err(|error| unknown(error, &id))?;
        text(call, told(&target, &config, &version, None), &changes)
    })
    .await
}

/// Takes back what a version changed, by a version of its own.
pub(super) async fn rollback(call: &Call) -> Outcome {
    let (target, id) = (call.target()?, call.parameters.required("log")?);
    let config = config_of(call, &target).await?;
    // The answer shows what it brings back.
    let path = call.config_path("data", &target);
    let kept = async |permit| call.core.kept_by_rotation(permit).await.map_err(unreadable);
    let kept = call.besides(Operation::Read, &path, kept).await?;
    call.through(Operation::Update, &path, |permit| async {
        let (version, changes) =
            call.core.kv().take_back(permit, &id, &kept).await.map_err(|error| unknown(error, &id))?;
        text(call, told(&target, &config, &version, Some(&id)), &changes)
    })
    .await
}

fn unknown(error: KvError, id: &str) -> Failure {
    match error {
        KvError::NotFound => {
            let id: String = id.chars().take(64).collect();
            Failure::not_found(format!("Could not find requested log '{id}'"))
        }
        error => error.into(),
    }
}

async fn config_of(call: &Call, target: &Target) -> Result<ConfigView, Failure> {
    let path = call.config_path("metadata", target);
    let (exchange, permit) = call.admit(Operation::Read, &path, call.parameters.told()).await?;
    let found: Result<(ProjectSummary, ConfigView), Failure> =
        call.core.projects().read_config(permit).await.map_err(Failure::from);
    match found {
        Ok((_, config)) => call.conclude(exchange, Ok(Reply::nothing())).await.map(|_| config),
        Err(failure) => match call.conclude(exchange, Err(failure)).await {
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::not_found("Could not find the requested config")),
        },
    }
}

fn told(target: &Target, config: &ConfigView, version: &Version, rolled_back: Option<&str>) -> LogShape {
    let text = match rolled_back {
        Some(id) => format!("Rolled back log {id}"),
        None => format!("Secrets were modified (version {})", version.number),
    };
    LogShape {
        id: version.id.clone(),
        html: super::activity::escaped(&text),
        text,
        created_at: shape::time(version.created),
        config: Some(target.config.clone()),
        environment: Some(config.environment.clone()),
        project: Some(target.project.clone()),
        enclave_config: target.config.clone(),
        enclave_environment: config.environment.clone(),
        enclave_project: target.project.clone(),
        rollback: rolled_back.is_some(),
        user: user(&version.author),
    }
}

fn text(call: &Call, log: LogShape, changes: &[FieldChange]) -> Outcome {
    let all = sees_restricted(call);
    let values: Vec<_> = changes.iter().map(|change| (side(&change.added, all), side(&change.removed, all))).collect();
    // The buffer must not grow, or a copy of a value stays behind; escaping makes at most six bytes of one.
    let names: usize = changes.iter().map(|change| change.name.len() * 6 + 64).sum();
    let length = |value: &Option<Option<SecretString>>| value.iter().flatten().map(|text| text.len()).sum::<usize>();
    let room: usize = values.iter().map(|(added, removed)| 6 * (length(added) + length(removed))).sum();
    let mut text = SecretBytes::new(Vec::with_capacity(4096 + names + room));
    let diff = changes
        .iter()
        .zip(&values)
        .map(|(change, (added, removed))| Change { name: &change.name, added: shown(added), removed: shown(removed) })
        .collect();
    serde_json::to_writer(text.expose_secret_mut(), &Told { log: Log { log, diff }, success: true })
        .map_err(|error| Failure::internal(&error, ""))?;
    Ok(Reply::secret_json(StatusCode::OK, text))
}

/// A value as a text, if there is one and it is shown.
fn side(value: &Option<FieldValue>, all: bool) -> Option<Option<SecretString>> {
    let value = value.as_ref()?;
    if value.restricted && !all {
        return Some(None);
    }
    let json = serde_json::from_str::<SecretJson>(value.json.expose_secret()).ok()?;
    Some(Some(json.to_text()))
}

fn shown(value: &Option<Option<SecretString>>) -> Option<Side<'_>> {
    value.as_ref().map(|text| text.as_ref().map(SecretString::expose_secret))
}
