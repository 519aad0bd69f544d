//! Connections: where a database is and as whom it is administered.

use serde::{Deserialize, Serialize};

use super::{
    Area, Database, DatabaseError, Place, Plugin,
    candidate::Candidate,
    url::redacted,
    username::{Naming, Template, UsernameError},
};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    door::Permit,
    login::kept,
    secret::SecretString,
    store::Store,
    target::{Access, PasswordAuthentication, Purpose, TargetError, TargetKind, Tls},
};

/// What a connection is made of. Its password is never told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connection {
    /// The kind of database.
    pub plugin: Plugin,
    /// Where it is; see [`Access::url`]. Empty for Redis, if `host` says it.
    #[serde(with = "kept")]
    pub url: SecretString,
    /// The host of a Redis.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The administrator.
    pub username: String,
    /// The administrator's password.
    #[serde(with = "kept")]
    pub(super) password: SecretString,
    /// Which roles may use it: names, with `*` at either end for any text; `*`: all.
    pub allowed_roles: Vec<String>,
    /// What gives the administrator another password; empty: the engine's way.
    pub root_rotation_statements: Vec<String>,
    /// How usernames are made; empty: as the plugin does.
    pub username_template: String,
    /// How passwords are made; empty: 20 characters, some of each kind.
    pub password_policy: String,
    /// Whether PostgreSQL is told verifiers instead of passwords.
    pub scram: bool,
    /// Connections that are open at most; 0: the engine's default.
    pub max_open_connections: u32,
    /// Connections kept while nothing is asked; 0: the engine's default.
    pub max_idle_connections: u32,
    /// Seconds after which a connection is replaced; 0: never.
    pub max_connection_lifetime: u64,
    /// How connections are protected.
    pub tls: TlsSettings,
    /// A password that the administrator was about to be given: it, or the one above, is the one that works.
    pub(super) candidate: Option<Candidate>,
}

/// How connections to a database are protected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TlsSettings {
    /// Whether TLS is required; without it, the URL decides.
    pub required: bool,
    /// The certificates that the database's must lead back to, in PEM.
    pub ca: String,
    /// A certificate to show, in PEM.
    pub certificate: String,
    /// Its key, in PEM; for MySQL, the certificate may stand before it. Never told.
    #[serde(with = "kept")]
    pub key: SecretString,
    /// The name that the database's certificate must carry.
    pub server_name: String,
    /// Whether any certificate is taken.
    pub skip_verify: bool,
}

impl Connection {
    /// A connection of which nothing is known but the kind.
    #[must_use]
    pub fn new(plugin: Plugin) -> Self {
        Self {
            plugin,
            url: SecretString::default(),
            host: String::new(),
            port: 0,
            username: String::new(),
            password: SecretString::default(),
            allowed_roles: Vec::new(),
            root_rotation_statements: Vec::new(),
            username_template: String::new(),
            password_policy: String::new(),
            scram: false,
            max_open_connections: 0,
            max_idle_connections: 0,
            max_connection_lifetime: 0,
            tls: TlsSettings::default(),
            candidate: None,
        }
    }

    /// Sets the administrator's password. Somebody knows it: what was about to be set is of no interest any more.
    pub fn set_password(&mut self, password: SecretString) {
        self.password = password;
        self.candidate = None;
    }

    /// The URL as it may be shown, and whether somebody wrote a password into it.
    #[must_use]
    pub fn shown_url(&self) -> (String, bool) {
        redacted(self.url.expose_secret())
    }

    /// Whether a role of that name may use it.
    pub(super) fn allows(&self, role: &str) -> bool {
        self.allowed_roles.iter().any(|allowed| matches_glob(allowed, role))
    }

    pub(super) fn template(&self) -> Result<Template, UsernameError> {
        match self.username_template.as_str() {
            "" => Template::parse(self.plugin.username_template()),
            template => Template::parse(template),
        }
    }

    /// How to reach it, with one of the administrator's passwords.
    pub(super) fn access(&self, password: &SecretString) -> Result<Access, TargetError> {
        Ok(Access {
            kind: self.plugin.kind(),
            url: self.target_url()?,
            username: self.username.clone(),
            password: password.clone(),
            tls: self.target_tls(),
            max_open_connections: self.max_open_connections,
            max_idle_connections: self.max_idle_connections,
            max_connection_lifetime: self.max_connection_lifetime,
            timeout: 0,
            password_authentication: if self.scram {
                PasswordAuthentication::ScramSha256
            } else {
                PasswordAuthentication::Password
            },
        })
    }

    fn target_url(&self) -> Result<SecretString, TargetError> {
        if !self.url.is_empty() {
            return Ok(self.url.clone());
        }
        let missing = |what: &str| Err(TargetError::Settings(format!("{what} cannot be empty")));
        match (self.plugin.kind(), self.host.as_str(), self.port) {
            (TargetKind::Postgresql | TargetKind::Mysql, ..) => missing("connection_url"),
            (_, "", _) => missing("host"),
            (_, _, 0) => missing("port"),
            (_, host, port) => {
                let scheme = if self.tls.required { "rediss" } else { "redis" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                Ok(SecretString::new(format!("{scheme}://{host}:{port}")))
            }
        }
    }

    /// MySQL's clients give the certificate and its key as one text.
    fn target_tls(&self) -> Tls {
        let both = self.tls.certificate.is_empty();
        let certificate_pem =
            if both { certificates_of(self.tls.key.expose_secret()) } else { self.tls.certificate.clone() };
        Tls {
            required: self.tls.required,
            ca_pem: self.tls.ca.clone(),
            certificate_pem,
            key_pem: self.tls.key.clone(),
            server_name: self.tls.server_name.clone(),
            insecure: self.tls.skip_verify,
        }
    }

    fn check(&self, random: &crate::random::Random) -> Result<(), DatabaseError> {
        let created = |error: &dyn std::fmt::Display| DatabaseError::Create(error.to_string());
        self.access(&self.password).map_err(|error| created(&error))?;
        let template = self.template().map_err(|error| created(&error))?;
        let naming = Naming { display_name: "token-display", role_name: "role", now: Timestamp::UNIX_EPOCH, random };
        template.name(&naming).map_err(|error| created(&error))?;
        Ok(())
    }
}

/// The certificates in a text in PEM, without the keys.
fn certificates_of(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter_map(|block| block.find("-----BEGIN CERTIFICATE-----").map(|at| &block[at..]))
        .filter(|block| block.ends_with(END))
        .flat_map(|block| [block, "\n"])
        .collect()
}

/// `*` at either end of a pattern stands for any text, and for nothing elsewhere.
fn matches_glob(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => rest.strip_suffix('*').is_some_and(|inner| name.contains(inner)),
        (Some(tail), None) => name.ends_with(tail),
        (None, Some(head)) => name.starts_with(head),
        (None, None) => pattern == name,
    }
}

impl Database {
    /// The names of all connections of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_connections(&self, permit: Permit) -> Result<Vec<String>, DatabaseError> {
        self.list(permit, Area::Config).await
    }

    /// Reads a connection; its passwords are not to be told.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_connection(&self, permit: Permit) -> Result<Option<Connection>, DatabaseError> {
        let place = Place::of(&permit, "config/", Area::Config)?;
        permit.spend();
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    /// Replaces a connection by what `change` makes of it (`None`: there is none yet), after having tried it if
    /// `verify` says so. What it was is kept if that fails.
    ///
    /// # Errors
    /// When the outcome contradicts itself, the database does not let the administrator in, or `change` fails.
    pub async fn write_connection<E: From<DatabaseError>>(
        &self,
        permit: Permit,
        verify: bool,
        change: impl FnOnce(Option<Connection>) -> Result<Connection, E>,
    ) -> Result<Connection, E> {
        let place = Place::of(&permit, "config/", Area::Config)?;
        let key = place.key();
        let _turn = self.pools.turn(&place).await;
        let found = self.store.read::<Connection>(&key).await.map_err(DatabaseError::from)?;
        if !permit.still_fits(found.is_some()) {
            return Err(DatabaseError::Denied.into());
        }
        permit.spend();
        let revision = found.as_ref().map(|seen| seen.revision);
        let connection = change(found.map(|seen| seen.value))?;
        connection.check(&self.store.random)?;
        let rotation = connection.root_rotation_statements.as_slice();
        self.check_statements(connection.plugin.kind(), &[(Purpose::SetPassword, rotation)])?;
        if verify {
            self.verify(&connection).await?;
        }
        let text = Store::encode(&connection).map_err(DatabaseError::from)?;
        let batch = Batch::new().expect(key.clone(), revision).put(key, text);
        self.store.apply(batch).await.map_err(DatabaseError::from)?;
        self.pools.close(&place);
        Ok(connection)
    }

    /// Whether the database lets the administrator in.
    async fn verify(&self, connection: &Connection) -> Result<(), DatabaseError> {
        let created = |error: TargetError| DatabaseError::Create(format!("error verifying connection: {error}"));
        let access = connection.access(&connection.password).map_err(created)?;
        let target = self.pools.targets.open(access).map_err(created)?;
        let Err(error) = target.ping().await else { return Ok(()) };
        let Some(candidate) = connection.candidate.as_ref().filter(|_| matches!(error, TargetError::Denied(_))) else {
            return Err(created(error));
        };
        let access = connection.access(&candidate.password).map_err(created)?;
        self.pools.targets.open(access).map_err(created)?.ping().await.map_err(created)
    }

    /// Removes a connection. Leases of its credentials wait for one of its name to be there again; see
    /// `docs/databases.md`.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_connection(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "config/", Area::Config)?;
        permit.spend();
        let key = place.key();
        let _turn = self.pools.turn(&place).await;
        self.store.delete(key.clone()).await?;
        self.pools.close(&place);
        Ok(())
    }

    /// Closes a connection's pool and opens it anew.
    ///
    /// # Errors
    /// When there is no such connection, or its database does not let the administrator in.
    pub async fn reset_connection(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "reset/", Area::Config)?;
        permit.spend();
        self.pools.close(&place);
        let (_, target) = self.open(&place).await?;
        Ok(target.ping().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn roles_are_allowed_by_name_or_pattern() {
        let mut connection = Connection::new(Plugin::Postgresql);
        assert!(!connection.allows("app"), "none unless they are named");
        for (pattern, name, allowed) in [
            ("*", "app", true),
            ("app", "app", true),
            ("app", "app2", false),
            ("app*", "app2", true),
            ("*2", "app2", true),
            ("*pp*", "app2", true),
            ("**", "app2", true),
            ("*x*", "app2", false),
            ("a*2", "app2", false),
            ("", "app", false),
        ] {
            connection.allowed_roles = vec![pattern.to_owned()];
            assert_eq!(connection.allows(name), allowed, "{pattern} {name}");
        }
    }

    #[test]
    fn a_connection_says_where_its_database_is() {
        let random = Random::default();
        let told = |connection: &Connection| connection.check(&random).err().map(|error| error.to_string());
        let mut connection = Connection::new(Plugin::Postgresql);
        assert_eq!(
            told(&connection).as_deref(),
            Some("error creating database object: connection_url cannot be empty")
        );
        connection.url = "postgresql://db/".into();
        assert_eq!(told(&connection), None);
        connection.username_template = "{{ .Other }}".into();
        assert!(told(&connection).is_some_and(|text| text.contains("unable to parse template")));
        let mut redis = Connection::new(Plugin::Redis);
        assert!(told(&redis).is_some_and(|text| text.contains("host cannot be empty")));
        (redis.host, redis.port) = ("::1".into(), 6379);
        let access = redis.access(&SecretString::from("pw")).expect("an access");
        assert_eq!(access.url.expose_secret(), "redis://[::1]:6379");
    }

    #[test]
    fn a_certificate_is_found_before_its_key() {
        let pem = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nYg==\n\
                   -----END PRIVATE KEY-----\n";
        let found = certificates_of(pem);
        assert!(found.contains("YQ==") && !found.contains("PRIVATE"), "{found}");
        assert_eq!(certificates_of(""), "");
    }
}
