//! What each operation answers, as it stands in the body. Fields that hold nothing are left out. Values of secrets are
//! in no type that can be written: a server puts them into the text itself.

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use serde::{Deserialize, Serialize};

/// A time: seconds since 1970, to the millisecond.
pub type Seconds = f64;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "PascalCase", default)]
            #[allow(missing_docs, reason = "the members are described by the service's model")]
            pub struct $name {
                $(#[serde(skip_serializing_if = "Option::is_none")] $(#[$attribute])* pub $field: Option<$type>),*
            }
        )*
    };
}

answers! {
    /// What every change of a secret answers, as far as it applies.
    SecretAnswer {
        #[serde(rename = "ARN")]
        arn: String,
        name: String,
        version_id: String,
        version_stages: Vec<String>,
        policy_name: String,
        resource_policy: String,
        deletion_date: Seconds,
        replication_status: Vec<ReplicationStatus>,
    }
    /// `AssociateCrossAccountReplica` and `DisassociateCrossAccountReplica`.
    CrossAccountAnswer {
        #[serde(rename = "ARN")]
        arn: String,
        #[serde(rename = "CrossAccountReplicaARN")]
        cross_account_replica_arn: String,
        replication_status: String,
    }
    /// `DescribeSecret`, and an entry of `ListSecrets` (which names the versions otherwise).
    Described {
        #[serde(rename = "ARN")]
        arn: String,
        name: String,
        r#type: String,
        description: String,
        kms_key_id: String,
        rotation_enabled: bool,
        #[serde(rename = "RotationLambdaARN")]
        rotation_lambda_arn: String,
        rotation_rules: RotationRules,
        external_secret_rotation_metadata: Vec<ExternalItem>,
        external_secret_rotation_role_arn: String,
        last_rotated_date: Seconds,
        last_changed_date: Seconds,
        last_accessed_date: Seconds,
        deleted_date: Seconds,
        next_rotation_date: Seconds,
        tags: Vec<TagPair>,
        version_ids_to_stages: BTreeMap<String, Vec<String>>,
        secret_versions_to_stages: BTreeMap<String, Vec<String>>,
        created_date: Seconds,
        primary_region: String,
        replication_status: Vec<ReplicationStatus>,
        cross_account_primary: CrossAccountPrimary,
        cross_account_replicas: Vec<CrossAccountReplica>,
    }
    /// The secret in another account that a secret is a replica of.
    CrossAccountPrimary {
        #[serde(rename = "PrimarySecretARN")]
        primary_secret_arn: String,
        replication_status: String,
    }
    /// A replica in another account.
    CrossAccountReplica {
        #[serde(rename = "ReplicaSecretARN")]
        replica_secret_arn: String,
        #[serde(rename = "ReplicationRoleARN")]
        replication_role_arn: String,
        replication_status: String,
    }
    /// `ListSecrets`.
    Listed {
        secret_list: Vec<Described>,
        next_token: String,
    }
    /// `ListSecretVersionIds`.
    ListedVersions {
        versions: Vec<ListedVersion>,
        next_token: String,
        #[serde(rename = "ARN")]
        arn: String,
        name: String,
    }
    /// An entry of it.
    ListedVersion {
        version_id: String,
        version_stages: Vec<String>,
        created_date: Seconds,
        kms_key_ids: Vec<String>,
    }
    /// `ListResourcePolicies`.
    ListedPolicies { resource_policies: Vec<PolicySummary> }
    /// An entry of it.
    PolicySummary { policy_name: String }
    /// `ValidateResourcePolicy`.
    Validated {
        policy_validation_passed: bool,
        validation_errors: Vec<ValidationError>,
    }
    /// What is wrong with a policy.
    ValidationError {
        check_name: String,
        error_message: String,
    }
    /// A replica.
    ReplicationStatus {
        region: String,
        kms_key_id: String,
        status: String,
        status_message: String,
        last_accessed_date: Seconds,
    }
    /// When a secret is rotated.
    RotationRules {
        automatically_after_days: u32,
        duration: String,
        schedule_expression: String,
    }
    /// What a service elsewhere needs to know for a rotation.
    ExternalItem {
        key: String,
        value: String,
    }
    /// A tag.
    TagPair {
        key: String,
        value: String,
    }
    /// A secret that a batch could not read.
    BatchError {
        secret_id: String,
        error_code: String,
        message: String,
    }
}

/// `GetSecretValue`, and an entry of `BatchGetSecretValue`, as a client reads it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the members are described by the service's model")]
pub struct SecretValue {
    #[serde(rename = "ARN")]
    pub arn: String,
    pub name: String,
    pub version_id: String,
    /// Base64.
    pub secret_binary: Option<SecretString>,
    pub secret_string: Option<SecretString>,
    #[serde(default)]
    pub version_stages: Vec<String>,
    pub created_date: Option<Seconds>,
}
