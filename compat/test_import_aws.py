"""`keyturn import aws`: from one server that speaks like AWS Secrets Manager into another."""

import http.server
import json
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

import aws_model
import harness
from aws_model import token
from support import DEADLINE_SECONDS, unique, wait_until

pytestmark = pytest.mark.keyturn

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:rotate"
MARK = "keyturn:import"
CANARY = "import-canary"


class Proxy:
    """Stands before a server; `judge`, given the operation, may answer instead of it, or wait."""

    def __init__(self, server):
        self.server, self.operations, self.judge = server, [], lambda operation: None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                operation = self.headers["x-amz-target"].partition(".")[2]
                proxy.operations.append(operation)
                status, text = proxy.judge(operation) or proxy.forward(dict(self.headers), body)
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forward(self, headers, body):
        request = urllib.request.Request(self.server.address + "/", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The server that is copied from."""
    process = harness.dev_server(tmp_path_factory.mktemp("source"))
    yield process
    process.stop()


@pytest.fixture
def proxy(source):
    proxy = Proxy(source)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def key(source):
    return aws_model.make_key(source)


@pytest.fixture(scope="module")
def old(key):
    """A client of the source."""
    return aws_model.client(key)


@pytest.fixture(scope="module")
def new(server):
    """A client of the target."""
    return aws_model.client(aws_model.make_key(server))


@pytest.fixture
def command(server, key, tmp_path):
    """The command line and the environment of an import."""

    def make(*arguments, endpoint=None, token=None):
        environment = harness.client_environment(server, tmp_path) | {
            "KEYTURN_TOKEN": token or server.token, "AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret}
        line = [str(harness.BINARY), "import", "aws", "--region", aws_model.REGION, "--endpoint-url",
                endpoint or key.server.address, *arguments]
        return line, environment

    return make


@pytest.fixture
def run(command):
    """Imports; returns what is said of each secret, by name."""

    def run(prefix, *arguments, expect=0, **options):
        line, environment = command("--format", "json", "--prefix", prefix, *arguments, **options)
        done = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        assert CANARY.encode() not in done.stdout + done.stderr
        return {secret["name"]: secret for secret in json.loads(done.stdout)["secrets"]}

    return run


@pytest.fixture
def prefix():
    return unique("imported") + "/"


def counts(told):
    return told["copied"], told["skipped"], len(told["conflicts"]), told["failure"]


def labels(client, name):
    listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    return [(version["VersionId"], set(version.get("VersionStages", ()))) for version in listed]


def facts(client, name):
    """What is to be the same on both sides."""
    told = client.describe_secret(SecretId=name)
    kept = ("Name", "Description", "KmsKeyId", "RotationEnabled", "RotationLambdaARN", "RotationRules", "VersionIdsToStages")
    tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags", ()) if tag["Key"] != MARK}
    policy = client.get_resource_policy(SecretId=name).get("ResourcePolicy")
    versions = {version: sorted(stages) for version, stages in told.get("VersionIdsToStages", {}).items()}
    return {member: told.get(member) for member in kept} | {"Tags": tags, "policy": policy, "VersionIdsToStages": versions}


def values(client, name):
    found = {}
    for version, _ in labels(client, name):
        answer = client.get_secret_value(SecretId=name, VersionId=version)
        found[version] = answer.get("SecretString", answer.get("SecretBinary"))
    return found


def make(old, name, count=1):
    """A secret at the source with this many versions; their ids."""
    ids = [old.create_secret(Name=name, SecretString=f"{CANARY} 1")["VersionId"]]
    ids += [old.put_secret_value(SecretId=name, SecretString=f"{CANARY} {n}")["VersionId"] for n in range(2, count + 1)]
    return ids


def make_rich(old, name):
    """A secret with all that can be copied."""
    make(old, name, 4)
    blue, green = [version for version, _ in labels(old, name)][:2]
    old.update_secret_version_stage(SecretId=name, VersionStage="blue", MoveToVersionId=blue)
    old.put_secret_value(SecretId=name, SecretBinary=bytes(range(256)))
    old.put_secret_value(SecretId=name, SecretString='{"user": "é\\n", "n": 1}', VersionStages=["AWSPENDING", "red"])
    old.put_secret_value(SecretId=name, SecretString="passing", VersionStages=["away"])
    old.update_secret_version_stage(SecretId=name, VersionStage="away", MoveToVersionId=green,
                                    RemoveFromVersionId=labels(old, name)[-1][0])
    old.update_secret(SecretId=name, Description="what it is", KmsKeyId="alias/key")
    old.tag_resource(SecretId=name, Tags=[{"Key": "team", "Value": "a"}, {"Key": "empty", "Value": ""}])
    statement = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"}
    old.put_resource_policy(SecretId=name, ResourcePolicy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    old.rotate_secret(SecretId=name, RotationLambdaARN=LAMBDA, RotateImmediately=False,
                      RotationRules={"ScheduleExpression": "rate(10 days)", "Duration": "3h"})


def test_all_is_copied_once(old, new, run, prefix, server):
    name = prefix + "rich"
    make_rich(old, name)
    old.create_secret(Name=prefix + "empty", Description="no value yet")
    told = run(prefix)
    assert counts(told[name]) == (7, 0, 0, None)
    assert counts(told[prefix + "empty"]) == (0, 0, 0, None)
    assert facts(new, name) == facts(old, name)
    assert facts(new, prefix + "empty") == facts(old, prefix + "empty")
    assert labels(new, name) == labels(old, name)
    assert values(new, name) == values(old, name)
    changed = new.describe_secret(SecretId=name)["LastChangedDate"]
    again = run(prefix)
    assert counts(again[name]) == (0, 7, 0, None)
    assert new.describe_secret(SecretId=name)["LastChangedDate"] == changed
    # What was never current is invisible to Vault's clients, what may have been is not.
    current = server.client().secrets.kv.v2.read_secret_metadata(name, mount_point="secret")["data"]["current_version"]
    assert current == 5


def test_no_access_key_is_left(old, run, prefix, server):
    make(old, prefix + "a")
    run(prefix)
    keys = server.client().list("sys/aws-keys")["data"]["key_info"].values()
    assert "keyturn-import" not in {key["name"] for key in keys}


def test_what_is_new_is_brought_over(old, new, run, prefix):
    name = prefix + "a"
    make(old, name, 2)
    run(prefix)
    old.put_secret_value(SecretId=name, SecretString="three")
    old.put_secret_value(SecretId=name, SecretString="four", VersionStages=["AWSPENDING"])
    old.tag_resource(SecretId=name, Tags=[{"Key": "new", "Value": "tag"}])
    assert counts(run(prefix)[name]) == (2, 2, 0, None)
    assert facts(new, name) == facts(old, name) and values(new, name) == values(old, name)
    old.untag_resource(SecretId=name, TagKeys=["new"])
    old.update_secret(SecretId=name, Description="said later")
    first = labels(old, name)[0][0]
    current = old.get_secret_value(SecretId=name)["VersionId"]
    old.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first,
                                    RemoveFromVersionId=current)
    assert counts(run(prefix)[name]) == (0, 4, 0, None)
    assert facts(new, name) == facts(old, name)


def test_a_dry_run_reads_no_values_and_changes_nothing(old, new, run, prefix, proxy):
    make(old, prefix + "a", 3)
    told = run(prefix, "--dry-run", endpoint=proxy.address)
    assert counts(told[prefix + "a"]) == (3, 0, 0, None)
    assert "GetSecretValue" not in proxy.operations and "ListSecrets" in proxy.operations
    assert not new.list_secrets(Filters=[{"Key": "name", "Values": [prefix]}])["SecretList"]
    run(prefix)
    assert counts(run(prefix, "--dry-run")[prefix + "a"]) == (0, 3, 0, None)


def test_the_state_file_spares_reading_values(old, new, run, prefix, proxy, tmp_path):
    name, path = prefix + "a", tmp_path / "state"
    make(old, name, 2)
    state = ("--state", str(path))
    assert counts(run(prefix, *state, endpoint=proxy.address)[name]) == (2, 0, 0, None)
    assert CANARY not in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    proxy.operations.clear()
    assert counts(run(prefix, *state, endpoint=proxy.address)[name]) == (0, 2, 0, None)
    assert "GetSecretValue" not in proxy.operations
    old.put_secret_value(SecretId=name, SecretString="three")
    assert counts(run(prefix, *state, endpoint=proxy.address)[name]) == (1, 2, 0, None)
    assert values(new, name) == values(old, name)


@pytest.mark.parametrize("cut_at", [2, 4])
def test_a_run_that_is_killed_is_taken_up(old, new, run, command, prefix, proxy, cut_at):
    names = [prefix + "a", prefix + "b"]
    for name in names:
        make(old, name, 3)
    held, go = threading.Event(), threading.Event()

    def judge(operation):
        if operation == "GetSecretValue" and proxy.operations.count(operation) == cut_at:
            held.set()
            go.wait(DEADLINE_SECONDS)

    proxy.judge = judge
    line, environment = command("--prefix", prefix, endpoint=proxy.address)
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        wait_until("the run is in the middle", held.is_set)
        child.kill()
    go.set()
    there = [secret["Name"] for secret in new.list_secrets(Filters=[{"Key": "name", "Values": [prefix]}])["SecretList"]]
    assert len(there) == (1 if cut_at == 2 else 2)
    told = run(prefix)
    assert sum(secret["copied"] for secret in told.values()) == 6 - (cut_at - 1)
    assert sum(secret["skipped"] for secret in told.values()) == cut_at - 1
    for name in names:
        assert facts(new, name) == facts(old, name) and values(new, name) == values(old, name)


def test_changes_at_the_target_stay(old, new, run, prefix):
    written, moved, tagged, other = [prefix + name for name in ("written", "moved", "tagged", "other")]
    for name in (written, moved, tagged):
        make(old, name, 2)
    run(prefix)
    new.put_secret_value(SecretId=written, SecretString="mine")
    first, second = [version for version, _ in labels(new, moved)]
    new.update_secret_version_stage(SecretId=moved, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second)
    new.tag_resource(SecretId=tagged, Tags=[{"Key": "mine", "Value": "x"}])
    make(old, other)
    new.create_secret(Name=other, SecretString="mine")
    for name in (written, moved):
        old.put_secret_value(SecretId=name, SecretString="newer at the source")
    before = {name: (facts(new, name), values(new, name)) for name in (written, moved, tagged, other)}
    told = run(prefix, expect=1)
    for name, was in before.items():
        assert told[name]["copied"] == 0 and len(told[name]["conflicts"]) == 1, told[name]
        assert (facts(new, name), values(new, name)) == was
    assert "labels" in told[moved]["conflicts"][0] and "tags" in told[tagged]["conflicts"][0]
    assert "another secret" in told[other]["conflicts"][0]


def test_an_id_with_another_content_is_a_conflict(old, new, run, prefix):
    name, version = prefix + "a", token()
    old.create_secret(Name=name, SecretString=CANARY, ClientRequestToken=version)
    new.create_secret(Name=name, SecretString="mine", ClientRequestToken=version)
    told = run(prefix, expect=1)[name]
    assert counts(told) == (0, 0, 1, None) and version in told["conflicts"][0]
    assert new.get_secret_value(SecretId=name)["SecretString"] == "mine"


def test_what_is_scheduled_for_deletion_is_listed(old, new, run, prefix):
    here, there = prefix + "here", prefix + "there"
    make(old, here)
    make(old, there)
    old.delete_secret(SecretId=here)
    new.create_secret(Name=there, SecretString="x")
    new.delete_secret(SecretId=there)
    told = run(prefix, expect=1)
    assert told[here]["passed_over"] == "scheduled for deletion" and counts(told[here]) == (0, 0, 0, None)
    assert told[there]["conflicts"] == ["scheduled for deletion at the target"]


def test_throttling_is_waited_for(old, new, run, prefix, proxy):
    make(old, prefix + "a")
    throttled = json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()
    proxy.judge = lambda operation: (400, throttled) if proxy.operations.count(operation) < 3 else None
    assert counts(run(prefix, endpoint=proxy.address)[prefix + "a"]) == (1, 0, 0, None)
    assert proxy.operations.count("ListSecrets") == 3


def test_one_failure_does_not_stop_the_others(old, new, run, prefix, proxy):
    make(old, prefix + "a")
    make(old, prefix + "b")
    denied = json.dumps({"__type": "AccessDeniedException", "Message": "no \x1b[2J"}).encode()
    proxy.judge = lambda operation: (
        (400, denied) if operation == "GetSecretValue" and proxy.operations.count(operation) == 1 else None)
    told = run(prefix, endpoint=proxy.address, expect=1)
    assert counts(told[prefix + "b"]) == (1, 0, 0, None)
    assert "the source refuses GetSecretValue: AccessDeniedException" in told[prefix + "a"]["failure"]
    assert counts(run(prefix)[prefix + "a"]) == (1, 0, 0, None)


def test_a_wrong_key_or_right_ends_the_run(old, command, prefix, server):
    make(old, prefix + "a")
    line, environment = command("--prefix", prefix)
    for wrong, code in (({"AWS_SECRET_ACCESS_KEY": CANARY}, 4), ({"AWS_ACCESS_KEY_ID": ""}, 2)):
        done = subprocess.run(line, env=environment | wrong, capture_output=True, timeout=60, check=False)
        assert done.returncode == code and CANARY.encode() not in done.stderr, done
    reader = server.client().auth.token.create(policies=["default"])["auth"]["client_token"]
    line, environment = command("--prefix", prefix, token=reader)
    done = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 4 and b"sys/aws-keys" in done.stderr, done


def test_a_table_for_people(old, command, prefix):
    make(old, prefix + "a", 2)
    line, environment = command("--prefix", prefix)
    done = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=True)
    heading, _, row = done.stdout.decode().splitlines()
    assert heading.split() == ["SECRET", "COPIED", "SKIPPED", "CONFLICTS", "NOTE"]
    assert row.split() == [prefix + "a", "2", "0", "0"]
