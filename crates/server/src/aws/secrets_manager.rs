//! AWS Secrets Manager: the operation is in `X-Amz-Target`.

use super::{AwsService, Call, Outcome, failure::Failure, identity};

/// Whether the request changes nothing.
pub(super) fn only_reads(_: &Call) -> bool {
    false
}

/// Answers one request.
pub(super) async fn serve(call: &Call) -> Outcome {
    let verified = identity::identify(call, AwsService::SecretsManager).await?;
    let (access_key_id, region) = (verified.access_key().access_key_id(), verified.region());
    tracing::debug!(access_key_id, region, "an unknown operation was asked for");
    Err(Failure::client("UnknownOperationException", "This server offers no such operation."))
}
