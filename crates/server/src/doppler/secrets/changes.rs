//! What a client wants changed, and what that means for a config as it is.
//!
//! ```text
//! secrets: {NAME: value | null}                 set, or delete
//! change_requests: [{name, originalName, value, originalValue, visibility, valueType, should…}]
//!     originalName       another than the name: rename
//!     original…          refused unless it is so
//!     shouldDelete · shouldConverge (a branch follows what it inherits) · shouldPromote (to the root as well)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use keyturn_core::{
    config_values::{FieldMark, MANAGED, Reading, Values, Visibility, is_secret_name},
    project::ConfigName,
    secret::SecretString,
};
use keyturn_protocol::doppler::{change::ChangeRequest, value_type::ValueType};

use super::{Attempt, unresolved, visibility_named};
use crate::doppler::error::Failure;

/// A change that is wanted.
#[derive(Debug)]
pub(super) struct Change {
    name: String,
    /// The name that it has now.
    original: String,
    value: Option<SecretString>,
    visibility: Option<Visibility>,
    value_type: Option<ValueType>,
    only_if: OnlyIf,
    what: What,
    promote: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Set,
    Delete,
    Converge,
}

/// What must be so for the change to be made; `None`: whatever it is.
#[derive(Debug, Default)]
struct OnlyIf {
    value: Option<SecretString>,
    visibility: Option<Visibility>,
    value_type: Option<ValueType>,
}

impl Change {
    /// A secret to be set, or without a value, to be deleted.
    pub(super) fn simple(name: String, value: Option<SecretString>) -> Self {
        let what = if value.is_some() { What::Set } else { What::Delete };
        let original = name.clone();
        let only_if = OnlyIf::default();
        Self { name, original, value, visibility: None, value_type: None, only_if, what, promote: false }
    }

    pub(super) fn of_request(request: ChangeRequest) -> Result<Self, Failure> {
        let name = request.name;
        let visibility = |text: Option<String>| text.map(|text| visibility_of(&name, &text)).transpose();
        let value_type = |kind: Option<keyturn_protocol::doppler::change::TypeShape>| {
            kind.map(|kind| type_of(&name, &kind.r#type)).transpose()
        };
        let what = match (request.should_delete.unwrap_or(false), request.should_converge.unwrap_or(false)) {
            (false, false) => What::Set,
            (true, false) => What::Delete,
            (false, true) => What::Converge,
            (true, true) => return Err(bad(&name, "cannot be deleted and converge at once")),
        };
        let promote = request.should_promote.unwrap_or(false);
        if promote && what != What::Set {
            return Err(bad(&name, "cannot be promoted when it is deleted or converges"));
        }
        let only_if = OnlyIf {
            value: request.original_value,
            visibility: visibility(request.original_visibility)?,
            value_type: value_type(request.original_value_type)?,
        };
        let (visibility, value_type) = (visibility(request.visibility)?, value_type(request.value_type)?);
        let original = request.original_name.filter(|name| !name.is_empty()).unwrap_or_else(|| name.clone());
        Ok(Self { name, original, value: request.value, visibility, value_type, only_if, what, promote })
    }
}

fn bad(name: &str, what: &str) -> Failure {
    let name: String = name.chars().take(200).collect();
    Failure::bad_request(format!("Secret {} {what}", name.escape_debug()))
}

fn stale(name: &str, what: &str) -> Failure {
    Failure::conflict(format!("Secret {name} was changed meanwhile: its {what} is not what the request says it was"))
}

fn visibility_of(name: &str, text: &str) -> Result<Visibility, Failure> {
    visibility_named(text).ok_or_else(|| bad(name, "must have the visibility masked, unmasked or restricted"))
}

fn type_of(name: &str, text: &str) -> Result<ValueType, Failure> {
    ValueType::named(text).ok_or_else(|| bad(name, "is to have a value type that this server does not know"))
}

/// What is to be written to one config.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) values: BTreeMap<String, Option<SecretString>>,
    pub(super) marks: BTreeMap<String, FieldMark>,
}

/// What changes mean.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) own: Writes,
    pub(super) root: Writes,
    /// The names whose values must fit, and the type that each must be of.
    pub(super) checks: BTreeMap<String, Option<ValueType>>,
}

/// Decides on a config that has been loaded. `restricted`: whether the caller is shown restricted values.
pub(super) fn decide(changes: &[Change], reading: &Reading<'_>, restricted: bool) -> Result<Decided, Failure> {
    let values = reading.values();
    let mut decided = Decided::default();
    let mut touched = BTreeSet::new();
    for change in changes {
        let names = BTreeSet::from([change.name.as_str(), change.original.as_str()]);
        for name in names {
            check_name(name, &values, reading.target())?;
            check_dynamic(change, name, reading)?;
            if !touched.insert(name) {
                return Err(bad(name, "is named by more than one change"));
            }
        }
        check_only_if(change, &values, restricted)?;
        Decision { change, values: &values, reading, decided: &mut decided }.take()?;
    }
    Ok(decided)
}

fn check_name(name: &str, values: &Values<'_>, config: &ConfigName) -> Result<(), Failure> {
    if MANAGED.contains(&name) {
        return Err(bad(name, "is managed by the server and cannot be changed"));
    }
    // What another door called otherwise can be changed here under that name.
    if is_secret_name(name) || values.own(config, name).is_some() {
        return Ok(());
    }
    Err(bad(
        name,
        "has a name that cannot be: upper-case letters, digits and underscores, no digit in front, at most 200 characters",
    ))
}

/// A name that stands for credentials cannot be a plain secret besides, here or where it would be promoted to.
fn check_dynamic(change: &Change, name: &str, reading: &Reading<'_>) -> Result<(), Failure> {
    if change.what != What::Set || name != change.name {
        return Ok(());
    }
    let root = reading.root().filter(|_| change.promote);
    let mut configs = [Some(reading.target()), root.as_ref()].into_iter().flatten();
    match configs.find_map(|config| reading.dynamic_taking(config, name)) {
        None => Ok(()),
        Some(secret) => {
            Err(bad(name, &format!("belongs to the dynamic secret {secret}, whose values are made for each reader")))
        }
    }
}

/// What a rotation keeps stays as it is: a value that no target knows would lock everybody out. Values that are what
/// they were, as in a file that was downloaded, pass.
pub(super) async fn check_rotated(decided: &Decided, reading: &Reading<'_>) -> Attempt<()> {
    let root = reading.root();
    let written = [(Some(reading.target()), &decided.own), (root.as_ref(), &decided.root)];
    for (config, writes) in written {
        let Some(config) = config.filter(|_| !writes.values.is_empty()) else { continue };
        let kept = reading.rotated_fields(config).await?;
        if kept.is_empty() {
            continue;
        }
        let values = reading.values();
        let stays = |name: &str, value: &Option<SecretString>| {
            value.as_ref().zip(values.own(config, name)).is_some_and(|(value, now)| now.is_same(value))
        };
        let changed = writes.values.iter().find(|(name, value)| kept.contains(name) && !stays(name, value));
        if let Some((name, _)) = changed {
            let what =
                format!("is kept by the rotation of config {}: rotate it, or delete the rotation first", config.config);
            return Err(bad(name, &what).into());
        }
    }
    Ok(())
}

fn check_only_if(change: &Change, values: &Values<'_>, restricted: bool) -> Result<(), Failure> {
    let OnlyIf { value, visibility, value_type } = &change.only_if;
    let name = &change.original;
    let (now, mark) = values.raw(name).unzip();
    let mark = mark.flatten();
    let visibility_now = mark.map_or_else(Visibility::default, |mark| mark.visibility);
    if let Some(value) = value {
        // Who is not shown a value does not learn it by guessing either.
        let known = restricted || visibility_now != Visibility::Restricted;
        if !known || !now.is_some_and(|now| now.is_same(value)) {
            return Err(stale(name, "value"));
        }
    }
    if visibility.is_some_and(|visibility| visibility != visibility_now) {
        return Err(stale(name, "visibility"));
    }
    let type_now = mark.map(|mark| mark.value_type.as_str()).filter(|kind| !kind.is_empty()).unwrap_or("string");
    if value_type.is_some_and(|kind| kind.name() != type_now) {
        return Err(stale(name, "value type"));
    }
    Ok(())
}

/// One change being decided.
struct Decision<'d> {
    change: &'d Change,
    values: &'d Values<'d>,
    reading: &'d Reading<'d>,
    decided: &'d mut Decided,
}

impl Decision<'_> {
    fn take(&mut self) -> Result<(), Failure> {
        let (name, original) = (self.change.name.as_str(), self.change.original.as_str());
        let own = self.own(original).is_some();
        match self.change.what {
            What::Set => self.set(),
            What::Delete if own => {
                self.remove(original);
                Ok(())
            }
            What::Converge if own && !self.values.inherits(original) => {
                Err(bad(name, "is inherited from nowhere, so that there is nothing to converge to"))
            }
            What::Converge if own => {
                self.remove(original);
                Ok(())
            }
            What::Delete if self.values.inherits(original) => {
                Err(bad(name, "is inherited: delete it in the config that it comes from"))
            }
            What::Delete | What::Converge => Ok(()),
        }
    }

    fn own(&self, name: &str) -> Option<&SecretString> {
        self.values.own(self.reading.target(), name)
    }

    fn remove(&mut self, name: &str) {
        self.decided.own.values.insert(name.to_owned(), None);
        self.decided.own.marks.insert(name.to_owned(), FieldMark::default());
    }

    fn set(&mut self) -> Result<(), Failure> {
        let (name, original) = (self.change.name.as_str(), self.change.original.as_str());
        let renames = name != original;
        let before = self.own(original).cloned();
        if renames && before.is_none() {
            return Err(bad(original, "cannot be renamed: the config has no such secret of its own"));
        }
        if renames && self.own(name).is_some() {
            return Err(bad(name, "exists already: another cannot be renamed to it"));
        }
        let value = self.change.value.clone().or_else(|| before.clone());
        let says = self.change.visibility.is_some() || self.change.value_type.is_some() || self.change.promote;
        let Some(value) = value else {
            return match self.values.inherits(name) {
                true if says => Err(bad(name, "is inherited: give it a value here, or change it where it comes from")),
                true => Ok(()),
                false => Err(bad(name, "has no value")),
            };
        };
        let mark = self.mark(original, before.as_ref(), &value)?;
        let kind = ValueType::named(&mark.value_type);
        self.decided.checks.insert(name.to_owned(), kind);
        if self.change.promote {
            if self.reading.root().is_none() {
                return Err(bad(name, "cannot be promoted: the config is no branch"));
            }
            self.decided.root.values.insert(name.to_owned(), Some(value.clone()));
            self.decided.root.marks.insert(name.to_owned(), mark.clone());
        }
        if renames {
            self.remove(original);
        }
        self.decided.own.values.insert(name.to_owned(), Some(value));
        self.decided.own.marks.insert(name.to_owned(), mark);
        Ok(())
    }

    /// What is said about the secret afterwards.
    fn mark(&self, name: &str, before: Option<&SecretString>, value: &SecretString) -> Result<FieldMark, Failure> {
        let mut mark = self.values.own_mark(self.reading.target(), name).cloned().unwrap_or_default();
        if let Some(visibility) = self.change.visibility {
            let stays = before.is_some_and(|before| before.is_same(value));
            if mark.visibility == Visibility::Restricted && visibility != Visibility::Restricted && stays {
                return Err(bad(name, "is restricted: it can be shown to more readers only with a new value"));
            }
            mark.visibility = visibility;
        }
        if let Some(kind) = self.change.value_type {
            let name = kind.name();
            mark.value_type = if name == "string" { String::new() } else { name.to_owned() };
        }
        Ok(mark)
    }
}

/// Looks at the values as they would be: whether what they refer to is there, and whether they are of their type.
pub(super) fn check(decided: &Decided, reading: &Reading<'_>) -> Result<(), Failure> {
    let only: BTreeSet<String> = decided.checks.keys().cloned().collect();
    let values = reading.values();
    for shown in values.shown(Some(&only), false) {
        let computed = match &shown.computed {
            None => shown.raw,
            Some(computed) => {
                if let Some(missing) = computed.missing.first() {
                    return Err(bad(shown.name, &format!("refers to {missing}, which does not exist")));
                }
                computed.value.as_ref().map_err(|why| unresolved(shown.name, why))?
            }
        };
        let Some(kind) = decided.checks.get(shown.name).copied().flatten() else { continue };
        let text = if kind.is_of_computed() { computed } else { shown.raw };
        if !kind.fits(text.expose_secret()) {
            return Err(bad(shown.name, &format!("must be of the type {}, and its value is not", kind.name())));
        }
    }
    Ok(())
}
