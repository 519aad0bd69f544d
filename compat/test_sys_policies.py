"""`/v1/sys/{policy,policies/acl}`, and what the policies do, through hvac."""

import json

import pytest
from hvac import exceptions

from support import refused, status_of, unique

HCL = 'path "secret/data/app" { capabilities = ["read", "list"] }'
JSON = {"path": {"secret/data/app": {"capabilities": ["read", "list"]}}}


@pytest.fixture
def name(client):
    """The name of a policy that is removed after the test."""
    chosen = unique("policy")
    yield chosen
    client.sys.delete_acl_policy(chosen)


def test_acl_form(client, name):
    """Write, read, list, delete."""
    assert status_of(client.sys.create_or_update_acl_policy(name, HCL)) == 204
    assert {"name": name, "policy": HCL}.items() <= client.sys.read_acl_policy(name)["data"].items()
    assert {name, "default", "root"} <= set(client.sys.list_acl_policies()["data"]["keys"])
    assert status_of(client.sys.delete_acl_policy(name)) == 204
    with refused(exceptions.InvalidPath):
        client.sys.read_acl_policy(name)
    assert status_of(client.sys.delete_acl_policy(name)) == 204


def test_legacy_form(client, name):
    """The same policies by the older paths, whose answers stand at the top level too."""
    assert status_of(client.sys.create_or_update_policy(name, HCL)) == 204
    read = client.sys.read_policy(name)
    assert (read["name"], read["rules"]) == (name, HCL)
    assert {"name": name, "rules": HCL}.items() <= read["data"].items()
    listed = client.sys.list_policies()
    assert name in listed["keys"] and name in listed["policies"] and name in listed["data"]["policies"]
    assert client.sys.read_acl_policy(name)["data"]["policy"] == HCL
    client.sys.delete_policy(name)
    with refused(exceptions.InvalidPath):
        client.sys.read_policy(name)


def test_json_policies(client, name, kv2):
    """JSON is the same language."""
    client.sys.create_or_update_acl_policy(name, JSON)
    assert json.loads(client.sys.read_acl_policy(name)["data"]["policy"]) == JSON


def test_names_are_lower_case(client, name):
    """A name is the same in any case."""
    client.sys.create_or_update_acl_policy(name.upper(), HCL)
    assert client.sys.read_acl_policy(name)["data"]["name"] == name


def test_root_and_default(client):
    """`root` cannot be changed or removed, `default` can be changed but not removed."""
    assert client.sys.read_acl_policy("root")["data"]["policy"] == ""
    for action in (lambda: client.sys.create_or_update_acl_policy("root", HCL),
                   lambda: client.sys.delete_acl_policy("root")):
        with refused(exceptions.InvalidRequest, "root"):
            action()
    with refused(exceptions.InvalidRequest, "default"):
        client.sys.delete_acl_policy("default")
    text = client.sys.read_acl_policy("default")["data"]["policy"]
    assert "auth/token/lookup-self" in text
    client.sys.create_or_update_acl_policy("default", text)


@pytest.mark.parametrize("text", [
    'path "a" { capabilities = ["fly"] }',
    'path "a" { capabilities = ["read"]',
    'path "a" { nonsense = true }',
    'pathological "a" { capabilities = ["read"] }',
    'path "a*b+" { capabilities = "read" }',
    '{"path": 7}',
], ids=["capability", "unclosed", "unknown key", "unknown block", "text for list", "json type"])
def test_refuses_what_it_cannot_read(client, name, text):
    """A policy that is not understood whole is not stored."""
    with refused(exceptions.InvalidRequest):
        client.sys.create_or_update_acl_policy(name, text)
    with refused(exceptions.InvalidPath):
        client.sys.read_acl_policy(name)


def test_an_empty_policy_is_refused(server, name):
    """Without text there is nothing to store."""
    for body in ({}, {"policy": ""}, {"policy": None}):
        reply = server.call("POST", f"sys/policies/acl/{name}", body=body)
        assert reply.status == 400 and reply.errors, body


# --- what they do ---------------------------------------------------------------------------------------------------


def _may(client, method, path, **body):
    """Whether the policy lets the request through, whatever it then finds."""
    try:
        if method == "LIST":
            client.list(path)
        elif method == "GET":
            client.read(path)
        elif method == "DELETE":
            client.delete(path)
        else:
            client.write_data(path, data=body or {"v": "1"})
    except exceptions.Forbidden as refusal:
        assert "permission denied" in refusal.errors[0]
        return False
    return True


def test_nothing_is_allowed_unsaid(limited, kv1):
    """Deny by default."""
    nobody = limited('path "elsewhere" { capabilities = ["read"] }')
    for method in ("GET", "LIST", "POST", "DELETE"):
        assert not _may(nobody, method, f"{kv1}/a")


def test_each_capability(client, limited, kv1):
    """Each lets through its own verb, and create is not update."""
    client.write_data(f"{kv1}/there", data={"v": "1"})
    allowed = {
        "read": {("GET", "there")},
        "list": {("LIST", "")},
        "create": {("POST", "new")},
        "update": {("POST", "there")},
        "delete": {("DELETE", "there")},
    }
    requests = [("GET", "there"), ("LIST", ""), ("POST", "new"), ("POST", "there"), ("DELETE", "there")]
    for capability, expected in allowed.items():
        some = limited(f'path "{kv1}/*" {{ capabilities = ["{capability}"] }}')
        for method, name in requests:
            client.delete(f"{kv1}/new")
            client.write_data(f"{kv1}/there", data={"v": "1"})
            assert _may(some, method, f"{kv1}/{name}") == ((method, name) in expected), (capability, method, name)


def test_globs_and_segments(limited, kv1):
    """`*` ends a prefix, `+` stands for one segment."""
    some = limited(f'''
        path "{kv1}/team-*"      {{ capabilities = ["read"] }}
        path "{kv1}/+/password"  {{ capabilities = ["read"] }}
    ''')
    for path in ("team-a", "team-a/b", "x/password"):
        assert _may(some, "GET", f"{kv1}/{path}"), path
    for path in ("team", "x/user", "x/y/password", "password"):
        assert not _may(some, "GET", f"{kv1}/{path}"), path


def test_the_most_specific_path_rules(limited, kv1):
    """An exact path goes before a glob, a longer glob before a shorter one."""
    some = limited(f'''
        path "{kv1}/*"       {{ capabilities = ["read"] }}
        path "{kv1}/app/*"   {{ capabilities = ["deny"] }}
        path "{kv1}/app/ok"  {{ capabilities = ["read"] }}
    ''')
    assert _may(some, "GET", f"{kv1}/other")
    assert not _may(some, "GET", f"{kv1}/app/x")
    assert _may(some, "GET", f"{kv1}/app/ok")


def test_deny_wins_over_everything_of_the_same_path(server, client, policy, kv1):
    """Several policies of a token add up, but deny is final."""
    allow = policy(f'path "{kv1}/a" {{ capabilities = ["read"] }}')
    more = policy(f'path "{kv1}/a" {{ capabilities = ["list", "update", "create"] }}')
    deny = policy(f'path "{kv1}/a" {{ capabilities = ["deny"] }}')
    both = server.client(client.auth.token.create(policies=[allow, more])["auth"]["client_token"])
    assert _may(both, "GET", f"{kv1}/a") and _may(both, "POST", f"{kv1}/a")
    denied = server.client(client.auth.token.create(policies=[allow, more, deny])["auth"]["client_token"])
    assert not _may(denied, "GET", f"{kv1}/a")


def test_list_on_a_folder(client, limited, kv1):
    """A rule for a folder, with or without its slash, allows listing it."""
    client.write_data(f"{kv1}/app/x", data={"v": "1"})
    for path in ("app", "app/"):
        assert _may(limited(f'path "{kv1}/{path}" {{ capabilities = ["list"] }}'), "LIST", f"{kv1}/app")


def test_parameters(limited, kv1):
    """Allowed, denied and required parameters bind the fields of a write."""
    some = limited(f'''
        path "{kv1}/allowed"  {{ capabilities = ["create", "update"]
                                 allowed_parameters = {{ "a" = ["1", "2*"], "b" = [] }} }}
        path "{kv1}/denied"   {{ capabilities = ["create", "update"]
                                 denied_parameters = {{ "a" = ["1"], "b" = [] }} }}
        path "{kv1}/required" {{ capabilities = ["create", "update"]
                                 required_parameters = ["a"] }}
    ''')
    for path, body, expected in [
        ("allowed", {"a": "1", "b": "x"}, True), ("allowed", {"a": "23"}, True), ("allowed", {"a": "3"}, False),
        ("allowed", {"c": "1"}, False), ("denied", {"a": "2"}, True), ("denied", {"a": "1"}, False),
        ("denied", {"b": "x"}, False), ("required", {"a": "1"}, True), ("required", {"b": "1"}, False),
    ]:
        assert _may(some, "POST", f"{kv1}/{path}", **body) == expected, (path, body)


def test_legacy_policy_words(limited, kv1):
    """`policy = "read"` and `"write"` are shorthands."""
    reader = limited(f'path "{kv1}/*" {{ policy = "read" }}')
    writer = limited(f'path "{kv1}/*" {{ policy = "write" }}')
    assert _may(reader, "GET", f"{kv1}/a") and not _may(reader, "POST", f"{kv1}/a")
    assert _may(writer, "GET", f"{kv1}/a") and _may(writer, "POST", f"{kv1}/a")


def test_patch_is_a_capability_of_its_own(server, client, limited, kv2):
    """`update` does not include `patch`."""
    client.secrets.kv.v2.create_or_update_secret("a", {"v": "1"}, mount_point=kv2)
    merge = {"Content-Type": "application/merge-patch+json"}
    for capability, status in (("update", 403), ("patch", 200)):
        some = limited(f'path "{kv2}/data/a" {{ capabilities = ["{capability}"] }}')
        reply = server.call("PATCH", f"{kv2}/data/a", body={"data": {"v": "2"}}, token=some.token, headers=merge)
        assert reply.status == status, capability


def test_a_change_holds_at_once(client, server, name, kv1):
    """Tokens that exist follow a policy as it is now."""
    client.sys.create_or_update_acl_policy(name, f'path "{kv1}/a" {{ capabilities = ["read"] }}')
    some = server.client(client.auth.token.create(policies=[name])["auth"]["client_token"])
    assert _may(some, "GET", f"{kv1}/a")
    client.sys.create_or_update_acl_policy(name, f'path "{kv1}/b" {{ capabilities = ["read"] }}')
    assert not _may(some, "GET", f"{kv1}/a") and _may(some, "GET", f"{kv1}/b")
    client.sys.delete_acl_policy(name)
    assert not _may(some, "GET", f"{kv1}/b")
