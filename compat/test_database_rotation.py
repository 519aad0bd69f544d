"""`/v1/database/{rotate-root,static-roles,static-creds,rotate-role}` on a real PostgreSQL, through hvac."""

import pytest
from hvac import exceptions

from support import refused, unique, wait_until
from test_database import can_log_in, connect, issue, make_role


@pytest.fixture
def database(client):
    """The path of an empty database mount."""
    path = unique("database")
    client.sys.enable_secrets_engine("database", path=path)
    yield path
    client.sys.disable_secrets_engine(path)


@pytest.fixture
def admin(postgresql):
    """An administrator of the test's own, whose password may change."""
    name = unique("admin").replace("-", "_")
    with postgresql.connect() as connection:
        connection.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD 'first'")
        yield name
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def user(postgresql):
    """A user whose password may change."""
    name = unique("fixed").replace("-", "_")
    with postgresql.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'first'")
    yield name
    with postgresql.connect() as connection:
        connection.execute(f"DROP ROLE {name}")


def read(client, path, name="fixed"):
    """A static role's credential."""
    return client.secrets.database.get_static_credentials(name, mount_point=path)["data"]


def test_rotate_root(client, database, postgresql, admin):
    """The administrator gets a password that nobody has seen; credentials are issued with it."""
    connect(client, database, postgresql, username=admin, password="first")
    make_role(client, database, default_ttl="1h", statements="CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'")
    before = issue(client, database)
    client.secrets.database.rotate_root_credentials("pg", mount_point=database)
    assert not can_log_in(postgresql, {"username": admin, "password": "first"})
    after = issue(client, database)
    assert can_log_in(postgresql, after["data"])
    client.sys.revoke_lease(before["lease_id"])
    assert not can_log_in(postgresql, before["data"])
    client.secrets.database.rotate_root_credentials("pg", mount_point=database)
    client.secrets.database.reset_connection("pg", mount_point=database)
    client.sys.revoke_prefix(f"{database}/creds")
    with refused(exceptions.InvalidRequest, "failed to find entry"):
        client.secrets.database.rotate_root_credentials("none", mount_point=database)


def test_rotate_root_that_fails(client, database, postgresql, admin):
    """The password that was there stays in use."""
    connect(client, database, postgresql, username=admin, password="first",
            root_rotation_statements=["ALTER ROLE no_such_role PASSWORD '{{password}}'"])
    with refused(exceptions.InternalServerError, "unable to rotate root credentials"):
        client.secrets.database.rotate_root_credentials("pg", mount_point=database)
    assert can_log_in(postgresql, {"username": admin, "password": "first"})
    client.secrets.database.reset_connection("pg", mount_point=database)
    connect(client, database, postgresql, "bare", username="", password="", verify_connection=False)
    with refused(exceptions.InternalServerError, "no username in configuration"):
        client.secrets.database.rotate_root_credentials("bare", mount_point=database)


def test_static_role(client, database, postgresql, user):
    """Its password is changed when the role is made, by hand, and by its period."""
    connect(client, database, postgresql)
    api = client.secrets.database
    api.create_static_role("fixed", "pg", user, [], rotation_period=5, mount_point=database)
    assert not can_log_in(postgresql, {"username": user, "password": "first"})
    first = read(client, database)
    assert can_log_in(postgresql, first) and first["username"] == user
    assert first["rotation_period"] == 5 and 0 <= first["ttl"] <= 5 and first["last_vault_rotation"]
    told = api.read_static_role("fixed", mount_point=database)["data"]
    assert told["username"] == user and told["rotation_period"] == 5 and told["credential_type"] == "password"
    assert "password" not in told
    assert api.list_static_roles(mount_point=database)["data"]["keys"] == ["fixed"]
    second = wait_until("a rotation", lambda: (now := read(client, database))["password"] != first["password"] and now)
    assert can_log_in(postgresql, second) and not can_log_in(postgresql, first)
    api.create_static_role("fixed", "pg", user, [], rotation_period=86400, mount_point=database)
    api.rotate_static_role_credentials("fixed", mount_point=database)
    third = read(client, database)
    assert can_log_in(postgresql, third) and third["password"] not in (first["password"], second["password"])
    api.delete_static_role("fixed", mount_point=database)
    with refused(exceptions.InvalidRequest, "unknown role: fixed"):
        read(client, database)
    assert can_log_in(postgresql, third), "the user keeps its password"


def test_static_role_by_schedule(client, database, postgresql, user):
    """Cron expressions, and what contradicts itself."""
    connect(client, database, postgresql)
    path = f"{database}/static-roles/fixed"
    fields = {"db_name": "pg", "username": user}
    client.write(path, **fields, rotation_schedule="0 3 * * SAT", rotation_window="1h")
    told = client.read(path)["data"]
    assert (told["rotation_schedule"], told["rotation_window"]) == ("0 3 * * SAT", 3600)
    credential = read(client, database)
    assert credential["rotation_schedule"] == "0 3 * * SAT" and 0 < credential["ttl"] <= 7 * 86400
    assert "rotation_period" not in credential
    for more, fragment in [({"rotation_schedule": "0 3 * * SAT", "rotation_period": 60}, "mutually exclusive"),
                           ({}, "one of rotation_schedule or rotation_period must be provided"),
                           ({"rotation_period": 4}, "rotation_period must be 5 seconds or more"),
                           ({"rotation_period": 60, "rotation_window": 3600}, "rotation_window is invalid"),
                           ({"rotation_schedule": "daily"}, "could not parse rotation_schedule"),
                           ({"rotation_schedule": "0 3 * * SAT", "rotation_window": 60}, "3600 seconds or more"),
                           ({"rotation_period": 60, "self_managed_password": "x"}, "is not offered"),
                           ({"rotation_period": 60, "username": ""}, "username is a required field"),
                           ({"rotation_period": 60, "username": postgresql.user}, "rotate-root"),
                           ({"rotation_period": 60, "username": "no_such_user"}, "there is no user")]:
        with refused(exceptions.InvalidRequest, fragment):
            client.write(f"{database}/static-roles/other", **(fields | more))
    with refused(exceptions.InvalidRequest, "cannot update static account username"):
        client.write(path, username="other")
    with refused(exceptions.InvalidRequest, "no static role found for role name"):
        client.write(f"{database}/rotate-role/other")


def test_static_role_without_a_first_rotation(client, database, postgresql, user):
    """The password is not known until it is rotated."""
    connect(client, database, postgresql)
    client.write(f"{database}/static-roles/fixed", db_name="pg", username=user, rotation_period="24h",
                 skip_import_rotation=True)
    assert can_log_in(postgresql, {"username": user, "password": "first"})
    assert read(client, database)["password"] == ""
    client.secrets.database.rotate_static_role_credentials("fixed", mount_point=database)
    assert can_log_in(postgresql, read(client, database))


def test_names_are_unique_over_both_kinds(client, database, postgresql, user):
    """As with Vault."""
    connect(client, database, postgresql)
    make_role(client, database, "one", statements="SELECT 1")
    with refused(exceptions.InvalidRequest, "Role and Static Role names must be unique"):
        client.secrets.database.create_static_role("one", "pg", user, [], mount_point=database)
    client.secrets.database.create_static_role("two", "pg", user, [], mount_point=database)
    with refused(exceptions.InvalidRequest, "Role and Static Role names must be unique"):
        make_role(client, database, "two", statements="SELECT 1")


def test_a_database_that_is_down(client, database, postgresql, user):
    """Readers keep the password that is good; the rotation is made up for."""
    connect(client, database, postgresql)
    client.secrets.database.create_static_role("fixed", "pg", user, [], mount_point=database)
    before = read(client, database)
    postgresql.halt()
    try:
        with refused(exceptions.InternalServerError, "retries will continue in the background"):
            client.secrets.database.rotate_static_role_credentials("fixed", mount_point=database)
        assert read(client, database)["password"] == before["password"]
    finally:
        postgresql.launch()
    assert isinstance(can_log_in(postgresql, before), bool)
    after = wait_until("the retry", lambda: (now := read(client, database))["password"] != before["password"] and now, 60)
    assert can_log_in(postgresql, after) and not can_log_in(postgresql, before)
