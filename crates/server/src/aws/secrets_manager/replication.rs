//! Replicas in mounts that stand for other regions: `ReplicateSecretToRegions`, `RemoveRegionsFromReplication`,
//! `StopReplicationToReplica`.

use keyturn_core::{
    kv::{NewReplica, Secret, SecretError},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{
    RemoveRegionsRequest, ReplicaRegion, ReplicateRequest, ReplicationStatus, SecretAnswer, SecretRequest,
};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    error::{invalid_parameter, invalid_request},
};
use crate::aws::failure::Failure;

/// A region that is to have a replica: its mount, and the client's key there.
pub(super) struct Wanted {
    mount: String,
    key_id: String,
}

/// The regions that a client names.
///
/// # Errors
/// When no mount stands for one, or it is the secret's own.
pub(super) fn wanted(
    asking: &Asking<'_>,
    target: &Target,
    regions: Vec<ReplicaRegion>,
) -> Result<Vec<Wanted>, Failure> {
    regions
        .into_iter()
        .map(|ReplicaRegion { region, kms_key_id }| {
            let region = region.ok_or_else(|| invalid_parameter("A replica needs a Region."))?;
            let mount = mount_of(asking, target, &region)?;
            Ok(Wanted { mount, key_id: kms_key_id.unwrap_or_default() })
        })
        .collect()
}

fn mount_of(asking: &Asking<'_>, target: &Target, region: &str) -> Result<String, Failure> {
    if region == target.region {
        return Err(invalid_parameter("Invalid replica region: it is the secret's own."));
    }
    // Regions of other accounts have no mounts.
    let account = asking.settings().account_of(&target.mount);
    asking.settings().mount_at(account, region).map(str::to_owned).ok_or_else(|| {
        invalid_parameter(format!(
            "Invalid replica region {region}: no mount stands for it. Name one in [[aws.replica]] of the \
             server's configuration."
        ))
    })
}

/// `ReplicateSecretToRegions`.
pub(super) async fn replicate(asking: &Asking<'_>) -> Answer {
    let request: ReplicateRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let regions = wanted(asking, &target, request.add_replica_regions)?;
    let overwrite = request.force_overwrite_replica_secret.unwrap_or(false);
    let secret = add(asking, &target, regions, overwrite).await?;
    answer(asking, &target, &secret)
}

/// Makes replicas, each with a permit for its place.
pub(super) async fn add(
    asking: &Asking<'_>,
    target: &Target,
    regions: Vec<Wanted>,
    overwrite: bool,
) -> Result<Secret, Failure> {
    let path = target.path("metadata");
    // Who has a replica made reads the secret there.
    asking.permitted(policy::Operation::Read, &target.path("data")).await?;
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let mut made = None;
    let outcome = async {
        let mut replicas = Vec::new();
        for Wanted { mount, key_id } in regions {
            let there = format!("{mount}data/{}", target.name);
            let (exchange, permit) = asking.admit(policy::Operation::Update, &there, asking.body()).await?;
            asking.conclude(exchange, text_of(&SecretAnswer::default())).await?;
            replicas.push(NewReplica { permit, key_id, overwrite });
        }
        let allowed = asking.restriction_for(target, "ReplicateSecretToRegions");
        let secret = asking.kv().replicate(permit, replicas, &allowed).await;
        let secret = secret.map_err(|error| asking.failed(target, error))?;
        let told = answer(asking, target, &secret);
        made = Some(secret);
        told
    }
    .await;
    asking.conclude(exchange, outcome).await?;
    made.ok_or_else(|| invalid_request("The secret was not replicated."))
}

/// `RemoveRegionsFromReplication`.
pub(super) async fn remove(asking: &Asking<'_>) -> Answer {
    let request: RemoveRegionsRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let regions = request.remove_replica_regions.iter();
    let mounts = regions.map(|region| mount_of(asking, &target, region)).collect::<Result<Vec<_>, _>>()?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = async {
        let mut permits = Vec::new();
        for mount in mounts {
            let there = format!("{mount}metadata/{}", target.name);
            let (exchange, permit) = asking.admit(policy::Operation::Delete, &there, asking.body()).await?;
            asking.conclude(exchange, text_of(&SecretAnswer::default())).await?;
            permits.push(permit);
        }
        let secret = asking.kv().remove_replicas(permit, permits, &asking.restriction(&target)).await;
        let secret = secret.map_err(|error| asking.failed(&target, error))?;
        answer(asking, &target, &secret)
    }
    .await;
    asking.conclude(exchange, outcome).await
}

/// `StopReplicationToReplica`.
pub(super) async fn stop(asking: &Asking<'_>) -> Answer {
    let request: SecretRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = match asking.kv().stop_replication(permit, &asking.restriction(&target)).await {
        Ok(secret) => text_of(&SecretAnswer { arn: Some(asking.arn(&target, &secret)), ..SecretAnswer::default() }),
        Err(SecretError::NoReplica) => {
            Err(invalid_request("The secret is no replica: call this in the region of a replica."))
        }
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

fn answer(asking: &Asking<'_>, target: &Target, secret: &Secret) -> Answer {
    text_of(&SecretAnswer {
        arn: Some(asking.arn(target, secret)),
        replication_status: Some(status(asking, secret).unwrap_or_default()),
        ..SecretAnswer::default()
    })
}

/// How the replicas are: those that are there are never behind. `None`: there are none.
pub(super) fn status(asking: &Asking<'_>, secret: &Secret) -> Option<Vec<ReplicationStatus>> {
    let entries: Vec<ReplicationStatus> = secret
        .replicas
        .iter()
        .filter_map(|replica| {
            let region = region_of(asking, &replica.mount)?;
            let failed = !replica.failure.is_empty();
            Some(ReplicationStatus {
                kms_key_id: (!replica.key_id.is_empty()).then(|| replica.key_id.clone()),
                status: Some(if failed { "Failed" } else { "InSync" }.to_owned()),
                status_message: failed.then(|| format!("Replication failed in {region}: {}.", replica.failure)),
                region: Some(region),
                last_accessed_date: None,
            })
        })
        .collect();
    (!entries.is_empty()).then_some(entries)
}

/// The region that the secret is in where it can be changed, if it is in more than one.
pub(super) fn primary_region(asking: &Asking<'_>, target: &Target, secret: &Secret) -> Option<String> {
    match &secret.origin {
        Some(_) if secret.link.is_some() => None,
        Some(mount) => region_of(asking, mount),
        None if secret.replicas.is_empty() => None,
        None => Some(target.region.clone()),
    }
}

fn region_of(asking: &Asking<'_>, uuid: &str) -> Option<String> {
    let mount = asking.call.core.mounts().with_uuid(uuid)?;
    asking.settings().region_of(&mount.path).map(str::to_owned)
}
