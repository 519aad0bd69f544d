"""Starts and stops real servers, and says how to talk to the one under test.

By default that is the binary of this project. `KEYTURN_COMPAT_ADDR` and `KEYTURN_COMPAT_TOKEN` (a root token) point
the suite at another running server that speaks the same API, and `KEYTURN_COMPAT_UNINITIALISED` (a command line that
starts an uninitialised server on `{port}` with its files in `{directory}`) at another binary for the tests of
initialisation and sealing. A compliance suite that only its own implementation has passed proves little.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import hvac

import wire
from support import DEADLINE_SECONDS, unique, wait_until

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("KEYTURN_COMPAT_BINARY", ROOT / "target" / "release" / "keyturn"))
OTHER_ADDRESS = os.environ.get("KEYTURN_COMPAT_ADDR")
OTHER_TOKEN = os.environ.get("KEYTURN_COMPAT_TOKEN")
OTHER_UNINITIALISED = os.environ.get("KEYTURN_COMPAT_UNINITIALISED")

LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")

CONFIGURATION = """\
[storage]
type = "embedded"
path = "{directory}/data/keyturn.store"

[[listener]]
address = "127.0.0.1:{port}"

[log]
level = "{log_level}"
"""


@dataclass
class Server:
    """A server that answers at `address`; `token` is its root token, once there is one."""

    address: str
    token: str = ""
    is_keyturn: bool = True

    def client(self, token=None):
        """A real hvac client, by default with the root token; an empty string means none at all."""
        return hvac.Client(url=self.address, token=self.token if token is None else token)

    def call(self, method, path, body=None, token=None, headers=None):
        """One plain HTTP request, by default with the root token. See `wire.call`."""
        return wire.call(self.address, method, path, body, self.token if token is None else token, headers)

    def answers(self):
        """Whether anything answers on the address, sealed or not."""
        try:
            return self.call("GET", "sys/health", token="").status
        except OSError:
            return None


@dataclass
class Process(Server):
    """A server that this suite started. Its output lies in `directory`, for tests that search it."""

    address: str = ""
    command: list = field(default_factory=list)
    directory: Path = None
    environment: dict = field(default_factory=dict)
    keys: list = field(default_factory=list)
    _child: subprocess.Popen = None

    def start(self):
        """Starts the process and waits until it answers; the address is the one that it prints, if not known."""
        with open(self.stdout, "ab") as out, open(self.stderr, "ab") as err:
            self._child = subprocess.Popen(
                self.command, cwd=self.directory, env=clean_environment(self.directory) | self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )
        wait_until(f"{self.command[0]} answers; its output: {self.directory}", self._is_up)
        return self

    def _is_up(self):
        assert self._child.poll() is None, f"exited with {self._child.returncode}:\n{self.output()}"
        if not self.address and (found := LISTENING.search(self.output())):
            self.address = found.group(0)
        return self.address and self.answers()

    def stop(self):
        """Ends the process as a supervisor would (SIGTERM), and returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """Ends the process as a power cut would (SIGKILL)."""
        return self._end(signal.SIGKILL)

    def signal(self, number):
        """Sends a signal and goes on."""
        self._child.send_signal(number)

    def _end(self, number):
        if self._child.poll() is None:
            self._child.send_signal(number)
            try:
                self._child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
                raise
        return self._child.returncode

    @property
    def stdout(self):
        """Where standard output is collected, over restarts."""
        return self.directory / "stdout.log"

    @property
    def stderr(self):
        """Where standard error is collected, over restarts."""
        return self.directory / "stderr.log"

    def output(self):
        """All that the process has printed so far."""
        return self.stdout.read_text(errors="replace") + self.stderr.read_text(errors="replace")

    def initialise(self, shares=1, threshold=1):
        """Initialises the server and unseals it; keeps the shares and the root token."""
        made = self.client("").sys.initialize(secret_shares=shares, secret_threshold=threshold)
        self.keys, self.token = made["keys_base64"], made["root_token"]
        self.unseal()
        return made

    def unseal(self):
        """Unseals with the shares kept by `initialise`, and waits until the server is active."""
        self.client("").sys.submit_unseal_keys(self.keys)
        wait_until("the unsealed server is active", lambda: self.answers() == 200)


def dev_server(directory, *arguments):
    """Starts `keyturn dev` on a free port, in memory unless the arguments say otherwise."""
    token = unique("root")
    command = [str(BINARY), "dev", "--listen", "127.0.0.1:0", *arguments]
    environment = {"KEYTURN_DEV_ROOT_TOKEN": token}
    return Process(token=token, command=command, directory=directory, environment=environment).start()


def configured_server(directory, log_level="info", more=""):
    """Starts an uninitialised server whose data lies in `directory`/data; `more` is added to its configuration."""
    port = free_port()
    if OTHER_UNINITIALISED:
        command = shlex.split(OTHER_UNINITIALISED.format(port=port, directory=directory))
    else:
        configuration = directory / "keyturn.toml"
        text = CONFIGURATION.format(directory=directory, port=port, log_level=log_level)
        configuration.write_text(f"{text}\n{more}")
        command = [str(BINARY), "server", "--config", str(configuration)]
    address = f"http://127.0.0.1:{port}"
    return Process(address=address, command=command, directory=directory, is_keyturn=not OTHER_UNINITIALISED).start()


def run_keyturn(server, *arguments, stdin=b"", token=None, home=None):
    """Runs the command line against a server, by default with its root token; returns the finished process."""
    token = server.token if token is None else token
    environment = client_environment(server, home or server.directory) | ({"KEYTURN_TOKEN": token} if token else {})
    return subprocess.run([str(BINARY), *arguments], input=stdin, env=environment, capture_output=True,
                          timeout=DEADLINE_SECONDS, check=False)


def client_environment(server, home):
    """What the command line needs to find a server, and no token."""
    return clean_environment(home) | {"KEYTURN_ADDR": server.address}


def free_port():
    """A port that was free a moment ago; the server keeps it over its restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(home):
    """An environment without the caller's addresses, tokens and proxies, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TERM", "TMPDIR")}
    return kept | {"HOME": str(home)}
