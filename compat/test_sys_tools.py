"""`/v1/sys/tools`: random bytes and hashes."""

import base64
import hashlib

import pytest
from hvac import exceptions

from support import refused


def _b64(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("path, length", [
    ("random", 32), ("random/7", 7), ("random/platform", 32), ("random/platform/7", 7), ("random/all/1", 1),
])
def test_random_bytes(client, path, length):
    """The number may stand in the path, behind a source."""
    made = [client.write_data(f"sys/tools/{path}", data={})["data"]["random_bytes"] for _ in range(3)]
    assert all(len(base64.b64decode(one)) == length for one in made)
    assert length < 4 or len(set(made)) == 3


def test_random_formats(client):
    """Base64 unless hex is asked for; parameters in the body."""
    made = client.write_data("sys/tools/random", data={"bytes": 5, "format": "hex"})["data"]["random_bytes"]
    assert len(bytes.fromhex(made)) == 5
    made = client.write_data("sys/tools/random", data={"bytes": "131072"})["data"]["random_bytes"]
    assert len(base64.b64decode(made)) == 131072
    warned = client.write_data("sys/tools/random/seal/4", data={})
    assert "entropy" in warned["warnings"][0]


@pytest.mark.parametrize("path, body", [
    ("random/0", {}), ("random/131073", {}), ("random", {"bytes": -1}), ("random", {"bytes": 10**30}),
    ("random/99999999999999999999999", {}), ("random/x", {}), ("random/moon/4", {}), ("random/platform/x", {}),
    ("random/4", {"format": "octal"}), ("random", {"bytes": "many"}),
])
def test_random_out_of_bounds(server, path, body):
    """Nothing is made of what cannot be, however large it is."""
    assert server.call("POST", f"sys/tools/{path}", body=body).status == 400


@pytest.mark.parametrize("name, python", [
    ("sha2-224", "sha224"), ("sha2-256", "sha256"), ("sha2-384", "sha384"), ("sha2-512", "sha512"),
    ("sha3-256", "sha3_256"), ("sha3-384", "sha3_384"), ("sha3-512", "sha3_512"),
])
def test_hashes(client, name, python):
    """As Python has them."""
    expected = hashlib.new(python, b"input")
    for path, body in ((f"hash/{name}", {}), ("hash", {"algorithm": name})):
        told = client.write_data(f"sys/tools/{path}", data={"input": _b64(b"input"), **body})
        assert told["data"]["sum"] == expected.hexdigest()
    told = client.write_data(f"sys/tools/hash/{name}", data={"input": _b64(b"input"), "format": "base64"})
    assert told["data"]["sum"] == _b64(expected.digest())


def test_hash_defaults_and_refusals(client):
    """SHA-256 in hex; the input is base64."""
    told = client.write_data("sys/tools/hash", data={"input": ""})
    assert told["data"]["sum"] == hashlib.sha256(b"").hexdigest()
    for path, body in (("hash/md5", {"input": ""}), ("hash", {"input": "!"}), ("hash", {"input": "", "format": "x"})):
        with refused(exceptions.InvalidRequest):
            client.write_data(f"sys/tools/{path}", data=body)


def test_a_path_is_a_permission(limited):
    """So many bytes of this source and no others."""
    some = limited('path "sys/tools/random/platform/16" { capabilities = ["update"] }')
    assert some.write_data("sys/tools/random/platform/16", data={})["data"]["random_bytes"]
    for path in ("random", "random/16", "random/platform/32", "random/platform/016"):
        with refused(exceptions.Forbidden):
            some.write_data(f"sys/tools/{path}", data={})
