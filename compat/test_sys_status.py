"""What clients ask of `/v1/sys` to know whom they talk to: versions, replication, plugins, the API's own description."""

import pytest
from hvac import exceptions

from support import refused, unique


def test_version_history(server, client):
    """The versions that have opened the store, with the time of each."""
    told = client.list("sys/version-history")["data"]
    assert len(told["keys"]) == len(told["key_info"]) >= 1
    newest = told["key_info"][told["keys"][-1]]
    assert newest["timestamp_installed"].endswith("Z") and "previous_version" in newest
    if server.is_keyturn:
        assert told["keys"] == [client.sys.read_health_status(method="GET")["version"]]
        assert newest["previous_version"] is None


def test_version_history_is_kept(own_server):
    """A restart is no new version."""
    before = own_server.client().list("sys/version-history")["data"]
    own_server.stop()
    own_server.start()
    own_server.unseal()
    assert own_server.client().list("sys/version-history")["data"] == before


def test_what_is_not_there_is_told(server, client):
    """Replication is disabled, and anybody may know; no experiments, no licence, one namespace."""
    assert server.call("GET", "sys/replication/status", token="").json["data"]["mode"] == "disabled"
    assert client.read("sys/experiments")["data"]["enabled"] == []
    with pytest.raises(exceptions.InvalidPath):
        client.adapter.get("/v1/sys/license/status")
    assert client.read("sys/internal/ui/namespaces")["data"]["keys"] == [""]
    assert server.call("GET", "sys/internal/ui/namespaces", token="").status in (400, 403)


def test_resultant_acl(client, limited):
    """What a token may do, for user interfaces: paths, prefixes, and root."""
    assert client.read("sys/internal/ui/resultant-acl")["data"]["root"] is True
    some = limited('''
        path "secret/data/app" { capabilities = ["read", "update"] required_parameters = ["a"] }
        path "secret/*"        { capabilities = ["list"] }
        path "secret/no"       { capabilities = ["deny"] }
    ''')
    told = some.read("sys/internal/ui/resultant-acl")["data"]
    assert told["root"] is False
    assert sorted(told["exact_paths"]["secret/data/app"]["capabilities"]) == ["read", "update"]
    assert told["exact_paths"]["secret/data/app"]["required_parameters"] == ["a"]
    assert told["exact_paths"]["secret/no"]["capabilities"] == ["deny"]
    assert told["glob_paths"]["secret/"]["capabilities"] == ["list"]


def test_plugins_are_what_can_be_mounted(server, client):
    """Everything that the catalogue lists can be mounted, and nothing else can be."""
    catalog = client.read("sys/plugins/catalog")["data"]
    detailed = {(one["type"], one["name"]): one for one in catalog["detailed"]}
    assert all(one["builtin"] for one in detailed.values())
    assert {"approle", "userpass"} <= set(catalog["auth"]) and "kv" in catalog["secret"]
    for kind, enable, disable in [("auth", client.sys.enable_auth_method, client.sys.disable_auth_method),
                                  ("secret", client.sys.enable_secrets_engine, client.sys.disable_secrets_engine)]:
        assert client.list(f"sys/plugins/catalog/{kind}")["data"]["keys"] == catalog[kind]
        if not server.is_keyturn:
            continue
        for name in catalog[kind]:
            path = unique("plugin")
            enable(name, path=path)
            disable(path)
            read = client.read(f"sys/plugins/catalog/{kind}/{name}")["data"]
            assert (read["name"], read["builtin"], read["args"], read["command"]) == (name, True, [], "")
            assert read["version"] == detailed[(kind, name)]["version"]


def test_plugins_cannot_be_changed(client):
    """Registering, removing and reloading are refused, and say why."""
    with pytest.raises(exceptions.InvalidPath):
        client.adapter.get("/v1/sys/plugins/catalog/secret/no-such-plugin")
    with refused(exceptions.InvalidRequest):
        client.adapter.get("/v1/sys/plugins/catalog/nonsense/kv")
    with refused(exceptions.InvalidRequest):
        client.adapter.post("/v1/sys/plugins/catalog/secret/mine", json={"command": "mine", "sha256": "00" * 31})
    with refused(exceptions.InvalidRequest, "plugin or mounts must be provided"):
        client.adapter.post("/v1/sys/plugins/reload/backend", json={})
    with refused(exceptions.InvalidRequest, "cannot be set at the same time"):
        client.adapter.post("/v1/sys/plugins/reload/backend", json={"plugin": "kv", "mounts": ["secret"]})
    assert client.list("sys/plugins/runtimes/catalog")["data"].get("runtimes", []) == []


@pytest.mark.keyturn
def test_plugins_have_nothing_to_register_or_reload(client):
    """Where Vault would do it, this says that there is nothing to do it to."""
    with refused(exceptions.InvalidRequest, "cannot be registered or removed"):
        client.adapter.delete("/v1/sys/plugins/catalog/secret/kv")
    with refused(exceptions.InvalidRequest, "nothing to reload"):
        client.adapter.post("/v1/sys/plugins/reload/backend", json={"plugin": "kv"})


def test_openapi(server, client, kv2, limited):
    """The document describes what is served: the paths of the mounts that one may see."""
    told = client.adapter.get("/v1/sys/internal/specs/openapi")
    assert told["openapi"].startswith("3.") and told["info"]["version"]
    paths = told["paths"]
    assert {"get", "post", "delete"} <= set(paths["/sys/mounts/{path}"])
    assert "post" in paths["/auth/token/create"]
    assert {"get", "post"} <= set(paths[f"/{kv2}/config"])
    for path, item in paths.items():
        named = {part.split("}")[0] for part in path.split("{")[1:]}
        assert named == {one["name"] for one in item.get("parameters", [])}, path
    hidden = server.call("GET", "sys/internal/specs/openapi", token="").json["paths"]
    assert f"/{kv2}/config" not in hidden
    some = limited(f'path "{kv2}/data/x" {{ capabilities = ["read"] }}')
    assert f"/{kv2}/config" in server.call("GET", "sys/internal/specs/openapi", token=some.token).json["paths"]


@pytest.mark.keyturn
def test_openapi_is_true(server, client, kv2):
    """What it lists is routed: no path of the system and of a mount answers that it is not there."""
    paths = server.call("GET", "sys/internal/specs/openapi").json["paths"]
    for path, item in paths.items():
        if "get" not in item or not path.startswith(("/sys/", f"/{kv2}/")) or "{" in path:
            continue
        query = "?list=true" if item["get"].get("parameters") else ""
        reply = server.call("GET", path[1:] + query)
        assert reply.status != 405 and "unsupported path" not in reply.body.decode(errors="replace"), (path, reply.status)
    generic = server.call("GET", "sys/internal/specs/openapi?generic_mount_paths=true").json["paths"]
    assert "/{kv_mount_path}/config" in generic and f"/{kv2}/config" not in generic


def test_help(server, client, kv2, limited):
    """`?help=1` says what is served on a path, to whoever has a good token; nothing is read for it."""
    client.secrets.kv.v2.create_or_update_secret("a", {"v": "hidden-value"}, mount_point=kv2)
    some = limited('path "other" { capabilities = ["read"] }')
    reply = server.call("GET", f"{kv2}/data/a?help=1", token=some.token)
    assert reply.status == 200 and "data/" in reply.json["help"] and b"hidden-value" not in reply.body
    assert "metadata" in server.call("GET", f"{kv2}/nonsense?help=1").json["help"]
    assert server.call("GET", "sys/mounts?help=1", token="").status == 403
    assert server.call("GET", "sys/host-info?help=1", token=some.token).status in (200, 403)
