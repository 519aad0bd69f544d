"""`/v1/<mount>/…` of a KV v1 engine, through hvac."""

import pytest
from hvac import exceptions

from support import ENVELOPE, refused, status_of, unique

DEFAULT_LEASE_SECONDS = 768 * 3600


@pytest.fixture
def kv(client):
    """hvac's view of KV v1."""
    return client.secrets.kv.v1


def test_put_get_overwrite(kv, kv1):
    """A write replaces the whole secret; types survive."""
    secret = {"user": "app", "port": 5432, "tls": True, "nested": {"list": [1, "two", None]}, "unicode": "пароль 🔑"}
    assert status_of(kv.create_or_update_secret("db", secret, mount_point=kv1)) == 204
    assert kv.read_secret("db", mount_point=kv1)["data"] == secret

    kv.create_or_update_secret("db", {"user": "other"}, mount_point=kv1)
    assert kv.read_secret("db", mount_point=kv1)["data"] == {"user": "other"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_post_and_put_are_one(kv, kv1, method):
    """Both verbs create and both replace."""
    for value in ("one", "two"):
        kv.create_or_update_secret("same", {"v": value}, method=method, mount_point=kv1)
        assert kv.read_secret("same", mount_point=kv1)["data"] == {"v": value}


def test_read_carries_the_mounts_lease(client, kv, kv1):
    """The answer names how long a reader may keep the value: the mount's default, or the secret's own `ttl`."""
    kv.create_or_update_secret("plain", {"v": "1"}, mount_point=kv1)
    answer = kv.read_secret("plain", mount_point=kv1)
    assert ENVELOPE <= answer.keys()
    assert (answer["lease_id"], answer["renewable"]) == ("", False)
    assert answer["lease_duration"] == DEFAULT_LEASE_SECONDS

    kv.create_or_update_secret("short", {"v": "1", "ttl": "30m"}, mount_point=kv1)
    assert kv.read_secret("short", mount_point=kv1)["lease_duration"] == 1800


def test_list_shows_names_and_folders_sorted(kv, kv1):
    """Keys come sorted; what has children ends in `/`; a name can be both."""
    for name in ("b", "a/x", "a/y/z", "a"):
        kv.create_or_update_secret(name, {"v": "1"}, mount_point=kv1)
    assert kv.list_secrets("", mount_point=kv1)["data"]["keys"] == ["a", "a/", "b"]
    assert kv.list_secrets("a", mount_point=kv1)["data"]["keys"] == ["x", "y/"]
    assert kv.list_secrets("a/", mount_point=kv1)["data"]["keys"] == ["x", "y/"]


def test_delete(kv, kv1):
    """Deleting is final, and deleting nothing is no error."""
    kv.create_or_update_secret("gone", {"v": "1"}, mount_point=kv1)
    assert status_of(kv.delete_secret("gone", mount_point=kv1)) == 204
    with refused(exceptions.InvalidPath):
        kv.read_secret("gone", mount_point=kv1)
    assert status_of(kv.delete_secret("gone", mount_point=kv1)) == 204


def test_nothing_there_is_404_with_no_message(server, kv, kv1):
    """Reading and listing nothing: 404 and an empty `errors` list."""
    for method in ("GET", "LIST"):
        reply = server.call(method, f"{kv1}/nothing")
        assert (reply.status, reply.errors) == (404, [])
    with refused(exceptions.InvalidPath):
        kv.list_secrets("nothing", mount_point=kv1)


def test_refuses_an_empty_write(server, kv1):
    """A secret without fields is refused, and nothing is stored."""
    reply = server.call("POST", f"{kv1}/empty", body={})
    assert reply.status == 400 and reply.errors
    assert server.call("GET", f"{kv1}/empty").status == 404


def test_odd_names_work(kv, kv1):
    """Spaces, dots, percent signs, colons and other scripts are part of a name."""
    for name in ("with space", "dotted.name", "per%cent", "user@host:1", "ключ", "a+b&c=d", "..hidden"):
        kv.create_or_update_secret(name, {"name": name}, mount_point=kv1)
        assert kv.read_secret(name, mount_point=kv1)["data"] == {"name": name}
    assert "per%cent" in kv.list_secrets("", mount_point=kv1)["data"]["keys"]


def test_a_url_can_be_a_name(kv, kv1):
    """hvac collapses the double slash before it sends; what it wrote it reads."""
    kv.create_or_update_secret("http://test.com", {"v": "1"}, mount_point=kv1)
    assert kv.read_secret("http://test.com", mount_point=kv1)["data"] == {"v": "1"}
    assert kv.list_secrets("", mount_point=kv1)["data"]["keys"] == ["http:/"]


def test_generic_is_kv_v1(client, kv):
    """The old type name `generic` mounts KV v1."""
    path = unique("generic")
    client.sys.enable_secrets_engine("generic", path=path)
    kv.create_or_update_secret("a", {"v": "1"}, mount_point=path)
    assert kv.read_secret("a", mount_point=path)["data"] == {"v": "1"}
    client.sys.disable_secrets_engine(path)


def test_mounts_are_apart(client, kv, kv1):
    """The same name in two mounts is two secrets; disabling a mount removes its own only."""
    other = unique("other")
    client.sys.enable_secrets_engine("kv", path=other, options={"version": "1"})
    kv.create_or_update_secret("same", {"v": "here"}, mount_point=kv1)
    kv.create_or_update_secret("same", {"v": "there"}, mount_point=other)
    client.sys.disable_secrets_engine(other)
    assert kv.read_secret("same", mount_point=kv1)["data"] == {"v": "here"}

    client.sys.enable_secrets_engine("kv", path=other, options={"version": "1"})
    with refused(exceptions.InvalidPath):
        kv.read_secret("same", mount_point=other)
    client.sys.disable_secrets_engine(other)


def test_generic_read_write_list_delete(client, kv1):
    """hvac's untyped verbs reach the same paths."""
    path = f"{kv1}/generic"
    client.write_data(path, data={"v": "1"})
    assert client.read(path)["data"] == {"v": "1"}
    assert client.list(kv1)["data"]["keys"] == ["generic"]
    client.delete(path)
    assert client.read(path) is None
    assert client.list(kv1) is None
