//! A node whose process may die and be started again, with one secret, `secret/app/db`, and its target.

use std::{sync::Arc, time::Duration};

use keyturn_core::{
    clock::{ManualClock, SignedDuration},
    core::Core,
    database::{Connection, DatabaseError},
    door::{Answer, Ask, Credential, Permit},
    kv::{NewVersion, Payload, Reading, Secret, Select, Verdict},
    mount::{Enable, Engine, MountConfig},
    node::Node,
    policy::Operation,
    rotation::{Phase, RotationError, RotationView, Settings, Strategy},
    secret::SecretString,
    storage::Storage as _,
};
use keyturn_testing::{
    Elsewhere,
    crash::{self, Faults},
};

use super::fake::{Fake, Watch};

pub(crate) const SECRET: &str = "secret/app/db";

pub(crate) struct World {
    pub(crate) outer: crash::World,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faults: Faults,
    pub(crate) fake: Fake,
    /// Whether targets are the fake, and not connections of the database engine.
    faked: bool,
    pub(crate) elsewhere: Arc<Elsewhere>,
    pub(crate) token: SecretString,
    pub(crate) node: Arc<Node>,
    pub(crate) core: Arc<Core>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut world = Self::over(crash::World::new().await.expect("a world")).await;
        world.faked = true;
        world.core.rotations().connect(Arc::new(world.fake.clone()));
        world
    }

    /// One whose targets are connections of the database engine.
    pub(crate) async fn over(outer: crash::World) -> Self {
        let (clock, elsewhere, token) = (outer.clock.clone(), outer.elsewhere.clone(), outer.root_token.clone());
        let faults = Faults::default();
        let fake = Fake { faults: faults.clone(), ..Fake::default() };
        let node = outer.boot(&faults).await.expect("booted");
        let core = node.core().expect("open");
        Self { outer, clock, faults, fake, faked: false, elsewhere, token, node, core }
    }

    /// Another process over the same store, after this one died or was ended.
    pub(crate) async fn restart(&mut self) {
        self.faults.kill().await;
        self.faults = Faults::default();
        self.fake.faults = self.faults.clone();
        self.node = self.outer.boot(&self.faults).await.expect("booted");
        self.core = self.node.core().expect("open");
        if self.faked {
            self.core.rotations().connect(Arc::new(self.fake.clone()));
        }
        if self.fake.watch.lock().expect("unpoisoned").is_some() {
            self.watch();
        }
    }

    pub(crate) async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.permit_for(&self.token, operation, path).await
    }

    /// In a process that dies, there may be none.
    pub(crate) async fn try_permit(&self, operation: Operation, path: &str) -> Option<Permit> {
        try_permit(&self.core, &self.token, operation, path).await
    }

    pub(crate) async fn permit_for(&self, token: &SecretString, operation: Operation, path: &str) -> Permit {
        permit(&self.core, token, operation, path).await
    }

    pub(crate) async fn configure(&self, settings: Settings) -> Result<(), RotationError> {
        let permit = self.permit(Operation::Update, &format!("sys/rotation/{SECRET}")).await;
        let change = |before: &mut Settings| {
            before.clone_from(&settings);
            Ok(())
        };
        self.core.rotations().configure(permit, Some(settings.strategy), change).await
    }

    pub(crate) async fn run(&self) -> Result<String, RotationError> {
        let permit = self.permit(Operation::Update, &format!("sys/rotation-run/{SECRET}")).await;
        self.core.rotations().run(permit, String::new(), false).await
    }

    pub(crate) async fn view(&self) -> RotationView {
        let permit = self.permit(Operation::Read, &format!("sys/rotation/{SECRET}")).await;
        self.core.rotations().read(permit).await.expect("a rotation")
    }

    pub(crate) async fn secret(&self) -> Secret {
        let permit = self.permit(Operation::Read, "secret/metadata/app/db").await;
        self.core.kv().describe(permit, &|_| Verdict::Allowed).await.expect("a secret")
    }

    /// What the current version holds.
    pub(crate) async fn current(&self) -> Option<(u64, String, String)> {
        current(&self.core, &self.token).await
    }

    /// Looks from now on after each call at the target whether the current credential is good.
    pub(crate) fn watch(&self) {
        let watch = Watch { core: Arc::downgrade(&self.core), token: self.token.clone() };
        *self.fake.watch.lock().expect("unpoisoned") = Some(watch);
    }

    pub(crate) async fn read_as(&self, token: &SecretString, number: Option<u64>) -> u64 {
        let permit = self.permit_for(token, Operation::Read, "secret/data/app/db").await;
        match self.core.kv().read(permit, number).await.expect("read") {
            Reading::Live(view, _) => view.version.number,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn read_staged(&self, stage: &str) -> bool {
        let permit = self.permit(Operation::Read, "secret/data/app/db").await;
        let select = Select { id: None, stage: Some(stage) };
        self.core.kv().read_labelled(permit, select, &|_| Verdict::Allowed).await.is_ok()
    }

    pub(crate) async fn write(&self, fields: &str) {
        let permit = self.permit(Operation::Update, "secret/data/app/db").await;
        let payload = Payload::from_text(fields.as_bytes().to_vec().into());
        self.core.kv().write(permit, NewVersion { payload, cas: None }).await.expect("written");
    }

    /// One round of upkeep, to the end of what it starts.
    pub(crate) async fn tend(&self) {
        // In a process that dies, it fails.
        let _ = self.core.tend().await;
        tokio::time::timeout(Duration::from_secs(60), self.core.rotations().settled()).await.expect("it ends");
    }

    pub(crate) async fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
        self.tend().await;
    }

    /// Goes on until nothing is under way; `false`: it does not come to an end.
    pub(crate) async fn finish(&self) -> bool {
        for _ in 0..200 {
            self.tend().await;
            let permit = self.permit(Operation::Read, &format!("sys/rotation/{SECRET}")).await;
            let view = self.core.rotations().read(permit).await;
            if self.faults.is_dead() {
                return false;
            }
            let view = view.expect("a rotation");
            if view.rotation.phase == Phase::Idle && view.rotation.asked.is_none() {
                return true;
            }
            self.clock.advance(SignedDuration::from_secs(61));
        }
        panic!("it does not end: {:?}", self.view().await);
    }

    /// Keys below a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.outer.storage.keys(prefix.as_bytes(), None, 1000).await.expect("keys");
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }
}

pub(crate) fn settings(strategy: Strategy) -> Settings {
    let (target, users): (_, &[&str]) = match strategy {
        Strategy::Alternating => ("db", &["app_a", "app_b"]),
        Strategy::DualCredential | Strategy::InPlace => ("db", &["app"]),
        Strategy::Hook | Strategy::Generated => ("", &[]),
    };
    Settings {
        target: target.to_owned(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        owner_role: if target.is_empty() { String::new() } else { "app_owner".to_owned() },
        overlap_min: 0,
        look_back: 600,
        ..Settings::new(strategy)
    }
}

impl World {
    /// The uuid of `secret/`.
    pub(crate) async fn mount(&self) -> String {
        self.core.mounts().at("secret/").expect("mounted").uuid.clone()
    }
}

pub(crate) async fn permit(core: &Core, token: &SecretString, operation: Operation, path: &str) -> Permit {
    try_permit(core, token, operation, path).await.expect("admitted")
}

/// In a process that dies, there may be none.
pub(crate) async fn try_permit(core: &Core, token: &SecretString, operation: Operation, path: &str) -> Option<Permit> {
    let ask = Ask {
        credential: Some(Credential::Token(token)),
        remote: Some(([10, 0, 0, 7], 1000).into()),
        ..Ask::new("test", operation, path)
    };
    let (exchange, admitted) = core.admit(ask).await;
    exchange.conclude(Answer::default()).await.expect("recorded");
    admitted.ok()
}

/// What the current version of the secret holds.
pub(crate) async fn current(core: &Core, token: &SecretString) -> Option<(u64, String, String)> {
    let permit = permit(core, token, Operation::Read, "secret/data/app/db").await;
    // In a process that dies, it fails.
    match core.kv().read(permit, None).await.ok()? {
        Reading::Live(view, payload) => {
            let text = payload.into_json_object();
            let fields: serde_json::Value = serde_json::from_slice(text.expose_secret()).expect("JSON");
            let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            Some((view.version.number, field("username"), field("password")))
        }
        _ => None,
    }
}

impl World {
    /// Another node over the same store and target.
    pub(crate) async fn another_node(&self) -> Self {
        let node = self.outer.boot(&self.faults).await.expect("booted");
        let core = node.core().expect("open");
        core.rotations().connect(Arc::new(self.fake.clone()));
        Self {
            outer: self.outer.clone(),
            clock: self.clock.clone(),
            faults: self.faults.clone(),
            fake: self.fake.clone(),
            faked: self.faked,
            elsewhere: self.elsewhere.clone(),
            token: self.token.clone(),
            node,
            core,
        }
    }

    /// The current version's fields, as JSON.
    pub(crate) async fn fields(&self) -> String {
        let permit = self.permit(Operation::Read, "secret/data/app/db").await;
        match self.core.kv().read(permit, None).await.expect("read") {
            Reading::Live(_, payload) => {
                String::from_utf8(payload.into_json_object().expose_secret().to_vec()).expect("UTF-8")
            }
            other => panic!("{other:?}"),
        }
    }
}

impl World {
    /// Makes the connection `db`, which rotations know as a target.
    pub(crate) async fn connect_database(&self, connection: Connection) {
        let mount = Enable {
            path: "database/".to_owned(),
            engine: Engine::Database,
            description: String::new(),
            options: [].into(),
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
        };
        let permit = self.permit(Operation::Update, "sys/mounts/database").await;
        self.core.mounts().enable(permit, mount).await.expect("mounted");
        let permit = self.permit(Operation::Update, "database/config/db").await;
        let write = self.core.database().write_connection(permit, true, |_| Ok::<_, DatabaseError>(connection));
        write.await.expect("written");
    }

    /// The user name that a version holds.
    pub(crate) async fn username_of(&self, version: u64) -> String {
        let permit = self.permit(Operation::Read, "secret/data/app/db").await;
        match self.core.kv().read(permit, Some(version)).await.expect("read") {
            Reading::Live(_, payload) => {
                let text = payload.into_json_object();
                let fields: serde_json::Value = serde_json::from_slice(text.expose_secret()).expect("JSON");
                fields["username"].as_str().unwrap_or_default().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }
}
