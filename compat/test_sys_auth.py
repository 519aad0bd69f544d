"""`/v1/sys/auth`, through hvac."""

import pytest
from hvac import exceptions

from support import refused, status_of, unique


def test_list(client):
    """Every method, under `data` and at the top level alike; `token/` is always there."""
    answer = client.sys.list_auth_methods()
    token = answer["data"]["token/"]
    assert answer["token/"] == token
    assert token["type"] == "token"
    assert token["accessor"].startswith("auth_token_")
    assert {"description", "uuid", "local", "options", "config", "seal_wrap"} <= token.keys()


@pytest.mark.parametrize("kind", ["approle", "userpass"])
def test_enable_and_disable(client, kind):
    """Each method at any path, and gone again."""
    path = unique(kind)
    assert status_of(client.sys.enable_auth_method(kind, path=path, description="ours")) == 204
    method = client.sys.list_auth_methods()["data"][f"{path}/"]
    assert (method["type"], method["description"]) == (kind, "ours")
    assert method["accessor"].startswith(f"auth_{kind}_")
    assert status_of(client.sys.disable_auth_method(path)) == 204
    assert f"{path}/" not in client.sys.list_auth_methods()["data"]


def test_enable_refusals(client, approle):
    """A path in use, and an unknown type."""
    with refused(exceptions.InvalidRequest, "path is already in use at"):
        client.sys.enable_auth_method("userpass", path=approle)
    with refused(exceptions.InvalidRequest):
        client.sys.enable_auth_method("nonsense", path=unique("x"))


def test_the_token_method_stays(client):
    """Without it no one could do anything."""
    with refused(exceptions.InvalidRequest):
        client.sys.disable_auth_method("token")
    assert client.is_authenticated()


def test_tune(client, approle):
    """What is written is read back."""
    answer = client.sys.tune_auth_method(
        approle, default_lease_ttl="3600s", max_lease_ttl="8600s", description="tuned",
        audit_non_hmac_request_keys=["a"], listing_visibility="unauth", passthrough_request_headers=["X-Custom"])
    assert status_of(answer) == 204
    read = client.sys.read_auth_method_tuning(approle)["data"]
    assert (read["default_lease_ttl"], read["max_lease_ttl"], read["description"]) == (3600, 8600, "tuned")
    assert (read["audit_non_hmac_request_keys"], read["listing_visibility"]) == (["a"], "unauth")
    assert read["passthrough_request_headers"] == ["X-Custom"]
    assert read["token_type"] == "default-service"


def test_tuning_bounds_the_tokens(server, client, userpass):
    """Tokens of the method live as long as the mount says."""
    client.sys.tune_auth_method(userpass, default_lease_ttl="10m", max_lease_ttl="20m")
    client.auth.userpass.create_or_update_user("ann", password="pw", mount_point=userpass)
    auth = server.client("").auth.userpass.login("ann", "pw", mount_point=userpass)["auth"]
    assert auth["lease_duration"] == 600


def test_tune_refusals(client, approle):
    """A method that is not, and a default above the maximum."""
    with refused(exceptions.InvalidRequest):
        client.sys.read_auth_method_tuning(unique("nowhere"))
    with refused(exceptions.InvalidRequest):
        client.sys.tune_auth_method(approle, default_lease_ttl="2h", max_lease_ttl="1h")


def test_needs_sudo(limited):
    """`create` and `update` are not enough to open a door."""
    some = limited('path "sys/auth/*" { capabilities = ["create", "read", "update", "delete"] }')
    with refused(exceptions.Forbidden, "permission denied"):
        some.sys.enable_auth_method("approle", path=unique("approle"))
