//! The values of a config that has nothing to resolve, where they lie: most configs refer to nothing, and a client that
//! downloads one wants what the payload already says. Nothing is copied but what the payload spells in another way.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ConfigError, MANAGED, Visibility,
    content::{Span, text_of},
    reading::{Node, Place, Reading},
};
use crate::{
    kv::Payload,
    project::ConfigName,
    secret::{SecretStr, SecretString},
};

/// All that a config shows, in the order of the names.
#[derive(Debug)]
pub struct Direct<'r>(Vec<Entry<'r>>);

#[derive(Debug)]
struct Entry<'r> {
    name: &'r str,
    value: Value<'r>,
    restricted: bool,
}

#[derive(Debug)]
enum Value<'r> {
    Lying(SecretStr<'r>),
    Decoded(SecretString),
}

impl Direct<'_> {
    /// The names and values, and whether only programs may read them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, SecretStr<'_>, bool)> {
        self.0.iter().map(|entry| {
            let value = match &entry.value {
                Value::Lying(text) => *text,
                Value::Decoded(text) => SecretStr::from(text),
            };
            (entry.name, value, entry.restricted)
        })
    }
}

impl Reading<'_> {
    /// The values of the config, with those that say which one it is, if nothing of it has to be resolved. `None`: load
    /// it and look at its values.
    ///
    /// # Errors
    /// [`ConfigError::Changed`] when one has gone meanwhile; when the store fails.
    pub async fn direct(&mut self, only: Option<&BTreeSet<String>>) -> Result<Option<Direct<'_>>, ConfigError> {
        let direct = |place: &Place| place.version.is_none() || place.outline.spans.is_some();
        let layers = || self.layers().iter().filter_map(|layer| self.places.get(layer));
        if self.nodes.len() != 1 || !self.overlay.is_empty() || !layers().all(direct) {
            return Ok(None);
        }
        self.open_payloads().await?;
        Ok(self.lying(only))
    }

    /// Opens the payloads of all configs that are involved, without working out what they say.
    async fn open_payloads(&mut self) -> Result<(), ConfigError> {
        let unopened = |(_, place): &(&ConfigName, &Place)| place.version.is_some() && place.payload.is_none();
        let names: Vec<ConfigName> = self.places.iter().filter(unopened).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(Place { version: Some(version), held, .. }) = self.places.get(&name) else { continue };
            let path = format!("{}/{}", name.project, name.config);
            let payload = self.core.kv().payload_of_head(&self.mount, &path, held.as_ref(), version.number).await?;
            let payload = payload.ok_or(ConfigError::Changed)?;
            if let Some(place) = self.places.get_mut(&name) {
                place.payload = Some(payload);
            }
        }
        self.note_access();
        Ok(())
    }

    fn lying(&self, only: Option<&BTreeSet<String>>) -> Option<Direct<'_>> {
        let wanted = |name: &str| only.is_none_or(|only| only.contains(name));
        let Some(Node::Open(open)) = self.nodes.get(&self.target) else { return None };
        let mut entries = match open.layers.as_slice() {
            [one] => self.entries_of(one, &wanted)?,
            layers => {
                let mut merged = BTreeMap::new();
                for layer in layers.iter().rev() {
                    merged.extend(self.entries_of(layer, &wanted)?.into_iter().map(|entry| (entry.name, entry)));
                }
                merged.into_values().collect()
            }
        };
        let says = [&self.target.config, &open.environment, &self.target.project];
        for (name, text) in MANAGED.into_iter().zip(says).filter(|(name, _)| wanted(name)) {
            let at = entries.partition_point(|entry| entry.name < name);
            entries.insert(at, Entry { name, value: Value::Lying(SecretStr::new(text)), restricted: false });
        }
        Some(Direct(entries))
    }

    /// The entries of one config's own secret.
    fn entries_of(&self, layer: &ConfigName, wanted: &impl Fn(&str) -> bool) -> Option<Vec<Entry<'_>>> {
        let Some(Place { secret, payload: Some(Payload::Fields(json)), outline, .. }) = self.places.get(layer) else {
            return Some(Vec::new());
        };
        let json = std::str::from_utf8(json.expose_secret()).ok()?;
        let marks = secret.as_ref().map(|seen| &seen.value.marks).filter(|marks| !marks.is_empty());
        let spans = outline.spans.as_deref()?;
        // Room for those that are added.
        let mut entries = Vec::with_capacity(spans.len() + MANAGED.len());
        for (name, Span { start, end, plain }) in outline.links.keys().zip(spans.iter().copied()) {
            if !wanted(name) || MANAGED.contains(&name.as_str()) {
                continue;
            }
            let text = json.get(start as usize..end as usize)?;
            let value = if plain { Value::Lying(SecretStr::new(text)) } else { Value::Decoded(text_of(text)) };
            let mark = marks.and_then(|marks| marks.get(name));
            let restricted = mark.is_some_and(|mark| mark.visibility == Visibility::Restricted);
            entries.push(Entry { name, value, restricted });
        }
        Some(entries)
    }
}
