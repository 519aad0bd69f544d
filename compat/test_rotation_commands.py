"""Rotations by a command of the server's own machine: a shell script with the AWS command line, as docs/rotation.md has it."""

import json
import re
import sys
from pathlib import Path

import hvac
import pytest

import aws
import aws_model
import harness
from aws_model import refused as aws_refused
from aws_model import token
from support import refused, unique, wait_until
from test_rotation import STEPS, fields, rotated, status

pytestmark = pytest.mark.keyturn

AWS = Path(sys.executable).with_name("aws")
HOOKS = """
[rotation.hook.document]
command = ["{script}", "first argument"]
timeout = "60s"
environment = ["HOME={directory}", "AWS_CONFIG_FILE={directory}/aws", "AWS_SHARED_CREDENTIALS_FILE={directory}/credentials",
               "PATH={path}:/usr/bin:/bin"]

[rotation.hook.killed]
command = ["{script}"]
timeout = "12s"
environment = ["HOME={directory}", "AWS_CONFIG_FILE={directory}/aws", "AWS_SHARED_CREDENTIALS_FILE={directory}/credentials",
               "PATH={path}:/usr/bin:/bin"]

[rotation.hook.slow]
command = ["{directory}/slow"]
timeout = "1s"
directory = "{directory}"

[rotation.hook.loud]
command = ["{directory}/loud"]
directory = "{directory}"

[rotation.hook.missing]
command = ["{directory}/missing"]
"""
SLOW = """#!/bin/sh
(sh -c 'echo $$ > grandchild; exec sleep 1000') &
echo $$ > leader
exec sleep 1000
"""
LOUD = """#!/bin/sh
cat > event
env | sort > environment
while :; do echo words-that-nobody-is-to-see; done
"""


def document_script():
    """The example of the document, as it stands there."""
    document = (Path(__file__).parent.parent / "docs/rotation.md").read_text()
    [script] = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", document, re.DOTALL)
    return script


def install(path, script):
    path.write_text(script)
    path.chmod(0o700)


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """A server with commands, whose directory has the log of the steps and the `target`'s password."""
    directory = tmp_path_factory.mktemp("hooks")
    script = directory / "rotate"
    told = HOOKS.format(directory=directory, script=script, path=AWS.parent)
    server = harness.configured_server(directory, more=told)
    server.initialise()
    server.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    key = aws_model.make_key(server)
    (directory / "credentials").write_text(
        f"[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n")
    (directory / "aws").write_text(f"[default]\nregion = {aws.REGION}\nendpoint_url = {server.address}\n")
    # The target of the document's example is a program of the team's own: here, one that keeps the password in a file.
    install(directory / "set-password", f"#!/bin/sh\nread -r it && printf %s \"$it\" > {directory}/password\n")
    install(directory / "try-password", f"#!/bin/sh\nread -r it && [ \"$it\" = \"$(cat {directory}/password)\" ]\n")
    example = document_script()
    for program in ("set-password", "try-password"):
        assert f"/opt/crm/{program}" in example
        example = example.replace(f"/opt/crm/{program}", str(directory / program))
    server.example = example.replace("#!/bin/bash\n", f"#!/bin/bash\necho $KEYTURN_HOOK_STEP >> {directory}/steps\n", 1)
    install(directory / "slow", SLOW)
    install(directory / "loud", LOUD)
    server.script, server.key = script, key
    yield server
    server.stop()


@pytest.fixture
def server(hooked):
    """The server, with the document's script in place and nothing noted."""
    install(hooked.script, hooked.example)
    for name in ("steps", "password", "event", "environment", "leader", "grandchild"):
        (hooked.directory / name).unlink(missing_ok=True)
    return hooked


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def sm(server):
    return aws_model.client(server.key)


@pytest.fixture
def name(client):
    name = unique("hook")
    client.secrets.kv.v2.create_or_update_secret(name, {"host": "crm", "password": "first"}, mount_point="secret")
    return name


@pytest.fixture
def by_command(client, name):
    """Sets the rotation of the secret up by a command."""

    def set_up(command, **options):
        client.write(f"sys/rotation/secret/{name}", strategy="hook", hook_command=command, hook_secret_id=name, **options)

    return set_up


def failed(client, name):
    wait_until("a failure", lambda: (status(client, name)["run"] or {"attempts": 0})["attempts"] > 0
               or status(client, name)["state"] == "failed")
    told = status(client, name)
    return (told["failure"] or {}).get("reason") or told["run"]["waiting_for"]


def steps(server):
    file = server.directory / "steps"
    return file.read_text().split() if file.exists() else []


def test_the_documents_script_rotates(server, client, sm, name, by_command):
    by_command("document")
    assert status(client, name)["hook_command"] == "document" and not status(client, name)["hook_url"]
    for count in (1, 2):
        client.write(f"sys/rotation-run/secret/{name}")
        rotated(client, name, count)
    assert steps(server) == STEPS * 2
    now = fields(client, name)
    assert now["host"] == "crm" and now["password"] != "first"
    assert (server.directory / "password").read_text() == now["password"]
    assert "AWSPENDING" not in str(sm.describe_secret(SecretId=name)["VersionIdsToStages"])


def test_rotate_secret_runs_the_command(server, client, sm, name, by_command):
    by_command("document")
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request,
                     RotationLambdaARN="arn:aws:lambda:eu-west-1:000000000000:function:crm",
                     RotationRules={"AutomaticallyAfterDays": 30})
    rotated(client, name, 1)
    assert sm.get_secret_value(SecretId=name)["VersionId"] == request and steps(server) == STEPS
    told = sm.describe_secret(SecretId=name)
    assert told["RotationEnabled"] and told["RotationLambdaARN"].endswith("function:crm") and told["NextRotationDate"]


def test_the_command_line_names_a_command(server, client, name):
    path = f"secret/{name}"
    made = harness.run_keyturn(server, "rotation", "create", path, "--strategy", "hook", "--hook-command", "document",
                               "--hook-secret-id", name)
    assert made.returncode == 0, made.stderr
    done = harness.run_keyturn(server, "rotate", path, "--wait")
    assert done.returncode == 0 and b"is rotated" in done.stdout, done.stderr
    wrong = harness.run_keyturn(server, "rotation", "create", path, "--hook-command", "none")
    assert wrong.returncode == 1 and b"[rotation.hook.NAME]" in wrong.stderr


def test_a_step_that_fails_is_told_of_and_goes_on(server, client, sm, name, by_command):
    by_command("document")
    install(server.script, "#!/bin/sh\necho '{\"errorMessage\": \"the CRM is away\"}'\nexit 1\n")
    client.write(f"sys/rotation-run/secret/{name}")
    assert failed(client, name) == "createSecret: the CRM is away"
    assert fields(client, name)["password"] == "first"
    with aws_refused("InvalidRequestException", "A previous rotation isn't complete."):
        sm.rotate_secret(SecretId=name)
    install(server.script, server.example)
    rotated(client, name, 1)
    assert steps(server) == STEPS


def test_a_program_that_is_not_there_leaves_nothing_behind(client, sm, name, by_command):
    by_command("missing")
    before = sm.describe_secret(SecretId=name)["VersionIdsToStages"]
    client.write(f"sys/rotation-run/secret/{name}")
    wait_until("the failure", lambda: status(client, name)["state"] == "failed")
    failure = status(client, name)["failure"]
    assert "cannot be started" in failure["reason"] and failure["attempts"] == 1
    assert sm.describe_secret(SecretId=name)["VersionIdsToStages"] == before
    assert fields(client, name)["password"] == "first"


def test_what_a_script_wrote_waits_when_it_cannot_go_on(server, client, sm, name, by_command):
    """The target has the new password already, and the secret keeps it, pending, for the next attempt."""
    by_command("document")
    script = server.example.replace("testSecret)", "testSecret) rm -- \"$0\"; exit 1 ;;\nnever)")
    assert script != server.example
    install(server.script, script)
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    wait_until("the failure", lambda: status(client, name)["state"] == "failed")
    assert "cannot be started" in status(client, name)["failure"]["reason"]
    assert fields(client, name)["password"] == "first"
    waiting = json.loads(sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["SecretString"])
    assert waiting["password"] == (server.directory / "password").read_text()
    install(server.script, server.example)
    with aws_refused("InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."):
        sm.rotate_secret(SecretId=name)
    rotated(client, name, 1)
    assert sm.get_secret_value(SecretId=name)["VersionId"] == request
    assert fields(client, name)["password"] == waiting["password"]


def is_gone(file):
    pid = int(file.read_text())
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    # Killed, and not yet waited for by whoever inherited it.
    return state == "Z"


def test_what_takes_too_long_is_killed_with_its_grandchildren(server, client, name, by_command):
    by_command("slow")
    client.write(f"sys/rotation-run/secret/{name}")
    assert "still running after 1s" in failed(client, name)
    for process in ("leader", "grandchild"):
        wait_until(f"the end of the {process}", lambda: is_gone(server.directory / process))
    client.write(f"sys/rotation-pause/secret/{name}")


def test_output_is_bounded_and_seen_by_nobody(server, client, name, by_command):
    by_command("loud")
    client.write(f"sys/rotation-run/secret/{name}")
    assert "more than 65536 bytes" in failed(client, name)
    event = json.loads((server.directory / "event").read_text())
    run = status(client, name)["run"]
    assert event == {"Step": "createSecret", "SecretId": name, "ClientRequestToken": run["id"], "RotationToken": run["id"]}
    names = {line.split("=")[0] for line in (server.directory / "environment").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH", "KEYTURN_HOOK_STEP", "KEYTURN_HOOK_SECRET_ID", "KEYTURN_HOOK_VERSION_ID"}
    for log in server.directory.glob("*.log"):
        assert "words-that-nobody" not in log.read_text()
    client.write(f"sys/rotation-pause/secret/{name}")


def test_names_that_are_not_configured_are_refused(client, name, by_command):
    for command in ("none", "../document", "/bin/sh", "document arg", "a\nb"):
        with refused(hvac.exceptions.InvalidRequest):
            by_command(command)
    with refused(hvac.exceptions.InvalidRequest, "both"):
        by_command("document", hook_url="http://127.0.0.1:9/")
    assert client.read(f"sys/rotation/secret/{name}") is None
    by_command("document")
    client.write(f"sys/rotation/secret/{name}", hook_command="", hook_url="http://127.0.0.1:9/")
    assert status(client, name)["hook_command"] == ""


def test_a_server_that_is_killed_in_a_step_repeats_it(server, client, sm, name, by_command):
    """Any step may be run twice; the document's script does not mind."""
    by_command("killed")
    reached = server.directory / "reached"
    once = f"if [ ! -e {reached} ]; then : > {reached}; exec sleep 1000; fi"
    script = server.example.replace("setSecret)", f"setSecret) {once};", 1)
    assert script != server.example
    install(server.script, script)
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    wait_until("the step", reached.exists)
    server.kill()
    server.start()
    server.unseal()
    # The claim of the process that died ends by itself, a minute after it.
    wait_until("the rotation", lambda: status(client, name)["rotations"] == 1, 120)
    told = steps(server)
    assert told.count("setSecret") >= 2 and told[-2:] == STEPS[-2:]
    assert sm.get_secret_value(SecretId=name)["VersionId"] == request
    assert (server.directory / "password").read_text() == fields(client, name)["password"]
