//! An application that queries PostgreSQL as fast as it can, over a pool whose connections log in with what a secret
//! holds. It is written as applications should be: it reads the secret again and again, opens each connection with the
//! version that is current, and gives up those of an earlier version as soon as they come back.
//!
//! `pooled_application ADDRESS SECRET PORT` reads `ADDRESS/v1/secret/data/SECRET` with the token in `KEYTURN_TOKEN`,
//! runs until its standard input ends, and prints what came of it: queries, then the users that it queried as, then a
//! line for each query that failed.

use std::{
    collections::BTreeSet,
    env,
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use bb8::{ManageConnection, Pool, RunError};
use serde_json::Value;
use tokio::sync::watch;
use tokio_postgres::{Client, Config, NoTls};

/// Connections, and those who query over them.
const CONNECTIONS: u32 = 8;
/// How often the secret is read. A minute or so would do where an overlap lasts longer than a test has time for.
const REFRESH: Duration = Duration::from_millis(100);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A version of the secret.
#[derive(Clone, PartialEq)]
struct Credential {
    version: u64,
    username: String,
    password: String,
}

/// Where the secret is.
struct Source {
    url: String,
    token: String,
}

impl Source {
    async fn read(self: &Arc<Self>) -> Result<Credential, Failure> {
        let source = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut answer = ureq::get(&source.url).header("X-Vault-Token", &source.token).call()?;
            let data = serde_json::from_str::<Value>(&answer.body_mut().read_to_string()?)?["data"].take();
            let field = |name: &str| data["data"][name].as_str().map(str::to_owned).ok_or("a field is missing");
            let version = data["metadata"]["version"].as_u64().ok_or("the version is missing")?;
            Ok(Credential { version, username: field("username")?, password: field("password")? })
        })
        .await?
    }
}

/// A connection, and the version that it logged in with.
struct Connection {
    client: Client,
    version: u64,
}

/// Makes connections, and knows those that are not to be used again.
struct Connector {
    config: Config,
    current: watch::Receiver<Credential>,
}

impl Connector {
    fn is_current(&self, connection: &Connection) -> bool {
        connection.version == self.current.borrow().version
    }
}

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = Failure;

    async fn connect(&self) -> Result<Connection, Failure> {
        let Credential { version, username, password } = self.current.borrow().clone();
        let (client, connection) = self.config.clone().user(username).password(password).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(Connection { client, version })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Failure> {
        if self.is_current(connection) { Ok(()) } else { Err("its credential is replaced".into()) }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.client.is_closed() || !self.is_current(connection)
    }
}

/// What came of the queries.
#[derive(Default)]
struct Outcome {
    queries: u64,
    users: BTreeSet<String>,
    failures: Vec<String>,
}

async fn query(pool: &Pool<Connector>) -> Result<String, Failure> {
    let connection = pool.get().await.map_err(|error| match error {
        RunError::User(error) => error,
        RunError::TimedOut => "no connection of the pool became free".into(),
    })?;
    let row = connection.client.query_one("SELECT session_user::text", &[]).await?;
    Ok(row.try_get(0)?)
}

async fn work(pool: Pool<Connector>, over: watch::Receiver<bool>) -> Outcome {
    let mut outcome = Outcome::default();
    while !*over.borrow() {
        match query(&pool).await {
            Ok(user) => {
                outcome.queries += 1;
                outcome.users.insert(user);
            }
            Err(error) => outcome.failures.push(format!("{error:?}")),
        }
    }
    outcome
}

/// Reads the secret until it is over; gives what went wrong.
async fn refresh(source: Arc<Source>, current: watch::Sender<Credential>, over: watch::Receiver<bool>) -> Vec<String> {
    let mut failures = Vec::new();
    while !*over.borrow() {
        match source.read().await {
            Ok(credential) => {
                current.send_if_modified(|known| {
                    let is_new = *known != credential;
                    *known = credential;
                    is_new
                });
            }
            Err(error) => failures.push(format!("the secret: {error}")),
        }
        tokio::time::sleep(REFRESH).await;
    }
    failures
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().collect();
    let [_, address, secret, port] = arguments.as_slice() else {
        return Err("usage: pooled_application ADDRESS SECRET PORT".into());
    };
    let url = format!("{address}/v1/secret/data/{secret}");
    let source = Arc::new(Source { url, token: env::var("KEYTURN_TOKEN")? });
    let (publish, current) = watch::channel(source.read().await?);
    let (end, over) = watch::channel(false);
    let mut config = Config::new();
    config.host("127.0.0.1").port(port.parse()?).dbname("postgres").application_name("pooled");
    let pool = Pool::builder().max_size(CONNECTIONS).build(Connector { config, current }).await?;

    let reader = tokio::spawn(refresh(source, publish, over.clone()));
    let workers: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(work(pool.clone(), over.clone()))).collect();
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    end.send(true)?;

    let (mut all, mut out) = (Outcome { failures: reader.await?, ..Outcome::default() }, std::io::stdout().lock());
    for worker in workers {
        let Outcome { queries, users, failures } = worker.await?;
        all.queries += queries;
        all.users.extend(users);
        all.failures.extend(failures);
    }
    writeln!(out, "{}", all.queries)?;
    writeln!(out, "{}", Vec::from_iter(all.users).join(" "))?;
    all.failures.iter().try_for_each(|failure| writeln!(out, "{failure}"))?;
    Ok(())
}
