//! `ListSecretVersionIds`.

use keyturn_core::{
    kv::{Position, Secret, Version, VersionState},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{ErrorCode, ListSecretVersionIdsRequest, ListedVersion, ListedVersions};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    error::failure,
    stages,
    text::seconds,
};

const MAX_RESULTS: usize = 100;
/// What AWS calls the key of who names none.
const DEFAULT_KEY: &str = "DefaultEncryptionKey";

pub(super) async fn list(asking: &Asking<'_>) -> Answer {
    let request: ListSecretVersionIdsRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Read, &path, asking.body()).await?;
    let outcome = match asking.kv().describe(permit, &asking.restriction(&target)).await {
        Ok(secret) => page(asking, &target, &secret, &request),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

fn page(asking: &Asking<'_>, target: &Target, secret: &Secret, request: &ListSecretVersionIdsRequest) -> Answer {
    let arn = asking.arn(target, secret);
    let deprecated = request.include_deprecated.unwrap_or(false);
    let scope = format!("versions {arn} {deprecated}");
    let kv = asking.kv();
    let after = match &request.next_token {
        None => 0,
        Some(token) => kv
            .open_position(scope.as_bytes(), token)
            .ok_or_else(|| failure(ErrorCode::InvalidNextTokenException, "The NextToken value is invalid."))?
            .number(),
    };
    let now = asking.call.core.now();
    let shown = |version: &&Version| {
        !version.empty
            && version.state(now) == VersionState::Live
            && (deprecated || !version.stages.is_empty())
            && i64::try_from(version.number).is_ok_and(|number| number > after)
    };
    let mut versions: Vec<&Version> = secret.versions.iter().filter(shown).collect();
    let limit = request.max_results.unwrap_or(MAX_RESULTS);
    let more = versions.len() > limit;
    versions.truncate(limit);
    let last = versions.last().and_then(|version| i64::try_from(version.number).ok());
    let next = last.filter(|_| more).map(|last| kv.seal_position(scope.as_bytes(), &Position::behind(last)));
    text_of(&ListedVersions {
        versions: Some(versions.into_iter().map(|version| listed(secret, version)).collect()),
        next_token: next,
        arn: Some(arn),
        name: Some(target.name.clone()),
    })
}

fn listed(secret: &Secret, version: &Version) -> ListedVersion {
    let stages = stages::names(version);
    let key = if secret.key_id.is_empty() { DEFAULT_KEY } else { &secret.key_id };
    ListedVersion {
        version_id: Some(version.id.clone()),
        version_stages: (!stages.is_empty()).then_some(stages),
        created_date: Some(seconds(version.created)),
        kms_key_ids: Some(vec![key.to_owned()]),
    }
}
