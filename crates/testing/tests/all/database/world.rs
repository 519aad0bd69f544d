//! A node whose process may die and be started again, with the mount `database/`, and its one database.

use std::{sync::Arc, time::Duration};

use keyturn_core::{
    clock::{ManualClock, SignedDuration},
    core::Core,
    database::{Connection, DatabaseError, IssuedCredential, Plugin, Role, StaticCredential, StaticRole},
    door::{Answer, Ask, Credential, Permit},
    mount::{Enable, Engine, MountConfig},
    node::Node,
    policy::Operation::{self, Create, Delete, List, Read, Update},
    secret::SecretString,
    storage::Storage as _,
    target::TargetKind,
    token::CreateToken,
};
use keyturn_testing::{
    Databases, User,
    crash::{self, Faults},
};

use crate::real::Case;

pub(crate) const URL: &str = "postgresql://db/app";
pub(crate) const ADMIN: &str = "admin";
pub(crate) const FIRST: &str = "first-password";

pub(crate) struct World {
    outer: crash::World,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faults: Faults,
    pub(crate) databases: Databases,
    pub(crate) token: SecretString,
    node: Arc<Node>,
    pub(crate) core: Arc<Core>,
    /// Absent: the database is one in memory.
    pub(crate) real: Option<Case>,
}

impl World {
    /// A connection `pg`, whose roles are all allowed, and a role `app`.
    pub(crate) async fn new() -> Self {
        Self::over(crash::World::new().await.expect("a world"), None).await
    }

    /// The same with a database that really runs.
    pub(crate) async fn real(kind: TargetKind) -> Self {
        let case = Case::new(kind).await;
        Self::over(case.world().await, Some(case)).await
    }

    async fn over(outer: crash::World, real: Option<Case>) -> Self {
        let (clock, databases, token) = (outer.clock.clone(), outer.databases.clone(), outer.root_token.clone());
        databases.add(URL, ADMIN, FIRST);
        let faults = Faults::default();
        let node = outer.boot(&faults).await.expect("booted");
        let core = node.core().expect("open");
        let world = Self { outer, clock, faults, databases, token, node, core, real };
        let mount = Enable {
            path: "database/".to_owned(),
            engine: Engine::Database,
            description: String::new(),
            options: [].into(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        };
        let permit = world.permit(Update, "sys/mounts/database").await;
        world.core.mounts().enable(permit, mount).await.expect("mounted");
        world.connect(|_| ()).await.expect("a connection");
        let creation: &[&str] = world.real.as_ref().map_or(&[], Case::creation);
        let statements = creation.iter().map(|text| (*text).to_owned()).collect();
        world.role(|role| role.creation_statements = statements).await.expect("a role");
        world
    }

    /// Another process over the same store, after this one died or was ended.
    pub(crate) async fn restart(&mut self) {
        self.faults.kill().await;
        self.faults = Faults::default();
        self.node = self.outer.boot(&self.faults).await.expect("booted");
        self.core = self.node.core().expect("open");
    }

    /// Another process over the same store, next to this one.
    pub(crate) async fn another_node(&self) -> Arc<Node> {
        self.outer.boot(&self.faults).await.expect("booted")
    }

    /// Keys below a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.outer.storage.keys(prefix.as_bytes(), None, 1000).await.expect("keys");
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    pub(crate) async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.permit_for(&self.token, operation, path).await
    }

    pub(crate) async fn permit_for(&self, token: &SecretString, operation: Operation, path: &str) -> Permit {
        self.try_permit(token, operation, path).await.expect("allowed")
    }

    pub(crate) async fn try_permit(&self, token: &SecretString, operation: Operation, path: &str) -> Option<Permit> {
        let ask = Ask { credential: Some(Credential::Token(token)), ..Ask::new("test", operation, path) };
        let (exchange, permit) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        permit.ok()
    }

    /// A token below the world's.
    pub(crate) async fn child_token(&self) -> SecretString {
        let permit = self.permit(Update, "auth/token/create").await;
        let ask = CreateToken { renewable: true, ..CreateToken::default() };
        self.core.tokens().create(permit, ask, None, false).await.expect("a token").token
    }

    pub(crate) async fn connect(&self, change: impl FnOnce(&mut Connection)) -> Result<Connection, DatabaseError> {
        let permit = self.permit(Update, "database/config/pg").await;
        let change = |found: Option<Connection>| {
            let mut connection = found.unwrap_or_else(|| match &self.real {
                Some(case) => case.connection(),
                None => in_memory(),
            });
            change(&mut connection);
            Ok(connection)
        };
        self.core.database().write_connection(permit, true, change).await
    }

    pub(crate) async fn role(&self, change: impl FnOnce(&mut Role)) -> Result<(), DatabaseError> {
        let permit = self.permit(Update, "database/roles/app").await;
        let change = |role: &mut Role| {
            (role.db_name, role.default_ttl, role.max_ttl) = ("pg".to_owned(), 3600, 86400);
            change(role);
            Ok(())
        };
        self.core.database().write_role(permit, change).await
    }

    pub(crate) async fn issue(&self) -> Result<IssuedCredential, DatabaseError> {
        let permit = self.permit(Read, "database/creds/app").await;
        self.core.database().issue(permit).await
    }

    pub(crate) async fn rotate_root(&self) -> Result<(), DatabaseError> {
        let permit = self.permit(Update, "database/rotate-root/pg").await;
        self.core.database().rotate_root(permit).await
    }

    /// Uses the connection, which settles what is in doubt.
    pub(crate) async fn reset(&self) -> Result<(), DatabaseError> {
        let permit = self.permit(Update, "database/reset/pg").await;
        self.core.database().reset_connection(permit).await
    }

    pub(crate) async fn static_role(&self, change: impl FnOnce(&mut StaticRole)) -> Result<(), DatabaseError> {
        let permit = self.permit(Update, "database/static-roles/fixed").await;
        let change = |role: &mut StaticRole, new: bool| {
            if new {
                (role.db_name, role.username, role.rotation_period) = ("pg".to_owned(), "app".to_owned(), 3600);
            }
            change(role);
            Ok(())
        };
        self.core.database().write_static_role(permit, change).await
    }

    pub(crate) async fn static_credential(&self) -> Result<StaticCredential, DatabaseError> {
        let permit = self.permit(Read, "database/static-creds/fixed").await;
        self.core.database().read_static_credential(permit).await
    }

    pub(crate) async fn rotate_role(&self) -> Result<(), DatabaseError> {
        let permit = self.permit(Update, "database/rotate-role/fixed").await;
        self.core.database().rotate_role(permit).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Permit {
        self.permit(Delete, path).await
    }

    pub(crate) async fn create(&self, path: &str) -> Permit {
        self.permit(Create, path).await
    }

    /// The names of the users that leases stand for.
    pub(crate) async fn users(&self) -> Vec<String> {
        match &self.real {
            Some(case) => case.existing().await,
            None => self.leased_users().into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// Whether the administrator's first password is good, and how many are.
    pub(crate) async fn administrators(&self) -> (bool, usize) {
        match &self.real {
            Some(case) => (case.lets_in(&case.admin.username, &case.admin.password).await, case.administrators().await),
            None => (self.databases.lets_in(URL, ADMIN, FIRST), self.databases.users(URL)[ADMIN].passwords.len()),
        }
    }

    /// Removes what the case left on a real server.
    pub(crate) async fn clear(&self) {
        if let Some(case) = &self.real {
            case.clear().await;
        }
    }

    /// The users in memory that leases stand for.
    pub(crate) fn leased_users(&self) -> Vec<(String, User)> {
        self.databases.users(URL).into_iter().filter(|(name, _)| name.starts_with("v-")).collect()
    }

    pub(crate) async fn leases(&self) -> Vec<String> {
        let permit = self.permit(List, "sys/leases/lookup/database/creds/app/").await;
        self.core.leases().list(permit).await.expect("listed")
    }

    /// Upkeep until nothing is under way.
    pub(crate) async fn tend(&self) {
        // In a process that dies, it fails.
        _ = self.core.tend().await;
        _ = self.core.leases().settle().await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
        self.tend().await;
    }

    /// Upkeep, with time passing, until `done`.
    pub(crate) async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..400 {
            if done().await {
                return;
            }
            self.pass(10).await;
            // Work in the background may wait for other threads: blocking ones of the store.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{what} does not come about");
    }
}

fn in_memory() -> Connection {
    let mut connection = Connection::new(Plugin::Postgresql);
    connection.url = URL.into();
    connection.username = ADMIN.to_owned();
    connection.set_password(FIRST.into());
    connection.allowed_roles = vec!["*".to_owned()];
    connection
}
