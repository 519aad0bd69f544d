"""Snapshots: `/v1/sys/storage/[raft/]snapshot` and `keyturn operator snapshot`. A copy of the whole store, taken while
others write, restored whole or not at all, and refused when it is not what was taken."""

import json
import stat
import subprocess
import threading

import pytest
import requests
from hvac import exceptions

import harness
from support import DEADLINE_SECONDS, refused, status_of, wait_until

pytestmark = pytest.mark.keyturn

PADDING = "x" * 4000


@pytest.fixture
def filled(own_server):
    """A server of the test's own with some secrets, a policy and a token."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    for number in range(20):
        root.secrets.kv.v2.create_or_update_secret(f"s/{number}", {"n": number, "pad": PADDING}, mount_point="kv")
    root.sys.create_or_update_acl_policy("reader", 'path "kv/*" { capabilities = ["read"] }')
    return own_server


@pytest.fixture
def another(tmp_path):
    """A second server, initialised with a share of its own."""
    directory = tmp_path / "another"
    directory.mkdir()
    process = harness.configured_server(directory)
    process.initialise()
    yield process
    process.stop()


def taken(server):
    """A snapshot, as hvac takes one."""
    answer = server.client().sys.take_raft_snapshot()
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/octet-stream"
    return answer.content


def read(server, path):
    """One secret's data, or nothing."""
    try:
        answer = server.client().secrets.kv.v2.read_secret_version(path, mount_point="kv", raise_on_deleted_version=True)
    except exceptions.InvalidPath:
        return None
    return answer["data"]["data"]


def operator(server, *arguments, expect=0, **options):
    """`keyturn operator snapshot …`."""
    done = harness.run_keyturn(server, "operator", "snapshot", *map(str, arguments), **options)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def moved(server, directory):
    """The configuration of a server with an empty directory, and the same shares and token."""
    directory.mkdir()
    port = harness.free_port()
    configuration = directory / "keyturn.toml"
    configuration.write_text(harness.CONFIGURATION.format(directory=directory, port=port, log_level="info"))
    command = [str(harness.BINARY), "server", "--config", str(configuration)]
    return harness.Process(address=f"http://127.0.0.1:{port}", token=server.token, command=command,
                           directory=directory, keys=server.keys)


def test_a_restored_store_has_everything_that_was_acknowledged_before(filled, tmp_path):
    """Taken while four clients write; restored into an empty directory; each secret read back, no half transaction."""
    acknowledged, stop, failures = {}, threading.Event(), []

    def write(name):
        kv = filled.client().secrets.kv.v2
        number = 0
        try:
            while not stop.is_set():
                number += 1
                kv.create_or_update_secret(f"w/{name}", {"n": number, "pad": PADDING}, mount_point="kv")
                acknowledged[name] = number
        except Exception as failure:  # noqa: BLE001 -- any failure of a writer fails the test
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until("each has written", lambda: failures or len(acknowledged) == 4 and min(acknowledged.values()) > 5)
        before = dict(acknowledged)
        file = tmp_path / "backup.snap"
        operator(filled, "save", file)
        wait_until("writers went on", lambda: failures or all(acknowledged[name] > before[name] for name in before))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[:1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(operator(filled, "inspect", file, "--format", "json").stdout)
    assert told["seal"] == "shamir" and told["bytes"] == file.stat().st_size and told["records"] > 40

    restored = moved(filled, tmp_path / "elsewhere")
    operator(filled, "restore", file, "--config", restored.directory / "keyturn.toml")
    restored.start()
    try:
        restored.unseal()
        for number in range(20):
            assert read(restored, f"s/{number}") == {"n": number, "pad": PADDING}
        for name, least in before.items():
            metadata = restored.client().secrets.kv.v2.read_secret_metadata(f"w/{name}", mount_point="kv")["data"]
            last = metadata["current_version"]
            assert least <= last and read(restored, f"w/{name}") == {"n": last, "pad": PADDING}
        assert "reader" in restored.client().sys.list_acl_policies()["data"]["keys"]
        # It goes on from there.
        restored.client().secrets.kv.v2.create_or_update_secret("after", {"n": 1}, mount_point="kv")
        restored.stop()
        restored.start()
        restored.unseal()
        assert read(restored, "after") == {"n": 1}
    finally:
        restored.stop()


def test_a_running_server_goes_back(filled):
    """What came later is gone, what was there is there, and the store is sealed until its shares come."""
    snapshot = taken(filled)
    root = filled.client()
    root.secrets.kv.v2.create_or_update_secret("later", {"n": 1}, mount_point="kv")
    root.secrets.kv.v2.create_or_update_secret("s/0", {"n": "changed"}, mount_point="kv")
    late = root.auth.token.create(policies=["reader"])["auth"]["client_token"]
    assert status_of(root.sys.restore_raft_snapshot(snapshot)) == 204
    assert filled.answers() == 503
    filled.unseal()
    assert read(filled, "later") is None and read(filled, "s/0") == {"n": 0, "pad": PADDING}
    assert not filled.client(late).is_authenticated()
    filled.client().secrets.kv.v2.create_or_update_secret("after", {"n": 1}, mount_point="kv")
    filled.stop()
    filled.start()
    filled.unseal()
    assert read(filled, "after") == {"n": 1} and read(filled, "later") is None


def test_what_is_no_whole_snapshot_is_refused_and_changes_nothing(filled, another, tmp_path):
    """Altered, cut off, of another store, of nothing: 400, the store open and as it was."""
    snapshot = taken(filled)
    root = filled.client()
    root.secrets.kv.v2.create_or_update_secret("later", {"n": 1}, mount_point="kv")
    middle = len(snapshot) // 2
    altered = snapshot[:middle] + bytes([snapshot[middle] ^ 1]) + snapshot[middle + 1:]
    last = snapshot[:-1] + bytes([snapshot[-1] ^ 1])
    cases = {"altered": altered, "not taken by this store": last, "cut off": snapshot[:middle], "not a Keyturn":
             b"GIF89a" * 50, "follows its end": snapshot + b"x"}
    for word, bad in cases.items():
        with refused(exceptions.InvalidRequest, word):
            root.sys.restore_raft_snapshot(bad)
    with refused(exceptions.InvalidRequest, "not taken by this store"):
        root.sys.restore_raft_snapshot(taken(another))
    assert filled.call("POST", "sys/storage/snapshot", b"").status == 400
    for bad in (altered, snapshot[:middle]):
        with refused(exceptions.InvalidRequest):
            root.sys.force_restore_raft_snapshot(bad)
        file = tmp_path / "bad.snap"
        file.write_bytes(bad)
        empty = moved(filled, tmp_path / f"empty-{len(bad)}")
        for arguments in (("inspect", file), ("restore", file), ("restore", file, "--config",
                                                                 empty.directory / "keyturn.toml")):
            operator(filled, *arguments, expect=1)
        assert not (empty.directory / "data" / "keyturn.store").exists()
    assert filled.answers() == 200 and read(filled, "later") == {"n": 1}


def test_a_made_up_snapshot_is_found_when_the_store_is_unsealed(filled, tmp_path):
    """Its checksum fits, its keyed checksum does not: nobody can tell offline, and it does not open."""
    import hashlib  # noqa: PLC0415
    snapshot = bytearray(taken(filled))
    at = snapshot.index(b"policy/reader")
    snapshot[at + len(b"policy/reade")] = ord("s")
    snapshot[-64:-32] = hashlib.sha256(snapshot[:-64]).digest()
    file = tmp_path / "forged.snap"
    file.write_bytes(snapshot)
    with refused(exceptions.InvalidRequest, "not taken by this store"):
        filled.client().sys.restore_raft_snapshot(bytes(snapshot))
    restored = moved(filled, tmp_path / "elsewhere")
    operator(filled, "restore", file, "--config", restored.directory / "keyturn.toml")
    restored.start()
    try:
        with refused(exceptions.InvalidRequest, "altered after it was taken"):
            restored.client("").sys.submit_unseal_keys(restored.keys)
        assert restored.answers() == 503
    finally:
        restored.stop()


def test_another_stores_snapshot_can_be_forced(filled, another):
    """Then this server holds the other store, and the other's shares open it."""
    filled.client().secrets.kv.v2.create_or_update_secret("mine", {"n": 1}, mount_point="kv")
    assert status_of(another.client().sys.force_restore_raft_snapshot(taken(filled))) == 204
    with pytest.raises(exceptions.InvalidRequest):
        another.client("").sys.submit_unseal_keys(another.keys)
    another.keys, another.token = filled.keys, filled.token
    another.unseal()
    assert read(another, "mine") == {"n": 1}


def test_only_root_and_sudo_may(filled):
    """A snapshot is everything; so is restoring one."""
    snapshot = taken(filled)
    root = filled.client()
    root.sys.create_or_update_acl_policy("all", 'path "*" { capabilities = ["create", "read", "update", "delete"] }')
    root.sys.create_or_update_acl_policy("backup", 'path "sys/storage/raft/snapshot" { capabilities = ["read", "sudo"] }')
    weak = root.auth.token.create(policies=["all"])["auth"]["client_token"]
    backup = root.auth.token.create(policies=["backup"])["auth"]["client_token"]
    for token in ("", weak):
        for path in ("sys/storage/snapshot", "sys/storage/raft/snapshot"):
            assert filled.call("GET", path, token=token).status == 403
            assert filled.call("POST", path, snapshot, token=token).status == 403
            assert filled.call("POST", f"{path}-force", snapshot, token=token).status == 403
    assert filled.call("GET", "sys/storage/raft/snapshot", token=backup).status == 200
    assert filled.call("POST", "sys/storage/raft/snapshot", snapshot, token=backup).status == 403
    assert filled.answers() == 200


def test_nothing_in_a_snapshot_is_readable(filled):
    """Ciphertext only, as on the disk: no value, no token, no share."""
    root = filled.client()
    root.secrets.kv.v2.create_or_update_secret("canary", {"v": "canary-4711-canary"}, mount_point="kv")
    snapshot = taken(filled)
    assert b"canary-4711" not in snapshot and PADDING.encode() not in snapshot
    assert filled.token.encode() not in snapshot and filled.keys[0].encode() not in snapshot


def test_save_and_restore_mind_what_is_there(filled, tmp_path):
    """No file is written over, no store filled that holds something, none in use."""
    file = tmp_path / "backup.snap"
    operator(filled, "save", file)
    before = file.read_bytes()
    done = operator(filled, "save", file, expect=2)
    assert b"there already" in done.stderr and file.read_bytes() == before
    assert [path.name for path in tmp_path.glob("backup.snap*")] == ["backup.snap"]
    assert b"in use" in operator(filled, "restore", file, "--config", tmp_path / "keyturn.toml", expect=1).stderr
    filled.stop()
    assert b"not empty" in operator(filled, "restore", file, "--config", tmp_path / "keyturn.toml", expect=2).stderr
    filled.start()
    filled.unseal()
    assert read(filled, "s/1") == {"n": 1, "pad": PADDING}


@pytest.fixture
def large(filled, tmp_path):
    """A snapshot that takes a while to restore."""
    kv = filled.client().secrets.kv.v2
    for number in range(60):
        kv.create_or_update_secret(f"large/{number}", {"v": str(number) + "y" * 700_000}, mount_point="kv")
    file = tmp_path / "large.snap"
    operator(filled, "save", file)
    return file


def test_kill_9_in_a_restore_into_an_empty_directory(filled, large, tmp_path):
    """Killed at ever later points: there is nothing, or everything."""
    target = moved(filled, tmp_path / "target")
    store = target.directory / "data" / "keyturn.store"
    command = [str(harness.BINARY), "operator", "snapshot", "restore", str(large),
               "--config", str(target.directory / "keyturn.toml")]
    partial, killed = target.directory / "data" / "keyturn.store.restoring", 0
    for part in (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95):
        store.unlink(missing_ok=True)
        with subprocess.Popen(command, env=harness.clean_environment(target.directory), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            goal = int(part * large.stat().st_size)
            wait_until("it has come so far", lambda: child.poll() is not None or
                       partial.exists() and partial.stat().st_size >= goal)
            child.kill()
            killed += child.wait(timeout=DEADLINE_SECONDS) != 0
        target.start()
        initialized = target.client("").sys.is_initialized()
        if initialized:
            target.unseal()
            assert read(target, "large/59")["v"].startswith("59") and read(target, "s/19")["n"] == 19
        target.stop()
    assert killed > 3, "the restore was too fast to be killed"
    # An empty store, as a server leaves it that was never initialised, may be filled too; not while it is in use.
    store.unlink()
    target.start()
    assert b"in use" in operator(filled, *command[3:], expect=1).stderr
    target.stop()
    operator(filled, "restore", large, "--config", target.directory / "keyturn.toml")
    target.start()
    target.unseal()
    assert all(read(target, f"large/{number}") for number in range(60))
    assert stat.S_IMODE(store.stat().st_mode) == 0o600 and not partial.exists()
    target.stop()


def test_kill_9_in_a_restore_of_a_running_server(filled, large):
    """The store as it was, or as the snapshot has it, with the same shares."""
    snapshot = large.read_bytes()
    seen = set()
    for turn in range(4):
        filled.client().secrets.kv.v2.create_or_update_secret("later", {"n": 1}, mount_point="kv")

        def restore():
            try:
                filled.client().sys.restore_raft_snapshot(snapshot)
            except (requests.exceptions.RequestException, exceptions.VaultError):
                pass

        thread = threading.Thread(target=restore)
        thread.start()
        if turn < 3:
            wait_until("the store is being replaced", lambda: filled.answers() == 503)
        else:
            thread.join()
        filled.kill()
        thread.join()
        filled.start()
        filled.unseal()
        assert read(filled, "s/19") == {"n": 19, "pad": PADDING} and read(filled, "large/59")["v"].startswith("59")
        seen.add(read(filled, "later") is None)
    assert True in seen
