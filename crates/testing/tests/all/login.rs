//! Logins by AppRole and userpass, on a store in memory with a clock that is moved by hand.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential, Permit},
    login::{
        TokenSettings,
        approle::{AppRoleError, IssuedSecretId, NewSecretId, Role},
        userpass::UserPassError,
    },
    mount::{Enable, Engine, MountConfig},
    policy::Operation::{self, Delete, List, Read, Update},
    secret::SecretString,
    token::{Issued, TokenError, TokenKind, Which},
};
use keyturn_testing::TestNode;

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// A node with both methods mounted.
struct Fixture {
    node: TestNode,
    core: Arc<Core>,
}

impl Fixture {
    async fn start() -> Arc<Self> {
        let node = TestNode::start().await.expect("a node");
        let core = node.core().expect("open");
        let fixture = Self { node, core };
        fixture.mount("auth/approle", Engine::AppRole, MountConfig::default()).await;
        fixture.mount("auth/userpass", Engine::UserPass, MountConfig::default()).await;
        Arc::new(fixture)
    }

    async fn mount(&self, path: &str, engine: Engine, config: MountConfig) {
        let what = Enable {
            path: path.to_owned(),
            engine,
            description: String::new(),
            options: BTreeMap::new(),
            config,
            local: false,
            seal_wrap: false,
        };
        let permit = self.permit(Update, &format!("sys/{path}")).await;
        self.core.mounts().enable(permit, what).await.expect("mounted");
    }

    /// A permit as root, from loopback.
    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        let ask = Ask {
            credential: Some(Credential::Token(&self.node.root_token)),
            remote: Some(SocketAddr::from((LOOPBACK, 4711))),
            ..Ask::new("test", operation, path)
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted.expect("root may")
    }

    fn pass(&self, seconds: i64) {
        self.node.clock.advance(SignedDuration::from_secs(seconds));
    }

    async fn write_role(&self, name: &str, change: impl FnOnce(&mut Role)) -> Result<(), AppRoleError> {
        let permit = self.permit(Update, &format!("auth/approle/role/{name}")).await;
        let change = |role: &mut Role| {
            change(role);
            Ok(())
        };
        self.core.logins().approle().write_role::<AppRoleError>(permit, change).await.map(drop)
    }

    /// Writes a role with a role id that is its name in upper case.
    async fn role(&self, name: &str, change: impl FnOnce(&mut Role)) {
        let written = self.write_role(name, |role| {
            role.role_id = name.to_uppercase();
            change(role);
        });
        written.await.expect("written");
    }

    async fn delete_role(&self, name: &str) {
        let permit = self.permit(Delete, &format!("auth/approle/role/{name}")).await;
        self.core.logins().approle().delete_role(permit).await.expect("deleted");
    }

    async fn secret_id(&self, role: &str, new: NewSecretId) -> IssuedSecretId {
        let permit = self.permit(Update, &format!("auth/approle/role/{role}/secret-id")).await;
        self.core.logins().approle().generate_secret_id(permit, new).await.expect("a secret id")
    }

    async fn accessors(&self, role: &str) -> Vec<String> {
        let permit = self.permit(List, &format!("auth/approle/role/{role}/secret-id/")).await;
        self.core.logins().approle().list_accessors(permit).await.expect("listed")
    }

    async fn log_in(&self, role_id: &str, secret_id: &SecretString) -> Result<Issued, AppRoleError> {
        let permit = self.permit(Update, "auth/approle/login").await;
        self.core.logins().approle().login(permit, role_id, secret_id).await
    }

    async fn user(&self, name: &str, password: Option<&str>, change: impl FnOnce(&mut TokenSettings)) {
        let permit = self.permit(Update, &format!("auth/userpass/users/{name}")).await;
        let change = |settings: &mut TokenSettings| {
            change(settings);
            Ok(())
        };
        let written =
            self.core.logins().userpass().write_user::<UserPassError>(permit, password.map(Into::into), change);
        written.await.expect("written");
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<Issued, UserPassError> {
        let permit = self.permit(Update, &format!("auth/userpass/login/{name}")).await;
        self.core.logins().userpass().login(permit, password.into()).await
    }

    async fn renew(&self, token: &SecretString) -> Result<Issued, TokenError> {
        let permit = self.permit(Update, "auth/token/renew").await;
        self.core.tokens().renew(permit, Which::Token(token), 0).await
    }
}

fn plain() -> NewSecretId {
    NewSecretId::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_as_many_succeed_as_the_secret_id_has_uses() {
    let test = Fixture::start().await;
    for uses in [1, 5] {
        test.role("web", |role| role.secret_id_num_uses = uses).await;
        let secret_id = test.secret_id("web", plain()).await.secret_id;
        let attempts: Vec<_> = (0..24)
            .map(|_| {
                let (test, secret_id) = (Arc::clone(&test), secret_id.clone());
                tokio::spawn(async move { test.log_in("WEB", &secret_id).await })
            })
            .collect();
        let mut good = 0;
        for attempt in attempts {
            match attempt.await.expect("no panic") {
                Ok(_) => good += 1,
                Err(error) => {
                    assert!(matches!(error, AppRoleError::InvalidLogin | AppRoleError::Locked), "{error}");
                }
            }
        }
        assert_eq!(good, uses);
        assert!(test.accessors("web").await.is_empty(), "the last use removes it");
        test.pass(900);
    }
}

#[tokio::test]
async fn a_secret_id_opens_its_own_role_until_it_ends() {
    let test = Fixture::start().await;
    test.role("web", |role| role.secret_id_ttl = 60).await;
    test.role("api", |_| ()).await;
    let made = test.secret_id("web", plain()).await;
    assert!(matches!(test.log_in("API", &made.secret_id).await, Err(AppRoleError::InvalidLogin)));
    assert!(matches!(test.log_in("NOBODY", &made.secret_id).await, Err(AppRoleError::InvalidLogin)));
    test.pass(59);
    let issued = test.log_in("WEB", &made.secret_id).await.expect("logged in");
    assert_eq!((issued.entry.path.as_str(), issued.entry.display_name.as_str()), ("auth/approle/login", "approle"));
    test.pass(1);
    assert!(test.accessors("web").await.is_empty());
    assert!(matches!(test.log_in("WEB", &made.secret_id).await, Err(AppRoleError::InvalidLogin)));
}

#[tokio::test]
async fn upkeep_removes_what_has_ended_and_nothing_else() {
    let test = Fixture::start().await;
    test.role("web", |_| ()).await;
    let short = test.secret_id("web", NewSecretId { ttl: Some(60), ..plain() }).await;
    let long = test.secret_id("web", NewSecretId { ttl: Some(600), ..plain() }).await;
    let endless = test.secret_id("web", plain()).await;
    test.pass(61);
    test.core.tend().await.expect("upkeep");
    // Back in time, what is left of a record would show.
    test.pass(-61);
    let mut expected = [long.entry.accessor, endless.entry.accessor];
    let mut left = test.accessors("web").await;
    expected.sort();
    left.sort();
    assert_eq!(left, expected);
    assert!(test.log_in("WEB", &short.secret_id).await.is_err());
    assert!(test.log_in("WEB", &long.secret_id).await.is_ok());
}

#[tokio::test]
async fn a_role_made_anew_inherits_no_secret_id() {
    let test = Fixture::start().await;
    test.role("web", |_| ()).await;
    let chosen = || NewSecretId { secret_id: Some("chosen".into()), ..plain() };
    let made = test.secret_id("web", chosen()).await;
    let permit = test.permit(Update, "auth/approle/role/web/custom-secret-id").await;
    let again = test.core.logins().approle().generate_secret_id(permit, chosen()).await;
    assert!(matches!(again, Err(AppRoleError::SecretIdTaken)));
    test.delete_role("web").await;
    assert!(matches!(test.log_in("WEB", &made.secret_id).await, Err(AppRoleError::InvalidLogin)));
    test.role("web", |_| ()).await;
    assert!(matches!(test.log_in("WEB", &made.secret_id).await, Err(AppRoleError::InvalidLogin)));
    test.secret_id("web", chosen()).await;
    assert!(test.log_in("WEB", &made.secret_id).await.is_ok());
}

#[tokio::test]
async fn a_role_id_belongs_to_one_role() {
    let test = Fixture::start().await;
    test.role("web", |_| ()).await;
    let taken = test.write_role("api", |role| role.role_id = "WEB".into()).await;
    assert!(matches!(taken, Err(AppRoleError::RoleIdTaken)));
    test.write_role("web", |role| role.role_id = "other".into()).await.expect("written");
    test.write_role("api", |role| role.role_id = "WEB".into()).await.expect("free again");
    let of_web = test.secret_id("web", plain()).await.secret_id;
    assert!(test.log_in("WEB", &of_web).await.is_err());
    let issued = test.log_in("other", &of_web).await.expect("logged in");
    assert_eq!(issued.entry.meta["role_name"], "web");
}

#[tokio::test]
async fn metadata_cannot_claim_another_role() {
    let test = Fixture::start().await;
    test.role("web", |_| ()).await;
    let metadata = [("role_name", "admin"), ("host", "a")].map(|(key, value)| (key.into(), value.into())).into();
    let made = test.secret_id("web", NewSecretId { metadata, ..plain() }).await;
    let issued = test.log_in("WEB", &made.secret_id).await.expect("logged in");
    assert_eq!((issued.entry.meta["role_name"].as_str(), issued.entry.meta["host"].as_str()), ("web", "a"));
}

#[tokio::test]
async fn a_login_from_the_wrong_place_costs_no_use() {
    let test = Fixture::start().await;
    test.role("web", |role| role.secret_id_num_uses = 1).await;
    let elsewhere = vec!["10.0.0.0/8".parse().expect("a network")];
    let made = test.secret_id("web", plain()).await;
    test.role("web", |role| role.secret_id_bound_cidrs = elsewhere).await;
    for _ in 0..9 {
        let refused = test.log_in("WEB", &made.secret_id).await.expect_err("from elsewhere").to_string();
        assert_eq!(refused, "source address \"127.0.0.1\" unauthorized through CIDR restrictions on the role");
    }
    test.role("web", |role| role.secret_id_bound_cidrs.clear()).await;
    assert!(test.log_in("WEB", &made.secret_id).await.is_ok());
}

#[tokio::test]
async fn renewal_goes_by_the_role_as_it_is_now() {
    let test = Fixture::start().await;
    test.role("web", |role| role.token.ttl = 60).await;
    let made = test.secret_id("web", plain()).await;
    let token = test.log_in("WEB", &made.secret_id).await.expect("logged in").token;
    test.role("web", |role| (role.token.ttl, role.token.max_ttl) = (90, 100)).await;
    test.pass(30);
    assert_eq!(test.renew(&token).await.expect("renewed").entry.remaining(test.core.now()), 70, "90, capped by 100");
    test.delete_role("web").await;
    let refused = test.renew(&token).await.expect_err("the role is gone").to_string();
    assert!(refused.contains("\"web\" does not exist"), "{refused}");
}

#[tokio::test]
async fn renewal_ends_with_the_user_or_its_policies() {
    let test = Fixture::start().await;
    let policies = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    test.user("ann", Some("pw"), |user| user.policies = policies(&["b", "a"])).await;
    let issued = test.sign_in("Ann", "pw").await.expect("logged in");
    assert_eq!(issued.entry.display_name, "userpass-ann");
    test.user("ann", None, |user| user.policies = policies(&["A", "b", "default"])).await;
    test.renew(&issued.token).await.expect("the same policies");
    test.user("ann", None, |user| user.policies = policies(&["a"])).await;
    let refused = test.renew(&issued.token).await.expect_err("other policies").to_string();
    assert_eq!(refused, "policies have changed, not renewing");
    test.user("ann", None, |user| user.policies = policies(&["a", "b"])).await;
    test.renew(&issued.token).await.expect("the same again");
    let permit = test.permit(Delete, "auth/userpass/users/ann").await;
    test.core.logins().userpass().delete_user(permit).await.expect("deleted");
    assert!(test.renew(&issued.token).await.is_err());
}

#[tokio::test]
async fn a_secret_id_is_guessed_five_times_at_the_most() {
    let test = Fixture::start().await;
    test.role("web", |_| ()).await;
    let made = test.secret_id("web", plain()).await;
    for _ in 0..5 {
        assert!(matches!(test.log_in("WEB", &"guess".into()).await, Err(AppRoleError::InvalidLogin)));
    }
    assert!(matches!(test.log_in("WEB", &made.secret_id).await, Err(AppRoleError::Locked)));
    test.pass(900);
    assert!(test.log_in("WEB", &made.secret_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guessing_at_once_gets_no_further_than_guessing_in_a_row() {
    let test = Fixture::start().await;
    test.user("ann", Some("pw"), |_| ()).await;
    let attempts: Vec<_> = (0..24)
        .map(|index| {
            let test = Arc::clone(&test);
            tokio::spawn(async move { test.sign_in("ann", &format!("guess {index}")).await })
        })
        .collect();
    let mut looked_at = 0;
    for attempt in attempts {
        match attempt.await.expect("no panic") {
            Err(UserPassError::InvalidLogin) => looked_at += 1,
            Err(UserPassError::Denied) => {}
            other => unreachable!("{other:?}"),
        }
    }
    // Up to three more may be at work when the fifth fails.
    assert!((5..=8).contains(&looked_at), "{looked_at}");
    assert!(matches!(test.sign_in("ann", "pw").await, Err(UserPassError::Denied)));
}

#[tokio::test]
async fn mounts_are_apart_and_say_which_tokens_they_issue() {
    let test = Fixture::start().await;
    let config = MountConfig { token_type: Some("batch".into()), ..MountConfig::default() };
    test.mount("auth/other", Engine::UserPass, config).await;
    test.user("ann", Some("here"), |_| ()).await;
    let permit = test.permit(Update, "auth/other/users/ann").await;
    let same = |_: &mut TokenSettings| Ok(());
    let users = test.core.logins().userpass();
    users.write_user::<UserPassError>(permit, Some("there".into()), same).await.expect("written");
    assert!(matches!(test.sign_in("ann", "there").await, Err(UserPassError::InvalidLogin)));
    assert_eq!(test.sign_in("ann", "here").await.expect("logged in").entry.kind, TokenKind::Service);
    let permit = test.permit(Update, "auth/other/login/ann").await;
    let issued = users.login(permit, "there".into()).await.expect("logged in");
    assert_eq!((issued.entry.kind, issued.entry.renewable), (TokenKind::Batch, false));
    // The path of one method is none of the other's.
    let permit = test.permit(Read, "auth/other/users/ann").await;
    assert!(matches!(test.core.logins().approle().read_role(permit).await, Err(AppRoleError::UnsupportedPath)));
}
