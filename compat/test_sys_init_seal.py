"""`/v1/sys/{init,unseal,seal,seal-status,health,leader}`: the life of a store, on servers of the test's own."""

import re

import pytest
from hvac import exceptions

from support import refused, status_of, wait_until

SHARES, THRESHOLD = 5, 3
SEAL_STATUS = {"type", "initialized", "sealed", "t", "n", "progress", "nonce", "version", "migration",
               "recovery_seal", "storage_type"}
HEALTH = {"initialized", "sealed", "standby", "server_time_utc", "version"}


def test_before_initialisation(fresh_server):
    """Status answers and says what is missing; nothing else does."""
    client = fresh_server.client("")
    assert client.sys.is_initialized() is False
    status = client.sys.read_seal_status()
    assert SEAL_STATUS <= status.keys()
    assert (status["initialized"], status["sealed"], status["t"], status["n"]) == (False, True, 0, 0)
    assert fresh_server.call("GET", "sys/health").status == 501
    for path in ("sys/mounts", "secret/data/x", "auth/token/lookup-self"):
        assert fresh_server.call("GET", path, token="any").status == 503, path


def test_initialise(fresh_server):
    """Shares in hex and base64, a root token, and a sealed store; once."""
    client = fresh_server.client("")
    made = client.sys.initialize(secret_shares=SHARES, secret_threshold=THRESHOLD)
    assert len(made["keys"]) == len(set(made["keys"])) == len(made["keys_base64"]) == SHARES
    assert all(re.fullmatch("[0-9a-f]{64,}", key) for key in made["keys"])
    assert made["root_token"]

    assert client.sys.is_initialized() is True
    status = client.sys.read_seal_status()
    assert (status["sealed"], status["t"], status["n"], status["progress"]) == (True, THRESHOLD, SHARES, 0)
    with refused(exceptions.InvalidRequest, "already initialized"):
        client.sys.initialize(secret_shares=1, secret_threshold=1)


@pytest.mark.parametrize("shares, threshold", [(0, 0), (3, 4), (5, 1), (300, 2), (3, 0)])
def test_refuses_impossible_shares(fresh_server, shares, threshold):
    """A threshold above the shares, one share of several, more than fit: refused, and nothing is made."""
    with refused(exceptions.InvalidRequest):
        fresh_server.client("").sys.initialize(secret_shares=shares, secret_threshold=threshold)
    assert fresh_server.client("").sys.is_initialized() is False


def test_unseal_step_by_step(fresh_server):
    """Progress counts distinct shares, reset forgets them, and the threshold opens the store."""
    client = fresh_server.client("")
    made = client.sys.initialize(secret_shares=SHARES, secret_threshold=THRESHOLD)
    one, two, three, four, _ = made["keys_base64"]

    assert client.sys.submit_unseal_key(one)["progress"] == 1
    assert client.sys.submit_unseal_key(one)["progress"] == 1
    nonce = client.sys.submit_unseal_key(two)["nonce"]
    assert nonce and client.sys.read_seal_status()["nonce"] == nonce
    status = client.sys.submit_unseal_key(reset=True)
    assert (status["progress"], status["nonce"], status["sealed"]) == (0, "", True)

    # The other encoding of the shares, and any three of the five.
    client.sys.submit_unseal_key(made["keys"][1])
    client.sys.submit_unseal_key(three)
    assert client.sys.submit_unseal_key(four)["sealed"] is False
    wait_until("active", lambda: fresh_server.answers() == 200)
    assert fresh_server.client(made["root_token"]).is_authenticated()
    assert client.sys.submit_unseal_key(one)["sealed"] is False


def test_wrong_shares(fresh_server):
    """Garbage is refused at once; a false share at the threshold, where all progress is lost."""
    client = fresh_server.client("")
    made = client.sys.initialize(secret_shares=3, secret_threshold=2)
    for garbage in ("", "not hex nor base64!", "ab"):
        with refused(exceptions.InvalidRequest):
            client.sys.submit_unseal_key(garbage)

    right = made["keys"][0]
    # Another value of the polynomial at the place of the second share.
    false = ("00" if made["keys"][1][:2] != "00" else "01") + made["keys"][1][2:]
    client.sys.submit_unseal_key(right)
    with refused(exceptions.InvalidRequest):
        client.sys.submit_unseal_key(false)
    status = client.sys.read_seal_status()
    assert (status["sealed"], status["progress"]) == (True, 0)
    assert client.sys.submit_unseal_keys(made["keys"][:2])["sealed"] is False


def test_unseal_before_initialisation(fresh_server):
    """There is nothing to unseal."""
    with refused(exceptions.InvalidRequest):
        fresh_server.client("").sys.submit_unseal_key("00" * 33)


def test_seal_and_unseal(own_server):
    """Sealing needs sudo, closes everything but status, and loses nothing."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    root.secrets.kv.v1.create_or_update_secret("a", {"v": "1"}, mount_point="kv")
    nobody = own_server.client(root.auth.token.create(policies=["default"])["auth"]["client_token"])
    with refused(exceptions.Forbidden, "permission denied"):
        nobody.sys.seal()

    assert status_of(root.sys.seal()) == 204
    assert root.sys.is_sealed()
    for method, path in (("GET", "kv/a"), ("POST", "auth/token/create"), ("GET", "nowhere")):
        reply = own_server.call(method, path)
        assert reply.status == 503 and "sealed" in reply.errors[0].lower(), path
    with pytest.raises(exceptions.VaultDown):
        root.secrets.kv.v1.read_secret("a", mount_point="kv")

    own_server.unseal()
    assert root.secrets.kv.v1.read_secret("a", mount_point="kv")["data"] == {"v": "1"}
    assert nobody.is_authenticated()


def test_restart_comes_back_sealed(own_server):
    """A restarted server needs its shares again; data, tokens and mounts are as they were."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    root.secrets.kv.v2.create_or_update_secret("a", {"v": "1"}, mount_point="kv")
    token = root.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]

    own_server.stop()
    own_server.start()
    assert own_server.answers() == 503
    own_server.unseal()
    read = own_server.client().secrets.kv.v2.read_secret_version(
        "a", mount_point="kv", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"v": "1"}
    assert own_server.client(token).is_authenticated()


def test_health(own_server):
    """200, 503 or 501; each can be replaced by the caller; HEAD has no body."""
    health = own_server.client("").sys.read_health_status(method="GET")
    assert HEALTH <= health.keys()
    assert (health["initialized"], health["sealed"], health["standby"]) == (True, False, False)
    assert own_server.client("").sys.read_health_status(method="HEAD").status_code == 200
    assert own_server.call("GET", "sys/health?activecode=299", token="").status == 299
    assert own_server.call("GET", "sys/health?standbyok=true", token="").status == 200
    head = own_server.call("HEAD", "sys/health?activecode=299", token="")
    assert (head.status, head.body) == (299, b"")
    assert own_server.call("GET", "sys/health?activecode=many", token="").status == 400

    own_server.client().sys.seal()
    assert own_server.call("GET", "sys/health", token="").status == 503
    sealed = own_server.call("GET", "sys/health?sealedcode=299", token="")
    assert (sealed.status, sealed.json["sealed"]) == (299, True)


def test_health_before_initialisation(fresh_server):
    """501, or what the caller asks for."""
    reply = fresh_server.call("GET", "sys/health?uninitcode=299", token="")
    assert (reply.status, reply.json["initialized"]) == (299, False)


def test_status_is_plain_json(own_server):
    """These answers have no envelope, and need no token."""
    for path in ("sys/init", "sys/seal-status", "sys/health", "sys/leader"):
        reply = own_server.call("GET", path, token="")
        assert reply.status == 200, path
        assert reply.headers["content-type"] == "application/json"
        assert "request_id" not in reply.json and "data" not in reply.json, path


@pytest.mark.keyturn
def test_leader(own_server):
    """A single node is its own leader, and says that there are no others."""
    leader = own_server.client("").sys.read_leader_status()
    assert leader["ha_enabled"] is False
    assert {"is_self", "leader_address", "leader_cluster_address"} <= leader.keys()
