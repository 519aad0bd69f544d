//! `GetSecretValue`, `PutSecretValue`, `UpdateSecret`.

use keyturn_core::{
    kv::{PutVersion, SecretChange, SecretError, Select},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{
    ErrorCode, GetSecretValueRequest, PutSecretValueRequest, SecretAnswer, UpdateSecretRequest,
};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    body,
    error::{failure, invalid_parameter, invalid_request},
    stages, text,
};
use crate::aws::failure::Failure;

/// `GetSecretValue`.
pub(super) async fn get(asking: &Asking<'_>) -> Answer {
    let request: GetSecretValueRequest = asking.read()?;
    read(asking, &request).await
}

/// Reads one secret, through the door.
pub(super) async fn read(asking: &Asking<'_>, request: &GetSecretValueRequest) -> Answer {
    let target = asking.target(&request.secret_id)?;
    let path = target.path("data");
    let (exchange, permit) = asking.admit(policy::Operation::Read, &path, asking.body()).await?;
    let stage = request.version_stage.as_deref().map(stages::to_core);
    let select = Select { id: request.version_id.as_deref(), stage: stage.as_deref() };
    // Whoever reads many at once reads each.
    let allowed = asking.restriction_for(&target, "GetSecretValue");
    let outcome = asking.kv().read_labelled(permit, select, &allowed).await;
    let outcome = match outcome {
        Ok(found) => Ok(text::value(asking, &target, found)),
        Err(SecretError::NoVersion) => Err(no_value(request)),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

fn no_value(request: &GetSecretValueRequest) -> Failure {
    let what = match (&request.version_id, &request.version_stage) {
        (Some(id), _) => format!("VersionId: {id}"),
        (None, stage) => format!("staging label: {}", stage.as_deref().unwrap_or("AWSCURRENT")),
    };
    failure(
        ErrorCode::ResourceNotFoundException,
        format!("Secrets Manager can't find the specified secret value for {what}"),
    )
}

/// `PutSecretValue`.
pub(super) async fn put(asking: &Asking<'_>) -> Answer {
    let request: PutSecretValueRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let payload = body::payload(request.secret_string, request.secret_binary)?
        .ok_or_else(|| invalid_request("You must provide either SecretString or SecretBinary."))?;
    let id = request.client_request_token.ok_or_else(no_token)?;
    let labels = request.version_stages.unwrap_or_default();
    let stages = labels.iter().map(|label| stages::to_core(label)).collect();
    let told = body::told(asking.body(), payload.clone())?;
    let path = target.path("data");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, &told).await?;
    let outcome = async {
        let version = Some(PutVersion { id: id.clone(), payload, stages });
        let change = SecretChange { version, ..SecretChange::default() };
        let changed = asking.kv().update(permit, change, &asking.restriction(&target)).await;
        let changed = changed.map_err(|error| unchanged(asking, &target, &id, error))?;
        let version = changed.number.and_then(|number| changed.secret.version(number));
        text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &changed.secret)),
            name: Some(target.name.clone()),
            version_id: Some(id.clone()),
            version_stages: version.map(stages::names).filter(|stages| !stages.is_empty()),
            ..SecretAnswer::default()
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

/// `UpdateSecret`.
pub(super) async fn update(asking: &Asking<'_>) -> Answer {
    let request: UpdateSecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let payload = body::payload(request.secret_string, request.secret_binary)?;
    let told = payload.as_ref().map(|payload| body::told(asking.body(), payload.clone())).transpose()?;
    let version = match payload {
        Some(payload) => {
            let id = request.client_request_token.ok_or_else(no_token)?;
            Some(PutVersion { id, payload, stages: Vec::new() })
        }
        None => None,
    };
    let said = request.description.is_some() || request.kms_key_id.is_some() || request.r#type.is_some();
    let id = version.as_ref().map(|version| version.id.clone());
    let change = SecretChange {
        description: request.description,
        key_id: request.kms_key_id,
        kind: request.r#type,
        tags: Vec::new(),
        version,
    };
    let (data, metadata) = (target.path("data"), target.path("metadata"));
    let path = if id.is_some() { &data } else { &metadata };
    let (exchange, permit) =
        asking.admit(policy::Operation::Update, path, told.as_ref().unwrap_or(asking.body())).await?;
    let outcome = async {
        if said && id.is_some() {
            // What is said about a secret is in another area, with rules of its own.
            asking.permitted(policy::Operation::Update, &metadata).await?;
        }
        let changed = asking.kv().update(permit, change, &asking.restriction(&target)).await;
        let changed = changed.map_err(|error| unchanged(asking, &target, id.as_deref().unwrap_or_default(), error))?;
        text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &changed.secret)),
            name: Some(target.name.clone()),
            version_id: id.clone(),
            ..SecretAnswer::default()
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

pub(super) fn no_token() -> Failure {
    invalid_request("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
}

/// What is wrong with a write of the version with that id.
pub(super) fn unchanged(asking: &Asking<'_>, target: &Target, id: &str, error: SecretError) -> Failure {
    match error {
        SecretError::IdInUse { arn_suffix } => {
            let arn = asking.arn_of(target, &arn_suffix);
            failure(
                ErrorCode::ResourceExistsException,
                format!(
                    "You can't use ClientRequestToken {id} because that value is already in use for a version of secret \
                     {arn}."
                ),
            )
        }
        SecretError::TooMany { limit, what: "tags" } => {
            invalid_parameter(format!("A secret can have at most {limit} tags."))
        }
        other => asking.failed(target, other),
    }
}
