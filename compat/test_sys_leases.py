"""`/v1/sys/{leases,renew,revoke,revoke-prefix,revoke-force}`, as far as tokens have leases, through hvac."""

import pytest
from hvac import exceptions

from support import is_refused, refused, status_of, unique, wait_until


@pytest.fixture
def login(server, client, userpass):
    """Logs somebody in whom it makes for it, and returns the token: `login("ann")`."""
    def make(name, **fields):
        client.auth.userpass.create_or_update_user(name, "pw", mount_point=userpass, **fields)
        return server.client("").auth.userpass.login(name, "pw", mount_point=userpass)["auth"]["client_token"]

    return make


@pytest.fixture
def prefix(userpass):
    """Below which the leases of userpass logins are."""
    return f"auth/{userpass}/login"


def _lease_of(client, prefix, name):
    keys = client.sys.list_leases(f"{prefix}/{name}")["data"]["keys"]
    assert len(keys) == 1 and keys[0].startswith("h"), keys
    return f"{prefix}/{name}/{keys[0]}"


def test_lookup(client, login, prefix):
    """All that clients read of a lease."""
    login("ann", token_ttl="1h")
    lease_id = _lease_of(client, prefix, "ann")
    lease = client.sys.read_lease(lease_id)["data"]
    assert (lease["id"], lease["renewable"], lease["last_renewal"]) == (lease_id, True, None)
    assert 3500 < lease["ttl"] <= 3600 and lease["issue_time"] < lease["expire_time"]


def test_renewal_of_the_token_shows(client, login, prefix):
    """The lease is the token's own."""
    token = login("ann", token_ttl="1h")
    lease_id = _lease_of(client, prefix, "ann")
    client.auth.token.renew(token)
    assert client.sys.read_lease(lease_id)["data"]["last_renewal"]


def test_list(client, login, prefix, userpass):
    """Folder by folder, from the top."""
    login("ann")
    login("bob")
    assert client.sys.list_leases(prefix)["data"]["keys"] == ["ann/", "bob/"]
    assert f"{userpass}/" in client.sys.list_leases("auth")["data"]["keys"]
    assert "auth/" in client.list("sys/leases/lookup")["data"]["keys"]
    with refused(exceptions.InvalidPath):
        client.sys.list_leases(unique("nowhere"))


def test_unknown_leases(client, login, prefix):
    """Nothing is told of what is not there; revoking it is no error."""
    login("ann")
    lease_id = _lease_of(client, prefix, "ann")
    for unknown in ("nonsense", f"{prefix}/ann/h" + "0" * 64, lease_id.replace("/ann/", "/bob/"), lease_id + "x",
                    lease_id.rsplit("/", 1)[1]):
        with refused(exceptions.InvalidRequest, "invalid lease"):
            client.sys.read_lease(unknown)
        with refused(exceptions.InvalidRequest, "lease not found"):
            client.sys.renew_lease(unknown)
        assert status_of(client.sys.revoke_lease(unknown)) == 204
    for empty in (client.sys.read_lease, client.sys.renew_lease, client.sys.revoke_lease):
        with refused(exceptions.InvalidRequest, "lease_id must be specified"):
            empty("")
    assert client.sys.read_lease(lease_id)["data"]["id"] == lease_id


@pytest.mark.parametrize("path", ["sys/leases/renew", "sys/renew"])
def test_tokens_are_not_renewed_here(server, client, login, prefix, path):
    """But at `auth/token/renew`."""
    login("ann")
    lease_id = _lease_of(client, prefix, "ann")
    for where, body in ((path, {"lease_id": lease_id}), (f"{path}/{lease_id}", {})):
        reply = server.call("PUT", where, body)
        assert reply.status == 400 and "tokens cannot be renewed through this endpoint" in reply.errors[0]


@pytest.mark.parametrize("path", ["sys/leases/revoke", "sys/revoke"])
@pytest.mark.parametrize("in_path", [True, False])
def test_revoke(server, client, login, prefix, path, in_path):
    """The token is dead, and its children with it, when this answers."""
    token = login("ann", policies="root-like")
    client.sys.create_or_update_acl_policy("root-like", 'path "auth/token/create" { capabilities = ["update"] }')
    child = server.client(token).auth.token.create()["auth"]["client_token"]
    lease_id = _lease_of(client, prefix, "ann")
    reply = server.call("PUT", f"{path}/{lease_id}") if in_path else server.call("PUT", path, {"lease_id": lease_id})
    assert (reply.status, reply.body) == (204, b"")
    assert not server.client(token).is_authenticated() and not server.client(child).is_authenticated()
    with refused(exceptions.InvalidPath):
        client.sys.list_leases(f"{prefix}/ann")
    with refused(exceptions.InvalidRequest, "invalid lease"):
        client.sys.read_lease(lease_id)
    client.sys.delete_acl_policy("root-like")


@pytest.mark.parametrize("path", ["sys/leases/revoke-prefix", "sys/leases/revoke-force", "sys/revoke-prefix",
                                  "sys/revoke-force"])
def test_revoke_prefix(server, client, login, prefix, userpass, path):
    """All tokens that were issued below whole segments of a path, and no others."""
    ann, bob, anna = login("ann"), login("bob"), login("anna")
    assert server.call("PUT", f"{path}/{prefix}/ann").status == 204
    assert [server.client(token).is_authenticated() for token in (ann, bob, anna)] == [False, True, True]
    assert server.call("PUT", f"{path}/auth/{userpass}/log").status == 204
    assert server.client(bob).is_authenticated()
    assert server.call("PUT", f"{path}/auth/{userpass}").status == 204
    assert [server.client(token).is_authenticated() for token in (bob, anna)] == [False, False]
    assert server.client().is_authenticated(), "root has no lease"


def test_hvac_revokes_by_prefix(server, client, login, prefix):
    """hvac repeats the prefix in the body; a whole lease id is a prefix as well."""
    ann, bob = login("ann"), login("bob")
    assert status_of(client.sys.revoke_prefix(_lease_of(client, prefix, "ann"))) == 204
    assert not server.client(ann).is_authenticated() and server.client(bob).is_authenticated()
    assert status_of(client.sys.revoke_force(prefix)) == 204
    assert not server.client(bob).is_authenticated()


def test_sync_is_told_apart(server, client, login, prefix):
    """Who does not want to wait is told 202; it is done all the same."""
    token = login("ann")
    reply = server.call("PUT", f"sys/leases/revoke-prefix/{prefix}", {"sync": False})
    assert reply.status == 202
    wait_until("the token is revoked", lambda: not server.client(token).is_authenticated())


def test_created_tokens_have_leases(server, client):
    """Those that end, that is: not root tokens, not batch tokens."""
    base = "auth/token/create"
    made = client.auth.token.create(policies=["default"], ttl="1h")["auth"]
    before = set(client.sys.list_leases(base)["data"]["keys"])
    client.auth.token.create(policies=["root"])
    client.auth.token.create(policies=["default"], type="batch", ttl="1h")
    assert set(client.sys.list_leases(base)["data"]["keys"]) == before
    other = client.auth.token.create(policies=["default"], ttl="1h")["auth"]
    (key,) = set(client.sys.list_leases(base)["data"]["keys"]) - before
    client.sys.revoke_lease(f"{base}/{key}")
    assert server.client(made["client_token"]).is_authenticated()
    assert not server.client(other["client_token"]).is_authenticated()


def test_gone_with_the_token(client, login, prefix):
    """However that ends."""
    client.auth.token.revoke(login("ann"))
    with refused(exceptions.InvalidPath):
        client.sys.list_leases(f"{prefix}/ann")
    login("bob", token_ttl="1s")
    wait_until("the lease is gone", lambda: is_refused(exceptions.InvalidPath, lambda: client.sys.list_leases(prefix)))


def test_who_may(server, client, limited, login, prefix):
    """Looking up needs the id, which `default` allows; listing and revoking by prefix need sudo."""
    token = login("ann")
    lease_id = _lease_of(client, prefix, "ann")
    plain = server.client(client.auth.token.create(policies=["default"])["auth"]["client_token"])
    assert plain.sys.read_lease(lease_id)["data"]["id"] == lease_id
    with refused(exceptions.Forbidden):
        plain.sys.revoke_lease(lease_id)
    able = limited('path "sys/*" { capabilities = ["create", "read", "update", "list"] }')
    for action in (able.sys.list_leases, able.sys.revoke_prefix, able.sys.revoke_force):
        with refused(exceptions.Forbidden):
            action(prefix)
    assert server.call("PUT", f"sys/revoke-prefix/{prefix}", token=able.token).status == 403
    assert server.client(token).is_authenticated()
    sudo = limited('path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }')
    assert sudo.sys.list_leases(prefix)["data"]["keys"] == ["ann/"]


def test_tidy_and_count(server, client):
    """Tidying starts; no token's lease is ever one that cannot be revoked."""
    reply = server.call("POST", "sys/leases/tidy")
    assert reply.status == 202 and "Tidy operation successfully started" in reply.json["warnings"][0]
    counted = client.read("sys/leases/count?type=irrevocable")["data"]
    assert (counted["lease_count"], counted["counts"]) == (0, {})
    for limit in ("", "&limit=10", "&limit=none"):
        listed = server.call("GET", f"sys/leases?type=irrevocable{limit}").json
        assert listed["data"] == {"lease_count": 0, "leases": []} and listed["warnings"] is None


def test_disabling_an_auth_method_revokes_its_tokens(server, client):
    """By the same index."""
    path = unique("userpass")
    client.sys.enable_auth_method("userpass", path=path)
    client.auth.userpass.create_or_update_user("ann", "pw", mount_point=path)
    token = server.client("").auth.userpass.login("ann", "pw", mount_point=path)["auth"]["client_token"]
    client.sys.disable_auth_method(path)
    assert not server.client(token).is_authenticated()
    assert f"{path}/" not in (client.list("sys/leases/lookup/auth") or {"data": {"keys": []}})["data"]["keys"]
