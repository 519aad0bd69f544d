//! The life of a rotation: evidence, those who hold on, going back, pauses, missed times, two nodes.

use keyturn_core::{
    clock::SignedDuration,
    policy::Operation,
    rotation::{AtMax, Phase, RotationError, Settings, Strategy},
    secret::SecretString,
    target::Session,
    token::CreateToken,
};

use super::world::{SECRET, World, settings};

const HOUR: i64 = 3600;

fn session(username: &str) -> Session {
    Session {
        username: username.to_owned(),
        id: "1".to_owned(),
        remote: "10.1.2.3".to_owned(),
        application: "app".to_owned(),
        since: None,
    }
}

async fn set_up(change: impl FnOnce(&mut Settings)) -> World {
    let world = World::new().await;
    let mut settings = settings(Strategy::Alternating);
    change(&mut settings);
    world.configure(settings).await.expect("set up");
    world.finish().await;
    world
}

async fn consumer(world: &World) -> SecretString {
    let permit = world.permit(Operation::Update, "auth/token/create").await;
    world.core.tokens().create(permit, CreateToken::default(), None, false).await.expect("a token").token
}

#[tokio::test]
async fn the_credential_before_lives_until_its_last_reader_has_moved() {
    let world = set_up(|settings| settings.look_back = 3600).await;
    let stubborn = consumer(&world).await;
    let before = world.current().await.expect("a credential");
    world.read_as(&stubborn, None).await;
    world.run().await.expect("begun");
    world.tend().await;
    let view = world.view().await;
    assert_eq!(view.rotation.phase, Phase::Overlap);
    // The credential of the test itself has read the version before as well.
    world.current().await.expect("a credential");
    world.pass(3 * HOUR / 4).await;
    let evidence = world.view().await.evidence.expect("evidence");
    assert_eq!(evidence.stragglers.len(), 1, "{evidence:?}");
    assert_eq!((evidence.stragglers[0].version, evidence.stragglers[0].address), (1, Some([10, 0, 0, 7].into())));
    assert!(evidence.stragglers[0].identity.starts_with("accessor/"), "{evidence:?}");
    assert!(world.fake.lets_in(&before.1, &before.2), "the credential before is gone");
    let waiting = world.view().await.rotation.run.expect("under way").reason;
    assert!(waiting.contains("1 consumer has") && waiting.contains(&evidence.stragglers[0].identity), "{waiting}");
    assert!(matches!(world.run().await, Err(RotationError::UnderWay(text)) if text.contains("accessor/")));
    world.read_as(&stubborn, None).await;
    world.pass(120).await;
    assert_eq!(world.view().await.rotation.phase, Phase::Idle);
    assert!(!world.fake.lets_in(&before.1, &before.2), "the credential before is still good");
}

#[tokio::test]
async fn who_reads_no_more_is_not_waited_for() {
    let world = set_up(|settings| settings.look_back = 3600).await;
    world.read_as(&consumer(&world).await, None).await;
    world.run().await.expect("begun");
    world.tend().await;
    assert_eq!(world.view().await.rotation.phase, Phase::Overlap);
    for _ in 0..70 {
        world.current().await;
        world.pass(61).await;
    }
    assert_eq!(world.view().await.rotation.phase, Phase::Idle);
}

#[tokio::test]
async fn sessions_keep_the_principal_before() {
    let world = set_up(|_| {}).await;
    world.fake.with(|state| state.sessions.push(session("app_a")));
    world.run().await.expect("begun");
    world.pass(HOUR).await;
    let view = world.view().await;
    assert_eq!(view.rotation.phase, Phase::Overlap);
    assert_eq!(view.evidence.expect("evidence").sessions, [session("app_a")]);
    world.fake.with(|state| state.sessions.clear());
    world.pass(120).await;
    assert_eq!(world.view().await.rotation.phase, Phase::Idle);
}

#[tokio::test]
async fn a_target_that_does_not_tell_is_no_evidence() {
    let world = set_up(|_| {}).await;
    world.run().await.expect("begun");
    world.fake.with(|state| state.failing.insert("sessions", 100));
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    let view = world.view().await;
    assert!(!view.evidence.expect("evidence").unknown.is_empty());
    assert_eq!(view.rotation.phase, Phase::Overlap);
}

#[tokio::test]
async fn at_its_longest_an_overlap_waits_or_revokes_as_it_is_told() {
    for (at_max, phase) in [(AtMax::Wait, Phase::Overlap), (AtMax::Revoke, Phase::Idle)] {
        let world = set_up(|settings| (settings.at_max, settings.overlap_max) = (at_max, 600)).await;
        world.fake.with(|state| state.sessions.push(session("app_a")));
        world.run().await.expect("begun");
        world.tend().await;
        world.pass(500).await;
        assert_eq!(world.view().await.rotation.phase, Phase::Overlap, "{at_max:?}");
        world.pass(200).await;
        assert_eq!(world.view().await.rotation.phase, phase, "{at_max:?}");
    }
}

#[tokio::test]
async fn the_least_overlap_is_kept() {
    let world = set_up(|settings| settings.overlap_min = 300).await;
    world.run().await.expect("begun");
    world.tend().await;
    world.current().await;
    world.pass(299).await;
    assert_eq!(world.view().await.rotation.phase, Phase::Overlap);
    world.pass(2).await;
    assert_eq!(world.view().await.rotation.phase, Phase::Idle);
}

#[tokio::test]
async fn one_can_go_back_while_the_credential_before_is_good() {
    let world = set_up(|settings| settings.overlap_min = 300).await;
    let before = world.current().await.expect("a credential");
    let back = || async {
        let permit = world.permit(Operation::Update, &format!("sys/rotation-rollback/{SECRET}")).await;
        world.core.rotations().roll_back(permit).await
    };
    assert!(matches!(back().await, Err(RotationError::NoWayBack(_))));
    world.run().await.expect("begun");
    world.tend().await;
    assert_ne!(world.current().await.expect("a credential"), before);
    assert_eq!(back().await.expect("gone back"), before.0);
    assert_eq!(world.current().await.expect("a credential"), before);
    // What was current is now revoked in its turn, and the next rotation makes it anew.
    world.finish().await;
    assert_eq!(world.fake.enabled(), [("app_a".to_owned(), 1)]);
    assert!(matches!(back().await, Err(RotationError::NoWayBack(_))));
    world.run().await.expect("begun");
    world.finish().await;
    let now = world.current().await.expect("a credential");
    assert_eq!((now.0, now.1.as_str()), (3, "app_b"));
}

#[tokio::test]
async fn a_schedule_is_kept_and_what_was_missed_is_done_once() {
    let mut world = set_up(|settings| settings.schedule = "0 3 * * *".to_owned()).await;
    let due = |view: &keyturn_core::rotation::RotationView| view.rotation.next.map(|at| at.to_string());
    assert_eq!(due(&world.view().await).as_deref(), Some("2026-01-01T03:00:00Z"));
    world.pass(3 * HOUR - 1).await;
    assert_eq!(world.view().await.rotation.count, 1);
    world.pass(1).await;
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2);
    // Nobody is there for four days.
    world.clock.advance(SignedDuration::from_hours(100));
    assert!(world.view().await.overdue);
    world.restart().await;
    world.finish().await;
    let view = world.view().await;
    assert_eq!((view.rotation.count, due(&view).as_deref()), (3, Some("2026-01-06T03:00:00Z")));
    // The clock is set back by two days, and goes over the same times again.
    world.clock.advance(SignedDuration::from_hours(-48));
    for _ in 0..47 {
        world.pass(HOUR).await;
    }
    assert_eq!(world.view().await.rotation.count, 3);
}

#[tokio::test]
async fn a_window_that_was_missed_is_waited_for_again() {
    let world = set_up(|settings| (settings.schedule, settings.window) = ("0 3 * * *".to_owned(), 3600)).await;
    world.pass(5 * HOUR).await;
    let view = world.view().await;
    assert_eq!(view.rotation.count, 1);
    assert_eq!(view.rotation.next.map(|at| at.to_string()).as_deref(), Some("2026-01-02T03:00:00Z"));
    world.clock.advance(SignedDuration::from_secs(22 * HOUR + 1800));
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2);
}

#[tokio::test]
async fn a_pause_stops_what_is_due_and_what_would_be_revoked() {
    let world = set_up(|settings| (settings.schedule, settings.overlap_min) = ("1h".to_owned(), 60)).await;
    world.run().await.expect("begun");
    world.tend().await;
    let world = &world;
    let pause = |verb: &'static str| async move {
        let permit = world.permit(Operation::Update, &format!("sys/rotation-{verb}/{SECRET}")).await;
        match verb {
            "pause" => world.core.rotations().pause(permit).await.expect("paused"),
            _ => world.core.rotations().resume(permit).await.expect("resumed"),
        }
    };
    pause("pause").await;
    world.current().await;
    world.pass(12 * HOUR).await;
    assert_eq!(world.view().await.rotation.phase, Phase::Overlap);
    pause("resume").await;
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2);
    pause("pause").await;
    assert!(matches!(world.run().await, Err(RotationError::Paused)));
    world.pass(12 * HOUR).await;
    assert_eq!(world.view().await.rotation.count, 2);
    pause("resume").await;
    world.tend().await;
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 3);
}

#[tokio::test]
async fn of_two_nodes_one_rotates() {
    let world = set_up(|_| {}).await;
    let other = world.another_node().await;
    world.fake.with(|state| state.log.clear());
    world.run().await.expect("begun");
    for _ in 0..20 {
        tokio::join!(world.tend(), other.tend());
    }
    let made = world.fake.with(|state| state.log.iter().filter(|name| *name == "create_member").count());
    assert_eq!(made, 1);
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2);
    assert_eq!(world.secret().await.versions.len(), 2);
}

#[tokio::test]
async fn principals_in_use_are_left_alone() {
    let world = World::new().await;
    world.fake.with(|state| {
        for user in ["app_a", "app_b"] {
            let user = user.to_owned();
            state.users.entry(user).or_default().passwords.push("known to somebody".to_owned());
        }
    });
    world.configure(settings(Strategy::Alternating)).await.expect("set up");
    world.finish().await;
    let view = world.view().await;
    assert_eq!(view.rotation.state(), "failed");
    let reason = view.rotation.failure.expect("a failure").reason;
    assert!(reason.contains("app_a and app_b"), "{reason}");
    world.write(r#"{"username":"app_a","password":"known to somebody","other":"kept"}"#).await;
    world.fake.with(|state| state.sessions.push(session("app_b")));
    world.run().await.expect("begun");
    world.finish().await;
    assert!(world.view().await.rotation.failure.expect("a failure").reason.contains("in use"));
    assert!(world.fake.lets_in("app_b", "known to somebody"));
    world.fake.with(|state| state.sessions.clear());
    world.run().await.expect("begun");
    world.finish().await;
    assert_eq!(world.current().await.expect("a credential").1, "app_b");
    assert_eq!(world.fake.enabled(), [("app_b".to_owned(), 1)]);
    assert!(world.fields().await.contains(r#""other":"kept""#));
}

#[tokio::test]
async fn a_test_changes_nothing() {
    let world = set_up(|_| {}).await;
    let before = (world.current().await, world.secret().await.versions, world.fake.enabled());
    let test = || async {
        let permit = world.permit(Operation::Update, &format!("sys/rotation-run/{SECRET}")).await;
        world.core.rotations().run(permit, String::new(), true).await.expect("begun");
        world.finish().await;
    };
    test().await;
    assert!(world.view().await.rotation.failure.is_none());
    assert_eq!((world.current().await, world.secret().await.versions, world.fake.enabled()), before);
    world.fake.with(|state| state.users.entry("app_a".to_owned()).or_default().passwords.clear());
    test().await;
    assert!(world.view().await.rotation.failure.expect("a failure").reason.contains("refuses"));
    assert!(!world.read_staged("pending").await);
}

#[tokio::test]
async fn a_version_that_somebody_writes_meanwhile_is_not_lost() {
    let world = set_up(|_| {}).await;
    // The target is away while the new credential is to be set.
    world.fake.with(|state| state.failing.insert("create_member", 2));
    world.run().await.expect("begun");
    world.tend().await;
    assert_eq!(world.view().await.rotation.phase, Phase::Setting);
    let (_, username, password) = world.current().await.expect("a credential");
    world.write(&format!(r#"{{"username":"{username}","password":"{password}","host":"new"}}"#)).await;
    world.finish().await;
    assert!(world.view().await.rotation.failure.expect("a failure").reason.contains("somebody else changed"));
    assert!(world.fields().await.contains(r#""host":"new""#));
    assert_eq!(world.fake.enabled(), [("app_a".to_owned(), 1)]);
}

#[tokio::test]
async fn a_rotation_ends_with_its_secret_and_leaves_it_alone_otherwise() {
    let world = set_up(|settings| settings.schedule = "1d".to_owned()).await;
    assert!(world.secret().await.rotated);
    let delete = || async {
        let permit = world.permit(Operation::Delete, &format!("sys/rotation/{SECRET}")).await;
        world.core.rotations().delete(permit, false).await
    };
    delete().await.expect("deleted");
    assert!(!world.secret().await.rotated && world.current().await.is_some());
    assert!(world.keys("secret-rotation/").await.is_empty());
    assert!(matches!(delete().await, Err(RotationError::NotFound)));
    world.configure(Settings { schedule: "1d".to_owned(), ..settings(Strategy::Alternating) }).await.expect("set up");
    let permit = world.permit(Operation::Delete, "secret/metadata/app/db").await;
    world.core.kv().delete_secret(permit).await.expect("deleted");
    assert!(matches!(delete().await, Err(RotationError::NotFound)));
    // The note of when it was due goes when its time comes.
    world.pass(25 * HOUR).await;
    assert!(world.keys("secret-rotation/").await.is_empty());
    assert!(world.keys(&format!("kv/{}/r", world.mount().await)).await.is_empty());
}

#[tokio::test]
async fn reads_are_written_down_and_survive_a_restart() {
    let mut world = set_up(|_| {}).await;
    let reader = consumer(&world).await;
    world.read_as(&reader, None).await;
    world.tend().await;
    world.restart().await;
    let readers = world.view().await.readers.consumers;
    assert!(readers.iter().any(|one| one.version == 1 && one.name == "token"), "{readers:?}");
    // A secret without a rotation is not looked at.
    let permit = world.permit(Operation::Delete, &format!("sys/rotation/{SECRET}")).await;
    world.core.rotations().delete(permit, false).await.expect("deleted");
    world.read_as(&reader, None).await;
    world.tend().await;
    assert!(world.keys(&format!("kv/{}/readers/", world.mount().await)).await.is_empty());
}

#[tokio::test]
async fn a_hook_that_writes_nothing_leaves_nothing() {
    let world = World::new().await;
    world.write(r#"{"password":"old"}"#).await;
    let url = "http://127.0.0.1:9/2015-03-31/functions/function/invocations";
    world.elsewhere.answer(url, 200, "null");
    let hook = keyturn_core::rotation::Hook { url: url.to_owned(), ..Default::default() };
    world.configure(Settings { hook: Some(hook), ..settings(Strategy::Hook) }).await.expect("set up");
    let id = world.run().await.expect("begun");
    world.finish().await;
    let failure = world.view().await.rotation.failure.expect("a failure");
    assert!(failure.reason.contains("holds no value"), "{failure:?}");
    assert!(!world.read_staged("pending").await);
    assert_eq!(world.secret().await.versions.len(), 1);
    let asked = world.elsewhere.asked();
    let body = match asked[0].body.as_ref().expect("a body") {
        keyturn_core::outbound::Body::Json(text) => serde_json::from_slice::<serde_json::Value>(text.expose_secret()),
        other => panic!("{other:?}"),
    };
    let body = body.expect("JSON");
    assert_eq!((&body["Step"], &body["SecretId"]), (&"createSecret".into(), &SECRET.into()));
    assert_eq!(body["ClientRequestToken"], id.as_str());
    // What the function says went wrong is told.
    world.elsewhere.answer(url, 200, r#"{"errorMessage":"no route to the database","errorType":"ValueError"}"#);
    world.run().await.expect("begun");
    world.finish().await;
    assert!(world.view().await.rotation.failure.expect("a failure").reason.contains("no route to the database"));
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused() {
    let world = World::new().await;
    let missing = Settings { target: "nowhere".to_owned(), ..settings(Strategy::Alternating) };
    assert!(matches!(world.configure(missing).await, Err(RotationError::Refused(text)) if text.contains("nowhere")));
    let one = Settings { users: vec!["app_a".to_owned()], ..settings(Strategy::Alternating) };
    assert!(matches!(world.configure(one).await, Err(RotationError::Settings(_))));
    for path in ["sys/rotation/nowhere/x", "sys/rotation/auth/token/x", "sys/rotation/secret/", "sys/rotation/sys/x"] {
        let permit = world.permit(Operation::Read, path).await;
        let error = world.core.rotations().read(permit).await.expect_err(path);
        assert!(matches!(error, RotationError::Path(_) | RotationError::Name(_)), "{path}: {error}");
    }
    assert!(world.keys(&format!("kv/{}/rotation/", world.mount().await)).await.is_empty());
    world.write("text and no fields").await;
    world.configure(settings(Strategy::Alternating)).await.expect("set up");
    world.finish().await;
    assert!(world.view().await.rotation.failure.expect("a failure").reason.contains("no fields"));
    assert_eq!(world.fake.enabled(), []);
}
