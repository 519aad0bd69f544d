//! The values of a config that has been loaded.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    FieldMark, MANAGED, Visibility,
    reading::{Node, Reading},
    reference::Reference,
    resolve::{Computed, Found, Lookup, Raw, Resolver},
};
use crate::{project::ConfigName, secret::SecretString};

/// What is about to be written to a config: values by name; `None` takes one away.
#[derive(Debug, Default)]
pub struct Overlay(BTreeMap<String, Option<SecretString>>);

impl Overlay {
    /// Of these changes.
    #[must_use]
    pub fn new(changes: BTreeMap<String, Option<SecretString>>) -> Self {
        Self(changes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn value(&self, name: &str) -> Option<Option<&SecretString>> {
        self.0.get(name).map(Option::as_ref)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.as_str())
    }
}

/// A secret of a config as it is shown.
#[derive(Debug)]
pub struct Shown<'v> {
    /// Its name.
    pub name: &'v str,
    /// Its value as it is written.
    pub raw: &'v SecretString,
    /// Its value with references resolved; `None`: it refers to nothing and is as it is written.
    pub computed: Option<Computed>,
    /// What is said about it; `None`: nothing.
    pub mark: Option<&'v FieldMark>,
    /// The config that it comes from; `None`: it is one of those that say which config this is.
    pub from: Option<&'v ConfigName>,
}

impl Shown<'_> {
    /// Who is shown the value as it is written.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        match self.mark {
            Some(mark) => mark.visibility,
            None if self.from.is_none() => Visibility::Unmasked,
            None => Visibility::default(),
        }
    }

    /// Who is shown the computed value: as the strictest of all that went into it.
    #[must_use]
    pub fn computed_visibility(&self) -> Visibility {
        match &self.computed {
            Some(computed) if computed.restricted => Visibility::Restricted,
            Some(computed) if computed.masked => Visibility::Masked,
            _ => self.visibility(),
        }
    }
}

/// The values of a config, those that it inherits, and all that they may refer to.
pub struct Values<'r> {
    reading: &'r Reading<'r>,
    merged: Vec<Merged<'r>>,
    index: BTreeMap<&'r ConfigName, usize>,
}

/// What one config shows.
struct Merged<'r> {
    name: &'r ConfigName,
    entries: BTreeMap<&'r str, Entry<'r>>,
    managed: [SecretString; MANAGED.len()],
    bytes: bool,
}

#[derive(Clone, Copy)]
struct Entry<'r> {
    at: &'r ConfigName,
    value: &'r SecretString,
    mark: Option<&'r FieldMark>,
}

impl Reading<'_> {
    /// Says what is about to be written to the config itself. What follows shows it as it would be then.
    pub fn lay_over(&mut self, overlay: Overlay) {
        self.overlay = overlay;
    }

    /// Its values. It must have been loaded.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        let mut values = Values { reading: self, merged: Vec::new(), index: BTreeMap::new() };
        for (name, node) in &self.nodes {
            if let Node::Open(open) = node {
                let merged = self.merge(name, &open.layers, &open.environment);
                values.index.insert(name, values.merged.len());
                values.merged.push(merged);
            }
        }
        values
    }

    fn merge<'r>(&'r self, name: &'r ConfigName, layers: &'r [ConfigName], environment: &str) -> Merged<'r> {
        let mut entries = BTreeMap::new();
        let mut bytes = false;
        for layer in layers.iter().rev() {
            let Some(place) = self.places.get(layer) else { continue };
            bytes |= place.outline.bytes;
            let values = place.fields.as_ref().and_then(super::Fields::values).into_iter().flatten();
            let marks = place.secret.as_ref().map(|seen| &seen.value.marks);
            let overlay = (*layer == self.target).then_some(&self.overlay);
            for (name, value) in values {
                let change = overlay.and_then(|overlay| overlay.value(name));
                if change.is_none() {
                    let mark = marks.and_then(|marks| marks.get(name));
                    entries.insert(name.as_str(), Entry { at: layer, value, mark });
                }
            }
            for (name, value) in overlay.into_iter().flat_map(|overlay| &overlay.0) {
                if let Some(value) = value {
                    let mark = marks.and_then(|marks| marks.get(name));
                    entries.insert(name.as_str(), Entry { at: layer, value, mark });
                }
            }
        }
        let managed = [&name.config, environment, &name.project].map(SecretString::from);
        Merged { name, entries, managed, bytes }
    }
}

impl Values<'_> {
    /// The secrets of the config in the order of their names: all, or those among `only`. Managed ones too if that is
    /// wanted.
    #[must_use]
    pub fn shown(&self, only: Option<&BTreeSet<String>>, managed: bool) -> Vec<Shown<'_>> {
        let Some(node) = self.index.get(&self.reading.target).copied() else { return Vec::new() };
        let mut resolver = Resolver::new(self);
        let wanted = |name: &str| only.is_none_or(|only| only.contains(name));
        let merged = &self.merged[node];
        let own = merged.entries.iter().filter(|(name, _)| !MANAGED.contains(name));
        let mut shown: Vec<Shown<'_>> = own
            .filter(|(name, _)| wanted(name))
            .map(|(name, entry)| {
                let refers = entry.value.expose_secret().contains("${");
                let computed = refers.then(|| resolver.compute(raw(node, name, entry)).clone());
                Shown { name, raw: entry.value, computed, mark: entry.mark, from: Some(entry.at) }
            })
            .collect();
        if managed {
            let says = MANAGED.iter().zip(&merged.managed).filter(|(name, _)| wanted(name));
            shown.extend(says.map(|(name, raw)| Shown { name, raw, computed: None, mark: None, from: None }));
            shown.sort_by_key(|shown| shown.name);
        }
        shown
    }

    /// The value that a name shows, its own or inherited, as it is written; and what is said about it.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<(&SecretString, Option<&FieldMark>)> {
        let node = self.index.get(&self.reading.target)?;
        self.merged[*node].entries.get(name).map(|entry| (entry.value, entry.mark))
    }

    /// Whether the config would still show a name without a value of its own.
    #[must_use]
    pub fn inherits(&self, name: &str) -> bool {
        let below = self.reading.layers().iter().skip(1).filter_map(|layer| self.reading.places.get(layer));
        below.filter_map(|place| place.fields.as_ref()?.values()).any(|values| values.contains_key(name))
    }

    /// The value of a name in one config's own secret, without what it inherits and what is laid over.
    #[must_use]
    pub fn own(&self, config: &ConfigName, name: &str) -> Option<&SecretString> {
        self.reading.places.get(config)?.fields.as_ref()?.values()?.get(name)
    }

    /// What is said about a field of one config's own secret.
    #[must_use]
    pub fn own_mark(&self, config: &ConfigName, name: &str) -> Option<&FieldMark> {
        self.reading.places.get(config)?.secret.as_ref()?.value.marks.get(name)
    }
}

fn raw<'r>(node: usize, name: &'r str, entry: &Entry<'r>) -> Raw<'r, (usize, &'r str)> {
    let visibility = entry.mark.map_or_else(Visibility::default, |mark| mark.visibility);
    Raw {
        key: (node, name),
        value: entry.value,
        restricted: visibility == Visibility::Restricted,
        masked: visibility == Visibility::Masked,
    }
}

impl<'r> Lookup for Values<'r> {
    type Key = (usize, &'r str);

    fn find(&self, from: Self::Key, reference: Reference<'_>) -> Found<'_, Self::Key> {
        let (at, name) = from;
        let node = match reference.config {
            None => Some(at),
            Some(config) => {
                let written_in = self.merged[at].entries.get(name).map_or(self.merged[at].name, |entry| entry.at);
                let project = reference.project.unwrap_or(&written_in.project).to_owned();
                let there = ConfigName { project, config: config.to_owned() };
                match self.index.get(&there) {
                    Some(node) => Some(*node),
                    None if matches!(self.reading.nodes.get(&there), Some(Node::Denied)) => return Found::Denied,
                    None => None,
                }
            }
        };
        let Some(node) = node else { return Found::Missing };
        let merged = &self.merged[node];
        if let Some(at) = MANAGED.iter().position(|managed| *managed == reference.name) {
            let (key, value) = ((node, MANAGED[at]), &merged.managed[at]);
            return Found::Value(Raw { key, value, restricted: false, masked: false });
        }
        match merged.entries.get_key_value(reference.name) {
            Some((name, entry)) => Found::Value(raw(node, name, entry)),
            None if merged.bytes => Found::NoText,
            None => Found::Missing,
        }
    }
}
