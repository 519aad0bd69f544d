//! Hooks: what they are told, what becomes of what they wrote when they fail or die, and the labels that others left.

use std::sync::{Arc, Mutex, Weak};

use keyturn_core::{
    core::Core,
    hook_command::{CommandError, CommandReply},
    kv::{PENDING, Payload, PutVersion, SecretChange, Verdict},
    policy::Operation,
    rotation::{Hook, RotationError, Settings, Strategy},
    secret::{SecretBytes, SecretString},
};
use keyturn_testing::crash::{Fault, Place};

use super::world::{SECRET, World, permit, settings};

/// What a rotation function does, and what it was told.
#[derive(Default)]
struct Function {
    told: Mutex<Vec<(String, String)>>,
    /// The step that fails, and how.
    broken: Mutex<Option<(&'static str, i32, &'static str)>>,
    /// The password at its target: that of the last version that it set.
    set: Mutex<Option<String>>,
}

impl Function {
    /// Configures it as the command `it`.
    fn configure(self: &Arc<Self>, world: &World) {
        let (function, core, token) = (Arc::clone(self), Arc::downgrade(&world.core), world.token.clone());
        world.elsewhere.command("it", move |event| {
            assert_eq!(event.secret_id, SECRET);
            let (function, core, token) = (Arc::clone(&function), core.clone(), token.clone());
            let (step, id) = (event.step.to_owned(), event.version_id.to_owned());
            Box::pin(async move { function.run(&core, &token, &step, &id).await })
        });
    }

    async fn run(
        &self,
        core: &Weak<Core>,
        token: &SecretString,
        step: &str,
        id: &str,
    ) -> Result<CommandReply, CommandError> {
        self.told.lock().expect("unpoisoned").push((step.to_owned(), id.to_owned()));
        let broken = *self.broken.lock().expect("unpoisoned");
        if let Some((_, code, output)) = broken.filter(|(at, ..)| *at == step) {
            return Ok(reply(code, output));
        }
        match step {
            // In a process that dies, it fails.
            "createSecret" => _ = put(core, token, id, PENDING).await,
            "setSecret" => *self.set.lock().expect("unpoisoned") = Some(id.to_owned()),
            _ => {
                let set = self.set.lock().expect("unpoisoned").clone();
                assert_eq!(set.as_deref(), Some(id), "{step}");
            }
        }
        Ok(reply(0, ""))
    }

    fn steps(&self) -> Vec<String> {
        self.told.lock().expect("unpoisoned").iter().map(|(step, _)| step.clone()).collect()
    }

    fn breaks(&self, step: &'static str, code: i32, output: &'static str) {
        *self.broken.lock().expect("unpoisoned") = Some((step, code, output));
    }

    fn mends(&self) {
        *self.broken.lock().expect("unpoisoned") = None;
        self.told.lock().expect("unpoisoned").clear();
    }
}

fn reply(code: i32, output: &str) -> CommandReply {
    CommandReply { code: Some(code), output: SecretBytes::new(output.as_bytes().to_vec()) }
}

/// Writes a version with an id and a label; the same again changes nothing.
async fn put(core: &Weak<Core>, token: &SecretString, id: &str, stage: &str) -> Option<()> {
    let core = core.upgrade()?;
    let permit = permit(&core, token, Operation::Update, "secret/data/app/db").await;
    let payload = Payload::from_text(format!(r#"{{"password":"of {id}"}}"#).into_bytes().into());
    let version = PutVersion { id: id.to_owned(), payload, stages: vec![stage.to_owned()] };
    let change = SecretChange { version: Some(version), ..SecretChange::default() };
    core.kv().update(permit, change, &|_| Verdict::Allowed).await.ok().map(|_| ())
}

async fn set_up() -> (World, Arc<Function>) {
    let (world, function) = (World::new().await, Arc::new(Function::default()));
    function.configure(&world);
    world.write(r#"{"password":"first"}"#).await;
    world.configure(by_command("it")).await.expect("set up");
    (world, function)
}

fn by_command(name: &str) -> Settings {
    Settings { hook: Some(Hook { command: name.to_owned(), ..Hook::default() }), ..settings(Strategy::Hook) }
}

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

#[tokio::test]
async fn a_command_is_told_of_each_step() {
    let (world, function) = set_up().await;
    let id = world.run().await.expect("begun");
    world.finish().await;
    assert_eq!(*function.told.lock().expect("unpoisoned"), STEPS.map(|step| (step.to_owned(), id.clone())));
    let secret = world.secret().await;
    assert_eq!(secret.current(), 2);
    assert_eq!(secret.by_id(&id).expect("there").stages, ["current"]);
    assert!(world.fields().await.contains(&format!("of {id}")));
}

#[tokio::test]
async fn a_name_that_is_not_configured_is_refused_and_one_that_is_no_longer_ends_the_rotation() {
    let (world, _function) = set_up().await;
    let other = world.configure(by_command("other")).await;
    assert!(matches!(other, Err(RotationError::Refused(text)) if text.contains("[rotation.hook.NAME]")));
    world.elsewhere.forget_command("it");
    world.run().await.expect("begun");
    world.tend().await;
    let failure = world.view().await.rotation.failure.expect("it failed at once");
    assert!(failure.attempts == 1 && failure.reason.contains("no command \"it\" is configured"), "{failure:?}");
    assert_eq!(world.secret().await.versions.len(), 1);
}

#[tokio::test]
async fn a_step_that_fails_is_told_of_in_the_commands_own_words_or_by_its_exit_code() {
    let (world, function) = set_up().await;
    for (code, output, told) in [
        (3, "not JSON", "createSecret: the command ended with exit code 3"),
        (0, r#"{"errorMessage":"no route","errorType":"OSError"}"#, "createSecret: no route"),
        (1, r#"{"errorMessage":"no route"}"#, "createSecret: no route"),
    ] {
        function.breaks("createSecret", code, output);
        world.run().await.expect("begun");
        world.finish().await;
        let failure = world.view().await.rotation.failure.expect("a failure");
        assert_eq!((failure.reason.as_str(), failure.attempts), (told, 6));
        assert_eq!(world.secret().await.versions.len(), 1, "nothing was written, so nothing stays");
    }
    assert!(world.fields().await.contains("first"));
}

/// The target knows the new value, and perhaps no other: it must not be lost.
#[tokio::test]
async fn what_a_hook_wrote_outlives_its_failure_and_is_tried_again() {
    let (world, function) = set_up().await;
    function.breaks("testSecret", 1, "");
    let id = world.run().await.expect("begun");
    world.finish().await;
    let view = world.view().await;
    assert_eq!(view.rotation.state(), "failed");
    assert!(world.read_staged("pending").await && world.fields().await.contains("first"));
    // It can only be that one's turn.
    let permit = world.permit(Operation::Update, &format!("sys/rotation-run/{SECRET}")).await;
    let test = world.core.rotations().run(permit, String::new(), true).await;
    assert!(matches!(test, Err(RotationError::UnderWay(text)) if text.contains(&id)));
    function.mends();
    assert_eq!(world.run().await.expect("begun"), id);
    world.finish().await;
    assert_eq!(function.steps(), STEPS);
    let view = world.view().await;
    assert!(view.rotation.failure.is_none() && view.rotation.count == 1);
    assert_eq!(world.secret().await.by_id(&id).expect("there").stages, ["current"]);
    assert_eq!(world.secret().await.versions.len(), 2);
    assert!(!world.read_staged("pending").await);
    // The next one begins afresh.
    assert_ne!(world.run().await.expect("begun"), id);
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2);
}

#[tokio::test]
async fn a_schedule_tries_what_a_hook_wrote_again_too() {
    let (world, function) = set_up().await;
    world.configure(Settings { schedule: "1d".to_owned(), ..by_command("it") }).await.expect("set up");
    function.breaks("setSecret", 1, "");
    let id = world.run().await.expect("begun");
    world.finish().await;
    function.mends();
    world.pass(24 * 60 * 60).await;
    world.finish().await;
    assert_eq!(world.secret().await.by_id(&id).expect("there").stages, ["current"]);
}

#[tokio::test]
async fn without_its_label_what_a_hook_wrote_is_forgotten() {
    let (world, function) = set_up().await;
    function.breaks("setSecret", 1, "");
    let id = world.run().await.expect("begun");
    world.finish().await;
    let permit = world.permit(Operation::Update, "secret/data/app/db").await;
    world.core.kv().move_stage(permit, PENDING, Some(&id), None, &|_| Verdict::Allowed).await.expect("taken away");
    function.mends();
    let next = world.run().await.expect("begun");
    assert_ne!(next, id);
    world.finish().await;
    assert_eq!(world.secret().await.by_id(&next).expect("there").stages, ["current"]);
}

/// A rotation that died elsewhere left the label, on a version with a value.
#[tokio::test]
async fn a_label_that_somebody_left_is_taken_over() {
    let (world, function) = set_up().await;
    put(&Arc::downgrade(&world.core), &world.token, "left-by-somebody-who-died", PENDING).await.expect("written");
    assert!(world.read_staged("pending").await);
    let id = world.run().await.expect("begun");
    world.finish().await;
    assert_eq!(function.steps(), STEPS);
    let secret = world.secret().await;
    assert_eq!(secret.by_id(&id).expect("there").stages, ["current"]);
    assert!(secret.by_id("left-by-somebody-who-died").expect("kept").stages.is_empty());
}

/// Somebody puts a version of their own, with the label, while the hook is at work.
#[tokio::test]
async fn a_label_that_somebody_takes_meanwhile_comes_back() {
    let (world, function) = set_up().await;
    function.breaks("createSecret", 1, "");
    let id = world.run().await.expect("begun");
    world.tend().await;
    put(&Arc::downgrade(&world.core), &world.token, "a-version-of-somebody-elses-own", PENDING).await.expect("written");
    assert!(world.secret().await.by_id(&id).expect("there").stages.is_empty());
    function.mends();
    world.finish().await;
    let secret = world.secret().await;
    assert_eq!(secret.by_id(&id).expect("there").stages, ["current"]);
    assert!(secret.by_id("a-version-of-somebody-elses-own").expect("kept").stages.is_empty());
    assert_eq!(world.view().await.rotation.count, 1);
}

/// At each commit, with the commit done or not, the process dies. Any step may be told twice, and of the same version.
#[tokio::test]
async fn a_hook_survives_the_death_of_the_server_at_every_commit() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for step in 1.. {
            let (mut world, function) = set_up().await;
            world.faults.arm_at(Place::Commit, step, fault);
            let _ = world.run().await;
            world.finish().await;
            let died = world.faults.is_dead();
            world.restart().await;
            function.configure(&world);
            if world.view().await.rotation.asked.is_none() && world.view().await.rotation.count == 0 {
                let _ = world.run().await;
            }
            world.finish().await;
            let (view, secret) = (world.view().await, world.secret().await);
            assert_eq!((view.rotation.count, view.rotation.failure), (1, None), "{fault:?} {step}");
            assert_eq!(secret.versions.len(), 2, "{fault:?} {step}");
            assert!(!world.read_staged("pending").await, "{fault:?} {step}");
            let told = function.told.lock().expect("unpoisoned").clone();
            assert!(told.iter().all(|(_, id)| *id == told[0].1), "{fault:?} {step}: {told:?}");
            if !died {
                break;
            }
        }
    }
}
