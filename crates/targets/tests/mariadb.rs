//! MariaDB, on a real server. MySQL's own (two passwords) is seen here only by what MariaDB answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::OnceLock;

use keyturn_core::{
    secret::SecretString,
    target::{Purpose, Target, TargetError, TargetKind, Targets},
};
use keyturn_targets::Engines;
use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use support::{Certificates, HOSTILE, Server, logs_in, principal, unique, until, values};

const CREATE: &str = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; \
                      GRANT SELECT, CREATE, INSERT ON shared.* TO '{{name}}'@'%';";

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(TargetKind::Mysql))
}

fn create() -> Vec<String> {
    vec![CREATE.to_owned()]
}

async fn connect(server: &Server, username: &str, password: &str) -> Conn {
    let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(server.port()).prefer_socket(false);
    Conn::new(options.user(Some(username)).pass(Some(password))).await.unwrap()
}

async fn administrator(server: &Server) -> Conn {
    let mut connection = connect(server, server.text("user"), server.text("password")).await;
    connection.query_drop("CREATE DATABASE IF NOT EXISTS shared").await.unwrap();
    connection
}

async fn is_open(connection: &mut Conn) -> bool {
    connection.query_drop("SELECT 1").await.is_ok()
}

#[tokio::test]
async fn a_principal_is_made_and_may_do_what_was_granted() {
    let (target, name) = (server().target(), unique("made"));
    let mut admin = administrator(server()).await;
    target.ping().await.unwrap();
    target.create(&principal(&name, "secret-1"), &create()).await.unwrap();
    assert!(logs_in(&*target, &name, "secret-1").await);
    assert!(!logs_in(&*target, &name, "secret-2").await);
    let mut connection = connect(server(), &name, "secret-1").await;
    connection.query_drop(format!("CREATE TABLE shared.t_{name} (x int)")).await.unwrap();
    assert!(connection.query_drop(format!("DROP TABLE shared.t_{name}")).await.is_err());
    assert_eq!(target.existing(&[name.clone(), "nobody-there".to_owned()]).await.unwrap(), [name]);
    admin.query_drop("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn names_and_passwords_may_hold_anything() {
    administrator(server()).await;
    let modes = ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"];
    let target = server().target();
    for mode in modes {
        // The mode of new sessions, and of those that are made as new.
        let mut admin = administrator(server()).await;
        admin.query_drop(format!("SET GLOBAL sql_mode = '{mode}'")).await.unwrap();
        for hostile in HOSTILE {
            let name = unique(&hostile.replace('💥', "x"));
            target.create(&principal(&name, hostile), &create()).await.unwrap();
            assert!(logs_in(&*target, &name, hostile).await, "{mode}: {hostile}");
            let other = format!("{hostile}2");
            target.set_password(&principal(&name, &other), &[]).await.unwrap();
            assert!(logs_in(&*target, &name, &other).await && !logs_in(&*target, &name, hostile).await);
            let own = ["ALTER USER {{name}}@'%' IDENTIFIED BY \"{{password}}\"".to_owned()];
            if !mode.contains("ANSI") {
                target.set_password(&principal(&name, hostile), &own).await.unwrap();
                assert!(logs_in(&*target, &name, hostile).await, "{mode}: {hostile}");
            }
            assert_eq!(target.existing(std::slice::from_ref(&name)).await.unwrap(), [name.as_str()]);
            assert!(target.sessions(std::slice::from_ref(&name)).await.unwrap().is_empty());
            target.revoke(&name, &[]).await.unwrap();
            assert!(target.existing(&[name]).await.unwrap().is_empty());
        }
    }
    administrator(server()).await.query_drop("SET GLOBAL sql_mode = DEFAULT").await.unwrap();
}

#[tokio::test]
async fn any_value_reaches_the_server_as_it_is() {
    let (target, mut admin) = (server().target(), administrator(server()).await);
    admin.query_drop("CREATE TABLE shared.back (a text, b text, name text) CHARSET utf8mb4").await.unwrap();
    let statements = [
        "DELETE FROM shared.back; INSERT INTO shared.back VALUES ('{{password}}', '', '{{name}}')".to_owned(),
        "EXECUTE IMMEDIATE 'UPDATE shared.back SET b = ''{{password}}'''".to_owned(),
    ];
    for value in values(r#"([\PC'"`\\;$\n#-]|\{\{name\}\}|--|/\*|''|\\'|\\\\){1,9}"#) {
        let name: String = value.chars().rev().filter(|c| c.len_utf8() < 4).take(9).chain(['x']).collect();
        target.set_password(&principal(&name, &value), &statements).await.unwrap();
        let row: Option<(String, String, String)> =
            admin.query_first("SELECT a, b, name FROM shared.back").await.unwrap();
        assert_eq!(row, Some((value.clone(), value, name)));
    }
}

#[tokio::test]
async fn what_no_name_or_password_can_be_is_refused_before_anything_is_done() {
    let target = server().target();
    for (name, password) in [("", "p"), ("a\0b", "p"), ("a💥", "p"), ("a", ""), ("a", "p\0w")] {
        let outcome = target.create(&principal(name, password), &create()).await;
        assert!(matches!(outcome, Err(TargetError::Settings(_))), "{name} {outcome:?}");
    }
    assert!(matches!(target.create(&principal("a", "p"), &[]).await, Err(TargetError::Settings(_))));
    assert!(target.existing(&["a💥".to_owned()]).await.unwrap().is_empty());
    target.revoke("a💥", &[]).await.unwrap();
}

#[tokio::test]
async fn to_make_a_principal_again_gives_it_password_and_grants_again() {
    let (target, name) = (server().target(), unique("again"));
    let mut admin = administrator(server()).await;
    target.create(&principal(&name, "first"), &create()).await.unwrap();
    let undo = format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{name}'@'%'; ALTER USER '{name}'@'%' ACCOUNT LOCK");
    admin.query_drop(undo).await.unwrap();
    target.create(&principal(&name, "second"), &create()).await.unwrap();
    assert!(logs_in(&*target, &name, "second").await && !logs_in(&*target, &name, "first").await);
    let mut connection = connect(server(), &name, "second").await;
    connection.query_drop(format!("CREATE TABLE shared.t_{name} (x int)")).await.unwrap();
}

#[tokio::test]
async fn when_a_statement_fails_what_was_done_is_undone() {
    let (target, name) = (server().target(), unique("half"));
    administrator(server()).await;
    let statements = vec![CREATE.to_owned(), "GRANT no_such_role TO '{{name}}'@'%'".to_owned()];
    let outcome = target.create(&principal(&name, "secret"), &statements).await;
    assert!(matches!(outcome, Err(TargetError::Statement { number: 3, .. })), "{outcome:?}");
    assert!(target.existing(std::slice::from_ref(&name)).await.unwrap().is_empty());
    // One that was there before stays.
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    target.create(&principal(&name, "other"), &statements).await.unwrap_err();
    assert!(logs_in(&*target, &name, "other").await);
}

#[tokio::test]
async fn errors_hold_no_password() {
    let (target, name) = (server().target(), unique("leak"));
    for statement in [
        "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' NONSENSE",
        "SELECT * FROM no_such_schema.x WHERE '{{password}}' = y",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{{password}}'",
        "SELECT no_such_function('{{password}}')",
        "NONSENSE '{{password}}'",
    ] {
        let outcome = target.create(&principal(&name, "hunter2'hunter3"), &[statement.to_owned()]).await;
        let told = format!("{outcome:?}").to_lowercase();
        assert!(told.contains("statement {") && !told.contains("nter2"), "{told}");
    }
}

#[tokio::test]
async fn the_administrator_is_nobodys_principal_but_its_password_is_set() {
    let own = Server::start(TargetKind::Mysql);
    let (target, admin) = (own.target(), own.text("user"));
    assert!(matches!(target.create(&principal(admin, "p"), &create()).await, Err(TargetError::Settings(_))));
    assert!(matches!(target.revoke(admin, &[]).await, Err(TargetError::Settings(_))));
    assert!(matches!(target.disable(admin).await, Err(TargetError::Settings(_))));
    target.set_password(&principal(admin, "rotated"), &[]).await.unwrap();
    let mut access = own.access();
    assert!(matches!(Engines.open(access.clone()).unwrap().ping().await, Err(TargetError::Denied(_))));
    access.password = "rotated".into();
    Engines.open(access).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn revocation_ends_live_sessions() {
    let (target, admin) = (server().target(), administrator(server()).await);
    drop(admin);
    for statements in
        [vec![], vec!["REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{{name}}'@'%'; DROP USER '{{name}}'@'%'".to_owned()]]
    {
        let name = unique("revoked");
        target.create(&principal(&name, "secret"), &create()).await.unwrap();
        let mut connection = connect(server(), &name, "secret").await;
        assert!(is_open(&mut connection).await);
        let sessions = target.sessions(std::slice::from_ref(&name)).await.unwrap();
        assert_eq!(sessions.len(), 1);
        assert!(sessions[0].remote.starts_with("127.0.0.1:") && sessions[0].id == connection.id().to_string());
        target.revoke(&name, &statements).await.unwrap();
        assert!(!is_open(&mut connection).await);
        assert!(!logs_in(&*target, &name, "secret").await);
        assert!(target.sessions(std::slice::from_ref(&name)).await.unwrap().is_empty());
        target.revoke(&name, &statements).await.unwrap();
    }
}

#[tokio::test]
async fn a_revocation_that_fails_leaves_no_access() {
    let (target, name) = (server().target(), unique("stuck"));
    administrator(server()).await;
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let mut connection = connect(server(), &name, "secret").await;
    let outcome = target.revoke(&name, &["DROP USER '{{name}}'@'not-there'".to_owned()]).await;
    assert!(matches!(outcome, Err(TargetError::Statement { number: 1, .. })), "{outcome:?}");
    assert!(!is_open(&mut connection).await && !logs_in(&*target, &name, "secret").await);
    target.revoke(&name, &[]).await.unwrap();
}

#[tokio::test]
async fn a_name_at_several_hosts_is_revoked_at_all_of_them() {
    let (target, name) = (server().target(), unique("hosts"));
    administrator(server()).await;
    let statements = ["CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}'; \
                       CREATE USER '{{name}}'@'localhost' IDENTIFIED BY '{{password}}'"
        .to_owned()];
    target.create(&principal(&name, "secret"), &statements).await.unwrap();
    target.set_password(&principal(&name, "other"), &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "other").await);
    target.revoke(&name, &[]).await.unwrap();
    assert!(target.existing(&[name]).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_is_disabled_is_let_in_again_with_another_password() {
    let (target, name) = (server().target(), unique("disabled"));
    administrator(server()).await;
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    let mut connection = connect(server(), &name, "secret").await;
    target.disable(&name).await.unwrap();
    target.disable(&name).await.unwrap();
    assert!(!is_open(&mut connection).await && !logs_in(&*target, &name, "secret").await);
    target.set_password(&principal(&name, "other"), &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "other").await);
    assert!(matches!(target.disable("not-there").await, Err(TargetError::Statement { .. })));
    assert!(matches!(target.set_password(&principal("not-there", "p"), &[]).await, Err(TargetError::Statement { .. })));
}

#[tokio::test]
async fn a_member_has_the_roles_rights_from_its_login_on() {
    let (target, mut admin) = (server().target(), administrator(server()).await);
    let (owner, blue) = (unique("owner`"), unique("blue'"));
    let quoted = owner.replace('`', "``");
    admin.query_drop(format!("CREATE ROLE `{quoted}`; GRANT ALL ON shared.* TO `{quoted}`")).await.unwrap();
    for password in ["secret", "other"] {
        target.create_member(&principal(&blue, password), &owner).await.unwrap();
        let mut connection = connect(server(), &blue, password).await;
        let role: Option<String> = connection.query_first("SELECT CURRENT_ROLE()").await.unwrap();
        assert_eq!(role, Some(owner.clone()));
    }
    let missing = target.create_member(&principal(&unique("x"), "secret"), "no such role").await;
    assert!(matches!(missing, Err(TargetError::Statement { number: 2, .. })), "{missing:?}");
    target.revoke(&blue, &[]).await.unwrap();
}

#[tokio::test]
async fn mariadb_has_one_password() {
    let target = server().target();
    assert!(!target.can_keep_two_passwords().await.unwrap());
    let one = principal("x", "p");
    assert!(
        matches!(target.add_password(&one).await, Err(TargetError::Unsupported(told)) if told.contains("MariaDB 10"))
    );
    assert!(matches!(target.keep_only_password(&one).await, Err(TargetError::Unsupported(_))));
}

#[tokio::test]
async fn renewal_is_what_statements_say() {
    let (target, name) = (server().target(), unique("renewed"));
    administrator(server()).await;
    target.create(&principal(&name, "secret"), &create()).await.unwrap();
    target.renew(&name, until(60), &[]).await.unwrap();
    target
        .renew(&name, until(60), &["ALTER USER '{{name}}'@'%' WITH MAX_USER_CONNECTIONS 3".to_owned()])
        .await
        .unwrap();
    let wrong = target.renew(&name, until(60), &["ALTER USER '{{name}}'@'%' '{{expiration}}'".to_owned()]).await;
    assert!(matches!(wrong, Err(TargetError::Statement { .. })));
}

#[tokio::test]
async fn an_administrator_who_cannot_see_sessions_is_told_so() {
    let mut admin = administrator(server()).await;
    let name = unique("blind");
    admin
        .query_drop(format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'blind'; GRANT CREATE USER ON *.* TO '{name}'@'%'"))
        .await
        .unwrap();
    let mut access = server().access();
    (access.username, access.password) = (name.clone(), "blind".into());
    let target = Engines.open(access.clone()).unwrap();
    assert!(matches!(target.sessions(&["x".to_owned()]).await, Err(TargetError::Unsupported(_))));
    // With the rights that it takes, and no more.
    admin.query_drop(format!("GRANT PROCESS, CONNECTION ADMIN ON *.* TO '{name}'@'%'")).await.unwrap();
    let (target, user) = (Engines.open(access).unwrap(), unique("kept"));
    target
        .create(&principal(&user, "secret"), &["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'".to_owned()])
        .await
        .unwrap();
    let mut connection = connect(server(), &user, "secret").await;
    assert_eq!(target.sessions(std::slice::from_ref(&user)).await.unwrap().len(), 1);
    target.revoke(&user, &[]).await.unwrap();
    assert!(!is_open(&mut connection).await && !logs_in(&*target, &user, "secret").await);
}

#[tokio::test]
async fn what_statements_set_in_a_session_does_not_reach_the_next_call() {
    administrator(server()).await;
    let mut access = server().access();
    access.max_open_connections = 1;
    let target = Engines.open(access).unwrap();
    let statements = [CREATE.to_owned(), "SET SESSION tx_read_only = 1; SET @@autocommit = 0".to_owned()];
    target.create(&principal(&unique("session"), "secret"), &statements).await.unwrap();
    target.create(&principal(&unique("session"), "secret"), &create()).await.unwrap();
}

#[tokio::test]
async fn addresses_are_read_as_clients_of_mysql_write_them() {
    let (port, socket) = (server().port(), server().text("socket"));
    let (user, password) = (server().text("user"), server().text("password"));
    for url in [
        format!("{user}:{password}@tcp(127.0.0.1:{port})/mysql?parseTime=true&tls=preferred"),
        format!("mysql://{user}:{password}@127.0.0.1:{port}/"),
        format!("mysql://127.0.0.1:{port}/mysql?ssl-mode=DISABLED"),
        format!("{{{{username}}}}:{{{{password}}}}@unix({socket})/"),
        format!("mysql://localhost/?socket={socket}"),
    ] {
        let mut access = server().access();
        access.url = url.clone().into();
        let outcome = Engines.open(access).unwrap().ping().await;
        assert_eq!(outcome, Ok(()), "{url}");
    }
    let mut access = server().access();
    access.url = format!("tcp(127.0.0.1:{port})/?tls=true").into();
    let ca = Certificates::for_server("x").ca;
    access.tls.ca_pem = ca;
    assert!(matches!(Engines.open(access).unwrap().ping().await, Err(TargetError::Unreachable(_))), "it has no TLS");
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_a_hung_one_ends_the_call() {
    let own = Server::start(TargetKind::Mysql);
    administrator(&own).await;
    let mut access = own.access();
    (access.timeout, access.max_open_connections) = (1, 1);
    let target = Engines.open(access).unwrap();
    own.target().create(&principal("before", "secret"), &create()).await.unwrap();
    own.restart();
    let patient = own.target();
    patient.create(&principal("after", "secret"), &create()).await.unwrap();
    own.restart();
    patient.ping().await.unwrap();
    target.ping().await.unwrap();
    own.signal("STOP");
    assert_eq!(target.create(&principal("late", "secret"), &create()).await, Err(TargetError::TimedOut(1)));
    assert_eq!(target.ping().await, Err(TargetError::TimedOut(1)), "nor does a new connection come about");
    own.signal("CONT");
    let late = principal("late", "secret");
    own.target().create(&late, &create()).await.unwrap();
    assert!(logs_in(&*own.target(), "late", "secret").await);
    let mut absent = own.access();
    absent.url = "tcp(127.0.0.1:1)/".into();
    let absent = Engines.open(absent).unwrap();
    assert!(matches!(absent.ping().await, Err(TargetError::Unreachable(_))));
    assert!(matches!(absent.log_in("a", &SecretString::from("b")).await, Err(TargetError::Unreachable(_))));
}

#[tokio::test]
async fn tls_is_verified_as_far_as_was_asked() {
    let certificates = Certificates::for_server("127.0.0.1");
    let options = certificates.options();
    let own = Server::start_with(TargetKind::Mysql, &options.iter().map(String::as_str).collect::<Vec<_>>());
    let mut admin = connect(&own, own.text("user"), own.text("password")).await;
    admin
        .query_drop("CREATE USER secure IDENTIFIED BY 'secret' REQUIRE SSL; CREATE USER certified IDENTIFIED BY 'secret' REQUIRE X509")
        .await
        .unwrap();
    let ping = async |user: &str, mode: &str, host: &str, change: &dyn Fn(&mut keyturn_core::target::Tls)| {
        let mut access = own.access();
        access.url = format!("tcp({host}:{})/?tls={mode}", own.port()).into();
        (access.username, access.password) = (user.to_owned(), "secret".into());
        change(&mut access.tls);
        Engines.open(access).unwrap().ping().await
    };
    let (right, wrong) = (certificates.ca.clone(), Certificates::for_server("127.0.0.1").ca);
    let with = |pem: &str| {
        let pem = pem.to_owned();
        move |tls: &mut keyturn_core::target::Tls| tls.ca_pem.clone_from(&pem)
    };
    assert!(matches!(ping("secure", "false", "127.0.0.1", &|_| {}).await, Err(TargetError::Denied(_))), "it wants TLS");
    for mode in ["preferred", "skip-verify"] {
        ping("secure", mode, "127.0.0.1", &|_| {}).await.unwrap();
    }
    ping("secure", "true", "127.0.0.1", &with(&right)).await.unwrap();
    let refused = ping("secure", "true", "127.0.0.1", &with(&wrong)).await;
    assert!(matches!(refused, Err(TargetError::Unreachable(_))), "{refused:?}");
    assert!(ping("secure", "true", "localhost", &with(&right)).await.is_err());
    let named = |tls: &mut keyturn_core::target::Tls| {
        with(&right)(tls);
        tls.server_name = "127.0.0.1".to_owned();
    };
    ping("secure", "true", "localhost", &named).await.unwrap();
    let insecure = |tls: &mut keyturn_core::target::Tls| (tls.required, tls.insecure) = (true, true);
    ping("secure", "false", "127.0.0.1", &insecure).await.unwrap();
    assert!(ping("certified", "true", "127.0.0.1", &with(&right)).await.is_err());
    let shown = |tls: &mut keyturn_core::target::Tls| {
        with(&right)(tls);
        (tls.certificate_pem, tls.key_pem) = (certificates.client.0.clone(), certificates.client.1.as_str().into());
    };
    ping("certified", "true", "127.0.0.1", &shown).await.unwrap();
}

#[tokio::test]
async fn statements_are_checked_before_they_are_kept() {
    let check = |purpose, statement: &str| Engines.check(TargetKind::Mysql, purpose, &[statement.to_owned()]);
    check(Purpose::Create, CREATE).unwrap();
    check(Purpose::Create, "CREATE USER x IDENTIFIED BY {{password}}").unwrap_err();
    check(Purpose::Renew, "ALTER USER '{{name}}' IDENTIFIED BY '{{password}}'").unwrap_err();
    let _: &dyn Target = &*server().target();
}
