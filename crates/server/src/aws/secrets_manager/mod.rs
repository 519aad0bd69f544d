//! AWS Secrets Manager: the operation is in `X-Amz-Target`, everything else in a JSON body.
//!
//! ```text
//! who signed -> operation, body, the model's constraints -> the secret's path -> the door -> core -> answer
//! ```
//!
//! A secret is at the path that the Vault API has for it, and an operation asks for what it would take there:
//!
//! | operation | asks for | on |
//! |---|---|---|
//! | GetSecretValue, BatchGetSecretValue | `read` | `MOUNT/data/NAME` |
//! | PutSecretValue, UpdateSecretVersionStage, RotateSecret, CreateSecret and UpdateSecret with a value | `create`, `update` | `MOUNT/data/NAME` |
//! | CreateSecret and UpdateSecret without one, or with what is said about the secret | `create`, `update` | `MOUNT/metadata/NAME` |
//! | TagResource, UntagResource, PutResourcePolicy, DeleteResourcePolicy, CancelRotateSecret, replication | `update` | `MOUNT/metadata/NAME` |
//! | DescribeSecret, ListSecretVersionIds, GetResourcePolicy, ListResourcePolicies, ValidateResourcePolicy | `read` | `MOUNT/metadata/NAME` |
//! | ListSecrets, BatchGetSecretValue with filters | `list` | `MOUNT/metadata/` |
//! | DeleteSecret | `delete` | `MOUNT/data/NAME`; at once: `MOUNT/metadata/NAME` |
//! | RestoreSecret | `update` | `MOUNT/undelete/NAME` |
//! | ReplicateSecretToRegions | besides, `create`, `update` | `OTHER/data/NAME` |
//! | AssociateCrossAccountReplica | `read`, `update`; besides, `update` | `MOUNT/data/NAME`, `MOUNT/metadata/NAME`; `OTHER/metadata/REPLICA` |
//! | DisassociateCrossAccountReplica | `update` | `MOUNT/metadata/NAME` |
//! | RemoveRegionsFromReplication | besides, `delete` | `OTHER/metadata/NAME` |
//! | GetRandomPassword | `update` | `sys/tools/random` |

mod asking;
mod batch;
mod body;
mod create;
mod cross_account;
mod deletion;
mod describe;
mod error;
mod filter;
mod list;
mod name;
mod password;
mod policies;
mod replication;
mod resource_policy;
mod rotation;
mod schedule;
mod stages;
mod tags;
mod text;
mod value;
mod versions;

use axum::body::Body;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use keyturn_core::{secret::SecretBytes, storage::BoxFuture};
use keyturn_protocol::aws::{
    secretsmanager::{ErrorCode, Misfit, Operation, TARGET_PREFIX, check},
    sigv4::TARGET_HEADER,
};

pub(crate) use self::policies::PolicyCache;
use self::{asking::Asking, error::failure};
use super::{
    AwsService, Call, Outcome,
    failure::{Failure, JSON, respond},
    identity,
};

/// What an operation brings forth: the text of a JSON object.
type Answer = Result<SecretBytes, Failure>;

/// Whether the request changes nothing, so that it may be dropped when its client goes away.
pub(super) fn only_reads(operation: Option<Operation>) -> bool {
    use Operation as O;
    matches!(
        operation,
        Some(
            O::GetSecretValue
                | O::BatchGetSecretValue
                | O::DescribeSecret
                | O::ListSecrets
                | O::ListSecretVersionIds
                | O::GetResourcePolicy
                | O::ListResourcePolicies
        )
    )
}

/// The operation that a request names.
pub(super) fn operation_of(headers: &HeaderMap) -> Option<Operation> {
    Operation::named(headers.get(TARGET_HEADER)?.to_str().ok()?.strip_prefix(TARGET_PREFIX)?)
}

/// Answers one request.
pub(super) async fn serve(call: &Call) -> Outcome {
    let verified = identity::identify(call, AwsService::SecretsManager).await?;
    let operation = call
        .operation
        .ok_or_else(|| failure(ErrorCode::UnknownOperationException, "This server offers no such operation."))?;
    body::check_text(call)?;
    check(operation.members(), call.body.expose_secret()).map_err(|misfit| match misfit {
        Misfit::Shape(text) => failure(ErrorCode::SerializationException, text),
        Misfit::Constraints(text) => failure(ErrorCode::ValidationException, text),
    })?;
    let asking = Asking::new(call, &verified, operation);
    let answer = answer(&asking, operation).await?;
    Ok(respond(StatusCode::OK, JSON, &call.request_id, Body::from(Bytes::from_owner(answer))))
}

async fn answer(asking: &Asking<'_>, operation: Operation) -> Answer {
    use Operation as O;
    // Boxed, so that a request carries the future of its own operation and not of the largest.
    let answering: BoxFuture<'_, Answer> = match operation {
        O::AssociateCrossAccountReplica => Box::pin(cross_account::associate(asking)),
        O::BatchGetSecretValue => Box::pin(batch::get(asking)),
        O::CancelRotateSecret => Box::pin(rotation::cancel(asking)),
        O::CreateSecret => Box::pin(create::create(asking)),
        O::DeleteResourcePolicy => Box::pin(policies::delete(asking)),
        O::DeleteSecret => Box::pin(deletion::delete(asking)),
        O::DescribeSecret => Box::pin(describe::describe(asking)),
        O::DisassociateCrossAccountReplica => Box::pin(cross_account::disassociate(asking)),
        O::GetRandomPassword => Box::pin(password::get(asking)),
        O::GetResourcePolicy => Box::pin(policies::get(asking)),
        O::GetSecretValue => Box::pin(value::get(asking)),
        O::ListResourcePolicies => Box::pin(policies::list(asking)),
        O::ListSecretVersionIds => Box::pin(versions::list(asking)),
        O::ListSecrets => Box::pin(list::list(asking)),
        O::PutResourcePolicy => Box::pin(policies::put(asking)),
        O::PutSecretValue => Box::pin(value::put(asking)),
        O::RemoveRegionsFromReplication => Box::pin(replication::remove(asking)),
        O::ReplicateSecretToRegions => Box::pin(replication::replicate(asking)),
        O::RestoreSecret => Box::pin(deletion::restore(asking)),
        O::RotateSecret => Box::pin(rotation::rotate(asking)),
        O::StopReplicationToReplica => Box::pin(replication::stop(asking)),
        O::TagResource => Box::pin(tags::tag(asking)),
        O::UntagResource => Box::pin(tags::untag(asking)),
        O::UpdateSecret => Box::pin(value::update(asking)),
        O::UpdateSecretVersionStage => Box::pin(stages::update(asking)),
        O::ValidateResourcePolicy => Box::pin(policies::validate(asking)),
    };
    answering.await
}
