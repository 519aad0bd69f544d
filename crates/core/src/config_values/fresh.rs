//! What answers were made from, so that a client that has one is told so without reading anything: the ETag of an answer,
//! and the revisions of all records that it was made from. It holds while they are what they were.
//!
//! It is remembered only where nothing else decides: no other config is referred to, no version ends by itself, and the
//! config follows no secret of another place. Whether the caller may read is asked at the door, each time.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{
    ConfigError, Visibility,
    reading::{Node, Place, Reading},
};
use crate::{
    barrier::{Mac, MacPurpose},
    core::Core,
    door::Permit,
    keys,
    project::ConfigName,
    storage::{Key, Revision},
    store::StoreError,
};

/// Answers that are remembered.
const REMEMBERED: usize = 4096;
/// Records of an answer that is remembered, at the most.
const MAX_RECORDS: usize = 16;
/// Bytes that say which answer it is, at the most: the names that a client asks for may be many.
const MAX_NAME: usize = 1024;

/// Which answer it is: the config, how it is written, and for whom.
type Name = Vec<u8>;

/// Answers that are known.
pub(super) struct Answers(Cache<Name, Arc<Made>>);

struct Made {
    from: Vec<(Key, Option<Revision>)>,
    etag: Mac,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

fn name_of(mount: &str, config: &str, options: &[&str], restricted: bool) -> Option<Name> {
    let parts = [mount, config].into_iter().chain(options.iter().copied());
    let mut name = Vec::with_capacity(128);
    name.push(u8::from(restricted));
    for part in parts {
        name.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Some(name).filter(|name| name.len() <= MAX_NAME)
}

impl Core {
    /// The ETag that [`Reading::etag`] would give now, if it is known without reading. The permit is that of the reading.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known_etag(
        &self,
        permit: &Permit,
        options: &[&str],
        sees_restricted: bool,
    ) -> Result<Option<Mac>, ConfigError> {
        let Some(config) = permit.rest().strip_prefix("data/") else { return Ok(None) };
        let name = name_of(&permit.mount().uuid, config, options, sees_restricted);
        let Some(made) = name.and_then(|name| self.outlines().answers.0.get(&name)) else { return Ok(None) };
        for (key, seen) in &made.from {
            if self.barrier().revision(key).await.map_err(StoreError::from)? != *seen {
                return Ok(None);
            }
        }
        Ok(Some(made.etag))
    }
}

impl Reading<'_> {
    /// A keyed hash of all that an answer depends on: the versions that it draws from, what the caller may see of them,
    /// and `options`, which say how it is written.
    #[must_use]
    pub fn etag(&self, options: &[&str], sees_restricted: bool) -> Mac {
        let mut text = Vec::with_capacity(512);
        let mut add = |part: &[u8]| {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        };
        add(self.mount.uuid.as_bytes());
        add(self.target.project.as_bytes());
        add(self.target.config.as_bytes());
        add(&[u8::from(sees_restricted)]);
        options.iter().for_each(|option| add(option.as_bytes()));
        for (name, node) in &self.nodes {
            add(name.project.as_bytes());
            add(name.config.as_bytes());
            match node {
                Node::Missing => add(b"missing"),
                Node::Denied => add(b"denied"),
                Node::Open(open) => {
                    add(open.environment.as_bytes());
                    open.layers.iter().for_each(|layer| self.add_version(layer, sees_restricted, &mut add));
                    let dynamic = open.layers.iter().flat_map(|layer| self.dynamic_of(layer));
                    dynamic.for_each(|secret| add(secret.id.as_bytes()));
                }
            }
            add(b"end");
        }
        self.core.barrier().mac(MacPurpose::Etag, &[&text])
    }

    fn add_version(&self, layer: &ConfigName, sees_restricted: bool, add: &mut impl FnMut(&[u8])) {
        add(layer.project.as_bytes());
        add(layer.config.as_bytes());
        let Some(Place { secret: Some(seen), version: Some(version), .. }) = self.places.get(layer) else {
            return add(b"nothing");
        };
        add(seen.value.arn_suffix.as_bytes());
        add(&version.number.to_be_bytes());
        add(version.id.as_bytes());
        if !sees_restricted {
            let restricted = seen.value.marks.iter().filter(|(_, mark)| mark.visibility == Visibility::Restricted);
            restricted.for_each(|(name, _)| add(name.as_bytes()));
        }
    }

    /// Remembers what the answer was made from, if that is all that decides.
    pub fn remember(&self, options: &[&str], sees_restricted: bool, etag: Mac) {
        let decides = self.places.values().all(|place| {
            let ends = place.version.as_ref().is_some_and(|version| version.deletion_time.is_some());
            place.held.is_none() && !ends && (place.version.is_some() || place.secret.is_none())
        });
        if self.nodes.len() != 1 || !decides || self.places.len() + self.projects.len() > MAX_RECORDS {
            return;
        }
        let (uuid, path) = (&self.mount.uuid, |project: &str, config: &str| format!("{project}/{config}"));
        let secrets = self
            .places
            .iter()
            .map(|(name, place)| (keys::kv_meta(uuid, &path(&name.project, &name.config)), place.revision()));
        let projects = self.projects.iter().map(|(name, (revision, _))| (keys::project(uuid, name), *revision));
        let from = secrets.chain(projects).collect();
        if let Some(name) = name_of(uuid, &path(&self.target.project, &self.target.config), options, sees_restricted) {
            self.core.outlines().answers.0.insert(name, Arc::new(Made { from, etag }));
        }
    }
}
