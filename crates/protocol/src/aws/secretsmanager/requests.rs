//! What each operation takes, as a program reads it once [`super::check`] has passed it.

use keyturn_core::secret::SecretString;
use serde::Deserialize;

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Deserialize)]
            #[serde(rename_all = "PascalCase")]
            #[allow(missing_docs, reason = "the members are described by the service's model")]
            pub struct $name { $($(#[$attribute])* pub $field: $type),* }
        )*
    };
}

requests! {
    /// `AssociateCrossAccountReplica`.
    AssociateReplicaRequest {
        secret_id: String,
        #[serde(rename = "CrossAccountReplicaARN")]
        cross_account_replica_arn: String,
        #[serde(rename = "ReplicationRoleARN")]
        replication_role_arn: Option<String>,
    }
    /// `DisassociateCrossAccountReplica`.
    DisassociateReplicaRequest {
        secret_id: String,
        #[serde(rename = "CrossAccountReplicaARN")]
        cross_account_replica_arn: String,
    }
    /// `BatchGetSecretValue`.
    BatchGetSecretValueRequest {
        secret_id_list: Option<Vec<String>>,
        filters: Option<Vec<Filter>>,
        max_results: Option<usize>,
        next_token: Option<String>,
    }
    /// All operations that take a secret and no more.
    SecretRequest { secret_id: String }
    /// `CreateSecret`.
    CreateSecretRequest {
        name: String,
        client_request_token: Option<String>,
        description: Option<String>,
        kms_key_id: Option<String>,
        secret_binary: Option<SecretString>,
        secret_string: Option<SecretString>,
        tags: Option<Vec<Tag>>,
        add_replica_regions: Option<Vec<ReplicaRegion>>,
        force_overwrite_replica_secret: Option<bool>,
        r#type: Option<String>,
        #[serde(rename = "CrossAccountPrimaryARN")]
        cross_account_primary_arn: Option<String>,
    }
    /// `DeleteSecret`.
    DeleteSecretRequest {
        secret_id: String,
        recovery_window_in_days: Option<i64>,
        force_delete_without_recovery: Option<bool>,
    }
    /// `GetRandomPassword`.
    GetRandomPasswordRequest {
        password_length: Option<usize>,
        exclude_characters: Option<String>,
        exclude_numbers: Option<bool>,
        exclude_punctuation: Option<bool>,
        exclude_uppercase: Option<bool>,
        exclude_lowercase: Option<bool>,
        include_space: Option<bool>,
        require_each_included_type: Option<bool>,
    }
    /// `GetSecretValue`.
    GetSecretValueRequest {
        secret_id: String,
        version_id: Option<String>,
        version_stage: Option<String>,
    }
    /// `ListResourcePolicies`.
    ListResourcePoliciesRequest {
        secret_id: String,
        next_token: Option<String>,
    }
    /// `ListSecretVersionIds`.
    ListSecretVersionIdsRequest {
        secret_id: String,
        max_results: Option<usize>,
        next_token: Option<String>,
        include_deprecated: Option<bool>,
    }
    /// `ListSecrets`.
    ListSecretsRequest {
        include_planned_deletion: Option<bool>,
        max_results: Option<usize>,
        next_token: Option<String>,
        filters: Option<Vec<Filter>>,
        sort_order: Option<String>,
        sort_by: Option<String>,
    }
    /// `GetResourcePolicy` and `DeleteResourcePolicy`.
    NamedPolicyRequest {
        secret_id: String,
        policy_name: Option<String>,
    }
    /// `PutResourcePolicy`.
    PutResourcePolicyRequest {
        secret_id: String,
        resource_policy: String,
        policy_name: Option<String>,
        block_public_policy: Option<bool>,
    }
    /// `PutSecretValue`.
    PutSecretValueRequest {
        secret_id: String,
        client_request_token: Option<String>,
        secret_binary: Option<SecretString>,
        secret_string: Option<SecretString>,
        version_stages: Option<Vec<String>>,
    }
    /// `RemoveRegionsFromReplication`.
    RemoveRegionsRequest {
        secret_id: String,
        remove_replica_regions: Vec<String>,
    }
    /// `ReplicateSecretToRegions`.
    ReplicateRequest {
        secret_id: String,
        add_replica_regions: Vec<ReplicaRegion>,
        force_overwrite_replica_secret: Option<bool>,
    }
    /// `RotateSecret`.
    RotateSecretRequest {
        secret_id: String,
        client_request_token: Option<String>,
        #[serde(rename = "RotationLambdaARN")]
        rotation_lambda_arn: Option<String>,
        rotation_rules: Option<RotationRules>,
        external_secret_rotation_metadata: Option<Vec<ExternalItem>>,
        external_secret_rotation_role_arn: Option<String>,
        rotate_immediately: Option<bool>,
    }
    /// `TagResource`.
    TagResourceRequest {
        secret_id: String,
        tags: Vec<Tag>,
    }
    /// `UntagResource`.
    UntagResourceRequest {
        secret_id: String,
        tag_keys: Vec<String>,
    }
    /// `UpdateSecret`.
    UpdateSecretRequest {
        secret_id: String,
        client_request_token: Option<String>,
        description: Option<String>,
        kms_key_id: Option<String>,
        secret_binary: Option<SecretString>,
        secret_string: Option<SecretString>,
        r#type: Option<String>,
    }
    /// `UpdateSecretVersionStage`.
    UpdateSecretVersionStageRequest {
        secret_id: String,
        version_stage: String,
        remove_from_version_id: Option<String>,
        move_to_version_id: Option<String>,
    }
    /// `ValidateResourcePolicy`.
    ValidateResourcePolicyRequest {
        secret_id: Option<String>,
        resource_policy: String,
    }
    /// What secrets must be like to be listed.
    Filter {
        key: Option<String>,
        values: Option<Vec<String>>,
    }
    /// A region that is to have a replica.
    ReplicaRegion {
        region: Option<String>,
        kms_key_id: Option<String>,
    }
    /// A tag.
    Tag {
        key: Option<String>,
        value: Option<String>,
    }
}

use super::answers::{ExternalItem, RotationRules};
