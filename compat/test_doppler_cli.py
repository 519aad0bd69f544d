"""The real `doppler` command line against the server.

No package registry has a current one as a binary: KEYTURN_COMPAT_DOPPLER_CLI names one (`go build` in its repository makes
it). Without it these tests are skipped. Last driven with the sources of version 3.76.1.
"""

import json
import os
import re
import signal
import subprocess
from urllib.parse import urlencode, urlsplit

import pytest

import wire
from doppler import Doppler
from support import unique, wait_until

BINARY = os.environ.get("KEYTURN_COMPAT_DOPPLER_CLI")
pytestmark = [pytest.mark.keyturn, pytest.mark.skipif(not BINARY, reason="KEYTURN_COMPAT_DOPPLER_CLI names no binary")]


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


class Cli:
    """The command line with a home of its own, where it keeps settings and what it falls back to."""

    def __init__(self, server, home, token):
        self.home = home
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DOPPLER_CONFIG_DIR": str(home / ".doppler"),
                            "DOPPLER_API_HOST": server.address, "DOPPLER_ENABLE_VERSION_CHECK": "false"}
        if token:
            self.environment["DOPPLER_TOKEN"] = token
        # It would wait for a host elsewhere at the end of each command.
        self("configure", "flags", "disable", "analytics")

    def start(self, *words, **more):
        """Runs it beside the test."""
        return subprocess.Popen([BINARY, *words], cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def __call__(self, *words, expect=0, stdin=None):
        """Runs it to its end; what it says."""
        done = subprocess.run([BINARY, *words], cwd=self.home, env=self.environment, input=stdin, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
        assert "panic" not in done.stderr and "goroutine" not in done.stderr, done.stderr
        return done.stdout if expect == 0 else done.stderr

    def json(self, *words):
        """What it says as JSON."""
        return json.loads(self(*words, "--json"))


@pytest.fixture
def cli(server, tmp_path):
    """The command line with the root token."""
    return Cli(server, tmp_path, server.token)


def test_secrets_are_set_read_and_deleted(cli, doppler):
    """By all the ways that it has, and as other doors see them."""
    app = doppler.project("dev")
    where = ("-p", app, "-c", "dev")
    cli("secrets", "set", "A=1", "B=two words", *where, "--silent")
    cli("secrets", "set", "PIPED", *where, "--silent", stdin="from\nstdin")
    assert cli("secrets", "get", "B", "--plain", *where).strip() == "two words"
    told = cli.json("secrets", *where)
    assert told["A"]["computed"] == "1" and told["PIPED"]["computed"] == "from\nstdin"
    assert doppler.ok("GET", "configs/config/secrets/download", {"project": app, "config": "dev"})["A"] == "1"
    (cli.home / "more.env").write_text('C="3"\nD=${C}4\n')
    cli("secrets", "upload", "more.env", *where, "--silent")
    for form, wanted in (("json", '"D":"34"'), ("env", 'D="34"'), ("yaml", 'D: "34"'), ("docker", "D=34")):
        assert wanted in cli("secrets", "download", "--no-file", "--format", form, *where)
    cli("secrets", "delete", "A", "-y", *where, "--silent")
    assert set(cli.json("secrets", *where)) >= {"B", "C", "D"} and "A" not in cli.json("secrets", *where)
    (cli.home / "template").write_text("b={{.B}}")
    assert cli("secrets", "substitute", "template", *where).strip() == "b=two words"
    cli("secrets", "notes", "set", "B", "a note", *where, "--silent")
    assert cli.json("secrets", *where)["B"]["note"] == "a note"
    assert "Could not find" in cli("secrets", "get", "NONE", "--plain", *where, expect=1)


def test_a_child_gets_them(cli, doppler):
    """As its environment or a file; its exit code comes back; without the server from what was kept."""
    app = doppler.project("dev")
    where = ("-p", app, "-c", "dev")
    doppler.ok("POST", "configs/config/secrets", body={"project": app, "config": "dev", "secrets": {"A": "x y", "B": "${A}!"}})
    for _ in range(2):
        assert cli("run", *where, "--", "sh", "-c", 'echo "$A,$B,$DOPPLER_CONFIG"').strip() == "x y,x y!,dev"
    assert cli("run", *where, "--name-transformer", "lower-snake", "--", "sh", "-c", 'echo "$a"').strip() == "x y"
    assert cli("run", *where, "--only-secrets", "A", "--", "sh", "-c", 'echo "$A,$B"').strip() == "x y,"
    assert json.loads(cli("run", *where, "--mount", "s.json", "--", "cat", "s.json"))["B"] == "x y!"
    cli("run", *where, "--", "sh", "-c", "exit 7", expect=7)
    cli.environment["DOPPLER_API_HOST"] = "http://127.0.0.1:9"
    assert cli("run", *where, "--offline", "--", "sh", "-c", 'echo "$A"').strip() == "x y"


def test_a_wrong_config_is_final(cli, doppler, server, tmp_path):
    """A token for one config gets no other, not even what was kept of it."""
    app = doppler.project("dev", "prd")
    holder = Cli(server, tmp_path, doppler.service_token(app, "dev")["key"])
    assert holder("run", "--", "sh", "-c", 'echo "$DOPPLER_CONFIG"').strip() == "dev"
    assert "does not have access" in holder("run", "-c", "prd", "-p", app, "--", "true", expect=1)
    assert holder.json("me")["type"] == "service_token"


def test_a_watched_child_is_started_again(cli, doppler, client):
    """A write through another door restarts it with what is new."""
    app = doppler.project("dev")
    client.secrets.kv.v2.create_or_update_secret(path=f"{app}/dev", secret={"A": "first"}, mount_point="secret")
    out = cli.home / "out"
    child = cli.start("run", "-p", app, "-c", "dev", "--watch", "--", "sh", "-c", f'echo "$A" >> {out}; exec sleep 600',
                      start_new_session=True)
    try:
        wait_until("the child runs", lambda: out.exists() and out.read_text() == "first\n")

        def changed():
            # Until it watches, a change is not told.
            client.secrets.kv.v2.create_or_update_secret(path=f"{app}/dev", secret={"A": unique("v")}, mount_point="secret")
            return len(out.read_text().splitlines()) > 1

        wait_until("the child runs again", changed)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def test_structure(cli, doppler):
    """Projects, environments, configs, tokens, logs: made, shown, changed, removed."""
    app = unique("cli")
    assert cli.json("projects", "create", app)["name"] == app
    cli("environments", "create", "Dev", "dev", "-p", app, "--silent")
    assert cli.json("environments", "-p", app)[0]["id"] == "dev"
    assert cli.json("configs", "create", "dev_x", "-p", app, "-e", "dev")["name"] == "dev_x"
    cli("configs", "lock", "dev_x", "-p", app, "-y", "--silent")
    assert {one["name"]: one["locked"] for one in cli.json("configs", "-p", app)} == {"dev": False, "dev_x": True}
    cli("configs", "unlock", "dev_x", "-p", app, "-y", "--silent")
    cli("configs", "clone", "dev_x", "--name", "dev_y", "-p", app, "--silent")
    cli("secrets", "set", "A=1", "-p", app, "-c", "dev", "--silent")
    cli("secrets", "set", "A=2", "-p", app, "-c", "dev", "--silent")
    logs = cli.json("configs", "logs", "-p", app, "-c", "dev")
    assert len(logs) == 2
    cli("configs", "logs", "rollback", logs[0]["id"], "-p", app, "-c", "dev", "--silent")
    assert cli("secrets", "get", "A", "--plain", "-p", app, "-c", "dev").strip() == "1"
    token = cli("configs", "tokens", "create", "ci", "--plain", "--max-age", "1h", "-p", app, "-c", "dev").strip()
    assert token.startswith("dp.st.dev.")
    slug = cli.json("configs", "tokens", "-p", app, "-c", "dev")[0]["slug"]
    cli("configs", "tokens", "revoke", slug, "-p", app, "-c", "dev", "--silent")
    assert cli.json("activity")
    cli("settings")
    cli("configs", "delete", "dev_y", "-p", app, "-y", "--silent")
    cli("environments", "rename", "dev", "--name", "Development", "-p", app, "-y", "--silent")
    cli("environments", "delete", "dev", "-p", app, "-y", "--silent")
    cli("projects", "delete", app, "-y", "--silent")
    assert app not in cli("projects", "--json")


def test_a_template_is_imported(cli, doppler):
    """The file as the command line reads it by default; errors say where."""
    app = unique("cli")
    (cli.home / "doppler-template.yaml").write_text(f"""projects:
  - name: {app}
    description: Imported
    environments:
      - slug: dev
        name: Development
        configs:
          - slug: dev
          - slug: dev_ann
    secrets:
      dev:
        A: "1"
""")
    assert cli.json("import")[0]["name"] == app
    assert cli("run", "-p", app, "-c", "dev_ann", "--", "sh", "-c", 'echo "$A"').strip() == "1"
    assert "already exists" in cli("import", expect=1)


def test_a_login_and_its_end(server, tmp_path):
    """The code that it shows, typed on the page; the token is rolled and revoked."""
    cli = Cli(server, tmp_path, None)
    login = cli.start("login", "--yes", "--overwrite")
    said = ""
    while not (code := re.search(r"auth code is:\s+\S*?([A-Z0-9]{4}-[A-Z0-9]{4})", said)):
        line = login.stdout.readline()
        assert line, (said, login.stderr.read())
        said += line
    host = urlsplit(server.address).netloc
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": server.address, "Host": host}
    form = urlencode({"code": code[1], "token": server.token}).encode()
    assert wire.call_any(f"{server.address}/v3/auth/cli/approve", "POST", form, sent).status == 200
    out, errors = login.communicate(timeout=30)
    assert login.returncode == 0 and "Welcome" in out, (out, errors)
    assert cli.json("me")["type"] == "cli"
    before = cli("configure", "get", "token", "--plain").strip()
    cli("login", "roll", "--silent")
    after = cli("configure", "get", "token", "--plain").strip()
    assert after.startswith("dp.ct.") and after != before
    Doppler(server, before).refused(401, "GET", "me")
    cli("logout", "-y", "--silent")
    Doppler(server, after).refused(401, "GET", "me")
