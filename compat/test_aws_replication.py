"""AWS Secrets Manager: replicas in mounts that stand for other regions."""

import hvac
import pytest

import aws_model
import harness
from aws_model import refused
from support import refused as vault_refused
from support import unique

pytestmark = pytest.mark.keyturn

REGIONS = """
[aws]
region = "us-east-1"
account_id = "123456789012"
mount = "secret"

[[aws.replica]]
region = "eu-west-1"
mount = "secret-eu"
"""


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """A server with a mount for each of two regions: the server, and a client for each."""
    directory = tmp_path_factory.mktemp("regions")
    process = harness.configured_server(directory, more=REGIONS)
    process.initialise()
    for path in ("secret", "secret-eu"):
        process.client().sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    key = aws_model.make_key(process)
    yield process, aws_model.client(key), aws_model.client(key, region="eu-west-1")
    process.stop()


def status(client, name):
    return client.describe_secret(SecretId=name)["ReplicationStatus"]


def test_a_replica_is_never_behind(regions):
    server, us, eu = regions
    name = unique("replica")
    arn = us.create_secret(Name=name, SecretString="one", Description="d", Tags=[{"Key": "a", "Value": "b"}])["ARN"]
    assert arn.startswith("arn:aws:secretsmanager:us-east-1:123456789012:secret:")
    with refused("ResourceNotFoundException"):
        eu.get_secret_value(SecretId=name)
    answer = us.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-1", "KmsKeyId": "k"}])
    assert answer["ReplicationStatus"] == [{"Region": "eu-west-1", "KmsKeyId": "k", "Status": "InSync"}]
    replica = eu.get_secret_value(SecretId=name)
    assert replica["SecretString"] == "one" and replica["ARN"] == arn.replace("us-east-1", "eu-west-1")
    version = us.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    assert eu.get_secret_value(SecretId=replica["ARN"])["VersionId"] == version
    assert us.get_secret_value(SecretId=replica["ARN"])["SecretString"] == "two"
    told = eu.describe_secret(SecretId=name)
    assert (told["PrimaryRegion"], told["Description"], told["KmsKeyId"]) == ("us-east-1", "d", "k")
    assert us.describe_secret(SecretId=name)["PrimaryRegion"] == "us-east-1"
    read = server.client().secrets.kv.v2.read_secret_version(name, mount_point="secret-eu", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"value": "two"}


def test_a_replica_is_changed_through_its_origin(regions):
    server, us, eu = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    told = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
    for call in (
        lambda: eu.put_secret_value(SecretId=name, SecretString="x"), lambda: eu.update_secret(SecretId=name, Description="x"),
        lambda: eu.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "b"}]), lambda: eu.delete_secret(SecretId=name),
        lambda: eu.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True), lambda: eu.restore_secret(SecretId=name),
        lambda: eu.untag_resource(SecretId=name, TagKeys=["a"]), lambda: eu.delete_resource_policy(SecretId=name),
        lambda: eu.rotate_secret(SecretId=name, RotationLambdaARN="x"), lambda: eu.cancel_rotate_secret(SecretId=name),
        lambda: eu.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "us-east-1"}]),
        lambda: eu.update_secret_version_stage(SecretId=name, VersionStage="a", MoveToVersionId="a" * 32),
    ):
        with refused("InvalidParameterException", told):
            call()
    kv = server.client().secrets.kv.v2
    for change in (lambda: kv.create_or_update_secret(name, {"a": "b"}, mount_point="secret-eu"),
                   lambda: kv.destroy_secret_versions(name, [1], mount_point="secret-eu"),
                   lambda: kv.delete_latest_version_of_secret(name, mount_point="secret-eu"),
                   lambda: kv.update_metadata(name, max_versions=1, mount_point="secret-eu")):
        with vault_refused(hvac.exceptions.InvalidRequest, "replica"):
            change()
    assert us.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_an_origin_stays_while_it_has_replicas(regions):
    server, us, _ = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    for options in ({}, {"ForceDeleteWithoutRecovery": True}):
        with refused("InvalidRequestException", "replica"):
            us.delete_secret(SecretId=name, **options)
    with vault_refused(hvac.exceptions.InvalidRequest, "replicas"):
        server.client().secrets.kv.v2.delete_metadata_and_all_versions(name, mount_point="secret")
    removed = us.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=["eu-west-1"])
    assert removed["ReplicationStatus"] == []
    us.delete_secret(SecretId=name)


def test_removing_takes_the_replica_away(regions):
    _, us, eu = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one")
    with refused("InvalidParameterException", "not replicated"):
        us.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=["eu-west-1"])
    us.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-1"}])
    us.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=["eu-west-1"])
    with refused("ResourceNotFoundException"):
        eu.get_secret_value(SecretId=name)
    assert "ReplicationStatus" not in us.describe_secret(SecretId=name)


def test_stopping_makes_a_secret_of_its_own(regions):
    _, us, eu = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    us.put_secret_value(SecretId=name, SecretString="two")
    with refused("InvalidRequestException", "no replica"):
        us.stop_replication_to_replica(SecretId=name)
    assert "eu-west-1" in eu.stop_replication_to_replica(SecretId=name)["ARN"]
    us.put_secret_value(SecretId=name, SecretString="three")
    assert eu.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert eu.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    eu.put_secret_value(SecretId=name, SecretString="four")
    assert us.get_secret_value(SecretId=name)["SecretString"] == "three"
    assert "ReplicationStatus" not in us.describe_secret(SecretId=name)


def test_what_is_in_the_way_stays_unless_overwritten(regions):
    _, us, eu = regions
    name = unique("replica")
    eu.create_secret(Name=name, SecretString="mine")
    us.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    entry, = status(us, name)
    assert entry["Status"] == "Failed" and "is there already" in entry["StatusMessage"]
    assert eu.get_secret_value(SecretId=name)["SecretString"] == "mine"
    us.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-1"}],
                                   ForceOverwriteReplicaSecret=True)
    assert status(us, name) == [{"Region": "eu-west-1", "Status": "InSync"}]
    assert eu.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_what_is_not_there_or_deleted_is_not_replicated(regions):
    _, us, _ = regions
    name = unique("replica")
    calls = (lambda: us.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-1"}]),
             lambda: us.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=["eu-west-1"]))
    for call in calls:
        with refused("ResourceNotFoundException"):
            call()
    us.create_secret(Name=name, SecretString="one")
    us.delete_secret(SecretId=name)
    for call in calls:
        with refused("InvalidRequestException"):
            call()


def test_regions_that_no_mount_stands_for(regions):
    _, us, _ = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one")
    for region in ("ap-south-1", "us-east-1"):
        with refused("InvalidParameterException", "Invalid replica region"):
            us.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": region}])
        with refused("InvalidParameterException", "Invalid replica region"):
            us.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=[region])


def test_a_replica_needs_a_rule_in_its_place(regions):
    server, us, _ = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one")
    policy = unique("policy")
    server.client().sys.create_or_update_acl_policy(policy, 'path "secret/*" { capabilities = ["read", "update"] }')
    limited = aws_model.client(aws_model.make_key(server, [policy]))
    with refused("AccessDeniedException", f"secret-eu/data/{name}"):
        limited.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "eu-west-1"}])
    assert "ReplicationStatus" not in us.describe_secret(SecretId=name)


def test_a_listing_is_of_the_region(regions):
    _, us, eu = regions
    name = unique("replica")
    us.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "eu-west-1"}])
    filters = [{"Key": "name", "Values": [name]}]
    for client, region in ((us, "us-east-1"), (eu, "eu-west-1")):
        entry, = client.list_secrets(Filters=filters + [{"Key": "primary-region", "Values": ["us-east"]}])["SecretList"]
        assert f":{region}:" in entry["ARN"] and entry["PrimaryRegion"] == "us-east-1"
    assert not eu.list_secrets(Filters=filters + [{"Key": "primary-region", "Values": ["!us-east"]}])["SecretList"]
