//! A rotation function that behaves as AWS's own do: told of each step, it reads and writes the secret through the
//! server that told it. The server dies at every commit and around every request and each of the function's writes.

use std::sync::{Arc, Mutex, Weak};

use keyturn_core::{
    core::Core,
    kv::{Payload, PutVersion, Secret, SecretChange, Select, Verdict},
    outbound::{Body, Outbound, OutboundError, Reply, Request, ServiceAccount},
    policy::Operation::{Read, Update},
    rotation::{Hook, Settings, Strategy},
    secret::{SecretBytes, SecretString},
    storage::BoxFuture,
};
use keyturn_testing::crash::{self, Point, everywhere};

use super::{
    crash::check_at_rest,
    world::{SECRET, World, current, settings, try_permit},
};

/// Failures after which what was begun is taken back.
const TOO_MANY: u32 = 6;

/// A function, and the service whose password it changes.
#[derive(Default)]
struct Function {
    /// The server of the moment, and the function's token there.
    server: Mutex<(Weak<Core>, SecretString)>,
    /// The passwords that the service takes.
    accepted: Mutex<Vec<String>>,
    /// How often the new password is found to be bad.
    failing: Mutex<u32>,
}

fn allowed(_: &Secret) -> Verdict {
    Verdict::Allowed
}

/// What the version of a label holds.
async fn password(core: &Core, token: &SecretString, stage: &str) -> Result<String, String> {
    let permit = try_permit(core, token, Read, "secret/data/app/db").await.ok_or("denied")?;
    let select = Select { id: None, stage: Some(stage) };
    let read = core.kv().read_labelled(permit, select, &allowed).await;
    let (_, _, payload) = read.map_err(|error| error.to_string())?;
    let fields: serde_json::Value =
        serde_json::from_slice(payload.into_json_object().expose_secret()).map_err(|error| error.to_string())?;
    Ok(fields["password"].as_str().unwrap_or_default().to_owned())
}

impl Function {
    fn serve(&self, world: &World) {
        *self.server.lock().expect("unpoisoned") = (Arc::downgrade(&world.core), world.token.clone());
    }

    fn accepts(&self, password: &str) -> bool {
        self.accepted.lock().expect("unpoisoned").iter().any(|one| one == password)
    }

    async fn step(&self, step: &str, version: &str) -> Result<(), String> {
        let (core, token) = self.server.lock().expect("unpoisoned").clone();
        let core = core.upgrade().ok_or("the server is gone")?;
        let permit = async || try_permit(&core, &token, Update, "secret/data/app/db").await.ok_or("denied");
        match step {
            "createSecret" => {
                if password(&core, &token, "pending").await.is_ok() {
                    return Ok(());
                }
                let payload = Payload::from_text(format!(r#"{{"password":"of {version}"}}"#).into_bytes().into());
                let put = PutVersion { id: version.to_owned(), payload, stages: vec!["pending".to_owned()] };
                let change = SecretChange { version: Some(put), ..SecretChange::default() };
                let put = core.kv().update(permit().await?, change, &allowed).await;
                put.map(drop).map_err(|error| error.to_string())
            }
            "setSecret" => {
                let mut both = vec![password(&core, &token, "pending").await?];
                both.push(password(&core, &token, "current").await?);
                *self.accepted.lock().expect("unpoisoned") = both;
                Ok(())
            }
            "testSecret" => {
                let pending = password(&core, &token, "pending").await?;
                let mut left = self.failing.lock().expect("unpoisoned");
                if *left > 0 {
                    *left -= 1;
                    return Err("the service says no".to_owned());
                }
                if self.accepts(&pending) { Ok(()) } else { Err("the new password is refused".to_owned()) }
            }
            "finishSecret" => {
                let permit_to_read = try_permit(&core, &token, Read, "secret/metadata/app/db").await.ok_or("denied")?;
                let secret = core.kv().describe(permit_to_read, &allowed).await.map_err(|error| error.to_string())?;
                let now = secret.staged("current").map(|now| now.id.clone());
                if now.as_deref() == Some(version) {
                    return Ok(());
                }
                let moved = core.kv().move_stage(permit().await?, "current", now.as_deref(), Some(version), &allowed);
                moved.await.map(drop).map_err(|error| error.to_string())
            }
            other => Err(format!("there is no step {other}")),
        }
    }
}

impl Outbound for Function {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        Box::pin(async move {
            let Some(Body::Json(body)) = &request.body else { return Err(OutboundError("no event".to_owned())) };
            let event: serde_json::Value = serde_json::from_slice(body.expose_secret()).expect("JSON");
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(text("SecretId"), SECRET);
            let answer = match self.step(&text("Step"), &text("ClientRequestToken")).await {
                Ok(()) => "null".to_owned(),
                Err(told) => serde_json::json!({"errorMessage": told, "errorType": "Error"}).to_string(),
            };
            Ok(Reply { status: 200, body: SecretBytes::new(answer.into_bytes()) })
        })
    }

    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>> {
        Box::pin(async { None })
    }
}

async fn begin() -> (World, Arc<Function>) {
    let function = Arc::new(Function::default());
    let mut outer = crash::World::new().await.expect("a world");
    outer.outbound = function.clone();
    let world = World::over(outer).await;
    function.serve(&world);
    function.accepted.lock().expect("unpoisoned").push("by hand".to_owned());
    world.write(r#"{"password":"by hand"}"#).await;
    (world, function)
}

async fn play(world: &World, function: &Function, fails: bool) {
    let hook = Hook { url: "http://127.0.0.1:9/".to_owned(), ..Hook::default() };
    let settings = Settings { hook: Some(hook), ..settings(Strategy::Hook) };
    if world.configure(settings).await.is_err() || !world.finish().await {
        return;
    }
    if world.run().await.is_err() || !world.finish().await {
        return;
    }
    if fails {
        *function.failing.lock().expect("unpoisoned") = TOO_MANY;
        if world.run().await.is_ok() {
            world.finish().await;
        }
    }
}

async fn check_current(world: &World, function: &Function, what: &str) {
    let (_, _, password) = current(&world.core, &world.token).await.expect("a current version");
    assert!(function.accepts(&password), "{what}: the current password is refused");
}

/// Whether it came to that.
async fn strike(fails: bool, point: Option<Point>) -> bool {
    let what = format!("fails: {fails}, {point:?}");
    let (mut world, function) = begin().await;
    if let Some(point) = point {
        world.faults.arm_at(point.place, point.step, point.fault);
    }
    play(&world, &function, fails).await;
    let struck = world.faults.has_struck();
    if world.faults.is_dead() {
        world.restart().await;
        function.serve(&world);
    }
    world.faults.disarm();
    check_current(&world, &function, &what).await;
    if world.keys(&format!("kv/{}/rotation/", world.mount().await)).await.is_empty() {
        return struck;
    }
    world.finish().await;
    check_current(&world, &function, &what).await;
    check_at_rest(&world, Strategy::Hook, &what).await;
    if !struck {
        let view = world.view().await;
        assert_eq!(view.rotation.failure.is_some(), fails, "{what}: {:?}", view.rotation);
    }
    // It is not stuck: the next one comes about.
    *function.failing.lock().expect("unpoisoned") = 0;
    let before = current(&world.core, &world.token).await;
    world.run().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    world.finish().await;
    check_at_rest(&world, Strategy::Hook, &what).await;
    check_current(&world, &function, &what).await;
    assert_ne!(current(&world.core, &world.token).await, before, "{what}: {:?}", world.view().await.rotation);
    struck
}

#[tokio::test]
async fn a_function_survives_every_crash() {
    for fails in [false, true] {
        assert!(!strike(fails, None).await);
        let points = everywhere(async |point| strike(fails, Some(point)).await).await;
        assert!(points > 30, "there are more than {points} points");
    }
}
