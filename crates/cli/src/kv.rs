//! The key-value engine as the verbs see it: which mount serves a path, and whether it keeps versions.

use keyturn_core::clock::{Clock as _, SystemClock};
use keyturn_protocol::vault::{Fields, Metadata, MountInfo, VersionMetadata, VersionState, Versioned};
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::client::{Client, ClientError, MOUNT_QUESTION};
use crate::exit::Exit;

/// Where a secret lies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a mount without versions (KV version 1): the API path is the secret's path.
    Plain(Plain),
    /// On a mount with versions (KV version 2).
    Versioned(Keeper),
}

/// A secret, or a folder of secrets, on a mount without versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    /// `mount/name`.
    pub(crate) path: String,
}

/// A secret, or a folder of secrets, on a mount that keeps versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keeper {
    /// With its closing `/`.
    mount: String,
    name: String,
}

/// A secret's version as it was read.
#[derive(Debug)]
pub(crate) struct Secret {
    /// `mount/name`.
    pub(crate) path: String,
    /// The fields.
    pub(crate) fields: Fields,
    /// Absent on a mount without versions.
    pub(crate) metadata: Option<VersionMetadata>,
}

/// Why a key-value operation was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KvError {
    /// The exchange with the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The path is no path of a secret.
    #[error("{path:?} names no secret: write MOUNT/NAME, for example secret/app/db")]
    NoName { path: String },
    /// The mount keeps no versions.
    #[error(
        "{path} lies on a mount without versions (KV version 1), so there is no {action}: mount one with versions by \
         `keyturn mount enable kv --version 2`"
    )]
    NoVersions { path: String, action: &'static str },
    /// The version was deleted and can come back.
    #[error(
        "version {version} of {path} was deleted at {time}: `keyturn undelete {path} --versions {version}` brings it back"
    )]
    Deleted { path: String, version: u64, time: String },
    /// The version is gone.
    #[error("version {version} of {path} was destroyed, its payload is gone: see `keyturn history {path}`")]
    Destroyed { path: String, version: u64 },
    /// The secret has other fields.
    #[error("{path} has no field {field:?}; it has: {names}")]
    NoField { path: String, field: String, names: String },
    /// The secret has other versions.
    #[error("{path} has no version {version}: see `keyturn history {path}`")]
    NoVersion { path: String, version: u64 },
    /// There is no such secret.
    #[error("there is no secret at {path}: see `keyturn list {}`", folder_of(path))]
    Missing { path: String },
}

impl KvError {
    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::NoName { .. } | Self::NoVersions { .. } => Exit::Usage,
            Self::Deleted { .. }
            | Self::Destroyed { .. }
            | Self::NoField { .. }
            | Self::NoVersion { .. }
            | Self::Missing { .. } => Exit::NotFound,
        }
    }
}

impl Place {
    /// Asks the server which mount serves `path`, as Vault's own command does. A server that does not know the question
    /// (404) is one without versions.
    pub(crate) fn find(client: &Client, path: &str) -> Result<Self, KvError> {
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return Err(KvError::NoName { path: path.to_owned() });
        }
        // No key-value engine can be mounted there, so the path is the route as it stands.
        if ["auth/", "identity/", "sys/"].iter().any(|built_in| path.starts_with(built_in)) {
            return Ok(Self::Plain(Plain { path: path.to_owned() }));
        }
        match client.get(&format!("{MOUNT_QUESTION}{path}")) {
            Ok(reply) => Ok(Self::on(&reply.data::<MountInfo>()?, path)),
            Err(error) if error.is_not_found() => Ok(Self::Plain(Plain { path: path.to_owned() })),
            Err(error) => Err(error.into()),
        }
    }

    /// Like [`Self::find`], for a path that must name a secret and not a mount or a folder.
    pub(crate) fn find_secret(client: &Client, path: &str) -> Result<Self, KvError> {
        if path.ends_with('/') {
            return Err(KvError::NoName { path: path.to_owned() });
        }
        let place = Self::find(client, path)?;
        match &place {
            Self::Versioned(keeper) if keeper.name.is_empty() => Err(KvError::NoName { path: path.to_owned() }),
            Self::Plain(_) | Self::Versioned(_) => Ok(place),
        }
    }

    fn on(mount: &MountInfo, path: &str) -> Self {
        let version = mount.options.as_ref().and_then(|options| options.get("version"));
        if version.is_none_or(|version| version != "2") {
            return Self::Plain(Plain { path: path.to_owned() });
        }
        // `secret` alone names the mount `secret/`.
        let name = path.strip_prefix(mount.path.as_str()).unwrap_or_default();
        Self::Versioned(Keeper { mount: mount.path.clone(), name: name.to_owned() })
    }

    /// The place if it keeps versions, which `action` needs.
    pub(crate) fn versioned(self, action: &'static str) -> Result<Keeper, KvError> {
        match self {
            Self::Versioned(keeper) => Ok(keeper),
            Self::Plain(Plain { path }) => Err(KvError::NoVersions { path, action }),
        }
    }
}

impl Plain {
    /// Reads the secret.
    pub(crate) fn read(&self, client: &Client) -> Result<Secret, KvError> {
        match client.get(&self.path) {
            Ok(reply) => Ok(Secret { path: self.path.clone(), fields: reply.data()?, metadata: None }),
            Err(error) if error.is_not_found() => Err(KvError::Missing { path: self.path.clone() }),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the secret.
    pub(crate) fn write(&self, client: &Client, fields: &Fields) -> Result<(), KvError> {
        client.post(&self.path, &Exposed(fields))?;
        Ok(())
    }
}

impl Keeper {
    /// `mount/name`.
    pub(crate) fn path(&self) -> String {
        format!("{}{}", self.mount, self.name)
    }

    /// The API path of an aspect of the secret: `data`, `metadata`, `delete`, `undelete`, `destroy`.
    pub(crate) fn route(&self, aspect: &str) -> String {
        format!("{}{aspect}/{}", self.mount, self.name)
    }

    /// Reads a version, the current one if none is named.
    pub(crate) fn read(&self, client: &Client, version: Option<u64>) -> Result<Secret, KvError> {
        let query: Vec<_> = version.iter().map(|number| ("version", number.to_string())).collect();
        let reply = client.get_any(&self.route("data"), &query)?;
        // A deleted version comes as a 404 with the usual envelope, a missing one as a 404 without data.
        let found = match reply.data::<Versioned>() {
            Ok(found) => found,
            Err(unexpected) if reply.is_success() => return Err(unexpected.into()),
            Err(_) => return Err(self.unread(reply.refusal(), version)),
        };
        let path = self.path();
        match (found.data, found.metadata) {
            (Some(fields), metadata) => Ok(Secret { path, fields, metadata: Some(metadata) }),
            (None, VersionMetadata { version, destroyed: true, .. }) => Err(KvError::Destroyed { path, version }),
            (None, VersionMetadata { version, deletion_time: time, .. }) => {
                Err(KvError::Deleted { path, version, time })
            }
        }
    }

    fn unread(&self, refusal: ClientError, version: Option<u64>) -> KvError {
        if !refusal.is_not_found() {
            return refusal.into();
        }
        match version {
            Some(version) => KvError::NoVersion { path: self.path(), version },
            None => KvError::Missing { path: self.path() },
        }
    }

    /// Writes a new version and answers with its number. With `cas` only if that number is the current one; 0 stands for
    /// none.
    pub(crate) fn write(&self, client: &Client, fields: &Fields, cas: Option<u64>) -> Result<u64, KvError> {
        let reply = client.post(&self.route("data"), &Write::new(fields, cas))?;
        Ok(reply.data::<VersionMetadata>()?.version)
    }

    /// Changes the given fields of the current version, removes those that are `null`, and answers with the new number.
    pub(crate) fn merge(&self, client: &Client, fields: &Fields, cas: Option<u64>) -> Result<u64, KvError> {
        let reply = client.patch(&self.route("data"), &Write::new(fields, cas))?;
        Ok(reply.data::<VersionMetadata>()?.version)
    }

    /// The secret's versions.
    pub(crate) fn metadata(&self, client: &Client) -> Result<Metadata, KvError> {
        match client.get(&self.route("metadata")) {
            Ok(reply) => Ok(reply.data()?),
            Err(error) if error.is_not_found() => Err(KvError::Missing { path: self.path() }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a version still offers, by this machine's clock.
pub(crate) fn state_now(version: &VersionMetadata) -> VersionState {
    version.state(SystemClock.now())
}

/// The body of a versioned write.
#[derive(Serialize)]
struct Write<'a> {
    data: Exposed<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<WriteOptions>,
}

#[derive(Serialize)]
struct WriteOptions {
    cas: u64,
}

impl<'a> Write<'a> {
    fn new(fields: &'a Fields, cas: Option<u64>) -> Self {
        Self { data: Exposed(fields), options: cas.map(|cas| WriteOptions { cas }) }
    }
}

/// Fields on their way out, into a request or onto standard output.
pub(crate) struct Exposed<'a>(pub(crate) &'a Fields);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            let json: &RawValue = serde_json::from_str(value.expose_secret()).map_err(S::Error::custom)?;
            map.serialize_entry(name, json)?;
        }
        map.end()
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use keyturn_protocol::vault::SecretJson;

    use super::*;

    fn mount(path: &str, version: Option<&str>) -> MountInfo {
        let options = version.map(|version| [("version".to_owned(), version.to_owned())].into());
        MountInfo { path: path.to_owned(), options }
    }

    #[test]
    fn the_mount_decides_how_a_secret_is_addressed() {
        let keeper = Place::on(&mount("team/kv/", Some("2")), "team/kv/app/db").versioned("history").unwrap();
        assert_eq!(keeper.route("data"), "team/kv/data/app/db");
        assert_eq!(keeper.path(), "team/kv/app/db");
        for version in [None, Some("1")] {
            let place = Place::on(&mount("kv/", version), "kv/app");
            assert_eq!(place, Place::Plain(Plain { path: "kv/app".to_owned() }));
            assert_eq!(place.versioned("history").unwrap_err().exit(), Exit::Usage);
        }
    }

    #[test]
    fn a_mount_may_be_named_without_its_slash() {
        let keeper = Place::on(&mount("secret/", Some("2")), "secret").versioned("list").unwrap();
        assert_eq!(keeper.route("metadata"), "secret/metadata/");
    }

    #[test]
    fn a_write_carries_values_as_they_are() {
        let fields: Fields = [
            ("a".to_owned(), SecretJson::from_text(&"x\"y".into())),
            ("b".to_owned(), serde_json::from_str("[1, null]").unwrap()),
        ]
        .into();
        let body = |cas| serde_json::to_string(&Write::new(&fields, cas)).unwrap();
        assert_eq!(body(None), r#"{"data":{"a":"x\"y","b":[1, null]}}"#);
        assert_eq!(body(Some(0)), r#"{"data":{"a":"x\"y","b":[1, null]},"options":{"cas":0}}"#);
    }
}
