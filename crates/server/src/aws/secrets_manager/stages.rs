//! Staging labels: core's `current`, `previous` and `pending` under AWS's names, and `UpdateSecretVersionStage`.

use keyturn_core::{
    kv::{CURRENT, PENDING, PREVIOUS, SecretError, Version},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{ErrorCode, SecretAnswer, UpdateSecretVersionStageRequest};

use super::{
    Answer,
    asking::{Asking, text_of},
    error::{failure, invalid_parameter},
};

const NAMES: [(&str, &str); 3] = [("AWSCURRENT", CURRENT), ("AWSPREVIOUS", PREVIOUS), ("AWSPENDING", PENDING)];

/// Core's name of a label. A custom label that is called as one of core's own keeps a name of its own there.
pub(super) fn to_core(label: &str) -> String {
    match NAMES.iter().find(|(aws, _)| *aws == label) {
        Some((_, core)) => (*core).to_owned(),
        None if NAMES.iter().any(|(_, core)| *core == label) => format!("custom:{label}"),
        None => label.to_owned(),
    }
}

fn to_aws(stage: &str) -> String {
    match NAMES.iter().find(|(_, core)| *core == stage) {
        Some((aws, _)) => (*aws).to_owned(),
        None => stage
            .strip_prefix("custom:")
            .filter(|label| NAMES.iter().any(|(_, core)| core == label))
            .unwrap_or(stage)
            .to_owned(),
    }
}

/// The labels of a version.
pub(super) fn names(version: &Version) -> Vec<String> {
    version.stages.iter().map(|stage| to_aws(stage)).collect()
}

/// `UpdateSecretVersionStage`.
pub(super) async fn update(asking: &Asking<'_>) -> Answer {
    let request: UpdateSecretVersionStageRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("data");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = async {
        let label = &request.version_stage;
        let (from, to) = (request.remove_from_version_id.as_deref(), request.move_to_version_id.as_deref());
        if from.is_none() && to.is_none() {
            return Err(invalid_parameter(
                "You must specify MoveToVersionId to attach the staging label, RemoveFromVersionId to remove it, or both.",
            ));
        }
        let moved = asking.kv().move_stage(permit, &to_core(label), from, to, &asking.restriction(&target)).await;
        let secret = moved.map_err(|error| match error {
            SecretError::HeldBy { holder } if from.is_none() => invalid_parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version \
                 {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )),
            SecretError::HeldBy { holder } => invalid_parameter(format!(
                "The parameter RemoveFromVersionId is wrong. Staging label {label} is currently attached to version \
                 {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )),
            SecretError::NotLabelled => invalid_parameter(format!(
                "Staging label {label} is not attached to version {}: leave RemoveFromVersionId out.",
                from.unwrap_or_default()
            )),
            SecretError::NoVersion => failure(
                ErrorCode::ResourceNotFoundException,
                "Secrets Manager can't find the specified secret version.",
            ),
            other => asking.failed(&target, other),
        })?;
        text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            ..SecretAnswer::default()
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_names_over_the_way() {
        for label in ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "current", "previous", "pending", "blue", "custom:x"] {
            assert_eq!(to_aws(&to_core(label)), label);
        }
        assert_ne!(to_core("current"), to_core("AWSCURRENT"));
    }
}
