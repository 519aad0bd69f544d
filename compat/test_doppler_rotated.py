"""Rotated secrets: a config whose credential the server rotates on a real PostgreSQL, as clients of Doppler see it."""

import pytest

from doppler import Doppler
from support import unique, wait_until
from test_database import can_log_in, connect
from test_doppler_secrets import Config
from test_doppler_watch import Stream

pytestmark = pytest.mark.keyturn

ROTATED = "configs/config/rotated_secrets"
ONE = f"{ROTATED}/rotated_secret"
SECRETS = "configs/config/secrets"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def target(client, postgresql):
    """The name of a target."""
    mount = unique("db")
    client.sys.enable_secrets_engine("database", path=mount)
    connect(client, mount, postgresql)
    yield f"{mount}/pg"
    client.sys.disable_secrets_engine(mount)


@pytest.fixture
def where(doppler):
    """A config with a plain secret."""
    where = {"project": doppler.project("dev"), "config": "dev"}
    doppler.ok("POST", SECRETS, body=where | {"secrets": {"PLAIN": "x"}})
    return where


@pytest.fixture
def body(postgresql, target):
    """What sets a rotation with two principals up."""
    name = unique("r").replace("-", "_")
    with postgresql.connect() as admin:
        admin.execute(f'CREATE ROLE "{name}_owner" NOLOGIN')
    return {"name": "DB", "integration": target, "rotation_period_sec": 86400,
            "credentials": [{"username": f"{name}_a", "password": "ignored"}, {"username": f"{name}_b", "password": "ignored"}],
            "parameters": {"owner_role": f"{name}_owner", "host": "ignored"}}


def state(client, where):
    return client.read(f"sys/rotation/secret/{where['project']}/{where['config']}")["data"]


def at_rest(client, where, count):
    """Waits until so many have come about."""

    def there():
        told = state(client, where)
        assert told["state"] != "failed", told
        return told["rotations"] >= count and told["state"] in ("idle", "overlap")

    wait_until(f"rotation {count}", there, 60)


def credential(doppler, where):
    values = doppler.ok("GET", f"{SECRETS}/download", where)
    return {"username": values["DB_USERNAME"], "password": values["DB_PASSWORD"]}


def test_a_rotated_secret_is_made_seen_changed_and_deleted(doppler, where, body, client, postgresql):
    """As the provider for Terraform does it; its values are the config's, and are told to those who watch."""
    assert doppler.ok("GET", ROTATED, where)["rotated_secrets"] == []
    made = doppler.ok("POST", ROTATED, where, body)["rotated_secret"]
    assert (made["slug"], made["name"], made["rotation_period_sec"]) == ("DB", "DB", 86400)
    assert made["integration"]["slug"] == body["integration"] and made["secrets"] == ["DB_USERNAME", "DB_PASSWORD"]
    at_rest(client, where, 1)
    first = credential(doppler, where)
    assert can_log_in(postgresql, first) and first["username"] in [one["username"] for one in body["credentials"]]
    assert doppler.ok("GET", f"{SECRETS}/download", where)["PLAIN"] == "x"
    read = doppler.ok("GET", ONE, where | {"slug": "DB"})["rotated_secret"]
    assert read["last_rotated_at"].endswith("Z") and doppler.ok("GET", ROTATED, where)["rotated_secrets"] == [read]
    changed = doppler.ok("PUT", ONE, where | {"slug": "DB"}, {"name": "DB", "rotation_period_sec": 3600})["rotated_secret"]
    assert changed["rotation_period_sec"] == 3600
    doppler.refused(400, "PUT", ONE, where | {"slug": "DB"}, {"name": "OTHER", "rotation_period_sec": 3600})
    with Stream(Config(doppler, where["project"], "dev")) as stream:
        client.write(f"sys/rotation-run/secret/{where['project']}/dev")
        while stream.event() != "secrets.update":
            pass
    at_rest(client, where, 2)
    second = credential(doppler, where)
    assert second["username"] != first["username"]
    assert can_log_in(postgresql, second) and can_log_in(postgresql, first), "both, until nobody needs the first"
    doppler.refused(409, "PUT", ONE, where | {"slug": "DB"}, {"name": "DB", "rotation_period_sec": 7200})
    doppler.refused(409, "POST", ROTATED, where, body | {"name": "OTHER"})
    doppler.refused(404, "GET", ONE, where | {"slug": "OTHER"})
    doppler.refused(409, "DELETE", ONE, where | {"slug": "DB"})


def test_a_value_is_generated_where_no_principal_is_named(doppler, where, client):
    """And the secret can be set by hand again once the rotation is deleted."""
    doppler.ok("POST", ROTATED, where, {"name": "API_KEY", "rotation_period_sec": 3600})
    at_rest(client, where, 1)
    first = doppler.ok("GET", f"{SECRETS}/download", where)["API_KEY"]
    client.write(f"sys/rotation-run/secret/{where['project']}/dev")
    wait_until("another value", lambda: doppler.ok("GET", f"{SECRETS}/download", where)["API_KEY"] != first)
    wait_until("rest", lambda: state(client, where)["state"] == "idle")
    assert doppler.ok("DELETE", ONE, where | {"slug": "API_KEY"}) == {"success": True}
    doppler.refused(404, "GET", ONE, where | {"slug": "API_KEY"})
    doppler.ok("POST", SECRETS, body=where | {"secrets": {"API_KEY": "mine"}})


def test_what_a_rotation_keeps_is_not_set_by_hand(doppler, where, body, client, postgresql):
    """Set, renamed, deleted, promoted, taken back: refused, and the credential goes on working."""
    doppler.ok("POST", ROTATED, where, body)
    at_rest(client, where, 1)
    now = credential(doppler, where)
    kept = "is kept by the rotation"
    for change in ({"DB_PASSWORD": "x"}, {"DB_USERNAME": None}, {"PLAIN": "y", "DB_PASSWORD": "x"}):
        assert kept in doppler.refused(400, "POST", SECRETS, body=where | {"secrets": change})
    rename = [{"name": "OTHER", "originalName": "DB_PASSWORD", "value": None}]
    assert kept in doppler.refused(400, "POST", SECRETS, body=where | {"change_requests": rename})
    assert kept in doppler.refused(400, "DELETE", "configs/config/secret", where | {"name": "DB_PASSWORD"})
    doppler.ok("POST", "configs", body={"project": where["project"], "environment": "dev", "name": "dev_x"})
    branch = where | {"config": "dev_x"}
    promote = [{"name": "DB_PASSWORD", "originalName": None, "value": "x", "shouldPromote": True}]
    assert kept in doppler.refused(400, "POST", SECRETS, body=branch | {"change_requests": promote})
    logs = doppler.ok("GET", "configs/config/logs", where)["logs"]
    assert kept in doppler.refused(400, "POST", "configs/config/logs/log/rollback", where | {"log": logs[0]["id"]})
    # A file that was downloaded goes back as it is, with what else was changed in it.
    text = doppler.call("GET", f"{SECRETS}/download", where | {"format": "env"}).body.decode()
    doppler.ok("POST", f"{SECRETS}/upload", where, {"file": text.replace('PLAIN="x"', 'PLAIN="z"')})
    assert doppler.ok("GET", f"{SECRETS}/download", where)["PLAIN"] == "z"
    doppler.ok("POST", "configs/config/secrets/note", where, {"secret": "DB_PASSWORD", "note": "rotated daily"})
    # A branch inherits the credential, and may have its own.
    assert credential(doppler, branch) == now
    doppler.ok("POST", SECRETS, body=branch | {"secrets": {"DB_PASSWORD": "own"}})
    assert credential(doppler, where) == now and can_log_in(postgresql, now)


def test_who_may_not_and_what_cannot_be(doppler, where, body, client, target):
    """The rights are those of rotations; nothing is there afterwards."""
    service = doppler.as_token(doppler.service_token(where["project"], "dev", "read/write")["key"])
    service.refused(403, "POST", ROTATED, body=body)
    service.refused(403, "GET", ROTATED)
    for wrong in ({"name": ""}, {"name": "db"}, {"name": "../X"}, {"rotation_period_sec": None}, {"rotation_period_sec": -1},
                  {"rotation_period_sec": "x"}, {"rotation_period_sec": 0}, {"integration": "none/pg"}, {"integration": ""},
                  {"credentials": [{"username": "same"}, {"username": "same"}]}, {"credentials": [{}]}, {"credentials": "x"},
                  {"parameters": []}, {"parameters": {"strategy": "hook"}}, {"parameters": {"strategy": "none"}}):
        doppler.refused(400, "POST", ROTATED, where, body | wrong)
    assert doppler.ok("GET", ROTATED, where)["rotated_secrets"] == []
