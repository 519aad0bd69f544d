"""`keyturn audit verify` and `/v1/sys/audit-chain`: what was done to a log behind the server's back shows."""

import json
import os
import signal

import pytest
from hvac import exceptions

from harness import run_keyturn
from support import refused, wait_until

pytestmark = pytest.mark.keyturn


@pytest.fixture
def log(tmp_path):
    """Where the test's audit device writes."""
    return tmp_path / "audit.log"


@pytest.fixture
def audited(own_server, log):
    """A server whose requests are recorded at `file/`."""
    own_server.client().sys.enable_audit_device("file", path="file", options={"file_path": str(log)})
    return own_server


def _requests(server, number=5):
    for _ in range(number):
        server.client().sys.list_policies()


def _verify(server, *files, arguments=()):
    done = run_keyturn(server, "audit", "verify", *arguments, *map(str, files))
    return done.returncode, (done.stdout + done.stderr).decode()


def _found(server, *files, arguments=()):
    """The lines at fault, with the name of their file; no number: the end."""
    done = run_keyturn(server, "audit", "verify", "--format", "json", *arguments, *map(str, files))
    assert done.returncode == 1, done
    return [(os.path.basename(told["file"]), told["line"]) for told in json.loads(done.stdout)["told"]]


def _copy(log, lines):
    """A log that somebody tampered with; the server goes on with its own."""
    copy = log.with_name("copy.log")
    copy.write_bytes(b"".join(lines))
    return copy


def _lines(log):
    return log.read_bytes().splitlines(keepends=True)


def test_a_log_is_whole_over_rotation_restart_and_kill(audited, log):
    """Moved away and opened anew, the server stopped and killed: the chain goes on, file after file."""
    _requests(audited)
    rotated = log.with_suffix(".1")
    os.rename(log, rotated)
    audited.signal(signal.SIGHUP)
    wait_until("the log is opened anew", log.exists)
    _requests(audited)
    audited.stop()
    audited.start()
    audited.unseal()
    _requests(audited)
    audited.kill()
    audited.start()
    audited.unseal()
    _requests(audited)
    code, said = _verify(audited, rotated, log)
    assert (code, "unbroken" in said) == (0, True), said


def test_an_altered_line(audited, log):
    """One byte of an entry; the entry itself is named."""
    _requests(audited)
    lines = _lines(log)
    lines[4] = lines[4].replace(b'"operation":"', b'"operation":"x')
    assert _found(audited, _copy(log, lines), arguments=["--without-end"]) == [("copy.log", 5)]


def test_removed_moved_copied_and_foreign_lines(audited, log):
    """Each shows at the place where it was done."""
    _requests(audited, 8)
    whole = _lines(log)

    def first(lines):
        return _found(audited, _copy(log, lines), arguments=["--without-end"])[0]

    assert first(whole[:5] + whole[6:]) == ("copy.log", 6)
    assert first(whole[:5] + [whole[6], whole[5]] + whole[7:]) == ("copy.log", 6)
    assert first(whole[:6] + [whole[5]] + whole[6:]) == ("copy.log", 7)
    assert first(whole[:3] + [b'{"type":"request"}\n'] + whole[3:]) == ("copy.log", 4)


def test_a_log_that_was_cut_off(audited, log):
    """The server knows how far it had come, also after a restart."""
    _requests(audited)
    audited.stop()
    before = len(_lines(log))
    audited.start()
    audited.unseal()
    _requests(audited)
    lines = _lines(log)
    cut = lines[:before - 3] + lines[before:]
    assert _found(audited, _copy(log, cut), arguments=["--without-end"]) == [("copy.log", before - 2)]
    assert _found(audited, _copy(log, lines[:-3])) == [("copy.log", None)]
    code, said = _verify(audited, _copy(log, lines[:-3]), arguments=["--without-end"])
    assert (code, "unbroken" in said) == (0, True), said


def test_without_a_chain_and_without_rights(audited, log, tmp_path):
    """A device may go without; its log cannot be verified. The path needs sudo; what it does not understand is 400."""
    client = audited.client()
    options = {"file_path": str(tmp_path / "plain.log"), "chain": "false"}
    client.sys.enable_audit_device("file", path="plain", options=options)
    assert "chain" not in json.loads((tmp_path / "plain.log").read_text().splitlines()[0])
    assert _verify(audited, tmp_path / "plain.log", arguments=["--device", "plain"])[0] == 1
    with refused(exceptions.InvalidRequest):
        client.sys.enable_audit_device("file", path="odd", options={"file_path": "discard", "chain": "perhaps"})
    with refused(exceptions.InvalidRequest):
        client.write("sys/audit-chain/file", claims="nonsense")
    client.sys.create_or_update_acl_policy("reader", 'path "sys/audit-chain/*" { capabilities = ["read", "update"] }')
    reader = audited.client(client.auth.token.create(policies=["reader"])["auth"]["client_token"])
    with refused(exceptions.Forbidden):
        reader.read("sys/audit-chain/file")


def test_bad_files(audited, tmp_path):
    """A file that is not there, one that is no log."""
    assert _verify(audited, tmp_path / "nothing")[0] == 2
    (tmp_path / "noise").write_bytes(b"\xff\xfe\n\n{}\n")
    assert _found(audited, tmp_path / "noise")[:2] == [("noise", 1), ("noise", 3)]
