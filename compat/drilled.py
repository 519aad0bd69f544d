"""An application to drill: it serves queries over HTTP from a pool of connections, with what a secret holds."""

import threading
from contextlib import contextmanager

import hvac
import psycopg

import listeners

SIZE = 2


class Application:
    """`/query` is a query over the pool. It reads its secret again when it is asked, unless it is `stubborn`."""

    def __init__(self, reader, secret, database, name="web", stubborn=False):
        self.reader, self.secret, self.database, self.name, self.stubborn = reader, secret, database, name, stubborn
        self.lock = threading.Lock()
        self.credential, self.pool = None, []
        # Queries that fail once a new credential is there.
        self.clumsy, self.stumbles = 0, 0

    def open(self, credential):
        """A new pool in the place of the one before, whose connections are closed when the new ones are there."""
        before, self.credential = self.pool, credential
        self.pool = [self.database.connect(*credential, application_name=self.name) for _ in range(SIZE)]
        for connection in before:
            connection.close()

    def read(self):
        data = self.reader.secrets.kv.v2.read_secret_version(self.secret, mount_point="secret",
                                                             raise_on_deleted_version=True)["data"]["data"]
        return data["username"], data["password"]

    def query(self):
        """The status that is answered."""
        with self.lock:
            try:
                held = self.credential if self.stubborn and self.credential else self.read()
                if held != self.credential:
                    self.stumbles = self.clumsy if self.credential else 0
                    self.open(held)
                if self.stumbles:
                    self.stumbles -= 1
                    return 503
                for connection in self.pool:
                    connection.execute("SELECT 1")
                return 200
            except (psycopg.Error, hvac.exceptions.VaultError):
                return 503

    def close(self):
        for connection in self.pool:
            connection.close()


@contextmanager
def serving(application):
    """Serves an application; gives its URL."""

    class Handler(listeners.Quiet):
        def do_GET(self):
            status = application.query() if self.path.startswith("/query") else 302
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/login?state=canary-state")
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"canary")

    try:
        with listeners.serving(Handler) as url:
            yield url
    finally:
        application.close()
