//! Leases and the administrator's password: the process dies at every commit and every call to the database.

use keyturn_core::target::TargetKind::{self, Mysql, Postgresql, Redis};

use crate::database::{
    crash::{giving_up, issuing, renewing, revoking, rotating_the_administrator},
    world::World,
};

async fn all(kind: TargetKind) {
    issuing(async || World::real(kind).await).await;
    giving_up(async || World::real(kind).await).await;
    revoking(async || World::real(kind).await).await;
    renewing(async || World::real(kind).await).await;
    rotating_the_administrator(async || World::real(kind).await).await;
}

#[tokio::test]
async fn postgresql_has_the_users_of_the_leases_after_every_crash() {
    all(Postgresql).await;
}

#[tokio::test]
async fn mariadb_has_the_users_of_the_leases_after_every_crash() {
    all(Mysql).await;
}

#[tokio::test]
async fn redis_has_the_users_of_the_leases_after_every_crash() {
    all(Redis).await;
}
