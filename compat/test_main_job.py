"""The main job: an application logs in with AppRole and reads its secret; nothing else is open to it."""

import hvac
import pytest
from hvac import exceptions

from support import refused, unique

SECRET = {"username": "app", "password": "s3cr3t-pa55word"}


@pytest.fixture
def application(server, client, policy, approle):
    """What an operator hands to an application: where to log in, and what to read."""
    name = unique("app")
    client.secrets.kv.v2.create_or_update_secret(f"{name}/db", SECRET)
    client.secrets.kv.v2.create_or_update_secret("other/db", {"password": "not yours"})
    rules = policy(f'path "secret/data/{name}/*" {{ capabilities = ["read"] }}')
    client.auth.approle.create_or_update_approle(
        name, token_policies=[rules], token_ttl="20m", secret_id_num_uses=1, mount_point=approle)
    role_id = client.auth.approle.read_role_id(name, mount_point=approle)["data"]["role_id"]
    secret_id = client.auth.approle.generate_secret_id(name, mount_point=approle)["data"]["secret_id"]
    return {"name": name, "role_id": role_id, "secret_id": secret_id, "mount_point": approle}


def _log_in(server, application):
    unmodified = hvac.Client(url=server.address, token="")
    unmodified.auth.approle.login(
        application["role_id"], application["secret_id"], mount_point=application["mount_point"])
    return unmodified


def test_log_in_and_read(server, application):
    """Three lines of an ordinary program."""
    unmodified = _log_in(server, application)
    read = unmodified.secrets.kv.v2.read_secret_version(f"{application['name']}/db", raise_on_deleted_version=True)
    assert read["data"]["data"] == SECRET


def test_reads_nothing_else(server, application):
    """Its policy is all it has: no other secret, no writing, no listing, no administration."""
    unmodified = _log_in(server, application)
    kv = unmodified.secrets.kv.v2
    for attempt in (
        lambda: kv.read_secret_version("other/db", raise_on_deleted_version=True),
        lambda: kv.create_or_update_secret(f"{application['name']}/db", {"password": "changed"}),
        lambda: kv.list_secrets(""),
        lambda: kv.delete_metadata_and_all_versions(f"{application['name']}/db"),
        unmodified.sys.list_mounted_secrets_engines,
        unmodified.auth.token.list_accessors,
        lambda: unmodified.auth.approle.read_role(application["name"], mount_point=application["mount_point"]),
    ):
        with refused(exceptions.Forbidden, "permission denied"):
            attempt()


def test_a_secret_id_works_once(server, application):
    """A stolen copy is worth nothing after the application has started."""
    _log_in(server, application)
    with refused(exceptions.InvalidRequest, "invalid role or secret ID"):
        _log_in(server, application)


def test_sees_a_new_version_at_once(server, client, application):
    """The next read has the new value."""
    unmodified = _log_in(server, application)
    path = f"{application['name']}/db"
    client.secrets.kv.v2.create_or_update_secret(path, SECRET | {"password": "rotated"})
    read = unmodified.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)
    assert (read["data"]["data"]["password"], read["data"]["metadata"]["version"]) == ("rotated", 2)
