//! Replicas in mounts that stand for other accounts: `CreateSecret` with `CrossAccountPrimaryARN`,
//! `AssociateCrossAccountReplica`, `DisassociateCrossAccountReplica`.
//!
//! ```text
//! owner of the replica                        owner of the primary
//! CreateSecret, CrossAccountPrimaryARN   ->   AssociateCrossAccountReplica      the replica reads as the primary
//! StopReplicationToReplica                    DisassociateCrossAccountReplica   each ends it: `Detached`
//! ```

use keyturn_core::{
    kv::{Followed, Follower, LinkState, Secret, SecretChange, SecretError},
    policy,
};
use keyturn_protocol::aws::secretsmanager::{
    AssociateReplicaRequest, CreateSecretRequest, CrossAccountAnswer, CrossAccountPrimary, CrossAccountReplica,
    DisassociateReplicaRequest, SecretAnswer,
};

use super::{
    Answer,
    asking::{Asking, Target, text_of},
    error::{invalid_parameter, invalid_request},
    tags::pairs,
};
use crate::aws::failure::Failure;

/// `CreateSecret` with `CrossAccountPrimaryARN`: a secret that holds nothing until the other side associates it.
pub(super) async fn create(asking: &Asking<'_>, request: CreateSecretRequest) -> Answer {
    let key_id = request
        .kms_key_id
        .filter(|key| !key.is_empty())
        .ok_or_else(|| invalid_parameter("A replica of a secret in another account needs a KmsKeyId."))?;
    let replicates = request.add_replica_regions.is_some_and(|regions| !regions.is_empty());
    let has_more = request.secret_string.is_some() || request.secret_binary.is_some() || request.r#type.is_some();
    if has_more || request.description.is_some() || replicates {
        return Err(invalid_parameter(
            "You can't specify SecretString, SecretBinary, Description, AddReplicaRegions or Type together with \
             CrossAccountPrimaryARN.",
        ));
    }
    let target = asking.target(&request.name)?;
    let primary =
        other(asking, &target, "CrossAccountPrimaryARN", &request.cross_account_primary_arn.unwrap_or_default())?;
    let followed = Followed {
        mount: uuid_of(asking, &primary)?,
        name: primary.name.clone(),
        arn_suffix: primary.suffix().unwrap_or_default().to_owned(),
    };
    let tags = pairs(request.tags.unwrap_or_default())?;
    let change = SecretChange { key_id: Some(key_id), tags, ..SecretChange::default() };
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = match asking.kv().create_follower(permit, followed, change).await {
        Ok(secret) => text_of(&SecretAnswer {
            arn: Some(asking.arn(&target, &secret)),
            name: Some(target.name.clone()),
            ..SecretAnswer::default()
        }),
        Err(SecretError::Scheduled) => Err(invalid_request(
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

/// `AssociateCrossAccountReplica`. One server is one organization, so that both restrictions hold.
pub(super) async fn associate(asking: &Asking<'_>) -> Answer {
    let request: AssociateReplicaRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let replica = other(asking, &target, "CrossAccountReplicaARN", &request.cross_account_replica_arn)?;
    // Who shows a secret to another account reads it.
    asking.permitted(policy::Operation::Read, &target.path("data")).await?;
    let (path, there) = (target.path("metadata"), replica.path("metadata"));
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let outcome = async {
        let (exchange, permit_there) = asking.admit(policy::Operation::Update, &there, asking.body()).await?;
        asking.conclude(exchange, text_of(&SecretAnswer::default())).await?;
        let role = request.replication_role_arn.unwrap_or_default();
        let allowed_there = asking.restriction_for(&replica, "AcceptCrossAccountReplication");
        let linked = asking.kv().link(permit, (permit_there, &allowed_there), role, &asking.restriction(&target)).await;
        let (primary, follower) = linked.map_err(|error| asking.failed(&target, error))?;
        text_of(&CrossAccountAnswer {
            arn: Some(asking.arn(&target, &primary)),
            cross_account_replica_arn: Some(asking.arn(&replica, &follower)),
            replication_status: Some(IN_SYNC.to_owned()),
        })
    }
    .await;
    asking.conclude(exchange, outcome).await
}

/// `DisassociateCrossAccountReplica`.
pub(super) async fn disassociate(asking: &Asking<'_>) -> Answer {
    let request: DisassociateReplicaRequest = asking.read()?;
    let target = asking.target(&request.secret_id)?;
    let replica = other(asking, &target, "CrossAccountReplicaARN", &request.cross_account_replica_arn)?;
    let mount = uuid_of(asking, &replica)?;
    let path = target.path("metadata");
    let (exchange, permit) = asking.admit(policy::Operation::Update, &path, asking.body()).await?;
    let unlinked = asking.kv().unlink(permit, (&mount, &replica.name), &asking.restriction(&target)).await;
    let outcome = match unlinked {
        Ok((secret, follower)) => text_of(&CrossAccountAnswer {
            arn: Some(asking.arn(&target, &secret)),
            cross_account_replica_arn: Some(asking.arn_of(&replica, &follower.arn_suffix)),
            replication_status: None,
        }),
        Err(SecretError::NoReplica) => Err(invalid_request("The secret has no such cross-account replica.")),
        Err(error) => Err(asking.failed(&target, error)),
    };
    asking.conclude(exchange, outcome).await
}

/// The secret in another account that a whole ARN names.
fn other(asking: &Asking<'_>, target: &Target, member: &str, arn: &str) -> Result<Target, Failure> {
    let unfit = |why: &str| invalid_parameter(format!("{member} {why}"));
    let known = asking.target(arn).ok().filter(|other| arn.starts_with("arn:") && other.suffix().is_some());
    let other = known.ok_or_else(|| {
        unfit(
            "must be the whole ARN of a secret in an account that a mount stands for: see [[aws.account]] in the \
               server's configuration.",
        )
    })?;
    let settings = asking.settings();
    if settings.account_of(&other.mount) == settings.account_of(&target.mount) {
        return Err(unfit("names a secret in the same account: use ReplicateSecretToRegions there."));
    }
    if other.region != target.region {
        return Err(unfit("names a secret in another Region."));
    }
    Ok(other)
}

fn uuid_of(asking: &Asking<'_>, target: &Target) -> Result<String, Failure> {
    let mount = asking.call.core.mounts().at(&target.mount).map(|mount| mount.uuid.clone());
    mount.ok_or_else(|| invalid_parameter("The mount that stands for that account is not there: enable it first."))
}

const IN_SYNC: &str = "InSync";

/// What the record of a cross-account replica says of its primary.
pub(super) fn primary(asking: &Asking<'_>, target: &Target, secret: &Secret) -> Option<CrossAccountPrimary> {
    let link = secret.link.as_ref()?;
    let status = match link.state {
        LinkState::Pending => "Pending",
        LinkState::Linked => IN_SYNC,
        LinkState::Detached => "Detached",
    };
    let place = place_of(asking, target, secret.origin.as_deref()?, &link.name)?;
    Some(CrossAccountPrimary {
        primary_secret_arn: Some(asking.arn_of(&place, &link.arn_suffix)),
        replication_status: Some(status.to_owned()),
    })
}

/// What the record of a primary says of its cross-account replica. A replica of a region has its origin's record.
pub(super) fn replicas(asking: &Asking<'_>, target: &Target, secret: &Secret) -> Option<Vec<CrossAccountReplica>> {
    let Follower { mount, name, arn_suffix, role, detached } =
        secret.follower.as_ref().filter(|_| secret.origin.is_none())?;
    let place = place_of(asking, target, mount, name)?;
    Some(vec![CrossAccountReplica {
        replica_secret_arn: Some(asking.arn_of(&place, arn_suffix)),
        replication_role_arn: (!role.is_empty()).then(|| role.clone()),
        replication_status: Some(if *detached { "Detached" } else { IN_SYNC }.to_owned()),
    }])
}

fn place_of(asking: &Asking<'_>, target: &Target, uuid: &str, name: &str) -> Option<Target> {
    let mount = asking.call.core.mounts().with_uuid(uuid)?;
    Some(Target::of(name, &target.region, &mount.path))
}
