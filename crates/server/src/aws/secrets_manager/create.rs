//! `CreateSecret`.

use keyturn_core::{
    kv::{PutVersion, SecretChange, SecretError},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{CreateSecretRequest, ErrorCode, SecretAnswer};

use super::{
    Answer,
    asking::{Asking, text_of},
    body, cross_account,
    error::{failure, invalid_request},
    name, replication,
    tags::pairs,
    value::{no_token, unchanged},
};

pub(super) async fn create(asking: &Asking<'_>) -> Answer {
    let request: CreateSecretRequest = asking.read()?;
    if !name::is_name(&request.name) {
        return Err(failure(ErrorCode::ValidationException, name::INVALID_NAME));
    }
    if request.cross_account_primary_arn.is_some() {
        return cross_account::create(asking, request).await;
    }
    let target = asking.target(&request.name)?;
    let payload = body::payload(request.secret_string, request.secret_binary)?;
    let id = request.client_request_token.ok_or_else(no_token)?;
    let told = payload.as_ref().map(|payload| body::told(asking.body(), payload.clone())).transpose()?;
    let has_value = payload.is_some();
    let change = SecretChange {
        description: request.description,
        key_id: request.kms_key_id,
        kind: request.r#type,
        tags: pairs(request.tags.unwrap_or_default())?,
        version: payload.map(|payload| PutVersion { id: id.clone(), payload, stages: Vec::new() }),
    };
    let regions = replication::wanted(asking, &target, request.add_replica_regions.unwrap_or_default())?;
    let path = target.path(if has_value { "data" } else { "metadata" });
    let (exchange, permit) =
        asking.admit(policy::Operation::Update, &path, told.as_ref().unwrap_or(asking.body())).await?;
    let outcome = async {
        let made = asking.kv().create(permit, change).await.map_err(|error| match error {
            SecretError::Scheduled => invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ),
            other => unchanged(asking, &target, &id, other),
        })?;
        let mut secret = made.secret;
        if !regions.is_empty() {
            let overwrite = request.force_overwrite_replica_secret.unwrap_or(false);
            secret = replication::add(asking, &target, regions, overwrite).await?;
        }
        text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            version_id: has_value.then(|| id.clone()),
            replication_status: replication::status(asking, &secret),
            ..SecretAnswer::default()
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}
