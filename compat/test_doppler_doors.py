"""One secret, three doors: what one protocol writes is what the other two read."""

import json

import pytest

from aws import create_key
from doppler import Doppler
from support import unique
from test_doppler_secrets import SECRETS, Config

pytestmark = pytest.mark.keyturn


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def config(doppler):
    """A config that nobody made: it is there once its secret is, by whichever door."""
    return Config(doppler, unique("app"), "prd")


@pytest.fixture
def kv(client):
    """The versioned secrets at `secret/`."""
    return client.secrets.kv.v2


@pytest.fixture
def sm(server, policy):
    """AWS Secrets Manager."""
    everything = policy('path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    return create_key(server, everything).client("secretsmanager")


def name(config):
    """The config's secret, as the other doors call it."""
    return f"{config.project}/{config.name}"


def read(kv, config, **options):
    return kv.read_secret_version(name(config), mount_point="secret", raise_on_deleted_version=True, **options)["data"]


def write(kv, config, fields):
    return kv.create_or_update_secret(name(config), fields, mount_point="secret")["data"]["version"]


def test_vault_writes_fields(config, kv, sm):
    """Values that are no text show as their JSON, and stay what they are when others are set."""
    fields = {"URL": "ü\n", "PORT": 5432, "ON": True, "DEEP": {"a": [None, 1.5]}, "lower.case": "x", "not shown!": "y"}
    write(kv, config, fields)
    assert config.raw() == {"URL": "ü\n", "PORT": "5432", "ON": "true", "DEEP": '{"a": [null, 1.5]}', "lower.case": "x"}
    config.set(URL="new", ADDED="1")
    assert read(kv, config)["data"] == fields | {"URL": "new", "ADDED": "1"}
    assert json.loads(sm.get_secret_value(SecretId=name(config))["SecretString"]) == fields | {"URL": "new", "ADDED": "1"}
    config.set(PORT="5433")
    assert read(kv, config)["data"]["PORT"] == "5433"
    config.change({"name": "lower.case", "value": "z"})
    config.change({"name": "lower.case", "shouldDelete": True})
    assert "lower.case" not in read(kv, config)["data"] and read(kv, config)["data"]["not shown!"] == "y"


def test_aws_writes_text(config, kv, sm):
    """One text is the one secret VALUE, and stays one text until it gets company."""
    sm.create_secret(Name=name(config), SecretString="hunter2")
    assert config.raw() == {"VALUE": "hunter2"}
    config.set(VALUE="hunter3")
    assert sm.get_secret_value(SecretId=name(config))["SecretString"] == "hunter3"
    assert read(kv, config)["data"] == {"value": "hunter3"}
    config.set(OTHER="x")
    assert json.loads(sm.get_secret_value(SecretId=name(config))["SecretString"]) == {"VALUE": "hunter3", "OTHER": "x"}


def test_doppler_writes_versions(config, kv, sm):
    """Each change is a version, with its label and its number; what changes nothing is none."""
    write(kv, config, {"A": "1"})
    first = sm.describe_secret(SecretId=name(config))["VersionIdsToStages"]
    config.set(A="2")
    config.set(A="2")
    config.change({"name": "A", "value": "3"}, {"name": "B", "value": "x"})
    assert read(kv, config)["metadata"]["version"] == 3
    assert read(kv, config, version=1)["data"] == {"A": "1"} and read(kv, config, version=2)["data"] == {"A": "2"}
    previous = sm.get_secret_value(SecretId=name(config), VersionStage="AWSPREVIOUS")
    assert json.loads(previous["SecretString"]) == {"A": "2"} and previous["VersionId"] not in first


def test_what_is_said_beside_a_value_survives_other_doors(config, kv):
    """Visibility and type stay with the name; they make no version of their own."""
    write(kv, config, {"A": "1", "B": "2"})
    config.change({"name": "A", "visibility": "unmasked", "valueType": {"type": "integer"}})
    assert read(kv, config)["metadata"]["version"] == 1
    write(kv, config, {"A": "5"})
    shown = config.list()["A"]
    assert (shown["raw"], shown["rawVisibility"], shown["rawValueType"]) == ("5", "unmasked", {"type": "integer"})


def test_deletes_and_restores(config, kv, sm):
    """A version that is deleted holds nothing; one that waits for its end is no config."""
    write(kv, config, {"A": "1"})
    tag = config.download().headers["etag"]
    kv.delete_latest_version_of_secret(name(config), mount_point="secret")
    assert config.raw() == {} and config.download(etag=tag).status == 200
    kv.undelete_secret_versions(name(config), versions=[1], mount_point="secret")
    assert config.raw() == {"A": "1"} and config.download(etag=tag).status == 304
    sm.delete_secret(SecretId=name(config), RecoveryWindowInDays=7)
    config.doppler.refused(404, "GET", SECRETS, config.place)
    config.doppler.call("POST", SECRETS, config.place, {"secrets": {"A": "2"}})
    sm.restore_secret(SecretId=name(config))
    assert config.raw() == {"A": "1"}
    kv.delete_metadata_and_all_versions(name(config), mount_point="secret")
    config.doppler.refused(404, "GET", SECRETS, config.place)
    write(kv, config, {"A": "1"})
    assert config.download(etag=tag).status == 200, "a secret made anew is another"


def test_a_pending_version_is_invisible(config, kv, sm):
    """A rotation half done is nobody's to see."""
    sm.create_secret(Name=name(config), SecretString='{"A": "1"}')
    tag = config.download().headers["etag"]
    made = sm.put_secret_value(SecretId=name(config), SecretString='{"A": "2"}', VersionStages=["AWSPENDING"])
    assert config.raw() == {"A": "1"} and config.download(etag=tag).status == 304
    first = next(iter(sm.describe_secret(SecretId=name(config))["VersionIdsToStages"].keys() - {made["VersionId"]}))
    sm.update_secret_version_stage(SecretId=name(config), VersionStage="AWSCURRENT",
                                   MoveToVersionId=made["VersionId"], RemoveFromVersionId=first)
    assert config.raw() == {"A": "2"} and config.download(etag=tag).status == 200


def test_what_a_vault_policy_says_holds_here(config, kv, doppler, client, policy):
    """One policy language: the paths are Vault's."""
    write(kv, config, {"A": "1"})
    readable = policy(f'path "secret/data/{name(config)}" {{ capabilities = ["read"] }}')
    reader = config.as_token(client.auth.token.create(policies=[readable])["auth"]["client_token"])
    assert reader.raw() == {"A": "1"}
    reader.doppler.refused(403, "POST", SECRETS, config.place, {"secrets": {"A": "2"}})
    writable = policy(f'path "secret/data/{name(config)}" {{ capabilities = ["update"] }}')
    writer = config.as_token(client.auth.token.create(policies=[writable])["auth"]["client_token"])
    writer.doppler.refused(403, "POST", SECRETS, config.place, {"secrets": {"A": "2"}})
    assert config.raw() == {"A": "1"}, "whoever may not read is not shown what a write leads to, so does not write"


def test_a_branch_that_nobody_declared_inherits_nothing(config, kv, doppler):
    """Whoever may write one path does not get to read another by choosing its name."""
    write(kv, config, {"A": "hunter2"})
    branch = config.sibling("prd_x")
    write(kv, branch, {"B": "1"})
    assert branch.raw() == {"B": "1"} and branch.list()["DOPPLER_ENVIRONMENT"]["raw"] == "prd"
