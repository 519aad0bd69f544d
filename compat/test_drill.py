"""`keyturn drill` on a real PostgreSQL and an application with a pool: who follows passes, who holds on is named."""

import json
import os
import pty
import re
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import psycopg
import pytest

import harness
from drilled import Application, serving
from support import unique, wait_until

pytestmark = pytest.mark.keyturn

QUICK = ("--interval", "50ms")
CHECKS = ["probes before the rotation", "rotated", "probes during the rotation",
          "probes while both credentials are good", "reconnected", "revoked", "probes after the rotation"]


@pytest.fixture
def names():
    """A secret, two principals and a role."""
    name = unique("drill").replace("-", "_")
    return name, [f"{name}_a", f"{name}_b"], f"{name}_owner"


@pytest.fixture
def mount(client, postgresql):
    """A database mount with the target `it`."""
    mount = unique("db")
    client.sys.enable_secrets_engine("database", path=mount)
    url = "postgresql://{{username}}:{{password}}@%s:%s/postgres?sslmode=disable" % (postgresql.host, postgresql.port)
    client.write(f"{mount}/config/it", plugin_name="postgresql-database-plugin", connection_url=url,
                 username=postgresql.user, password=postgresql.password, allowed_roles="*")
    yield mount
    client.sys.disable_secrets_engine(mount)


@pytest.fixture
def rotation(client, postgresql, mount, names):
    """A rotation with its first credential."""
    name, users, role = names
    with postgresql.connect() as connection:
        connection.execute(f"CREATE ROLE {role}")
    client.write(f"sys/rotation/secret/{name}", strategy="alternating", target=f"{mount}/it", users=users,
                 owner_role=role, overlap_min="1s", overlap_max="2s")
    come_to_rest(client, name, 1)
    return name


@pytest.fixture
def application(limited, postgresql, rotation):
    """An application of that secret, by a token of its own."""
    return make_application(limited, postgresql, rotation)


def make_application(limited, postgresql, secret, **options):
    reader = limited(f'path "secret/data/{secret}" {{ capabilities = ["read"] }}')
    return Application(reader, secret, postgresql, **options)


@pytest.fixture
def drill(server, tmp_path):
    """Runs a drill: its exit code, output, and report, if one was asked for."""

    def run(name, *arguments, token=None, expect=0):
        report = tmp_path / "report.xml"
        process = start(server, tmp_path, name, *arguments, "--junit", str(report), token=token)
        out, err = process.communicate(timeout=120)
        assert process.returncode == expect, (out, err)
        assert [path.name for path in tmp_path.iterdir() if "report" in path.name] in ([], ["report.xml"])
        return out, err, junit(report) if report.exists() else None

    return run


def start(server, home, name, *arguments, token=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
    environment = harness.client_environment(server, home) | {"KEYTURN_TOKEN": token or server.token}
    return subprocess.Popen([str(harness.BINARY), "drill", f"secret/{name}", *arguments], env=environment, text=True,
                            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)


def status(client, name):
    return client.read(f"sys/rotation/secret/{name}")["data"]


def come_to_rest(client, name, count):
    wait_until(f"rotation {count} of {name}", lambda: status(client, name)["state"] == "idle"
               and status(client, name)["rotations"] == count, 60)


def lets_in(database, credential):
    try:
        database.connect(*credential).close()
    except psycopg.OperationalError:
        return False
    return True


# The schema that Jenkins publishes, and GitLab, GitHub's actions and others read: attributes that must be, that may be,
# and children in their order.
SCHEMA = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors", "disabled"}, ["testsuite"]),
    "testsuite": ({"name", "tests"}, {"failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
                  ["properties", "testcase", "system-out", "system-err"]),
    "properties": (set(), set(), ["property"]),
    "property": ({"name"}, {"value"}, []),
    "testcase": ({"name", "classname"}, {"assertions", "time", "status"},
                 ["skipped", "error", "failure", "system-out", "system-err"]),
    "skipped": (set(), {"type", "message"}, []),
    "error": (set(), {"type", "message"}, []),
    "failure": (set(), {"type", "message"}, []),
    "system-out": (set(), set(), []),
}


def junit(path):
    """The report, checked against the schema: the result of each test case and by what."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "testsuites"

    def check(element):
        must, may, children = SCHEMA[element.tag]
        assert must <= set(element.attrib) <= must | may, element.attrib
        order = [children.index(child.tag) for child in element]
        assert order == sorted(order), element.tag
        for name in {"time"} & set(element.attrib):
            assert re.fullmatch(r"\d+\.\d{3}", element.get(name))
        for child in element:
            check(child)

    check(root)
    [suite] = root
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
    results = {}
    for case in suite.iter("testcase"):
        [outcome] = case
        results[case.get("name")] = (outcome.tag, outcome.get("message") or outcome.text)
    for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.get(count)) == sum(outcome == tag for outcome, _ in results.values())
    assert list(results) == CHECKS and int(suite.get("tests")) == len(CHECKS)
    return results


def bad(report):
    return [name for name, (outcome, _) in report.items() if outcome in ("failure", "error")]


def in_order(text, *fragments):
    at = 0
    for fragment in fragments:
        at = text.find(fragment, at)
        assert at >= 0, f"{fragment!r} is missing, or comes too early, in:\n{text}"


def test_an_application_that_follows_passes(client, postgresql, rotation, application, names, drill):
    _, [first, second], _ = names
    with serving(application) as url:
        out, err, report = drill(rotation, "--probe", f"{url}/query?key=canary", *QUICK, "--format", "json")
        old = application.credential
        told = json.loads(out)
        assert application.query() == 200 and application.credential == old and old[0] == second
    assert told["result"] == "passed" and bad(report) == []
    results = {check["name"]: (check["result"], check["detail"]) for check in told["checks"]}
    assert all(results[name][0] == "passed" for name in CHECKS if name != "probes during the rotation"), results
    assert "by the target: 2 sessions are open as" in results["reconnected"][1]
    assert results["revoked"][1] == f"{first} is good no longer"
    assert (told["before"], told["current"]) == ({"version": 1, "username": first}, {"version": 2, "username": second})
    assert {(one["username"], one["application"]) for one in told["arrived_sessions"]} == {(second, "web")}
    [probe] = told["probes"]
    assert probe["probe"] == f"{url}/query" and probe["first_failures"] == []
    stages = probe["stages"]
    assert stages["before"]["attempts"] >= 3 and stages["overlap"]["attempts"] > 1 and stages["after"]["attempts"] >= 5
    in_order(err, f"secret/{rotation}: alternating, version 1 as {first} is current", "probing",
             f"2 sessions are open as {first}: web from 127.0.0.1", "none failed; asking for it",
             f"version 2 as {second} is current; {first} is still good", f"2 sessions are open as {second}",
             "the rotation is over: version 2")
    assert [entry["event"] for entry in told["timeline"]][0].startswith(f"secret/{rotation}: alternating")
    assert "canary" not in out + err


def test_the_credential_before_is_refused_afterwards(client, postgresql, rotation, application, drill):
    with serving(application) as url:
        assert application.query() == 200
        old = application.credential
        assert lets_in(postgresql, old)
        out, err, report = drill(rotation, "--probe", f"{url}/query", "--probe-cmd", "exit 0", *QUICK, "--after", "1s")
    in_order(out, "is over", "CHECK", "probes before the rotation", "passed", "revoked", "passed")
    assert "of each, none failed" in report["probes after the rotation"][1] and err == ""
    assert not lets_in(postgresql, old)


def test_who_holds_on_is_named_and_keeps_its_credential(client, limited, postgresql, rotation, names, drill):
    _, [first, _], _ = names
    application = make_application(limited, postgresql, rotation, name="stubborn", stubborn=True)
    accessor = application.reader.auth.token.lookup_self()["data"]["accessor"]
    with serving(application) as url:
        out, err, report = drill(rotation, "--probe", f"{url}/query", *QUICK, "--timeout", "4s", expect=1)
        assert bad(report) == ["reconnected", "revoked"]
        assert report["rotated"][0] == "system-out"
        for check in ("reconnected", "revoked"):
            assert f"accessor/{accessor}" in report[check][1] and "stubborn from 127.0.0.1" in report[check][1], report
            assert f"accessor/{accessor}" in err and f"sessions are open as {first}: stubborn" in err
        assert "not within 4s" in report["revoked"][1] and f"{first} is still good" in report["revoked"][1]
        assert f"goes on by itself: see `keyturn rotation show secret/{rotation}`" in err
        # It lives on, with what it has.
        assert application.query() == 200 and application.credential[0] == first
        assert lets_in(postgresql, application.credential)
        old = application.credential
        application.stubborn = False
        assert application.query() == 200 and application.credential != old
        come_to_rest(client, rotation, 2)
        assert not lets_in(postgresql, old)
    assert "passed" in out


def test_a_probe_that_fails_in_between_fails_the_drill(rotation, application, drill):
    application.clumsy = 3
    with serving(application) as url:
        out, err, report = drill(rotation, "--probe", f"{url}/query", *QUICK, expect=1)
    failed = [name for name in bad(report)]
    # The application may meet the new credential before the drill has seen that it is current.
    assert failed and set(failed) <= {"probes during the rotation", "probes while both credentials are good"}, report
    assert all(f"{url}/query: " in report[name][1] and "status 503" in report[name][1] for name in failed)
    assert report["reconnected"][0] == report["revoked"][0] == "system-out"
    in_order(out, f"{url}/query failed: status 503", "succeeds again, after 3 failures", "is over")
    assert f"the drill of secret/{rotation} failed" in err


def test_nothing_is_rotated_for_an_application_that_does_not_answer(client, rotation, application, drill, tmp_path):
    nobody = f"http://127.0.0.1:{harness.free_port()}/"
    with serving(application) as url:
        hung = "sleep 600"
        for probe, why in (
            (("--probe", nobody), "nothing listens there"),
            (("--probe", f"{url}/elsewhere"), "status 302, a redirect to /login:"),
            (("--probe-cmd", "echo canary; echo canary >&2; exit 7"), r"command 1: (\d+) of \1 failed, first exit code 7 \("),
            (("--probe-cmd", hung, "--probe-timeout", "100ms"), "no exit within 100ms"),
            (("--probe", f"{url}/query", "--probe", nobody), rf"{re.escape(nobody)}: (\d+) of \1 failed"),
        ):
            out, err, report = drill(rotation, *probe, *QUICK, expect=1)
            assert "nothing was rotated" in err and re.search(why, err) and bad(report) == ["probes before the rotation"]
            assert {outcome for outcome, _ in list(report.values())[1:]} == {"skipped"}
            assert "canary" not in out + err + (tmp_path / "report.xml").read_text()
        out, err, report = drill(rotation, "--probe-cmd", "echo why >&2; exit 7", "--show-probe-output", expect=1)
        assert "exit code 7: why" in report["probes before the rotation"][1] and "exit code 7: why" in err
    assert status(client, rotation)["rotations"] == 1 and status(client, rotation)["state"] == "idle"


def test_a_rotation_that_the_target_refuses(client, postgresql, mount, rotation, application, drill):
    with serving(application) as url:
        assert application.query() == 200
        client.write(f"{mount}/config/it", allowed_roles="others")
        out, err, report = drill(rotation, "--probe", f"{url}/query", *QUICK, expect=1)
        assert bad(report) == ["rotated"] and "the credential before stays in use" in report["rotated"][1]
        assert "creating failed" in report["rotated"][1] and "creating failed" in out and "creating failed" in err
        assert report["reconnected"][0] == report["revoked"][0] == "skipped"
        # The application was looked at to the end.
        assert report["probes after the rotation"][0] == "system-out"
        assert application.query() == 200 and lets_in(postgresql, application.credential)


def test_what_is_not_there_and_who_may_not(client, limited, rotation, drill):
    probe = ("--probe-cmd", "true", *QUICK)
    _, err, report = drill(unique("nothing"), *probe, expect=3)
    assert "404" in err and bad(report)
    nobody = limited('path "secret/*" { capabilities = ["read"] }')
    drill(rotation, *probe, token=nobody.token, expect=4)
    path = f'path "sys/rotation/secret/{rotation}" {{ capabilities = ["read"] }}'
    watcher = limited(path)
    _, err, report = drill(rotation, *probe, token=watcher.token, expect=4)
    assert f"sys/rotation-run/secret/{rotation}" in err and report["probes before the rotation"][0] == "system-out"
    assert status(client, rotation)["rotations"] == 1
    client.write(f"sys/rotation-pause/secret/{rotation}")
    _, err, _ = drill(rotation, *probe, expect=1)
    assert "paused" in err and f"keyturn rotation resume secret/{rotation}" in err
    client.write(f"sys/rotation-resume/secret/{rotation}")
    runner = limited(path + f'path "sys/rotation-run/secret/{rotation}" {{ capabilities = ["update"] }}')
    _, _, report = drill(rotation, *probe, "--timeout", "3s", token=runner.token, expect=1)
    # Nobody has read the new version.
    assert bad(report) == ["reconnected"] and "nobody has read version 2" in report["reconnected"][1]


def test_what_is_wrong_on_the_command_line(client, server, rotation, drill, tmp_path):
    probe = ("--probe-cmd", "true")
    for arguments in ((), ("--probe", "localhost"), ("--probe", "http://u:canary@localhost/"), (*probe, "--after", "0"),
                      (*probe, "--interval", "1ms"), (*probe, "--timeout", "1s"),
                      ("--probe", "https://localhost/", "--probe-ca-cert", str(tmp_path / "none"))):
        _, err, _ = drill(rotation, *arguments, expect=2)
        assert "canary" not in err
    assert "least overlap" in drill(rotation, *probe, "--timeout", "1s", expect=2)[1]
    process = start(server, tmp_path, rotation, *probe, "--junit", str(tmp_path / "no" / "report.xml"))
    assert "report.xml" in process.communicate(timeout=60)[1] and process.returncode == 1
    assert status(client, rotation)["rotations"] == 1


def test_without_sessions_who_has_read_it_counts(client, limited, drill):
    name = unique("drill")
    client.write(f"sys/rotation/secret/{name}", strategy="generated", password_field="key")
    come_to_rest(client, name, 1)
    reader = limited(f'path "secret/data/{name}" {{ capabilities = ["read"] }}')
    accessor = reader.auth.token.lookup_self()["data"]["accessor"]
    _, _, report = drill(name, "--probe-cmd", "true", *QUICK, "--timeout", "3s", expect=1)
    assert bad(report) == ["reconnected"] and report["revoked"][0] == "skipped"
    assert "no target" in report["revoked"][1]

    class Reader(Application):
        def query(self):
            self.reader.secrets.kv.v2.read_secret_version(name, mount_point="secret", raise_on_deleted_version=True)
            return 200

    with serving(Reader(reader, name, None)) as url:
        _, _, report = drill(name, "--probe", f"{url}/query", *QUICK)
    assert report["reconnected"][1].startswith("by who has read it alone (sessions do not tell credentials apart")
    assert f"accessor/{accessor}" in report["reconnected"][1]


def test_an_interrupted_drill_leaves_the_rotation_going(client, server, rotation, application, tmp_path):
    client.write(f"sys/rotation/secret/{rotation}", overlap_min="5s", overlap_max="10s")
    report = tmp_path / "report.xml"
    with serving(application) as url:
        process = start(server, tmp_path, rotation, "--probe", f"{url}/query", *QUICK, "--junit", str(report))
        lines = []
        while "is still good" not in (line := process.stdout.readline()):
            assert line, lines
            lines.append(line)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "interrupted" in err
        assert f"goes on by itself: see `keyturn rotation show secret/{rotation}`" in err
        results = junit(report)
        assert results["rotated"][0] == "system-out" and results["revoked"][0] == "error"
        assert "interrupted" in results["revoked"][1]

        def over():
            application.query()
            return status(client, rotation)["state"] == "idle"

        wait_until("the end of the rotation", over, 60)
        assert status(client, rotation)["rotations"] == 2


def test_a_terminal_shows_how_it_goes(client, server, rotation, application, tmp_path):
    terminal, side = pty.openpty()
    with serving(application) as url:
        process = start(server, tmp_path, rotation, "--probe", f"{url}/query", *QUICK, stdout=side, stderr=side)
        os.close(side)
        shown = b""
        try:
            while part := os.read(terminal, 65536):
                shown += part
        except OSError:  # The other side is closed.
            pass
        os.close(terminal)
        assert process.wait(timeout=60) == 0, shown
    assert re.search(rb"\r\x1b\[2K\S+ overlap: \d+ probes, 0 failed", shown) and b"probes after the rotation" in shown


def test_who_uses_which_credential_is_told_on_request(client, server, rotation, application, names):
    _, users, _ = names
    assert application.query() == 200
    path = f"sys/rotation/secret/{rotation}"
    assert "in_use" not in status(client, rotation)
    told = server.call("GET", f"{path}?use=true").json["data"]["in_use"]
    assert (told["version"], told["username"], told["behind"], told["unknown"]) == (1, users[0], [], "")
    assert {one["application"] for one in told["sessions"]} == {"web"} and told["other_sessions"] == []
    application.close()
