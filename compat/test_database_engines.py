"""`/v1/database` on a real MariaDB and a real Redis, through hvac: what differs from PostgreSQL."""

import pytest
import pymysql
import redis
from hvac import exceptions

from support import refused, unique, wait_until

MYSQL_CREATE = ["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'", "GRANT SELECT ON shop.* TO '{{name}}'@'%'"]


@pytest.fixture
def database(client):
    """The path of an empty database mount."""
    path = unique("database")
    client.sys.enable_secrets_engine("database", path=path)
    yield path
    client.sys.disable_secrets_engine(path)


@pytest.fixture
def shop(mariadb):
    """A database in which roles may read."""
    with mariadb.connect() as admin:
        admin.cursor().execute("CREATE DATABASE IF NOT EXISTS shop")
        admin.cursor().execute("CREATE TABLE IF NOT EXISTS shop.accounts (name text)")
    return "shop"


def connect_mysql(client, path, server, **more):
    """Writes the connection `db`, as Vault's clients spell it."""
    fields = {"plugin_name": "mysql-database-plugin", "allowed_roles": "*", "username": server.user,
              "password": server.password,
              "connection_url": f"{{{{username}}}}:{{{{password}}}}@tcp({server.host}:{server.port})/"} | more
    client.secrets.database.configure("db", mount_point=path, **fields)


def connect_redis(client, path, server, **more):
    """Writes the connection `db`."""
    fields = {"plugin_name": "redis-database-plugin", "allowed_roles": "*", "host": server.host, "port": server.port,
              "username": server.user, "password": server.password} | more
    client.secrets.database.configure("db", mount_point=path, **fields)


def issue(client, path):
    """A credential of the role `app`, with its lease."""
    return client.secrets.database.generate_credentials("app", mount_point=path)


def can_log_in(server, credential):
    """Whether the server lets it in."""
    try:
        server.connect(credential["username"], credential["password"]).close()
        return True
    except (pymysql.err.OperationalError, redis.exceptions.AuthenticationError):
        return False


def test_mariadb(client, database, mariadb, shop):
    """A user that may read, until its lease ends, and its session with it."""
    connect_mysql(client, database, mariadb)
    client.secrets.database.create_role("app", "db", MYSQL_CREATE, default_ttl="4s", max_ttl="1h", mount_point=database)
    issued = issue(client, database)
    name = issued["data"]["username"]
    assert name.startswith("v-") and len(name) <= 32
    session = mariadb.connect(name, issued["data"]["password"])
    with session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop.accounts")
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("INSERT INTO shop.accounts VALUES ('x')")
    assert client.sys.renew_lease(issued["lease_id"], increment=6)["lease_duration"] <= 6
    wait_until("the end of the user", lambda: not can_log_in(mariadb, issued["data"]))
    with pytest.raises(pymysql.err.Error):
        session.cursor().execute("SELECT 1")


def test_mariadb_names_of_older_servers(client, database, mariadb, shop):
    """The plugins for them make names of 16 characters."""
    for plugin in ("mysql-aurora-database-plugin", "mysql-rds-database-plugin", "mysql-legacy-database-plugin"):
        connect_mysql(client, database, mariadb, plugin_name=plugin)
        client.secrets.database.create_role("app", "db", MYSQL_CREATE, default_ttl="1h", mount_point=database)
        issued = issue(client, database)
        assert len(issued["data"]["username"]) == 16 and can_log_in(mariadb, issued["data"])
        client.sys.revoke_lease(issued["lease_id"])
        assert not can_log_in(mariadb, issued["data"])


def test_mariadb_rotations(client, database, mariadb):
    """The administrator's password and a static role's."""
    admin, user = unique("admin"), unique("fixed")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER '{admin}'@'%' IDENTIFIED BY 'first'")
        cursor.execute(f"GRANT ALL ON *.* TO '{admin}'@'%' WITH GRANT OPTION")
        cursor.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'first'")
    connect_mysql(client, database, mariadb, username=admin, password="first")
    client.secrets.database.rotate_root_credentials("db", mount_point=database)
    assert not can_log_in(mariadb, {"username": admin, "password": "first"})
    api = client.secrets.database
    api.create_static_role("fixed", "db", user, [], mount_point=database)
    first = api.get_static_credentials("fixed", mount_point=database)["data"]
    assert can_log_in(mariadb, first)
    api.rotate_static_role_credentials("fixed", mount_point=database)
    second = api.get_static_credentials("fixed", mount_point=database)["data"]
    assert can_log_in(mariadb, second) and not can_log_in(mariadb, first)
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP USER '{admin}'@'%'")
        cursor.execute(f"DROP USER '{user}'@'%'")


def test_mariadb_refuses(client, database, mariadb):
    """What is wrong is told without the password."""
    with refused(exceptions.InvalidRequest, "error verifying connection") as caught:
        connect_mysql(client, database, mariadb, password="wrong-s3cret")
    assert "wrong-s3cret" not in str(caught.value)


def test_redis(client, database, redis_server):
    """A user with some rules, until its lease ends, and its connections with it."""
    connect_redis(client, database, redis_server)
    told = client.secrets.database.read_connection("db", mount_point=database)["data"]["connection_details"]
    assert told == {"host": redis_server.host, "port": redis_server.port, "username": redis_server.user}
    client.secrets.database.create_role("app", "db", '["~app:*", "+get", "+ping", "+client"]',
                                        default_ttl="3s", max_ttl="1h", mount_point=database)
    issued = issue(client, database)
    name = issued["data"]["username"]
    assert name.startswith("V_") and name == name.upper() and "_APP_" in name
    session = redis_server.connect(name, issued["data"]["password"])
    assert session.get("app:x") is None
    with pytest.raises(redis.exceptions.NoPermissionError):
        session.set("app:x", "1")
    with pytest.raises(redis.exceptions.NoPermissionError):
        session.get("other")
    wait_until("the end of the user", lambda: not can_log_in(redis_server, issued["data"]))
    with pytest.raises(redis.exceptions.RedisError):
        session.ping()


def test_redis_rotations(client, database, redis_server):
    """The administrator's password and a static role's."""
    admin, user = unique("admin"), unique("fixed")
    root = redis_server.connect()
    root.execute_command("ACL", "SETUSER", admin, "on", ">first", "~*", "&*", "+@all")
    root.execute_command("ACL", "SETUSER", user, "on", ">first", "~*", "+@read", "+ping")
    connect_redis(client, database, redis_server, username=admin, password="first")
    api = client.secrets.database
    api.rotate_root_credentials("db", mount_point=database)
    assert not can_log_in(redis_server, {"username": admin, "password": "first"})
    api.create_static_role("fixed", "db", user, [], mount_point=database)
    first = api.get_static_credentials("fixed", mount_point=database)["data"]
    assert can_log_in(redis_server, first)
    api.rotate_static_role_credentials("fixed", mount_point=database)
    second = api.get_static_credentials("fixed", mount_point=database)["data"]
    assert can_log_in(redis_server, second) and not can_log_in(redis_server, first)
    with refused(exceptions.InvalidRequest, "there is no user"):
        api.create_static_role("other", "db", unique("nobody"), [], mount_point=database)
    root.execute_command("ACL", "DELUSER", admin, user)


def test_redis_refuses(client, database, redis_server):
    """What is missing, and what is wrong."""
    for more, told in [({"host": ""}, "host cannot be empty"), ({"port": 0}, "port cannot be empty"),
                       ({"port": 99999}, "port is too large"), ({"password": "wrong"}, "error verifying connection")]:
        with refused(exceptions.InvalidRequest, told):
            connect_redis(client, database, redis_server, **more)
