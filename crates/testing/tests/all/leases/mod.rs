//! Leases of credentials, at a target that the tests invent: what callers may do with them, what ends them, what becomes
//! of them when the target fails or the process is killed.

mod by_hand;
mod crashes;
mod ends;
mod faults;
mod issue;
mod meanwhile;
mod model;

use std::sync::Arc;

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential, Permit, Refusal},
    lease::{IssuerError, Lease, NewLease, NotIssued, Pending, Undone},
    metrics::LeaseStatistics,
    mount::{Enable, Engine, MountError},
    node::Node,
    policy::Operation::{self, Delete, List, Read, Update},
    secret::SecretString,
    storage::Storage as _,
    token::{CreateToken, Issued, TokenError, Which},
};
use keyturn_testing::{
    PrincipalIssuer, Principals, StartError,
    crash::{Faults, World},
};

/// The path whose leases most tests look at.
const PATH: &str = "db/creds/app";

/// Longer than any intent waits to be confirmed.
const LAPSE: i64 = 200;

/// Longer than any lease may live.
const AGES: i64 = 40 * 86_400;

/// One process over a world, and the target that its leases are at.
struct Process {
    node: Arc<Node>,
    core: Arc<Core>,
    issuer: Arc<PrincipalIssuer>,
    root: SecretString,
}

/// A world with a target in it.
struct Scene {
    world: World,
    target: Arc<Principals>,
}

impl Scene {
    /// A store with an engine that issues credentials at `db/`.
    async fn new() -> Self {
        let scene = Self { world: World::new().await.expect("a world"), target: Arc::default() };
        scene.boot().await.enable("db/").await.expect("mounted");
        scene
    }

    async fn boot(&self) -> Process {
        self.boot_with(&Faults::default()).await.expect("booted")
    }

    async fn boot_with(&self, faults: &Faults) -> Result<Process, StartError> {
        self.register(self.world.boot(faults).await?, faults)
    }

    /// Lets a node issue credentials at the target.
    fn register(&self, node: Arc<Node>, faults: &Faults) -> Result<Process, StartError> {
        let core = node.core()?;
        let issuer = Arc::new(PrincipalIssuer::new(Arc::clone(&self.target), faults.clone()));
        core.leases().register(Engine::Kv1, issuer.clone());
        Ok(Process { node, core, issuer, root: self.world.root_token.clone() })
    }

    fn advance(&self, seconds: i64) {
        self.world.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// The ids of all leases of credentials, from the store.
    async fn leases(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut after = None::<Vec<u8>>;
        loop {
            let page = self.world.storage.keys(b"lease/id/", after.as_deref(), 1000).await.expect("keys");
            ids.extend(page.iter().map(|key| String::from_utf8_lossy(&key["lease/id/".len()..]).into_owned()));
            after = page.last().cloned();
            if page.len() < 1000 {
                return ids;
            }
        }
    }

    /// The keys of all that is stored of leases, but for the marks of tokens that live.
    async fn traces(&self) -> Vec<String> {
        let keys = self.world.storage.keys(b"lease/", None, 1000).await.expect("keys");
        let keys = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned());
        keys.filter(|key| !key.starts_with("lease/owner/")).collect()
    }

    /// Who exists at the target has a lease, and the reverse.
    async fn is_in_step(&self) -> bool {
        self.target.names() == self.leases().await
    }
}

impl Process {
    async fn ask(&self, token: &SecretString, operation: Operation, path: &str) -> Result<Permit, Refusal> {
        let ask = Ask { credential: Some(Credential::Token(token)), ..Ask::new("test", operation, path) };
        let (exchange, admitted) = self.core.admit(ask).await;
        _ = exchange.conclude(Answer::default()).await;
        admitted
    }

    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.ask(&self.root, operation, path).await.expect("permitted")
    }

    async fn enable(&self, path: &str) -> Result<(), MountError> {
        let permit = self.permit(Update, "sys/mounts/x").await;
        let what = Enable {
            path: path.into(),
            engine: Engine::Kv1,
            description: String::new(),
            options: Default::default(),
            config: Default::default(),
            local: false,
            seal_wrap: false,
        };
        self.core.mounts().enable(permit, what).await
    }

    async fn token(&self, ask: CreateToken) -> Result<Issued, TokenError> {
        let permit = self.ask(&self.root, Update, "auth/token/create").await;
        let permit = permit.map_err(|_| TokenError::BadToken)?;
        self.core.tokens().create(permit, ask, None, false).await
    }

    /// Begins as an engine does.
    async fn begin(&self, token: &SecretString, path: &str, new: NewLease) -> Result<Pending, NotIssued> {
        let permit = self.ask(token, Read, path).await.map_err(|_| NotIssued::Denied)?;
        self.core.leases().begin(&permit, new).await
    }

    /// The whole of what an engine does to issue a credential.
    async fn issue(&self, token: &SecretString, path: &str, new: NewLease) -> Result<Lease, NotIssued> {
        let pending = self.begin(token, path, new).await?;
        match self.issuer.create(pending.lease()).await {
            Ok(()) => self.core.leases().confirm(pending).await,
            Err(IssuerError::Unreachable(_)) => {
                self.core.leases().abandon(pending, Undone::Perhaps).await?;
                Err(NotIssued::Denied)
            }
            Err(_) => {
                self.core.leases().abandon(pending, Undone::Nothing).await?;
                Err(NotIssued::Denied)
            }
        }
    }

    async fn credential(&self, ttl: u64) -> Lease {
        self.issue(&self.root, PATH, lasting(ttl)).await.expect("issued")
    }

    async fn revoke_token(&self, token: &SecretString) -> Result<bool, TokenError> {
        let permit = self.ask(&self.root, Update, "auth/token/revoke").await;
        self.core.tokens().revoke(permit.map_err(|_| TokenError::BadToken)?, Which::Token(token)).await
    }

    /// A round of upkeep, and all that it begins.
    async fn tend(&self) {
        self.core.tend().await.expect("tended");
        self.core.leases().settle().await.expect("settled");
        self.core.tend().await.expect("tended");
    }

    async fn statistics(&self) -> LeaseStatistics {
        let permit = self.permit(Read, "sys/metrics").await;
        self.core.statistics(permit).leases
    }

    /// Ends the process in order.
    async fn stop(self) {
        let permit = self.permit(Update, "sys/seal").await;
        self.node.seal(permit).await;
    }
}

fn lasting(ttl: u64) -> NewLease {
    NewLease { role: "app".into(), target: "db".into(), ttl, renewable: true, ..NewLease::default() }
}

fn living(ttl: u64) -> CreateToken {
    CreateToken { ttl, policies: vec!["root".into()], renewable: true, ..CreateToken::default() }
}
