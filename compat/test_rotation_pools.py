"""Applications with a pool of connections at full load while the credential is rotated fifty times: no query fails.

One is SQLAlchemy over hvac, one a program in Rust with a pool of its own (crates/testing/examples). Both read the same
secret, as applications should: again and again, with each new connection logging in as it says, and connections of an
earlier version given up when they come back to the pool. They share nothing else.
"""

import os
import subprocess
import threading

import pytest
import sqlalchemy
from sqlalchemy import event

import harness
from support import wait_until
from test_rotation_databases import names, target  # noqa: F401
from test_rotation_databases import come_to_rest, credential, lets_in, query, set_up, status

pytestmark = pytest.mark.keyturn

ROTATIONS = 50
CONNECTIONS = 8
# How often the secret is read. A minute or so would do where an overlap lasts longer than a test has time for.
REFRESH_SECONDS = 0.1


@pytest.fixture(scope="module")
def rust_application():
    """The program in Rust: beside the binary under test, or built."""
    built = harness.BINARY.parent / "examples" / "pooled_application"
    if "KEYTURN_COMPAT_BINARY" not in os.environ or not built.exists():
        command = ["cargo", "build", "--locked", "--release", "--workspace", "--example", built.name]
        done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        built = harness.ROOT / "target" / "release" / "examples" / built.name
    return built


class Secret:
    """A secret as an application knows it, read by hvac again and again."""

    def __init__(self, client, name):
        self.client, self.name, self.failures, self.over = client, name, [], threading.Event()
        self.refresh()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def refresh(self):
        """Reads it."""
        data = self.client.secrets.kv.v2.read_secret_version(self.name, mount_point="secret",
                                                             raise_on_deleted_version=True)["data"]
        self.now = data["metadata"]["version"], data["data"]["username"], data["data"]["password"]

    def run(self):
        """Reads it until it is over."""
        while not self.over.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(f"the secret: {error!r}")


class SqlAlchemy:
    """SQLAlchemy's pool, and threads that query over it without a pause."""

    def __init__(self, client, name, database):
        self.secret = Secret(client, name)
        self.engine = sqlalchemy.create_engine(
            f"postgresql+psycopg://{database.host}:{database.port}/postgres", pool_size=CONNECTIONS, max_overflow=0)
        event.listen(self.engine, "do_connect", self.log_in)
        event.listen(self.engine, "checkout", self.look)
        self.queries, self.users, self.failures = 0, set(), []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()

    def log_in(self, _dialect, record, _arguments, options):
        """Each new connection logs in with what the secret holds now."""
        record.info["version"], options["user"], options["password"] = self.secret.now

    def look(self, _connection, record, _proxy):
        """A connection of an earlier version is replaced before it is used again."""
        if record.info["version"] != self.secret.now[0]:
            raise sqlalchemy.exc.DisconnectionError("its credential is replaced")

    def run(self):
        """Queries until it is over."""
        while not self.secret.over.is_set():
            try:
                with self.engine.connect() as connection:
                    self.users.add(connection.exec_driver_sql("SELECT session_user").scalar())
                    self.queries += 1
            except sqlalchemy.exc.SQLAlchemyError as error:
                self.failures.append(repr(error))

    def stop(self):
        """Ends it; what failed."""
        self.secret.over.set()
        for thread in self.threads + [self.secret.thread]:
            thread.join()
        self.engine.dispose()
        self.failures += self.secret.failures


class Rust:
    """The program in Rust, which is over when its input ends."""

    def __init__(self, program, server, token, name, database):
        environment = harness.clean_environment(server.directory) | {"KEYTURN_TOKEN": token}
        self.process = subprocess.Popen([program, server.address, name, str(database.port)], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        """Ends it, and reads what came of it."""
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        queries, users, *self.failures = out.splitlines()
        self.queries, self.users = int(queries), set(users.split())


def is_connected(database, application):
    """Whether an application has a session that has asked something."""
    with database.connect() as admin:
        sessions = admin.execute("SELECT query FROM pg_stat_activity WHERE application_name = %s", [application])
        return any("session_user" in query for query, in sessions)


def test_no_query_fails_in_fifty_rotations(server, client, limited, target, names, postgresql, rust_application):
    name, users, role = names
    query(postgresql, (), f"CREATE ROLE {role}")
    set_up(client, name, target=target(postgresql), users=users, owner_role=role)
    come_to_rest(client, name, 1)
    policy = f'path "secret/data/{name}" {{ capabilities = ["read"] }}'
    applications = [SqlAlchemy(limited(policy), name, postgresql),
                    Rust(rust_application, server, limited(policy).token, name, postgresql)]
    try:
        for count in range(2, ROTATIONS + 2):
            client.write(f"sys/rotation-run/secret/{name}")
            come_to_rest(client, name, count)
    finally:
        for application in applications:
            application.stop()
    for application in applications:
        assert application.failures == []
        assert application.queries > 100 * ROTATIONS and application.users == set(users)


def test_a_pool_that_holds_on_is_named_and_served(server, client, limited, target, names, postgresql, rust_application):
    """Beside one that moves on, one that reads the secret once and keeps its connection."""
    name, users, role = names
    query(postgresql, (), f"CREATE ROLE {role}")
    set_up(client, name, target=target(postgresql), users=users, owner_role=role, overlap_max="1s")
    come_to_rest(client, name, 1)
    policy = f'path "secret/data/{name}" {{ capabilities = ["read"] }}'
    stubborn, application = limited(policy), None
    held = credential(stubborn, name)
    pool = sqlalchemy.create_engine(
        f"postgresql+psycopg://{postgresql.host}:{postgresql.port}/postgres?application_name=stubborn", pool_size=1,
        connect_args={"user": held[0], "password": held[1]})

    def ask():
        with pool.connect() as connection:
            return connection.exec_driver_sql("SELECT session_user").scalar()

    assert ask() == users[0]
    try:
        application = Rust(rust_application, server, limited(policy).token, name, postgresql)
        wait_until("the other one queries", lambda: is_connected(postgresql, "pooled"))
        client.write(f"sys/rotation-run/secret/{name}")
        identity = f"accessor/{stubborn.auth.token.lookup_self()['data']['accessor']}"

        def only_stubborn_is_left():
            told = status(client, name)
            return (told["run"] and "overlap" == told["state"] and [one["identity"] for one in told["stragglers"]]
                    == [identity] and [one["application"] for one in told["sessions"]] == ["stubborn"] and told)

        began = wait_until("the overlap", lambda: (status(client, name)["run"] or {}).get("promoted_time"))
        told = wait_until("only the stubborn one is left", only_stubborn_is_left, 60)
        [straggler], [session] = told["stragglers"], told["sessions"]
        assert (straggler["version"], straggler["address"]) == (1, "127.0.0.1") and straggler["last_read_time"]
        assert session["username"] == users[0] and session["address"].startswith("127.0.0.1")
        wait_until("the overlap is over its longest",
                   lambda: identity in status(client, name)["run"]["waiting_for"])
        # New connections, too: the credential before is as good as ever.
        pool.dispose()
        assert ask() == users[0] and lets_in(postgresql, *held)
        assert credential(stubborn, name) != held
        wait_until("the session alone is left", lambda: not status(client, name)["stragglers"])
        assert ask() == users[0] and status(client, name)["sessions"]
        assert status(client, name)["run"]["promoted_time"] == began
    finally:
        pool.dispose()
        if application:
            application.stop()
    come_to_rest(client, name, 2)
    assert application.failures == [] and application.users == set(users)
    assert not lets_in(postgresql, *held)
