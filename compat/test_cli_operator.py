"""`keyturn operator rekey`, `generate-root`, `rotate`, `key-status`: shares from files and standard input, never argv."""

import json
import re

import pytest

import harness
from support import wait_until

pytestmark = pytest.mark.keyturn

DONE, FAILED, USAGE, NOT_FOUND, DENIED, UNREACHABLE, SEALED = range(7)


@pytest.fixture
def shared(fresh_server):
    """An unsealed server of the test's own with three shares, two of which unseal."""
    fresh_server.initialise(3, 2)
    return fresh_server


def operator(server, *arguments, stdin="", expect=DONE, token=None):
    """Runs an operator verb; returns what it printed."""
    done = harness.run_keyturn(server, "operator", *arguments, stdin=stdin.encode(), token=token)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout.decode() + done.stderr.decode()


def shares_in(text):
    """The shares of a table."""
    return [line.split()[-1] for line in text.splitlines() if line.startswith("unseal share")]


def test_rekey_with_verification(shared, tmp_path):
    """The default: the new shares are given back before they are in force."""
    assert "no" in operator(shared, "rekey", "status", token="")
    started = operator(shared, "rekey", "start", "--shares", "2", "--threshold", "2", token="")
    nonce = re.search(r"nonce\s+(\S+)", started).group(1)
    share = tmp_path / "share"
    share.write_text(shared.keys[0] + "\n")
    text = operator(shared, "rekey", "give", "--share-file", str(share), "--nonce", nonce, token="")
    assert "1 of 2" in text
    made = operator(shared, "rekey", "give", stdin=shared.keys[1], token="")
    assert f"nonce is {nonce}" in made and "not in force yet" in made
    new = shares_in(made)
    assert len(new) == 2
    assert "1 of 2" in operator(shared, "rekey", "verify", stdin=new[0])
    assert "in force" in operator(shared, "rekey", "verify", stdin=new[1])

    operator(shared, "seal")
    for key in shared.keys[:2]:
        last = harness.run_keyturn(shared, "operator", "unseal", stdin=key.encode(), token="")
    assert last.returncode == FAILED
    for key in new:
        operator(shared, "unseal", stdin=key, token="")
    wait_until("active", lambda: shared.answers() == 200)


def test_rekey_without_verification_and_cancelled(shared):
    """A share for another operation is refused; a cancelled one leaves the shares as they were."""
    operator(shared, "rekey", "start", "--shares", "1", "--threshold", "1", "--no-verification")
    assert "nonce" in operator(shared, "rekey", "give", "--nonce", "x", stdin=shared.keys[0], expect=FAILED)
    assert "as they were" in operator(shared, "rekey", "cancel")
    operator(shared, "rekey", "give", stdin=shared.keys[0], expect=USAGE)
    operator(shared, "generate-root", "give", stdin=shared.keys[0], expect=USAGE)
    operator(shared, "rekey", "start", "--shares", "1", "--threshold", "1", "--no-verification")
    for key in shared.keys[:2]:
        made = operator(shared, "rekey", "give", "--format", "json", stdin=key)
    keys = json.loads(made[:made.rindex("}") + 1])["keys_base64"]
    assert len(keys) == 1 and shared.client("").sys.read_seal_status()["n"] == 1


def test_generate_root(shared):
    """Start, give, decode: a root token, with the password from standard input."""
    started = operator(shared, "generate-root", "start", token="")
    otp = re.search(r"one-time password\s+(\S+)", started).group(1)
    for key in shared.keys[:2]:
        given = operator(shared, "generate-root", "give", stdin=key, token="")
    encoded = re.search(r"encoded token\s+(\S+)", given).group(1)
    token = operator(shared, "generate-root", "decode", encoded, stdin=otp).strip()
    assert shared.client(token).auth.token.lookup_self()["data"]["policies"] == ["root"]
    operator(shared, "generate-root", "decode", encoded, stdin="short", expect=USAGE)
    assert "no" in operator(shared, "generate-root", "status")
    operator(shared, "generate-root", "cancel")


def test_data_keys(shared):
    """A rotation begins a term."""
    assert re.search(r"term\s+1\b", operator(shared, "key-status"))
    operator(shared, "rotate")
    assert json.loads(operator(shared, "key-status", "--format", "json"))["term"] == 2
    operator(shared, "rotate", token="", expect=DENIED)
