//! `TagResource`, `UntagResource`.

use keyturn_core::{kv::SecretError, policy, secret::SecretBytes};
use keyturn_protocol::aws::secretsmanager::{Tag, TagResourceRequest, UntagResourceRequest};

use super::{Answer, asking::Asking, error::invalid_parameter};
use crate::aws::failure::Failure;

/// Tags as names with values.
///
/// # Errors
/// When one has no name, or one that AWS keeps for itself.
pub(super) fn pairs(tags: Vec<Tag>) -> Result<Vec<(String, String)>, Failure> {
    tags.into_iter()
        .map(|Tag { key, value }| {
            let key = key.ok_or_else(|| invalid_parameter("A tag needs a Key."))?;
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(invalid_parameter("Tag keys that start with aws: are reserved: choose another Key."));
            }
            Ok((key, value.unwrap_or_default()))
        })
        .collect()
}

/// `TagResource`.
pub(super) async fn tag(asking: &Asking<'_>) -> Answer {
    let request: TagResourceRequest = asking.read()?;
    change(asking, &request.secret_id, pairs(request.tags)?, &[]).await
}

/// `UntagResource`.
pub(super) async fn untag(asking: &Asking<'_>) -> Answer {
    let request: UntagResourceRequest = asking.read()?;
    change(asking, &request.secret_id, Vec::new(), &request.tag_keys).await
}

async fn change(asking: &Asking<'_>, id: &str, set: Vec<(String, String)>, remove: &[String]) -> Answer {
    let target = asking.target(id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let changed = asking.kv().change_tags(permit, set, remove, &asking.restriction(&target)).await;
    let outcome = changed.map(|()| SecretBytes::new(b"{}".to_vec())).map_err(|error| match error {
        SecretError::TooMany { limit, .. } => invalid_parameter(format!("A secret can have at most {limit} tags.")),
        other => asking.failed(&target, other),
    });
    asking.conclude(exchange, outcome).await
}
