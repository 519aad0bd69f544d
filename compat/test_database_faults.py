"""A database that hangs, stops and crashes while credentials are revoked, and a server that is killed meanwhile: every
credential goes in the end, its user with it, and no lease is given up."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import databases
import harness
from support import wait_until
from test_rotation_databases import PLUGINS

pytestmark = pytest.mark.keyturn

FAILURES = re.compile(r"^keyturn_lease_revocation_failures_total (\d+)", re.MULTILINE)
# A call at a database that hangs is given up after 20 seconds; a lease whose revocation failed twice waits for 30.
PATIENCE_SECONDS = 90
ISSUERS = 8
PREFIX = "v-fault-"
CREATE = {"postgresql": "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'",
          "mysql": "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"}
# What a commit was answered for stays after a crash of the process, unlike with what the other tests start.
KEEPS = {"postgresql": ["-c", "synchronous_commit=on"], "mysql": []}
USERS = {"postgresql": "SELECT rolname FROM pg_roles WHERE rolname LIKE %s",
         "mysql": "SELECT user FROM mysql.user WHERE user LIKE %s"}


class Scene:
    """A database of the test's own, a server whose store is on disk, and leases of many credentials."""

    def __init__(self, engine, directory):
        self.database = databases.start(engine)
        self.database.command += KEEPS[engine]
        self.database.restart()
        self.server = harness.configured_server(directory)
        self.server.initialise()
        self.client = self.server.client()
        self.client.sys.enable_secrets_engine("database", path="database")
        plugin, url = PLUGINS[engine]
        self.client.write("database/config/it", plugin_name=plugin, allowed_roles="*", username=self.database.user,
                          password=self.database.password, max_open_connections=8,
                          username_template=f"{PREFIX}{{{{ random 20 }}}}",
                          connection_url=url % (self.database.host, self.database.port))
        self.client.write("database/roles/app", db_name="it", creation_statements=CREATE[engine], default_ttl="1h")

    def end(self):
        """Ends both processes."""
        self.server.stop()
        self.database.stop()

    def issue(self, count):
        """Issues so many credentials, several at once."""
        with ThreadPoolExecutor(ISSUERS) as pool:
            issued = list(pool.map(lambda _: self.server.call("GET", "database/creds/app").status, range(count)))
        assert issued == [200] * count and len(self.users()) == count

    def revoke(self):
        """Has all revoked, and does not wait for it."""
        answer = self.server.call("PUT", "sys/leases/revoke-prefix/database/creds", {"sync": False})
        assert answer.status == 202, answer

    def users(self):
        """The users of leases that the database has."""
        connection = self.database.connect()
        cursor = connection.cursor()
        cursor.execute(USERS[self.database.engine], (f"{PREFIX}%",))
        found = {row[0] for row in cursor.fetchall()}
        connection.close()
        return found

    def leases(self):
        """The ids of the leases that are left."""
        listed = self.client.list("sys/leases/lookup/database/creds/app")
        return set(listed["data"]["keys"]) if listed else set()

    def fall_below(self, count):
        """Waits until fewer users are left than that; none left would be too few for what is to come."""
        left = wait_until(f"fewer than {count} users", lambda: (now := len(self.users())) < count and now + 1,
                          PATIENCE_SECONDS) - 1
        assert left > 0, "all was revoked before the fault"
        self.none_is_given_up()

    def failures(self):
        """Revocations that failed since the server started."""
        text = self.server.call("GET", "sys/metrics?format=prometheus").body.decode()
        return int(FAILURES.search(text)[1])

    def until_noticed(self, before):
        """Waits until a revocation has failed; reads go on meanwhile."""
        wait_until("a revocation fails", lambda: self.failures() > before, PATIENCE_SECONDS)

    def none_is_given_up(self):
        """No lease is irrevocable."""
        assert self.client.read("sys/leases/count?type=irrevocable")["data"]["lease_count"] == 0

    def until_all_is_gone(self):
        """Waits for the end of all leases: no user is left, and none was given up."""
        wait_until("the end of all leases", lambda: not self.leases(), PATIENCE_SECONDS)
        assert self.users() == set()
        self.none_is_given_up()

    def hang(self):
        """The database hangs until that was noticed."""
        before = self.failures()
        self.database.signal(signal.SIGSTOP)
        try:
            self.until_noticed(before)
        finally:
            self.database.signal(signal.SIGCONT)

    def be_away(self):
        """The database is stopped until that was noticed."""
        before = self.failures()
        self.database.halt()
        self.until_noticed(before)
        self.database.launch()

    def power_cut(self):
        """The server is killed, and started again."""
        self.server.kill()
        self.server.start()
        self.server.unseal()


@pytest.fixture
def scene(tmp_path):
    """Makes a scene."""
    made = []

    def make(engine):
        made.append(Scene(engine, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_thousand_revocations_outlive_every_fault(scene):
    """PostgreSQL hangs, is stopped, crashes; the server is killed in between."""
    it = scene("postgresql")
    it.issue(1000)
    it.revoke()
    it.fall_below(950)
    it.hang()
    it.fall_below(750)
    it.be_away()
    it.fall_below(500)
    it.power_cut()
    it.fall_below(300)
    it.database.halt(signal.SIGQUIT)
    it.database.launch()
    it.until_all_is_gone()


def test_mariadb_hangs_and_stops_before_the_first_answer(scene):
    """What hung may be done later all the same: it is done again, and that is no failure."""
    it = scene("mysql")
    it.issue(200)
    before = it.failures()
    it.database.signal(signal.SIGSTOP)
    it.revoke()
    it.until_noticed(before)
    it.server.kill()
    it.database.signal(signal.SIGCONT)
    it.database.halt()
    it.server.start()
    it.server.unseal()
    it.until_noticed(0)
    it.database.launch()
    it.until_all_is_gone()


def test_a_database_that_stays_away_is_told_of(scene):
    """A lease that is asked for by hand while the database is away says so, and ends by itself once it is back."""
    it = scene("postgresql")
    it.issue(3)
    it.database.halt()
    lease = f"database/creds/app/{min(it.leases())}"
    answer = it.server.call("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})
    assert answer.status == 400 and "it is tried again until it succeeds" in answer.body.decode()
    # All of them are left alone for a moment since one found it away, and count no failure.
    failed = it.failures()
    answer = it.server.call("PUT", "sys/leases/revoke-prefix/database/creds", {"sync": True})
    assert answer.status == 400 and it.failures() <= failed + 1
    it.database.launch()
    it.until_all_is_gone()
