//! The trust in tokens of an identity provider: keys that are fetched once, found again when they change, and never
//! fetched because somebody invents key ids; logins through a browser that end once.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential as Presented, Permit},
    login::jwt::{Callback, JwtConfig, JwtError, JwtRole, RoleType},
    mount::{Enable, Engine, MountConfig},
    outbound::Credential,
    policy::Operation::{self, Read, Update},
    secret::SecretString,
    token::Issued,
};
use keyturn_testing::TestNode;
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example";
const DISCOVERY: &str = "https://id.example/.well-known/openid-configuration";
const KEYS: &str = "https://id.example/keys";
const TOKENS: &str = "https://id.example/token";
const CALLBACK: &str = "http://localhost:8250/oidc/callback";

/// A key of the provider.
struct Signer {
    id: String,
    pair: rcgen::KeyPair,
}

impl Signer {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a pair") }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key_raw());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x})
    }

    fn sign(&self, claims: &Value) -> SecretString {
        self.sign_as(&self.id, claims)
    }

    fn sign_as(&self, id: &str, claims: &Value) -> SecretString {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(&self.pair.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).expect("signed").into()
    }
}

/// A node with a JWT method at `auth/jwt` that trusts a provider.
struct Fixture {
    node: TestNode,
    core: Arc<Core>,
    signer: Signer,
}

impl Fixture {
    async fn start() -> Arc<Self> {
        let node = TestNode::start().await.expect("a node");
        let core = node.core().expect("open");
        let fixture = Self { node, core, signer: Signer::new("first") };
        let what = Enable {
            path: "auth/jwt".to_owned(),
            engine: Engine::Jwt,
            description: String::new(),
            options: BTreeMap::new(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        };
        let permit = fixture.permit(Update, "sys/auth/jwt").await;
        fixture.core.mounts().enable(permit, what).await.expect("mounted");
        fixture.publish(&[&fixture.signer]);
        fixture.configure().await;
        fixture.role("ci", |role| role.role_type = RoleType::Jwt).await;
        fixture.role("people", |role| role.allowed_redirect_uris = vec![CALLBACK.to_owned()]).await;
        Arc::new(fixture)
    }

    fn publish(&self, signers: &[&Signer]) {
        let document = json!({"issuer": ISSUER, "jwks_uri": KEYS, "token_endpoint": TOKENS,
            "authorization_endpoint": "https://id.example/authorize"});
        self.node.elsewhere.answer(DISCOVERY, 200, document.to_string());
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        self.node.elsewhere.answer(KEYS, 200, json!({ "keys": keys }).to_string());
    }

    async fn configure(&self) {
        let config = JwtConfig {
            oidc_discovery_url: ISSUER.to_owned(),
            oidc_client_id: "keyturn".to_owned(),
            oidc_client_secret: "s3cret".into(),
            ..JwtConfig::default()
        };
        let permit = self.permit(Update, "auth/jwt/config").await;
        self.core.logins().jwt().write_config(permit, config, false).await.expect("written");
    }

    async fn role(&self, name: &str, change: impl FnOnce(&mut JwtRole)) {
        let permit = self.permit(Update, &format!("auth/jwt/role/{name}")).await;
        let change = |role: &mut JwtRole| {
            role.user_claim = "sub".to_owned();
            role.bound_audiences = vec!["keyturn".to_owned()];
            role.groups_claim = "groups".to_owned();
            change(role);
            Ok::<_, JwtError>(())
        };
        self.core.logins().jwt().write_role(permit, change).await.expect("written");
    }

    /// A permit as root, from loopback.
    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        let ask = Ask {
            credential: Some(Presented::Token(&self.node.root_token)),
            remote: Some(SocketAddr::from(([127, 0, 0, 1], 4711))),
            ..Ask::new("test", operation, path)
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted.expect("root may")
    }

    fn claims(&self) -> Value {
        let now = self.core.now().as_second();
        json!({"iss": ISSUER, "sub": "ann", "aud": "keyturn", "iat": now, "exp": now + 300, "groups": ["dev"]})
    }

    fn pass(&self, seconds: i64) {
        self.node.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn fetches(&self) -> usize {
        self.node.elsewhere.times(KEYS)
    }

    async fn log_in(&self, token: &SecretString) -> Result<Issued, JwtError> {
        let permit = self.permit(Update, "auth/jwt/login").await;
        self.core.logins().jwt().login(permit, "ci", token).await
    }

    async fn begin(&self) -> BTreeMap<String, String> {
        let permit = self.permit(Update, "auth/jwt/oidc/auth_url").await;
        let url = self.core.logins().jwt().auth_url(permit, "people", CALLBACK, SecretString::default()).await;
        let url = url.expect("a URL");
        let query = url.split_once('?').expect("a query").1;
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    async fn end(&self, state: &str) -> Result<Issued, JwtError> {
        let permit = self.permit(Read, "auth/jwt/oidc/callback").await;
        let callback = Callback { state: state.into(), code: "code".into(), ..Callback::default() };
        self.core.logins().jwt().callback(permit, callback).await
    }

    /// What the token endpoint answers: an ID token for `query`.
    fn grant(&self, query: &BTreeMap<String, String>) {
        let mut claims = self.claims();
        claims["nonce"] = json!(query["nonce"]);
        let id_token = self.signer.sign(&claims);
        let answer = json!({ "id_token": id_token.expose_secret() });
        self.node.elsewhere.answer(TOKENS, 200, answer.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_logins_fetch_the_keys_once() {
    let test = Fixture::start().await;
    let before = test.fetches();
    let token = test.signer.sign(&test.claims());
    let attempts: Vec<_> = (0..32)
        .map(|_| {
            let (test, token) = (Arc::clone(&test), token.clone());
            tokio::spawn(async move { test.log_in(&token).await })
        })
        .collect();
    for attempt in attempts {
        attempt.await.expect("no panic").expect("logged in");
    }
    assert_eq!(test.fetches() - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invented_key_ids_cause_a_few_fetches_and_no_more() {
    let test = Fixture::start().await;
    let before = test.fetches();
    let forger = Signer::new("forger");
    let attempts: Vec<_> = (0..200)
        .map(|number| {
            let token = forger.sign_as(&format!("invented-{number}"), &test.claims());
            let test = Arc::clone(&test);
            tokio::spawn(async move { test.log_in(&token).await })
        })
        .collect();
    for attempt in attempts {
        assert!(matches!(attempt.await.expect("no panic"), Err(JwtError::Token(_) | JwtError::Keys(_))));
    }
    assert!(test.fetches() - before <= 3, "{}", test.fetches() - before);
    test.log_in(&test.signer.sign(&test.claims())).await.expect("the known key is still good");
    test.pass(10);
    let newer = Signer::new("second");
    test.publish(&[&newer]);
    test.log_in(&newer.sign(&test.claims())).await.expect("after a pause a new key is found");
}

#[tokio::test]
async fn keys_are_fetched_anew_when_they_are_old() {
    let test = Fixture::start().await;
    test.log_in(&test.signer.sign(&test.claims())).await.expect("logged in");
    let newer = Signer::new("second");
    test.publish(&[&newer]);
    let old = |test: &Fixture| test.signer.sign(&test.claims());
    test.log_in(&old(&test)).await.expect("not asked yet");
    test.pass(3600);
    assert!(test.log_in(&old(&test)).await.is_err(), "the provider has taken the key back");
}

#[tokio::test]
async fn a_provider_that_is_away_is_missed_only_after_a_day() {
    let test = Fixture::start().await;
    test.log_in(&test.signer.sign(&test.claims())).await.expect("logged in");
    test.node.elsewhere.forget(KEYS);
    test.pass(23 * 3600);
    test.log_in(&test.signer.sign(&test.claims())).await.expect("the known keys are used");
    test.pass(2 * 3600);
    assert!(matches!(test.log_in(&test.signer.sign(&test.claims())).await, Err(JwtError::Keys(_))));
    test.pass(60);
    test.publish(&[&test.signer]);
    test.log_in(&test.signer.sign(&test.claims())).await.expect("it is back");
}

#[tokio::test]
async fn a_provider_that_was_never_reached_is_not_asked_for_each_login() {
    let test = Fixture::start().await;
    test.node.elsewhere.forget(DISCOVERY);
    let before = test.node.elsewhere.times(DISCOVERY);
    for _ in 0..50 {
        assert!(matches!(test.log_in(&test.signer.sign(&test.claims())).await, Err(JwtError::Keys(_))));
    }
    assert_eq!(test.node.elsewhere.times(DISCOVERY) - before, 3);
}

#[tokio::test]
async fn a_token_is_judged_without_a_login_by_the_same_rules() {
    let test = Fixture::start().await;
    let verify = async |token: &SecretString| {
        let permit = test.permit(Update, "auth/jwt/login").await;
        test.core.logins().jwt().verify(permit, "CI", token).await
    };
    let trusted = verify(&test.signer.sign(&test.claims())).await.expect("trusted");
    assert_eq!((trusted.role.as_str(), trusted.identity.alias.as_str()), ("ci", "ann"));
    assert_eq!(trusted.identity.groups, ["dev"]);
    assert_eq!(trusted.claims["iss"], ISSUER);
    let mut expired = test.claims();
    (expired["iat"], expired["exp"]) = (json!(1), json!(2));
    assert!(matches!(verify(&test.signer.sign(&expired)).await, Err(JwtError::Token(_))));
    let elsewhere = test.permit(Update, "auth/token/create").await;
    let refused = test.core.logins().jwt().verify(elsewhere, "ci", &"a.b.c".into()).await;
    assert!(matches!(refused, Err(JwtError::UnsupportedPath)));
}

#[tokio::test]
async fn a_token_is_good_up_to_its_last_second() {
    let test = Fixture::start().await;
    let token = test.signer.sign(&test.claims());
    test.pass(300 + 60);
    test.log_in(&token).await.expect("a minute after its end, as clocks may be apart");
    test.pass(1);
    assert!(matches!(test.log_in(&token).await, Err(JwtError::Token(_))), "replayed too late");
}

#[tokio::test]
async fn a_token_of_which_one_character_differs_is_another() {
    let test = Fixture::start().await;
    let token = test.signer.sign(&test.claims());
    let text = token.expose_secret();
    for at in 0..text.len() {
        let other = if text[at..].starts_with('A') { "B" } else { "A" };
        for changed in [other, "", ".", "="] {
            let forged = format!("{}{changed}{}", &text[..at], &text[at + 1..]);
            // A dot in the place of a dot changes nothing.
            if forged != text {
                assert!(test.log_in(&forged.as_str().into()).await.is_err(), "{at} {changed}");
            }
        }
    }
    test.log_in(&token).await.expect("the token itself is good");
}

#[tokio::test]
async fn a_document_must_not_lead_out_of_https() {
    let test = Fixture::start().await;
    let document = json!({"issuer": ISSUER, "jwks_uri": "http://id.example/keys"});
    test.node.elsewhere.answer(DISCOVERY, 200, document.to_string());
    let permit = test.permit(Update, "auth/jwt/config").await;
    let config = JwtConfig { oidc_discovery_url: ISSUER.to_owned(), ..JwtConfig::default() };
    let refused = test.core.logins().jwt().write_config(permit, config, false).await;
    assert!(refused.expect_err("refused").to_string().contains("not https"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_come_back_with_one_state_one_logs_in() {
    let test = Fixture::start().await;
    let query = test.begin().await;
    test.grant(&query);
    let attempts: Vec<_> = (0..16)
        .map(|_| {
            let (test, state) = (Arc::clone(&test), query["state"].clone());
            tokio::spawn(async move { test.end(&state).await })
        })
        .collect();
    let mut good = 0;
    for attempt in attempts {
        good += usize::from(attempt.await.expect("no panic").is_ok());
    }
    assert_eq!((good, test.node.elsewhere.times(TOKENS)), (1, 1));
}

#[tokio::test]
async fn a_login_through_a_browser_ends_in_time_or_not_at_all() {
    let test = Fixture::start().await;
    let query = test.begin().await;
    test.pass(600);
    test.grant(&query);
    assert!(matches!(test.end(&query["state"]).await, Err(JwtError::Flow(_))));
    let query = test.begin().await;
    test.pass(599);
    test.grant(&query);
    test.end(&query["state"]).await.expect("logged in");
    let asked = test.node.elsewhere.asked();
    let exchange = asked.iter().rfind(|request| request.url == TOKENS).expect("an exchange");
    assert!(matches!(&exchange.credential, Credential::Basic(name, secret)
        if name == "keyturn" && secret.expose_secret() == "s3cret"));
}

#[tokio::test]
async fn a_login_by_a_read_is_recorded_before_it_happens() {
    let test = Fixture::start().await;
    let query = test.begin().await;
    test.grant(&query);
    test.node.audit.set_broken(true);
    let state = query["state"].clone();
    let ask = Ask::new("test", Read, "auth/jwt/oidc/callback");
    let (exchange, admitted) = test.core.admit(ask).await;
    assert!(admitted.is_err(), "no record, no login");
    drop(exchange);
    test.node.audit.set_broken(false);
    test.end(&state).await.expect("the state was not touched");
}
