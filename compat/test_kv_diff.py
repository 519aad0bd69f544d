"""`/v1/<mount>/diff/<name>`: what differs between two versions, without their values. Keyturn's own."""

import json

import pytest
from hvac import exceptions

from aws_model import client as aws_client
from aws_model import make_key, token
from support import refused, unique

pytestmark = pytest.mark.keyturn

FIRST = {"user": "app", "password": "hunter2", "port": 5432, "nested": {"a": [1, "x"], "b": None}}
SECOND = {"user": "app", "password": "hunter3", "nested": {"b": None, "a": [1, "x"]}, "host": "db"}


@pytest.fixture
def name(client, kv2):
    """A secret with two versions."""
    for fields in (FIRST, SECOND):
        client.secrets.kv.v2.create_or_update_secret("db", fields, mount_point=kv2)
    return "db"


def diff(client, mount, name, query=""):
    return client.adapter.get(f"/v1/{mount}/diff/{name}{query}")["data"]


def changes(told):
    return {field["name"]: field["change"] for field in told["fields"]}


def test_which_fields_came_went_and_changed(client, kv2, name):
    told = diff(client, kv2, name)
    assert changes(told) == {"user": "unchanged", "password": "changed", "port": "removed", "nested": "unchanged",
                             "host": "added"}
    assert (told["from"]["version"], told["to"]["version"]) == (1, 2)
    assert told["to"]["id"] and told["to"]["created_time"] > told["from"]["created_time"]
    assert [field["name"] for field in told["fields"]] == sorted(changes(told))
    for field in told["fields"]:
        there = [side for side in ("from", "to") if field[f"{side}_fingerprint"] is not None]
        assert there == {"added": ["to"], "removed": ["from"]}.get(field["change"], ["from", "to"])
    backwards = changes(diff(client, kv2, name, "?from=2&to=1"))
    assert backwards["port"] == "added" and backwards["host"] == "removed"
    assert set(changes(diff(client, kv2, name, "?from=2&to=2")).values()) == {"unchanged"}


def test_no_value_is_in_the_answer(server, client, kv2, name):
    text = server.call("GET", f"{kv2}/diff/{name}?from=1&to=2").body
    for value in (b"hunter2", b"hunter3", b"app", b"5432", b'"x"'):
        assert value not in text


def test_a_fingerprint_is_of_one_field_of_one_secret(client, kv2, name):
    """Equal values elsewhere have others: nobody learns that two secrets share a password."""
    def prints(secret):
        return {field["name"]: field["to_fingerprint"] for field in diff(client, kv2, secret)["fields"]}

    write = client.secrets.kv.v2.create_or_update_secret
    write("db", {"password": "hunter2", "again": "hunter2"}, mount_point=kv2)
    for _ in range(2):
        write("other", {"password": "hunter2", "again": "hunter2"}, mount_point=kv2)
    here, there = prints("db"), prints("other")
    assert len({here["password"], here["again"], there["password"], there["again"]}) == 4
    rolled_back = diff(client, kv2, name, "?from=1&to=3")
    password, = (field for field in rolled_back["fields"] if field["name"] == "password")
    assert password["from_fingerprint"] == password["to_fingerprint"] == here["password"]
    assert len(here["password"]) == 32


def test_versions_that_cannot_be_compared(client, kv2, name):
    kv = client.secrets.kv.v2
    with refused(exceptions.InvalidRequest, "there is no version 9"):
        diff(client, kv2, name, "?to=9")
    with refused(exceptions.InvalidRequest, "no version before 1"):
        diff(client, kv2, name, "?to=1")
    with refused(exceptions.InvalidRequest):
        diff(client, kv2, name, "?from=first")
    with refused(exceptions.InvalidPath):
        diff(client, kv2, "nothing")
    kv.create_or_update_secret(name, FIRST, mount_point=kv2)
    kv.delete_secret_versions(name, [2], mount_point=kv2)
    with refused(exceptions.InvalidRequest, "version 2 is deleted"):
        diff(client, kv2, name, "?from=2")
    assert diff(client, kv2, name)["from"]["version"] == 1
    kv.destroy_secret_versions(name, [1], mount_point=kv2)
    with refused(exceptions.InvalidRequest, "version 1 is destroyed"):
        diff(client, kv2, name, "?from=1")


def test_it_is_a_right_of_its_own(server, client, limited, kv2, name):
    """Neither what is said about a secret nor its names tell that values are equal."""
    for rules in (f'path "{kv2}/metadata/*" {{ capabilities = ["read", "list"] }}',
                  f'path "{kv2}/subkeys/*" {{ capabilities = ["read"] }}',
                  f'path "{kv2}/data/*" {{ capabilities = ["read"] }}',
                  f'path "{kv2}/diff/*" {{ capabilities = ["list", "update"] }}'):
        with refused(exceptions.Forbidden):
            diff(limited(rules), kv2, name)
    reviewer = limited(f'path "{kv2}/diff/*" {{ capabilities = ["read"] }}')
    assert changes(diff(reviewer, kv2, name))["password"] == "changed"
    with refused(exceptions.Forbidden):
        reviewer.secrets.kv.v2.read_secret_version(name, mount_point=kv2, raise_on_deleted_version=True)


@pytest.mark.parametrize("writes", ["create", "update", "patch"])
def test_a_value_is_not_found_out_by_guessing(client, limited, kv2, name, writes):
    """Who may write but not read could write guesses and compare them with the version before."""
    rules = f'path "{kv2}/diff/*" {{ capabilities = ["read"] }}\npath "{kv2}/data/%s" {{ capabilities = [%s] }}'
    attacker = limited(rules % ("*", f'"{writes}"'))
    with refused(exceptions.Forbidden):
        diff(attacker, kv2, name)
    elsewhere = limited(rules % ("other/*", f'"{writes}"'))
    assert changes(diff(elsewhere, kv2, name))
    may_read = limited(rules % ("*", f'"{writes}", "read"'))
    assert changes(diff(may_read, kv2, name))


def test_text_and_bytes_of_the_other_door(server, client, key):
    """They are the field `value`; a version that was never current is not there."""
    sm, name = aws_client(key), unique("diff")
    sm.create_secret(Name=name, SecretString="one")
    pending = token()
    sm.put_secret_value(SecretId=name, SecretString="secret", ClientRequestToken=pending, VersionStages=["AWSPENDING"])
    current = sm.put_secret_value(SecretId=name, SecretBinary=b"two")["VersionId"]
    told = diff(client, "secret", name)
    assert changes(told) == {"value": "changed"}
    assert told["to"]["id"] == current and told["from"]["version"] == 1
    with refused(exceptions.InvalidRequest, "there is no version 2"):
        diff(client, "secret", name, "?to=2")
    sm.delete_secret(SecretId=name)
    with refused(exceptions.InvalidRequest, "deleted"):
        diff(client, "secret", name)


@pytest.fixture(scope="module")
def key(server):
    return make_key(server)


def test_spelling_is_no_change(server, client, key):
    """A document that was reformatted, its members reordered, is the same."""
    sm, name = aws_client(key), unique("diff")
    sm.create_secret(Name=name, SecretString='{"a":{"x":1,"y":"\\u00fc"},"b":[1,2]}')
    sm.put_secret_value(SecretId=name, SecretString=json.dumps({"b": [1, 2], "a": {"y": "ü", "x": 1}}, indent=2))
    assert set(changes(diff(client, "secret", name)).values()) == {"unchanged"}
