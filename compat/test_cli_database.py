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
        client.sys.revoke_prefix(f"{mount}/creds")
        keyturn("target", "remove", "pg", "--mount", mount)
        keyturn("target", "list", "--mount", mount, expect=NOT_FOUND)
    finally:
        client.sys.disable_secrets_engine(mount)
