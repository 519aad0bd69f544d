//! Tokens that are for one config. Their scope is a policy that is in no store: its name says all of it, so it can be
//! neither edited nor assigned, and whoever looks a token up sees what it is for.
//!
//! ```text
//! config-scope:read:secret/backend/prd          config-scope:write:team/kv/backend/dev
//!              access   mount, project, config
//! ```

use std::sync::Arc;

use crate::policy::Policy;

/// What the names of these policies begin with.
const PREFIX: &str = "config-scope:";

/// What a token may do with its config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

impl Access {
    /// As clients have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read/write",
        }
    }

    /// From the name that clients have for it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "read" => Some(Self::Read),
            "read/write" => Some(Self::ReadWrite),
            _ => None,
        }
    }
}

/// The one config that a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigScope {
    /// The mount, with its slash.
    pub mount: String,
    /// The project.
    pub project: String,
    /// The config.
    pub config: String,
    /// What it may do there.
    pub access: Access,
}

impl ConfigScope {
    /// The name of the policy that grants it.
    pub(super) fn policy_name(&self) -> String {
        let access = match self.access {
            Access::Read => "read",
            Access::ReadWrite => "write",
        };
        format!("{PREFIX}{access}:{}{}/{}", self.mount, self.project, self.config)
    }

    fn parse(policy: &str) -> Option<Self> {
        let (access, path) = policy.strip_prefix(PREFIX)?.split_once(':')?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::ReadWrite,
            _ => return None,
        };
        let (rest, config) = path.rsplit_once('/')?;
        let (mount, project) = rest.rsplit_once('/')?;
        Some(Self { mount: format!("{mount}/"), project: project.to_owned(), config: config.to_owned(), access })
    }

    /// Whether paths of this scope mean themselves in a policy, and nothing else.
    pub(super) fn is_literal(&self) -> bool {
        let special = |c: char| c.is_control() || "*+{}\"\\$".contains(c);
        ![&self.mount, &self.project, &self.config].into_iter().any(|part| part.contains(special))
    }

    fn text(&self) -> String {
        let Self { mount, project, config, access } = self;
        let (data, metadata) = match access {
            Access::Read => ("\"read\"", "\"read\""),
            Access::ReadWrite => (r#""create", "read", "update", "patch""#, r#""read""#),
        };
        format!(
            "path \"{mount}data/{project}/{config}\" {{ capabilities = [{data}] }}\n\
             path \"{mount}metadata/{project}/{config}\" {{ capabilities = [{metadata}] }}\n\
             path \"auth/token/lookup-self\" {{ capabilities = [\"read\"] }}\n\
             path \"auth/token/revoke-self\" {{ capabilities = [\"update\"] }}\n"
        )
    }
}

/// Whether a policy of that name can only come from here.
pub(crate) fn is_scope(policy: &str) -> bool {
    policy.starts_with(PREFIX)
}

/// The scope that one of a token's policies says.
pub(crate) fn scope_of(policies: &[String]) -> Option<ConfigScope> {
    policies.iter().find_map(|policy| ConfigScope::parse(policy))
}

/// The policy of that name, if it is a scope's.
pub(crate) fn policy_of(name: &str) -> Option<Arc<Policy>> {
    let scope = ConfigScope::parse(name).filter(ConfigScope::is_literal)?;
    Policy::parse(name, &scope.text()).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Acl, AclAsk, Decision, Operation};

    fn scope(access: Access) -> ConfigScope {
        ConfigScope { mount: "team/kv/".into(), project: "backend".into(), config: "dev_x".into(), access }
    }

    fn allows(access: Access, operation: Operation, path: &str) -> bool {
        let policy = policy_of(&scope(access).policy_name()).expect("a policy");
        let ask = AclAsk { path, operation, parameters: &|| None, wrap_ttl: None };
        matches!(Acl::compile(&[policy]).allows(&ask), Decision::Granted(_))
    }

    #[test]
    fn a_scope_comes_back_from_its_policys_name() {
        for access in [Access::Read, Access::ReadWrite] {
            let scope = scope(access);
            assert_eq!(scope_of(&["a".to_owned(), scope.policy_name()]), Some(scope));
        }
        for name in
            ["", "default", "config-scope:", "config-scope:all:a/b/c", "config-scope:read:c", "config-scope:read:b/c"]
        {
            assert_eq!(ConfigScope::parse(name), None, "{name}");
        }
    }

    #[test]
    fn it_grants_its_config_and_no_other() {
        use Operation::{Create, Delete, List, Patch, Read, Update};
        let own = "team/kv/data/backend/dev_x";
        assert!(allows(Access::Read, Read, own) && allows(Access::ReadWrite, Read, own));
        for operation in [Create, Update, Patch] {
            assert!(!allows(Access::Read, operation, own) && allows(Access::ReadWrite, operation, own));
        }
        for path in [
            "team/kv/data/backend/dev",
            "team/kv/data/backend/dev_xy",
            "team/kv/data/other/dev_x",
            "kv/data/backend/dev_x",
        ] {
            assert!(!allows(Access::ReadWrite, Read, path), "{path}");
        }
        for (operation, path) in [
            (List, "team/kv/metadata/"),
            (List, "team/kv/metadata/backend/"),
            (Delete, own),
            (Update, "auth/token/create"),
        ] {
            assert!(!allows(Access::ReadWrite, operation, path), "{operation} {path}");
        }
    }

    #[test]
    fn a_path_that_would_mean_others_grants_nothing() {
        for config in ["*", "+", "{{identity.entity.id}}", "a\" {}"] {
            let wide = ConfigScope { config: config.to_owned(), ..scope(Access::Read) };
            assert!(policy_of(&wide.policy_name()).is_none(), "{config}");
        }
    }
}
