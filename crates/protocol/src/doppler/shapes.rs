//! Answers about structure. None of them holds a value of a secret.

use serde::{Deserialize, Serialize};

/// An answer that says what was wrong.
#[derive(Debug, Serialize)]
pub struct ErrorShape<'a> {
    /// One sentence each.
    pub messages: &'a [String],
    /// Always false.
    pub success: bool,
}

/// A project. Its id, its slug and its name are the same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectShape {
    /// What clients name it by.
    pub id: String,
    /// The same.
    pub slug: String,
    /// The same.
    pub name: String,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created_at: String,
}

/// An environment of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentShape {
    /// Its slug.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// For people.
    pub name: String,
    /// When one of its configs was first fetched.
    pub initial_fetch_at: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// Its project.
    pub project: String,
    /// Whether everybody may have a config of their own in it.
    pub personal_configs: bool,
}

/// A config, named together with its project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigRef {
    /// The project.
    pub project: String,
    /// The config.
    pub config: String,
}

/// A config of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigShape {
    /// What clients name it by.
    pub name: String,
    /// The same.
    pub slug: String,
    /// Whether it is its environment's own, not a branch.
    pub root: bool,
    /// Whether it can be renamed and deleted.
    pub locked: bool,
    /// Its environment.
    pub environment: String,
    /// Its project.
    pub project: String,
    /// When it was made.
    pub created_at: String,
    /// When it was first fetched.
    pub initial_fetch_at: Option<String>,
    /// When it was last fetched.
    pub last_fetch_at: Option<String>,
    /// Whether others may inherit from it.
    pub inheritable: bool,
    /// Whether it inherits from others.
    pub inheriting: bool,
    /// From which it inherits, the strongest last.
    pub inherits: Vec<ConfigRef>,
    /// Which inherit from it.
    #[serde(rename = "inheritedBy")]
    pub inherited_by: Vec<ConfigRef>,
}

/// A service token, or any other that is listed where it belongs.
#[derive(Debug, Clone, Serialize)]
pub struct TokenShape {
    /// For people.
    pub name: String,
    /// Names the token and cannot be used as one.
    pub slug: String,
    /// When it was made.
    pub created_at: String,
    /// Its config.
    pub config: String,
    /// The config's environment.
    pub environment: String,
    /// The config's project.
    pub project: String,
    /// When it ends; null: never.
    pub expires_at: Option<String>,
    /// `read` or `read/write`.
    pub access: String,
}

/// Who did something, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedUser {
    /// Never known here: empty.
    pub email: String,
    /// The display name of the token.
    pub name: String,
    /// The same.
    pub username: String,
    /// Never known here: empty.
    pub profile_image_url: String,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct LogShape {
    /// Names it.
    pub id: String,
    /// What happened.
    pub text: String,
    /// The same, escaped for a page.
    pub html: String,
    /// When.
    pub created_at: String,
    /// In which config, if in one.
    pub config: Option<String>,
    /// In which environment, if in one.
    pub environment: Option<String>,
    /// In which project, if in one.
    pub project: Option<String>,
    /// `config` under the name that the command line knows.
    pub enclave_config: String,
    /// `environment` under the name that the command line knows.
    pub enclave_environment: String,
    /// `project` under the name that the command line knows.
    pub enclave_project: String,
    /// Whether it takes back what another did.
    pub rollback: bool,
    /// Who did it.
    pub user: LoggedUser,
}

/// One page of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Which, from 1.
    pub number: usize,
    /// How many on each.
    pub size: usize,
}

impl Page {
    /// How many are on a page if nobody says.
    pub const DEFAULT_SIZE: usize = 20;
    /// How many may be on a page.
    pub const MAX_SIZE: usize = 1000;

    /// What of `all` is on this page.
    #[must_use]
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip((self.number - 1).saturating_mul(self.size)).take(self.size).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let page = |number| Page { number, size: 2 }.of(vec![1, 2, 3]);
        assert_eq!((page(1), page(2), page(3), page(usize::MAX)), (vec![1, 2], vec![3], vec![], vec![]));
    }
}
