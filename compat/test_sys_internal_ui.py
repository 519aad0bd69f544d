"""`/v1/sys/internal/ui/mounts`: what command lines ask before they touch a secret."""

from support import unique


def test_preflight_of_a_path(server, client, kv2):
    """The mount that a path belongs to, and its version as text."""
    for path in (kv2, f"{kv2}/", f"{kv2}/some/secret"):
        reply = server.call("GET", f"sys/internal/ui/mounts/{path}")
        assert reply.status == 200, path
        assert (reply.json["data"]["path"], reply.json["data"]["type"]) == (f"{kv2}/", "kv")
        assert reply.json["data"]["options"]["version"] == "2"


def test_preflight_needs_some_access(server, limited, kv2):
    """Any capability below the mount is enough; none, or no mount, is 403 with the same words."""
    some = limited(f'path "{kv2}/data/app" {{ capabilities = ["read"] }}')
    assert server.call("GET", f"sys/internal/ui/mounts/{kv2}/app", token=some.token).status == 200
    nobody = limited('path "elsewhere" { capabilities = ["read"] }')
    for path in (kv2, unique("nowhere")):
        reply = server.call("GET", f"sys/internal/ui/mounts/{path}", token=nobody.token)
        assert reply.status == 403, path
        assert "preflight capability check returned 403" in reply.errors[0]


def test_list_shows_what_one_may_see(server, client, limited, kv1, kv2):
    """Everything for root, one's own for others."""
    everything = server.call("GET", "sys/internal/ui/mounts").json["data"]
    assert {f"{kv1}/", f"{kv2}/"} <= everything["secret"].keys()
    assert "token/" in everything["auth"]
    some = limited(f'path "{kv2}/data/app" {{ capabilities = ["read"] }}')
    own = server.call("GET", "sys/internal/ui/mounts", token=some.token).json["data"]
    assert f"{kv2}/" in own["secret"] and f"{kv1}/" not in own["secret"]


def test_list_without_a_token(server, client, userpass):
    """Strangers see what was made visible for them, and no more than its kind and description."""
    hidden = server.call("GET", "sys/internal/ui/mounts", token="")
    assert hidden.status == 200 and f"{userpass}/" not in hidden.json["data"]["auth"]
    client.sys.tune_auth_method(userpass, listing_visibility="unauth", description="people")
    seen = server.call("GET", "sys/internal/ui/mounts", token="").json["data"]["auth"][f"{userpass}/"]
    assert (seen["type"], seen["description"]) == ("userpass", "people")
    assert "accessor" not in seen
