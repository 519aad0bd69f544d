"""`/v1/sys/{mounts,remount}`, through hvac."""

import pytest
from hvac import exceptions

from support import ENVELOPE, refused, status_of, unique, wait_until

DEFAULT_SECONDS = 768 * 3600
MOUNT = {"type", "description", "accessor", "local", "seal_wrap", "external_entropy_access", "options", "uuid",
         "config"}


def test_list(client):
    """Every mount with its fields, under `data` and at the top level alike."""
    answer = client.sys.list_mounted_secrets_engines()
    assert ENVELOPE <= answer.keys()
    assert {"secret/", "sys/"} <= answer["data"].keys()
    for path, mount in answer["data"].items():
        assert answer[path] == mount
        assert path.endswith("/") and MOUNT <= mount.keys(), path
    secret = answer["data"]["secret/"]
    assert (secret["type"], secret["options"]["version"]) == ("kv", "2")
    assert secret["accessor"].startswith("kv_")
    assert answer["data"]["sys/"]["type"] == "system"


@pytest.mark.parametrize("kind, options, version", [
    ("kv", {"version": "1"}, "1"), ("kv", {"version": "2"}, "2"), ("kv", {"version": 1}, "1"), ("kv-v2", None, "2"),
])
def test_enable(client, kind, options, version):
    """Both versions; a number is kept as text; the type `kv-v2` is `kv` with its version."""
    path = unique("kv")
    answer = client.sys.enable_secrets_engine(kind, path=path, description="ours", options=options)
    assert status_of(answer) == 204
    mount = client.sys.list_mounted_secrets_engines()["data"][f"{path}/"]
    assert (mount["type"], mount["options"]["version"], mount["description"]) == ("kv", version, "ours")
    assert client.sys.retrieve_mount_option(path, "version") == version
    client.sys.disable_secrets_engine(path)


def test_enable_with_configuration(client):
    """Times in any form read back as seconds."""
    path = unique("kv")
    client.sys.enable_secrets_engine("kv", path=path, config={"default_lease_ttl": "1h", "max_lease_ttl": 7200})
    read = client.sys.read_mount_configuration(path)["data"]
    assert (read["default_lease_ttl"], read["max_lease_ttl"]) == (3600, 7200)
    client.sys.disable_secrets_engine(path)


def test_deep_paths(client):
    """A mount path may have several segments."""
    path = unique("team") + "/app/kv"
    client.sys.enable_secrets_engine("kv", path=path, options={"version": "1"})
    client.secrets.kv.v1.create_or_update_secret("a", {"v": "1"}, mount_point=path)
    assert client.secrets.kv.v1.read_secret("a", mount_point=path)["data"] == {"v": "1"}
    client.sys.disable_secrets_engine(path)


def test_enable_refusals(client, kv1):
    """A path in use, within or around another mount; an unknown type; the protected names."""
    for path in (kv1, f"{kv1}/below"):
        with refused(exceptions.InvalidRequest, "path is already in use at"):
            client.sys.enable_secrets_engine("kv", path=path)
    with refused(exceptions.InvalidRequest):
        client.sys.enable_secrets_engine("nonsense", path=unique("x"))
    for path in ("sys", "sys/x", "auth", "auth/x", "identity/x", "cubbyhole"):
        with refused(exceptions.InvalidRequest):
            client.sys.enable_secrets_engine("kv", path=path)
    with refused(exceptions.InvalidRequest):
        client.sys.enable_secrets_engine("", path=unique("x"))


def test_disable(client):
    """The mount and all that was in it are gone; disabling nothing is refused or nothing."""
    path = unique("kv")
    client.sys.enable_secrets_engine("kv", path=path, options={"version": "1"})
    client.secrets.kv.v1.create_or_update_secret("a", {"v": "1"}, mount_point=path)
    assert status_of(client.sys.disable_secrets_engine(path)) == 204
    assert f"{path}/" not in client.sys.list_mounted_secrets_engines()["data"]
    with refused(exceptions.InvalidPath, "no handler for route"):
        client.secrets.kv.v1.read_secret("a", mount_point=path)
    with refused(exceptions.InvalidRequest):
        client.sys.disable_secrets_engine("sys")


def test_tune(client, kv2):
    """Defaults are shown though unset; what is written is read back, and the rest stays."""
    read = client.sys.read_mount_configuration(kv2)
    assert (read["data"]["default_lease_ttl"], read["data"]["max_lease_ttl"]) == (DEFAULT_SECONDS, DEFAULT_SECONDS)
    assert read["data"]["force_no_cache"] is False

    answer = client.sys.tune_mount_configuration(
        kv2, default_lease_ttl="3600s", max_lease_ttl="8600s", description="tuned", listing_visibility="unauth",
        audit_non_hmac_request_keys=["a"], passthrough_request_headers=["X-Custom"])
    assert status_of(answer) == 204
    read = client.sys.read_mount_configuration(kv2)["data"]
    assert (read["default_lease_ttl"], read["max_lease_ttl"], read["description"]) == (3600, 8600, "tuned")
    assert (read["listing_visibility"], read["audit_non_hmac_request_keys"]) == ("unauth", ["a"])
    assert read["passthrough_request_headers"] == ["X-Custom"]
    assert read["options"] == {"version": "2"}

    client.sys.tune_mount_configuration(kv2, description="again")
    assert client.sys.read_mount_configuration(kv2)["data"]["default_lease_ttl"] == 3600


def test_tune_refusals(client, kv2):
    """A default above the maximum, an unknown visibility, a mount that is not."""
    with refused(exceptions.InvalidRequest):
        client.sys.tune_mount_configuration(kv2, default_lease_ttl="2h", max_lease_ttl="1h")
    with refused(exceptions.InvalidRequest):
        client.sys.tune_mount_configuration(kv2, listing_visibility="perhaps")
    with refused(exceptions.InvalidRequest):
        client.sys.read_mount_configuration(unique("nowhere"))
    read = client.sys.read_mount_configuration(kv2)["data"]
    assert read["default_lease_ttl"] == DEFAULT_SECONDS


def test_lease_follows_the_tuning(client, kv1):
    """A KV v1 read carries the mount's default."""
    client.sys.tune_mount_configuration(kv1, default_lease_ttl="30m")
    client.secrets.kv.v1.create_or_update_secret("a", {"v": "1"}, mount_point=kv1)
    assert client.secrets.kv.v1.read_secret("a", mount_point=kv1)["lease_duration"] == 1800


def test_read_one_mount(server, client, kv1):
    """A single mount can be read, with or without the slash; what is no mount is 400."""
    listed = client.sys.list_mounted_secrets_engines()["data"][f"{kv1}/"]
    assert server.call("GET", f"sys/mounts/{kv1}").json["data"]["accessor"] == listed["accessor"]
    reply = server.call("GET", f"sys/mounts/{unique('nowhere')}")
    assert reply.status == 400 and reply.errors


def test_move(client):
    """A mount moves with all that is in it, at once."""
    old, new = unique("old"), unique("new")
    client.sys.enable_secrets_engine("kv", path=old, options={"version": "2"})
    client.secrets.kv.v2.configure(mount_point=old, max_versions=3)
    client.secrets.kv.v2.create_or_update_secret("a", {"v": "1"}, mount_point=old)
    accessor = client.sys.list_mounted_secrets_engines()["data"][f"{old}/"]["accessor"]

    answer = client.sys.move_backend(old, new)
    assert answer["data"]["migration_id"] == answer["migration_id"]
    wait_until("the mount is at its new path", lambda: f"{new}/" in client.sys.list_mounted_secrets_engines()["data"])
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    assert mounts[f"{new}/"]["accessor"] == accessor and f"{old}/" not in mounts
    read = client.secrets.kv.v2.read_secret_version("a", mount_point=new, raise_on_deleted_version=True)
    assert read["data"]["data"] == {"v": "1"}
    client.sys.disable_secrets_engine(new)


def test_move_status(server, client):
    """The migration can be asked about."""
    old, new = unique("old"), unique("new")
    client.sys.enable_secrets_engine("kv", path=old, options={"version": "1"})
    moved = client.sys.move_backend(old, new)["data"]["migration_id"]

    def succeeded():
        info = server.call("GET", f"sys/remount/status/{moved}").json["data"]["migration_info"]
        return info["status"] == "success" and info["source_mount"].strip("/") == old

    wait_until("the migration succeeded", succeeded)
    client.sys.disable_secrets_engine(new)


def test_move_refusals(client, kv1, kv2):
    """From nowhere, onto another mount, and of what must stay."""
    for source, target in ((unique("nowhere"), unique("x")), (kv1, kv2), ("sys", unique("x")), (kv1, "sys/x")):
        with refused(exceptions.InvalidRequest):
            client.sys.move_backend(source, target)
    assert f"{kv1}/" in client.sys.list_mounted_secrets_engines()["data"]
