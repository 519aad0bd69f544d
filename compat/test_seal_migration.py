"""Moving a store between shares and a key, and to another key: `migrate` on `/v1/sys/unseal`, and
`keyturn operator migrate-seal` on a stopped server."""

import base64
import secrets
import threading

import pytest
from hvac import exceptions

import harness
from support import refused, wait_until

pytestmark = pytest.mark.keyturn

STATIC = '[seal]\ntype = "static"\nkey_file = "{key}"\n'


@pytest.fixture
def shared(fresh_server):
    """Three shares, two of which unseal, and a secret."""
    fresh_server.initialise(3, 2)
    put(fresh_server)
    return fresh_server


@pytest.fixture
def keyed(tmp_path):
    """A server that unseals itself by a key file, and a secret."""
    server = harness.configured_server(tmp_path, more=STATIC.format(key=new_key(tmp_path / "first.key")))
    server.token = server.client("").sys.initialize(secret_shares=1, secret_threshold=1)["root_token"]
    wait_until("active", lambda: server.answers() == 200)
    put(server)
    yield server
    server.stop()


def new_key(path):
    """A key file, as an operator would make one."""
    path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    path.chmod(0o600)
    return path


def put(server):
    """Writes a secret."""
    root = server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    root.secrets.kv.v1.create_or_update_secret("a", {"v": "1"}, mount_point="kv")


def assert_open(server):
    """The secret is there and another can be written."""
    kv = server.client().secrets.kv.v1
    assert kv.read_secret("a", mount_point="kv")["data"] == {"v": "1"}
    kv.create_or_update_secret("b", {"v": "2"}, mount_point="kv")


def reconfigure(server, seal):
    """Stops the server and names another seal in its configuration; the caller starts it."""
    server.stop()
    port = server.address.rsplit(":", 1)[1]
    text = harness.CONFIGURATION.format(directory=server.directory, port=port, log_level="info")
    (server.directory / "keyturn.toml").write_text(f"{text}\n{seal}")


def migrate(server, *arguments, stdin="", expect=0):
    """`keyturn operator migrate-seal`; returns the shares that it printed."""
    done = harness.run_keyturn(server, "operator", "migrate-seal", "--config", str(server.directory / "keyturn.toml"),
                               *map(str, arguments), stdin=stdin.encode())
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    if expect:
        return done.stderr.decode()
    assert b"done" in done.stderr
    return [line.split()[-1] for line in done.stdout.decode().splitlines() if line.startswith("unseal share")]


def test_from_shares_to_a_key(shared, tmp_path):
    """Configure the key, start, give the shares with `migrate`: open, and from then on by itself."""
    reconfigure(shared, STATIC.format(key=new_key(tmp_path / "unseal.key")))
    shared.start()
    client = shared.client("")
    status = client.sys.read_seal_status()
    assert (status["sealed"], status["migration"], status["type"], status["t"]) == (True, True, "shamir", 2)
    with refused(exceptions.InvalidRequest, "migrate option not provided and seal migration is pending"):
        client.sys.submit_unseal_key(shared.keys[0])

    assert client.sys.submit_unseal_key(shared.keys[0], migrate=True)["progress"] == 1
    wrong = "AA" + shared.keys[1][2:] if shared.keys[1][:2] != "AA" else "BB" + shared.keys[1][2:]
    with refused(exceptions.InvalidRequest):
        client.sys.submit_unseal_key(wrong, migrate=True)
    assert client.sys.read_seal_status()["progress"] == 0

    status = client.sys.submit_unseal_keys(shared.keys[1:], migrate=True)
    assert (status["sealed"], status["migration"], status["type"], status["t"]) == (False, False, "static", 1)
    assert_open(shared)
    shared.stop()
    shared.start()
    wait_until("it opens by itself", lambda: shared.answers() == 200)
    assert_open(shared)


def test_from_shares_to_a_key_by_the_command_line(shared, tmp_path):
    """The same by `keyturn operator unseal --migrate`."""
    reconfigure(shared, STATIC.format(key=new_key(tmp_path / "unseal.key")))
    shared.start()
    for key, code in zip(shared.keys, (1, 0, 0)):
        arguments = ("operator", "unseal", *(("--migrate",) if code == 0 else ()))
        done = harness.run_keyturn(shared, *arguments, stdin=key.encode(), token="")
        assert done.returncode == code, (done.stdout, done.stderr)
    assert harness.run_keyturn(shared, "operator", "unseal", "--migrate", stdin=shared.keys[0].encode()).returncode == 0
    wait_until("active", lambda: shared.answers() == 200)
    assert_open(shared)


def test_migrate_needs_something_to_move_to(shared):
    """On a store that stays where it is, the flag is refused, and the shares open it without."""
    shared.client().sys.seal()
    with refused(exceptions.InvalidRequest, "no migration seal found"):
        shared.client("").sys.submit_unseal_key(shared.keys[0], migrate=True)
    shared.unseal()


def test_giving_up_a_migration(shared, tmp_path):
    """As long as it is not done, the shares open the store under its old configuration."""
    reconfigure(shared, STATIC.format(key=new_key(tmp_path / "unseal.key")))
    shared.start()
    shared.client("").sys.submit_unseal_key(shared.keys[0], migrate=True)
    reconfigure(shared, "")
    shared.start()
    shared.unseal()
    assert_open(shared)


def test_kill_9_in_a_migration(shared, tmp_path):
    """Killed at the last share: the store opens by the key, or by its shares."""
    key = new_key(tmp_path / "unseal.key")
    reconfigure(shared, STATIC.format(key=key))
    shared.start()
    shared.client("").sys.submit_unseal_key(shared.keys[0], migrate=True)

    def last():
        try:
            shared.call("PUT", "sys/unseal", {"key": shared.keys[1], "migrate": True}, token="")
        except OSError:
            pass

    thread = threading.Thread(target=last)
    thread.start()
    shared.kill()
    thread.join()
    shared.start()
    if shared.client("").sys.is_sealed():
        assert not shared.client("").sys.submit_unseal_keys(shared.keys[1:], migrate=True)["sealed"]
    wait_until("active", lambda: shared.answers() == 200)
    assert_open(shared)


def test_from_a_key_to_shares(keyed):
    """The stopped store gets shares, which are shown; then they open it and the key does not."""
    assert "in use" in migrate(keyed, "--to", "shamir", expect=1)
    keyed.stop()
    shares = migrate(keyed, "--to", "shamir", "--shares", "3", "--threshold", "2")
    assert len(shares) == len(set(shares)) == 3
    # The configuration still names the key: it would take the store over again, but not without the shares.
    keyed.start()
    assert keyed.client("").sys.read_seal_status()["migration"] is True
    reconfigure(keyed, "")
    keyed.start()
    status = keyed.client("").sys.read_seal_status()
    assert (status["sealed"], status["n"], status["t"], status["type"]) == (True, 3, 2, "shamir")
    keyed.keys = shares[1:]
    keyed.unseal()
    assert_open(keyed)


def test_from_a_key_to_another(keyed, tmp_path):
    """The old key opens nothing any more; a key file that is not there is made."""
    keyed.stop()
    second = tmp_path / "second.key"
    assert migrate(keyed, "--to", "static", "--key-file", second) == []
    assert second.stat().st_mode & 0o777 == 0o600
    assert "does not open this store" in migrate(keyed, "--to", "static", "--key-file", second, expect=1)
    reconfigure(keyed, STATIC.format(key=second))
    keyed.start()
    wait_until("it opens by itself", lambda: keyed.answers() == 200)
    assert_open(keyed)


def test_from_shares_to_a_key_while_stopped(shared, tmp_path):
    """The same without a server: shares from standard input, one a line."""
    shared.stop()
    key = new_key(tmp_path / "unseal.key")
    wrong = migrate(shared, "--to", "static", "--key-file", key, stdin="AAAA\nBBBB\n", expect=1)
    assert "wrong length" in wrong
    migrate(shared, "--to", "static", "--key-file", key, stdin="\n".join(shared.keys[1:]) + "\n")
    reconfigure(shared, STATIC.format(key=key))
    shared.start()
    wait_until("it opens by itself", lambda: shared.answers() == 200)
    assert_open(shared)


def test_ceremonies_of_a_store_without_shares(keyed):
    """There is nothing to give, and the answer says what can be done."""
    client = keyed.client()
    for attempt in (lambda: client.sys.start_rekey(secret_shares=1, secret_threshold=1),
                    client.sys.start_root_token_generation):
        with refused(exceptions.InvalidRequest, "unsealed by its own key", "migrate-seal"):
            attempt()
    with refused(exceptions.InvalidRequest):
        keyed.client("").sys.submit_unseal_key("00" * 32)
    assert client.sys.read_rekey_progress()["started"] is False


def test_a_snapshot_restores_and_opens_by_itself(keyed):
    """With a key the running server comes back without anybody's help."""
    root = keyed.client()
    snapshot = root.sys.take_raft_snapshot().content
    root.secrets.kv.v1.create_or_update_secret("later", {"v": "2"}, mount_point="kv")
    root.sys.restore_raft_snapshot(snapshot)
    wait_until("active", lambda: keyed.answers() == 200)
    with pytest.raises(exceptions.InvalidPath):
        keyed.client().secrets.kv.v1.read_secret("later", mount_point="kv")
    assert_open(keyed)
