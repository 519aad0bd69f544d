//! The one place where core's errors become the service's, in its own words.

use keyturn_core::kv::{KvError, SecretError};
use keyturn_protocol::aws::secretsmanager::ErrorCode;

use super::name;
use crate::aws::failure::Failure;

/// A client's error.
pub(super) fn failure(code: ErrorCode, message: impl Into<String>) -> Failure {
    Failure::client(code.name(), message)
}

pub(super) fn invalid_parameter(message: impl Into<String>) -> Failure {
    failure(ErrorCode::InvalidParameterException, message)
}

pub(super) fn invalid_request(message: impl Into<String>) -> Failure {
    failure(ErrorCode::InvalidRequestException, message)
}

pub(super) fn not_found() -> Failure {
    failure(ErrorCode::ResourceNotFoundException, "Secrets Manager can't find the specified secret.")
}

/// What a policy of the secret's own says no to.
pub(super) fn denied(action: &str, arn: &str) -> Failure {
    failure(
        ErrorCode::AccessDeniedException,
        format!(
            "The access key is not authorized to perform: secretsmanager:{action} on resource: {arn}, with an explicit \
             deny in the secret's resource policy"
        ),
    )
}

/// What is wrong with an operation on the secret called `name`.
pub(super) fn of_secret(error: SecretError, action: &str, name: &str) -> Failure {
    match error {
        SecretError::NotFound if !name::is_name(name) => failure(ErrorCode::ValidationException, name::INVALID_NAME),
        SecretError::NotFound => not_found(),
        SecretError::Exists => failure(
            ErrorCode::ResourceExistsException,
            format!("The operation failed because the secret {name} already exists."),
        ),
        SecretError::Scheduled => {
            invalid_request("You can't perform this operation on the secret because it was marked for deletion.")
        }
        SecretError::NoVersion => {
            failure(ErrorCode::ResourceNotFoundException, "Secrets Manager can't find the specified secret value.")
        }
        SecretError::NotLabelled => {
            invalid_request("You provided a VersionStage that is not associated to the provided VersionId.")
        }
        SecretError::TooMany { limit, what } => {
            failure(ErrorCode::LimitExceededException, format!("A secret can have at most {limit} {what}."))
        }
        SecretError::Rotating { .. } => {
            invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
        }
        SecretError::Replica => invalid_parameter(
            "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
        ),
        SecretError::NoReplica => invalid_parameter("Secret is not replicated to the region."),
        SecretError::NotPending => invalid_request(
            "The replica secret does not exist or was not made for this primary secret: make it with CreateSecret and \
             this secret's ARN in CrossAccountPrimaryARN.",
        ),
        SecretError::HasReplicas => {
            invalid_request("You can't delete secret that still has replica regions. Remove them first.")
        }
        SecretError::NeedsCurrent => invalid_parameter(
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
        ),
        SecretError::IdInUse { .. } | SecretError::HeldBy { .. } => invalid_parameter(error.to_string()),
        SecretError::Kv(error) => of_kv(error, action, name),
    }
}

pub(super) fn of_kv(error: KvError, action: &str, name: &str) -> Failure {
    match error {
        KvError::InvalidName { reason, .. } => {
            failure(ErrorCode::ValidationException, format!("{} Here {reason}.", name::INVALID_NAME))
        }
        KvError::UnsupportedPath => invalid_request(
            "The mount that this region stands for holds no versioned secrets: see [aws] in the server's configuration.",
        ),
        KvError::Denied => denied(action, name),
        KvError::CasRequired | KvError::CasMismatch => invalid_request(
            "The secret or its mount demands check-and-set, which this API has no word for: write it through the Vault \
             API, or set cas_required to false.",
        ),
        KvError::TooLarge(_) => failure(ErrorCode::ValidationException, error.to_string()),
        KvError::NotFound => not_found(),
        KvError::Invalid(text) => invalid_request(text),
        KvError::Store(_) => Failure::internal(&error, ""),
    }
}
