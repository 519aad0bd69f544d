//! `DescribeSecret`, and what listings say of a secret.

use std::collections::BTreeMap;

use keyturn_core::{
    clock::Timestamp,
    kv::{RotationSettings, Secret},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{Described, ExternalItem, RotationRules, SecretRequest, TagPair};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    cross_account, replication, schedule, stages,
    text::seconds,
};

/// `DescribeSecret`.
pub(super) async fn describe(asking: &Asking<'_>) -> Answer {
    let request: SecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Read, &path, asking.body()).await?;
    let outcome = match asking.kv().describe(permit, &asking.restriction(&target)).await {
        Ok(secret) => text_of(&Described {
            version_ids_to_stages: versions(&secret),
            replication_status: replication::status(asking, &secret),
            cross_account_primary: cross_account::primary(asking, &target, &secret),
            cross_account_replicas: cross_account::replicas(asking, &target, &secret),
            ..described(asking, &target, &secret)
        }),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

/// What `DescribeSecret` and `ListSecrets` have in common.
pub(super) fn described(asking: &Asking<'_>, target: &Target, secret: &Secret) -> Described {
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let rotation = secret.rotation.as_ref();
    let accessed = i64::from(secret.last_accessed_day) * 86_400;
    Described {
        arn: Some(asking.arn(target, secret)),
        name: Some(target.name.clone()),
        r#type: told(&secret.kind),
        description: told(&secret.description),
        kms_key_id: told(&secret.key_id),
        rotation_enabled: rotation.map(|rotation| rotation.enabled),
        rotation_lambda_arn: rotation.and_then(|rotation| told(&rotation.hook)),
        rotation_rules: rotation.and_then(rules),
        external_secret_rotation_metadata: rotation.and_then(external),
        external_secret_rotation_role_arn: rotation.and_then(|rotation| told(&rotation.external_role)),
        last_rotated_date: rotation.and_then(|rotation| rotation.last).map(seconds),
        last_changed_date: Some(seconds(secret.updated)),
        last_accessed_date: (accessed > 0).then(|| Timestamp::from_second(accessed).ok().map(seconds)).flatten(),
        deleted_date: secret.recovery.as_ref().map(|recovery| seconds(recovery.deleted)),
        next_rotation_date: rotation
            .filter(|rotation| rotation.enabled)
            .and_then(|rotation| schedule::next(rotation, asking.call.core.now()))
            .map(seconds),
        tags: secret.tags_in_order().map(|tags| {
            let pair =
                |(key, value): (&str, &str)| TagPair { key: Some(key.to_owned()), value: Some(value.to_owned()) };
            tags.into_iter().map(pair).collect()
        }),
        created_date: Some(seconds(secret.created)),
        primary_region: replication::primary_region(asking, target, secret),
        ..Described::default()
    }
}

/// The versions that carry labels.
pub(super) fn versions(secret: &Secret) -> Option<BTreeMap<String, Vec<String>>> {
    let labelled = secret.versions.iter().filter(|version| !version.stages.is_empty());
    let map: BTreeMap<_, _> = labelled.map(|version| (version.id.clone(), stages::names(version))).collect();
    (!map.is_empty()).then_some(map)
}

fn rules(rotation: &RotationSettings) -> Option<RotationRules> {
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let rules = RotationRules {
        automatically_after_days: (rotation.after_days > 0).then_some(rotation.after_days),
        duration: told(&rotation.window),
        schedule_expression: told(&rotation.schedule),
    };
    (rules != RotationRules::default()).then_some(rules)
}

fn external(rotation: &RotationSettings) -> Option<Vec<ExternalItem>> {
    let item = |(key, value): &(String, String)| ExternalItem { key: Some(key.clone()), value: Some(value.clone()) };
    (!rotation.external.is_empty()).then(|| rotation.external.iter().map(item).collect())
}
