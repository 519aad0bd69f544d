//! PostgreSQL, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::OnceLock;

use keyturn_core::{
    secret::SecretString,
    target::{Login, PasswordAuthentication, Purpose, Target, TargetError, TargetKind, Targets},
};
use keyturn_targets::Engines;
use support::{Certificates, HOSTILE, Server, logs_in, principal, unique, until, values};
use tokio_postgres::{Client, NoTls};

const CREATE: &str = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
                      GRANT CREATE, USAGE ON SCHEMA public TO \"{{name}}\";";

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(TargetKind::Postgresql))
}

fn create() -> Vec<String> {
    vec![CREATE.to_owned()]
}

async fn connect(server: &Server, username: &str, password: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.port()).dbname("postgres").user(username).password(password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn administrator(server: &Server) -> Client {
    connect(server, server.text("user"), server.text("password")).await
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_principal_is_made_and_may_do_what_was_granted() {
    let (target, name) = (server().target(), unique("made"));
    target.ping().await.unwrap();
    target.create(&principal(&name, "secret-1"), &create()).await.unwrap();
    assert!(logs_in(&*target, &name, "secret-1").await);
    assert!(!logs_in(&*target, &name, "secret-2").await);
    let client = connect(server(), &name, "secret-1").await;
    client.batch_execute(&format!("CREATE TABLE t_{name} (x int)")).await.unwrap();
    assert!(client.batch_execute("CREATE ROLE other").await.is_err());
    assert_eq!(target.existing(&[name.clone(), "nobody-there".to_owned()]).await.unwrap(), [name]);
}

#[tokio::test]
async fn names_and_passwords_may_hold_anything() {
    for authentication in [PasswordAuthentication::Password, PasswordAuthentication::ScramSha256] {
        let mut access = server().access();
        access.password_authentication = authentication;
        let target = Engines.open(access).unwrap();
        for hostile in HOSTILE {
            let name = unique(hostile);
            target.create(&principal(&name, hostile), &create()).await.unwrap();
            assert!(logs_in(&*target, &name, hostile).await, "{hostile}");
            let other = format!("{hostile}2");
            target.set_password(&principal(&name, &other), &[]).await.unwrap();
            assert!(logs_in(&*target, &name, &other).await && !logs_in(&*target, &name, hostile).await);
            target.renew(&name, until(60), &[]).await.unwrap();
            assert_eq!(target.existing(std::slice::from_ref(&name)).await.unwrap(), [name.as_str()]);
            target.revoke(&name, &[]).await.unwrap();
            assert!(target.existing(&[name]).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn any_value_reaches_the_server_as_it_is() {
    let (target, admin) = (server().target(), administrator(server()).await);
    admin.batch_execute("CREATE TABLE back (a text, b text, c text, d text, name text)").await.unwrap();
    let statements = [
        "DELETE FROM back; INSERT INTO back VALUES ('{{password}}', E'{{password}}', '', '', '{{name}}')".to_owned(),
        "DO $$ BEGIN UPDATE back SET c = '{{password}}'; EXECUTE 'UPDATE back SET d = ''{{password}}'''; END $$"
            .to_owned(),
    ];
    for value in values(r#"([\PC'"`\\;$\n-]|\{\{name\}\}|--|/\*|''|\\'|\$\$|\$kt0){1,9}"#) {
        let name: String = value.chars().rev().take(9).collect();
        target.set_password(&principal(&name, &value), &statements).await.unwrap();
        let row = admin.query_one("SELECT a, b, c, d, name FROM back", &[]).await.unwrap();
        for column in 0..4 {
            assert_eq!(row.get::<_, String>(column), value, "column {column}");
        }
        assert_eq!(row.get::<_, String>(4), name);
    }
}

#[tokio::test]
async fn what_no_name_or_password_can_be_is_refused_before_anything_is_done() {
    let target = server().target();
    let long = "x".repeat(64);
    for (name, password) in [("", "p"), ("a\0b", "p"), (&*long, "p"), ("a", ""), ("a", "p\0w")] {
        let outcome = target.create(&principal(name, password), &create()).await;
        assert!(matches!(outcome, Err(TargetError::Settings(_))), "{name} {outcome:?}");
    }
    let outcome = target.create(&principal("nothing", "p"), &[]).await;
    assert!(matches!(outcome, Err(TargetError::Settings(_))));
}

#[tokio::test]
async fn to_make_a_principal_again_gives_it_password_and_grants_again() {
    let (target, name) = (server().target(), unique("again"));
    target.create(&principal(&name, "first"), &create()).await.unwrap();
    let client = administrator(server()).await;
    client.batch_execute(&format!("REVOKE ALL ON SCHEMA public FROM {name}; ALTER ROLE {name} NOLOGIN")).await.unwrap();
    target.create(&principal(&name, "second"), &create()).await.unwrap();
    assert!(logs_in(&*target, &name, "second").await && !logs_in(&*target, &name, "first").await);
    let query = format!("SELECT has_schema_privilege('{name}', 'public', 'CREATE')::text");
    assert_eq!(text(&client, &query).await, "true");
}

#[tokio::test]
async fn the_administrator_is_nobodys_principal() {
    let (target, admin) = (server().target(), server().text("user"));
    assert!(matches!(target.create(&principal(admin, "p"), &create()).await, Err(TargetError::Settings(_))));
    assert!(matches!(target.revoke(admin, &[]).await, Err(TargetError::Settings(_))));
    assert!(matches!(target.disable(admin).await, Err(TargetError::Settings(_))));
    target.ping().await.unwrap();
}

#[tokio::test]
async fn when_a_statement_fails_nothing_is_left() {
    let (target, name) = (server().target(), unique("half"));
    let statements = vec![CREATE.to_owned(), "GRANT no_such_role TO \"{{name}}\"".to_owned()];
    let outcome = target.create(&principal(&name, "secret"), &statements).await;
    assert!(
        matches!(outcome, Err(TargetError::Statement { number: 3, ref reason }) if reason.contains("no_such_role"))
    );
    assert!(target.existing(&[name]).await.unwrap().is_empty());
}

#[tokio::test]
async fn errors_hold_no_password() {
    let (target, name) = (server().target(), unique("leak"));
    for statement in [
        "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' NONSENSE",
        "SELECT '{{password}}'::int",
        "DO $$ BEGIN RAISE EXCEPTION 'no %', '{{password}}'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'no %', upper(substr('{{password}}', 3, 6)); END $$",
        "SELECT * FROM no_such_table WHERE x = '{{password}}'",
    ] {
        for authentication in [PasswordAuthentication::Password, PasswordAuthentication::ScramSha256] {
            let mut access = server().access();
            access.password_authentication = authentication;
            let target = Engines.open(access).unwrap();
            let outcome = target.create(&principal(&name, "hunter2'hunter3"), &[statement.to_owned()]).await;
            let told = format!("{outcome:?}").to_lowercase();
            assert!(told.contains("statement {") && !told.contains("nter2") && !told.contains("scram-"), "{told}");
        }
    }
    assert!(target.existing(&[name]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_verifier_keeps_passwords_out_of_the_servers_log() {
    let own = Server::start(TargetKind::Postgresql);
    let mut access = own.access();
    access.password_authentication = PasswordAuthentication::ScramSha256;
    let target = Engines.open(access).unwrap();
    target.create(&principal("logged", "hunter2-in-the-log"), &create()).await.unwrap();
    target.set_password(&principal("logged", "hunter3-in-the-log"), &[]).await.unwrap();
    target.create_member(&principal("member", "hunter4-in-the-log"), "logged").await.unwrap();
    let log = || std::fs::read_to_string(own.directory().join("server.log")).unwrap();
    assert!(log().contains("CREATE ROLE \"logged\"") && !log().contains("-in-the-log"));
    own.target().set_password(&principal("logged", "hunter5-in-the-log"), &[]).await.unwrap();
    assert!(log().contains("hunter5-in-the-log"), "the log shows statements, so that it would show passwords");
}

#[tokio::test]
async fn renewal_moves_the_end_and_the_server_itself_refuses_after_it() {
    let (target, name) = (server().target(), unique("renewed"));
    let mut made = principal(&name, "secret");
    made.expires = Some(until(-5));
    target.create(&made, &create()).await.unwrap();
    assert!(!logs_in(&*target, &name, "secret").await);
    target.renew(&name, until(3600), &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "secret").await);
    let own = ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}' CONNECTION LIMIT 3".to_owned()];
    target.renew(&name, until(-5), &own).await.unwrap();
    assert!(!logs_in(&*target, &name, "secret").await);
    made.expires = Some(until(60));
    target.set_password(&made, &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "secret").await);
    assert!(matches!(target.renew("not-there", until(5), &[]).await, Err(TargetError::Statement { .. })));
}

#[tokio::test]
async fn revocation_ends_live_sessions_and_keeps_what_was_made() {
    let (target, name) = (server().target(), unique("revoked"));
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let client = connect(server(), &name, "secret").await;
    client.batch_execute(&format!("CREATE TABLE kept_{name} AS SELECT 7 AS x")).await.unwrap();
    assert_eq!(target.sessions(std::slice::from_ref(&name)).await.unwrap().len(), 1);
    target.revoke(&name, &[]).await.unwrap();
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(!logs_in(&*target, &name, "secret").await);
    assert!(target.sessions(std::slice::from_ref(&name)).await.unwrap().is_empty());
    let admin = administrator(server()).await;
    assert_eq!(text(&admin, &format!("SELECT x::text FROM kept_{name}")).await, "7");
    target.revoke(&name, &[]).await.unwrap();
    target.revoke(&name, &["DROP ROLE \"{{name}}\"".to_owned()]).await.unwrap();
}

#[tokio::test]
async fn revocation_by_statements_ends_sessions_too() {
    let (target, name) = (server().target(), unique("custom"));
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let client = connect(server(), &name, "secret").await;
    let statements = ["DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\";".to_owned()];
    target.revoke(&name, &statements).await.unwrap();
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(target.existing(&[name]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revocation_that_fails_leaves_no_access() {
    let (target, name) = (server().target(), unique("stuck"));
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let client = connect(server(), &name, "secret").await;
    let outcome = target.revoke(&name, &["DROP ROLE \"{{name}}\"".to_owned()]).await;
    assert!(matches!(outcome, Err(TargetError::Statement { number: 1, .. })), "it still holds a grant: {outcome:?}");
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(!logs_in(&*target, &name, "secret").await);
    target.revoke(&name, &[]).await.unwrap();
}

#[tokio::test]
async fn an_administrator_who_is_no_superuser_can_do_it_all() {
    let admin = administrator(server()).await;
    let name = unique("keeper");
    let setup = format!(
        "CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'keeper'; GRANT ALL ON SCHEMA public TO {name} WITH GRANT OPTION"
    );
    admin.batch_execute(&setup).await.unwrap();
    let mut access = server().access();
    (access.username, access.password) = (name, "keeper".into());
    let (target, user) = (Engines.open(access).unwrap(), unique("kept"));
    target.create(&principal(&user, "secret"), &create()).await.unwrap();
    let client = connect(server(), &user, "secret").await;
    client.batch_execute(&format!("CREATE TABLE t_{user} (x int)")).await.unwrap();
    assert_eq!(target.sessions(std::slice::from_ref(&user)).await.unwrap().len(), 1);
    target.revoke(&user, &[]).await.unwrap();
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(target.existing(&[user]).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_is_disabled_is_let_in_again_with_another_password() {
    let (target, name) = (server().target(), unique("disabled"));
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let client = connect(server(), &name, "secret").await;
    target.disable(&name).await.unwrap();
    target.disable(&name).await.unwrap();
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(!logs_in(&*target, &name, "secret").await);
    assert_eq!(target.existing(std::slice::from_ref(&name)).await.unwrap().len(), 1);
    target.set_password(&principal(&name, "other"), &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "other").await);
}

#[tokio::test]
async fn what_a_member_makes_belongs_to_the_owner_role() {
    let (target, admin) = (server().target(), administrator(server()).await);
    let (owner, blue, green) = (unique("owner\""), unique("blue'"), unique("green"));
    let quoted = owner.replace('"', "\"\"");
    let setup = format!("CREATE ROLE \"{quoted}\"; GRANT CREATE ON SCHEMA public TO \"{quoted}\"");
    admin.batch_execute(&setup).await.unwrap();
    for name in [&blue, &green, &blue] {
        target.create_member(&principal(name, "secret"), &owner).await.unwrap();
    }
    let client = connect(server(), &blue, "secret").await;
    let table = unique("shared");
    client.batch_execute(&format!("CREATE TABLE {table} AS SELECT 1 AS x")).await.unwrap();
    let query = format!("SELECT tableowner::text FROM pg_tables WHERE tablename = '{table}'");
    assert_eq!(text(&admin, &query).await, owner);
    client.batch_execute(&format!("RESET ROLE; SET ROLE \"{blue}\"; GRANT \"{quoted}\" TO \"{blue}\"")).await.ok();
    let other = connect(server(), &green, "secret").await;
    other.batch_execute(&format!("DROP TABLE {table}")).await.unwrap();
    // The session is the member's, whatever role it acts as.
    assert_eq!(target.sessions(std::slice::from_ref(&blue)).await.unwrap().len(), 1);

    admin
        .batch_execute(&format!("CREATE TABLE {table} (x int); ALTER TABLE {table} OWNER TO \"{blue}\""))
        .await
        .unwrap();
    target.revoke(&blue, &[]).await.unwrap();
    assert_eq!(text(&admin, &query).await, owner, "what was a member's own goes to the role");
    let missing = target.create_member(&principal(&unique("x"), "secret"), "no such role").await;
    assert!(matches!(missing, Err(TargetError::Statement { number: 2, .. })));
}

#[tokio::test]
async fn sessions_are_told_with_where_they_come_from() {
    let (target, name) = (server().target(), unique("seen"));
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let client = connect(server(), &name, "secret").await;
    client.batch_execute("SET application_name = 'billing'").await.unwrap();
    let sessions = target.sessions(&[name.clone(), server().text("user").to_owned()]).await.unwrap();
    let session = sessions.iter().find(|session| session.username == name).unwrap();
    assert_eq!((session.remote.as_str(), session.application.as_str()), ("127.0.0.1", "billing"));
    assert!(session.since.is_some_and(|since| since < until(2) && since > until(-60)));
    let pid = text(&client, "SELECT pg_backend_pid()::text").await;
    assert_eq!(session.id, pid);
}

#[tokio::test]
async fn it_has_one_password() {
    let target = server().target();
    assert!(!target.can_keep_two_passwords().await.unwrap());
    let one = principal("x", "p");
    assert!(matches!(target.add_password(&one).await, Err(TargetError::Unsupported(_))));
    assert!(matches!(target.keep_only_password(&one).await, Err(TargetError::Unsupported(_))));
}

#[tokio::test]
async fn what_statements_set_in_a_session_does_not_reach_the_next_call() {
    let mut access = server().access();
    access.max_open_connections = 1;
    let (target, name) = (Engines.open(access).unwrap(), unique("session"));
    let statements = [CREATE.to_owned(), "SET ROLE \"{{name}}\"; SET search_path TO nowhere".to_owned()];
    target.create(&principal(&name, "secret"), &statements).await.unwrap();
    target.create(&principal(&unique("session"), "secret"), &create()).await.unwrap();
}

#[tokio::test]
async fn a_refused_administrator_and_an_absent_server_are_told_apart() {
    let mut access = server().access();
    access.password = "wrong".into();
    let outcome = Engines.open(access).unwrap().ping().await;
    assert!(matches!(outcome, Err(TargetError::Denied(ref told)) if !told.contains("wrong")), "{outcome:?}");
    let mut access = server().access();
    access.url = "postgresql://127.0.0.1:1/postgres".into();
    let target = Engines.open(access).unwrap();
    assert!(matches!(target.ping().await, Err(TargetError::Unreachable(_))));
    let login = target.log_in("a", &SecretString::from("b")).await;
    assert!(matches!(login, Err(TargetError::Unreachable(_))), "an unreachable server refuses nobody");
}

#[tokio::test]
async fn addresses_are_read_as_clients_of_postgresql_write_them() {
    let (port, directory) = (server().port(), server().text("socket"));
    let (user, password) = (server().text("user"), server().text("password"));
    for url in [
        format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres"),
        format!("postgresql://{user}@127.0.0.1:{port}/postgres?password={password}&sslmode=prefer"),
        format!("host=127.0.0.1 port={port} user='{{{{username}}}}' password='{{{{password}}}}' dbname = postgres"),
        format!("host=127.0.0.1 port={port} dbname=postgres connect_timeout=5 search_path='a, b' sslmode=disable"),
        format!("postgresql:///postgres?host={directory}&port={port}"),
        format!("postgresql://127.0.0.1:1,127.0.0.1:{port}/postgres?target_session_attrs=read-write"),
    ] {
        let mut access = server().access();
        access.url = url.into();
        Engines.open(access).unwrap().ping().await.unwrap();
    }
    for url in ["mysql://x/", "postgresql://x/?sslmode=maybe", "postgresql://x/?sslrootcert=/etc/passwd", "host"] {
        let mut access = server().access();
        access.url = url.into();
        assert!(matches!(Engines.open(access).err(), Some(TargetError::Settings(_))), "{url}");
    }
}

#[tokio::test]
async fn connections_are_bounded_and_kept() {
    let mut access = server().access();
    access.url = format!("postgresql://127.0.0.1:{}/postgres?application_name=bounded", server().port()).into();
    access.max_open_connections = 2;
    let target = Engines.open(access).unwrap();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let target = std::sync::Arc::clone(&target);
            tokio::spawn(async move { target.create(&principal(&unique("many"), "secret"), &create()).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let admin = administrator(server()).await;
    let query = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'bounded'";
    assert_eq!(text(&admin, query).await, "2");
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let own = Server::start(TargetKind::Postgresql);
    let target = own.target();
    target.create(&principal("before", "secret"), &create()).await.unwrap();
    own.restart();
    target.create(&principal("after", "secret"), &create()).await.unwrap();
    assert!(logs_in(&*target, "after", "secret").await);
}

#[tokio::test]
async fn a_server_that_hangs_ends_the_call_and_not_the_target() {
    let own = Server::start(TargetKind::Postgresql);
    let mut access = own.access();
    (access.timeout, access.max_open_connections) = (1, 1);
    let target = Engines.open(access).unwrap();
    target.create(&principal("early", "secret"), &create()).await.unwrap();
    own.signal("STOP");
    let made = principal("late", "secret");
    assert_eq!(target.create(&made, &create()).await, Err(TargetError::TimedOut(1)));
    assert_eq!(target.ping().await, Err(TargetError::TimedOut(1)), "nor does a new connection come about");
    assert_eq!(target.log_in("early", &SecretString::from("secret")).await, Err(TargetError::TimedOut(1)));
    own.signal("CONT");
    own.target().create(&made, &create()).await.unwrap();
    target.revoke("late", &[]).await.unwrap();
    assert_eq!(target.existing(&["early".into(), "late".into()]).await.unwrap(), ["early"]);
}

#[tokio::test]
async fn tls_is_verified_as_far_as_was_asked() {
    let certificates = Certificates::for_server("127.0.0.1");
    let options = certificates.options();
    let own = Server::start_with(TargetKind::Postgresql, &options.iter().map(String::as_str).collect::<Vec<_>>());
    let target = own.target();
    for name in ["secure", "certified"] {
        target.create(&principal(name, "secret"), &create()).await.unwrap();
    }
    let ping = async |mode: &str, host: &str, change: &dyn Fn(&mut keyturn_core::target::Tls)| {
        let mut access = own.access();
        access.url = format!("postgresql://{host}:{}/postgres?sslmode={mode}", own.port()).into();
        (access.username, access.password) = ("secure".to_owned(), "secret".into());
        change(&mut access.tls);
        Engines.open(access).unwrap().ping().await
    };
    let (right, wrong) = (certificates.ca.clone(), Certificates::for_server("127.0.0.1").ca);
    let with = |pem: &str| {
        let pem = pem.to_owned();
        move |tls: &mut keyturn_core::target::Tls| tls.ca_pem.clone_from(&pem)
    };
    assert!(matches!(ping("disable", "127.0.0.1", &|_| {}).await, Err(TargetError::Denied(_))), "the server wants TLS");
    for mode in ["prefer", "require"] {
        ping(mode, "127.0.0.1", &|_| {}).await.unwrap();
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        ping(mode, "127.0.0.1", &with(&right)).await.unwrap();
        let refused = ping(mode, "127.0.0.1", &with(&wrong)).await;
        assert!(matches!(refused, Err(TargetError::Unreachable(_))), "{mode}: {refused:?}");
    }
    ping("verify-ca", "localhost", &with(&right)).await.unwrap();
    assert!(ping("verify-full", "localhost", &with(&right)).await.is_err());
    let named = |tls: &mut keyturn_core::target::Tls| {
        with(&right)(tls);
        tls.server_name = "127.0.0.1".to_owned();
    };
    ping("verify-full", "localhost", &named).await.unwrap();
    let required = |tls: &mut keyturn_core::target::Tls| tls.required = true;
    assert!(ping("disable", "127.0.0.1", &required).await.is_err(), "the system does not know the authority");
    let insecure = |tls: &mut keyturn_core::target::Tls| (tls.required, tls.insecure) = (true, true);
    ping("disable", "127.0.0.1", &insecure).await.unwrap();

    let mut access = own.access();
    access.url = format!("postgresql://certified@127.0.0.1:{}/postgres?sslmode=verify-full", own.port()).into();
    access.tls.ca_pem = right;
    (access.tls.certificate_pem, access.tls.key_pem) = (certificates.client.0, certificates.client.1.into());
    Engines.open(access.clone()).unwrap().ping().await.unwrap();
    (access.tls.certificate_pem, access.tls.key_pem) = (String::new(), SecretString::default());
    assert!(Engines.open(access).unwrap().ping().await.is_err());
}

#[tokio::test]
async fn statements_are_checked_before_they_are_kept() {
    let kind = TargetKind::Postgresql;
    Engines.check(kind, Purpose::Create, &create()).unwrap();
    for (purpose, statement) in [
        (Purpose::Create, "CREATE ROLE x PASSWORD {{password}}"),
        (Purpose::Revoke, "ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'"),
    ] {
        let outcome = Engines.check(kind, purpose, &[statement.to_owned()]);
        assert!(matches!(outcome, Err(TargetError::Settings(_))), "{statement}");
    }
}

#[tokio::test]
async fn a_refused_login_of_one_that_is_not_there() {
    let login: Result<Login, _> = server().target().log_in("nobody'\"", &SecretString::from("x")).await;
    assert_eq!(login, Ok(Login::Refused));
    let _: &dyn Target = &*server().target();
}
