//! `DeleteSecret`, `RestoreSecret`.

use keyturn_core::{kv::SecretError, policy};
use keyturn_protocol::aws::secretsmanager::{DeleteSecretRequest, SecretAnswer, SecretRequest};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    error::{invalid_parameter, invalid_request},
    name,
    text::seconds,
};
use crate::aws::failure::Failure;

/// Days in which a deleted secret can be restored.
const WINDOW: std::ops::RangeInclusive<i64> = 7..=30;
const DEFAULT_WINDOW: i64 = 30;
const DAY: u64 = 86_400;

/// `DeleteSecret`.
pub(super) async fn delete(asking: &Asking<'_>) -> Answer {
    let request: DeleteSecretRequest = asking.read()?;
    let at_once = request.force_delete_without_recovery.unwrap_or(false);
    let window = match request.recovery_window_in_days {
        Some(_) if at_once => {
            return Err(invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        Some(days) if !WINDOW.contains(&days) => {
            return Err(invalid_parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."));
        }
        days => days.and_then(|days| u64::try_from(days).ok()).unwrap_or(DEFAULT_WINDOW.unsigned_abs()),
    };
    let target = asking.target(&request.secret_id)?;
    if at_once { delete_now(asking, &target).await } else { schedule(asking, &target, window * DAY).await }
}

async fn schedule(asking: &Asking<'_>, target: &Target, window: u64) -> Answer {
    let path = target.path("data");
    let (exchange, permit) = asking.admit(policy::Operation::Delete, &path, asking.body()).await?;
    let outcome = async {
        let scheduled = asking.kv().schedule_deletion(permit, window, &asking.restriction(target)).await;
        let (secret, recovery) = scheduled.map_err(|error| match error {
            SecretError::Scheduled => invalid_request(
                "You can't perform this operation on the secret because it was already scheduled for deletion.",
            ),
            other => asking.failed(target, other),
        })?;
        deleted(target, asking.arn(target, &secret), seconds(recovery.until))
    }
    .await;
    asking.conclude(exchange, outcome).await
}

async fn delete_now(asking: &Asking<'_>, target: &Target) -> Answer {
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Delete, &path, asking.body()).await?;
    let outcome = async {
        let suffix = match asking.kv().delete_now(permit, &asking.restriction(target)).await {
            Ok(secret) => secret.arn_suffix,
            // What is not there is deleted, as with AWS, which makes an ARN up for it.
            Err(SecretError::NotFound) if name::is_name(&target.name) => invented_suffix()?,
            Err(error) => return Err(asking.failed(target, error)),
        };
        let arn = asking.arn_of(target, &suffix);
        deleted(target, arn, seconds(asking.call.core.now()))
    }
    .await;
    asking.conclude(exchange, outcome).await
}

fn invented_suffix() -> Result<String, Failure> {
    let suffix = keyturn_core::random::Random::default().base62(6);
    suffix.map(|suffix| suffix.expose_secret().to_owned()).map_err(|error| Failure::internal(&error, ""))
}

fn deleted(target: &Target, arn: String, date: f64) -> Answer {
    text_of(&SecretAnswer {
        arn: Some(arn),
        name: Some(target.name.clone()),
        deletion_date: Some(date),
        ..SecretAnswer::default()
    })
}

/// `RestoreSecret`.
pub(super) async fn restore(asking: &Asking<'_>) -> Answer {
    let request: SecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("undelete");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = match asking.kv().restore(permit, &asking.restriction(&target)).await {
        Ok(secret) => text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            ..SecretAnswer::default()
        }),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}
