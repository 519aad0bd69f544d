"""Static roles are rotations as those of secrets: killed at any time, overlapping if they are told to, steered by
`sys/rotation` and the command line."""

import threading

import pytest
import requests
from hvac import exceptions

import harness
from support import refused, unique, wait_until
from test_rotation_databases import PLUGINS, lets_in, query

pytestmark = pytest.mark.keyturn

# Rotations before the server is killed.
BEFORE = 3


def connect(client, mount, database):
    """Mounts an engine with the connection `it` to a database, for all roles."""
    client.sys.enable_secrets_engine("database", path=mount)
    plugin, url = PLUGINS[database.engine]
    settings = {"plugin_name": plugin, "username": database.user, "password": database.password, "allowed_roles": "*"}
    if database.engine == "redis":
        settings |= {"host": database.host, "port": database.port}
    else:
        settings["connection_url"] = url % (database.host, database.port)
    client.write(f"{mount}/config/it", **settings)


def credential(client, mount, name="fixed"):
    data = client.secrets.database.get_static_credentials(name, mount_point=mount)["data"]
    return data["username"], data["password"]


@pytest.fixture
def mount(client):
    """A path for a database mount, which is taken away afterwards."""
    path = unique("static")
    yield path
    client.sys.disable_secrets_engine(path)


@pytest.fixture
def durable(tmp_path):
    """A server whose store is on disk."""
    server = harness.configured_server(tmp_path)
    server.initialise()
    yield server
    server.stop()


@pytest.fixture(params=["postgresql", "mariadb"])
def database_and_user(request):
    """A database, and a user of it whose password may change."""
    database = request.getfixturevalue(request.param)
    user = unique("k").replace("-", "_")
    made, dropped = {
        "postgresql": (f"CREATE ROLE {user} LOGIN PASSWORD 'first'", f"DROP ROLE {user}"),
        "mysql": (f"CREATE USER {user}@'%' IDENTIFIED BY 'first'", f"DROP USER {user}@'%'"),
    }[database.engine]
    query(database, (), made)
    yield database, user
    query(database, (), dropped)


def rotate_until_killed(server):
    """Rotates by hand, one after the other, and kills the server in their midst."""
    client, done, failures = server.client(), [], []

    def rotate():
        while True:
            try:
                client.secrets.database.rotate_static_role_credentials("fixed")
                done.append(True)
            except requests.exceptions.RequestException:
                return
            except exceptions.VaultError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        wait_until("some rotations", lambda: failures or len(done) >= BEFORE, seconds=60)
    finally:
        server.kill()
        thread.join()
    assert not failures, failures


def test_killed_amid_rotations(durable, database_and_user):
    """After a kill the rotation ends by itself, and what is read logs in."""
    database, user = database_and_user
    client = durable.client()
    connect(client, "database", database)
    client.secrets.database.create_static_role("fixed", "it", user, [], rotation_period=86400)
    rotate_until_killed(durable)
    durable.start()
    durable.unseal()
    client = durable.client()
    path = "sys/rotation/database/static-roles/fixed"
    # Whoever died had a claim on it, for a minute.
    wait_until("the end", lambda: client.read(path)["data"]["state"] == "idle", 90)
    assert lets_in(database, *credential(client, "database"))
    client.secrets.database.rotate_static_role_credentials("fixed")
    assert lets_in(database, *credential(client, "database")) and not lets_in(database, user, "first")


def test_redis_keeps_both_passwords(client, mount, redis_server):
    """The one before is good until whoever read it has read again."""
    user = unique("r")
    redis_server.connect().execute_command("ACL", "SETUSER", user, "on", ">unknown", "~*", "+@all")
    connect(client, mount, redis_server)
    client.write(f"{mount}/static-roles/fixed", db_name="it", username=user, rotation_period="24h",
                 strategy="dual-credential", overlap_min=0)
    first = credential(client, mount)
    assert lets_in(redis_server, *first) and not lets_in(redis_server, user, "unknown")
    client.secrets.database.rotate_static_role_credentials("fixed", mount_point=mount)
    path = f"sys/rotation/{mount}/static-roles/fixed"
    wait_until("a look", lambda: client.read(path)["data"]["stragglers"])
    assert client.read(path)["data"]["state"] == "overlap" and lets_in(redis_server, *first)
    with refused(exceptions.InternalServerError, "under way"):
        client.secrets.database.rotate_static_role_credentials("fixed", mount_point=mount)
    second = credential(client, mount)
    assert second[1] != first[1] and lets_in(redis_server, *second)
    wait_until("the end", lambda: client.read(path)["data"]["state"] == "idle", 60)
    assert lets_in(redis_server, *second) and not lets_in(redis_server, *first)
    told = client.secrets.database.read_static_role("fixed", mount_point=mount)["data"]
    assert (told["strategy"], told["overlap_min"], told["at_max"]) == ("dual-credential", 0, "wait")


def test_postgresql_users_take_turns(client, mount, postgresql, keyturn):
    """The second user is made as a member of the role that owns what both make; the command line shows and rotates."""
    name = unique("t").replace("-", "_")
    query(postgresql, (), f"CREATE ROLE {name} NOLOGIN", f"CREATE ROLE {name}_a LOGIN PASSWORD 'first' IN ROLE {name}")
    connect(client, mount, postgresql)
    client.write(f"{mount}/static-roles/fixed", db_name="it", username=f"{name}_a", username_alternate=f"{name}_b",
                 owner_role=name, rotation_period="24h", strategy="alternating", overlap_min=0)
    first = credential(client, mount)
    assert first[0] == f"{name}_a" and lets_in(postgresql, *first)
    path = f"{mount}/static-roles/fixed"
    assert path in keyturn("rotation", "list").stdout.decode()
    client.write(f"sys/rotation-run/{path}")
    wait_until("the second user", lambda: credential(client, mount)[0] == f"{name}_b")
    second = credential(client, mount)
    assert lets_in(postgresql, *second)
    wait_until("the end", lambda: client.read(f"sys/rotation/{path}")["data"]["state"] == "idle", 60)
    assert not lets_in(postgresql, *first) and lets_in(postgresql, *second)
    shown = keyturn("rotation", "show", path).stdout.decode()
    assert "alternating" in shown and second[1] not in shown


def test_what_cannot_be_is_refused(client, mount, postgresql):
    """The extension's fields contradict themselves, or the database cannot do it; a rotation goes with its role."""
    connect(client, mount, postgresql)
    base = {"db_name": "it", "username": postgresql.user + "_x", "rotation_period": 60}
    for more, fragment in [({"strategy": "hook"}, "in-place, dual-credential or alternating"),
                           ({"strategy": "sometimes"}, "strategy is one of"),
                           ({"strategy": "dual-credential"}, "keeps one password"),
                           ({"strategy": "alternating"}, "needs username_alternate"),
                           ({"username_alternate": "b"}, "is for strategy alternating"),
                           ({"owner_role": "b"}, "takes no owner_role"),
                           ({"strategy": "alternating", "username_alternate": "b", "at_max": "perhaps"}, "at_max is"),
                           ({"strategy": "alternating", "username_alternate": "b", "overlap_min": "3h"}, "overlap_min"),
                           ({"strategy": "alternating", "username_alternate": postgresql.user}, "rotate-root")]:
        with refused(exceptions.InvalidRequest, fragment):
            client.write(f"{mount}/static-roles/fixed", **(base | more))
    path = f"sys/rotation/{mount}/static-roles/fixed"
    with refused(exceptions.InvalidRequest, "write or delete"):
        client.write(path, strategy="in-place")
    with refused(exceptions.InvalidRequest, "write or delete"):
        client.delete(path)
    with refused(exceptions.InvalidPath):
        client.write(f"sys/rotation-run/{mount}/static-roles/fixed")
