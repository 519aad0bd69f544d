"""`/v1/database`: connections, roles and credentials on a real PostgreSQL, through hvac."""

import psycopg
import pytest
from hvac import exceptions

from support import refused, unique, wait_until

CREATE = ("CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; "
          "GRANT SELECT ON accounts TO \"{{name}}\";")


@pytest.fixture
def table(postgresql):
    """A table in which roles may read."""
    with postgresql.connect() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS accounts (name text)")
    return "accounts"


@pytest.fixture
def database(client, postgresql, table):
    """The path of a database mount with the connection `pg`, whose roles are all allowed."""
    path = unique("database")
    client.sys.enable_secrets_engine("database", path=path)
    connect(client, path, postgresql)
    yield path
    client.sys.disable_secrets_engine(path)


def connect(client, path, server, name="pg", **more):
    """Writes a connection to a server as its administrator."""
    fields = {"plugin_name": "postgresql-database-plugin", "allowed_roles": ["*"], "username": server.user,
              "password": server.password,
              "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{server.host}:{server.port}/postgres"
                                "?sslmode=disable"} | more
    return client.secrets.database.configure(name, mount_point=path, **fields)


def make_role(client, path, name="app", db_name="pg", statements=CREATE, **more):
    """Writes a role."""
    client.secrets.database.create_role(name, db_name, statements, mount_point=path, **more)
    return name


def issue(client, path, name="app"):
    """A credential and its lease."""
    return client.secrets.database.generate_credentials(name, mount_point=path)


def can_log_in(server, credential):
    """Whether the database lets it in."""
    try:
        server.connect(credential["username"], credential["password"]).close()
        return True
    except psycopg.OperationalError:
        return False


def users(server, prefix="v-"):
    """The users whose names begin so."""
    with server.connect() as admin:
        return {row[0] for row in admin.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [prefix])}


def test_connection(client, database, postgresql):
    """A connection is read without its password, listed, changed field by field, and deleted."""
    api = client.secrets.database
    read = api.read_connection("pg", mount_point=database)["data"]
    assert read["plugin_name"] == "postgresql-database-plugin" and read["allowed_roles"] == ["*"]
    details = read["connection_details"]
    assert details["username"] == postgresql.user and "{{username}}:{{password}}@" in details["connection_url"]
    assert "password" not in details and postgresql.password not in str(read)
    client.write(f"{database}/config/pg", max_open_connections=5)
    assert api.read_connection("pg", mount_point=database)["data"]["connection_details"]["max_open_connections"] == 5
    assert api.list_connections(mount_point=database)["data"]["keys"] == ["pg"]
    api.reset_connection("pg", mount_point=database)
    api.delete_connection("pg", mount_point=database)
    with refused(exceptions.InvalidPath):
        api.read_connection("pg", mount_point=database)
    with refused(exceptions.InvalidRequest, "failed to find entry for connection with name: \"pg\""):
        api.reset_connection("pg", mount_point=database)


def test_connections_that_do_not_work(client, database, postgresql):
    """What is wrong is said when it is written, and nothing is kept."""
    api = client.secrets.database
    for more, told in [({"password": "wrong"}, "error creating database object: error verifying connection"),
                       ({"connection_url": "postgresql://127.0.0.1:1/postgres?sslmode=disable"}, "error verifying"),
                       ({"plugin_name": "oracle-database-plugin"}, "no database plugin"),
                       ({"plugin_name": ""}, "empty plugin name"),
                       ({"connection_url": ""}, "connection_url cannot be empty"),
                       ({"username_template": "{{ .Secret }}"}, "unable to parse template"),
                       ({"self_managed": True}, "self_managed is not offered"),
                       ({"password_authentication": "md5"}, "'md5' is not a valid password authentication type")]:
        with refused(exceptions.InvalidRequest, told) as caught:
            connect(client, database, postgresql, "other", **more)
        assert postgresql.password not in str(caught.value)
        with refused(exceptions.InvalidPath):
            api.read_connection("other", mount_point=database)
    connect(client, database, postgresql, "other", password="wrong", verify_connection=False)
    make_role(client, database, db_name="other")
    with refused(exceptions.InternalServerError, "administrator"):
        issue(client, database)
    warned = connect(client, database, postgresql, "loud", verify_connection=False,
                     connection_url="postgresql://ann:s3cret@127.0.0.1:1/x", colour="blue")["warnings"]
    assert "Password found in connection_url" in warned[0] and "[colour]" in warned[1]
    assert "s3cret" not in str(api.read_connection("loud", mount_point=database))


def test_roles(client, database):
    """A role is read as it was written, listed and deleted."""
    api = client.secrets.database
    make_role(client, database, default_ttl="1h", max_ttl="24h", revocation_statements=["DROP ROLE \"{{name}}\""])
    read = api.read_role("app", mount_point=database)["data"]
    assert read == {"db_name": "pg", "creation_statements": [CREATE], "default_ttl": 3600, "max_ttl": 86400,
                    "revocation_statements": ["DROP ROLE \"{{name}}\""], "rollback_statements": [],
                    "renew_statements": [], "credential_type": "password"}
    assert api.list_roles(mount_point=database)["data"]["keys"] == ["app"]
    with refused(exceptions.InvalidRequest, "unsupported credential_type"):
        client.write(f"{database}/roles/app", db_name="pg", credential_type="rsa_private_key")
    with refused(exceptions.InvalidRequest, "invalid credential_type \"x\""):
        client.write(f"{database}/roles/app", db_name="pg", credential_type="x")
    with refused(exceptions.InvalidRequest, "database name is required"):
        client.write(f"{database}/roles/none", creation_statements="SELECT 1")
    with refused(exceptions.InvalidRequest, "statement 1"):
        make_role(client, database, statements="CREATE ROLE {{name}} PASSWORD 'x{{password}}' -- {{nonsense}}")
    api.delete_role("app", mount_point=database)
    with refused(exceptions.InvalidPath):
        api.read_role("app", mount_point=database)
    with refused(exceptions.InvalidRequest, "unknown role: app"):
        issue(client, database)


def test_a_credential_from_its_birth_to_its_end(client, database, postgresql):
    """It may do what its role says and no more; after its lease it is gone, with its sessions."""
    make_role(client, database, default_ttl="3s", max_ttl="1h")
    issued = issue(client, database)
    assert issued["lease_id"].startswith(f"{database}/creds/app/") and issued["renewable"] is True
    assert issued["lease_duration"] == 3
    session = postgresql.connect(issued["data"]["username"], issued["data"]["password"])
    assert session.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("INSERT INTO accounts VALUES ('x')")
    name = issued["data"]["username"]
    assert name.startswith("v-") and "-app-" in name and name in users(postgresql)
    wait_until("the end of the user", lambda: name not in users(postgresql))
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert not can_log_in(postgresql, issued["data"])
    with refused(exceptions.InvalidRequest, "invalid lease"):
        client.sys.read_lease(issued["lease_id"])


def test_renewal(client, database, postgresql):
    """A renewed credential lives longer, in the database as well, and not beyond its maximum."""
    make_role(client, database, default_ttl="60s", max_ttl="100s")
    issued = issue(client, database)

    def end():
        with postgresql.connect() as admin:
            return admin.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s",
                                 [issued["data"]["username"]]).fetchone()[0]

    first = end()
    renewed = client.sys.renew_lease(issued["lease_id"], increment=90)
    assert renewed["lease_id"] == issued["lease_id"] and 85 <= renewed["lease_duration"] <= 90
    assert (end() - first).total_seconds() > 20
    assert client.sys.renew_lease(issued["lease_id"], increment=9000)["lease_duration"] <= 100
    client.sys.revoke_lease(issued["lease_id"])
    assert not can_log_in(postgresql, issued["data"])


def test_revocation(client, server, database, postgresql, policy):
    """One by one, by prefix, and with the token that asked."""
    make_role(client, database, default_ttl="1h")
    one, two = issue(client, database), issue(client, database)
    client.sys.revoke_lease(one["lease_id"])
    assert not can_log_in(postgresql, one["data"]) and can_log_in(postgresql, two["data"])
    client.sys.revoke_prefix(f"{database}/creds/app")
    assert not can_log_in(postgresql, two["data"])
    name = policy(f'path "{database}/creds/app" {{ capabilities = ["read"] }}')
    token = client.auth.token.create(policies=[name])["auth"]["client_token"]
    somebody = server.client(token)
    mine = issue(somebody, database)
    assert "-token-" in mine["data"]["username"]
    with refused(exceptions.Forbidden):
        somebody.secrets.database.read_connection("pg", mount_point=database)
    client.auth.token.revoke(token)
    wait_until("the end of the token's credential", lambda: not can_log_in(postgresql, mine["data"]))
    assert not users(postgresql) & {each["data"]["username"] for each in (one, two, mine)}


def test_roles_that_are_not_allowed(client, database, postgresql):
    """Only what the connection allows gets credentials."""
    connect(client, database, postgresql, allowed_roles=["read*", "one"])
    for name, allowed in (("readers", True), ("one", True), ("writers", False)):
        make_role(client, database, name, default_ttl="1h")
        if allowed:
            assert can_log_in(postgresql, issue(client, database, name)["data"])
        else:
            with refused(exceptions.InternalServerError, '"writers" is not an allowed role'):
                issue(client, database, name)


def test_deleted_roles_end_their_credentials(client, database, postgresql):
    """What a lease needs to be revoked is its own."""
    make_role(client, database, default_ttl="1h", revocation_statements="DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"")
    issued = issue(client, database)
    client.secrets.database.delete_role("app", mount_point=database)
    client.sys.revoke_lease(issued["lease_id"])
    assert not can_log_in(postgresql, issued["data"])


def test_statements_that_fail_leave_nothing(client, database, postgresql):
    """A transaction: no user, no lease."""
    make_role(client, database, statements=[CREATE, "GRANT SELECT ON no_such_table TO \"{{name}}\""])
    before = users(postgresql)
    with refused(exceptions.InternalServerError, "statement"):
        issue(client, database)
    assert users(postgresql) == before
    with refused(exceptions.InvalidPath):
        client.sys.list_leases(f"{database}/creds/app")


HOSTILE = ['x"; DROP ROLE admin; --', "x'; SELECT 1; --", "{{password}}", "a\\b", "$$x$$", "über"]


def test_hostile_names(server, client, database, postgresql, policy):
    """Whatever somebody is called is data, to the template and to the database."""
    connect(client, database, postgresql,
            username_template="{{ printf \"v-%s-%s\" (.DisplayName | truncate 40) (random 20) }}")
    make_role(client, database, default_ttl="1h")
    name = policy(f'path "{database}/creds/app" {{ capabilities = ["read"] }}')
    for display in HOSTILE:
        token = client.auth.token.create(policies=[name], display_name=display)["auth"]["client_token"]
        issued = issue(server.client(token), database)
        assert can_log_in(postgresql, issued["data"]), issued["data"]["username"]
        client.sys.revoke_lease(issued["lease_id"])
        assert issued["data"]["username"] not in users(postgresql)
    for role in ["x'y", 'x"y', "x y", "x;y", "-x", "x."]:
        with pytest.raises((exceptions.InvalidPath, exceptions.InvalidRequest, exceptions.UnsupportedOperation)):
            make_role(client, database, role)


def test_passwords_with_every_quote(client, database, postgresql):
    """A policy may ask for any character; the database gets it as it is."""
    name = unique("quotes")
    client.write(f"sys/policies/password/{name}", policy='length = 40\nrule "charset" { charset = "\'\\"`\\\\$;%&:/?#@ {}" }\n'
                                                         'rule "charset" { charset = "abc" min-chars = 3 }')
    client.write(f"{database}/roles/app", db_name="pg", creation_statements=CREATE, default_ttl="1h",
                 credential_config={"password_policy": name})
    for _ in range(5):
        issued = issue(client, database)
        assert len(issued["data"]["password"]) == 40 and can_log_in(postgresql, issued["data"])
    with refused(exceptions.InvalidRequest, "credential_config validation failed"):
        client.write(f"{database}/roles/app", db_name="pg", credential_config={"key_bits": "2048"})


def test_a_name_that_is_taken_is_left_alone(client, database, postgresql):
    """A template without anything random cannot take a user over, nor drop it."""
    owner = unique("owner").replace("-", "_")
    with postgresql.connect() as admin:
        admin.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'theirs'")
    connect(client, database, postgresql, username_template=owner)
    make_role(client, database, default_ttl="1h")
    with refused(exceptions.InvalidRequest, "exists already"):
        issue(client, database)
    assert can_log_in(postgresql, {"username": owner, "password": "theirs"})


@pytest.mark.keyturn
def test_no_password_reaches_the_logs(tmp_path, postgresql, table):
    """Neither a credential's nor the administrator's is in the store, the audit log or the server's log."""
    import harness

    server = harness.configured_server(tmp_path)
    try:
        server.initialise()
        client, log = server.client(), tmp_path / "audit.log"
        client.sys.enable_audit_device("file", path="file", options={"file_path": str(log)})
        client.sys.enable_secrets_engine("database", path="database")
        connect(client, "database", postgresql)
        make_role(client, "database", default_ttl="1h")
        issued = issue(client, "database")
        lines = log.read_text()
        assert issued["lease_id"] in lines and "database/creds/app" in lines
        values = [issued["data"]["password"], postgresql.password]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        for value in values:
            assert value not in lines and value not in server.output()
            assert not [path for path in files if value.encode() in path.read_bytes()]
        client.sys.disable_secrets_engine("database")
    finally:
        server.stop()
