//! The model's shapes that constrain what a client sends, under their names there.

use super::rule::{Member, Pattern, Rule, text, word};

macro_rules! members {
    ($($name:literal $($required:ident)?: $rule:expr),* $(,)?) => {
        &[$(Member { name: $name, required: members!(@ $($required)?), rule: &$rule }),*]
    };
    (@ required) => { true };
    (@) => { false };
}

const UNBOUNDED: usize = usize::MAX;

static FILTER_VALUE: Pattern = Pattern {
    text: r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$",
    matches: |value| value.bytes().all(|b| b.is_ascii_alphanumeric() || b" :_@/+=.-!".contains(&b)),
};
static REGION_NAME: Pattern = Pattern { text: r"^([a-z]+-)+\d+$", matches: is_region };
static HOURS: Pattern = Pattern {
    text: "[0-9]+h",
    matches: |value| value.strip_suffix('h').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())),
};
static TOKEN: Pattern = Pattern {
    text: r"^[a-zA-Z0-9\-]+$",
    matches: |value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
};
static SCHEDULE: Pattern = Pattern {
    text: r"[0-9A-Za-z\(\)#\?\*\-\/, ]+",
    matches: |value| value.bytes().all(|b| b.is_ascii_alphanumeric() || b"()#?*-/, ".contains(&b)),
};
static POLICY_NAME_PATTERN: Pattern = Pattern {
    text: r"[0-9A-Za-z\-\_]+",
    matches: |value| value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
};

fn is_region(value: &str) -> bool {
    let mut parts = value.split('-').rev();
    let number = parts.next().unwrap_or_default();
    let mut words = parts.peekable();
    words.peek().is_some()
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}

static SECRET_ID: Rule = Rule::Text(text(1, 2048));
static NAME: Rule = Rule::Text(text(1, 512));
static CLIENT_REQUEST_TOKEN: Rule = Rule::Text(text(32, 64));
static VERSION_ID: Rule = Rule::Text(text(32, 64));
static VERSION_STAGE: Rule = Rule::Text(text(1, 256));
static VERSION_STAGES: Rule = Rule::List { of: &VERSION_STAGE, min: 1, max: 20 };
static DESCRIPTION: Rule = Rule::Text(text(0, 2048));
static KMS_KEY_ID: Rule = Rule::Text(text(0, 2048));
static KIND: Rule = Rule::Text(text(0, 256));
static SECRET_STRING: Rule = Rule::Text(text(1, super::MAX_VALUE_BYTES).sensitive());
static SECRET_BINARY: Rule = Rule::Bytes { min: 1, max: super::MAX_VALUE_BYTES };
static FLAG: Rule = Rule::Flag;
static ARN: Rule = Rule::Text(text(20, 2048));
static ROLE_ARN: Rule = Rule::Text(text(20, 2048));
static LAMBDA_ARN: Rule = Rule::Text(text(0, 2048));
static ROTATION_TOKEN: Rule = Rule::Text(text(36, 256).like(TOKEN).sensitive());
static NEXT_TOKEN: Rule = Rule::Text(text(1, 4096));
static MAX_RESULTS: Rule = Rule::Integer { min: 1, max: 100 };
static MAX_RESULTS_BATCH: Rule = Rule::Integer { min: 1, max: 20 };
static ANY_INTEGER: Rule = Rule::Integer { min: i64::MIN, max: i64::MAX };
static REGION: Rule = Rule::Text(text(1, 128).like(REGION_NAME));
static POLICY: Rule = Rule::Text(text(1, 20_480));
static POLICY_NAME: Rule = Rule::Text(text(1, 64).like(POLICY_NAME_PATTERN));
static TAG_KEY: Rule = Rule::Text(text(1, 128));
static TAG: Rule = Rule::Structure(members! { "Key": TAG_KEY, "Value": Rule::Text(text(0, 256)) });
static TAGS: Rule = Rule::List { of: &TAG, min: 0, max: UNBOUNDED };
static TAG_KEYS: Rule = Rule::List { of: &TAG_KEY, min: 0, max: UNBOUNDED };
static REPLICA: Rule = Rule::Structure(members! { "Region": REGION, "KmsKeyId": KMS_KEY_ID });
static ADD_REPLICAS: Rule = Rule::List { of: &REPLICA, min: 1, max: UNBOUNDED };
static REGIONS: Rule = Rule::List { of: &REGION, min: 1, max: UNBOUNDED };
static FILTER_KEY: Rule =
    Rule::Text(word(&["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"]));
static FILTER_VALUES: Rule = Rule::List { of: &Rule::Text(text(0, 512).like(FILTER_VALUE)), min: 1, max: 10 };
static FILTER: Rule = Rule::Structure(members! { "Key": FILTER_KEY, "Values": FILTER_VALUES });
static FILTERS: Rule = Rule::List { of: &FILTER, min: 0, max: 10 };
static SORT_ORDER: Rule = Rule::Text(word(&["asc", "desc"]));
static SORT_BY: Rule = Rule::Text(word(&["created-date", "last-accessed-date", "last-changed-date", "name"]));
static SECRET_IDS: Rule = Rule::List { of: &SECRET_ID, min: 1, max: 20 };
static ROTATION_RULES: Rule = Rule::Structure(members! {
    "AutomaticallyAfterDays": Rule::Integer { min: 1, max: 1000 },
    "Duration": Rule::Text(text(2, 3).like(HOURS)),
    "ScheduleExpression": Rule::Text(text(1, 256).like(SCHEDULE)),
});
static EXTERNAL: Rule = Rule::Structure(members! {
    "Key": Rule::Text(text(1, 256)),
    "Value": Rule::Text(text(1, 2048)),
});
static EXTERNALS: Rule = Rule::List { of: &EXTERNAL, min: 0, max: UNBOUNDED };

static REPLICA_RESTRICTION: Rule = Rule::Text(word(&["SameOrg", "NoRestriction"]));

pub(super) static ASSOCIATE_REPLICA: &[Member] = members! {
    "SecretId" required: SECRET_ID, "CrossAccountReplicaARN" required: ARN, "ReplicaRestriction": REPLICA_RESTRICTION,
    "ReplicationRoleARN": ROLE_ARN,
};
pub(super) static BATCH_GET_SECRET_VALUE: &[Member] = members! {
    "SecretIdList": SECRET_IDS, "Filters": FILTERS, "MaxResults": MAX_RESULTS_BATCH, "NextToken": NEXT_TOKEN,
};
pub(super) static BY_SECRET: &[Member] = members! { "SecretId" required: SECRET_ID };
pub(super) static CREATE_SECRET: &[Member] = members! {
    "Name" required: NAME, "ClientRequestToken": CLIENT_REQUEST_TOKEN, "Description": DESCRIPTION,
    "KmsKeyId": KMS_KEY_ID, "SecretBinary": SECRET_BINARY, "SecretString": SECRET_STRING, "Tags": TAGS,
    "AddReplicaRegions": ADD_REPLICAS, "ForceOverwriteReplicaSecret": FLAG, "Type": KIND,
    "CrossAccountPrimaryARN": ARN,
};
pub(super) static DELETE_SECRET: &[Member] = members! {
    "SecretId" required: SECRET_ID, "RecoveryWindowInDays": ANY_INTEGER, "ForceDeleteWithoutRecovery": FLAG,
};
pub(super) static DISASSOCIATE_REPLICA: &[Member] = members! {
    "SecretId" required: SECRET_ID, "CrossAccountReplicaARN" required: ARN,
};
pub(super) static GET_RANDOM_PASSWORD: &[Member] = members! {
    "PasswordLength": Rule::Integer { min: 1, max: 4096 }, "ExcludeCharacters": Rule::Text(text(0, 4096)),
    "ExcludeNumbers": FLAG, "ExcludePunctuation": FLAG, "ExcludeUppercase": FLAG, "ExcludeLowercase": FLAG,
    "IncludeSpace": FLAG, "RequireEachIncludedType": FLAG,
};
pub(super) static GET_SECRET_VALUE: &[Member] = members! {
    "SecretId" required: SECRET_ID, "VersionId": VERSION_ID, "VersionStage": VERSION_STAGE,
};
pub(super) static LIST_RESOURCE_POLICIES: &[Member] = members! {
    "SecretId" required: SECRET_ID, "MaxResults": MAX_RESULTS, "NextToken": NEXT_TOKEN,
};
pub(super) static LIST_SECRET_VERSION_IDS: &[Member] = members! {
    "SecretId" required: SECRET_ID, "MaxResults": MAX_RESULTS, "NextToken": NEXT_TOKEN, "IncludeDeprecated": FLAG,
};
pub(super) static LIST_SECRETS: &[Member] = members! {
    "IncludePlannedDeletion": FLAG, "MaxResults": MAX_RESULTS, "NextToken": NEXT_TOKEN, "Filters": FILTERS,
    "SortOrder": SORT_ORDER, "SortBy": SORT_BY,
};
pub(super) static NAMED_POLICY: &[Member] = members! { "SecretId" required: SECRET_ID, "PolicyName": POLICY_NAME };
pub(super) static PUT_RESOURCE_POLICY: &[Member] = members! {
    "SecretId" required: SECRET_ID, "ResourcePolicy" required: POLICY, "PolicyName": POLICY_NAME,
    "BlockPublicPolicy": FLAG,
};
pub(super) static PUT_SECRET_VALUE: &[Member] = members! {
    "SecretId" required: SECRET_ID, "ClientRequestToken": CLIENT_REQUEST_TOKEN, "SecretBinary": SECRET_BINARY,
    "SecretString": SECRET_STRING, "VersionStages": VERSION_STAGES, "RotationToken": ROTATION_TOKEN,
};
pub(super) static REMOVE_REGIONS: &[Member] = members! {
    "SecretId" required: SECRET_ID, "RemoveReplicaRegions" required: REGIONS,
};
pub(super) static REPLICATE: &[Member] = members! {
    "SecretId" required: SECRET_ID, "AddReplicaRegions" required: ADD_REPLICAS, "ForceOverwriteReplicaSecret": FLAG,
};
pub(super) static ROTATE_SECRET: &[Member] = members! {
    "SecretId" required: SECRET_ID, "ClientRequestToken": CLIENT_REQUEST_TOKEN, "RotationLambdaARN": LAMBDA_ARN,
    "RotationRules": ROTATION_RULES, "ExternalSecretRotationMetadata": EXTERNALS,
    "ExternalSecretRotationRoleArn": ROLE_ARN, "RotateImmediately": FLAG,
};
pub(super) static TAG_RESOURCE: &[Member] = members! { "SecretId" required: SECRET_ID, "Tags" required: TAGS };
pub(super) static UNTAG_RESOURCE: &[Member] = members! { "SecretId" required: SECRET_ID, "TagKeys" required: TAG_KEYS };
pub(super) static UPDATE_SECRET: &[Member] = members! {
    "SecretId" required: SECRET_ID, "ClientRequestToken": CLIENT_REQUEST_TOKEN, "Description": DESCRIPTION,
    "KmsKeyId": KMS_KEY_ID, "SecretBinary": SECRET_BINARY, "SecretString": SECRET_STRING, "Type": KIND,
};
pub(super) static UPDATE_SECRET_VERSION_STAGE: &[Member] = members! {
    "SecretId" required: SECRET_ID, "VersionStage" required: VERSION_STAGE, "RemoveFromVersionId": VERSION_ID,
    "MoveToVersionId": VERSION_ID,
};
pub(super) static VALIDATE_RESOURCE_POLICY: &[Member] = members! {
    "SecretId": SECRET_ID, "ResourcePolicy" required: POLICY,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_look_like_regions() {
        for region in ["us-east-1", "ap-southeast-12", "x-1"] {
            assert!(is_region(region), "{region}");
        }
        for region in ["", "1", "us-east", "US-east-1", "us--1", "-1", "us-east-1a", "us-east-"] {
            assert!(!is_region(region), "{region}");
        }
    }
}
