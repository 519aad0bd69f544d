"""What every answer has in common: envelope, headers, verbs, request ids, the ways to send a token."""

import re
import uuid

import pytest

from support import ENVELOPE, unique


@pytest.fixture
def secret(server, kv1):
    """A path that answers 200."""
    server.call("POST", f"{kv1}/app", body={"v": "1"})
    return f"{kv1}/app"


def test_envelope(server, secret):
    """All keys are there, whether they hold something or not."""
    answer = server.call("GET", secret).json
    assert ENVELOPE <= answer.keys()
    assert (answer["wrap_info"], answer["warnings"], answer["auth"]) == (None, None, None)
    created = server.call("POST", "auth/token/create", body={"policies": ["default"]}).json
    assert ENVELOPE <= created.keys() and created["data"] is None
    auth = {"client_token", "accessor", "policies", "token_policies", "metadata", "lease_duration", "renewable",
            "entity_id", "token_type", "orphan", "mfa_requirement"}
    assert auth <= created["auth"].keys()


def test_headers(server, secret):
    """Nothing is to be kept by a cache, and the content type is exactly what clients compare with."""
    for method, path, status in (("GET", secret, 200), ("POST", secret, 204), ("GET", secret + "/none", 404),
                                 ("GET", "nowhere/x", 404), ("GET", "sys/health", 200)):
        reply = server.call(method, path, body={"v": "1"} if method == "POST" else None)
        assert reply.status == status, path
        assert reply.headers["cache-control"] == "no-store", path
        assert reply.headers["content-type"] == "application/json", path


def test_no_content_has_no_content(server, secret):
    """204 means an empty body."""
    reply = server.call("POST", secret, body={"v": "2"})
    assert (reply.status, reply.body) == (204, b"")


def test_request_ids(server, secret):
    """A UUID, and never the same twice."""
    ids = [server.call("GET", secret).json["request_id"] for _ in range(50)]
    assert len(set(ids)) == len(ids)
    assert all(str(uuid.UUID(each)) == each for each in ids)


def test_list_by_verb_and_by_query(server, kv1, secret):
    """LIST, and GET with `list=true`, with and without the slash."""
    expected = server.call("LIST", kv1).json["data"]
    assert expected == {"keys": ["app"]}
    for method, path in (("LIST", f"{kv1}/"), ("GET", f"{kv1}?list=true"), ("GET", f"{kv1}/?list=true"),
                         ("GET", f"{kv1}/?list=1")):
        reply = server.call(method, path)
        assert (reply.status, reply.json["data"]) == (200, expected), (method, path)
    assert server.call("GET", f"{secret}?list=false").json["data"] == {"v": "1"}


def test_ways_to_send_the_token(server, secret):
    """X-Vault-Token, or a bearer; the former goes first."""
    bearer = {"Authorization": f"Bearer {server.token}"}
    assert server.call("GET", secret, token="", headers=bearer).status == 200
    assert server.call("GET", secret, token="", headers={"authorization": f"bearer {server.token}"}).status in (200, 403)
    assert server.call("GET", secret, token="", headers={"Authorization": "Basic eDp5"}).status == 403
    both = {"X-Vault-Token": "hvs.doesnotexist"} | bearer
    assert server.call("GET", secret, token="", headers=both).status == 403


def test_the_clients_request_header_is_welcome(server, secret):
    """Clients send `X-Vault-Request: true` always; it is not demanded of others."""
    assert server.call("GET", secret, headers={"X-Vault-Request": "true"}).status == 200
    assert server.call("GET", secret).status == 200


def test_post_and_put_are_one(server, kv1):
    """Both write."""
    for method in ("POST", "PUT"):
        assert server.call(method, f"{kv1}/{method}", body={"v": "1"}).status == 204
        assert server.call("GET", f"{kv1}/{method}").status == 200


def test_unsupported_verbs(server, kv1):
    """405 for what a path cannot do, and for what no path can."""
    for method, path in (("POST", "sys/mounts"), ("DELETE", "auth/token/create"), ("DELETE", "sys/health"),
                         ("POST", "sys/seal-status"), ("FLY", "sys/mounts")):
        reply = server.call(method, path, body={} if method == "POST" else None)
        assert (reply.status, isinstance(reply.errors, list)) == (405, True), (method, path)


def test_unknown_paths(server):
    """A path that no mount serves names itself; a path that its mount does not know is `unsupported`."""
    for path in ("nowhere/at/all", "auth/nowhere/login"):
        reply = server.call("GET", path)
        assert reply.status == 404, path
        assert f'no handler for route "{path}"' in reply.errors[0]
    for path in ("sys/nowhere", "auth/token/nowhere"):
        reply = server.call("GET", path)
        assert reply.status == 404 and "unsupported path" in reply.errors[0], path


def test_null_is_absent(server, client):
    """Clients send `null` for whatever their caller left out."""
    path = unique("kv")
    body = {"type": "kv", "description": None, "config": None, "options": None, "plugin_name": None, "local": None,
            "seal_wrap": None}
    assert server.call("POST", f"sys/mounts/{path}", body=body).status == 204
    assert server.call("DELETE", f"sys/mounts/{path}").status == 204
    token = {"policies": ["default"], "ttl": None, "meta": None, "num_uses": None, "period": None, "id": None}
    assert server.call("POST", "auth/token/create", body=token).status == 200


def test_form_bodies(server, kv1):
    """A form is taken where it says so, and JSON even if it claims to be a form."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.call("POST", f"{kv1}/form", body=b"user=app&password=p%20w", headers=form).status == 204
    assert server.call("GET", f"{kv1}/form").json["data"] == {"user": "app", "password": "p w"}
    assert server.call("POST", f"{kv1}/json", body=b'{"user": "app"}', headers=form).status == 204
    assert server.call("GET", f"{kv1}/json").json["data"] == {"user": "app"}


def test_numbers_keep_their_digits(server, kv1):
    """A number comes back as it was sent, beyond what a double can hold."""
    server.call("POST", f"{kv1}/numbers", body=b'{"big": 12345678901234567890123, "small": 1.10}')
    text = server.call("GET", f"{kv1}/numbers").body.decode()
    assert re.search(r'"big":\s*12345678901234567890123\b', text)
    assert re.search(r'"small":\s*1\.10?\b', text)


def test_connections_are_kept(server, client, secret):
    """Many requests on one connection, errors among them."""
    for _ in range(20):
        assert client.read(secret)["data"] == {"v": "1"}
        assert client.read(secret + "/none") is None
