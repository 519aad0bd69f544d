//! Copies one secret. What the target has decides what is done:
//!
//! ```text
//! nothing                                  it is made, with the tag MARK: unfinished
//! MARK: unfinished                         a run that was cut off is taken up
//! MARK: digest of what is there            untouched since it was copied: brought up to date
//! anything else that differs               a conflict: somebody's change, left as it is
//! ```
//!
//! Versions come oldest first, under their ids; then labels, what is said of the secret, and last the digest.

use std::collections::BTreeMap;

use keyturn_protocol::aws::secretsmanager::{Described, Operation, SecretValue};
use serde_json::{Value, json};

use super::facts::{Facts, Found, MARK, Rotation, UNFINISHED, find};
use super::service::{Payload, Service, ServiceError};
use super::state::State;
use crate::failure::Failure;

const CURRENT: &str = "AWSCURRENT";
/// Holds a version that has no label until all are there: none comes without.
const PASSING: &str = "keyturn-import";
/// More moves than labels and versions can ask for.
const MOST_MOVES: usize = 64;

/// What became of a secret.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) copied: usize,
    pub(super) skipped: usize,
    pub(super) conflicts: Vec<String>,
    pub(super) failure: Option<String>,
    /// Why there was nothing to do.
    pub(super) passed_over: Option<&'static str>,
}

/// From where to where.
pub(super) struct Copier<'a> {
    pub(super) source: &'a Service,
    pub(super) target: &'a Service,
    pub(super) dry_run: bool,
}

impl Copier<'_> {
    /// Copies a secret. What goes wrong with it alone is in the outcome; an error ends the run.
    pub(super) fn copy(&self, name: &str, state: &mut State) -> Result<Outcome, Failure> {
        let mut outcome = Outcome { name: name.to_owned(), ..Outcome::default() };
        match self.attempt(&mut outcome, state) {
            Err(Failure::Service(error)) if !error.is_hopeless() => outcome.failure = Some(error.to_string()),
            other => other?,
        }
        Ok(outcome)
    }

    fn attempt(&self, outcome: &mut Outcome, state: &mut State) -> Result<(), Failure> {
        let name = outcome.name.clone();
        let Some(here) = find(self.source, &name, false)? else {
            outcome.passed_over = Some("gone");
            return Ok(());
        };
        let there = find(self.target, &name, true)?;
        outcome.conflicts.extend(there.as_ref().and_then(|there| conflict(&here.facts, there)));
        let has = |id: &String| there.as_ref().is_some_and(|there| there.facts.versions.contains_key(id));
        let known = here.order.iter().filter(|id| has(id)).count();
        if self.dry_run || !outcome.conflicts.is_empty() {
            outcome.skipped = known;
            outcome.copied = if outcome.conflicts.is_empty() { here.order.len() - known } else { 0 };
            return Ok(());
        }
        let seen = there.as_ref().map(|there| proof(&name, &here.facts, &there.facts));
        if seen.is_some_and(|seen| state.has(&seen)) && known == here.order.len() {
            outcome.skipped = known;
        } else {
            if there.is_none() {
                self.create(&name, &here.facts)?;
            }
            for (at, id) in here.order.iter().enumerate() {
                if !self.version(outcome, &here, at, id, has(id))? {
                    return Ok(());
                }
            }
        }
        let finished = there.as_ref().is_some_and(|there| there.mark.as_deref() != Some(UNFINISHED));
        let before = there.map_or_else(|| created(&here.facts), |there| there.facts);
        if !finished || outcome.copied > 0 || !here.facts.differences(&before).is_empty() {
            self.labels(&name, &here.facts)?;
            self.said(&name, &here.facts, &before)?;
            self.finish(outcome, &here.facts, state)
        } else {
            state.add(proof(&name, &here.facts, &before), &name)
        }
    }

    /// Copies a version, or has the target compare it with its own; false: they differ.
    fn version(
        &self,
        outcome: &mut Outcome,
        here: &Found,
        at: usize,
        id: &str,
        known: bool,
    ) -> Result<bool, ServiceError> {
        let fields = json!({ "SecretId": outcome.name, "VersionId": id });
        let value: SecretValue = self.source.call(Operation::GetSecretValue, &fields)?;
        let payload = match (&value.secret_string, &value.secret_binary) {
            (Some(text), _) => Payload { member: "SecretString", text },
            (None, Some(text)) => Payload { member: "SecretBinary", text },
            (None, None) => {
                return Err(ServiceError::Unexpected { role: self.source.role, operation: "GetSecretValue" });
            }
        };
        let stages = stages(here, at, id);
        let fields = json!({ "SecretId": outcome.name, "ClientRequestToken": id, "VersionStages": stages });
        match self.target.write(Operation::PutSecretValue, &fields, &payload) {
            Err(error) if error.is("ResourceExistsException") => {
                outcome.conflicts.push(format!("version {id} has another content at the target"));
                return Ok(false);
            }
            other => other?,
        }
        if known {
            outcome.skipped += 1
        } else {
            outcome.copied += 1
        }
        Ok(true)
    }

    fn create(&self, name: &str, facts: &Facts) -> Result<(), ServiceError> {
        let mut tags = tags(&facts.tags);
        tags.push(json!({ "Key": MARK, "Value": UNFINISHED }));
        let mut fields = json!({ "Name": name, "Tags": tags, "ClientRequestToken": no_version(name) });
        for (member, text) in [("Description", &facts.description), ("KmsKeyId", &facts.key_id), ("Type", &facts.kind)]
        {
            if !text.is_empty() {
                fields[member] = text.as_str().into();
            }
        }
        self.target.change(Operation::CreateSecret, &fields)
    }

    /// Moves labels until each is where the source has it, the current one first: it takes the previous one along.
    fn labels(&self, name: &str, facts: &Facts) -> Result<(), ServiceError> {
        let wanted = facts.holders();
        for _ in 0..MOST_MOVES {
            let described: Described = self.target.call(Operation::DescribeSecret, &json!({ "SecretId": name }))?;
            let versions = described.version_ids_to_stages.unwrap_or_default();
            let held: BTreeMap<&str, &str> = versions
                .iter()
                .flat_map(|(id, labels)| labels.iter().map(move |label| (label.as_str(), id.as_str())))
                .collect();
            let Some((label, to)) = next_move(&wanted, &held) else { return Ok(()) };
            let mut fields = json!({ "SecretId": name, "VersionStage": label });
            if let Some(from) = held.get(label) {
                fields["RemoveFromVersionId"] = (*from).into();
            }
            if let Some(to) = to {
                fields["MoveToVersionId"] = to.into();
            }
            self.target.change(Operation::UpdateSecretVersionStage, &fields)?;
        }
        Ok(())
    }

    /// Brings what is said of a secret from `before` to what the source has.
    fn said(&self, name: &str, facts: &Facts, before: &Facts) -> Result<(), ServiceError> {
        let mut fields = json!({ "SecretId": name });
        for (member, text, old) in [
            ("Description", &facts.description, &before.description),
            ("KmsKeyId", &facts.key_id, &before.key_id),
            ("Type", &facts.kind, &before.kind),
        ] {
            if text != old {
                fields[member] = text.as_str().into();
            }
        }
        if fields.as_object().is_some_and(|fields| fields.len() > 1) {
            self.target.change(Operation::UpdateSecret, &fields)?;
        }
        let gone: Vec<&String> = before.tags.keys().filter(|key| !facts.tags.contains_key(*key)).collect();
        if !gone.is_empty() {
            self.target.change(Operation::UntagResource, &json!({ "SecretId": name, "TagKeys": gone }))?;
        }
        if facts.tags != before.tags && !facts.tags.is_empty() {
            let fields = json!({ "SecretId": name, "Tags": tags(&facts.tags) });
            self.target.change(Operation::TagResource, &fields)?;
        }
        if facts.rotation != before.rotation {
            self.rotation(name, &facts.rotation)?;
        }
        match facts.policy.as_str() {
            policy if policy == before.policy => Ok(()),
            "" => self.target.change(Operation::DeleteResourcePolicy, &json!({ "SecretId": name })),
            policy => {
                let fields = json!({ "SecretId": name, "ResourcePolicy": policy });
                self.target.change(Operation::PutResourcePolicy, &fields)
            }
        }
    }

    fn rotation(&self, name: &str, rotation: &Rotation) -> Result<(), ServiceError> {
        if *rotation != Rotation::default() {
            let mut fields =
                json!({ "SecretId": name, "ClientRequestToken": no_version(name), "RotateImmediately": false });
            if !rotation.hook.is_empty() {
                fields["RotationLambdaARN"] = rotation.hook.as_str().into();
            }
            if rotation.rules != Default::default() {
                fields["RotationRules"] = json!(rotation.rules);
            }
            if !rotation.external_role.is_empty() {
                fields["ExternalSecretRotationRoleArn"] = rotation.external_role.as_str().into();
                fields["ExternalSecretRotationMetadata"] = json!(rotation.external);
            }
            self.target.change(Operation::RotateSecret, &fields)?;
        }
        if rotation.enabled {
            return Ok(());
        }
        self.target.change(Operation::CancelRotateSecret, &json!({ "SecretId": name }))
    }

    /// Looks whether all is there, and says so at the target.
    fn finish(&self, outcome: &mut Outcome, facts: &Facts, state: &mut State) -> Result<(), Failure> {
        let name = &outcome.name;
        let there = find(self.target, name, true)?.map(|there| there.facts).unwrap_or_default();
        let differences = facts.differences(&there);
        if !differences.is_empty() {
            outcome.conflicts.push(format!("changed at the target meanwhile: {}", differences.join(", ")));
            return Ok(());
        }
        let mark = json!({ "Key": MARK, "Value": there.digest() });
        self.target.change(Operation::TagResource, &json!({ "SecretId": name, "Tags": [mark] }))?;
        state.add(proof(name, facts, &there), name)
    }
}

/// The token that some operations ask for even if they make no version that has it for its id.
fn no_version(name: &str) -> String {
    keyturn_protocol::aws::sigv4::hash(name.as_bytes()).chars().take(36).collect()
}

/// What stands for a secret whose values were compared, until anything about it changes on either side.
fn proof(name: &str, here: &Facts, there: &Facts) -> String {
    keyturn_protocol::aws::sigv4::hash(json!([name, here, there]).to_string().as_bytes())
}

/// What a secret is like when [`Copier::create`] has made it.
fn created(facts: &Facts) -> Facts {
    Facts {
        kind: facts.kind.clone(),
        description: facts.description.clone(),
        key_id: facts.key_id.clone(),
        tags: facts.tags.clone(),
        ..Facts::default()
    }
}

/// Why a secret at the target must be left alone.
fn conflict(here: &Facts, there: &Found) -> Option<String> {
    if there.leaving {
        return Some("scheduled for deletion at the target".to_owned());
    }
    let mark = there.mark.as_deref();
    if mark == Some(UNFINISHED) {
        let strange =
            there.facts.versions.iter().find(|(id, labels)| !labels.is_empty() && !here.versions.contains_key(*id));
        return strange.map(|(id, _)| format!("version {id} was written at the target"));
    }
    let differences = here.differences(&there.facts);
    if differences.is_empty() || mark == Some(&there.facts.digest()) {
        return None;
    }
    let what = differences.join(", ");
    Some(match mark {
        Some(_) => format!("changed at the target since it was copied; differs in: {what}"),
        None => format!("the target has another secret of this name; differs in: {what}"),
    })
}

/// The labels that a version is written with. A version that may have been current is made so in passing: to be seen by
/// those who know versions by number.
fn stages(here: &Found, at: usize, id: &str) -> Vec<String> {
    let has = |id: &String, label: &str| here.facts.versions.get(id).is_some_and(|labels| labels.contains(label));
    let current = here.order.iter().position(|id| has(id, CURRENT));
    if current.is_none_or(|current| at <= current) || has(&id.to_owned(), "AWSPREVIOUS") {
        return vec![CURRENT.to_owned()];
    }
    let own: Vec<String> = here.facts.versions.get(id).into_iter().flatten().cloned().collect();
    if own.is_empty() { vec![PASSING.to_owned()] } else { own }
}

/// The label that is to move next, and where to; to nowhere, if no version is to have it.
fn next_move<'a>(
    wanted: &BTreeMap<&'a str, &'a str>,
    held: &BTreeMap<&'a str, &str>,
) -> Option<(&'a str, Option<&'a str>)> {
    let astray = |label: &str| wanted.get(label).is_some_and(|id| held.get(label) != Some(id));
    let moved = wanted.keys().copied().filter(|label| astray(label)).min_by_key(|label| *label != CURRENT);
    if let Some(label) = moved {
        return Some((label, wanted.get(label).copied()));
    }
    let extra = held.keys().copied().find(|label| *label != CURRENT && !wanted.contains_key(label));
    extra.map(|label| (label, None))
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(versions: &[(&str, &[&str])]) -> Found {
        let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        let facts = Facts {
            versions: versions.iter().map(|(id, stages)| ((*id).to_owned(), labels(stages))).collect(),
            ..Facts::default()
        };
        let order = versions.iter().map(|(id, _)| (*id).to_owned()).collect();
        Found { facts, order, mark: None, leaving: false }
    }

    #[test]
    fn what_may_have_been_current_comes_as_current() {
        let here = found(&[("a", &[]), ("b", &["blue"]), ("c", &[CURRENT]), ("d", &["AWSPENDING", "x"]), ("e", &[])]);
        let came: Vec<_> = here.order.iter().enumerate().map(|(at, id)| stages(&here, at, id)).collect();
        let expected: [&[&str]; 5] = [&[CURRENT], &[CURRENT], &[CURRENT], &["AWSPENDING", "x"], &[PASSING]];
        assert_eq!(came, expected);
    }

    #[test]
    fn the_current_label_moves_first_and_strange_ones_go_last() {
        let wanted = BTreeMap::from([("AWSCURRENT", "a"), ("AWSPREVIOUS", "b"), ("A", "a")]);
        let held = BTreeMap::from([("AWSCURRENT", "b"), ("AWSPREVIOUS", "b"), (PASSING, "c")]);
        assert_eq!(next_move(&wanted, &held), Some(("AWSCURRENT", Some("a"))));
        let held = BTreeMap::from([("AWSCURRENT", "a"), ("AWSPREVIOUS", "b"), (PASSING, "c")]);
        assert_eq!(next_move(&wanted, &held), Some(("A", Some("a"))));
        let held = BTreeMap::from([("AWSCURRENT", "a"), ("AWSPREVIOUS", "b"), ("A", "a"), (PASSING, "c")]);
        assert_eq!(next_move(&wanted, &held), Some((PASSING, None)));
        assert_eq!(next_move(&wanted, &wanted), None);
    }

    #[test]
    fn a_change_at_the_target_is_a_conflict() {
        let here = found(&[("a", &["AWSPREVIOUS"]), ("b", &[CURRENT])]);
        let mut there = found(&[("a", &[CURRENT])]);
        assert!(conflict(&here.facts, &there).is_some_and(|why| why.contains("another secret")));
        there.mark = Some(there.facts.digest());
        assert_eq!(conflict(&here.facts, &there), None);
        there.facts.description = "mine".into();
        assert!(conflict(&here.facts, &there).is_some_and(|why| why.contains("since it was copied")));
        there.mark = Some(UNFINISHED.into());
        assert_eq!(conflict(&here.facts, &there), None);
        there.facts.versions.insert("z".into(), [CURRENT.to_owned()].into());
        assert!(conflict(&here.facts, &there).is_some_and(|why| why.contains("version z")));
    }
}
