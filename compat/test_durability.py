"""A write that was acknowledged survives `kill -9`, and no write is ever half there."""

import stat
import threading

import pytest
import requests
from hvac import exceptions

import harness
from support import is_refused, wait_until

WRITERS = 8
SECRETS_PER_WRITER = 5
ACKNOWLEDGED_PER_ROUND = 300
ROUNDS = 3


class Writers:
    """Threads that write versions until the server is gone, and remember each one that was acknowledged."""

    def __init__(self, server):
        self.server = server
        self.acknowledged = {}
        self.failures = []

    def run_until_killed(self):
        """Starts all writers, kills the server in their midst, and waits for the last of them."""
        goal = self.count() + ACKNOWLEDGED_PER_ROUND
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            wait_until("enough writes are acknowledged", lambda: self.failures or self.count() >= goal, seconds=60)
        finally:
            self.server.kill()
            for thread in threads:
                thread.join()
        assert not self.failures, self.failures[:3]

    def count(self):
        """How many versions have been acknowledged so far."""
        return sum(len(versions) for versions in list(self.acknowledged.values()))

    def _write(self, number):
        kv = self.server.client().secrets.kv.v2
        for turn in range(1_000_000):
            path = f"writer-{number}/secret-{turn % SECRETS_PER_WRITER}"
            value = f"{path} {turn} " + "x" * (turn % 1500)
            try:
                made = kv.create_or_update_secret(path, {"value": value, "turn": turn}, mount_point="kv")
            except requests.exceptions.ConnectionError:
                return
            except Exception as failure:  # noqa: BLE001 -- any other end of a writer fails the test
                self.failures.append(failure)
                return
            self.acknowledged.setdefault(path, {})[made["data"]["version"]] = {"value": value, "turn": turn}


def _is_whole(kv, path, acknowledged):
    """Each acknowledged version is there as it was; whatever else the metadata names can be read."""
    metadata = kv.read_secret_metadata(path, mount_point="kv")["data"]
    last = max(acknowledged)
    # A writer has one request under way when the server dies: it may have been stored without an answer.
    assert last <= metadata["current_version"] <= last + ROUNDS, path
    assert sorted(map(int, metadata["versions"])) == list(range(1, metadata["current_version"] + 1)), path
    for version in range(1, metadata["current_version"] + 1):
        read = kv.read_secret_version(path, version=version, mount_point="kv", raise_on_deleted_version=True)["data"]
        assert read["metadata"]["version"] == version
        assert read["data"].keys() == {"value", "turn"}, (path, version)
        if version in acknowledged:
            assert read["data"] == acknowledged[version], (path, version)


def test_kill_9_loses_no_acknowledged_write(own_server):
    """Writers in a loop, kill, restart, unseal, look; three times over."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    root.secrets.kv.v2.configure(max_versions=10_000, mount_point="kv")
    writers = Writers(own_server)
    for _ in range(ROUNDS):
        writers.run_until_killed()
        own_server.start()
        own_server.unseal()

    kv = own_server.client().secrets.kv.v2
    assert writers.count() >= ROUNDS * ACKNOWLEDGED_PER_ROUND
    for path, acknowledged in writers.acknowledged.items():
        _is_whole(kv, path, acknowledged)


def test_kill_9_right_after_each_kind_of_change(own_server):
    """Mounts, policies, tokens, roles, users, deletions and revocations: each is kept once answered."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    root.sys.enable_auth_method("userpass")
    root.sys.enable_auth_method("approle")
    root.sys.create_or_update_acl_policy("reader", 'path "kv/*" { capabilities = ["read"] }')
    root.auth.userpass.create_or_update_user("ann", password="pw", policies="reader")
    root.auth.approle.create_or_update_approle("web", token_policies=["reader"])
    role_id = root.auth.approle.read_role_id("web")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("web")["data"]["secret_id"]
    kept = root.auth.token.create(policies=["reader"], ttl="1h")["auth"]["client_token"]
    gone = root.auth.token.create(policies=["reader"], ttl="1h")["auth"]["client_token"]
    for number in (1, 2, 3):
        root.secrets.kv.v2.create_or_update_secret("a", {"n": number}, mount_point="kv")
    root.secrets.kv.v2.destroy_secret_versions("a", [1], mount_point="kv")
    root.secrets.kv.v2.delete_secret_versions("a", [2], mount_point="kv")
    root.auth.token.revoke(gone)
    own_server.kill()
    own_server.start()
    own_server.unseal()

    assert own_server.client(kept).is_authenticated() and not own_server.client(gone).is_authenticated()
    for log_in in (lambda nobody: nobody.auth.userpass.login("ann", "pw"),
                   lambda nobody: nobody.auth.approle.login(role_id, secret_id)):
        nobody = own_server.client("")
        log_in(nobody)
        read = nobody.secrets.kv.v2.read_secret_version("a", mount_point="kv", raise_on_deleted_version=True)
        assert read["data"]["data"] == {"n": 3}
    versions = root.secrets.kv.v2.read_secret_metadata("a", mount_point="kv")["data"]["versions"]
    assert versions["1"]["destroyed"] is True and versions["2"]["deletion_time"] and not versions["3"]["deletion_time"]


def test_expiry_goes_on_while_the_server_is_down(own_server):
    """A token's time does not stand still for a restart."""
    root = own_server.client()
    short = own_server.client(root.auth.token.create(policies=["default"], ttl="2s")["auth"]["client_token"])
    long = own_server.client(root.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"])
    own_server.kill()
    own_server.start()
    own_server.unseal()
    wait_until("the short token expired", lambda: is_refused(exceptions.Forbidden, short.auth.token.lookup_self))
    assert long.is_authenticated()


@pytest.mark.keyturn
def test_dev_with_data_comes_back(tmp_path):
    """`keyturn dev --data` is unsealed by its key file when it starts again, after a kill as well."""
    data = tmp_path / "data"
    server = harness.dev_server(tmp_path, "--data", str(data))
    try:
        server.client().secrets.kv.v2.create_or_update_secret("a", {"v": "1"})
        server.kill()
        server.address = ""
        server.stdout.write_text("")
        server.stderr.write_text("")
        server.start()
        read = server.client().secrets.kv.v2.read_secret_version("a", raise_on_deleted_version=True)
        assert read["data"]["data"] == {"v": "1"}
        others = stat.S_IRWXG | stat.S_IRWXO
        assert [path for path in [data, *data.rglob("*")] if path.stat().st_mode & others] == []
    finally:
        server.stop()
