//! Entities, groups and identity tokens, on a store in memory with a clock that is moved by hand.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential, Permit, Refusal},
    identity::{
        EntityInput, Find, GroupInput, IdentityError,
        oidc::{KeyInput, OidcError, RoleInput},
    },
    login::approle::{AppRoleError, Role},
    mount::{Enable, Engine, MountConfig},
    policy::Operation::{self, Delete, Read, Update},
    secret::SecretString,
    token::Issued,
};
use keyturn_testing::TestNode;

const ORIGIN: &str = "https://keyturn.test";

/// A node with AppRole mounted.
struct Fixture {
    node: TestNode,
    core: Arc<Core>,
}

impl Fixture {
    async fn start() -> Arc<Self> {
        let node = TestNode::start().await.expect("a node");
        let core = node.core().expect("open");
        let fixture = Self { node, core };
        let what = Enable {
            path: "auth/approle".to_owned(),
            engine: Engine::AppRole,
            description: String::new(),
            options: Default::default(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        };
        let permit = fixture.permit(Update, "sys/auth/approle").await;
        fixture.core.mounts().enable(permit, what).await.expect("mounted");
        Arc::new(fixture)
    }

    async fn ask(&self, operation: Operation, path: &str, token: &SecretString) -> Result<Permit, Refusal> {
        let ask = Ask {
            credential: Some(Credential::Token(token)),
            remote: Some(SocketAddr::from(([127, 0, 0, 1], 4711))),
            ..Ask::new("test", operation, path)
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted
    }

    /// A permit as root.
    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.ask(operation, path, &self.node.root_token).await.expect("root may")
    }

    async fn role(&self, name: &str) {
        let permit = self.permit(Update, &format!("auth/approle/role/{name}")).await;
        let change = |role: &mut Role| {
            role.role_id = name.to_uppercase();
            role.bind_secret_id = false;
            role.secret_id_bound_cidrs = vec!["127.0.0.0/8".parse().expect("a network")];
            Ok(())
        };
        self.core.logins().approle().write_role::<AppRoleError>(permit, change).await.expect("written");
    }

    async fn log_in(&self, role: &str) -> Issued {
        let permit = self.permit(Update, "auth/approle/login").await;
        let logged_in =
            self.core.logins().approle().login(permit, &role.to_uppercase(), &SecretString::default()).await;
        logged_in.expect("logged in")
    }

    async fn entity_count(&self) -> usize {
        let permit = self.permit(Read, "identity/entity/id").await;
        self.core.identity().entities(permit).len()
    }

    async fn write_key(&self, name: &str, input: KeyInput) -> Result<(), OidcError> {
        let permit = self.permit(Update, &format!("identity/oidc/key/{name}")).await;
        self.core.oidc().write_key(permit, name, input).await
    }

    /// The ids of the published keys.
    async fn published(&self) -> BTreeSet<String> {
        let told = self.core.oidc().public_keys(self.permit(Read, "identity/oidc/.well-known/keys").await);
        let told: serde_json::Value = serde_json::from_slice(told.expose_secret()).expect("JSON");
        let keys = told["keys"].as_array().expect("a list");
        keys.iter().map(|key| key["kid"].as_str().expect("an id").to_owned()).collect()
    }

    /// An identity token of the holder of `token`.
    async fn id_token(&self, token: &SecretString) -> SecretString {
        let permit = self.ask(Read, "identity/oidc/token/role", token).await.expect("allowed");
        self.core.oidc().issue(permit, "role", ORIGIN).await.expect("issued").token
    }

    async fn introspect(&self, token: &SecretString) -> Result<(), &'static str> {
        let permit = self.permit(Update, "identity/oidc/introspect").await;
        self.core.oidc().introspect(permit, token, "", ORIGIN)
    }

    async fn pass(&self, seconds: i64) {
        self.node.clock.advance(SignedDuration::from_secs(seconds));
        self.core.tend().await.expect("tended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_logins_at_the_same_moment_make_one_entity_each() {
    let fixture = Fixture::start().await;
    let names: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    for name in &names {
        fixture.role(name).await;
    }
    let mut logins = tokio::task::JoinSet::new();
    for attempt in 0..64 {
        let (fixture, name) = (Arc::clone(&fixture), names[attempt % names.len()].clone());
        logins.spawn(async move { (name.clone(), fixture.log_in(&name).await.entry.entity_id) });
    }
    let seen: BTreeSet<(String, String)> = logins.join_all().await.into_iter().collect();
    let ids: BTreeSet<&String> = seen.iter().map(|(_, id)| id).collect();
    assert_eq!((seen.len(), ids.len(), fixture.entity_count().await), (8, 8, 8));
}

#[tokio::test]
async fn what_is_in_the_store_is_what_is_in_memory() {
    let fixture = Fixture::start().await;
    fixture.role("web").await;
    let issued = fixture.log_in("web").await;
    for n in 0..600 {
        let permit = fixture.permit(Update, "identity/entity").await;
        let input = EntityInput { name: Some(format!("e{n}")), ..EntityInput::default() };
        fixture.core.identity().write_entity(permit, input).await.expect("made");
    }
    let id = issued.entry.entity_id.clone();
    let input = GroupInput {
        name: Some("g".into()),
        policies: Some(vec!["p".into()]),
        member_entity_ids: Some(vec![id.clone()]),
        ..GroupInput::default()
    };
    let permit = fixture.permit(Update, "identity/group").await;
    let group = fixture.core.identity().write_group(permit, input).await.expect("made").expect("new");
    assert_eq!(fixture.core.identity().policies_of(&id), ["p"]);

    fixture.node.node.seal(fixture.permit(Update, "sys/seal").await).await;
    fixture.node.node.unseal(fixture.node.share.clone()).await.expect("unsealed");
    let again =
        Fixture { core: fixture.node.core().expect("open"), node: Arc::into_inner(fixture).expect("alone").node };
    assert_eq!(again.entity_count().await, 601);
    assert_eq!(again.core.identity().policies_of(&id), ["p"]);
    assert_eq!(again.log_in("web").await.entry.entity_id, id);

    let permit = again.permit(Delete, "identity/group/id/x").await;
    again.core.identity().delete_group(permit, Find::Id(&group.id)).await.expect("deleted");
    assert!(again.core.identity().policies_of(&id).is_empty());
    let permit = again.permit(Read, "identity/entity/id/x").await;
    assert_eq!(again.core.identity().entity(permit, Find::Id(&id)).expect("there").groups.len(), 0);
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let fixture = Fixture::start().await;
    let permit = fixture.permit(Update, "identity/group").await;
    let input =
        GroupInput { name: Some("g".into()), member_entity_ids: Some(vec!["nobody".into()]), ..GroupInput::default() };
    let refused = fixture.core.identity().write_group(permit, input).await;
    assert!(matches!(refused, Err(IdentityError::Invalid(text)) if text.contains("nobody")));
    let permit = fixture.permit(Read, "identity/group/name/g").await;
    assert!(fixture.core.identity().group(permit, Find::Name("g")).is_none());
}

#[tokio::test]
async fn keys_rotate_on_time_and_verify_as_long_as_they_should() {
    let fixture = Fixture::start().await;
    fixture.role("web").await;
    let permit = fixture.permit(Update, "sys/policies/acl/default").await;
    let policy = r#"path "identity/oidc/token/*" { capabilities = ["read"] }"#;
    fixture.core.policies().write(permit, "default", policy).await.expect("written");
    let input = KeyInput {
        rotation_period: Some(3600),
        verification_ttl: Some(7200),
        allowed_client_ids: Some(vec!["*".into()]),
        algorithm: Some("ES256".into()),
    };
    fixture.write_key("key", input).await.expect("made");
    let permit = fixture.permit(Update, "identity/oidc/role/role").await;
    let input = RoleInput { key: Some("key".into()), ttl: Some(7200), ..RoleInput::default() };
    fixture.core.oidc().write_role(permit, "role", input).await.expect("made");

    let holder = fixture.log_in("web").await.token;
    let first = fixture.id_token(&holder).await;
    let at_first = fixture.published().await;
    fixture.pass(3599).await;
    assert_eq!(fixture.published().await, at_first, "nothing is due");
    fixture.pass(1).await;
    let second = fixture.id_token(&holder).await;
    let after_one = fixture.published().await;
    assert!(after_one.is_superset(&at_first) && after_one.len() == 3, "one more, none less");
    assert_eq!((fixture.introspect(&first).await, fixture.introspect(&second).await), (Ok(()), Ok(())));

    fixture.pass(3599).await;
    assert_eq!(fixture.introspect(&first).await, Ok(()), "in its last second");
    fixture.pass(1).await;
    assert!(fixture.introspect(&first).await.is_err_and(|why| why.contains("expired")));
    assert_eq!(fixture.introspect(&second).await, Ok(()));
    fixture.pass(3600).await;
    assert!(fixture.introspect(&first).await.is_err_and(|why| why.contains("signature")), "its key is gone");
    assert!(!fixture.published().await.is_superset(&at_first));

    // A server that was down for long rotates once, not once for each period that it missed.
    fixture.pass(100 * 3600).await;
    assert_eq!(fixture.published().await.len(), 3);
    assert_eq!(fixture.introspect(&fixture.id_token(&holder).await).await, Ok(()));
}

#[tokio::test]
async fn a_token_and_its_entity_end_together() {
    let fixture = Fixture::start().await;
    fixture.role("web").await;
    let issued = fixture.log_in("web").await;
    let allowed = |fixture: Arc<Fixture>, token: SecretString| async move {
        fixture.ask(Read, "auth/token/lookup-self", &token).await.map(Permit::spend).is_ok()
    };
    assert!(allowed(Arc::clone(&fixture), issued.token.clone()).await);
    let permit = fixture.permit(Delete, "identity/entity/id/x").await;
    fixture.core.identity().delete_entity(permit, Find::Id(&issued.entry.entity_id)).await.expect("deleted");
    assert!(!allowed(Arc::clone(&fixture), issued.token).await);
    let other = fixture.log_in("web").await;
    assert!(other.entry.entity_id != issued.entry.entity_id && allowed(fixture, other.token).await);
}
