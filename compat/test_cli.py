"""The `keyturn` command line against a running server: what it prints, masks, keeps and exits with."""

import fcntl
import json
import os
import pty
import stat
import subprocess
import termios

import pytest

import harness
from support import unique, wait_until

pytestmark = pytest.mark.keyturn

DONE, FAILED, USAGE, NOT_FOUND, DENIED, UNREACHABLE = range(6)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def on_a_terminal(server, tmp_path):
    """Runs the command line on a pseudo-terminal and returns all that appears on it."""

    def run(*arguments, token=None, typed=b""):
        master, slave = pty.openpty()
        environment = harness.client_environment(server, tmp_path) | {"TERM": "xterm", "KEYTURN_TOKEN": token or server.token}
        with subprocess.Popen([str(harness.BINARY), *arguments], stdin=slave, stdout=slave, stderr=slave,
                              env=environment, start_new_session=True, preexec_fn=_take_terminal) as child:
            os.close(slave)
            if typed:
                # What is typed before the prompt has turned echo off would be shown by the terminal itself.
                wait_until("the prompt hides what is typed", lambda: not termios.tcgetattr(master)[3] & termios.ECHO)
                os.write(master, typed)
            shown = _read_all(master)
            os.close(master)
            assert child.wait(timeout=20) == 0, shown
        return shown.decode()

    return run


def _take_terminal():
    """Makes standard input the child's controlling terminal, as a login shell's is: prompts ask there."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_all(terminal):
    """Everything until the last writer is gone, which Linux reports as an I/O error."""
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            return shown
        if not chunk:
            return shown
        shown += chunk


@pytest.fixture
def path():
    """A secret's path that no other test uses."""
    return f"secret/{unique('cli')}/db"


def test_put_from_stdin_and_get_raw(keyturn, path):
    """Piped, a value comes out byte for byte as it went in."""
    keyturn("put", path, "password=-", stdin=PASSWORD.encode() + b"\n")
    assert keyturn("get", f"{path}#password").stdout == PASSWORD.encode() + b"\n"
    keyturn("put", path, "password=-", "--trim", stdin=PASSWORD.encode() + b"\n")
    assert keyturn("get", f"{path}#password").stdout == PASSWORD.encode()


def test_several_fields(keyturn, path, tmp_path):
    """From JSON and from a file; piped they come out as JSON."""
    keyturn("put", path, "--json", "-", stdin=json.dumps({"user": "app", "password": PASSWORD}).encode())
    assert json.loads(keyturn("get", path).stdout) == {"user": "app", "password": PASSWORD}
    (tmp_path / "new").write_text("other")
    keyturn("put", path, f"password=@{tmp_path / 'new'}", "--patch")
    assert json.loads(keyturn("get", path).stdout) == {"user": "app", "password": "other"}


def test_value_on_the_command_line_warns(keyturn, path):
    """It is possible, and it is said what is wrong with it."""
    assert b"warning" in keyturn("put", path, "--value", "user=app").stderr


def test_terminals_show_a_mask(keyturn, on_a_terminal, path):
    """On a terminal the value appears only if asked for; the mask does not tell its length."""
    keyturn("put", path, "password=-", stdin=PASSWORD.encode())
    masked = on_a_terminal("get", path)
    assert "password" in masked and PASSWORD not in masked and "*" * len(PASSWORD) not in masked
    assert PASSWORD not in on_a_terminal("get", path, "--format", "json")
    assert PASSWORD in on_a_terminal("get", path, "--reveal")


def test_prompts_do_not_echo(keyturn, on_a_terminal, path):
    """What is typed at a prompt is stored, and not shown."""
    shown = on_a_terminal("put", path, "password", typed=PASSWORD.encode() + b"\n")
    assert PASSWORD not in shown
    assert keyturn("get", f"{path}#password").stdout == PASSWORD.encode()


def test_list(keyturn, path):
    """One name a line, or a JSON array."""
    keyturn("put", path, "v=-", stdin=b"1")
    folder = path.rpartition("/")[0]
    assert keyturn("list", folder).stdout == b"db\n"
    assert json.loads(keyturn("list", folder, "--format", "json").stdout) == ["db"]
    assert keyturn("list", f"{path}-nothing", expect=NOT_FOUND).stdout == b""


def test_history_rollback_delete_undelete(keyturn, path):
    """The life of a secret; a rollback is a new version."""
    for value in (b"one", b"two"):
        keyturn("put", path, "v=-", stdin=value)
    keyturn("rollback", path, "--to", "1")
    assert keyturn("get", f"{path}#v").stdout == b"one"
    assert keyturn("get", f"{path}#v", "--version", "2").stdout == b"two"

    keyturn("delete", path)
    keyturn("get", path, expect=NOT_FOUND)
    history = json.loads(keyturn("history", path, "--format", "json").stdout)
    assert {each["version"]: each["state"] for each in history["versions"]} == {1: "live", 2: "live", 3: "deleted"}
    keyturn("undelete", path, "--versions", "3")
    assert keyturn("get", f"{path}#v").stdout == b"one"
    assert b"one" not in keyturn("history", path).stdout


def test_diff(keyturn, path):
    """Which fields differ, and never what they hold."""
    keyturn("put", path, "user=-", stdin=b"app")
    keyturn("put", path, "v=-", stdin=b"one")
    for value in (b"two", b"one"):
        keyturn("put", path, "v=-", stdin=value)
    table = keyturn("diff", path, "--from", "1", "--to", "2").stdout.decode()
    assert [line.split()[:2] for line in table.splitlines()[1:] if line.split()[0] in ("user", "v")] == [
        ["user", "removed"], ["v", "added"]]
    told = json.loads(keyturn("diff", path, "--format", "json").stdout)
    assert (told["from"]["version"], told["to"]["version"]) == (3, 4)
    assert [(field["name"], field["change"]) for field in told["fields"]] == [("v", "changed")]
    same = keyturn("diff", path, "--from", "2")
    assert same.stdout == b"" and b"same fields" in same.stderr
    assert b"unchanged" in keyturn("diff", path, "--from", "2", "--all").stdout
    keyturn("diff", f"{path}-nothing", expect=NOT_FOUND)
    keyturn("diff", path, "--to", "9", expect=FAILED)


def test_check_and_set(keyturn, path):
    """A write that lost the race fails and changes nothing."""
    keyturn("put", path, "v=-", "--cas", "0", stdin=b"first")
    keyturn("put", path, "v=-", "--cas", "0", stdin=b"second", expect=FAILED)
    assert keyturn("get", f"{path}#v").stdout == b"first"


def test_login_keeps_the_token_in_a_private_file(server, keyturn, tmp_path, client):
    """Mode 0600, not printed, used from then on, and not if others can read it."""
    made = client.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    done = keyturn("login", "--secret-file", "-", stdin=made.encode() + b"\n", token="")
    assert made.encode() not in done.stdout + done.stderr
    kept = tmp_path / ".keyturn-token"
    assert kept.read_text().strip() == made
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    keyturn("token", "lookup", token="")
    kept.chmod(0o644)
    assert b"0600" in (done := keyturn("token", "lookup", token="", expect=USAGE)).stderr or b"chmod 600" in done.stderr


def test_exit_codes(server, keyturn, path):
    """Scripts can tell what went wrong."""
    keyturn("get", path, expect=NOT_FOUND)
    keyturn("get", path, token="hvs.doesnotexist", expect=DENIED)
    keyturn("get", expect=USAGE)
    keyturn("put", path, "v=-", "--cas", "7", stdin=b"1", expect=FAILED)
    nowhere = harness.Server(f"http://127.0.0.1:{harness.free_port()}", "any")
    done = harness.run_keyturn(nowhere, "get", path, home=server.directory)
    assert done.returncode == UNREACHABLE and nowhere.address.encode() in done.stderr


def test_operator(fresh_server):
    """Initialise, unseal and seal from the command line; the status of a sealed server is 2."""
    run = harness.run_keyturn
    made = json.loads(run(fresh_server, "operator", "init", "--shares", "3", "--threshold", "2",
                          "--format", "json").stdout)
    assert run(fresh_server, "operator", "status").returncode == USAGE
    shares = made.get("keys_base64") or made.get("shares")
    for share in shares[:2]:
        assert run(fresh_server, "operator", "unseal", "--share-file", "-", stdin=share.encode()).returncode == DONE
    assert run(fresh_server, "operator", "status").returncode == DONE
    assert run(fresh_server, "operator", "seal", token=made["root_token"]).returncode == DONE
    assert run(fresh_server, "operator", "status").returncode == USAGE


def test_help_teaches(keyturn):
    """Every verb explains itself, with examples."""
    for verb in ("put", "get", "list", "history", "rollback", "delete", "undelete", "login"):
        assert b"Examples" in keyturn(verb, "--help").stdout, verb


def test_wrap_and_unwrap(keyturn, path):
    """An answer goes through a token that works once; the secret is not printed on the way."""
    keyturn("put", path, "password=-", stdin=PASSWORD.encode())
    wrapped = keyturn("get", path, "--wrap-ttl", "5m", "--format", "json")
    assert PASSWORD.encode() not in wrapped.stdout
    token = json.loads(wrapped.stdout)["wrap_info"]["token"].encode()
    unwrapped = keyturn("unwrap", "--format", "json", stdin=token, token="")
    assert json.loads(unwrapped.stdout)["data"]["data"]["password"] == PASSWORD
    again = keyturn("unwrap", stdin=token, token="", expect=FAILED)
    assert b"wrapping token is not valid" in again.stderr and token not in again.stderr

    wrapped = keyturn("token", "create", "--policy", "default", "--wrap-ttl", "60", "--token-only").stdout
    token = keyturn("unwrap", "--field", "client_token", stdin=wrapped).stdout.decode()
    assert json.loads(keyturn("token", "lookup", "--format", "json", token=token).stdout)["policies"] == ["default"]


def test_leases(keyturn):
    """Looked up, listed and revoked by the ids that the listing shows."""
    keyturn("token", "create", "--policy", "default", "--ttl", "1h")
    listed = keyturn("lease", "list", "auth/token/create").stdout.decode().split()
    lease_id = f"auth/token/create/{listed[0]}"
    assert b"ttl" in keyturn("lease", "lookup", lease_id).stdout
    keyturn("lease", "revoke", lease_id)
    assert b"invalid lease" in keyturn("lease", "lookup", lease_id, expect=FAILED).stderr
    keyturn("lease", "renew", lease_id, expect=FAILED)
