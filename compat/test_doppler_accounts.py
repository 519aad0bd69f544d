"""Service accounts and roles: tokens of the store with policies below."""

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

ACCOUNTS = "workplace/service_accounts"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


def policy(client, text):
    """A new policy."""
    name = unique("role")
    client.sys.create_or_update_policy(name, text)
    return name


def test_an_account_and_its_tokens(doppler, client):
    """A role is a policy; changing it changes what tokens that are out may do; the account's end is theirs."""
    app = doppler.project("dev")
    reads = policy(client, f'path "secret/metadata/{app}/*" {{ capabilities = ["read", "list"] }}')
    made = doppler.ok("POST", ACCOUNTS, body={"name": "ci", "workplace_role": {"identifier": reads}})["service_account"]
    assert made["name"] == "ci" and made["workplace_role"]["identifier"] == reads
    one = f"{ACCOUNTS}/service_account/{made['slug']}"
    token = doppler.ok("POST", f"{one}/tokens", body={"name": "deploy"})
    assert token["api_key"].startswith("dp.sa.") and token["api_token"]["expires_at"] is None
    own = doppler.as_token(token["api_key"])
    which = {"project": app, "config": "dev"}
    assert own.ok("GET", "configs/config", which)["config"]["name"] == "dev"
    assert own.ok("GET", "me")["type"] == "service_account"
    assert doppler.ok("PATCH", one, body={"workplace_role": {"identifier": "no_access"}})["service_account"]
    own.refused(403, "GET", "configs/config", which)
    listed = doppler.ok("GET", f"{one}/tokens")["api_tokens"]
    assert [t["slug"] for t in listed] == [token["api_token"]["slug"]] and "api_key" not in listed[0]
    second = doppler.ok("POST", f"{one}/tokens", body={"name": "x", "expires_at": "2099-01-01T00:00:00Z"})
    assert doppler.call("DELETE", f"{one}/tokens/token/{second['api_token']['slug']}").status == 204
    doppler.as_token(second["api_key"]).refused(401, "GET", "me")
    text = doppler.refused(404, "GET", f"{one}/tokens/token/{second['api_token']['slug']}")
    assert text == "Service account API token does not exist"
    assert doppler.call("DELETE", one).status == 204
    own.refused(401, "GET", "me")
    doppler.refused(404, "GET", one)


def test_nobody_gives_what_is_not_theirs(doppler, client):
    """Without sudo an account gets only its maker's policies, and only they make tokens for it."""
    strong = policy(client, 'path "secret/*" { capabilities = ["read", "list"] }')
    manager = policy(client, 'path "sys/doppler/service-accounts" { capabilities = ["create", "read", "update", "delete", "list"] }')
    weak = doppler.as_token(client.auth.token.create(policies=[manager])["auth"]["client_token"])
    weak.refused(403, "POST", ACCOUNTS, body={"name": "x", "workplace_role": {"identifier": strong}})
    weak.ok("POST", ACCOUNTS, body={"name": "x", "workplace_role": {"identifier": manager}})
    account = doppler.ok("POST", ACCOUNTS, body={"name": "y", "workplace_role": {"identifier": strong}})["service_account"]
    one = f"{ACCOUNTS}/service_account/{account['slug']}"
    weak.refused(403, "POST", f"{one}/tokens", body={"name": "x"})
    weak.refused(403, "PATCH", one, body={"workplace_role": {"identifier": strong}})
    for role in ({"identifier": "root"}, {"identifier": unique("nothing")}, {"permissions": ["team"]}, {"identifier": "config-scope:read:secret/a/b"}):
        doppler.refused(400, "POST", ACCOUNTS, body={"name": "z", "workplace_role": role})


def test_roles_are_policies(doppler, client):
    """Listed and read by their names."""
    name = policy(client, 'path "secret/data/x" { capabilities = ["read"] }')
    for kind in ("workplace", "projects"):
        roles = doppler.ok("GET", f"{kind}/roles")["roles"]
        assert name in [role["identifier"] for role in roles]
        assert doppler.ok("GET", f"{kind}/roles/role/{name}")["role"]["permissions"] == []
        doppler.refused(404, "GET", f"{kind}/roles/role/{unique('nothing')}")
        assert doppler.ok("GET", f"{kind}/permissions")["permissions"] == []
