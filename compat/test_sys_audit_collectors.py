"""`/v1/sys/audit` with the types `socket` and `syslog`: what a collector gets, and what happens without it."""

import json
import re
import signal

import pytest
from hvac import exceptions

import harness
from collectors import Collector
from harness import run_keyturn
from support import refused, wait_until

pytestmark = pytest.mark.keyturn

KINDS = ["tcp", "udp", "unix", "unixgram", "syslog"]


@pytest.fixture
def collect(tmp_path):
    """Makes collectors, and ends them with the test."""
    made = []

    def make(kind):
        address = "127.0.0.1:0" if kind in ("tcp", "udp") else str(tmp_path / f"{kind}.sock")
        made.append(Collector(kind, address))
        return made[-1]

    yield make
    for collector in made:
        collector.die()


@pytest.fixture(params=KINDS)
def collector(request, collect):
    """A collector of each type."""
    return collect(request.param)


def _enable(server, collector, path="away", **options):
    server.client().sys.enable_audit_device(collector.device, path=path, options={**collector.options, **options})


def _status(server):
    return server.call("GET", "auth/token/lookup-self").status


def _verify(server, stored, *arguments):
    """The exit code and the lines at fault."""
    log = server.directory / "stored.log"
    log.write_bytes(stored)
    done = run_keyturn(server, "audit", "verify", "--device", "away", "--format", "json", *arguments, str(log))
    return done.returncode, [told["line"] for told in json.loads(done.stdout)["told"]]


def test_entries_are_there_before_the_answer(own_server, collector):
    """Both entries of a request, with the id that the client saw; values only as hashes."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    _enable(own_server, collector)
    listed = root.sys.list_enabled_audit_devices()["data"]["away/"]
    assert (listed["type"], listed["options"]) == (collector.device, collector.options)
    assert collector.entries()[0]["request"]["path"] == "sys/audit/test"
    root.secrets.kv.v2.create_or_update_secret("app", {"password": "pa55word"}, mount_point="kv")
    answer = root.secrets.kv.v2.read_secret_version("app", mount_point="kv", raise_on_deleted_version=True)
    entries = collector.entries()
    mine = [entry["type"] for entry in entries if entry["request"]["id"] == answer["request_id"]]
    assert mine == ["request", "response"]
    hashed = root.sys.calculate_hash("away", "pa55word")["hash"].encode()
    assert hashed in collector.stored and b"pa55word" not in collector.stored
    assert root.token.encode() not in collector.stored


def test_syslog_messages(own_server, collect):
    """Priority, time, tag and process, as RFC 3164 has them; facility and tag can be chosen."""
    root, daemon = own_server.client(), collect("syslog")
    _enable(own_server, daemon)
    _enable(own_server, daemon, "other", facility="local7", tag="keyturn-prod")
    root.sys.list_policies()
    daemon.read()
    stamp = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    assert re.search(rf"^<38>{stamp} vault\[\d+\]: {{\"time\"".encode(), daemon.stored, re.M)
    assert re.search(rf"^<190>{stamp} keyturn-prod\[\d+\]: {{\"time\"".encode(), daemon.stored, re.M)


def test_the_only_collector_is_killed_and_comes_back(own_server, collector):
    """No record, no answer, and nothing is changed; with the collector back, requests are answered again."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    _enable(own_server, collector)
    assert _status(own_server) == 200
    collector.die()
    reply = own_server.call("POST", "kv/a", body={"v": "1"})
    assert reply.status == 500 and reply.errors, reply
    assert _status(own_server) == 500
    collector.listen()
    # What a datagram of before came to may be told with the next one.
    assert 200 in (_status(own_server), _status(own_server))
    with pytest.raises(exceptions.InvalidPath):
        root.secrets.kv.v1.read_secret("a", mount_point="kv")
    paths = [entry["request"]["path"] for entry in collector.entries()]
    assert paths[-1] == "kv/a" and "auth/token/lookup-self" in paths


def test_a_second_device_is_enough(own_server, collector, tmp_path):
    """While the collector is away the file takes the entries, and each log by itself is told for what it is."""
    root, log = own_server.client(), tmp_path / "audit.log"
    root.sys.enable_audit_device("file", path="file", options={"file_path": str(log)})
    _enable(own_server, collector)
    collector.die()
    for _ in range(3):
        assert _status(own_server) == 200
    collector.listen()
    for _ in range(3):
        assert _status(own_server) == 200
    collector.read()
    last = json.loads(log.read_text().splitlines()[-1])["request"]["id"]
    assert collector.entries()[-1]["request"]["id"] == last
    assert run_keyturn(own_server, "audit", "verify", str(log)).returncode == 0


def test_what_was_stored_is_verified(own_server, collector):
    """Over reconnections, a restart and a kill of the server; what the collector lost or altered shows."""
    _enable(own_server, collector)
    for end in (own_server.stop, own_server.kill, None):
        for _ in range(3):
            own_server.client().sys.list_policies()
            collector.hang_up()
        if end:
            end()
            own_server.start()
            own_server.unseal()
    collector.read()
    syslog = ["--syslog"] if collector.kind == "syslog" else []

    def verified(stored, *arguments):
        # What verifying adds to the log must not fill the collector's queue.
        collector.read()
        return _verify(own_server, stored, *syslog, *arguments)

    stored = re.sub(rb"^<\d+>(.{15})", rb"\1 host", collector.stored, flags=re.M)
    assert verified(stored) == (0, [])
    lines = stored.splitlines(keepends=True)
    assert verified(b"".join(lines[:5] + lines[6:]), "--without-end") == (1, [6])
    assert verified(b"".join(lines[:-1])) == (1, [None])
    altered = lines[4].replace(b'"operation":"', b'"operation":"x')
    assert verified(b"".join([*lines[:4], altered, *lines[5:]]), "--without-end") == (1, [5])


def test_a_header_is_no_part_of_an_entry(own_server, collect):
    """What stands before an entry is passed over only where a syslog daemon is told to have put it there."""
    collector = collect("tcp")
    _enable(own_server, collector)
    own_server.client().sys.list_policies()
    collector.read()
    changed = collector.stored.replace(b"{\"time\"", b"x{\"time\"")
    assert _verify(own_server, collector.stored, "--without-end") == (0, [])
    assert _verify(own_server, changed, "--without-end")[0] == 1


@pytest.mark.parametrize("kind", ["tcp", "unix", "unixgram", "syslog"])
def test_a_collector_that_stops_reading(own_server, collect, kind):
    """Once its buffers are full no request is answered, until it reads; its torn line shows and spoils no other."""
    collector = collect(kind)
    root = own_server.client()
    _enable(own_server, collector, write_timeout="100ms")
    policy = {"policy": 'path "a" {}\n' + "#" * 1000}
    headers = {f"x-{number}": "x" * 7000 for number in range(4)}
    for name in headers:
        root.write(f"sys/config/auditing/request-headers/{name}", hmac=False)
    for _ in range(5000):
        if own_server.call("PUT", "sys/policies/acl/a", body=policy, headers=headers).status == 500:
            break
    else:
        pytest.fail("everything was taken, though nobody read")
    collector.read()
    before = len(collector.stored)
    assert 200 in (_status(own_server), _status(own_server))
    collector.read()
    last = collector.stored.splitlines()[-1]
    assert json.loads(last[last.index(b"{"):])["request"]["path"] == "auth/token/lookup-self"
    assert len(collector.stored) > before
    syslog = ["--syslog"] if kind == "syslog" else []
    stored = re.sub(rb"^<\d+>", b"", collector.stored, flags=re.M)
    faults = _verify(own_server, stored, "--without-end", *syslog)[1]
    assert len(faults) <= collector.is_stream, faults


def test_an_entry_larger_than_a_datagram(own_server, collect):
    """It fails, whole; those beside it do not."""
    collector = collect("udp")
    _enable(own_server, collector)
    own_server.client().sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    fields = {f"field-{number}": "" for number in range(1000)}
    reply = own_server.call("POST", "kv/large", body=fields)
    assert reply.status == 500 and reply.errors, reply
    assert _status(own_server) == 200
    paths = {entry["request"]["path"] for entry in collector.entries()}
    assert "kv/large" not in paths and "auth/token/lookup-self" in paths


def test_refusals(own_server, tmp_path):
    """Options that cannot be, and a collector that does not listen: nothing is enabled."""
    root = own_server.client()
    for kind, options, fragment in (
        ("socket", {}, "address is required"),
        ("socket", {"address": "127.0.0.1"}, "address"),
        ("socket", {"address": "127.0.0.1:1", "socket_type": "ip"}, "socket_type"),
        ("socket", {"address": "127.0.0.1:1", "write_timeout": "1h"}, "write_timeout"),
        ("socket", {"address": "127.0.0.1:1"}, "cannot be reached"),
        ("socket", {"address": str(tmp_path / "none"), "socket_type": "unix"}, "cannot be reached"),
        ("syslog", {"facility": "NOWHERE"}, "facility"),
        ("syslog", {"tag": "a b"}, "tag"),
        ("syslog", {"address": str(tmp_path / "none")}, "cannot be reached"),
    ):
        with refused(exceptions.InvalidRequest, fragment):
            root.sys.enable_audit_device(kind, path="x", options=options)
    assert root.sys.list_enabled_audit_devices()["data"] == {}
    assert _status(own_server) == 200


def test_configured_collectors(tmp_path, collect):
    """In keyturn.toml: the server starts without them, and answers as soon as one takes the entries."""
    collector, daemon = collect("tcp"), collect("syslog")
    collector.die()
    daemon.die()
    devices = f"""
[[audit.device]]
type = "socket"
name = "away"
address = "{collector.address}"
write_timeout = 5

[[audit.device]]
type = "syslog"
address = "{daemon.address}"
"""
    server = harness.configured_server(tmp_path, more=devices)
    try:
        server.initialise()
        assert _status(server) == 500
        daemon.listen()
        assert _status(server) == 200
        collector.listen()
        assert _status(server) == 200
        assert collector.entries()[-1]["request"]["path"] == "auth/token/lookup-self"
        assert daemon.entries()[-1]["request"]["id"] == collector.entries()[-1]["request"]["id"]
        with refused(exceptions.InvalidRequest, "configuration file"):
            server.client().sys.disable_audit_device("away")
        collector.read()
        assert _verify(server, collector.stored) == (0, [])
    finally:
        server.stop()


def test_sighup_connects_anew(own_server, collect):
    """The next entry comes by a connection of its own."""
    collector = collect("tcp")
    _enable(own_server, collector)
    own_server.signal(signal.SIGHUP)

    def connections():
        own_server.client().sys.list_policies()
        collector.read()
        return collector.connections == 2

    wait_until("a second connection", connections)
