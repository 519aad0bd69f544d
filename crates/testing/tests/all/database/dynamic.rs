//! Dynamic secrets of configs: leases as any other when the process dies, and nobody else's.

use keyturn_core::{
    config_values::Dynamic,
    database::IssuedCredential,
    door::{Answer, Ask, Permit},
    policy::Operation::{self, Delete, Read, Update},
    project::ProjectError,
};

use super::{
    crash::{everywhere, settled},
    world::*,
};

const CONFIG: &str = "secret/data/app/dev";
const PLACE: &str = "secret/metadata/app/dev";
const ROLE: &str = "database/creds/app";

/// A config whose `DB` stands for the role.
async fn prepare(world: &World) {
    let project = world.permit(Update, "secret/metadata/app/").await;
    world.core.projects().create(project, String::new()).await.expect("a project");
    let project = world.permit(Update, "secret/metadata/app/").await;
    world.core.projects().create_environment(project, "dev", "Development", false).await.expect("an environment");
    let config = world.permit(Update, PLACE).await;
    world.core.create_dynamic_secret(config, "DB", ROLE).await.expect("a dynamic secret");
}

/// The dynamic secret as its reader has it.
async fn dynamic(world: &World) -> Option<Dynamic> {
    let permit = world.try_permit(&world.token, Read, CONFIG).await?;
    world.core.read_config(permit).await.ok()?.dynamic().pop()
}

/// Leases it through the door.
async fn lease(world: &World) -> Option<IssuedCredential> {
    let secret = dynamic(world).await?;
    let (exchange, permit) = world.core.admit_to_dynamic(Ask::new("test", Operation::Read, "-"), &secret).await;
    let issued = match permit {
        Ok(permit) => world.core.database().issue_dynamic(permit, &secret, 600).await.ok(),
        Err(_) => None,
    };
    exchange.conclude(Answer::default()).await.ok()?;
    issued
}

fn slug(issued: &IssuedCredential) -> &str {
    issued.lease.id.rsplit('/').next().expect("a slug")
}

#[tokio::test]
async fn leasing_dies_anywhere() {
    everywhere(
        World::new,
        prepare,
        async |world| lease(world).await.is_some(),
        async |world, done, at| {
            world.pass(300).await;
            world
                .until(&format!("{at}: what was handed out"), async || {
                    (world.leased_users().len(), world.leases().await.len()) == (usize::from(done), usize::from(done))
                })
                .await;
            world.pass(400).await;
            world.until(&format!("{at}: the end"), async || world.leased_users().is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

#[tokio::test]
async fn ending_dies_anywhere() {
    let held = std::sync::Mutex::new(String::new());
    everywhere(
        World::new,
        async |world| {
            prepare(world).await;
            *held.lock().expect("unpoisoned") = slug(&lease(world).await.expect("leased")).to_owned();
        },
        async |world| {
            let Some(secret) = dynamic(world).await else { return false };
            let slug = held.lock().expect("unpoisoned").clone();
            let Ok(Some(found)) = world.core.database().dynamic_lease(&secret, &slug).await else { return false };
            let ask = Ask::new("test", Delete, "-");
            let (exchange, permit) = world.core.admit_to_end(ask, &secret, &found).await;
            let ended = match permit {
                Ok(permit) => world.core.database().revoke_dynamic(permit, &found).await.is_ok(),
                Err(_) => false,
            };
            exchange.conclude(Answer::default()).await.is_ok() && ended
        },
        async |world, done, at| {
            if done {
                assert!(world.leased_users().is_empty(), "{at}: who is told so can rely on it");
            }
            world.pass(700).await;
            world.until(&format!("{at}: the end"), async || world.leased_users().is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_permit_for_one_secret_is_good_for_no_other() {
    let world = World::new().await;
    prepare(&world).await;
    let config = world.permit(Update, PLACE).await;
    let secret = dynamic(&world).await.expect("dynamic");
    // A permit for another path, here that of the config itself, leases nothing.
    let other: Permit = world.permit(Read, CONFIG).await;
    assert!(world.core.database().issue_dynamic(other, &secret, 600).await.is_err());
    assert!(world.leased_users().is_empty());
    // Leases that the role has otherwise are not the secret's, nor are those of a name that was given again.
    let direct = world.issue().await.expect("issued");
    let leased = lease(&world).await.expect("leased");
    let of = async |secret: &Dynamic, issued: &IssuedCredential| {
        world.core.database().dynamic_lease(secret, slug(issued)).await.expect("read")
    };
    assert!(of(&secret, &direct).await.is_none());
    assert!(of(&secret, &leased).await.is_some_and(|lease| lease.own));
    world.core.delete_dynamic_secret(config, "DB").await.expect("deleted");
    let config = world.permit(Update, PLACE).await;
    world.core.create_dynamic_secret(config, "DB", ROLE).await.expect("made again");
    let again = dynamic(&world).await.expect("dynamic");
    assert!(of(&again, &leased).await.is_none());
}

#[tokio::test]
async fn a_role_that_is_not_there_cannot_be_meant() {
    let world = World::new().await;
    prepare(&world).await;
    for path in
        ["database/creds/none", "database/roles/app", "database/creds/../roles/app", "secret/data/x", "sys/seal", ""]
    {
        let config = world.permit(Update, PLACE).await;
        let made = world.core.create_dynamic_secret(config, "OTHER", path).await;
        assert!(matches!(made, Err(ProjectError::Invalid(_))), "{path}: {made:?}");
    }
}
