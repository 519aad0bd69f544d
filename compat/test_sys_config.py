"""`/v1/sys/config`: cross-origin requests, headers of the user interface, the configuration as it may be told."""

import pytest
from hvac import exceptions

from support import refused, status_of

ORIGIN = "https://app.example.com"


def _preflight(server, origin=ORIGIN, method="GET"):
    return server.call("OPTIONS", "secret/data/x", token="",
                       headers={"Origin": origin, "Access-Control-Request-Method": method})


def test_cors_is_off_until_it_is_set(own_server):
    """Off, a request from anywhere is a request like any other."""
    client = own_server.client()
    assert client.read("sys/config/cors")["data"] == {"enabled": False}
    assert _preflight(own_server).status == 405
    reply = own_server.call("GET", "sys/mounts", headers={"Origin": ORIGIN})
    assert reply.status == 200 and "access-control-allow-origin" not in reply.headers


def test_cors(own_server):
    """Set, read, enforced, removed."""
    client = own_server.client()
    body = {"allowed_origins": [ORIGIN, "http://localhost:3000"], "allowed_headers": "X-Own-Header"}
    assert status_of(client.adapter.post("/v1/sys/config/cors", json=body)) == 204
    told = client.read("sys/config/cors")
    assert told["enabled"] is True and told["data"]["allowed_origins"] == [ORIGIN, "http://localhost:3000"]
    assert {"X-Own-Header", "X-Vault-Token"} <= set(told["data"]["allowed_headers"])

    reply = _preflight(own_server, method="LIST")
    assert reply.status == 204 and reply.body == b""
    assert reply.headers["access-control-allow-origin"] == ORIGIN and reply.headers["vary"] == "Origin"
    assert "LIST" in reply.headers["access-control-allow-methods"].split(",")
    assert "X-Own-Header" in reply.headers["access-control-allow-headers"].split(",")
    assert reply.headers["access-control-max-age"] == "300"
    assert _preflight(own_server, method="TRACE").status == 405

    for path, status in (("sys/mounts", 200), ("nowhere/x", 404)):
        reply = own_server.call("GET", path, headers={"Origin": ORIGIN})
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, ORIGIN)
        assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in own_server.call("GET", "sys/mounts").headers

    assert status_of(client.adapter.delete("/v1/sys/config/cors")) == 204
    assert client.read("sys/config/cors")["data"] == {"enabled": False}
    assert _preflight(own_server).status == 405


@pytest.mark.parametrize("origin", [
    "https://evil.example", "https://app.example.com.evil", "https://app.example.com:8443", "http://app.example.com",
    "HTTPS://app.example.com", "null", "*", "https://app.example.com/", "",
])
def test_other_origins_are_refused(own_server, origin):
    """Before anything else is looked at, and without telling them anything back."""
    own_server.client().adapter.post("/v1/sys/config/cors", json={"allowed_origins": ORIGIN})
    for reply in (_preflight(own_server, origin), own_server.call("GET", "sys/mounts", headers={"Origin": origin})):
        assert reply.status == 403 and reply.errors == ["origin not allowed"]
        assert "access-control-allow-origin" not in reply.headers


def test_every_origin(own_server):
    """`*` allows all; the answer names the one that asked."""
    own_server.client().adapter.post("/v1/sys/config/cors", json={"allowed_origins": "*"})
    assert _preflight(own_server, "https://anyone.example").headers["access-control-allow-origin"] == \
        "https://anyone.example"


@pytest.mark.keyturn
@pytest.mark.parametrize("body", [
    {}, {"allowed_origins": []}, {"allowed_origins": ["*", ORIGIN]}, {"allowed_origins": ["app.example.com"]},
    {"allowed_origins": ["https://a\r\nSet-Cookie: x=y"]}, {"allowed_origins": ["https://a/path"]},
    {"allowed_origins": ["https://a b"]}, {"allowed_origins": [f"https://{number}.example" for number in range(500)]},
    {"allowed_origins": "*", "allowed_headers": ["X-A\r\nX-B: c"]},
    {"allowed_origins": "*", "allowed_headers": ["X A"]},
])
def test_nothing_that_could_inject_a_header(server, client, body):
    """Neither an origin nor a header's name that is none gets in."""
    assert server.call("POST", "sys/config/cors", body=body).status == 400
    assert client.read("sys/config/cors")["data"] == {"enabled": False}


def test_cors_needs_sudo(limited):
    """The capability for the path is not enough."""
    some = limited('path "sys/config/cors" { capabilities = ["read", "update"] }')
    with refused(exceptions.Forbidden):
        some.read("sys/config/cors")


def test_headers_of_the_user_interface(client):
    """Create, read, list, delete; names are the same in any case."""
    path = "/v1/sys/config/ui/headers/X-Custom-Header"
    client.adapter.post(path, json={"values": ["one", "two"]})
    assert client.adapter.get(path)["data"] == {"value": "one"}
    assert client.adapter.get(path.lower(), params={"multivalue": "true"})["data"] == {"values": ["one", "two"]}
    assert "x-custom-header" in [name.lower() for name in client.list("sys/config/ui/headers")["data"]["keys"]]
    client.adapter.delete(path)
    with pytest.raises(exceptions.InvalidPath):
        client.adapter.get(path)
    for name, values in (("X-Vault-Token", ["a"]), ("X-A", []), ("X-A", ["b\r\nX-C: d"])):
        with refused(exceptions.InvalidRequest):
            client.adapter.post(f"/v1/sys/config/ui/headers/{name}", json={"values": values})


@pytest.mark.keyturn
def test_the_configuration_tells_no_secret(server, client, tmp_path_factory):
    """Listeners, storage and seal by their kinds, and no path."""
    told = client.read("sys/config/state/sanitized")["data"]
    assert told["storage"] == {"type": "inmem"} or "type" in told["storage"]
    assert told["listeners"][0]["type"] == "tcp" and told["listeners"][0]["config"]["tls_disable"] is True
    assert server.address.endswith(told["listeners"][0]["config"]["address"])
    assert server.token not in str(told) and str(tmp_path_factory.getbasetemp()) not in str(told)
