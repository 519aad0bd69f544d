"""`kill -9` while credentials are issued: no user is left that no lease knows, and what was handed out is good."""

import threading

import pytest
import requests
from hvac import exceptions

import harness
from support import wait_until
from test_database import can_log_in, connect, make_role, users

pytestmark = pytest.mark.keyturn

ISSUERS = 4
ISSUED_PER_ROUND = 15
ROUNDS = 3
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
# A prefix of this test's own: the server is shared.
TEMPLATE = "v-crash-{{ random 20 }}"


@pytest.fixture
def durable(tmp_path):
    """A server whose store is on disk."""
    server = harness.configured_server(tmp_path)
    server.initialise()
    yield server
    server.stop()


def issue_until_killed(server):
    """Issues credentials from several threads and kills the server in their midst; what was handed out."""
    handed_out, failures = [], []

    def issue():
        client = server.client()
        while True:
            try:
                answer = client.secrets.database.generate_credentials("app")
                handed_out.append((answer["lease_id"], answer["data"]))
            except requests.exceptions.RequestException:
                return
            except exceptions.VaultError as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=issue) for _ in range(ISSUERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until("enough is issued", lambda: failures or len(handed_out) >= ISSUED_PER_ROUND, seconds=60)
    finally:
        server.kill()
        for thread in threads:
            thread.join()
    assert not failures, failures[:3]
    return handed_out


def test_users_are_those_of_leases(durable, postgresql):
    """After each kill: as many leases as users at least, and each credential that was handed out logs in."""
    client = durable.client()
    client.sys.enable_secrets_engine("database", path="database")
    connect(client, "database", postgresql, username_template=TEMPLATE)
    make_role(client, "database", statements=CREATE, default_ttl="1h")
    all_issued = []
    for _ in range(ROUNDS):
        all_issued += issue_until_killed(durable)
        durable.start()
        durable.unseal()
        client = durable.client()
        leases = client.sys.list_leases("database/creds/app")["data"]["keys"]
        alive = users(postgresql, "v-crash-")
        assert len(alive) <= len(leases)
        for lease_id, credential in all_issued:
            assert lease_id.rsplit("/", 1)[1] in leases and credential["username"] in alive
        assert can_log_in(postgresql, all_issued[-1][1])
    client.sys.revoke_prefix("database/creds/app")
    wait_until("no user is left", lambda: not users(postgresql, "v-crash-"))
    assert not any(can_log_in(postgresql, credential) for _, credential in all_issued[:3])


def test_the_administrator_is_not_locked_out(durable, postgresql):
    """Killed while its password is changed, again and again: one of the two is known."""
    admin = "crash_admin"
    with postgresql.connect() as connection:
        connection.execute(f"DROP ROLE IF EXISTS {admin}")
        connection.execute(f"CREATE ROLE {admin} SUPERUSER LOGIN PASSWORD 'first'")
    client = durable.client()
    client.sys.enable_secrets_engine("database", path="database")
    connect(client, "database", postgresql, username=admin, password="first")
    for _ in range(ROUNDS):
        stopped, done = threading.Event(), []

        def rotate(stopped=stopped, done=done, client=durable.client()):
            while not stopped.is_set():
                try:
                    client.secrets.database.rotate_root_credentials("pg")
                    done.append(True)
                except (requests.exceptions.RequestException, exceptions.VaultError):
                    return

        thread = threading.Thread(target=rotate)
        thread.start()
        wait_until("some rotations are done", lambda done=done: len(done) >= 3, seconds=60)
        durable.kill()
        stopped.set()
        thread.join()
        durable.start()
        durable.unseal()
        durable.client().secrets.database.reset_connection("pg")
    with postgresql.connect() as connection:
        connection.execute(f"DROP ROLE {admin}")
