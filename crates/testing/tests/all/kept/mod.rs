//! Cubbyholes, wrapped answers and leases, on a store in memory with a clock that is moved by hand.

mod cubbyhole;
mod lease;
mod wrapping;

use std::sync::Arc;

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    cubbyhole::{CubbyholeError, MAX_ENTRIES},
    door::{Answer, Ask, Credential, Permit, Refusal},
    lease::LeaseError,
    node::Node,
    policy::Operation::{self, Delete, List, Read, Update},
    secret::{SecretBytes, SecretString},
    storage::{Commit, Storage as _, Transaction, Write},
    token::{CreateToken, Issued, Which},
    wrapping::{WrapInfo, Wrapped, WrappingError},
};
use keyturn_storage::{barrier::BarrierOptions, seal::ShamirSeal};
use keyturn_testing::TestNode;

const SECRET: &str = "{\"data\":{\"password\":\"hunter2\"}}";

struct Fixture {
    node: TestNode,
    core: Arc<Core>,
}

impl Fixture {
    async fn start() -> Arc<Self> {
        let node = TestNode::start().await.expect("a node");
        let core = node.core().expect("open");
        Arc::new(Self { node, core })
    }

    fn root(&self) -> &SecretString {
        &self.node.root_token
    }

    async fn ask(&self, token: &SecretString, operation: Operation, path: &str, text: &str) -> Result<Permit, Refusal> {
        let data = SecretBytes::new(text.as_bytes().to_vec());
        let ask = Ask { credential: Some(Credential::Token(token)), data: &data, ..Ask::new("test", operation, path) };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted
    }

    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.ask(self.root(), operation, path, "").await.expect("permitted")
    }

    async fn token(&self, ask: CreateToken) -> Issued {
        let permit = self.permit(Update, "auth/token/create").await;
        self.core.tokens().create(permit, ask, None, false).await.expect("a token")
    }

    async fn keep(&self, token: &SecretString, name: &str) -> Result<(), CubbyholeError> {
        let permit = self.ask(token, Update, &format!("cubbyhole/{name}"), "{\"k\":1}").await.expect("permitted");
        self.core.cubbyhole().write(permit, &SecretBytes::new(b"{\"k\":1}".to_vec())).await
    }

    async fn kept(&self, token: &SecretString, name: &str) -> bool {
        let permit = self.ask(token, Read, &format!("cubbyhole/{name}"), "").await.expect("permitted");
        self.core.cubbyhole().read(permit).await.expect("read").is_some()
    }

    /// Wraps [`SECRET`] as the answer to a read.
    async fn wrap(&self, ttl: u64) -> WrapInfo {
        let ask = Ask {
            credential: Some(Credential::Token(self.root())),
            wrap_ttl: Some(ttl),
            ..Ask::new("test", Read, "secret/data/db")
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        admitted.expect("permitted").spend();
        let answer = Wrapped { code: 200, body: SecretBytes::new(SECRET.as_bytes().to_vec()) };
        let info = exchange.wrap(&answer, None).await.expect("wrapped");
        exchange.conclude(Answer { wrapped: Some(&info), ..Answer::default() }).await.expect("recorded");
        info
    }

    /// Unwraps as somebody else, who names the token.
    async fn unwrap(&self, token: &SecretString) -> Result<String, Refusal> {
        let named = format!("{{\"token\":\"{}\"}}", token.expose_secret());
        let permit = self.ask(self.root(), Update, "sys/wrapping/unwrap", &named).await?;
        match self.core.wrapping().unwrap(permit, Some(token)).await {
            Ok(wrapped) => Ok(String::from_utf8(wrapped.body.expose_secret().to_vec()).expect("UTF-8")),
            Err(WrappingError::Store(error)) => Err(error.into()),
            Err(_) => Err(Refusal::NotWrapping),
        }
    }

    /// Unwraps with the wrapping token as one's own.
    async fn unwrap_own(&self, token: &SecretString) -> Result<String, Refusal> {
        let path = "sys/wrapping/unwrap";
        let ask = Ask { credential: Some(Credential::Token(token)), ..Ask::new("test", Update, path) };
        let (exchange, admitted) = self.core.admit(ask).await;
        let unwrapped = match admitted {
            Err(refusal) => Err(refusal),
            Ok(permit) => {
                let wrapped = self.core.wrapping().unwrap(permit, None).await.expect("an answer");
                Ok(String::from_utf8(wrapped.body.expose_secret().to_vec()).expect("UTF-8"))
            }
        };
        exchange.conclude(Answer::default()).await.expect("recorded");
        unwrapped
    }

    async fn revoke(&self, which: Which<'_>) {
        let permit = self.permit(Update, "auth/token/revoke").await;
        self.core.tokens().revoke(permit, which).await.expect("revoked");
    }

    /// Changes the store behind the server's back.
    async fn meddle(&self, writes: Vec<Write>) {
        let done = self.node.storage.commit(Transaction { expect: Vec::new(), writes }).await.expect("committed");
        assert!(matches!(done, Commit::Committed(_)));
    }

    /// How many records lie below a prefix.
    async fn records(&self, prefix: &str) -> usize {
        self.node.storage.keys(prefix.as_bytes(), None, 10_000).await.expect("keys").len()
    }
}

fn lasting(ttl: u64) -> CreateToken {
    CreateToken { ttl, renewable: true, policies: vec!["default".into()], ..CreateToken::default() }
}

fn is_not_wrapping(outcome: &Result<String, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::NotWrapping))
}
