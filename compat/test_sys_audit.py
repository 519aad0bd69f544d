"""`/v1/sys/{audit,audit-hash}` and what the file device writes, on servers of the test's own."""

import json
import os
import signal

import pytest
from hvac import exceptions

from support import refused, status_of, wait_until

HASH = "hmac-sha256:"


@pytest.fixture
def log(tmp_path):
    """Where the test's audit device writes."""
    return tmp_path / "audit.log"


@pytest.fixture
def root(own_server, log):
    """The root client of a server with a file device at `audit/`, and a KV v2 mount `kv/`."""
    client = own_server.client()
    client.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    client.sys.enable_audit_device("file", path="audit", options={"file_path": str(log)})
    return client


def _entries(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_enable_list_disable(root, log):
    """A device can be listed, under `data` and at the top level alike, and removed."""
    listed = root.sys.list_enabled_audit_devices()
    device = listed["data"]["audit/"]
    assert listed["audit/"] == device
    assert (device["type"], device["path"], device["options"]["file_path"]) == ("file", "audit/", str(log))
    assert status_of(root.sys.disable_audit_device("audit")) == 204
    assert "audit/" not in root.sys.list_enabled_audit_devices()["data"]
    assert status_of(root.sys.disable_audit_device("audit")) == 204


def test_refusals(root, tmp_path):
    """A path in use, an unknown kind, a file that cannot be opened, an unknown device to hash for."""
    options = {"file_path": str(tmp_path / "other.log")}
    with refused(exceptions.InvalidRequest):
        root.sys.enable_audit_device("file", path="audit", options=options)
    with refused(exceptions.InvalidRequest):
        root.sys.enable_audit_device("nonsense", path="x", options=options)
    with refused(exceptions.InvalidRequest):
        root.sys.enable_audit_device("file", path="x", options={"file_path": str(tmp_path)})
    with refused(exceptions.InvalidRequest):
        root.sys.enable_audit_device("file", path="x")
    with refused(exceptions.InvalidRequest, "unknown audit backend"):
        root.sys.calculate_hash("nowhere", "x")
    assert list(root.sys.list_enabled_audit_devices()["data"]) == ["audit/"]


def test_each_request_is_written_before_its_answer(own_server, root, log):
    """A request and a response entry, joined by the request id that the client saw."""
    root.secrets.kv.v2.create_or_update_secret("app", {"password": "pa55word"}, mount_point="kv")
    answer = root.secrets.kv.v2.read_secret_version("app", mount_point="kv", raise_on_deleted_version=True)
    request, response = [entry for entry in _entries(log) if entry["request"]["id"] == answer["request_id"]]
    assert (request["type"], response["type"]) == ("request", "response")
    for entry in (request, response):
        assert entry["time"]
        assert (entry["request"]["operation"], entry["request"]["path"]) == ("read", "kv/data/app")
        assert entry["request"]["remote_address"] == "127.0.0.1"
        assert entry["auth"]["policies"] == ["root"]
    assert response["response"]["data"]["data"]["password"].startswith(HASH)


def test_values_are_hashed(root, log):
    """Tokens and values stand as keyed hashes, equal to what sys/audit-hash says; no secret in clear."""
    root.secrets.kv.v2.create_or_update_secret("app", {"password": "pa55word"}, mount_point="kv")
    text = log.read_text()
    assert "pa55word" not in text and root.token not in text
    hashed = root.sys.calculate_hash("audit", "pa55word")
    assert hashed["hash"] == hashed["data"]["hash"] and hashed["hash"].startswith(HASH)
    assert hashed["hash"] in text
    assert root.sys.calculate_hash("audit", root.token)["hash"] in text
    assert root.sys.calculate_hash("audit/", "pa55word")["hash"] == hashed["hash"]


def test_refused_requests_are_written_too(own_server, root, log):
    """What was denied, and to whom, is what an auditor asks first."""
    own_server.call("GET", "kv/data/forbidden", token="hvs.doesnotexist")
    denied = [entry for entry in _entries(log) if entry["request"].get("path") == "kv/data/forbidden"]
    assert denied and any("permission denied" in entry.get("error", "") for entry in denied)
    assert "hvs.doesnotexist" not in log.read_text()


def test_other_devices_hash_with_other_keys(root, tmp_path):
    """What stands in one log cannot be searched for in another."""
    root.sys.enable_audit_device("file", path="second", options={"file_path": str(tmp_path / "second.log")})
    assert root.sys.calculate_hash("audit", "x")["hash"] != root.sys.calculate_hash("second", "x")["hash"]


def test_named_keys_stay_readable(root, log):
    """`audit_non_hmac_request_keys` of a mount exempts the fields that its owner names."""
    root.sys.enable_secrets_engine("kv", path="open", options={"version": "1"})
    root.sys.tune_mount_configuration("open", audit_non_hmac_request_keys=["reason"])
    root.secrets.kv.v1.create_or_update_secret("a", {"reason": "in-clear", "password": "pa55word"}, method="POST",
                                               mount_point="open")
    text = log.read_text()
    assert "in-clear" in text and "pa55word" not in text


def test_survives_a_restart(own_server, root, log):
    """The device is part of the store, and so is its key."""
    before = root.sys.calculate_hash("audit", "x")["hash"]
    own_server.stop()
    own_server.start()
    own_server.unseal()
    assert root.sys.calculate_hash("audit", "x")["hash"] == before


def test_reopens_on_sighup(own_server, root, log):
    """A log that was moved away is begun anew after SIGHUP."""
    moved = log.with_suffix(".1")
    os.rename(log, moved)
    own_server.signal(signal.SIGHUP)

    def begun():
        root.auth.token.lookup_self()
        return log.exists() and log.stat().st_size

    wait_until("the log is begun anew", begun)


@pytest.mark.keyturn
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_no_record_no_answer(own_server):
    """While no device can write, requests fail and change nothing; a device that works is enough."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    directory = own_server.directory / "link"
    directory.mkdir()
    target = directory / "audit.log"
    root.sys.enable_audit_device("file", path="audit", options={"file_path": str(target)})
    # From the next reopening on, every write to the device fails as on a full disk.
    target.unlink()
    target.symlink_to("/dev/full")
    own_server.signal(signal.SIGHUP)

    def refuses():
        return own_server.call("POST", "kv/a", body={"v": "1"}).status >= 500

    wait_until("requests are refused", refuses)
    reply = own_server.call("GET", "auth/token/lookup-self")
    assert reply.status >= 500 and reply.errors and "data" not in reply.json

    target.unlink()
    own_server.signal(signal.SIGHUP)
    wait_until("requests are answered again", lambda: own_server.call("GET", "auth/token/lookup-self").status == 200)


def test_request_headers(root, log):
    """Named headers are recorded, in clear or hashed, as long as they are named; credentials never in clear."""
    path = "sys/config/auditing/request-headers"
    assert root.read(path)["data"]["headers"] == {}
    root.write(f"{path}/X-Forwarded-For", hmac=False)
    root.write(f"{path}/x-case", hmac=True)
    assert root.read(path)["headers"] == {"x-case": {"hmac": True}, "x-forwarded-for": {"hmac": False}}
    assert root.read(f"{path}/X-Case")["data"] == {"x-case": {"hmac": True}}
    root.session.headers.update({"X-Forwarded-For": "10.1.2.3", "X-Case": "canary-case", "X-Other": "no"})
    root.sys.list_policies()
    headers = _entries(log)[-1]["request"]["headers"]
    assert headers["x-forwarded-for"] == ["10.1.2.3"] and set(headers) == {"x-forwarded-for", "x-case"}
    assert headers["x-case"] == [root.sys.calculate_hash("audit", "canary-case")["hash"]]
    for name, hmac in (("X-Vault-Token", False), ("Authorization", False), ("a%20b", True)):
        with refused(exceptions.InvalidRequest):
            root.write(f"{path}/{name}", hmac=hmac)
    with refused(exceptions.InvalidRequest, "Could not find header in config"):
        root.read(f"{path}/x-unknown")
    for name in ("x-case", "x-forwarded-for", "x-unknown"):
        root.delete(f"{path}/{name}")
    root.sys.list_policies()
    assert "headers" not in _entries(log)[-1]["request"]
