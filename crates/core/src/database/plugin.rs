//! The database plugins that clients know by name, and what each does by default.

use serde::{Deserialize, Serialize};

use crate::target::TargetKind;

/// A kind of database, as clients name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plugin {
    /// `postgresql-database-plugin`.
    Postgresql,
    /// `mysql-database-plugin`: MySQL and MariaDB.
    Mysql,
    /// `mysql-aurora-database-plugin`, with its shorter names.
    MysqlAurora,
    /// `mysql-rds-database-plugin`, with its shorter names.
    MysqlRds,
    /// `mysql-legacy-database-plugin`, with its shorter names.
    MysqlLegacy,
    /// `redis-database-plugin`.
    Redis,
}

const POSTGRESQL_NAMES: &str = r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}"#;
const MYSQL_NAMES: &str = r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}"#;
const SHORT_NAMES: &str = r#"{{ printf "v-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16 }}"#;
const REDIS_NAMES: &str = r#"{{ printf "V_%s_%s_%s_%s" (.DisplayName | truncate 64) (.RoleName | truncate 64) (random 20) (unix_time) | uppercase }}"#;

impl Plugin {
    /// Every plugin.
    pub const ALL: [Self; 6] =
        [Self::Postgresql, Self::Mysql, Self::MysqlAurora, Self::MysqlRds, Self::MysqlLegacy, Self::Redis];

    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql-database-plugin",
            Self::Mysql => "mysql-database-plugin",
            Self::MysqlAurora => "mysql-aurora-database-plugin",
            Self::MysqlRds => "mysql-rds-database-plugin",
            Self::MysqlLegacy => "mysql-legacy-database-plugin",
            Self::Redis => "redis-database-plugin",
        }
    }

    /// The plugin of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.name() == name)
    }

    /// The first choice for an engine.
    #[must_use]
    pub fn of(kind: TargetKind) -> Self {
        match kind {
            TargetKind::Postgresql => Self::Postgresql,
            TargetKind::Mysql => Self::Mysql,
            TargetKind::Redis => Self::Redis,
        }
    }

    /// The engine behind it.
    #[must_use]
    pub fn kind(self) -> TargetKind {
        match self {
            Self::Postgresql => TargetKind::Postgresql,
            Self::Mysql | Self::MysqlAurora | Self::MysqlRds | Self::MysqlLegacy => TargetKind::Mysql,
            Self::Redis => TargetKind::Redis,
        }
    }

    /// The template of usernames that is used unless a connection has its own. Each has at least 9 random characters.
    pub(super) fn username_template(self) -> &'static str {
        match self {
            Self::Postgresql => POSTGRESQL_NAMES,
            Self::Mysql => MYSQL_NAMES,
            Self::MysqlAurora | Self::MysqlRds | Self::MysqlLegacy => SHORT_NAMES,
            Self::Redis => REDIS_NAMES,
        }
    }

    /// The longest username in bytes that the engine is asked to take. PostgreSQL cuts longer ones without a word, so
    /// that the name that was handed out would not be the one that is there.
    pub(super) fn max_username(self) -> usize {
        match self.kind() {
            TargetKind::Postgresql => 63,
            TargetKind::Mysql => 80,
            TargetKind::Redis => 256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::username::{Naming, Template},
        *,
    };
    use crate::{clock::Timestamp, random::Random};

    #[test]
    fn the_default_names_fit_their_engines() {
        let (long, random) = ("x".repeat(200), Random::default());
        for plugin in Plugin::ALL {
            let naming = Naming { display_name: &long, role_name: &long, now: Timestamp::UNIX_EPOCH, random: &random };
            let name = Template::parse(plugin.username_template()).expect("a template").name(&naming).expect("a name");
            assert!(name.len() <= plugin.max_username(), "{name}");
            assert!(name.starts_with("v-") || name.starts_with("V_"), "{name}");
            assert_eq!(Plugin::named(plugin.name()), Some(plugin));
        }
        assert_eq!(Plugin::named("oracle-database-plugin"), None);
    }
}
