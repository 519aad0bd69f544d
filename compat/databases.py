"""Real databases from Debian's packages, started for a test: PostgreSQL, MariaDB and Redis.

One way to start a server, for the tests in Python (the fixtures below) and for those in Rust, which run this file:

    databases.py run ENGINE [--certificate FILE --key FILE --ca FILE] [--aclfile]

prints one line of JSON (`host`, `port`, `user`, `password`, `socket`, `pid`, `directory`) once the server answers, and
stops it when its standard input ends, however its parent died. `databases.py missing` names the packages that are not
installed.

A server runs as an unprivileged user, on a free port of loopback, in a temporary directory of its own. It writes
nothing durably, for speed. Nothing here is started, stopped or configured as a service of the machine.
"""

import argparse
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

try:
    import pytest
except ModuleNotFoundError:  # The tests in Rust run this file with the system's Python.
    pytest = None

DEADLINE_SECONDS = 60
HOST = "127.0.0.1"
# The package of each engine, and the program that it brings.
PACKAGES = {"postgresql": ("postgresql", "postgres"), "mysql": ("mariadb-server", "mariadbd"),
            "redis": ("redis-server", "redis-server")}
# Who runs the servers when the tests are run by root, whom PostgreSQL and MariaDB refuse.
UNPRIVILEGED = "nobody"


@dataclass
class Material:
    """Files with a certificate for the server, its key, and the authority of client certificates."""

    certificate: str
    key: str
    ca: str


@dataclass
class Database:
    """A server that runs, and its administrator."""

    engine: str
    directory: Path
    port: int
    user: str
    password: str
    socket: str = ""
    host: str = HOST
    command: list = field(default_factory=list)
    process: subprocess.Popen = None

    def description(self):
        """What a test needs to know, as JSON."""
        return json.dumps({"host": self.host, "port": self.port, "user": self.user, "password": self.password,
                           "socket": self.socket, "pid": self.process.pid, "directory": str(self.directory)})

    def launch(self):
        """Starts the server's process and waits until it answers."""
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(_as_nobody(self.command, pdeathsig=True), cwd=self.directory,
                                            env=_environment(self.directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.engine} does not start:\n{self.log()}")
            time.sleep(0.02)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            return False
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as probe:
                if self.engine == "postgresql":
                    # Begins a login: the question for a password shows that it takes connections, an error that it
                    # is still starting.
                    login = b"\x00\x03\x00\x00user\0" + self.user.encode() + b"\0database\0postgres\0\0"
                    probe.sendall((len(login) + 4).to_bytes(4, "big") + login)
                    return probe.recv(1) == b"R"
                if self.engine == "redis":
                    probe.sendall(b"PING\r\n")
                return bool(probe.recv(1))
        except OSError:
            return False

    def signal(self, number):
        """Sends the server a signal; SIGSTOP hangs it, SIGCONT lets it go on."""
        children = []
        if number in (signal.SIGSTOP, signal.SIGCONT):
            # PostgreSQL has a process for each connection.
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.send_signal(number)
        for child in children:
            try:
                os.kill(int(child), number)
            except ProcessLookupError:
                continue

    def halt(self, number=None):
        """Ends the server's process, at once for a crash (SIGKILL); its data stay for another `launch`."""
        if self.process is None or self.process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        # PostgreSQL waits for its clients after SIGTERM, and for nobody after SIGINT.
        self.process.send_signal(number or (signal.SIGINT if self.engine == "postgresql" else signal.SIGTERM))
        try:
            self.process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self):
        """Stops the server and starts it again, with its data."""
        self.halt()
        return self.launch()

    def stop(self):
        """Ends the server and removes its data."""
        self.halt()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        """All that the server has printed."""
        return (self.directory / "server.log").read_text(errors="replace")

    def connect(self, user=None, password=None, **options):
        """A connection of the driver that applications use, by default as the administrator."""
        user, password = user or self.user, self.password if password is None else password
        return _CONNECT[self.engine](self, user, password, options)


def _connect_postgresql(server, user, password, options):
    import psycopg

    options = {"dbname": "postgres", "autocommit": True, "connect_timeout": 20} | options
    return psycopg.connect(host=server.host, port=server.port, user=user, password=password, **options)


def _connect_mysql(server, user, password, options):
    import pymysql

    options = {"autocommit": True, "connect_timeout": 20} | options
    return pymysql.connect(host=server.host, port=server.port, user=user, password=password, **options)


def _connect_redis(server, user, password, options):
    import redis

    options = {"decode_responses": True, "socket_timeout": 20} | options
    client = redis.Redis(host=server.host, port=server.port, username=user, password=password, **options)
    client.ping()
    return client


_CONNECT = {"postgresql": _connect_postgresql, "mysql": _connect_mysql, "redis": _connect_redis}


def program(name):
    """The path of a server's program, or None. PostgreSQL's are not on the path in Debian; its newest is taken."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(versions[-1]) if versions else found


def missing():
    """The packages that have to be installed."""
    return [package for package, name in PACKAGES.values() if not program(name)]


def _as_nobody(command, pdeathsig=False):
    """The command, run by the unprivileged user; it ends with its parent, if asked to."""
    prefix = []
    if os.geteuid() == 0:
        group = str(pwd.getpwnam(UNPRIVILEGED).pw_gid)
        prefix = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={group}", "--clear-groups"]
    if pdeathsig:
        prefix = (prefix or ["setpriv"]) + ["--pdeathsig=TERM"]
    return prefix + command


def _environment(directory):
    """Temporary files are a server's own: MariaDB removes those of others from a directory that it shares."""
    return os.environ | {"TMPDIR": str(directory)}


def _prepare(command, directory):
    finished = subprocess.run(_as_nobody(command), cwd=directory, env=_environment(directory), capture_output=True,
                              text=True, check=False, stdin=subprocess.DEVNULL)
    if finished.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{finished.stdout}{finished.stderr}")


def _own(path):
    """Gives a file or directory to the unprivileged user."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def _write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return str(_own(path))


def _copies(material, directory):
    """Copies of the files that the server's user can read, and no other."""
    return [_write(directory / f"tls.{name}", Path(getattr(material, name)).read_text())
            for name in ("certificate", "key", "ca")]


def _free_port():
    """A port that nobody listens on, below those that the system gives to outgoing connections: it stays free while
    the server restarts."""
    while True:
        port = 15000 + secrets.randbelow(15000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def _postgresql(server, material, _aclfile):
    data, password = server.directory / "data", server.directory / "password"
    _write(password, server.password)
    _prepare([program("initdb"), "-D", str(data), "-U", server.user, f"--pwfile={password}", "-A", "scram-sha-256",
              "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], server.directory)
    password.unlink()
    server.socket = str(server.directory)
    options = {"port": server.port, "listen_addresses": HOST, "unix_socket_directories": server.directory,
               "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": 200,
               "log_statement": "all"}
    if material:
        certificate, key, ca = _copies(material, server.directory)
        options |= {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": ca}
        # Who comes as `certified` shows a certificate; who comes as `secure` comes by TLS.
        rules = "hostssl all certified all cert\nhostssl all secure all scram-sha-256\nhost all secure all reject\n"
        access = data / "pg_hba.conf"
        access.write_text(rules + access.read_text())
    return [program("postgres"), "-D", str(data)] + [part for name, value in options.items()
                                                     for part in ("-c", f"{name}={value}")]


def _mysql(server, material, _aclfile):
    data = server.directory / "data"
    server.socket = str(server.directory / "mysql.sock")
    _prepare(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
              "--skip-test-db", "--skip-name-resolve"], server.directory)
    init = server.directory / "init.sql"
    # One statement a line.
    _write(init, f"CREATE USER IF NOT EXISTS '{server.user}'@'%' IDENTIFIED BY '{server.password}';\n"
                 f"GRANT ALL ON *.* TO '{server.user}'@'%' WITH GRANT OPTION;\n"
                 "DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n")
    options = [f"--datadir={data}", f"--socket={server.socket}", f"--port={server.port}", f"--bind-address={HOST}",
               f"--init-file={init}", f"--pid-file={server.directory}/pid", "--skip-name-resolve",
               "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-log-bin",
               "--innodb-flush-method=nosync", "--performance-schema=OFF"]
    if material:
        certificate, key, ca = _copies(material, server.directory)
        options += [f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--ssl-ca={ca}"]
    return [program("mariadbd"), "--no-defaults", *options]


def _redis(server, material, aclfile):
    server.user = "default"
    server.socket = str(server.directory / "redis.sock")
    lines = [f"bind {HOST}", f"unixsocket {server.socket}", 'save ""', "appendonly no", f"dir {server.directory}",
             "daemonize no"]
    if aclfile:
        users = _write(server.directory / "users.acl", f"user default on >{server.password} ~* &* +@all\n")
        lines.append(f"aclfile {users}")
    else:
        lines.append(f"requirepass {server.password}")
    if material:
        certificate, key, ca = _copies(material, server.directory)
        lines += ["port 0", f"tls-port {server.port}", f"tls-cert-file {certificate}", f"tls-key-file {key}",
                  f"tls-ca-cert-file {ca}", "tls-auth-clients optional"]
    else:
        lines.append(f"port {server.port}")
    configuration = _write(server.directory / "redis.conf", "\n".join(lines) + "\n")
    return [program("redis-server"), configuration]


_MAKE = {"postgresql": _postgresql, "mysql": _mysql, "redis": _redis}


def start(engine, material=None, aclfile=False):
    """Starts a new server of an engine (`postgresql`, `mysql`, `redis`) with an administrator of its own."""
    package, name = PACKAGES[engine]
    if not program(name):
        raise RuntimeError(f"{name} is not installed: run ./test, or install the Debian package {package}")
    directory = _own(Path(tempfile.mkdtemp(prefix=f"keyturn-{engine}-")))
    server = Database(engine, directory, _free_port(), user="admin", password=secrets.token_hex(12))
    try:
        server.command = _MAKE[engine](server, material, aclfile)
        # Only a server with TLS alone answers nothing to a plain question.
        return server.launch() if not (engine == "redis" and material) else _launch_silent(server)
    except BaseException:
        server.stop()
        raise


def _launch_silent(server):
    """Starts a server that speaks TLS alone: it is up when its socket in the file system is."""
    server._answers = lambda: Path(server.socket).exists() and server.process.poll() is None
    return server.launch()


if pytest:
    def _session(engine):
        server = start(engine)
        yield server
        server.stop()

    @pytest.fixture(scope="session")
    def postgresql():
        """PostgreSQL: `host`, `port`, `user`, `password`, `connect(user, password)` by psycopg, `signal`, `restart`."""
        yield from _session("postgresql")

    @pytest.fixture(scope="session")
    def mariadb():
        """MariaDB: `host`, `port`, `user`, `password`, `connect(user, password)` by PyMySQL, `signal`, `restart`."""
        yield from _session("mysql")

    @pytest.fixture(scope="session")
    def redis_server():
        """Redis: `host`, `port`, `user`, `password`, `connect(user, password)` by redis-py, `signal`, `restart`."""
        yield from _session("redis")

    @pytest.fixture(scope="session")
    def redis(redis_server):
        """The same as `redis_server`."""
        return redis_server


def _run(arguments):
    given = (arguments.certificate, arguments.key, arguments.ca)
    server = start(arguments.engine, Material(*given) if all(given) else None, arguments.aclfile)
    try:
        print(server.description(), flush=True)
        # `restart` on a line does so; `stop`, or the end of the input, ends all.
        while (line := sys.stdin.readline()) and line.strip() != "stop":
            if line.strip() == "restart":
                server.restart()
                print(server.description(), flush=True)
    finally:
        server.stop()


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("missing")
    run = verbs.add_parser("run")
    run.add_argument("engine", choices=list(_MAKE))
    for name in ("certificate", "key", "ca"):
        run.add_argument(f"--{name}")
    run.add_argument("--aclfile", action="store_true")
    arguments = parser.parse_args()
    if arguments.verb == "missing":
        print(*missing())
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _run(arguments)


if __name__ == "__main__":
    main()
