"""Hostile and broken requests: each gets a 4xx that says what is wrong, and nothing has changed afterwards."""

import json
import socket
from urllib.parse import urlsplit

import pytest

import wire

MIB = 1024 * 1024
BODY_LIMIT = 32 * MIB


@pytest.fixture
def before(server, kv1, kv2):
    """Two mounts with one secret each; afterwards exactly these must be there."""
    server.call("POST", f"{kv1}/app", body={"v": "1"})
    server.call("POST", f"{kv2}/data/app", body={"data": {"v": "1"}})
    yield kv1, kv2
    assert server.call("LIST", kv1).json["data"]["keys"] == ["app"]
    assert server.call("LIST", f"{kv2}/metadata").json["data"]["keys"] == ["app"]
    assert server.call("GET", f"{kv1}/app").json["data"] == {"v": "1"}
    read = server.call("GET", f"{kv2}/data/app").json["data"]
    assert (read["data"], read["metadata"]["version"]) == ({"v": "1"}, 1)


def _is_refused(reply, *statuses):
    assert reply.status in statuses, (reply.status, reply.body[:300])
    assert isinstance(reply.errors, list)
    return True


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [
    b'{"data": {"v": "2"', b"{", b'{"data": }', b"nonsense", b'"text"', b"[1, 2]", b"7", b"true",
    b'{"v": "a\x00b"}', b"{'data': {}}",
], ids=["truncated", "brace", "no value", "word", "text", "list", "number", "bool", "nul", "quotes"])
def test_broken_json(server, before, body):
    """400 for what is no JSON object, on both kinds of mount."""
    kv1, kv2 = before
    for path in (f"{kv1}/app", f"{kv2}/data/app", "auth/token/create", "sys/mounts/x"):
        assert _is_refused(server.call("POST", path, body=body), 400), path


def test_trailing_garbage(server, before):
    """A second document after the first is not silently ignored, nor taken."""
    kv1, _ = before
    reply = server.call("POST", f"{kv1}/app", body=b'{"v": "1"} {"v": "2"}')
    assert reply.status in (204, 400)


@pytest.mark.parametrize("path, body", [
    ("auth/token/create", {"policies": {"a": "b"}}),
    ("auth/token/create", {"ttl": {"a": "b"}}),
    ("auth/token/create", {"num_uses": "many"}),
    ("auth/token/create", {"num_uses": -1}),
    ("auth/token/create", {"meta": "text"}),
    ("auth/token/create", {"type": "strange"}),
    ("sys/mounts/typed", {"type": 7.5}),
    ("sys/mounts/typed", {"type": "kv", "options": "text"}),
    ("sys/mounts/typed", {"type": "kv", "config": {"default_lease_ttl": "soon"}}),
    ("sys/policies/acl/typed", {"policy": {"a": "b"}}),
    ("sys/remount", {"from": ["a"], "to": {}}),
    ("sys/capabilities-self", {"paths": {"a": "b"}}),
], ids=lambda value: value if isinstance(value, str) else json.dumps(value))
def test_wrong_types(server, before, path, body):
    """A field of the wrong type is refused by name, and makes nothing."""
    assert _is_refused(server.call("POST", path, body=body), 400)
    assert "typed/" not in server.call("GET", "sys/mounts").json["data"]
    assert server.call("GET", "sys/policies/acl/typed").status == 404


def test_huge_body(server, before):
    """413 above the limit, whether the length is announced or not; the server goes on."""
    kv1, _ = before
    body = b'{"v": "' + b"x" * (BODY_LIMIT + 1) + b'"}'
    try:
        reply = server.call("POST", f"{kv1}/huge", body=body)
    except (BrokenPipeError, ConnectionResetError):
        # Refused before all of it was sent, which is as good.
        return
    assert _is_refused(reply, 413)


@pytest.mark.keyturn
def test_announced_length_is_not_trusted(server, before):
    """A length beyond the limit is refused without waiting for the body."""
    kv1, _ = before
    head = (f"POST /v1/{kv1}/huge HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {server.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {64 * 1024 * MIB}\r\nConnection: close\r\n\r\n{{")
    host = urlsplit(server.address)
    with socket.create_connection((host.hostname, host.port), timeout=wire.TIMEOUT_SECONDS) as connection:
        connection.sendall(head.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_deep_json(server, before, opening, closing):
    """Nesting beyond all reason is refused, not recursed into."""
    kv1, kv2 = before
    deep = opening * 20_000 + b"1" + closing * 20_000
    assert _is_refused(server.call("POST", f"{kv1}/deep", body=b'{"v": ' + deep + b"}"), 400, 413)
    assert _is_refused(server.call("POST", f"{kv2}/data/deep", body=b'{"data": {"v": ' + deep + b"}}"), 400, 413)


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "..", "../x", "a/../../x", "a/..", "%2e%2e", "%2E%2E/x", "a%2f..%2fx", "..%2fx",
], ids=lambda name: name.replace("/", "|"))
def test_path_traversal(server, before, name):
    """No `..`, in clear or encoded, reaches anything outside the mount."""
    kv1, kv2 = before
    for method in ("GET", "POST"):
        for mount in (kv1, f"{kv2}/data"):
            reply = server.call(method, f"{mount}/{name}", body={"data": {"v": "2"}} if method == "POST" else None)
            assert 300 <= reply.status < 500, (method, mount, reply)


@pytest.mark.parametrize("name", [
    "a%00b", "%00", "a%0ab", "a%0d%0ab", "a%7fb", "%ff%fe", "a%c3%28b", "%zz", "a%",
], ids=lambda name: name.replace("%", "x"))
def test_bytes_that_are_no_name(server, before, name):
    """NUL, control characters, invalid UTF-8 and broken escapes are refused."""
    kv1, kv2 = before
    for path in (f"{kv1}/{name}", f"{kv2}/data/{name}"):
        reply = server.call("POST", path, body={"data": {"v": "2"}})
        assert 400 <= reply.status < 500, (path, reply)


@pytest.mark.keyturn
def test_refusals_of_bad_paths_explain_themselves(server, before):
    """In JSON, with a message."""
    kv1, _ = before
    for name in ("..", "a/../b", "%2e%2e/x", "a%00b", "%ff", "a%0ab"):
        reply = server.call("POST", f"{kv1}/{name}", body={"v": "2"})
        assert _is_refused(reply, 400) and reply.errors, name


def test_a_write_to_a_folder(server, before):
    """A name does not end in a slash."""
    kv1, _ = before
    reply = server.call("POST", f"{kv1}/app/", body={"v": "2"})
    assert _is_refused(reply, 400)
    assert "cannot write to a path ending in '/'" in reply.errors[0]


@pytest.mark.keyturn
def test_over_long_names(server, before):
    """A name longer than the storage can hold is refused with its bound."""
    kv1, kv2 = before
    for path in (f"{kv1}/{'x' * 5000}", f"{kv2}/data/{'x' * 5000}", f"sys/policies/acl/{'x' * 5000}",
                 f"sys/mounts/{'x' * 5000}"):
        reply = server.call("POST", path, body={"data": {"v": "2"}, "policy": "", "type": "kv"})
        assert _is_refused(reply, 400, 414) and reply.errors, path[:40]


def test_over_long_url(server, before):
    """A request line beyond what a server buffers."""
    kv1, _ = before
    try:
        reply = server.call("GET", f"{kv1}/{'x' * 3 * MIB}")
    except (BrokenPipeError, ConnectionResetError):
        return
    assert 400 <= reply.status < 500


@pytest.mark.keyturn
def test_over_long_headers(server, before):
    """Neither one long header nor very many are buffered without end."""
    for headers in ({"X-Long": "x" * MIB}, {f"X-Many-{number}": "x" for number in range(5000)}):
        try:
            assert 400 <= server.call("GET", "sys/health", headers=headers).status < 500
        except (BrokenPipeError, ConnectionResetError):
            pass


@pytest.mark.parametrize("token", ["x" * 100_000, "hvs.", "hvb.", "hvb." + "A" * 2000, "hvs." + "/" * 20, "..", "s.", "\x7f"],
                         ids=["long", "bare hvs", "bare hvb", "false batch", "slashes", "dots", "bare s", "control"])
def test_strange_tokens(server, before, token):
    """A token that cannot be one is refused as any wrong token."""
    reply = server.call("GET", "auth/token/lookup-self", token=token)
    assert 400 <= reply.status < 500


# --- verbs, queries, protocol ---------------------------------------------------------------------------------------


def test_numbers_in_queries(server, before):
    """A version that is no number is refused."""
    _, kv2 = before
    for version in ("one", "1.5", "99999999999999999999"):
        assert _is_refused(server.call("GET", f"{kv2}/data/app?version={version}"), 400), version


def test_versions_that_are_no_numbers(server, before):
    """Neither text nor objects name versions, and a wrong one spoils the whole request."""
    _, kv2 = before
    for versions in ("one", ["one"], {"a": 1}, [1, "x"]):
        for verb in ("delete", "destroy"):
            reply = server.call("POST", f"{kv2}/{verb}/app", body={"versions": versions})
            assert _is_refused(reply, 400), (verb, versions)


def test_check_and_set_that_is_no_number(server, before):
    """The condition must be understood, or the write is not made."""
    _, kv2 = before
    for cas in ("one", {"a": 1}, [1]):
        reply = server.call("POST", f"{kv2}/data/app", body={"data": {"v": "2"}, "options": {"cas": cas}})
        assert _is_refused(reply, 400), cas


@pytest.mark.parametrize("request_bytes", [
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/sys/init HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
], ids=["no path", "version", "tls", "negative length", "smuggling"])
def test_broken_http(server, before, request_bytes):
    """Whatever comes in: an error or a closed connection, and the next caller is served."""
    answer = wire.send_bytes(server.address, request_bytes)
    assert answer == b"" or answer.split(b" ")[1].startswith(b"4") or answer.split(b" ")[1] == b"505"
    assert server.call("GET", "sys/health").status == 200


def test_errors_hold_no_secret(server, before):
    """What was sent in a refused request is not thrown back."""
    kv1, kv2 = before
    canary = "canary-9f8e7d6c5b4a"
    for path, body in [
        (f"{kv1}/app/", {"v": canary}),
        (f"{kv2}/data/app", {"data": canary}),
        (f"{kv2}/data/app", {"data": {"v": canary}, "options": {"cas": 99}}),
        ("auth/token/lookup", {"token": canary}),
        (f"{kv1}/app", b'{"v": "' + canary.encode() + b'"'),
    ]:
        reply = server.call("POST", path, body=body)
        assert 400 <= reply.status < 500, path
        assert canary.encode() not in reply.body, path
