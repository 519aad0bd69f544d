"""`/v1/sys/quotas`: rate limits. Each test has a server of its own: a limit on everything would meet its neighbours."""

import json

import pytest
from hvac import exceptions

from support import refused, status_of

# Longer than any test takes: what is counted in one interval is counted once.
LONG = "1h"


@pytest.fixture
def limited_server(own_server):
    """A server with a KV mount, a userpass and an AppRole method."""
    client = own_server.client()
    client.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    client.sys.enable_auth_method("userpass", path="users")
    client.sys.enable_auth_method("approle", path="roles")
    return own_server


def _statuses(server, path, count, method="GET", body=None, token=None):
    return [server.call(method, path, body=body, token=token).status for _ in range(count)]


def test_create_read_list_delete(limited_server):
    """hvac's four methods."""
    client = limited_server.client()
    with refused(exceptions.InvalidPath):
        client.sys.list_quotas()
    assert status_of(client.sys.create_or_update_quota("one", rate=100.5, path="kv/data/*", interval="1m",
                                                       block_interval="5m", rate_limit_type="rate-limit")) == 204
    read = client.sys.read_quota("one")["data"]
    assert read == {"type": "rate-limit", "name": "one", "path": "kv/data/*", "role": "", "rate": 100.5,
                    "interval": 60, "block_interval": 300, "inheritable": False}
    client.sys.create_or_update_quota("two", rate=1000)
    assert client.sys.read_quota("two")["data"]["inheritable"] is True
    assert client.sys.list_quotas()["data"]["keys"] == ["one", "two"]
    assert status_of(client.sys.delete_quota("one")) == 204
    assert client.sys.list_quotas()["data"]["keys"] == ["two"]
    with refused(exceptions.InvalidPath):
        client.sys.read_quota("one")


def test_what_cannot_be_is_refused(limited_server):
    """Rates, paths, roles, and two limits for the same."""
    client = limited_server.client()
    for fragment, arguments in [
        ("'rate' is invalid", {"rate": 0}),
        ("'rate' is invalid", {"rate": -1}),
        ("invalid mount path", {"rate": 1, "path": "nowhere/x"}),
        ("both a path suffix and a role", {"rate": 1, "path": "auth/users/login", "role": "ann"}),
        ("not a valid auth method", {"rate": 1, "path": "kv", "role": "ann"}),
        ("rate-limit", {"rate": 1, "rate_limit_type": "lease-count"}),
    ]:
        with refused(exceptions.InvalidRequest, fragment):
            client.sys.create_or_update_quota("bad", **arguments)
    client.sys.create_or_update_quota("one", rate=1000, path="kv")
    with refused(exceptions.InvalidRequest, "similar properties", "one"):
        client.sys.create_or_update_quota("two", rate=2000, path="kv/")
    for name in ("a b", "x" * 200, "a%2Fb"):
        assert limited_server.call("POST", f"sys/quotas/rate-limit/{name.replace(' ', '%20')}",
                                   body={"rate": 1}).status in (400, 404, 405)


def test_a_mount_is_limited_and_says_so(limited_server):
    """The third request is refused, with the time to wait; hvac has an exception for it."""
    client = limited_server.client()
    client.write("kv/a", v="1")
    client.adapter.post("/v1/sys/quotas/config", json={"enable_rate_limit_response_headers": True})
    client.sys.create_or_update_quota("kv", rate=2, path="kv", interval=LONG)
    first, second, third = (limited_server.call("GET", "kv/a") for _ in range(3))
    assert (first.status, second.status, third.status) == (200, 200, 429)
    told = [(reply.headers["x-ratelimit-limit"], reply.headers["x-ratelimit-remaining"]) for reply in (first, second)]
    assert told == [("2", "1"), ("2", "0")]
    assert "retry-after" not in first.headers
    assert 3500 < int(third.headers["retry-after"]) <= 3600 and 3500 < int(third.headers["x-ratelimit-reset"]) <= 3600
    assert third.errors == ['request path "kv/a": rate limit quota exceeded']
    with refused(exceptions.RateLimitExceeded, "rate limit quota exceeded"):
        client.read("kv/a")
    assert limited_server.call("GET", "sys/mounts").status == 200


def test_headers_only_if_wanted(limited_server):
    """Without the setting, a refusal tells the time to wait and no more."""
    limited_server.client().sys.create_or_update_quota("kv", rate=1, path="kv", interval=LONG)
    first, second = (limited_server.call("GET", "kv/a") for _ in range(2))
    assert second.status == 429 and "retry-after" in second.headers
    assert not [name for reply in (first, second) for name in reply.headers if name.startswith("x-ratelimit")]


def test_it_comes_before_the_token(limited_server):
    """Whoever has no token is counted too, and learns nothing more from being refused."""
    limited_server.client().sys.create_or_update_quota("kv", rate=2, path="kv", interval=LONG)
    assert _statuses(limited_server, "kv/a", 3, token="invented") == [403, 403, 429]
    assert limited_server.call("GET", "kv/a").status == 429


def test_the_most_specific_limit_counts(limited_server):
    """A path before a prefix, a prefix before a mount, a mount before everything."""
    client = limited_server.client()
    for name, rate, path in [("all", 1000, ""), ("mount", 4, "kv"), ("prefix", 3, "kv/app/*"), ("path", 1, "kv/app/db")]:
        client.sys.create_or_update_quota(name, rate=rate, path=path, interval=LONG)
    for path, allowed in [("kv/app/db", 1), ("kv/app/x", 3), ("kv/other", 4), ("sys/mounts", 20)]:
        assert _statuses(limited_server, path, allowed + 1).count(429) == (0 if path == "sys/mounts" else 1), path


def test_other_spellings_are_the_same_path(limited_server):
    """Escapes, slashes, case where it does not matter, and another method: nothing gets around a limit."""
    client = limited_server.client()
    client.sys.create_or_update_quota("path", rate=1, path="kv/app/db", interval=LONG)
    client.sys.create_or_update_quota("login", rate=1, path="auth/users/login/ann", interval=LONG)
    client.sys.create_or_update_quota("policies", rate=1, path="sys/policies/acl/Some", interval=LONG)
    limited_server.call("GET", "kv/app/db")
    for path, method in [("kv/app/db", "GET"), ("kv/app/%64b", "GET"), ("kv/app/db/", "GET"), ("kv/app/db", "DELETE"),
                         ("kv/app/db", "LIST"), ("kv/app/db?x=y", "GET"), ("kv/app/db", "HEAD")]:
        assert limited_server.call(method, path).status == 429, (method, path)
    for path in ("kv//app/db", "kv/./app/db", "kv/x/../app/db", "kv/app/db//"):
        assert limited_server.call("GET", path).status == 400, path
    for path in ("auth/users/login/ann", "auth/users/login/ANN", "auth/users/login/%41nn"):
        expected = 400 if path.endswith("/ann") else 429
        assert limited_server.call("POST", path, body={"password": "x"}, token="").status == expected, path
    limited_server.call("GET", "sys/policies/acl/some")
    for path in ("sys/policies/acl/SOME", "sys/policies/acl/some/", "sys/policies/acl/some%20"):
        assert limited_server.call("GET", path).status == 429, path


def test_a_role_is_limited(limited_server):
    """Logins as one role of AppRole and as one user; others are not touched."""
    client = limited_server.client()
    for role in ("web", "job"):
        client.auth.approle.create_or_update_approle(role, mount_point="roles", bind_secret_id=False,
                                                     secret_id_bound_cidrs=["127.0.0.0/8"])
    ids = {role: client.auth.approle.read_role_id(role, mount_point="roles")["data"]["role_id"] for role in ("web", "job")}
    client.sys.create_or_update_quota("web", rate=1, path="auth/roles", role="web", interval=LONG)
    client.sys.create_or_update_quota("ann", rate=1, path="auth/users", role="Ann", interval=LONG)

    def login(role_id):
        return limited_server.call("POST", "auth/roles/login", body={"role_id": role_id}, token="").status

    assert [login(ids["web"]), login(ids["web"]), login(f" {ids['web']} "), login(ids["job"]), login("?")] == \
        [200, 429, 429, 200, 400]
    for name, expected in (("ann", 400), ("aNN", 429), ("bob", 400)):
        reply = limited_server.call("POST", f"auth/users/login/{name}", body={"password": "x"}, token="")
        assert reply.status == expected, name
    assert client.auth.approle.read_role("web", mount_point="roles")["data"]


def test_block_interval(limited_server):
    """Who reached the limit waits for the longer time."""
    client = limited_server.client()
    client.sys.create_or_update_quota("kv", rate=1, path="kv", interval="1s", block_interval=LONG)
    statuses = _statuses(limited_server, "kv/a", 500)
    blocked = statuses.index(429)
    assert set(statuses[blocked:]) == {429}
    assert int(limited_server.call("GET", "kv/a").headers["retry-after"]) > 3500


def test_a_limit_follows_its_mount_and_goes_with_it(limited_server):
    """A limit is the mount's, wherever that is."""
    client = limited_server.client()
    client.sys.create_or_update_quota("kv", rate=1, path="kv/app", interval=LONG)
    client.sys.move_backend("kv", "moved")
    assert client.sys.read_quota("kv")["data"]["path"] == "moved/app"
    assert _statuses(limited_server, "moved/app", 2) == [404, 429]
    client.sys.disable_secrets_engine("moved")
    with refused(exceptions.InvalidPath):
        client.sys.read_quota("kv")


def test_a_change_starts_anew_and_others_stay(limited_server):
    """A limit that is written again counts from nothing; another is not touched by that."""
    client = limited_server.client()
    client.sys.create_or_update_quota("kv", rate=1, path="kv", interval=LONG)
    client.sys.create_or_update_quota("path", rate=1, path="kv/b", interval=LONG)
    assert _statuses(limited_server, "kv/a", 2) == [404, 429]
    assert _statuses(limited_server, "kv/b", 2) == [404, 429]
    client.sys.create_or_update_quota("kv", rate=2, path="kv", interval=LONG)
    assert _statuses(limited_server, "kv/a", 3) == [404, 404, 429]
    assert _statuses(limited_server, "kv/b", 1) == [429]


def test_limits_survive_a_restart(limited_server):
    """They are kept in the store; what was counted is not."""
    client = limited_server.client()
    client.sys.create_or_update_quota("kv", rate=1, path="kv", interval=LONG)
    assert _statuses(limited_server, "kv/a", 2) == [404, 429]
    limited_server.stop()
    limited_server.start()
    limited_server.unseal()
    assert _statuses(limited_server, "kv/a", 2) == [404, 429]


def test_configuration(limited_server):
    """What is exempt, what is recorded, what is told; what is not given goes back to nothing."""
    client = limited_server.client()
    default = client.read("sys/quotas/config")["data"]
    assert default["enable_rate_limit_audit_logging"] is False
    assert default["enable_rate_limit_response_headers"] is False
    assert {"sys/health", "sys/unseal", "sys/seal-status"} <= set(default["rate_limit_exempt_paths"])
    body = {"rate_limit_exempt_paths": ["/sys/internal/ui/mounts", "kv/free"], "enable_rate_limit_audit_logging": True}
    client.adapter.post("/v1/sys/quotas/config", json=body)
    told = client.read("sys/quotas/config")["data"]
    assert told["rate_limit_exempt_paths"] == ["sys/internal/ui/mounts", "kv/free"]
    assert (told["enable_rate_limit_audit_logging"], told["enable_rate_limit_response_headers"]) == (True, False)
    client.sys.create_or_update_quota("all", rate=2, interval=LONG)
    assert 429 not in _statuses(limited_server, "kv/free", 10) + _statuses(limited_server, "sys/internal/ui/mounts", 10)
    assert _statuses(limited_server, "kv/counted", 3) == [404, 404, 429]
    assert limited_server.call("GET", "sys/health", token="").status == 200


@pytest.mark.keyturn
def test_refusals_in_the_audit_log(limited_server, tmp_path):
    """Recorded if it is wanted, with the token hashed; not otherwise."""
    client, log = limited_server.client(), tmp_path / "audit.log"
    client.sys.enable_audit_device("file", path="file", options={"file_path": str(log)})

    def refusals():
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        return [entry for entry in entries if "rate limit quota exceeded" in entry.get("error", "")]

    client.sys.create_or_update_quota("kv", rate=1, path="kv", interval=LONG)
    assert _statuses(limited_server, "kv/a", 3) == [404, 429, 429] and refusals() == []
    client.adapter.post("/v1/sys/quotas/config", json={"enable_rate_limit_audit_logging": True})
    assert _statuses(limited_server, "kv/a", 1) == [429]
    assert {entry["type"] for entry in refusals()} == {"request", "response"}
    assert limited_server.token not in log.read_text()
