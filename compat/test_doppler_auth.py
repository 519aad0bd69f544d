"""Who may ask what over Doppler's API: service tokens, other tokens, trusted networks."""

import time

import hvac
import pytest

import harness
from doppler import Doppler, basic
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def app(doppler):
    """A project with two environments and a branch."""
    name = doppler.project("dev", "prd")
    doppler.ok("POST", "configs", body={"project": name, "name": "dev_x", "environment": "dev"})
    return name


def test_nobody_is_told_so(doppler):
    """Without a token, or with one that is not good, everything is 401, which the command line takes as final."""
    for token in ("", "dp.st.dev.nothing", "hvs.nothing"):
        for method, path in (("GET", "me"), ("GET", "projects"), ("POST", "configs/config"), ("GET", "nothing/there")):
            assert doppler.as_token(token).refused(401, method, path) == "Invalid Auth token"


def test_any_token_is_good_either_way(doppler, client):
    """Bearer, or Basic with the token as the name; whatever it begins with."""
    me = doppler.ok("GET", "me")
    assert me["name"] == "root" and me["workplace"]["name"] == "Keyturn"
    for field in ("slug", "name", "created_at", "last_seen_at", "type", "token_preview"):
        assert isinstance(me[field], str), field
    answer = doppler.as_token("").call("GET", "me", headers=basic(doppler.token))
    assert answer.status == 200 and answer.json["name"] == "root"
    service = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    assert doppler.as_token(service).ok("GET", "me")["type"] == "personal"


def test_a_service_token_is_for_one_config(doppler, app):
    """Its own config where none is named; another is an error; lists show nothing else."""
    made = doppler.service_token(app, "dev_x")
    assert made["key"].startswith("dp.st.dev_x.") and made["access"] == "read" and made["expires_at"] is None
    token = doppler.as_token(made["key"])
    assert token.ok("GET", "configs/config", {"project": "", "config": ""})["config"]["name"] == "dev_x"
    assert token.ok("GET", "configs/config", {"project": app, "config": "dev_x"})["config"]["name"] == "dev_x"
    for config in ("dev", "prd", "nothing"):
        text = token.refused(403, "GET", "configs/config", {"project": app, "config": config})
        assert text == f"This token does not have access to requested config '{config}'"
    assert "project 'other'" in token.refused(403, "GET", "configs/config", {"project": "other"})
    assert [c["name"] for c in token.ok("GET", "configs", {"project": app})["configs"]] == ["dev_x"]
    assert [p["name"] for p in token.ok("GET", "projects")["projects"]] == [app]
    assert [e["id"] for e in token.ok("GET", "environments", {"project": app})["environments"]] == ["dev"]
    assert token.ok("GET", "me")["type"] == "service_token"


def test_a_service_token_changes_nothing_but_what_it_may(doppler, app):
    """Neither structure nor tokens, whatever its access."""
    for access in ("read", "read/write"):
        token = doppler.as_token(doppler.service_token(app, "dev_x", access)["key"])
        which = {"project": app, "config": "dev_x"}
        for method, path, body in (
            ("POST", "configs/config", which | {"name": "dev_y"}), ("DELETE", "configs/config", which),
            ("POST", "configs/config/lock", which), ("POST", "configs/config/clone", which | {"name": "dev_y"}),
            ("POST", "configs/config/tokens", which | {"name": "more", "access": "read"}),
            ("POST", "configs/config/trusted_ips", which | {"ip": "10.0.0.0/8"}),
            ("POST", "projects", {"name": "x"}), ("DELETE", "projects/project", {"project": app}),
            ("POST", "environments", {"project": app, "name": "x", "slug": "x"}), ("GET", "logs", None),
        ):
            token.refused(403, method, path, body=body)


def test_a_service_token_is_a_token_of_the_store(server, doppler, client, app):
    """It reads its one secret through Vault's API too, and is revoked like any other."""
    client.secrets.kv.v2.create_or_update_secret(f"{app}/dev", secret={"A": "1"}, mount_point="secret")
    client.secrets.kv.v2.create_or_update_secret(f"{app}/dev_x", secret={"A": "2"}, mount_point="secret")
    made = doppler.service_token(app, "dev_x")
    own = server.client(made["key"])
    read = lambda config: own.secrets.kv.v2.read_secret_version(
        f"{app}/{config}", mount_point="secret", raise_on_deleted_version=True)["data"]["data"]
    assert read("dev_x") == {"A": "2"}
    with pytest.raises(hvac.exceptions.Forbidden):
        read("dev")
    with pytest.raises(hvac.exceptions.Forbidden):
        own.secrets.kv.v2.create_or_update_secret(f"{app}/dev_x", secret={"A": "3"}, mount_point="secret")
    with pytest.raises(hvac.exceptions.Forbidden):
        own.secrets.kv.v2.list_secrets(app, mount_point="secret")
    found = client.auth.token.lookup(made["key"])["data"]
    assert found["policies"] == [f"config-scope:read:secret/{app}/dev_x"]
    client.auth.token.revoke_accessor(found["accessor"])
    doppler.as_token(made["key"]).refused(401, "GET", "me")
    assert doppler.ok("GET", "configs/config/tokens", {"project": app, "config": "dev_x"})["tokens"] == []


def test_scopes_cannot_be_taken_by_name(client, app):
    """Their policies can be neither written nor given to a token."""
    name = f"config-scope:write:secret/{app}/prd"
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.create_or_update_policy(name, 'path "secret/*" { capabilities = ["read"] }')
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.auth.token.create(policies=[name])


def test_tokens_are_listed_and_revoked(doppler, app):
    """By slug or by themselves; the token itself is never shown again."""
    which = {"project": app, "config": "dev"}
    first, second = doppler.service_token(app, "dev"), doppler.service_token(app, "dev", "read/write")
    listed = doppler.ok("GET", "configs/config/tokens", which)["tokens"]
    assert [token["slug"] for token in listed] == [first["slug"], second["slug"]]
    assert not any("key" in token for token in listed) and listed[1]["access"] == "read/write"
    doppler.ok("DELETE", "configs/config/tokens/token", body=which | {"slug": first["slug"]})
    doppler.as_token(first["key"]).refused(401, "GET", "me")
    doppler.ok("DELETE", "configs/config/tokens/token", body=which | {"token": second["key"]})
    doppler.as_token(second["key"]).refused(401, "GET", "me")
    doppler.refused(404, "DELETE", "configs/config/tokens/token", body=which | {"slug": first["slug"]})
    other = doppler.service_token(app, "prd")
    doppler.refused(404, "DELETE", "configs/config/tokens/token", body=which | {"token": other["key"]})


def test_an_end_is_a_date_or_seconds(doppler, app):
    """The command line sends seconds since 1970, other clients a date; the past is refused."""
    in_an_hour = int(time.time()) + 3600
    for given in (in_an_hour, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(in_an_hour))):
        made = doppler.service_token(app, "dev", expire_at=given)
        assert made["expires_at"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(in_an_hour))
    body = {"project": app, "config": "dev", "name": "x", "access": "read"}
    for given in (1, "2001-01-01T00:00:00Z", "soon", True, 1e30):
        doppler.refused(400, "POST", "configs/config/tokens", body=body | {"expire_at": given})


def test_the_end_of_a_config_ends_its_tokens(doppler, app):
    """A config of the same name made later is another."""
    made = doppler.service_token(app, "dev_x")
    doppler.ok("DELETE", "configs/config", body={"project": app, "config": "dev_x"})
    doppler.as_token(made["key"]).refused(401, "GET", "me")
    doppler.ok("POST", "configs", body={"project": app, "name": "dev_x", "environment": "dev"})
    doppler.as_token(made["key"]).refused(401, "GET", "me")


def test_trusted_networks_hold_at_every_door(server, doppler, client, app):
    """A config that trusts another network than ours is read through no API, and can still be set right."""
    client.secrets.kv.v2.create_or_update_secret(f"{app}/dev", secret={"A": "1"}, mount_point="secret")
    which = {"project": app, "config": "dev"}
    assert doppler.ok("GET", "configs/config/trusted_ips", which) == {"ips": ["0.0.0.0/0"]}
    assert doppler.ok("POST", "configs/config/trusted_ips", which, {"ip": "192.0.2.7"}) == {"ip": "192.0.2.7/32"}
    assert doppler.call("POST", "configs/config/trusted_ips", which, {"ip": "192.0.2.7/32"}).status == 204
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.kv.v2.read_secret_version(f"{app}/dev", mount_point="secret", raise_on_deleted_version=True)
    doppler.refused(403, "GET", "configs/config/ping", which)
    doppler.ok("GET", "configs/config/ping", which | {"config": "dev_x"})
    assert doppler.call("DELETE", "configs/config/trusted_ips", which, {"ip": "192.0.2.7/32"}).status == 204
    assert doppler.call("DELETE", "configs/config/trusted_ips", which, {"ip": "192.0.2.7/32"}).status == 404
    doppler.ok("GET", "configs/config/ping", which)
    for ip in ("", "here", "10.0.0.0/99", "10.0.0.1:80"):
        doppler.refused(400, "POST", "configs/config/trusted_ips", which, {"ip": ip})


def test_names_lead_nowhere_else(doppler):
    """A project or config that is a path, or a pattern of one, is not found or refused, and nothing is made."""
    for name in ("..", ".", "a/b", "../sys", "a\x00b", "a\nb", "x" * 300, "a%2fb/c"):
        doppler.refused(404, "GET", "configs/config", {"project": name, "config": "dev"})
        doppler.refused(404, "GET", "configs/config", {"project": "app", "config": name})
    for name in ("*", "+", "{{identity.entity.id}}"):
        doppler.refused(404, "GET", "configs/config", {"project": name, "config": name})


def test_broken_requests_are_refused(doppler, app):
    """Broken JSON, another shape, doubled parameters: 400, in the shape that clients read."""
    for body in (b"{", b"[]", b'"x"', b'{"name": 1}', b"\xff", b'{"name": {"a": 1}}'):
        doppler.refused(400, "POST", "projects", body=body)
    answer = doppler.call("GET", f"configs?project={app}&project=other")
    assert answer.status == 400 and answer.json["success"] is False
    for query in ({"page": 0}, {"page": "x"}, {"per_page": -1}):
        doppler.refused(400, "GET", "projects", query)
    assert unique("x") and doppler.call("GET", "me", headers={"Authorization": "Bearer"}).status == 401


def test_whoever_is_turned_away_is_in_the_log(tmp_path):
    """A strange token, and a token that asks for another config than its own, before any policy is asked."""
    own = harness.configured_server(tmp_path, more='[[audit.device]]\ntype = "file"\nname = "log"\npath = "'
                                    f'{tmp_path}/audit.log"\n')
    try:
        own.initialise()
        own.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        doppler = Doppler(own)
        app = doppler.project("dev", "prd")
        key = doppler.service_token(app, "dev")["key"]
        doppler.as_token("dp.st.dev.nothing").refused(401, "GET", "me")
        doppler.as_token(key).refused(403, "GET", "configs/config", {"project": app, "config": "prd"})
        log = (tmp_path / "audit.log").read_text()
        assert "Invalid Auth token" in log and "does not have access to requested config 'prd'" in log
        assert key not in log and "dp.st.dev.nothing" not in log
    finally:
        own.stop()
