"""External groups, filled by what a provider claims at logins, and a server that trusts its own identity tokens."""

import pytest
from hvac import exceptions

from provider import Provider
from support import refused, unique


@pytest.fixture
def mount(client):
    """The path of a JWT auth method."""
    path = unique("jwt")
    client.sys.enable_auth_method("jwt", path=path)
    yield path
    client.sys.disable_auth_method(path)


@pytest.fixture
def provider():
    """An identity provider on loopback."""
    made = Provider()
    yield made
    made.stop()


def write_role(client, mount, **fields):
    """The role `ci` with what every role needs."""
    usual = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keyturn"], "allowed_redirect_uris": []}
    client.auth.jwt.create_role("ci", path=mount, **(usual | fields))


def test_claimed_groups(server, client, identity, group, mount, provider):
    """A login enters the groups that it claims and leaves those that it no longer does; policies follow at once."""
    client.auth.jwt.configure(jwks_url=f"{provider.url}/keys", bound_issuer=provider.url, path=mount)
    write_role(client, mount, groups_claim="groups")
    accessor = client.sys.list_auth_methods()[f"{mount}/"]["accessor"]
    ids = {}
    for name in ("dev", "ops"):
        ids[name] = group(group_type="external", policies=f"of-{name}")
        identity.create_or_update_group_alias(name, mount_accessor=accessor, canonical_id=ids[name])
    inner = group(policies="everybody")
    identity.update_group(inner, identity.read_group(inner)["data"]["name"], member_group_ids=[ids["dev"]])

    def login(*groups):
        token = provider.sign(aud="keyturn", groups=list(groups))
        return server.client("").auth.jwt.jwt_login("ci", token, path=mount)["auth"]

    first = login("dev", "unknown")
    assert first["identity_policies"] == ["everybody", "of-dev"]
    assert identity.read_group(ids["dev"])["data"]["member_entity_ids"] == [first["entity_id"]]
    second = login("ops")
    assert (second["entity_id"], second["identity_policies"]) == (first["entity_id"], ["of-ops"])
    found = client.auth.token.lookup(first["client_token"])["data"]
    assert found["identity_policies"] == ["of-ops"]
    assert identity.read_group(ids["dev"])["data"]["member_entity_ids"] == []
    assert "identity_policies" not in login("unknown")
    identity.delete_entity(first["entity_id"])


def test_a_server_trusts_its_own_identity_tokens(server, client, identity, mount, userpass, policy):
    """What one Keyturn issues, the JWT method of another believes; here both are the same."""
    grants = policy('path "identity/oidc/token/*" { capabilities = ["read"] }')
    client.auth.userpass.create_or_update_user("ann", password="pw", policies=grants, mount_point=userpass)
    auth = server.client("").auth.userpass.login("ann", "pw", mount_point=userpass)["auth"]
    key, role = unique("key"), unique("role")
    identity.create_named_key(key, algorithm="ES256", allowed_client_ids=["keyturn"])
    identity.create_or_update_role(role, key, client_id="keyturn")
    token = server.client(auth["client_token"]).secrets.identity.generate_signed_id_token(role)["data"]["token"]

    issuer = f"{server.address}/v1/identity/oidc"
    client.auth.jwt.configure(oidc_discovery_url=issuer, bound_issuer=issuer, path=mount)
    write_role(client, mount)
    logged_in = server.client("").auth.jwt.jwt_login("ci", token, path=mount)["auth"]
    alias = identity.read_entity(logged_in["entity_id"])["data"]["aliases"][0]
    assert alias["name"] == auth["entity_id"]
    with refused(exceptions.InvalidRequest):
        server.client("").auth.jwt.jwt_login("ci", token[:-4] + "AAAA", path=mount)
    identity.delete_role(role)
    identity.delete_named_key(key)
    for entity_id in (auth["entity_id"], logged_in["entity_id"]):
        identity.delete_entity(entity_id)
