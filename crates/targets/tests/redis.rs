//! Redis, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::OnceLock;

use keyturn_core::{
    secret::SecretString,
    target::{Purpose, TargetError, TargetKind, Targets},
};
use keyturn_targets::Engines;
use redis::{Client, RedisResult, aio::MultiplexedConnection, cmd};
use support::{Certificates, HOSTILE, Server, logs_in, principal, unique, until};

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(TargetKind::Redis))
}

fn rules(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

async fn connect(server: &Server, username: &str, password: &str) -> MultiplexedConnection {
    let client = Client::open(format!("redis://127.0.0.1:{}", server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    cmd("AUTH").arg(username).arg(password).exec_async(&mut connection).await.unwrap();
    connection
}

async fn administrator(server: &Server) -> MultiplexedConnection {
    connect(server, server.text("user"), server.text("password")).await
}

async fn set(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<()> {
    cmd("SET").arg(key).arg("1").exec_async(connection).await
}

async fn is_open(connection: &mut MultiplexedConnection) -> bool {
    cmd("CLIENT").arg("ID").query_async::<u64>(connection).await.is_ok()
}

#[tokio::test]
async fn a_principal_is_made_and_may_do_what_was_granted() {
    let (target, name) = (server().target(), unique("made"));
    target.ping().await.unwrap();
    target.create(&principal(&name, "secret-1"), &rules(r#"["~app:*", "+set", "+client"]"#)).await.unwrap();
    assert!(logs_in(&*target, &name, "secret-1").await && !logs_in(&*target, &name, "secret-2").await);
    let mut connection = connect(server(), &name, "secret-1").await;
    set(&mut connection, "app:1").await.unwrap();
    set(&mut connection, "other").await.unwrap_err();
    cmd("GET").arg("app:1").exec_async(&mut connection).await.unwrap_err();
    assert_eq!(target.existing(&[name.clone(), "nobody-there".to_owned()]).await.unwrap(), [name]);
}

#[tokio::test]
async fn without_rules_it_may_read() {
    let (target, name) = (server().target(), unique("reader"));
    target.create(&principal(&name, "secret"), &[]).await.unwrap();
    let mut connection = connect(server(), &name, "secret").await;
    cmd("GET").arg("x").exec_async(&mut connection).await.unwrap();
    set(&mut connection, "x").await.unwrap_err();
}

#[tokio::test]
async fn names_and_passwords_may_hold_anything() {
    let target = server().target();
    for hostile in HOSTILE {
        let name = unique(hostile).replace(char::is_whitespace, "_");
        target.create(&principal(&name, hostile), &rules(r#"["~{{name}}:*", "+set", "+client"]"#)).await.unwrap();
        assert!(logs_in(&*target, &name, hostile).await, "{hostile}");
        let mut connection = connect(server(), &name, hostile).await;
        set(&mut connection, &format!("{name}:1")).await.unwrap();
        set(&mut connection, &format!("x{name}:1")).await.unwrap_err();
        assert_eq!(target.sessions(std::slice::from_ref(&name)).await.unwrap().len(), 1);
        let other = format!("{hostile}2");
        target.set_password(&principal(&name, &other), &[]).await.unwrap();
        assert!(logs_in(&*target, &name, &other).await && !logs_in(&*target, &name, hostile).await);
        target.revoke(&name, &[]).await.unwrap();
        assert!(target.existing(&[name]).await.unwrap().is_empty());
    }
    let star = unique("*");
    target.create(&principal(&star, "p"), &rules(r#"["~{{name}}", "+set"]"#)).await.unwrap();
    let mut connection = connect(server(), &star, "p").await;
    set(&mut connection, &star).await.unwrap();
    set(&mut connection, &star.replace('*', "anything")).await.unwrap_err();
}

#[tokio::test]
async fn what_no_name_or_password_can_be_is_refused_before_anything_is_done() {
    let target = server().target();
    for (name, password) in [("", "p"), ("a\0b", "p"), ("a b", "p"), ("a", ""), ("a", "p\0w"), ("default", "p")] {
        let outcome = target.create(&principal(name, password), &[]).await;
        assert!(matches!(outcome, Err(TargetError::Settings(_))), "{name} {outcome:?}");
    }
    for rule in [r#"["nopass"]"#, r#"["~*", ">other"]"#, "on", r#"["~*", "+@all", "resetpass"]"#] {
        let outcome = target.create(&principal("a", "p"), &rules(rule)).await;
        assert!(matches!(outcome, Err(TargetError::Settings(_))), "{rule}");
        Engines.check(TargetKind::Redis, Purpose::Create, &rules(rule)).unwrap_err();
    }
    assert!(target.existing(&["a".to_owned()]).await.unwrap().is_empty());
    let unknown = target.create(&principal("a", "p"), &rules(r#"["+no-such-command-here"]"#)).await;
    assert!(matches!(unknown, Err(TargetError::Statement { .. })), "{unknown:?}");
    assert!(target.existing(&["a".to_owned()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn to_make_a_principal_again_sets_all_of_it_anew() {
    let (target, name) = (server().target(), unique("again"));
    target.create(&principal(&name, "first"), &rules(r#"["~*", "+@all"]"#)).await.unwrap();
    target.create(&principal(&name, "second"), &rules(r#"["~*", "+get"]"#)).await.unwrap();
    assert!(logs_in(&*target, &name, "second").await && !logs_in(&*target, &name, "first").await);
    let mut connection = connect(server(), &name, "second").await;
    set(&mut connection, "x").await.unwrap_err();
}

#[tokio::test]
async fn two_passwords_are_good_at_once_until_one_is_kept() {
    let (target, name) = (server().target(), unique("two"));
    assert!(target.can_keep_two_passwords().await.unwrap());
    target.create(&principal(&name, "old"), &rules(r#"["~*", "+@all"]"#)).await.unwrap();
    let mut connection = connect(server(), &name, "old").await;
    for _ in 0..2 {
        target.add_password(&principal(&name, "new")).await.unwrap();
        assert!(logs_in(&*target, &name, "old").await && logs_in(&*target, &name, "new").await);
    }
    for _ in 0..2 {
        target.keep_only_password(&principal(&name, "new")).await.unwrap();
        assert!(!logs_in(&*target, &name, "old").await && logs_in(&*target, &name, "new").await);
    }
    assert!(is_open(&mut connection).await);
    target.add_password(&principal(&name, "newer")).await.unwrap();
    target.keep_only_password(&principal(&name, "new")).await.unwrap();
    assert!(!logs_in(&*target, &name, "newer").await && logs_in(&*target, &name, "new").await);
    for outcome in [
        target.add_password(&principal("not-there", "p")).await,
        target.keep_only_password(&principal("not-there", "p")).await,
        target.set_password(&principal("not-there", "p"), &[]).await,
        target.disable("not-there").await,
    ] {
        assert!(matches!(outcome, Err(TargetError::Statement { .. })));
    }
    assert!(target.existing(&["not-there".to_owned()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn revocation_ends_live_sessions() {
    let (target, name) = (server().target(), unique("revoked"));
    target.create(&principal(&name, "secret"), &rules(r#"["~*", "+@all"]"#)).await.unwrap();
    let mut connection = connect(server(), &name, "secret").await;
    cmd("CLIENT").arg("SETNAME").arg("billing").exec_async(&mut connection).await.unwrap();
    let sessions = target.sessions(std::slice::from_ref(&name)).await.unwrap();
    let [session] = &*sessions else { panic!("{sessions:?}") };
    assert!(session.remote.starts_with("127.0.0.1:") && session.application == "billing");
    assert!(session.since.is_some_and(|since| since < until(5) && since > until(-60)));
    target.revoke(&name, &[]).await.unwrap();
    assert!(!is_open(&mut connection).await && !logs_in(&*target, &name, "secret").await);
    assert!(target.sessions(std::slice::from_ref(&name)).await.unwrap().is_empty());
    target.revoke(&name, &[]).await.unwrap();
    assert!(matches!(target.revoke("default", &[]).await, Err(TargetError::Settings(_))));
}

#[tokio::test]
async fn one_that_is_disabled_is_let_in_again_with_another_password() {
    let (target, name) = (server().target(), unique("disabled"));
    target.create(&principal(&name, "secret"), &rules(r#"["~*", "+@all"]"#)).await.unwrap();
    let mut connection = connect(server(), &name, "secret").await;
    target.disable(&name).await.unwrap();
    target.disable(&name).await.unwrap();
    assert!(!is_open(&mut connection).await && !logs_in(&*target, &name, "secret").await);
    target.set_password(&principal(&name, "other"), &[]).await.unwrap();
    assert!(logs_in(&*target, &name, "other").await);
    target.renew(&name, until(60), &[]).await.unwrap();
    let member = target.create_member(&principal("x", "p"), "owner").await;
    assert!(matches!(member, Err(TargetError::Unsupported(_))));
}

#[tokio::test]
async fn errors_hold_no_password() {
    let admin = unique("limited");
    let mut access = server().access();
    server().target().create(&principal(&admin, "hunter2"), &rules(r#"["+@connection"]"#)).await.unwrap();
    (access.username, access.password) = (admin, "hunter2".into());
    let outcome = Engines.open(access.clone()).unwrap().create(&principal("x", "hunter3-hunter4"), &[]).await;
    assert!(
        matches!(outcome, Err(TargetError::Statement { ref reason, .. }) if reason.contains("NOPERM")),
        "{outcome:?}"
    );
    access.password = "hunter4".into();
    let outcome = Engines.open(access).unwrap().ping().await;
    assert!(matches!(outcome, Err(TargetError::Denied(ref told)) if !told.contains("unter")), "{outcome:?}");
}

#[tokio::test]
async fn what_a_file_of_users_holds_is_kept_at_each_change() {
    let own = Server::start_with(TargetKind::Redis, &["--aclfile"]);
    let target = own.target();
    for name in ["stays", "goes"] {
        target.create(&principal(name, "secret"), &[]).await.unwrap();
    }
    target.revoke("goes", &[]).await.unwrap();
    target.set_password(&principal("stays", "other"), &[]).await.unwrap();
    own.restart();
    assert_eq!(target.existing(&["stays".into(), "goes".into()]).await.unwrap(), ["stays"]);
    assert!(logs_in(&*target, "stays", "other").await);
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_a_hung_one_ends_the_call() {
    let own = Server::start(TargetKind::Redis);
    let mut access = own.access();
    (access.timeout, access.max_open_connections) = (1, 1);
    let target = Engines.open(access).unwrap();
    target.ping().await.unwrap();
    own.restart();
    let made = principal("late", "secret");
    own.target().ping().await.unwrap();
    target.create(&principal("early", "secret"), &[]).await.unwrap();
    own.signal("STOP");
    assert_eq!(target.create(&made, &[]).await, Err(TargetError::TimedOut(1)));
    assert_eq!(target.ping().await, Err(TargetError::TimedOut(1)), "nor does a new connection come about");
    own.signal("CONT");
    own.target().create(&made, &[]).await.unwrap();
    assert!(logs_in(&*own.target(), "late", "secret").await);
    let mut absent = own.access();
    absent.url = "redis://127.0.0.1:1".into();
    let absent = Engines.open(absent).unwrap();
    assert!(matches!(absent.log_in("a", &SecretString::from("b")).await, Err(TargetError::Unreachable(_))));
}

#[tokio::test]
async fn addresses_are_read_as_clients_of_redis_write_them() {
    let (port, password, socket) = (server().port(), server().text("password"), server().text("socket"));
    for url in [
        format!("redis://:{password}@127.0.0.1:{port}/0"),
        format!("redis://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}"),
        format!("unix://{socket}"),
    ] {
        let mut access = server().access();
        access.url = url.into();
        Engines.open(access).unwrap().ping().await.unwrap();
    }
    for url in ["http://x", "127.0.0.1:6379", "redis://x:port"] {
        let mut access = server().access();
        access.url = url.into();
        assert!(matches!(Engines.open(access).err(), Some(TargetError::Settings(_))), "{url}");
    }
    let _ = administrator(server()).await;
}

#[tokio::test]
async fn tls_is_verified_unless_it_is_said_not_to_be() {
    let certificates = Certificates::for_server("127.0.0.1");
    let options = certificates.options();
    let own = Server::start_with(TargetKind::Redis, &options.iter().map(String::as_str).collect::<Vec<_>>());
    let ping = async |scheme: &str, host: &str, change: &dyn Fn(&mut keyturn_core::target::Tls)| {
        let mut access = own.access();
        access.url = format!("{scheme}://{host}:{}", own.port()).into();
        access.timeout = 5;
        change(&mut access.tls);
        Engines.open(access).unwrap().ping().await
    };
    let (right, wrong) = (certificates.ca.clone(), Certificates::for_server("127.0.0.1").ca);
    let with = |pem: &str| {
        let pem = pem.to_owned();
        move |tls: &mut keyturn_core::target::Tls| tls.ca_pem.clone_from(&pem)
    };
    assert!(ping("redis", "127.0.0.1", &|_| {}).await.is_err(), "it speaks TLS alone");
    ping("rediss", "127.0.0.1", &with(&right)).await.unwrap();
    assert!(matches!(ping("rediss", "127.0.0.1", &with(&wrong)).await, Err(TargetError::Unreachable(_))));
    assert!(ping("rediss", "localhost", &with(&right)).await.is_err());
    let required = |tls: &mut keyturn_core::target::Tls| {
        with(&right)(tls);
        (tls.required, tls.server_name) = (true, "127.0.0.1".to_owned());
    };
    ping("redis", "localhost", &required).await.unwrap();
    let insecure = |tls: &mut keyturn_core::target::Tls| tls.insecure = true;
    ping("rediss", "localhost", &insecure).await.unwrap();
    let shown = |tls: &mut keyturn_core::target::Tls| {
        with(&right)(tls);
        (tls.certificate_pem, tls.key_pem) = (certificates.client.0.clone(), certificates.client.1.as_str().into());
    };
    ping("rediss", "127.0.0.1", &shown).await.unwrap();
}
