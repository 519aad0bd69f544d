"""`/v1/sys/generate-root/…`: a root token from the shares, combined with a one-time password."""

import base64
import json

import pytest
from hvac import exceptions

import harness
from support import refused, status_of

# Another server may close these paths to strangers, as OpenBao does unless it is told otherwise.
pytestmark = pytest.mark.keyturn

STATUS = {"nonce", "started", "progress", "required", "complete", "encoded_token", "encoded_root_token",
          "pgp_fingerprint", "otp", "otp_length"}


@pytest.fixture
def shared(fresh_server):
    """An unsealed server of the test's own with three shares, two of which unseal."""
    fresh_server.initialise(3, 2)
    return fresh_server


def decoded(encoded, otp):
    """What Vault's clients do: base64 without padding, then XOR with the password."""
    combined = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    assert len(combined) == len(otp)
    return bytes(a ^ b for a, b in zip(combined, otp.encode())).decode()


def test_a_root_token_from_the_shares(shared):
    """The password is shown once, the token never; together they are a root token."""
    client = shared.client("")
    idle = client.sys.read_root_generation_progress()
    assert STATUS <= idle.keys()
    assert (idle["started"], idle["progress"], idle["required"], idle["otp_length"]) == (False, 0, 2, 28)

    started = client.sys.start_root_token_generation()
    nonce, otp = started["nonce"], started["otp"]
    assert started["started"] is True and len(otp) == started["otp_length"]
    assert client.sys.read_root_generation_progress()["otp"] == ""
    first = client.sys.generate_root(shared.keys[0], nonce)
    assert (first["progress"], first["complete"], first["encoded_root_token"]) == (1, False, "")
    last = client.sys.generate_root(shared.keys[2], nonce)
    assert (last["progress"], last["complete"], last["nonce"]) == (2, True, nonce)
    assert last["encoded_token"] == last["encoded_root_token"]

    token = decoded(last["encoded_token"], otp)
    found = shared.client(token).auth.token.lookup_self()["data"]
    assert (found["policies"], found["ttl"], found["path"]) == (["root"], 0, "auth/token/root")
    assert shared.client("").sys.read_root_generation_progress()["started"] is False
    shared.client(token).auth.token.revoke_self()


def test_a_password_of_ones_own(shared):
    """It must be as long as the token, or part of the token would be in the clear."""
    client = shared.client("")
    for otp in ("short", "x" * 27, "x" * 29):
        with refused(exceptions.InvalidRequest, "incorrect length"):
            client.sys.start_root_token_generation(otp=otp)
    otp = "0123456789abcdefghijklmnopqr"
    started = client.sys.start_root_token_generation(otp=otp)
    assert started["otp"] == ""
    for key in shared.keys[:2]:
        last = client.sys.generate_root(key, started["nonce"])
    assert shared.client(decoded(last["encoded_token"], otp)).is_authenticated()


def test_pgp_is_refused(shared):
    """Nobody is to think that the token was encrypted."""
    with refused(exceptions.InvalidRequest, "pgp_key"):
        shared.client("").sys.start_root_token_generation(pgp_key="AAAA")


def test_wrong_steps(shared):
    """Another nonce, the same share twice, a second start, garbage; the progress stays."""
    client = shared.client("")
    with refused(exceptions.InvalidRequest, "no root generation in progress"):
        client.sys.generate_root(shared.keys[0], "x")
    nonce = client.sys.start_root_token_generation()["nonce"]
    with refused(exceptions.InvalidRequest, "already in progress"):
        client.sys.start_root_token_generation()
    client.sys.generate_root(shared.keys[0], nonce)
    with refused(exceptions.InvalidRequest, "incorrect nonce"):
        client.sys.generate_root(shared.keys[1], "x")
    with refused(exceptions.InvalidRequest, "already been provided"):
        client.sys.generate_root(shared.keys[0], nonce)
    with refused(exceptions.InvalidRequest):
        client.sys.generate_root("garbage!", nonce)
    assert client.sys.read_root_generation_progress()["progress"] == 1
    assert status_of(client.sys.cancel_root_generation()) == 204
    assert client.sys.read_root_generation_progress()["started"] is False


def test_wrong_shares_give_no_token(shared):
    """All are forgotten; the right ones still work."""
    client = shared.client("")
    started = client.sys.start_root_token_generation()
    nonce = started["nonce"]
    false = "AA" + shared.keys[1][2:] if shared.keys[1][:2] != "AA" else "BB" + shared.keys[1][2:]
    client.sys.generate_root(shared.keys[0], nonce)
    with refused(exceptions.InvalidRequest):
        client.sys.generate_root(false, nonce)
    assert client.sys.read_root_generation_progress()["progress"] == 0
    for key in shared.keys[1:]:
        last = client.sys.generate_root(key, nonce)
    assert shared.client(decoded(last["encoded_token"], started["otp"])).is_authenticated()


def test_sealing_ends_it(shared):
    """A ceremony lives in memory."""
    client = shared.client("")
    nonce = client.sys.start_root_token_generation()["nonce"]
    client.sys.generate_root(shared.keys[0], nonce)
    shared.client().sys.seal()
    shared.unseal()
    assert client.sys.read_root_generation_progress()["started"] is False


def test_newer_spelling_needs_a_token_and_has_an_envelope(shared):
    """`sys/generate-root-token/…`, and the server that decodes."""
    path = "sys/generate-root-token"
    assert shared.call("PUT", f"{path}/attempt", token="").status == 403
    started = shared.call("PUT", f"{path}/attempt", {}).json["data"]
    for key in shared.keys[:2]:
        reply = shared.call("PUT", f"{path}/update", {"key": key, "nonce": started["nonce"]})
    last = reply.json["data"]
    assert last["complete"] is True and reply.json["auth"] is None
    token = decoded(last["encoded_token"], started["otp"])
    assert token not in reply.body.decode()
    asked = {"encoded_token": last["encoded_token"], "otp": started["otp"]}
    assert shared.call("POST", "sys/decode-token", asked).json["data"] == {"token": token}
    assert shared.call("POST", "sys/decode-token", asked | {"otp": "x"}).status == 400
    assert shared.client(token).is_authenticated()


def test_wrapped_answers(shared):
    """The newer spelling can be wrapped; the old one, whose answers have no envelope, is refused and does nothing."""
    wrap = {"X-Vault-Wrap-TTL": "60"}
    assert shared.call("PUT", "sys/generate-root/attempt", {}, headers=wrap).status == 400
    assert shared.client("").sys.read_root_generation_progress()["started"] is False
    wrapped = shared.call("PUT", "sys/generate-root-token/attempt", {}, headers=wrap).json["wrap_info"]["token"]
    unwrapped = shared.client().sys.unwrap(wrapped)["data"]
    assert unwrapped["started"] is True and len(unwrapped["otp"]) == 28


def test_the_audit_log_names_the_token(shared, tmp_path):
    """By accessor and hash, never in the clear, nor what it can be made of."""
    log = tmp_path / "audit.log"
    shared.client().sys.enable_audit_device("file", options={"file_path": str(log)}, path="file")
    client = shared.client("")
    started = client.sys.start_root_token_generation()
    for key in shared.keys[:2]:
        last = client.sys.generate_root(key, started["nonce"])
    token = decoded(last["encoded_token"], started["otp"])
    accessor = shared.client(token).auth.token.lookup_self()["data"]["accessor"]
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    told = [entry["response"]["auth"] for entry in entries
            if entry["type"] == "response" and entry["request"]["path"] == "sys/generate-root/update"
            and entry["response"].get("auth")]
    assert len(told) == 1 and told[0]["policies"] == ["root"]
    assert told[0]["accessor"].startswith("hmac-sha256:") or told[0]["accessor"] == accessor
    text = log.read_text()
    assert not [secret for secret in (token, started["otp"], last["encoded_token"], *shared.keys) if secret in text]


@pytest.fixture
def guarded(tmp_path):
    """A server whose ceremonies need a token."""
    process = harness.configured_server(tmp_path, more="[seal]\nopen_ceremonies = false\n")
    yield process
    process.stop()


def test_ceremonies_can_be_closed_to_strangers(guarded):
    """Then they need a token whose policies allow the path, and the shares as ever."""
    guarded.initialise(2, 2)
    stranger = guarded.client("")
    for attempt in (stranger.sys.start_root_token_generation, stranger.sys.read_rekey_progress,
                    stranger.sys.cancel_rekey, lambda: stranger.sys.generate_root(guarded.keys[0], "x")):
        with refused(exceptions.Forbidden, "permission denied"):
            attempt()
    root = guarded.client()
    nobody = guarded.client(root.auth.token.create(policies=["default"])["auth"]["client_token"])
    with refused(exceptions.Forbidden):
        nobody.sys.start_root_token_generation()
    root.sys.create_or_update_acl_policy("keys", 'path "sys/generate-root/*" { capabilities = ["read", "update"] }')
    holder = guarded.client(root.auth.token.create(policies=["keys"])["auth"]["client_token"])
    started = holder.sys.start_root_token_generation()
    for key in guarded.keys:
        last = holder.sys.generate_root(key, started["nonce"])
    assert guarded.client(decoded(last["encoded_token"], started["otp"])).is_authenticated()
