//! What there is of a secret beside its values, at the source and at the target, to be compared and copied.

use std::collections::{BTreeMap, BTreeSet};

use keyturn_protocol::aws::secretsmanager::{
    Described, ExternalItem, ListedVersion, ListedVersions, Operation, RotationRules, SecretAnswer, TagPair,
};
use keyturn_protocol::aws::sigv4;
use serde::Serialize;
use serde_json::json;

use super::service::{Service, ServiceError};

/// The tag that says how far a secret was copied: [`UNFINISHED`], or the digest of the facts when it was.
pub(super) const MARK: &str = "keyturn:import";
pub(super) const UNFINISHED: &str = "unfinished";
/// Versions that are copied: as many as a secret keeps.
const KEPT_VERSIONS: usize = 100;

/// A secret without its values. Dates are left out: they cannot be copied.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Facts {
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) key_id: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) policy: String,
    pub(super) rotation: Rotation,
    /// The labels of each version that has a value.
    pub(super) versions: BTreeMap<String, BTreeSet<String>>,
}

/// How it is rotated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Rotation {
    pub(super) enabled: bool,
    pub(super) hook: String,
    pub(super) rules: RotationRules,
    pub(super) external: Vec<ExternalItem>,
    pub(super) external_role: String,
}

/// A secret as it was found.
pub(super) struct Found {
    pub(super) facts: Facts,
    /// The versions' ids, oldest first.
    pub(super) order: Vec<String>,
    /// What [`MARK`] says.
    pub(super) mark: Option<String>,
    /// Whether it is scheduled for deletion.
    pub(super) leaving: bool,
}

impl Facts {
    /// A digest of them.
    pub(super) fn digest(&self) -> String {
        sigv4::hash(json!(self).to_string().as_bytes())
    }

    /// The labels, each with the version that has it.
    pub(super) fn holders(&self) -> BTreeMap<&str, &str> {
        self.versions
            .iter()
            .flat_map(|(id, labels)| labels.iter().map(move |label| (label.as_str(), id.as_str())))
            .collect()
    }

    /// In what `there` differs, in words. Versions that only the target has count if they have a label.
    pub(super) fn differences(&self, there: &Self) -> Vec<&'static str> {
        [
            (self.kind != there.kind, "type"),
            (self.description != there.description, "description"),
            (self.key_id != there.key_id, "key id"),
            (self.tags != there.tags, "tags"),
            (self.policy != there.policy, "resource policy"),
            (self.rotation != there.rotation, "rotation"),
            (self.versions.keys().any(|id| !there.versions.contains_key(id)), "versions"),
            (self.holders() != there.holders(), "labels"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
        .collect()
    }
}

/// Reads all there is to know of a secret; `None`: there is none. Labels on versions whose value is yet to come count
/// `with_pending`: they can be kept, but not copied.
pub(super) fn find(service: &Service, name: &str, with_pending: bool) -> Result<Option<Found>, ServiceError> {
    let described: Described = match service.call(Operation::DescribeSecret, &json!({ "SecretId": name })) {
        Err(error) if error.is("ResourceNotFoundException") => return Ok(None),
        other => other?,
    };
    if described.deleted_date.is_some() {
        return Ok(Some(Found { facts: Facts::default(), order: Vec::new(), mark: None, leaving: true }));
    }
    let versions = versions(service, name)?;
    let policy: SecretAnswer = service.call(Operation::GetResourcePolicy, &json!({ "SecretId": name }))?;
    let mut tags = pairs(described.tags.unwrap_or_default());
    let mark = tags.remove(MARK);
    let order = versions.iter().filter_map(|version| version.version_id.clone()).collect();
    let mut labels: BTreeMap<_, _> = versions.into_iter().filter_map(labelled).collect();
    for (id, stages) in described.version_ids_to_stages.unwrap_or_default().into_iter().filter(|_| with_pending) {
        labels.entry(id).or_insert_with(|| stages.into_iter().collect());
    }
    let rotation = Rotation {
        enabled: described.rotation_enabled.unwrap_or(false),
        hook: described.rotation_lambda_arn.unwrap_or_default(),
        rules: rules(described.rotation_rules.unwrap_or_default()),
        external: described.external_secret_rotation_metadata.unwrap_or_default(),
        external_role: described.external_secret_rotation_role_arn.unwrap_or_default(),
    };
    let facts = Facts {
        kind: described.r#type.unwrap_or_default(),
        description: described.description.unwrap_or_default(),
        key_id: described.kms_key_id.unwrap_or_default(),
        tags,
        policy: policy.resource_policy.unwrap_or_default(),
        // What AWS rotates by itself nobody else can be told to.
        rotation: if rotation.hook.is_empty() && rotation.external_role.is_empty() {
            Rotation::default()
        } else {
            rotation
        },
        versions: labels,
    };
    Ok(Some(Found { facts, order, mark, leaving: false }))
}

/// Tags that can be set: those of AWS's own belong to its other services.
fn pairs(tags: Vec<TagPair>) -> BTreeMap<String, String> {
    let pairs = tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())));
    pairs.filter(|(key, _)| !key.to_ascii_lowercase().starts_with("aws:")).collect()
}

/// AWS tells the days that it has calculated beside a schedule, and takes only one of the two.
fn rules(told: RotationRules) -> RotationRules {
    let days = told.automatically_after_days.filter(|_| told.schedule_expression.is_none());
    RotationRules { automatically_after_days: days, ..told }
}

fn labelled(version: ListedVersion) -> Option<(String, BTreeSet<String>)> {
    Some((version.version_id?, version.version_stages.unwrap_or_default().into_iter().collect()))
}

/// The versions with a value, oldest first: all with labels, and the newest of the others.
fn versions(service: &Service, name: &str) -> Result<Vec<ListedVersion>, ServiceError> {
    let (mut all, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut fields = json!({ "SecretId": name, "IncludeDeprecated": true, "MaxResults": 100 });
        if let Some(token) = next.take() {
            fields["NextToken"] = token.into();
        }
        let page: ListedVersions = service.call(Operation::ListSecretVersionIds, &fields)?;
        all.extend(page.versions.unwrap_or_default());
        next = page.next_token;
        if next.is_none() {
            break;
        }
    }
    all.sort_by(|a, b| a.created_date.unwrap_or(0.0).total_cmp(&b.created_date.unwrap_or(0.0)));
    let mut excess = all.len().saturating_sub(KEPT_VERSIONS);
    all.retain(|version| {
        let dropped = excess > 0 && version.version_stages.as_ref().is_none_or(Vec::is_empty);
        excess -= usize::from(dropped);
        !dropped
    });
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(versions: &[(&str, &[&str])]) -> Facts {
        let versions = versions
            .iter()
            .map(|(id, labels)| ((*id).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()));
        Facts { versions: versions.collect(), ..Facts::default() }
    }

    #[test]
    fn what_differs_is_named() {
        let here = with(&[("a", &[]), ("b", &["AWSCURRENT"])]);
        assert!(here.differences(&here).is_empty());
        let older = with(&[("z", &[]), ("a", &[]), ("b", &["AWSCURRENT"])]);
        assert!(here.differences(&older).is_empty(), "a version without a label is nobody's loss");
        assert_eq!(here.differences(&with(&[("b", &["AWSCURRENT"])])), ["versions"]);
        assert_eq!(here.differences(&with(&[("a", &["AWSCURRENT"]), ("b", &[])])), ["labels"]);
        assert_ne!(here.digest(), older.digest());
        let told = Facts { description: "x".into(), ..here.clone() };
        assert_eq!(here.differences(&told), ["description"]);
    }

    #[test]
    fn of_days_and_schedule_the_schedule_counts() {
        let told = RotationRules {
            automatically_after_days: Some(10),
            schedule_expression: Some("rate(10 days)".into()),
            duration: None,
        };
        assert_eq!(rules(told).automatically_after_days, None);
        let tag = |key: &str| TagPair { key: Some(key.into()), value: None };
        assert_eq!(pairs(vec![tag("aws:cloudformation:stack-id"), tag("team")]).len(), 1);
    }
}
