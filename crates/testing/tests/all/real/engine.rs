//! One server of each engine for all tests, and what a case needs there.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keyturn_core::{
    clock::{SignedDuration, Timestamp},
    database::{Connection, Plugin},
    secret::SecretString,
    target::{Principal, Target, TargetKind},
};
use keyturn_testing::crash;
use tokio::sync::OnceCell;

use super::{
    server::Server,
    watched::{Watched, logs_in},
};

/// The role that owns what applications make; Redis has none.
pub(crate) const OWNER: &str = "app_owner";

static SERVERS: [OnceCell<Server>; 3] = [const { OnceCell::const_new() }; 3];
static NUMBER: AtomicU32 = AtomicU32::new(1);

async fn server(kind: TargetKind) -> &'static Server {
    let place = TargetKind::ALL.iter().position(|one| *one == kind).expect("one of all");
    SERVERS[place]
        .get_or_init(|| async move {
            let server = Server::start(kind);
            let statements: &[&str] = match kind {
                TargetKind::Postgresql => &["CREATE ROLE app_owner NOLOGIN", "CREATE ROLE \"{{name}}\""],
                TargetKind::Mysql => &["CREATE ROLE app_owner", "CREATE ROLE '{{name}}'"],
                TargetKind::Redis => &[],
            };
            make(&*server.target(), "nobody_in_particular", "none", statements).await;
            server
        })
        .await
}

/// Makes a user with what the statements grant.
async fn make(target: &dyn Target, username: &str, password: &str, statements: &[&str]) -> Principal {
    let principal = Principal { username: username.to_owned(), password: password.into(), expires: None };
    let statements: Vec<String> = statements.iter().map(|text| (*text).to_owned()).collect();
    target.create(&principal, &statements).await.expect("made");
    principal
}

/// What one case has at a server: names of its own, an administrator of its own.
pub(crate) struct Case {
    pub(crate) kind: TargetKind,
    pub(crate) watched: Watched,
    /// The administrator whom Keyturn is given.
    pub(crate) admin: Principal,
    /// The same server, seen by the tests.
    pub(crate) target: Arc<dyn Target>,
    server: &'static Server,
    number: u32,
}

impl Case {
    pub(crate) async fn new(kind: TargetKind) -> Self {
        let server = server(kind).await;
        let (target, number) = (server.target(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let statements: &[&str] = match kind {
            TargetKind::Postgresql => &["CREATE ROLE \"{{name}}\" SUPERUSER LOGIN PASSWORD '{{password}}'"],
            TargetKind::Mysql => &[
                "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
                "GRANT ALL ON *.* TO '{{name}}'@'%' WITH GRANT OPTION",
                "GRANT app_owner TO '{{name}}'@'%' WITH ADMIN OPTION",
            ],
            TargetKind::Redis => &["~* &* +@all"],
        };
        let admin = make(&*target, &format!("adm{number}"), "first-password", statements).await;
        let watched = Watched::default();
        watched.note(&admin);
        Self { kind, watched, admin, target, server, number }
    }

    /// A name that no other case has.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}_{}", self.number)
    }

    /// Makes a user by hand, as somebody did before there was Keyturn.
    pub(crate) async fn make_by_hand(&self, username: &str, password: &str) {
        self.watched.note(&make(&*self.target, username, password, self.creation()).await);
    }

    /// The statements that make a user.
    pub(crate) fn creation(&self) -> &'static [&'static str] {
        match self.kind {
            TargetKind::Postgresql => {
                &["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"]
            }
            TargetKind::Mysql => &["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"],
            TargetKind::Redis => &["~app:* +@read"],
        }
    }

    /// A store whose targets are real. Its clock is far ahead, so that no server ends a user by its own.
    pub(crate) async fn world(&self) -> crash::World {
        let mut world = crash::World::new().await.expect("a world");
        world.clock.advance(SignedDuration::from_hours(50 * 365 * 24));
        world.targets = Arc::new(self.watched.clone());
        world
    }

    /// How Keyturn reaches the database.
    pub(crate) fn connection(&self) -> Connection {
        let mut connection = Connection::new(Plugin::of(self.kind));
        connection.url = self.server.access().url;
        connection.username.clone_from(&self.admin.username);
        connection.set_password(self.admin.password.clone());
        connection.allowed_roles = vec!["*".to_owned()];
        connection
    }

    pub(crate) async fn lets_in(&self, username: &str, password: &SecretString) -> bool {
        logs_in(&*self.target, username, password).await
    }

    /// A statement that the engine refuses.
    pub(crate) fn failing(&self) -> &'static str {
        match self.kind {
            TargetKind::Postgresql => "GRANT no_such_role TO \"{{name}}\"",
            TargetKind::Mysql => "GRANT no_such_role TO '{{name}}'@'%'",
            TargetKind::Redis => "+nosuchcommand",
        }
    }

    /// Who exists of those that Keyturn made.
    pub(crate) async fn existing(&self) -> Vec<String> {
        let names = self.watched.known().into_keys().filter(|name| *name != self.admin.username);
        self.target.existing(&names.collect::<Vec<_>>()).await.expect("a database that answers")
    }

    /// The same, and every credential of theirs that is good.
    pub(crate) async fn credentials(&self) -> (Vec<String>, Vec<(String, String)>) {
        let (mut names, mut good) = self.watched.credentials(&*self.target).await;
        names.retain(|name| *name != self.admin.username);
        good.retain(|(name, _)| *name != self.admin.username);
        (names, good)
    }

    /// Whether a principal is a member of the role; Redis has none.
    pub(crate) async fn is_member(&self, name: &str) -> bool {
        // Two rows, which is an error, for one who is not.
        let statement = match self.kind {
            TargetKind::Postgresql => {
                "SELECT (SELECT 1 UNION ALL SELECT 1 WHERE NOT pg_has_role('{{name}}', 'app_owner', 'MEMBER'))"
            }
            TargetKind::Mysql => {
                "SELECT (SELECT 1 UNION ALL SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT * FROM mysql.roles_mapping \
                 WHERE User = '{{name}}' AND Role = 'app_owner'))"
            }
            TargetKind::Redis => return true,
        };
        self.target.renew(name, Timestamp::UNIX_EPOCH, &[statement.to_owned()]).await.is_ok()
    }

    /// The passwords of the administrator that are good.
    pub(crate) async fn administrators(&self) -> usize {
        let (_, good) = self.watched.credentials(&*self.target).await;
        good.iter().filter(|(name, _)| *name == self.admin.username).count()
    }

    /// Removes what the case made.
    pub(crate) async fn clear(&self) {
        for name in self.watched.known().keys() {
            self.target.revoke(name, &[]).await.expect("removed");
        }
    }
}
