"""Rotations on real databases: both credentials are good until nobody needs the one before.

What applications see of them: `test_rotation_pools.py`."""

import psycopg
import pymysql
import pytest
import redis

from support import unique, wait_until

pytestmark = pytest.mark.keyturn

PLUGINS = {"postgresql": ("postgresql-database-plugin",
                          "postgresql://{{username}}:{{password}}@%s:%s/postgres?sslmode=disable"),
           "mysql": ("mysql-database-plugin", "{{username}}:{{password}}@tcp(%s:%s)/"),
           "redis": ("redis-database-plugin", "redis://%s:%s")}


@pytest.fixture
def target(client):
    """Makes a target of a database and says its name."""
    mount = unique("db")
    client.sys.enable_secrets_engine("database", path=mount)

    def add(database):
        plugin, url = PLUGINS[database.engine]
        settings = {"plugin_name": plugin, "username": database.user, "password": database.password,
                    "allowed_roles": "*"}
        if database.engine == "redis":
            settings |= {"host": database.host, "port": database.port}
        else:
            settings["connection_url"] = url % (database.host, database.port)
        client.write(f"{mount}/config/it", **settings)
        return f"{mount}/it"

    yield add
    client.sys.disable_secrets_engine(mount)


@pytest.fixture
def names():
    """A secret, two principals and a role."""
    name = unique("r").replace("-", "_")
    return name, [f"{name}_a", f"{name}_b"], f"{name}_owner"


def status(client, name):
    return client.read(f"sys/rotation/secret/{name}")["data"]


def come_to_rest(client, name, count):
    """Waits until so many have come about and nothing is under way."""

    def at_rest():
        told = status(client, name)
        if told["state"] == "overlap" and any(one["name"] == "root" for one in told["stragglers"]):
            # The test itself has read the version before.
            credential(client, name)
        assert told["state"] != "failed", told["failure"]
        return told["state"] == "idle" and told["rotations"] == count

    wait_until(f"rotation {count} of {name}", at_rest, 60)


def credential(client, name, **options):
    data = client.secrets.kv.v2.read_secret_version(name, mount_point="secret", raise_on_deleted_version=True,
                                                    **options)["data"]["data"]
    return data["username"], data["password"]


def query(database, who, *statements):
    """Does it over a connection that ends with it: one that stays open would count as a session."""
    connection = database.connect(*who)
    for statement in statements:
        connection.cursor().execute(statement)
    connection.close()


def lets_in(database, username, password):
    try:
        database.connect(username, password).close()
    except (psycopg.OperationalError, pymysql.err.OperationalError, redis.exceptions.AuthenticationError):
        return False
    return True


def rotate(client, name, count):
    client.write(f"sys/rotation-run/secret/{name}")
    come_to_rest(client, name, count)


def set_up(client, name, **settings):
    settings = {"strategy": "alternating", "overlap_min": 0} | settings
    client.write(f"sys/rotation/secret/{name}", **settings)


def test_postgresql_principals_take_turns(client, target, names, postgresql):
    name, users, role = names
    query(postgresql, (), f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role}")
    set_up(client, name, target=target(postgresql), users=users, owner_role=role)
    come_to_rest(client, name, 1)
    first = credential(client, name)
    assert first[0] == users[0]
    query(postgresql, first, f"CREATE TABLE {name} (n int); INSERT INTO {name} VALUES (1)")
    rotate(client, name, 2)
    second = credential(client, name)
    assert second[0] == users[1] and not lets_in(postgresql, *first)
    # What the first made belongs to both.
    query(postgresql, second, f"ALTER TABLE {name} ADD m int; DROP TABLE {name}")
    rotate(client, name, 3)
    third = credential(client, name)
    assert third[0] == users[0] and third[1] != first[1]
    assert lets_in(postgresql, *third) and not lets_in(postgresql, *second)


def test_mariadb_principals_take_turns(client, target, names, mariadb):
    name, users, role = names
    query(mariadb, (), f"CREATE DATABASE {name}", f"CREATE ROLE {role}", f"GRANT ALL ON {name}.* TO {role}")
    set_up(client, name, target=target(mariadb), users=users, owner_role=role)
    come_to_rest(client, name, 1)
    first = credential(client, name)
    query(mariadb, first, f"CREATE TABLE {name}.t (n int)")
    rotate(client, name, 2)
    second = credential(client, name)
    assert second[0] == users[1] and not lets_in(mariadb, *first)
    query(mariadb, second, f"DROP TABLE {name}.t")


def test_redis_keeps_two_passwords(client, target, names, redis_server):
    name, [user, _], _ = names
    redis_server.connect().execute_command("ACL", "SETUSER", user, "on", ">first", "~*", "+@all")
    client.secrets.kv.v2.create_or_update_secret(name, {"username": user, "password": "first"}, mount_point="secret")
    set_up(client, name, target=target(redis_server), users=[user], strategy="dual-credential", overlap_min="3s")
    client.write(f"sys/rotation-run/secret/{name}")
    wait_until("the overlap", lambda: status(client, name)["state"] == "overlap")
    second = credential(client, name)
    assert second[1] != "first" and lets_in(redis_server, *second) and lets_in(redis_server, user, "first")
    come_to_rest(client, name, 1)
    assert lets_in(redis_server, *second) and not lets_in(redis_server, user, "first")


def test_postgresql_in_place(client, target, names, postgresql):
    name, [user, _], role = names
    query(postgresql, (), f"CREATE ROLE {role}")
    set_up(client, name, target=target(postgresql), users=[user], owner_role=role, strategy="in-place")
    come_to_rest(client, name, 1)
    first = credential(client, name)
    rotate(client, name, 2)
    second = credential(client, name)
    assert lets_in(postgresql, *second) and not lets_in(postgresql, *first)


def test_a_target_that_is_away_leaves_the_application_alone(client, target, names, mariadb):
    name, users, role = names
    query(mariadb, (), f"CREATE ROLE {role}")
    set_up(client, name, target=target(mariadb), users=users, owner_role=role)
    come_to_rest(client, name, 1)
    first = credential(client, name)
    mariadb.halt()
    try:
        client.write(f"sys/rotation-run/secret/{name}")
        wait_until("a failed attempt", lambda: (status(client, name)["run"] or {"attempts": 0})["attempts"] > 0, 90)
        assert credential(client, name) == first
    finally:
        mariadb.launch()
    come_to_rest(client, name, 2)
    assert lets_in(mariadb, *credential(client, name))
