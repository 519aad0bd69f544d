"""`/v1/sys/locked-users`: who is locked out after failed logins, and letting them in again."""

from hvac import exceptions

from support import refused, status_of


def _fail(server, method, name, times):
    for _ in range(times):
        server.call("POST", f"auth/{method}/login/{name}", body={"password": "wrong"}, token="")


def _accessor(client, method):
    return client.sys.list_auth_methods()["data"][f"{method}/"]["accessor"]


def test_listed_and_unlocked(server, client, userpass):
    """Five failures lock a user, who is listed until somebody unlocks him."""
    client.auth.userpass.create_or_update_user("ann", "secret", mount_point=userpass)
    accessor = _accessor(client, userpass)
    _fail(server, userpass, "ann", 5)
    _fail(server, userpass, "bob", 4)
    with refused(exceptions.Forbidden):
        client.auth.userpass.login("ann", "secret", mount_point=userpass, use_token=False)
    for query in ("", f"?mount_accessor={accessor}"):
        told = client.adapter.get(f"/v1/sys/locked-users{query}")["data"]
        [root] = [one for one in told["by_namespace"] if one["namespace_path"] == ""]
        [mine] = [one for one in root["mount_accessors"] if one["mount_accessor"] == accessor]
        assert (mine["counts"], mine["alias_identifiers"]) == (1, ["ann"])
        assert told["total"] >= 1 and root["namespace_id"] == "root"
    other = client.adapter.get("/v1/sys/locked-users?mount_accessor=auth_none_00000000")["data"]
    assert other["total"] == 0
    assert status_of(client.adapter.post(f"/v1/sys/locked-users/{accessor}/unlock/ANN")) == 204
    assert client.auth.userpass.login("ann", "secret", mount_point=userpass, use_token=False)["auth"]["client_token"]
    assert status_of(client.adapter.post(f"/v1/sys/locked-users/{accessor}/unlock/nobody")) == 204


def test_unlocking_is_a_permission(server, client, limited, userpass):
    """A user cannot unlock itself."""
    accessor = _accessor(client, userpass)
    with refused(exceptions.Forbidden):
        limited('path "other" { capabilities = ["update"] }').adapter.post(
            f"/v1/sys/locked-users/{accessor}/unlock/ann")
    assert server.call("POST", f"sys/locked-users/{accessor}/unlock/ann", token="").status == 403
