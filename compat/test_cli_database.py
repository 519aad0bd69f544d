"""`keyturn target` and `keyturn creds` on a real PostgreSQL."""

import json

import pytest

from support import unique
from test_database import can_log_in, make_role

pytestmark = pytest.mark.keyturn

DONE, FAILED, USAGE, NOT_FOUND = range(4)
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


def test_targets_and_credentials(client, keyturn, postgresql):
    """From nothing to a credential: the mount is made, the password is never an argument nor shown."""
    mount = unique("db")
    url = f"postgresql://{postgresql.host}:{postgresql.port}/postgres?sslmode=disable"
    added = keyturn("target", "add", "pg", "--engine", "postgresql", "--url", url, "--username", postgresql.user,
                    "--password-stdin", "--allowed-role", "app", "--mount", mount, stdin=postgresql.password.encode())
    assert b"target pg added" in added.stdout and b"mounted the database engine" in added.stderr
    try:
        keyturn("target", "test", "pg", "--mount", mount)
        listed = keyturn("target", "list", "--mount", mount).stdout.decode()
        assert "postgresql" in listed and postgresql.user in listed and postgresql.password not in listed
        told = json.loads(keyturn("target", "list", "--mount", mount, "--format", "json").stdout)
        assert told["pg"]["allowed_roles"] == ["app"]
        make_role(client, mount, statements=CREATE, default_ttl="1h")
        made = keyturn("creds", f"{mount}/app", "--format", "json")
        answer = json.loads(made.stdout)
        assert can_log_in(postgresql, answer["data"]) and answer["lease_id"] in made.stderr.decode()
        keyturn("lease", "renew", answer["lease_id"], "--increment", "30m")
        keyturn("lease", "revoke", answer["lease_id"])
        assert not can_log_in(postgresql, answer["data"])
        password = keyturn("creds", f"{mount}/creds/app", "--field", "password").stdout.decode()
        assert len(password) == 20
        wrong = keyturn("target", "add", "pg", "--engine", "postgresql", "--url", url, "--username", postgresql.user,
                        "--password-stdin", "--mount", mount, stdin=b"wrong-s3cret", expect=FAILED)
        assert b"error verifying connection" in wrong.stderr and b"wrong-s3cret" not in wrong.stderr
        keyturn("target", "test", "none", "--mount", mount, expect=FAILED)
        keyturn("creds", f"{mount}/none", expect=FAILED)
        assert json.loads(keyturn("target", "list", "--mount", mount, "--format", "json").stdout)["pg"][
            "allowed_roles"] == ["app"], "what is not given stays"
        client.sys.revoke_prefix(f"{mount}/creds")
        keyturn("target", "remove", "pg", "--mount", mount)
        keyturn("target", "list", "--mount", mount, expect=NOT_FOUND)
    finally:
        client.sys.disable_secrets_engine(mount)


def test_the_shortest_rotation(client, keyturn, postgresql):
    """A new target is for all roles and rotations, and says so; with its list emptied, for none."""
    mount, name = unique("db"), unique("shortest")
    role, users = f"{name}_owner", [f"{name}_a", f"{name}_b"]
    connection = postgresql.connect()
    connection.cursor().execute(f'CREATE ROLE "{role}" NOLOGIN')
    connection.close()
    url = f"postgresql://{postgresql.host}:{postgresql.port}/postgres?sslmode=disable"
    added = keyturn("target", "add", "pg", "--engine", "postgresql", "--url", url, "--username", postgresql.user,
                    "--password-stdin", "--mount", mount, stdin=postgresql.password.encode())
    assert b"allowed_roles = *" in added.stderr
    create = ["rotation", "create", f"secret/{name}", "--target", f"{mount}/pg", "--strategy", "alternating",
              "--owner-role", role, "--user", users[0], "--user", users[1], "--every", "24h"]
    try:
        keyturn(*create)
        assert can_log_in(postgresql, client.read(f"secret/data/{name}")["data"]["data"])
        client.write(f"{mount}/config/pg", allowed_roles="")
        told = keyturn("rotation", "create", f"secret/{name}", "--every", "12h", expect=FAILED).stderr.decode()
        assert "allowed_roles do not allow" in told and f"{mount}/config/pg" in told
        client.write(f"{mount}/config/pg", allowed_roles=f"{name}_*")
        keyturn("rotation", "create", f"secret/{name}", "--every", "12h")
    finally:
        client.delete(f"sys/rotation/secret/{name}")
        client.sys.disable_secrets_engine(mount)
