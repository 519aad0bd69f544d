//! The operations and what each takes.

use super::{rule::Member, shapes};

macro_rules! operations {
    ($($name:ident: $members:ident),* $(,)?) => {
        /// An operation of the service.
        #[allow(missing_docs, reason = "the names are the service's own")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($name),*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in `X-Amz-Target`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The operation of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// What it takes.
            #[must_use]
            pub fn members(self) -> &'static [Member] {
                match self { $(Self::$name => shapes::$members),* }
            }
        }
    };
}

operations! {
    AssociateCrossAccountReplica: ASSOCIATE_REPLICA,
    BatchGetSecretValue: BATCH_GET_SECRET_VALUE,
    CancelRotateSecret: BY_SECRET,
    CreateSecret: CREATE_SECRET,
    DeleteResourcePolicy: NAMED_POLICY,
    DeleteSecret: DELETE_SECRET,
    DescribeSecret: BY_SECRET,
    DisassociateCrossAccountReplica: DISASSOCIATE_REPLICA,
    GetRandomPassword: GET_RANDOM_PASSWORD,
    GetResourcePolicy: NAMED_POLICY,
    GetSecretValue: GET_SECRET_VALUE,
    ListResourcePolicies: LIST_RESOURCE_POLICIES,
    ListSecretVersionIds: LIST_SECRET_VERSION_IDS,
    ListSecrets: LIST_SECRETS,
    PutResourcePolicy: PUT_RESOURCE_POLICY,
    PutSecretValue: PUT_SECRET_VALUE,
    RemoveRegionsFromReplication: REMOVE_REGIONS,
    ReplicateSecretToRegions: REPLICATE,
    RestoreSecret: BY_SECRET,
    RotateSecret: ROTATE_SECRET,
    StopReplicationToReplica: BY_SECRET,
    TagResource: TAG_RESOURCE,
    UntagResource: UNTAG_RESOURCE,
    UpdateSecret: UPDATE_SECRET,
    UpdateSecretVersionStage: UPDATE_SECRET_VERSION_STAGE,
    ValidateResourcePolicy: VALIDATE_RESOURCE_POLICY,
}
