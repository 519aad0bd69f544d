"""AWS Secrets Manager: replicas in mounts that stand for other accounts."""

import hvac
import pytest

import aws_model
import harness
from aws_model import refused
from support import refused as vault_refused
from support import unique

pytestmark = pytest.mark.keyturn

ACCOUNTS = """
[aws]
account_id = "123456789012"
mount = "secret"

[[aws.replica]]
region = "eu-west-1"
mount = "secret-eu"

[[aws.account]]
account_id = "210987654321"
mount = "partner"

[[aws.account]]
account_id = "333333333333"
mount = "nowhere"
"""
ROLE = "arn:aws:iam::123456789012:role/replication"
MOUNTS = ("secret", "secret-eu", "partner")


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    """A server with a mount for each of two accounts: the server, a client of the first, one of the other."""
    process = harness.configured_server(tmp_path_factory.mktemp("accounts"), more=ACCOUNTS)
    process.initialise()
    for path in MOUNTS:
        process.client().sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    ours, theirs = aws_model.make_key(process), aws_model.make_key(process, account="210987654321")
    yield process, aws_model.client(ours), aws_model.client(theirs)
    process.stop()


@pytest.fixture()
def pair(accounts):
    """A primary and a replica that waits for it: both clients, and the ARN of each."""
    _, ours, theirs = accounts
    primary = ours.create_secret(Name=unique("primary"), SecretString="one", Description="d")["ARN"]
    replica = theirs.create_secret(Name=unique("replica"), CrossAccountPrimaryARN=primary, KmsKeyId="k",
                                   Tags=[{"Key": "owner", "Value": "them"}])["ARN"]
    return ours, theirs, primary, replica


def test_a_key_sees_the_mount_of_its_account(accounts):
    server, ours, theirs = accounts
    name = unique("both")
    arns = [client.create_secret(Name=name, SecretString=text)["ARN"] for client, text in ((ours, "a"), (theirs, "b"))]
    assert arns[0].startswith("arn:aws:secretsmanager:us-east-1:123456789012:secret:")
    assert arns[1].startswith("arn:aws:secretsmanager:us-east-1:210987654321:secret:")
    assert [client.get_secret_value(SecretId=name)["SecretString"] for client in (ours, theirs)] == ["a", "b"]
    assert ours.get_secret_value(SecretId=arns[1])["SecretString"] == "b"
    entry, = theirs.list_secrets(Filters=[{"Key": "name", "Values": [name]}])["SecretList"]
    assert entry["ARN"] == arns[1]
    sts = aws_model.make_key(server, account="210987654321", name="partner").client("sts")
    told = sts.get_caller_identity()
    assert (told["Account"], told["Arn"]) == ("210987654321", "arn:aws:iam::210987654321:user/partner")
    session = sts.get_session_token()["Credentials"]
    key = aws_model.make_key(server)
    key.id, key.secret, key.session_token = (session[part] for part in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    assert aws_model.client(key).get_secret_value(SecretId=name)["SecretString"] == "b"


def test_an_account_without_a_mount_sees_nothing(accounts):
    server, _, _ = accounts
    for account in ("333333333333", "444444444444"):
        client = aws_model.client(aws_model.make_key(server, account=account))
        for call in (lambda: client.list_secrets(), lambda: client.create_secret(Name="x", SecretString="x")):
            with refused("AccessDeniedException"):
                call()
    with vault_refused(hvac.exceptions.InvalidRequest, "twelve digits"):
        aws_model.make_key(server, account="12")


def test_a_replica_holds_nothing_until_it_is_associated(pair):
    ours, theirs, primary, replica = pair
    told = theirs.describe_secret(SecretId=replica)
    assert told["CrossAccountPrimary"] == {"PrimarySecretARN": primary, "ReplicationStatus": "Pending"}
    assert told["KmsKeyId"] == "k" and "VersionIdsToStages" not in told
    with refused("ResourceNotFoundException"):
        theirs.get_secret_value(SecretId=replica)
    answer = ours.associate_cross_account_replica(
        SecretId=primary, CrossAccountReplicaARN=replica, ReplicaRestriction="NoRestriction", ReplicationRoleARN=ROLE)
    assert (answer["ARN"], answer["CrossAccountReplicaARN"], answer["ReplicationStatus"]) == (primary, replica, "InSync")
    entry = {"ReplicaSecretARN": replica, "ReplicationRoleARN": ROLE, "ReplicationStatus": "InSync"}
    assert ours.describe_secret(SecretId=primary)["CrossAccountReplicas"] == [entry]
    told = theirs.describe_secret(SecretId=replica)
    assert told["CrossAccountPrimary"] == {"PrimarySecretARN": primary, "ReplicationStatus": "InSync"}
    assert told["Tags"] == [{"Key": "owner", "Value": "them"}] and told["Description"] == "d"
    assert "PrimaryRegion" not in told


def test_a_replica_is_never_behind_and_changed_through_its_primary(accounts, pair):
    server, _, _ = accounts
    ours, theirs, primary, replica = pair
    ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    assert theirs.get_secret_value(SecretId=replica)["SecretString"] == "one"
    version = ours.put_secret_value(SecretId=primary, SecretString="two")["VersionId"]
    read = theirs.get_secret_value(SecretId=replica)
    assert (read["SecretString"], read["VersionId"], read["ARN"]) == ("two", version, replica)
    assert theirs.get_secret_value(SecretId=replica, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    kv, name = server.client().secrets.kv.v2, read["Name"]
    seen = kv.read_secret_version(name, mount_point="partner", raise_on_deleted_version=True)
    assert seen["data"]["data"] == {"value": "two"}
    for call in (lambda: theirs.put_secret_value(SecretId=replica, SecretString="x"),
                 lambda: theirs.tag_resource(SecretId=replica, Tags=[{"Key": "a", "Value": "b"}]),
                 lambda: theirs.delete_secret(SecretId=replica, ForceDeleteWithoutRecovery=True)):
        with refused("InvalidParameterException", "replica"):
            call()
    with vault_refused(hvac.exceptions.InvalidRequest, "replica"):
        kv.create_or_update_secret(name, {"a": "b"}, mount_point="partner")


def test_a_primary_stays_while_it_is_replicated(accounts, pair):
    server, _, _ = accounts
    ours, _, primary, replica = pair
    ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    for options in ({}, {"ForceDeleteWithoutRecovery": True}):
        with refused("InvalidRequestException", "replica"):
            ours.delete_secret(SecretId=primary, **options)
    name = ours.describe_secret(SecretId=primary)["Name"]
    with vault_refused(hvac.exceptions.InvalidRequest, "replicas"):
        server.client().secrets.kv.v2.delete_metadata_and_all_versions(name, mount_point="secret")
    ours.disassociate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    ours.delete_secret(SecretId=primary)


def test_disassociating_leaves_what_was_read_last(pair):
    ours, theirs, primary, replica = pair
    ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    ours.put_secret_value(SecretId=primary, SecretString="two")
    answer = ours.disassociate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    assert (answer["ARN"], answer["CrossAccountReplicaARN"]) == (primary, replica)
    assert "CrossAccountReplicas" not in ours.describe_secret(SecretId=primary)
    ours.put_secret_value(SecretId=primary, SecretString="three")
    assert theirs.get_secret_value(SecretId=replica)["SecretString"] == "two"
    assert theirs.describe_secret(SecretId=replica)["CrossAccountPrimary"]["ReplicationStatus"] == "Detached"
    with refused("InvalidParameterException", "replica"):
        theirs.put_secret_value(SecretId=replica, SecretString="mine")
    with refused("InvalidRequestException", "not made for"):
        ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    assert theirs.stop_replication_to_replica(SecretId=replica)["ARN"] == replica
    theirs.put_secret_value(SecretId=replica, SecretString="mine")
    assert theirs.get_secret_value(SecretId=replica, VersionStage="AWSPREVIOUS")["SecretString"] == "two"
    assert "CrossAccountPrimary" not in theirs.describe_secret(SecretId=replica)


def test_stopping_makes_a_secret_of_its_own(pair):
    ours, theirs, primary, replica = pair
    ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    theirs.stop_replication_to_replica(SecretId=replica)
    ours.put_secret_value(SecretId=primary, SecretString="two")
    assert theirs.get_secret_value(SecretId=replica)["SecretString"] == "one"
    entry, = ours.describe_secret(SecretId=primary)["CrossAccountReplicas"]
    assert entry["ReplicationStatus"] == "Detached"
    # What follows no longer is in nobody's way: another may follow, or the primary go.
    second = theirs.create_secret(Name=unique("replica"), CrossAccountPrimaryARN=primary, KmsKeyId="k")["ARN"]
    ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=second)
    assert theirs.get_secret_value(SecretId=second)["SecretString"] == "two"


def test_a_waiting_replica_can_be_given_up(pair):
    _, theirs, _, replica = pair
    theirs.stop_replication_to_replica(SecretId=replica)
    theirs.put_secret_value(SecretId=replica, SecretString="mine")
    theirs.delete_secret(SecretId=replica, ForceDeleteWithoutRecovery=True)


def test_both_sides_must_agree(accounts, pair):
    _, ours, theirs = accounts
    _, _, primary, replica = pair
    other = ours.create_secret(Name=unique("other"), SecretString="secret")["ARN"]
    plain = theirs.create_secret(Name=unique("plain"), SecretString="mine")["ARN"]
    for target, source in ((other, replica), (primary, plain), (primary, replica[:-6] + "aaaaaa")):
        with refused("InvalidRequestException", "CrossAccountPrimaryARN"):
            ours.associate_cross_account_replica(SecretId=target, CrossAccountReplicaARN=source)
    assert theirs.get_secret_value(SecretId=plain)["SecretString"] == "mine"
    # A secret that is made anew under the primary's name is another, which nobody agreed to follow or to show.
    name = ours.describe_secret(SecretId=primary)["Name"]
    ours.delete_secret(SecretId=primary, ForceDeleteWithoutRecovery=True)
    ours.create_secret(Name=name, SecretString="anew")
    with refused("InvalidRequestException", "CrossAccountPrimaryARN"):
        ours.associate_cross_account_replica(SecretId=name, CrossAccountReplicaARN=replica)
    with refused("ResourceNotFoundException"):
        theirs.get_secret_value(SecretId=replica)


def test_a_secret_has_one_replica_in_other_accounts(pair):
    ours, theirs, primary, replica = pair
    second = theirs.create_secret(Name=unique("replica"), CrossAccountPrimaryARN=primary, KmsKeyId="k")["ARN"]
    for _ in range(2):
        ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    with refused("LimitExceededException", "1 replica"):
        ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=second)
    with refused("InvalidRequestException", "no such"):
        ours.disassociate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=second)


def test_rules_of_both_mounts_are_asked(accounts, pair):
    server, _, _ = accounts
    ours, theirs, primary, replica = pair
    for rules, lacks in (('path "secret/*" { capabilities = ["read", "update"] }', "partner/metadata/"),
                         ('path "secret/metadata/*" { capabilities = ["update"] }\n'
                          'path "partner/*" { capabilities = ["update"] }', "secret/data/")):
        policy = unique("policy")
        server.client().sys.create_or_update_acl_policy(policy, rules)
        limited = aws_model.client(aws_model.make_key(server, [policy]))
        with refused("AccessDeniedException", lacks):
            limited.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=replica)
    with refused("ResourceNotFoundException"):
        theirs.get_secret_value(SecretId=replica)


def test_what_a_replica_may_not_be(accounts, pair):
    server, ours, theirs = accounts
    _, _, primary, replica = pair
    same = ours.create_secret(Name=unique("same"), SecretString="x")["ARN"]
    outside = same.replace("123456789012", "999999999999")
    name = unique("replica")
    for arn, told in ((same, "whole ARN"), (outside, "whole ARN"), ("a" * 20, "whole ARN"), (primary[:-7], "whole ARN")):
        arn = arn if arn != same else same.replace(":secret:", ":thing:")
        with refused("InvalidParameterException", told):
            theirs.create_secret(Name=name, CrossAccountPrimaryARN=arn, KmsKeyId="k")
        with refused("InvalidParameterException", told):
            ours.associate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=arn)
        with refused("InvalidParameterException", told):
            ours.disassociate_cross_account_replica(SecretId=primary, CrossAccountReplicaARN=arn)
    with refused("InvalidParameterException", "same account"):
        ours.create_secret(Name=name, CrossAccountPrimaryARN=same, KmsKeyId="k")
    with refused("InvalidParameterException", "another Region"):
        theirs.create_secret(Name=name, CrossAccountPrimaryARN=primary.replace("us-east-1", "eu-west-1"), KmsKeyId="k")
    with refused("InvalidParameterException", "KmsKeyId"):
        theirs.create_secret(Name=name, CrossAccountPrimaryARN=primary)
    for more in ({"SecretString": "x"}, {"SecretBinary": b"x"}, {"Description": "x"}, {"Type": "x"},
                 {"AddReplicaRegions": [{"Region": "eu-west-1"}]}):
        with refused("InvalidParameterException", "together with"):
            theirs.create_secret(Name=name, CrossAccountPrimaryARN=primary, KmsKeyId="k", **more)
    with refused("InvalidParameterException", "Invalid replica region"):
        theirs.replicate_secret_to_regions(SecretId=replica, AddReplicaRegions=[{"Region": "eu-west-1"}])
    theirs.create_secret(Name=name, SecretString="mine")
    with refused("ResourceExistsException"):
        theirs.create_secret(Name=name, CrossAccountPrimaryARN=primary, KmsKeyId="k")
    for call in (ours.associate_cross_account_replica, ours.disassociate_cross_account_replica):
        with refused("ResourceNotFoundException"):
            call(SecretId="never", CrossAccountReplicaARN=replica)
    ours.delete_secret(SecretId=primary)
    for call in (ours.associate_cross_account_replica, ours.disassociate_cross_account_replica):
        with refused("InvalidRequestException", "deletion"):
            call(SecretId=primary, CrossAccountReplicaARN=replica)
