//! A config as it is read: what it inherits, which others its values refer to, and the versions of all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    ConfigError, Fields, MANAGED, MAX_CONFIGS, Overlay,
    content::{Link, Outline, links, version_key},
    watch::may_read,
};
use crate::{
    core::Core,
    door::{Caller, Permit},
    keys,
    kv::{Held, Payload, Secret, Version},
    mount::{Engine, Mount},
    project::{ConfigName, Project, environment_of_config},
    storage::{Key, Revision},
    store::{Seen, StoreError},
};

/// A config that is being read. It holds one moment's versions; payloads are opened by [`Reading::load`].
pub struct Reading<'c> {
    pub(super) core: &'c Core,
    pub(super) mount: Arc<Mount>,
    pub(super) target: ConfigName,
    caller: Option<Arc<Caller>>,
    pub(super) nodes: BTreeMap<ConfigName, Node>,
    pub(super) places: BTreeMap<ConfigName, Place>,
    pub(super) projects: BTreeMap<String, (Option<Revision>, Option<Arc<Project>>)>,
    /// Secrets whose references are yet to be followed: the config that is read, the name.
    todo: VecDeque<(ConfigName, String)>,
    seen: HashSet<(ConfigName, String)>,
    /// What is about to be written to the config itself.
    pub(super) overlay: Overlay,
}

/// A config that values are taken from.
#[derive(Debug)]
pub(super) enum Node {
    Open(Open),
    /// There is no such config.
    Missing,
    /// The caller may not read it.
    Denied,
}

#[derive(Debug)]
pub(super) struct Open {
    /// Where its values are, the strongest first: itself, then what it inherits from.
    pub(super) layers: Vec<ConfigName>,
    pub(super) environment: String,
}

/// The secret of a config.
#[derive(Default)]
pub(super) struct Place {
    pub(super) secret: Option<Seen<Secret>>,
    /// The current version, if it can be read.
    pub(super) version: Option<Version>,
    /// Where its records lie, if it follows another secret.
    pub(super) held: Option<Held>,
    pub(super) outline: Arc<Outline>,
    pub(super) payload: Option<Payload>,
    pub(super) fields: Option<Fields>,
}

impl Place {
    pub(super) fn revision(&self) -> Option<Revision> {
        self.secret.as_ref().map(|seen| seen.revision)
    }
}

impl Core {
    /// Begins to read a config.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`], [`ConfigError::NoPlace`].
    pub async fn read_config(&self, permit: Permit) -> Result<Reading<'_>, ConfigError> {
        let (mount, target) = config_of(&permit)?;
        let caller = permit.spend_as_caller();
        self.open_reading(mount, target, caller).await
    }

    pub(super) async fn open_reading(
        &self,
        mount: Arc<Mount>,
        target: ConfigName,
        caller: Option<Arc<Caller>>,
    ) -> Result<Reading<'_>, ConfigError> {
        let mut reading = Reading {
            core: self,
            mount,
            target: target.clone(),
            caller,
            nodes: BTreeMap::new(),
            places: BTreeMap::new(),
            projects: BTreeMap::new(),
            todo: VecDeque::new(),
            seen: HashSet::new(),
            overlay: Overlay::default(),
        };
        reading.open(target).await?;
        if matches!(reading.nodes.get(&reading.target), Some(Node::Missing)) {
            return Err(ConfigError::NotFound(reading.target.config));
        }
        Ok(reading)
    }
}

/// The config that a permit is for.
pub(super) fn config_of(permit: &Permit) -> Result<(Arc<Mount>, ConfigName), ConfigError> {
    if permit.mount().engine != Engine::Kv2 {
        return Err(ConfigError::NoPlace);
    }
    let name = permit.rest().strip_prefix("data/").and_then(|name| name.split_once('/'));
    match name {
        Some((project, config)) if !project.is_empty() && !config.is_empty() && !config.contains('/') => {
            let name = ConfigName { project: project.to_owned(), config: config.to_owned() };
            Ok((Arc::clone(permit.mount()), name))
        }
        _ => Err(ConfigError::NoPlace),
    }
}

impl Reading<'_> {
    /// The mount that it is in.
    #[must_use]
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The config that is read.
    #[must_use]
    pub fn target(&self) -> &ConfigName {
        &self.target
    }

    /// Its environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        match self.nodes.get(&self.target) {
            Some(Node::Open(open)) => &open.environment,
            _ => "",
        }
    }

    /// The root config whose branch it is.
    #[must_use]
    pub fn root(&self) -> Option<ConfigName> {
        let environment = self.environment();
        let is_branch = self
            .layers()
            .iter()
            .any(|layer| layer.project == self.target.project && layer.config == environment && *layer != self.target);
        is_branch.then(|| ConfigName { project: self.target.project.clone(), config: environment.to_owned() })
    }

    pub(super) fn layers(&self) -> &[ConfigName] {
        match self.nodes.get(&self.target) {
            Some(Node::Open(open)) => &open.layers,
            _ => &[],
        }
    }

    /// All names that the config shows, its own and those that it inherits, without the managed ones.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.layers()
            .iter()
            .filter_map(|layer| self.places.get(layer))
            .flat_map(|place| place.outline.links.keys())
            .map(String::as_str)
            .filter(|name| !MANAGED.contains(name))
            .collect()
    }

    /// The config whose payload is bytes, if one is in the way.
    #[must_use]
    pub fn holds_bytes(&self) -> Option<&ConfigName> {
        self.layers().iter().find(|layer| self.places.get(*layer).is_some_and(|place| place.outline.bytes))
    }

    /// Begins to follow the references of these names, or of all.
    pub fn follow(&mut self, only: Option<&BTreeSet<String>>) {
        let refers = |layer: &ConfigName| self.places.get(layer).is_some_and(|place| place.outline.refers);
        if self.overlay.is_empty() && !self.layers().iter().any(refers) {
            return;
        }
        let wanted = |name: &str| only.is_none_or(|only| only.contains(name));
        let names: BTreeSet<String> = self
            .names()
            .into_iter()
            .chain(self.overlay.names())
            .filter(|name| wanted(name))
            .map(str::to_owned)
            .collect();
        for name in names {
            let secret = (self.target.clone(), name);
            if self.seen.insert(secret.clone()) {
                self.todo.push_back(secret);
            }
        }
    }

    /// Whether references are yet to be followed.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.todo.is_empty()
    }

    /// Follows references as far as it is known what the caller may read. `Some`: whether they may read this config
    /// must be said next, by [`Reading::grant`] or [`Reading::deny`].
    ///
    /// # Errors
    /// [`ConfigError::TooMany`], or when the store fails.
    pub fn advance(&mut self) -> Result<Option<ConfigName>, ConfigError> {
        while let Some((config, name)) = self.todo.front().cloned() {
            let (at, links) = self.links_of(&config, &name);
            for link in &links {
                // Without a config it is the one that is read; a project that is not named is that of the value.
                let there = match &link.config {
                    None => config.clone(),
                    Some(other) => ConfigName {
                        project: link.project.as_deref().unwrap_or(&at.project).to_owned(),
                        config: other.to_string(),
                    },
                };
                match self.nodes.get(&there) {
                    None if self.nodes.len() >= MAX_CONFIGS => return Err(ConfigError::TooMany),
                    // The caller will come back to this secret once it is known.
                    None => return Ok(Some(there)),
                    Some(Node::Open(_)) => {
                        let next = (there, link.name.to_string());
                        if self.seen.insert(next.clone()) {
                            self.todo.push_back(next);
                        }
                    }
                    Some(Node::Missing | Node::Denied) => {}
                }
            }
            self.todo.pop_front();
        }
        Ok(None)
    }

    /// Where a name's value stands, and what it refers to.
    fn links_of(&self, config: &ConfigName, name: &str) -> (ConfigName, Vec<Link>) {
        if *config == self.target {
            match self.overlay.value(name) {
                Some(Some(value)) => return (config.clone(), links(value.expose_secret()).into_vec()),
                Some(None) => return self.links_below(config, name, 1),
                None => {}
            }
        }
        self.links_below(config, name, 0)
    }

    fn links_below(&self, config: &ConfigName, name: &str, skip: usize) -> (ConfigName, Vec<Link>) {
        let Some(Node::Open(open)) = self.nodes.get(config) else { return (config.clone(), Vec::new()) };
        for layer in open.layers.iter().skip(skip) {
            if let Some(links) = self.places.get(layer).and_then(|place| place.outline.links.get(name)) {
                return (layer.clone(), links.to_vec());
            }
        }
        (config.clone(), Vec::new())
    }

    /// The caller may read this config.
    ///
    /// # Errors
    /// When the permit is for none, or the store fails.
    pub async fn grant(&mut self, permit: Permit) -> Result<(), ConfigError> {
        let (mount, name) = config_of(&permit)?;
        permit.spend();
        if mount.uuid != self.mount.uuid {
            return Err(ConfigError::NoPlace);
        }
        self.open(name).await
    }

    /// The caller may not read this config.
    pub fn deny(&mut self, name: ConfigName) {
        self.nodes.insert(name, Node::Denied);
    }

    /// Follows all references by what the caller's policies say, without a record: for watching alone, which tells no
    /// value.
    pub(super) async fn advance_unrecorded(&mut self, caller: &Caller) -> Result<(), ConfigError> {
        self.follow(None);
        while let Some(name) = self.advance()? {
            if may_read(caller, &self.mount, &name) {
                self.open(name).await?;
            } else {
                self.deny(name);
            }
        }
        Ok(())
    }

    /// The same reading anew, after a write: of what the caller was found to be allowed to read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn again(self) -> Result<Self, ConfigError> {
        let mut again = self.core.open_reading(self.mount, self.target, self.caller).await?;
        for (name, node) in self.nodes {
            match node {
                Node::Denied => again.deny(name),
                Node::Open(_) | Node::Missing if !again.nodes.contains_key(&name) => again.open(name).await?,
                Node::Open(_) | Node::Missing => {}
            }
        }
        Ok(again)
    }

    /// Who reads.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    async fn open(&mut self, name: ConfigName) -> Result<(), ConfigError> {
        let (layers, environment, declared) = self.layers_of(&name).await?;
        for layer in &layers {
            if !self.places.contains_key(layer) {
                let place = self.place(layer).await?;
                self.places.insert(layer.clone(), place);
            }
        }
        let there = declared || self.places.get(&name).is_some_and(|place| place.secret.is_some());
        let node = if there { Node::Open(Open { layers, environment }) } else { Node::Missing };
        self.nodes.insert(name, node);
        Ok(())
    }

    /// What a config inherits from, the strongest first and itself in front; its environment; whether it was declared.
    async fn layers_of(&mut self, name: &ConfigName) -> Result<(Vec<ConfigName>, String, bool), ConfigError> {
        let mut layers: Vec<ConfigName> = Vec::new();
        let mut waiting = vec![name.clone()];
        let mut own = None;
        while let Some(next) = waiting.pop() {
            if layers.contains(&next) {
                continue;
            }
            if layers.len() >= MAX_CONFIGS {
                return Err(ConfigError::TooMany);
            }
            let project = self.project(&next.project).await?;
            let record = project.as_ref().and_then(|project| project.config(&next.config));
            if own.is_none() {
                let environment = environment_of_config(project.as_deref(), &next.config);
                own = Some((environment, record.is_some()));
            }
            if let Some(record) = record {
                // What is pushed last is looked at first: the strongest of the inherited, then the others, then the
                // root with all that it inherits.
                if !record.is_root() {
                    waiting.push(ConfigName { project: next.project.clone(), config: record.environment.clone() });
                }
                waiting.extend(record.inherits.iter().cloned());
            }
            layers.push(next);
        }
        let (environment, declared) = own.unwrap_or_default();
        Ok((layers, environment, declared))
    }

    async fn project(&mut self, name: &str) -> Result<Option<Arc<Project>>, StoreError> {
        if let Some((_, known)) = self.projects.get(name) {
            return Ok(known.clone());
        }
        let found = self.core.store().read::<Project>(&keys::project(&self.mount.uuid, name)).await?;
        let revision = found.as_ref().map(|seen| seen.revision);
        let found = found.map(|seen| Arc::new(seen.value));
        self.projects.insert(name.to_owned(), (revision, found.clone()));
        Ok(found)
    }

    async fn place(&self, name: &ConfigName) -> Result<Place, ConfigError> {
        let path = format!("{}/{}", name.project, name.config);
        let mut place = Place::default();
        if let Some(head) = self.core.kv().head(&self.mount, &path).await? {
            place = Place { secret: Some(head.secret), version: head.version, held: head.held, ..place };
        }
        let (Some(seen), Some(version)) = (&place.secret, &place.version) else { return Ok(place) };
        let key = version_key(&self.mount.uuid, &path, &seen.value, version);
        if let Some(outline) = self.core.outlines().get(&key) {
            place.outline = outline;
            return Ok(place);
        }
        self.open_payload(&path, &mut place).await?;
        let seen = place.fields.as_ref().zip(place.payload.as_ref());
        place.outline = seen.map(|(fields, payload)| Outline::of(fields, payload)).unwrap_or_default().into();
        self.core.outlines().put(key, &place.outline);
        Ok(place)
    }

    async fn open_payload(&self, path: &str, place: &mut Place) -> Result<(), ConfigError> {
        if place.payload.is_none() {
            let Some(version) = &place.version else { return Ok(()) };
            let held = place.held.as_ref();
            let payload = self.core.kv().payload_of_head(&self.mount, path, held, version.number).await?;
            // None: the version was destroyed or pruned since its record was read.
            place.payload = Some(payload.ok_or(ConfigError::Changed)?);
        }
        place.fields = place.payload.as_ref().map(Fields::of);
        Ok(())
    }

    /// Opens the payloads of all configs that are involved.
    ///
    /// # Errors
    /// [`ConfigError::Changed`] when one has gone meanwhile; [`ConfigError::Bytes`] when the config itself, or one that
    /// it inherits from, holds bytes.
    pub async fn load(&mut self) -> Result<(), ConfigError> {
        if let Some(name) = self.holds_bytes() {
            return Err(ConfigError::Bytes(name.clone()));
        }
        let unopened = |(_, place): &(&ConfigName, &Place)| place.version.is_some() && place.fields.is_none();
        let names: Vec<ConfigName> = self.places.iter().filter(unopened).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(mut place) = self.places.remove(&name) else { continue };
            let opened = self.open_payload(&format!("{}/{}", name.project, name.config), &mut place).await;
            self.places.insert(name, place);
            opened?;
        }
        self.note_access();
        Ok(())
    }

    pub(super) fn note_access(&self) {
        for (name, place) in &self.places {
            if let Some(seen) = place.secret.as_ref().filter(|_| place.payload.is_some()) {
                let path = format!("{}/{}", name.project, name.config);
                self.core.kv().note_read(&self.mount, path, seen.value.last_accessed_day);
            }
        }
    }

    /// The keys of all records that the answer depends on, for following their changes.
    pub(super) fn record_keys(&self) -> HashSet<Key> {
        let uuid = &self.mount.uuid;
        let secret = |name: &ConfigName| keys::kv_meta(uuid, &format!("{}/{}", name.project, name.config));
        // One that is missing today may be there tomorrow.
        let secrets = self.places.keys().chain(self.nodes.keys()).map(secret);
        let projects = self.nodes.keys().map(|name| keys::project(uuid, &name.project));
        let inherited = self.projects.keys().map(|name| keys::project(uuid, name));
        let origins = self.places.values().filter_map(|place| Some(place.held.as_ref()?.key()));
        secrets.chain(projects).chain(inherited).chain(origins).collect()
    }
}
