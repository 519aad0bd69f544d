"""`/v1/sys/rekey/…` and `/v1/sys/rotate/…`: new shares, new data keys, and everything that must be refused on the way."""

import threading

import pytest
from hvac import exceptions

from support import refused, status_of, wait_until

# Another server may close these paths to strangers, as OpenBao does unless it is told otherwise.
pytestmark = pytest.mark.keyturn

SHARES, THRESHOLD = 3, 2
STATUS = {"nonce", "started", "t", "n", "progress", "required", "pgp_fingerprints", "backup", "verification_required"}


@pytest.fixture
def shared(fresh_server):
    """An unsealed server of the test's own with three shares, two of which unseal."""
    fresh_server.initialise(SHARES, THRESHOLD)
    return fresh_server


def reopened_with(server, keys):
    """Seals, and says whether these shares open the store."""
    server.client().sys.seal()
    try:
        status = server.client("").sys.submit_unseal_keys(keys)
    except exceptions.InvalidRequest:
        return False
    if not status["sealed"]:
        wait_until("active", lambda: server.answers() == 200)
    return not status["sealed"]


def rekeyed(server, old, shares, threshold):
    """Makes new shares without verification."""
    client = server.client("")
    nonce = client.sys.start_rekey(secret_shares=shares, secret_threshold=threshold)["nonce"]
    return client.sys.rekey_multi(old, nonce=nonce)["keys_base64"]


def test_new_shares_replace_the_old(shared):
    """Status at each step, shares in two encodings, and only the new ones open the store."""
    client = shared.client("")
    idle = client.sys.read_rekey_progress()
    assert STATUS <= idle.keys()
    assert (idle["started"], idle["progress"], idle["required"], idle["nonce"]) == (False, 0, THRESHOLD, "")

    started = client.sys.start_rekey(secret_shares=5, secret_threshold=3)
    assert (started["started"], started["n"], started["t"], started["progress"]) == (True, 5, 3, 0)
    nonce = started["nonce"]
    assert nonce and client.sys.read_rekey_progress()["nonce"] == nonce
    one = client.sys.rekey(shared.keys[2], nonce=nonce)
    assert (one["progress"], one["required"]) == (1, THRESHOLD) and not one.get("complete")
    made = client.sys.rekey(shared.keys[0], nonce=nonce)
    assert made["complete"] is True and made["nonce"] == nonce and made["verification_required"] is False
    assert len(made["keys"]) == len(set(made["keys"])) == len(made["keys_base64"]) == 5
    assert client.sys.read_rekey_progress()["started"] is False

    status = client.sys.read_seal_status()
    assert (status["n"], status["t"], status["sealed"]) == (5, 3, False)
    assert not reopened_with(shared, shared.keys[:2])
    client.sys.submit_unseal_key(reset=True)
    client.sys.submit_unseal_keys(made["keys"][1:4])
    wait_until("active", lambda: shared.answers() == 200)
    assert shared.client().is_authenticated()


def test_answers_have_no_envelope(shared):
    """The old spelling answers bare JSON, without a token."""
    for path in ("sys/rekey/init", "sys/generate-root/attempt"):
        reply = shared.call("GET", path, token="")
        assert reply.status == 200 and "request_id" not in reply.json and "data" not in reply.json, path


def test_verification(shared):
    """Until the new shares have come back, the old ones are in force."""
    client = shared.client("")
    with refused(exceptions.InvalidRequest, "no rekey in progress"):
        client.sys.read_rekey_verify_progress()
    started = client.sys.start_rekey(secret_shares=3, secret_threshold=2, require_verification=True)
    assert started["verification_required"] is True
    made = client.sys.rekey_multi(shared.keys, nonce=started["nonce"])
    assert made["complete"] is True and made["verification_required"] is True
    new, nonce = made["keys_base64"], made["verification_nonce"]
    assert client.sys.read_rekey_progress()["verification_nonce"] == nonce
    with refused(exceptions.InvalidRequest, "verification must be performed", nonce):
        client.sys.rekey(shared.keys[0], nonce=started["nonce"])

    waiting = client.sys.read_rekey_verify_progress()
    assert (waiting["started"], waiting["nonce"], waiting["progress"], waiting["t"]) == (True, nonce, 0, 2)
    assert client.sys.rekey_verify(new[0], nonce=nonce)["progress"] == 1
    with refused(exceptions.InvalidRequest, "already been provided"):
        client.sys.rekey_verify(new[0], nonce=nonce)
    restarted = client.sys.cancel_rekey_verify()
    assert restarted["progress"] == 0 and restarted["nonce"] != nonce
    with refused(exceptions.InvalidRequest, "incorrect nonce"):
        client.sys.rekey_verify(new[1], nonce=nonce)

    # The old shares are no new ones: they verify nothing, and are forgotten.
    nonce = restarted["nonce"]
    with refused(exceptions.InvalidRequest):
        client.sys.rekey_verify_multi(shared.keys, nonce=nonce)
    assert client.sys.read_rekey_verify_progress()["progress"] == 0
    assert client.sys.read_seal_status()["n"] == SHARES

    done = client.sys.rekey_verify_multi(new[1:], nonce=nonce)
    assert (done["complete"], done["nonce"]) == (True, nonce)
    assert reopened_with(shared, new[:2])
    assert not reopened_with(shared, shared.keys[:2])


def test_sealing_ends_an_unverified_rekey(shared):
    """What was not verified never was: the old shares open the store."""
    client = shared.client("")
    nonce = client.sys.start_rekey(secret_shares=1, secret_threshold=1, require_verification=True)["nonce"]
    made = client.sys.rekey_multi(shared.keys, nonce=nonce)
    assert reopened_with(shared, shared.keys)
    assert client.sys.read_rekey_progress()["started"] is False
    with refused(exceptions.InvalidRequest, "no rekey in progress"):
        client.sys.rekey_verify(made["keys"][0], nonce=made["verification_nonce"])


def test_wrong_steps(shared):
    """Another nonce, the same share twice, garbage, a second start: refused, and the progress stays."""
    client = shared.client("")
    with refused(exceptions.InvalidRequest, "no rekey in progress"):
        client.sys.rekey(shared.keys[0], nonce="x")
    nonce = client.sys.start_rekey(secret_shares=1, secret_threshold=1)["nonce"]
    with refused(exceptions.InvalidRequest, "already in progress"):
        client.sys.start_rekey(secret_shares=2, secret_threshold=2)
    client.sys.rekey(shared.keys[0], nonce=nonce)
    with refused(exceptions.InvalidRequest, "incorrect nonce", nonce):
        client.sys.rekey(shared.keys[1], nonce="00000000-0000-0000-0000-000000000000")
    with refused(exceptions.InvalidRequest, "incorrect nonce"):
        client.sys.rekey(shared.keys[1])
    with refused(exceptions.InvalidRequest, "already been provided"):
        client.sys.rekey(shared.keys[0], nonce=nonce)
    for garbage in ("not hex nor base64!", "ab", "00" * 34, "00" * 1000):
        with refused(exceptions.InvalidRequest):
            client.sys.rekey(garbage, nonce=nonce)
    assert shared.call("PUT", "sys/rekey/update", {"nonce": nonce}, token="").status == 400
    assert client.sys.read_rekey_progress()["progress"] == 1


def test_wrong_shares_are_forgotten_and_end_the_ceremony_at_last(shared):
    """A false share at the threshold loses the progress; ten times of it, the ceremony."""
    client = shared.client("")
    nonce = client.sys.start_rekey(secret_shares=1, secret_threshold=1)["nonce"]
    false = "AA" + shared.keys[1][2:] if shared.keys[1][:2] != "AA" else "BB" + shared.keys[1][2:]
    for attempt in range(10):
        client.sys.rekey(shared.keys[0], nonce=nonce)
        with refused(exceptions.InvalidRequest):
            client.sys.rekey(false, nonce=nonce)
        progress = client.sys.read_rekey_progress()
        assert (progress["progress"], progress["started"]) == (0, attempt < 9)
    assert reopened_with(shared, shared.keys)


def test_anybody_may_cancel(shared):
    """Without a token, as with Vault; a new ceremony has another nonce."""
    client = shared.client("")
    first = client.sys.start_rekey(secret_shares=1, secret_threshold=1)["nonce"]
    client.sys.rekey(shared.keys[0], nonce=first)
    assert status_of(client.sys.cancel_rekey()) == 204
    assert status_of(client.sys.cancel_rekey()) == 204
    second = client.sys.start_rekey(secret_shares=1, secret_threshold=1)
    assert second["nonce"] != first and second["progress"] == 0
    with refused(exceptions.InvalidRequest, "incorrect nonce"):
        client.sys.rekey(shared.keys[0], nonce=first)


@pytest.mark.parametrize("shares, threshold", [(0, 0), (3, 4), (5, 1), (300, 2), (3, 0)])
def test_impossible_shares(shared, shares, threshold):
    """The rules of initialisation hold here too."""
    client = shared.client("")
    with refused(exceptions.InvalidRequest):
        client.sys.start_rekey(secret_shares=shares, secret_threshold=threshold)
    assert client.sys.read_rekey_progress()["started"] is False


def test_pgp_keys_are_refused(shared):
    """Nobody is to think that shares were encrypted."""
    body = {"secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["AAAA"], "backup": True}
    reply = shared.call("PUT", "sys/rekey/init", body, token="")
    assert reply.status == 400 and "pgp_keys" in reply.errors[0]
    assert shared.client("").sys.read_rekey_progress()["started"] is False


def test_backups_and_recovery_keys(shared):
    """There are none, in the words that clients know."""
    root = shared.client()
    for recovery in (False, True):
        with refused(exceptions.InvalidRequest, "no backed-up keys found"):
            root.sys.read_backup_keys(recovery_key=recovery)
    assert shared.call("DELETE", "sys/rekey/backup").status == 204
    with refused(exceptions.Forbidden):
        shared.client("").sys.read_backup_keys()
    with refused(exceptions.InvalidRequest, "not supported"):
        root.sys.read_rekey_progress(recovery_key=True)
    with refused(exceptions.InvalidRequest, "not supported"):
        root.sys.start_rekey(secret_shares=1, secret_threshold=1, recovery_key=True)


def test_concurrent_shares(shared):
    """Both holders at once, many times each: one set of new shares comes out, and it opens the store."""
    client = shared.client("")
    nonce = client.sys.start_rekey(secret_shares=2, secret_threshold=2)["nonce"]
    answers = []

    def give(key):
        for _ in range(4):
            answers.append(shared.call("PUT", "sys/rekey/update", {"key": key, "nonce": nonce}, token=""))

    threads = [threading.Thread(target=give, args=(key,)) for key in shared.keys[:2] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [answer.json for answer in answers if answer.status == 200 and answer.json.get("complete")]
    assert len(made) == 1 and all(answer.status in (200, 400) for answer in answers)
    assert reopened_with(shared, made[0]["keys_base64"])


def test_sealed(shared):
    """There is no ceremony on a sealed store."""
    shared.client().sys.seal()
    for method, path in (("GET", "sys/rekey/init"), ("PUT", "sys/rekey/update"), ("PUT", "sys/generate-root/update")):
        assert shared.call(method, path, {"key": "00" * 33, "nonce": "x"}, token="").status == 503, path


def test_kill_9_leaves_one_set_that_opens(shared):
    """Killed while the new shares come back: the old ones open the store or the new ones do, and both are known."""
    keys = shared.keys
    for turn in range(4):
        client = shared.client("")
        nonce = client.sys.start_rekey(secret_shares=2, secret_threshold=2, require_verification=True)["nonce"]
        made = client.sys.rekey_multi(keys[:2], nonce=nonce)
        new, nonce = made["keys_base64"], made["verification_nonce"]
        client.sys.rekey_verify(new[0], nonce=nonce)

        def last(body={"key": new[1], "nonce": nonce}):
            try:
                shared.call("PUT", "sys/rekey/verify", body, token="")
            except OSError:
                pass

        thread = threading.Thread(target=last)
        thread.start()
        if turn % 2:
            thread.join()
        shared.kill()
        thread.join()
        shared.start()
        works = []
        for candidate in (keys[:2], new):
            try:
                if not client.sys.submit_unseal_keys(candidate)["sealed"]:
                    works.append(candidate)
                    break
            except exceptions.InvalidRequest:
                pass
        assert works, f"turn {turn}: neither set opens the store"
        assert turn % 2 == 0 or works == [new]
        keys = works[0]
        wait_until("active", lambda: shared.answers() == 200)


def test_newer_spelling_needs_a_token_and_has_an_envelope(shared):
    """`sys/rotate/root/…`, as newer clients spell it."""
    assert shared.call("GET", "sys/rotate/root/init", token="").status == 403
    idle = shared.call("GET", "sys/rotate/root/init").json["data"]
    assert (idle["started"], idle["required"]) == (False, THRESHOLD)
    plan = {"secret_shares": 2, "secret_threshold": 2, "require_verification": True}
    nonce = shared.call("POST", "sys/rotate/root/init", plan).json["data"]["nonce"]
    assert shared.client("").sys.read_rekey_progress()["nonce"] == nonce, "one ceremony under two names"
    for key in shared.keys[:2]:
        made = shared.call("PUT", "sys/rotate/root/update", {"key": key, "nonce": nonce}).json["data"]
    assert made["complete"] and len(made["keys"]) == 2
    assert shared.call("GET", "sys/rotate/root/verify").json["data"]["progress"] == 0
    assert shared.call("DELETE", "sys/rotate/root/verify").json["data"]["started"] is True
    nonce = shared.call("GET", "sys/rotate/root/verify").json["data"]["nonce"]
    for key in made["keys"]:
        done = shared.call("PUT", "sys/rotate/root/verify", {"key": key, "nonce": nonce}).json["data"]
    assert done == {"complete": True, "nonce": nonce}
    assert shared.call("DELETE", "sys/rotate/root/init").status == 204
    assert shared.call("GET", "sys/rotate/root/backup").errors == ["no backed-up keys found"]
    assert shared.call("GET", "sys/rotate/recovery/init").status == 400
    assert reopened_with(shared, made["keys_base64"])


def test_data_keys(own_server):
    """Rotation begins a term; old and new records both read."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    root.secrets.kv.v1.create_or_update_secret("old", {"v": "1"}, mount_point="kv")
    before = root.sys.get_encryption_key_status()["data"]
    assert {"term", "install_time", "encryptions"} <= before.keys()
    assert status_of(root.sys.rotate_encryption_key()) == 204
    after = root.sys.get_encryption_key_status()["data"]
    assert after["term"] == before["term"] + 1
    root.secrets.kv.v1.create_or_update_secret("new", {"v": "2"}, mount_point="kv")
    assert root.secrets.kv.v1.read_secret("old", mount_point="kv")["data"] == {"v": "1"}
    assert root.secrets.kv.v1.read_secret("new", mount_point="kv")["data"] == {"v": "2"}


def test_rotation_settings(own_server):
    """Read, written, kept over a restart; out of bounds refused, and nothing changed."""
    path = "sys/rotate/config"
    default = own_server.call("GET", path).json["data"]
    assert default == {"enabled": True, "max_operations": 1 << 30, "interval": "8760h0m0s"}
    body = {"max_operations": 2_000_000, "interval": "48h"}
    assert own_server.call("POST", path, body).status == 204
    for bad in ({"max_operations": 10}, {"max_operations": 1 << 31}, {"interval": "1h"}, {"enabled": "maybe"},
                {"max_operations": 3_000_000, "interval": 1}, {"interval": -1}):
        assert own_server.call("POST", path, bad).status == 400, bad
    expected = {"enabled": True, "max_operations": 2_000_000, "interval": "48h0m0s"}
    assert own_server.call("GET", "sys/rotate/keyring/config").json["data"] == expected
    own_server.stop()
    own_server.start()
    own_server.unseal()
    assert own_server.call("GET", path).json["data"] == expected
    assert own_server.call("POST", path, {"enabled": False, "interval": 0}).status == 204
    assert own_server.call("GET", path).json["data"] == expected | {"enabled": False, "interval": 0}
    nobody = own_server.client().auth.token.create(policies=["default"])["auth"]["client_token"]
    assert own_server.call("POST", path, {"enabled": True}, token=nobody).status == 403


def test_the_audit_log_has_each_step_and_no_share(shared, tmp_path):
    """Without a token, and recorded all the same; old shares, new shares and nonces are hashed."""
    log = tmp_path / "audit.log"
    shared.client().sys.enable_audit_device("file", options={"file_path": str(log)}, path="file")
    new = rekeyed(shared, shared.keys, 2, 2)
    text = log.read_text()
    assert text.count('"path":"sys/rekey/update"') >= 4 and '"path":"sys/rekey/init"' in text
    assert not [key for key in shared.keys + new if key in text]
