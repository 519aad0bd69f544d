"""`/v1/<mount>/{config,data,…}` of a KV v2 engine: every method of hvac, and what it has no method for."""

import re
import warnings

import pytest
from hvac import exceptions

from support import is_refused, refused, status_of, wait_until

NANOSECOND_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class Kv:
    """hvac's KV v2, bound to one mount, with the defaults that hvac warns about spelled out."""

    def __init__(self, client, mount):
        self.api, self.mount = client.secrets.kv.v2, mount

    def put(self, path, secret, **options):
        return self.api.create_or_update_secret(path, secret, mount_point=self.mount, **options)["data"]

    def get(self, path, version=None, deleted_is_an_error=True):
        return self.api.read_secret_version(
            path, version=version, mount_point=self.mount, raise_on_deleted_version=deleted_is_an_error
        )["data"]

    def metadata(self, path):
        return self.api.read_secret_metadata(path, mount_point=self.mount)["data"]

    def __getattr__(self, method):
        return lambda *args, **named: getattr(self.api, method)(*args, mount_point=self.mount, **named)


@pytest.fixture
def kv(client, kv2):
    """A KV v2 mount of the test's own."""
    return Kv(client, kv2)


# --- data -----------------------------------------------------------------------------------------------------------


def test_put_and_get(kv):
    """A write answers with its version; a read with the fields and the same metadata."""
    secret = {"user": "app", "port": 5432, "deep": {"list": [1, None, "пароль"]}}
    written = kv.put("db", secret)
    assert written["version"] == 1
    assert (written["deletion_time"], written["destroyed"], written["custom_metadata"]) == ("", False, None)
    assert NANOSECOND_TIME.match(written["created_time"])

    read = kv.get("db")
    assert read["data"] == secret
    assert read["metadata"] == written


def test_old_versions_stay_readable(kv):
    """Each write adds a version; 0 means the current one."""
    for number in (1, 2, 3):
        assert kv.put("db", {"n": number})["version"] == number
    for number in (1, 2, 3):
        read = kv.get("db", version=number)
        assert (read["data"], read["metadata"]["version"]) == ({"n": number}, number)
    assert kv.get("db")["data"] == kv.get("db", version=0)["data"] == {"n": 3}


def test_read_secret_is_the_current_version(kv):
    """hvac's shorter method reads the same."""
    kv.put("db", {"n": 1})
    assert kv.read_secret("db", raise_on_deleted_version=True)["data"]["data"] == {"n": 1}


def test_unknown_secret_and_unknown_version_are_404(server, kv):
    """Neither has a message, and neither has data."""
    with refused(exceptions.InvalidPath):
        kv.get("nothing")
    kv.put("db", {"n": 1})
    with refused(exceptions.InvalidPath):
        kv.get("db", version=7)
    reply = server.call("GET", f"{kv.mount}/data/nothing")
    assert (reply.status, reply.errors) == (404, [])


def test_check_and_set(kv):
    """A write may demand the version that it replaces; 0 demands that there is none."""
    assert kv.put("db", {"n": 1}, cas=0)["version"] == 1
    for wrong in (0, 2):
        with refused(exceptions.InvalidRequest, "check-and-set parameter did not match the current version"):
            kv.put("db", {"n": "lost"}, cas=wrong)
    assert kv.get("db")["data"] == {"n": 1}
    assert kv.put("db", {"n": 2}, cas=1)["version"] == 2


def test_check_and_set_may_be_required_by_the_mount_or_the_secret(kv):
    """Where it is required, a write without it is refused."""
    kv.configure(cas_required=True)
    with refused(exceptions.InvalidRequest, "check-and-set parameter required for this call"):
        kv.put("by-mount", {"n": 1})
    assert kv.put("by-mount", {"n": 1}, cas=0)["version"] == 1

    kv.configure(cas_required=False)
    kv.update_metadata("by-secret", cas_required=True)
    with refused(exceptions.InvalidRequest, "check-and-set parameter required for this call"):
        kv.put("by-secret", {"n": 1})
    assert kv.put("by-secret", {"n": 1}, cas=0)["version"] == 1


def test_write_without_data_is_refused(server, kv):
    """The fields must stand under `data`, as an object."""
    reply = server.call("POST", f"{kv.mount}/data/db", body={"user": "app"})
    assert reply.status == 400 and "no data provided" in reply.errors[0]
    for wrong in ("text", 7, ["list"]):
        reply = server.call("POST", f"{kv.mount}/data/db", body={"data": wrong})
        assert reply.status == 400 and reply.errors
    assert server.call("GET", f"{kv.mount}/metadata/db").status == 404


def test_hvacs_patch_reads_and_writes(kv):
    """hvac patches by read, merge, and a write with check-and-set."""
    kv.put("db", {"user": "app", "password": "old"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        kv.patch("db", {"password": "new"})
        with pytest.raises(exceptions.InvalidPath, match="patch only works on existing data"):
            kv.patch("nothing", {"a": "b"})
    assert kv.get("db")["data"] == {"user": "app", "password": "new"}
    assert kv.get("db")["metadata"]["version"] == 2


def test_patch_merges_and_null_removes(server, kv):
    """PATCH is a JSON merge patch (RFC 7396) and makes a new version."""
    kv.put("db", {"user": "app", "password": "old", "nested": {"a": 1, "b": 2}})
    body = {"data": {"password": None, "nested": {"b": 3}, "new": "x"}}
    reply = server.call("PATCH", f"{kv.mount}/data/db", body=body, headers=MERGE_PATCH)
    assert (reply.status, reply.json["data"]["version"]) == (200, 2)
    assert kv.get("db")["data"] == {"user": "app", "nested": {"a": 1, "b": 3}, "new": "x"}


def test_patch_refusals(server, kv):
    """Nothing there: 404. Deleted: 404. The wrong content type: 415. The wrong version: 400."""
    path, body = f"{kv.mount}/data/db", {"data": {"a": "b"}}
    assert server.call("PATCH", path, body=body, headers=MERGE_PATCH).status == 404

    kv.put("db", {"n": 1})
    assert server.call("PATCH", path, body=body, headers={"Content-Type": "application/json"}).status == 415
    stale = body | {"options": {"cas": 7}}
    reply = server.call("PATCH", path, body=stale, headers=MERGE_PATCH)
    assert reply.status == 400 and "check-and-set parameter did not match" in reply.errors[0]
    assert kv.get("db")["data"] == {"n": 1}

    kv.delete_latest_version_of_secret("db")
    assert server.call("PATCH", path, body=body, headers=MERGE_PATCH).status == 404


# --- delete, undelete, destroy --------------------------------------------------------------------------------------


def test_deleted_version_is_404_with_its_metadata(server, kv):
    """The 404 carries the whole envelope: no data, but the time of deletion."""
    kv.put("db", {"n": 1})
    assert status_of(kv.delete_latest_version_of_secret("db")) == 204
    with refused(exceptions.InvalidPath):
        kv.get("db")

    read = kv.get("db", deleted_is_an_error=False)
    assert read["data"] is None
    assert NANOSECOND_TIME.match(read["metadata"]["deletion_time"])
    assert (read["metadata"]["version"], read["metadata"]["destroyed"]) == (1, False)
    assert server.call("GET", f"{kv.mount}/data/db").status == 404


def test_undelete_brings_a_version_back(kv):
    """Deleting is recoverable."""
    kv.put("db", {"n": 1})
    kv.delete_latest_version_of_secret("db")
    assert status_of(kv.undelete_secret_versions("db", [1])) == 204
    assert kv.get("db")["data"] == {"n": 1}
    assert kv.get("db")["metadata"]["deletion_time"] == ""


def test_delete_some_versions(kv):
    """Versions are deleted by number, and the others stay."""
    for number in (1, 2, 3):
        kv.put("db", {"n": number})
    kv.delete_secret_versions("db", [1, 3])
    assert kv.get("db", version=2)["data"] == {"n": 2}
    for gone in (1, 3):
        with refused(exceptions.InvalidPath):
            kv.get("db", version=gone)


def test_destroy_is_final(kv):
    """A destroyed version cannot come back; its place in the metadata says so."""
    for number in (1, 2):
        kv.put("db", {"n": number})
    assert status_of(kv.destroy_secret_versions("db", [1])) == 204
    kv.undelete_secret_versions("db", [1])
    with refused(exceptions.InvalidPath):
        kv.get("db", version=1)
    assert kv.metadata("db")["versions"]["1"]["destroyed"] is True
    assert kv.get("db")["data"] == {"n": 2}


def test_versions_must_be_named(server, kv):
    """Delete, undelete and destroy without numbers are refused; an unknown secret is 404."""
    kv.put("db", {"n": 1})
    for verb in ("delete", "undelete", "destroy"):
        reply = server.call("POST", f"{kv.mount}/{verb}/db", body={})
        assert reply.status == 400 and reply.errors, verb
    assert kv.get("db")["data"] == {"n": 1}


@pytest.mark.parametrize("verb", ["delete", "undelete", "destroy"])
def test_versions_of_an_unknown_secret(server, kv, verb):
    """There is nothing to act on, and nothing comes into being."""
    reply = server.call("POST", f"{kv.mount}/{verb}/nothing", body={"versions": [1]})
    assert reply.status in (204, 404)
    assert server.call("GET", f"{kv.mount}/metadata/nothing").status == 404


def test_numbering_goes_on_after_a_delete(kv):
    """A version number is never reused."""
    kv.put("db", {"n": 1})
    kv.delete_latest_version_of_secret("db")
    assert kv.put("db", {"n": 2})["version"] == 2


# --- metadata -------------------------------------------------------------------------------------------------------


def test_metadata_tells_all(kv):
    """Every field that hvac's users read, with the defaults."""
    for number in (1, 2):
        kv.put("db", {"n": number})
    metadata = kv.metadata("db")
    assert metadata["current_version"] == 2
    # 0 until versions have been pruned.
    assert metadata["oldest_version"] == 0
    assert (metadata["max_versions"], metadata["cas_required"]) == (0, False)
    assert (metadata["delete_version_after"], metadata["custom_metadata"]) == ("0s", None)
    assert NANOSECOND_TIME.match(metadata["created_time"]) and NANOSECOND_TIME.match(metadata["updated_time"])
    assert metadata["versions"].keys() == {"1", "2"}
    for version in metadata["versions"].values():
        assert {"created_time", "deletion_time", "destroyed"} <= version.keys()


def test_update_metadata(kv):
    """Metadata may exist before the first version, and keeps what an update does not name."""
    kv.update_metadata("db", max_versions=3, cas_required=False, delete_version_after="30m",
                       custom_metadata={"owner": "team-a"})
    metadata = kv.metadata("db")
    assert (metadata["current_version"], metadata["versions"]) == (0, {})
    assert (metadata["max_versions"], metadata["delete_version_after"]) == (3, "30m0s")
    assert metadata["custom_metadata"] == {"owner": "team-a"}

    kv.update_metadata("db", max_versions=4)
    metadata = kv.metadata("db")
    assert (metadata["max_versions"], metadata["custom_metadata"]) == (4, {"owner": "team-a"})


def test_custom_metadata_comes_with_the_data(kv):
    """A read shows the secret's custom metadata beside the version's."""
    kv.put("db", {"n": 1})
    kv.update_metadata("db", custom_metadata={"owner": "team-a"})
    assert kv.get("db")["metadata"]["custom_metadata"] == {"owner": "team-a"}
    assert kv.put("db", {"n": 2})["custom_metadata"] == {"owner": "team-a"}


def test_patch_metadata(server, kv):
    """PATCH merges into custom metadata; null removes a key."""
    path = f"{kv.mount}/metadata/db"
    assert server.call("PATCH", path, body={"max_versions": 2}, headers=MERGE_PATCH).status == 404
    kv.update_metadata("db", max_versions=3, custom_metadata={"owner": "team-a", "old": "x"})
    body = {"custom_metadata": {"old": None, "new": "y"}}
    assert server.call("PATCH", path, body=body, headers=MERGE_PATCH).status == 204
    metadata = kv.metadata("db")
    assert metadata["custom_metadata"] == {"owner": "team-a", "new": "y"}
    assert metadata["max_versions"] == 3


@pytest.mark.parametrize("custom", [
    {f"key-{number}": "v" for number in range(65)},
    {"k" * 129: "v"},
    {"k": "v" * 513},
    {"k": 7},
    {"": "v"},
], ids=["65 keys", "long key", "long value", "number", "empty key"])
def test_custom_metadata_has_bounds(kv, custom):
    """64 keys of at most 128 bytes, values of at most 512; strings only."""
    if custom == {"k": 7}:
        # A number is taken and kept as text.
        kv.update_metadata("db", custom_metadata=custom)
        assert kv.metadata("db")["custom_metadata"] == {"k": "7"}
        return
    with refused(exceptions.InvalidRequest):
        kv.update_metadata("db", custom_metadata=custom)
    with refused(exceptions.InvalidPath):
        kv.metadata("db")


def test_delete_metadata_removes_everything(kv):
    """All versions go, and a new secret of the name starts at 1."""
    for number in (1, 2):
        kv.put("db", {"n": number})
    assert status_of(kv.delete_metadata_and_all_versions("db")) == 204
    for read in (kv.get, kv.metadata):
        with refused(exceptions.InvalidPath):
            read("db")
    with refused(exceptions.InvalidPath):
        kv.list_secrets("")
    assert kv.put("db", {"n": 1})["version"] == 1


def test_list(kv):
    """Names and folders, sorted; a deleted secret is still listed; an empty folder is 404."""
    for name in ("b", "a/x", "a/y/z", "a"):
        kv.put(name, {"v": "1"})
    kv.delete_latest_version_of_secret("b")
    assert kv.list_secrets("")["data"]["keys"] == ["a", "a/", "b"]
    assert kv.list_secrets("a")["data"]["keys"] == ["x", "y/"]
    with refused(exceptions.InvalidPath):
        kv.list_secrets("nothing")


# --- pruning and expiry ---------------------------------------------------------------------------------------------


def test_ten_versions_are_kept_by_default(kv):
    """The eleventh write prunes the first version."""
    for number in range(1, 13):
        kv.put("db", {"n": number})
    metadata = kv.metadata("db")
    assert sorted(map(int, metadata["versions"])) == list(range(3, 13))
    assert (metadata["oldest_version"], metadata["current_version"]) == (3, 12)
    with refused(exceptions.InvalidPath):
        kv.get("db", version=2)


def test_max_versions_of_secret_and_mount(kv):
    """The larger of the secret's own limit and the mount's holds."""
    kv.configure(max_versions=3)
    kv.update_metadata("more", max_versions=4)
    kv.update_metadata("less", max_versions=2)
    for number in range(1, 6):
        for name in ("more", "less", "mounts"):
            kv.put(name, {"n": number})
    assert sorted(kv.metadata("more")["versions"]) == ["2", "3", "4", "5"]
    assert sorted(kv.metadata("less")["versions"]) == ["3", "4", "5"]
    assert sorted(kv.metadata("mounts")["versions"]) == ["3", "4", "5"]


def test_delete_version_after(kv):
    """A version of such a secret carries the time of its deletion from the start, and is gone after it."""
    kv.update_metadata("short", delete_version_after="1s")
    written = kv.put("short", {"n": 1})
    assert NANOSECOND_TIME.match(written["deletion_time"])
    wait_until("the version expired", lambda: is_refused(exceptions.InvalidPath, lambda: kv.get("short")))
    assert kv.metadata("short")["current_version"] == 1


def test_delete_version_after_of_the_mount(kv):
    """The mount's setting holds for each secret in it."""
    kv.configure(delete_version_after="1s")
    assert kv.put("short", {"n": 1})["deletion_time"] != ""
    wait_until("the version expired", lambda: is_refused(exceptions.InvalidPath, lambda: kv.get("short")))


# --- configuration, subkeys, other paths ----------------------------------------------------------------------------


def test_configuration(kv):
    """What is written is read back, durations as Go writes them."""
    fresh = kv.read_configuration()["data"]
    assert (fresh["max_versions"], fresh["cas_required"], fresh["delete_version_after"]) == (0, False, "0s")
    assert status_of(kv.configure(max_versions=5, cas_required=True, delete_version_after="3h25m19s")) == 204
    read = kv.read_configuration()["data"]
    assert (read["max_versions"], read["cas_required"], read["delete_version_after"]) == (5, True, "3h25m19s")


def test_configuration_refuses_what_it_cannot_read(server, kv):
    """A wrong type is a 400 and changes nothing."""
    for body in ({"max_versions": "many"}, {"delete_version_after": "soon"}, {"cas_required": "perhaps"}):
        reply = server.call("POST", f"{kv.mount}/config", body=body)
        assert reply.status == 400 and reply.errors, body
    assert kv.read_configuration()["data"]["max_versions"] == 0


def test_subkeys_show_the_shape_without_values(server, kv):
    """Leaves are null; `depth` cuts; `version` chooses."""
    kv.put("db", {"user": "app", "nested": {"a": {"b": "c"}}})
    kv.put("db", {"only": "this"})
    reply = server.call("GET", f"{kv.mount}/subkeys/db?version=1")
    assert reply.json["data"]["subkeys"] == {"user": None, "nested": {"a": {"b": None}}}
    assert reply.json["data"]["metadata"]["version"] == 1
    assert server.call("GET", f"{kv.mount}/subkeys/db?version=1&depth=1").json["data"]["subkeys"] == {
        "user": None, "nested": None}
    assert server.call("GET", f"{kv.mount}/subkeys/db").json["data"]["subkeys"] == {"only": None}
    assert server.call("GET", f"{kv.mount}/subkeys/nothing").status == 404


def test_subkeys_of_a_deleted_version(server, kv):
    """As with the data: 404 that carries the metadata."""
    kv.put("db", {"user": "app"})
    kv.delete_latest_version_of_secret("db")
    reply = server.call("GET", f"{kv.mount}/subkeys/db")
    assert reply.status == 404
    assert reply.json["data"]["subkeys"] is None
    assert reply.json["data"]["metadata"]["deletion_time"] != ""


def test_a_v1_path_on_a_v2_mount_explains_itself(server, kv):
    """404 with a warning that says what is wrong with the path."""
    reply = server.call("GET", f"{kv.mount}/db")
    assert reply.status == 404
    assert any("Invalid path for a versioned K/V secrets engine" in warning for warning in reply.json["warnings"])
