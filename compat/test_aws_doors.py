"""One secret, two doors: what one protocol writes is what the other reads."""

import base64
import json

import hvac
import pytest

import aws_model
from aws_model import refused, token
from support import refused as vault_refused
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def kv(client):
    return client.secrets.kv.v2


def read(kv, name, **options):
    return kv.read_secret_version(name, mount_point="secret", raise_on_deleted_version=True, **options)["data"]


def write(kv, name, fields, **options):
    return kv.create_or_update_secret(name, fields, mount_point="secret", **options)["data"]["version"]


def test_fields(sm, kv):
    name = unique("doors/fields")
    write(kv, name, {"user": "ann", "port": 5432, "deep": {"a": [None, True]}})
    assert json.loads(sm.get_secret_value(SecretId=name)["SecretString"]) == {
        "user": "ann", "port": 5432, "deep": {"a": [None, True]}}
    sm.put_secret_value(SecretId=name, SecretString='{ "user": "bob",\n "password": "hunter2" }')
    assert read(kv, name)["data"] == {"user": "bob", "password": "hunter2"}
    kv.patch(name, {"password": "hunter3"}, mount_point="secret")
    assert json.loads(sm.get_secret_value(SecretId=name)["SecretString"]) == {"user": "bob", "password": "hunter3"}


@pytest.mark.parametrize("text", ["hunter2", "[1, 2]", "ü\n\"", "{not json", '{"a": 1e999}', "null"])
def test_text(sm, kv, text):
    name = unique("doors/text")
    sm.create_secret(Name=name, SecretString=text)
    assert read(kv, name)["data"] == {"value": text}
    assert sm.get_secret_value(SecretId=name)["SecretString"] == text


def test_bytes(sm, kv):
    name, value = unique("doors/bytes"), bytes(range(256))
    sm.create_secret(Name=name, SecretBinary=value)
    assert base64.b64decode(read(kv, name)["data"]["value"]) == value


def test_a_field_called_value_stays_a_field(sm, kv):
    name = unique("doors/value")
    write(kv, name, {"value": "x"})
    assert sm.get_secret_value(SecretId=name)["SecretString"] == '{"value":"x"}'


def test_a_write_at_one_door_moves_labels_at_the_other(sm, kv):
    name = unique("doors/labels")
    first = sm.create_secret(Name=name, SecretString="one")["VersionId"]
    assert write(kv, name, {"value": "two"}, cas=1) == 2
    stages = sm.describe_secret(SecretId=name)["VersionIdsToStages"]
    second = next(version for version in stages if version != first)
    assert stages == {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]} and 32 <= len(second) <= 64
    third = sm.put_secret_value(SecretId=name, SecretString="three")["VersionId"]
    with vault_refused(hvac.exceptions.InvalidRequest, "check-and-set"):
        write(kv, name, {"value": "four"}, cas=2)
    assert write(kv, name, {"value": "four"}, cas=3) == 4
    assert sm.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["VersionId"] == third
    assert read(kv, name, version=2)["data"] == {"value": "two"}
    assert sm.get_secret_value(SecretId=name, VersionId=first)["SecretString"] == "one"


def test_a_custom_label_is_invisible_until_promoted(sm, kv, server):
    name = unique("doors/pending")
    first = sm.create_secret(Name=name, SecretString="one")["VersionId"]
    pending = sm.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
    assert read(kv, name)["data"] == {"value": "one"} and read(kv, name)["metadata"]["version"] == 1
    assert server.call("GET", f"secret/data/{name}?version=2").status == 404
    metadata = kv.read_secret_metadata(name, mount_point="secret")["data"]
    assert set(metadata["versions"]) == {"1"} and metadata["current_version"] == 1
    # Nor can it be taken away by who does not see it.
    kv.destroy_secret_versions(name, [2], mount_point="secret")
    kv.delete_secret_versions(name, [2], mount_point="secret")
    assert sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["SecretString"] == "two"
    # A write in between leaves it pending.
    assert write(kv, name, {"value": "three"}) == 3
    assert sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["VersionId"] == pending
    current = sm.get_secret_value(SecretId=name)["VersionId"]
    sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=current,
                                   MoveToVersionId=pending)
    assert read(kv, name)["data"] == {"value": "two"}
    metadata = kv.read_secret_metadata(name, mount_point="secret")["data"]
    assert set(metadata["versions"]) == {"1", "2", "3"} and metadata["current_version"] == 2
    assert first in [v["VersionId"] for v in sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]]


def test_an_open_rotation_is_invisible(sm, kv):
    name = unique("doors/rotation")
    sm.create_secret(Name=name, SecretString="one")
    sm.rotate_secret(SecretId=name, RotationLambdaARN="hook", ClientRequestToken=token())
    assert read(kv, name)["data"] == {"value": "one"}
    assert set(kv.read_secret_metadata(name, mount_point="secret")["data"]["versions"]) == {"1"}


def test_what_is_deleted_at_one_door_is_gone_at_the_other(sm, kv):
    name = unique("doors/deleted")
    write(kv, name, {"a": "1"})
    kv.delete_latest_version_of_secret(name, mount_point="secret")
    with refused("ResourceNotFoundException", "staging label: AWSCURRENT"):
        sm.get_secret_value(SecretId=name)
    kv.undelete_secret_versions(name, [1], mount_point="secret")
    assert sm.get_secret_value(SecretId=name)["SecretString"] == '{"a":"1"}'
    kv.destroy_secret_versions(name, [1], mount_point="secret")
    with refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId=name)
    kv.delete_metadata_and_all_versions(name, mount_point="secret")
    with refused("ResourceNotFoundException"):
        sm.describe_secret(SecretId=name)


def test_a_scheduled_deletion_is_a_deletion_at_the_other_door(sm, kv, server):
    name = unique("doors/scheduled")
    sm.create_secret(Name=name, SecretString="x")
    sm.delete_secret(SecretId=name)
    gone = server.call("GET", f"secret/data/{name}")
    assert gone.status == 404 and gone.json["data"]["metadata"]["deletion_time"]
    versions = kv.read_secret_metadata(name, mount_point="secret")["data"]["versions"]
    assert versions["1"]["deletion_time"]
    with vault_refused(hvac.exceptions.InvalidRequest, "scheduled for deletion"):
        write(kv, name, {"a": "b"})
    with vault_refused(hvac.exceptions.InvalidRequest, "scheduled for deletion"):
        kv.update_metadata(name, max_versions=3, mount_point="secret")
    kv.undelete_secret_versions(name, [1], mount_point="secret")
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "x"
    assert read(kv, name)["data"] == {"value": "x"}


def test_a_deletion_at_once_is_for_good(sm, client):
    name = unique("doors/forced")
    sm.create_secret(Name=name, SecretString="x")
    sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v2.read_secret_metadata(name, mount_point="secret")


def test_listings_agree(sm, client):
    folder = unique("doors/folder")
    write(client.secrets.kv.v2, f"{folder}/a", {"a": "1"})
    sm.create_secret(Name=f"{folder}/b", SecretString="x")
    keys = client.secrets.kv.v2.list_secrets(folder, mount_point="secret")["data"]["keys"]
    listed = sm.list_secrets(Filters=[{"Key": "name", "Values": [folder]}])["SecretList"]
    assert [entry["Name"] for entry in listed] == [f"{folder}/{key}" for key in keys]


def test_check_and_set_that_this_door_has_no_word_for(sm, kv):
    name = unique("doors/cas")
    write(kv, name, {"a": "1"})
    kv.update_metadata(name, cas_required=True, mount_point="secret")
    with refused("InvalidRequestException", "check-and-set"):
        sm.put_secret_value(SecretId=name, SecretString="x")


def test_large_values_of_the_other_door_are_read(sm, kv):
    name = unique("doors/large")
    write(kv, name, {"a": "x" * 200_000})
    # The model bounds what is written and what is read; boto3 checks neither.
    bounds = aws_model.SHAPES["SecretStringType"]
    most = bounds.pop("max")
    try:
        assert len(sm.get_secret_value(SecretId=name)["SecretString"]) > 200_000
    finally:
        bounds["max"] = most


def test_a_mount_without_versions_is_not_served(own_server):
    own_server.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "1"})
    sm = aws_model.client(aws_model.make_key(own_server))
    for call in (lambda: sm.get_secret_value(SecretId="a"), lambda: sm.restore_secret(SecretId="a"), sm.list_secrets):
        with refused("InvalidRequestException", "holds no versioned secrets"):
            call()


def test_the_log_has_one_hash_for_one_value(fresh_server):
    """Whoever looks for a value in the audit log finds its uses at both doors."""
    fresh_server.initialise()
    root = fresh_server.client()
    root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    log = fresh_server.directory / "audit.log"
    root.sys.enable_audit_device("file", options={"file_path": str(log)}, path="file")
    sm = aws_model.client(aws_model.make_key(fresh_server))
    sm.create_secret(Name="a", SecretString='{"password": "hunter2"}')
    write(root.secrets.kv.v2, "b", {"password": "hunter2"})
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    writes = {entry["request"]["path"]: entry["request"]["data"]["data"]["password"] for entry in entries
              if entry["type"] == "request" and entry["request"]["path"].startswith("secret/data/")}
    assert writes["secret/data/a"] == writes["secret/data/b"] and writes["secret/data/a"].startswith("hmac-sha256:")
    assert "hunter2" not in log.read_text()
    told = next(entry for entry in entries if entry["request"]["path"] == "secret/data/a" and entry["type"] == "response")
    assert told["auth"]["accessor"] and told["response"]["data"]["Name"].startswith("hmac-sha256:")
