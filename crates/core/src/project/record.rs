//! What is stored of a project.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, nanos};

/// A config, named together with its project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigName {
    /// The project.
    pub project: String,
    /// The config.
    pub config: String,
}

/// A project's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// For people.
    pub description: String,
    /// When it was made, or its first config was written.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// In the order in which they were made.
    pub environments: Vec<Environment>,
    /// Those that something is said about; ascending by name.
    pub configs: Vec<Config>,
}

impl Project {
    pub(super) fn new(description: String, created: Timestamp) -> Self {
        Self { description, created, environments: Vec::new(), configs: Vec::new() }
    }

    /// What is said about a config.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&Config> {
        self.configs.iter().find(|config| config.name == name)
    }

    pub(super) fn config_mut(&mut self, name: &str) -> Option<&mut Config> {
        self.configs.iter_mut().find(|config| config.name == name)
    }

    pub(super) fn environment(&self, slug: &str) -> Option<&Environment> {
        self.environments.iter().find(|environment| environment.slug == slug)
    }

    pub(super) fn insert(&mut self, config: Config) {
        let at = self.configs.partition_point(|other| other.name < config.name);
        self.configs.insert(at, config);
    }
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// What its root config is called, and what its branches' names begin with.
    pub slug: String,
    /// For people.
    pub name: String,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// Whether everybody may have a config of their own in it.
    pub personal_configs: bool,
}

/// What is said about a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its name; unique in its project.
    pub name: String,
    /// The slug of its environment.
    pub environment: String,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// Whether it can be neither renamed nor deleted.
    pub locked: bool,
    /// Whether configs of other environments and projects may inherit from it.
    pub inheritable: bool,
    /// From which it inherits beside its root, the strongest last.
    pub inherits: Vec<ConfigName>,
    /// Where it may be read and written from; empty: from everywhere.
    pub trusted: Vec<IpNet>,
    /// When it was first fetched.
    #[serde(with = "nanos::option")]
    pub initial_fetch: Option<Timestamp>,
    /// When it was last fetched.
    #[serde(with = "nanos::option")]
    pub last_fetch: Option<Timestamp>,
    /// Whether it was made as a branch: it has what its root has where it has nothing of its own.
    #[serde(default)]
    pub branch: bool,
    /// Those of its secrets that are credentials made for each reader; ascending by name.
    #[serde(default)]
    pub dynamic: Vec<DynamicSecret>,
}

/// A secret of a config that is a credential of a database role, made for each reader. Its readers need no right on the
/// role: whoever made it had that, and handed it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicSecret {
    /// What its leases remember, so that a name given again does not reach those of before.
    pub id: String,
    /// Its name: its values are called `NAME_USERNAME` and `NAME_PASSWORD`.
    pub name: String,
    /// The uuid of the mount of the database engine.
    pub mount: String,
    /// The role there.
    pub role: String,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
}

impl Config {
    pub(super) fn new(name: &str, environment: &str, created: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            environment: environment.to_owned(),
            created,
            locked: false,
            inheritable: false,
            inherits: Vec::new(),
            trusted: Vec::new(),
            initial_fetch: None,
            last_fetch: None,
            branch: false,
            dynamic: Vec::new(),
        }
    }

    /// Whether it is its environment's own, not a branch.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.name == self.environment
    }
}
