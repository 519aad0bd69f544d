//! `RotateSecret`, `CancelRotateSecret`: what is to be rotated when, and the pending version that a rotation fills. A
//! secret that has a rotation of this server's own is rotated by it.

use keyturn_core::{
    kv::{PENDING, RotationChange, RotationSettings, SecretError},
    policy,
    rotation::RotationError,
};
use keyturn_protocol::aws::secretsmanager::{
    ExternalItem, RotateSecretRequest, RotationRules, SecretAnswer, SecretRequest,
};

use super::{
    Answer,
    asking::{Asking, text_of},
    error::{invalid_parameter, invalid_request},
    schedule,
};
use crate::aws::failure::Failure;

/// Why a rotation is not set up.
enum Refused {
    Secret(SecretError),
    NoHook,
    Rotation(RotationError),
}

impl From<RotationError> for Refused {
    fn from(error: RotationError) -> Self {
        Self::Rotation(error)
    }
}

impl From<SecretError> for Refused {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

/// `RotateSecret`.
pub(super) async fn rotate(asking: &Asking<'_>) -> Answer {
    let request: RotateSecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let id = request.client_request_token.ok_or_else(|| {
        invalid_parameter("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
    })?;
    let pair = |item: ExternalItem| (item.key.unwrap_or_default(), item.value.unwrap_or_default());
    let change = RotationChange {
        hook: request.rotation_lambda_arn,
        rules: request.rotation_rules.map(checked).transpose()?,
        external: request.external_secret_rotation_metadata.map(|items| items.into_iter().map(pair).collect()),
        external_role: request.external_secret_rotation_role_arn,
        start: request.rotate_immediately.unwrap_or(true).then(|| id.clone()),
    };
    let path = target.path("data");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = async {
        let allowed = asking.restriction(&target);
        let rotations = asking.call.core.rotations();
        let secret = rotations.rotate_labelled(permit, change, &id, &allowed, needs_hook).await;
        let secret = secret.map_err(|error| match error {
            Refused::NoHook => invalid_request("No Lambda rotation function ARN is associated with this secret."),
            Refused::Secret(error) => asking.failed(&target, error),
            Refused::Rotation(RotationError::Store(error)) => asking.failed(&target, error.into()),
            Refused::Rotation(RotationError::UnderWay(_)) => {
                invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
            }
            Refused::Rotation(error) => invalid_request(error.to_string()),
        })?;
        text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            version_id: Some(id.clone()),
            ..SecretAnswer::default()
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

fn needs_hook(settings: &RotationSettings, rotated: bool) -> Result<(), Refused> {
    if settings.hook.is_empty() && settings.external_role.is_empty() && !rotated {
        Err(Refused::NoHook)
    } else {
        Ok(())
    }
}

fn checked(rules: RotationRules) -> Result<(u32, String, String), Failure> {
    let RotationRules { automatically_after_days, duration, schedule_expression } = rules;
    match (automatically_after_days, &schedule_expression) {
        (Some(_), Some(_)) => {
            return Err(invalid_parameter(
                "You can't specify both AutomaticallyAfterDays and ScheduleExpression in RotationRules.",
            ));
        }
        (None, None) => {
            return Err(invalid_parameter("RotationRules needs AutomaticallyAfterDays or ScheduleExpression."));
        }
        (None, Some(expression)) => schedule::check(expression)
            .map_err(|why| invalid_parameter(format!("The ScheduleExpression is not valid: {why}.")))?,
        (Some(_), None) => {}
    }
    if let Some(window) = &duration {
        schedule::check_window(window, schedule_expression.as_deref())
            .map_err(|why| invalid_parameter(format!("The Duration is not valid: {why}.")))?;
    }
    Ok((automatically_after_days.unwrap_or(0), schedule_expression.unwrap_or_default(), duration.unwrap_or_default()))
}

/// `CancelRotateSecret`.
pub(super) async fn cancel(asking: &Asking<'_>) -> Answer {
    let request: SecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = match asking.call.core.rotations().cancel_labelled(permit, &asking.restriction(&target)).await {
        Ok(secret) => text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            version_id: secret.staged(PENDING).map(|version| version.id.clone()),
            ..SecretAnswer::default()
        }),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}
