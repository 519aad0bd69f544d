"""Rotations without a database: generated values, hooks as AWS tells its functions of them, who may do what."""

import json
from contextlib import contextmanager

import hvac
import pytest

import listeners
from aws_model import refused as aws_refused
from aws_model import token
from support import refused, unique, wait_until

pytestmark = pytest.mark.keyturn


@pytest.fixture
def name():
    return unique("rotation")


@pytest.fixture
def keyturn(keyturn):
    """What the command line prints, or complains of."""

    def run(*arguments, expect=0):
        done = keyturn(*arguments, expect=expect)
        return (done.stderr if expect else done.stdout).decode()

    return run


def status(client, name):
    return client.read(f"sys/rotation/secret/{name}")["data"]


def fields(client, name, **options):
    return client.secrets.kv.v2.read_secret_version(name, mount_point="secret", raise_on_deleted_version=True,
                                                    **options)["data"]["data"]


def rotated(client, name, count):
    wait_until(f"{count} rotations", lambda: status(client, name)["state"] == "idle"
               and status(client, name)["rotations"] == count)


def test_a_value_is_generated_and_other_fields_stay(client, name):
    client.secrets.kv.v2.create_or_update_secret(name, {"host": "db", "port": 5432}, mount_point="secret")
    client.write(f"sys/rotation/secret/{name}", strategy="generated", password_field="key", schedule="24h")
    rotated(client, name, 1)
    first = fields(client, name)
    assert (first["host"], first["port"], len(first["key"])) == ("db", 5432, 32)
    client.write(f"sys/rotation-run/secret/{name}")
    rotated(client, name, 2)
    second = fields(client, name)
    assert second["key"] != first["key"] and second["host"] == "db"
    assert fields(client, name, version=2) == first
    told = status(client, name)
    assert told["next_rotation_time"] and told["last_run"]["promoted"] and told["failure"] is None
    assert told["path"] == f"secret/{name}" and told["strategy"] == "generated" and told["schedule"] == "24h"
    assert first["key"] not in json.dumps(told) and second["key"] not in json.dumps(told)
    assert f"secret/{name}" in client.list("sys/rotation")["data"]["keys"]


def test_settings_change_one_by_one(client, name):
    path = f"sys/rotation/secret/{name}"
    client.write(path, strategy="generated", schedule="30 3 * * 1", time_zone="Europe/Berlin")
    rotated(client, name, 1)
    client.write(path, jitter="5m", window="1h")
    told = status(client, name)
    assert (told["schedule"], told["time_zone"], told["jitter"], told["window"]) == (
        "30 3 * * 1", "Europe/Berlin", 300, 3600)
    for wrong in ({"schedule": "sometimes"}, {"schedule": "0 0 30 2 *"}, {"time_zone": "Mars/Olympus"},
                  {"jitter": "2h"}, {"overlap_min": "3h"}, {"at_max": "perhaps"}, {"strategy": "hook"},
                  {"users": "a"}, {"target": "pg"}, {"password_field": "username"}, {"window": "400d"},
                  {"hook_url": "http://h"}, {"schedule": "10s"}):
        with refused(hvac.exceptions.InvalidRequest):
            client.write(path, **wrong)
    assert status(client, name) == told
    client.delete(path)
    assert client.read(path) is None
    assert fields(client, name)["password"]


def test_what_cannot_be_rotated(client, name, kv1):
    for path in (f"{kv1}x", "nowhere/x", "secret/", "sys/x", "auth/token/x", "secret/" + "x" * 1025):
        with pytest.raises((hvac.exceptions.InvalidRequest, hvac.exceptions.InvalidPath)):
            client.write(f"sys/rotation/{path}", strategy="generated")
    with refused(hvac.exceptions.InvalidRequest, "strategy"):
        client.write(f"sys/rotation/secret/{name}", schedule="1d")
    with refused(hvac.exceptions.InvalidRequest, "no target"):
        client.write(f"sys/rotation/secret/{name}", strategy="alternating", target="nowhere", users="a,b",
                     owner_role="r")
    assert client.read(f"secret/metadata/{name}") is None
    for verb in ("run", "pause", "resume", "rollback"):
        with refused(hvac.exceptions.InvalidPath, "no rotation"):
            client.write(f"sys/rotation-{verb}/secret/{name}")


def test_a_policy_for_the_secrets_does_not_reach_rotations(client, limited, name):
    client.write(f"sys/rotation/secret/{name}", strategy="generated")
    rotated(client, name, 1)
    everything = '{ capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo"] }'
    user = limited(f'path "secret/*" {everything}')
    path = f"sys/rotation/secret/{name}"
    for ask in (lambda: user.read(path), lambda: user.write(path, schedule="1d"), lambda: user.delete(path),
                lambda: user.list("sys/rotation"), lambda: user.write(f"sys/rotation-run/secret/{name}")):
        with refused(hvac.exceptions.Forbidden):
            ask()
    runner = limited(f'path "sys/rotation-run/secret/{name}" {{ capabilities = ["update"] }}')
    runner.write(f"sys/rotation-run/secret/{name}")
    rotated(client, name, 2)
    with refused(hvac.exceptions.Forbidden):
        runner.write(f"sys/rotation-run/secret/{name}x")


def test_consumers_are_told_by_identity_and_version(client, limited, name):
    client.write(f"sys/rotation/secret/{name}", strategy="generated")
    rotated(client, name, 1)
    assert status(client, name)["consumers"] == []
    reader = limited(f'path "secret/data/{name}" {{ capabilities = ["read"] }}')
    fields(reader, name)
    [consumer] = status(client, name)["consumers"]
    accessor = reader.auth.token.lookup_self()["data"]["accessor"]
    assert (consumer["identity"], consumer["version"], consumer["address"]) == (f"accessor/{accessor}", 1, "127.0.0.1")
    client.write(f"sys/rotation-run/secret/{name}")
    rotated(client, name, 2)
    fields(reader, name)
    assert [one["version"] for one in status(client, name)["consumers"]] == [2]


def test_the_command_line(client, keyturn, name):
    made = keyturn("rotation", "create", f"secret/{name}", "--strategy", "generated", "--every", "7d")
    assert f"secret/{name} is rotated" in made and fields(client, name)["password"]
    assert f"secret/{name} is rotated" in keyturn("rotate", f"secret/{name}", "--wait")
    shown = json.loads(keyturn("rotation", "show", f"secret/{name}", "--format", "json"))
    assert (shown["state"], shown["rotations"], shown["schedule"]) == ("idle", 2, "7d")
    assert "generated" in keyturn("rotation", "show", f"secret/{name}")
    assert f"secret/{name}" in keyturn("rotation", "list")
    keyturn("rotation", "pause", f"secret/{name}")
    assert "paused" in keyturn("rotate", f"secret/{name}", expect=1)
    keyturn("rotation", "resume", f"secret/{name}")
    assert "nothing to go back" in keyturn("rotation", "rollback", f"secret/{name}", expect=1)
    keyturn("rotation", "delete", f"secret/{name}")
    assert client.read(f"sys/rotation/secret/{name}") is None


@contextmanager
def rotation_function(handle):
    """A rotation function behind its runtime emulator: `handle(event)` for each step."""

    class Handler(listeners.Quiet):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                answer = json.dumps(handle(event)).encode()
            except Exception as error:  # As the emulator tells of any exception.
                answer = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with listeners.serving(Handler) as url:
        yield f"{url}/2015-03-31/functions/function/invocations"


class Function:
    """What the templates of rotation functions do, step by step, with boto3 alone."""

    def __init__(self, sm):
        self.sm, self.steps, self.broken = sm, [], None

    def __call__(self, event):
        arn, request, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
        self.steps.append(step)
        if step == self.broken:
            raise ValueError(f"{step} is broken")
        stages = self.sm.describe_secret(SecretId=arn)["VersionIdsToStages"]
        assert request in stages, f"Secret version {request} has no stage for rotation"
        if "AWSCURRENT" in stages[request]:
            return None
        assert "AWSPENDING" in stages[request], f"{request} is not set as AWSPENDING"
        getattr(self, step)(arn, request)
        return None

    def createSecret(self, arn, request):
        current = json.loads(self.sm.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")["SecretString"])
        try:
            self.sm.get_secret_value(SecretId=arn, VersionId=request, VersionStage="AWSPENDING")
        except self.sm.exceptions.ResourceNotFoundException:
            current["password"] = self.sm.get_random_password(ExcludePunctuation=True)["RandomPassword"]
            self.sm.put_secret_value(SecretId=arn, ClientRequestToken=request, SecretString=json.dumps(current),
                                     VersionStages=["AWSPENDING"])

    def setSecret(self, arn, request):
        assert self.sm.get_secret_value(SecretId=arn, VersionId=request, VersionStage="AWSPENDING")["SecretString"]

    def testSecret(self, arn, request):
        self.setSecret(arn, request)

    def finishSecret(self, arn, request):
        stages = self.sm.describe_secret(SecretId=arn)["VersionIdsToStages"]
        [current] = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
        self.sm.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=request,
                                            RemoveFromVersionId=current)


STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]


@pytest.fixture
def function(client, sm, name):
    """A secret that a function rotates, and the function."""
    arn = sm.create_secret(Name=name, SecretString='{"username":"app","password":"first"}')["ARN"]
    function = Function(sm)
    with rotation_function(function) as url:
        client.write(f"sys/rotation/secret/{name}", strategy="hook", hook_url=url, hook_secret_id=arn)
        yield function


def test_a_function_rotates_over_the_aws_door(client, sm, name, function):
    before = sm.get_secret_value(SecretId=name)
    assert sm.describe_secret(SecretId=name)["RotationEnabled"]
    request = token()
    answer = sm.rotate_secret(SecretId=name, ClientRequestToken=request, RotationRules={"AutomaticallyAfterDays": 7})
    assert answer["VersionId"] == request
    rotated(client, name, 1)
    assert function.steps == STEPS
    now = sm.get_secret_value(SecretId=name)
    assert now["VersionId"] == request and json.loads(now["SecretString"])["password"] != "first"
    told = sm.describe_secret(SecretId=name)
    assert told["VersionIdsToStages"] == {request: ["AWSCURRENT"], before["VersionId"]: ["AWSPREVIOUS"]}
    assert told["RotationRules"] == {"AutomaticallyAfterDays": 7} and told["LastRotatedDate"]
    days = (told["NextRotationDate"] - told["LastRotatedDate"]).total_seconds() / 86400
    assert 6.9 < days < 7.1
    assert status(client, name)["schedule"] == "rate(7 days)"
    # The same token again changes nothing.
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    assert status(client, name)["rotations"] == 1 and function.steps == STEPS


def test_a_function_is_tested_without_a_rotation(client, sm, name, function):
    before = sm.describe_secret(SecretId=name)["VersionIdsToStages"]
    sm.rotate_secret(SecretId=name, RotateImmediately=False, RotationRules={"ScheduleExpression": "cron(0 8 1 * ? *)"})
    wait_until("the test", lambda: status(client, name)["last_run"] is not None)
    assert function.steps == ["testSecret"]
    told = sm.describe_secret(SecretId=name)
    assert told["VersionIdsToStages"] == before and told["NextRotationDate"]
    assert status(client, name)["failure"] is None


def test_a_stuck_function_is_told_of_and_what_it_left_is_healed(client, sm, name, function):
    function.broken = "setSecret"
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    wait_until("a failure", lambda: (status(client, name)["run"] or {"attempts": 0})["attempts"] > 0)
    run = status(client, name)["run"]
    assert "setSecret is broken" in run["waiting_for"] and run["id"] == request
    assert sm.describe_secret(SecretId=name)["VersionIdsToStages"][request] == ["AWSPENDING"]
    assert json.loads(sm.get_secret_value(SecretId=name)["SecretString"])["password"] == "first"
    with aws_refused("InvalidRequestException", "A previous rotation isn't complete."):
        sm.rotate_secret(SecretId=name)
    # The function works again: the rotation goes on by itself, with the same token.
    function.broken = None
    rotated(client, name, 1)
    assert sm.get_secret_value(SecretId=name)["VersionId"] == request
    assert "AWSPENDING" not in str(sm.describe_secret(SecretId=name)["VersionIdsToStages"])


def test_cancelling_pauses_and_rotating_resumes(client, sm, name, function):
    sm.cancel_rotate_secret(SecretId=name)
    assert status(client, name)["paused"] and sm.describe_secret(SecretId=name)["RotationEnabled"] is False
    sm.rotate_secret(SecretId=name)
    rotated(client, name, 1)
    assert not status(client, name)["paused"] and sm.describe_secret(SecretId=name)["RotationEnabled"]
