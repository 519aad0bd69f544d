"""Who asks at the AWS door: access keys and their signatures, by real boto3 and botocore's own signers."""

import datetime
import json
import shutil
import subprocess

import botocore.auth
import botocore.awsrequest
import pytest
from hvac import exceptions

import aws
import harness
import support
from support import is_refused, unique, wait_until

pytestmark = pytest.mark.keyturn

# What is answered to an operation that does not exist, once it is known who asks.
PASSED = "UnknownOperationException"
INVALID = "InvalidSignatureException"
INCOMPLETE = "IncompleteSignatureException"
UNKNOWN = "UnrecognizedClientException"


@pytest.fixture
def key(server):
    """An access key with the default policy."""
    return aws.create_key(server, name=unique("app"))


def sign_at(monkeypatch, seconds):
    """Makes botocore sign with a clock that is off by some seconds."""
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: now.replace(tzinfo=None))


# --- keys -------------------------------------------------------------------------------------------------------------


def test_key_is_made_listed_read_and_revoked(server, client):
    """The secret is in the first answer and in no other."""
    made = client.write("sys/aws-keys", policies="default", name="ci", ttl="1h")["data"]
    assert made["access_key_id"].startswith("AKIA") and len(made["access_key_id"]) == 20
    assert len(made["secret_access_key"]) == 40 and made["policies"] == ["default"]
    path = f"sys/aws-keys/{made['access_key_id']}"
    read, listed = client.read(path), client.list("sys/aws-keys")
    assert (read["data"]["name"], read["data"]["temporary"], read["data"]["bound_cidrs"]) == ("ci", False, [])
    assert listed["data"]["key_info"][made["access_key_id"]] == read["data"]
    assert made["secret_access_key"] not in json.dumps([read, listed])
    looked_up = client.auth.token.lookup_accessor(made["accessor"])["data"]
    assert looked_up["meta"] == {"access_key_id": made["access_key_id"]} and looked_up["display_name"] == "aws-ci"
    client.delete(path)
    client.delete(path)
    with support.refused(exceptions.InvalidPath, "no access key"):
        client.secrets.kv.v1.read_secret(path.removeprefix("sys/"), mount_point="sys")
    with support.refused(exceptions.InvalidRequest, "invalid accessor"):
        client.auth.token.lookup_accessor(made["accessor"])


@pytest.mark.parametrize("fields, message", [
    ({}, "missing policies"),
    ({"policies": ""}, "missing policies"),
    ({"policies": "default", "name": "a b"}, "name must be"),
    ({"policies": "default", "ttl": "soon"}, "ttl"),
    ({"policies": "default", "bound_cidrs": "x"}, "bound_cidrs"),
])
def test_bad_parameters(client, fields, message):
    """400, and nothing is made."""
    before = len((client.list("sys/aws-keys") or {"data": {"keys": []}})["data"]["keys"])
    with support.refused(exceptions.InvalidRequest, message):
        client.write("sys/aws-keys", **fields)
    assert len((client.list("sys/aws-keys") or {"data": {"keys": []}})["data"]["keys"]) == before


def test_who_may_make_keys(server, limited):
    """A policy says so, and a key gets no policy that its maker has not."""
    with support.refused(exceptions.Forbidden):
        limited('path "secret/*" { capabilities = ["read"] }').write("sys/aws-keys", policies="default")
    maker = limited('path "sys/aws-keys" { capabilities = ["update"] }')
    assert maker.write("sys/aws-keys", policies="default")["data"]["access_key_id"]
    with support.refused(exceptions.InvalidRequest, "subset"):
        maker.write("sys/aws-keys", policies="root")
    with support.refused(exceptions.Forbidden):
        maker.list("sys/aws-keys")


def test_key_from_the_command_line(server, tmp_path):
    """`aws-key create --format json` is an object with the two halves; what is listed has no secret."""
    run = lambda *arguments: harness.run_keyturn(server, "aws-key", *arguments, home=tmp_path)
    made = json.loads(run("create", "--policy", "default", "--name", "cli", "--ttl", "1h", "--format", "json").stdout)
    key = aws.AccessKey(server, made["access_key_id"], made["secret_access_key"])
    assert key.client("sts").get_caller_identity()["Arn"].endswith(":user/cli")
    listed = run("list").stdout.decode()
    assert key.id in listed and key.secret not in listed
    assert run("revoke", key.id).returncode == 0
    with aws.refused("InvalidClientTokenId", 403):
        key.client("sts").get_caller_identity()


def test_key_ends_with_its_time(server):
    """In the second that its time is over."""
    key = aws.create_key(server, ttl="1s")
    wait_until("the key ends", lambda: aws.error_of(aws.send(aws.signed_request(key))) == UNKNOWN)


def test_key_is_renewed_by_its_accessor(server, client):
    """The life of a key is that of its token."""
    made = client.write("sys/aws-keys", policies="default", ttl="60s")["data"]
    renewed = client.auth.token.renew_accessor(made["accessor"], increment=7200)["auth"]
    assert renewed["lease_duration"] == 7200 and not renewed["client_token"]
    assert client.read(f"sys/aws-keys/{made['access_key_id']}")["data"]["expire_time"] > made["expire_time"]


def test_keys_survive_a_restart(own_server):
    """Key and secret are as good as before; the last use was written down."""
    key = aws.create_key(own_server)
    assert aws.error_of(aws.send(aws.signed_request(key))) == PASSED
    own_server.stop()
    own_server.start()
    own_server.unseal()
    assert aws.error_of(aws.send(aws.signed_request(key))) == PASSED
    read = own_server.client().read(f"sys/aws-keys/{key.id}")["data"]
    assert (read["last_used_region"], read["last_used_service"]) == (aws.REGION, "secretsmanager")


# --- signatures -------------------------------------------------------------------------------------------------------


def test_boto3_is_known(key):
    """A good key passes the door; a wrong half of it does not."""
    client = lambda **options: key.client("secretsmanager", **options)
    with aws.refused("ResourceNotFoundException") if _has_operations(key) else aws.refused(PASSED):
        aws.create_key(key.server, "root").client("secretsmanager").get_secret_value(SecretId=unique("none"))
    with aws.refused(INVALID, fragment="does not match the signature"):
        client(aws_secret_access_key="x" * 40).get_random_password()
    with aws.refused(UNKNOWN, fragment="security token included in the request is invalid"):
        client(aws_access_key_id="AKIAAAAAAAAAAAAAAAAA").get_random_password()
    with aws.refused(UNKNOWN):
        client(aws_session_token="FwoGZXIvYXdz").get_random_password()


def _has_operations(key):
    answer = aws.send(aws.signed_request(key, target="secretsmanager.GetSecretValue"))
    return answer.json["__type"] != PASSED


@pytest.mark.parametrize("altered", [
    {"body": b'{"SecretId":"other"}'},
    {"body": b""},
    {"method": "PUT"},
    {"headers": {"X-Amz-Target": "secretsmanager.GetSecretValue"}},
    {"headers": {"Content-Type": "application/json"}},
    {"headers": {"Host": "elsewhere"}},
], ids=["body", "no body", "method", "target", "content type", "host"])
def test_what_botocore_signed_cannot_be_altered(key, altered):
    """Unaltered it is good."""
    assert aws.error_of(aws.send(aws.signed_request(key))) == PASSED
    assert aws.error_of(aws.send(aws.signed_request(key), **altered)) == INVALID


@pytest.mark.parametrize("path", ["/x", "/?a=1"])
def test_path_and_query_are_signed(key, path):
    """A signature for / is none for another path; one that was signed for it is told there is nothing."""
    request = aws.signed_request(key)
    assert aws.error_of(aws.send(request, url=key.server.address + path)) == INVALID
    assert aws.error_of(aws.send(aws.signed_request(key, path=path))) == PASSED


@pytest.mark.parametrize("old, new, code", [
    ("/secretsmanager/", "/sts/", INVALID),
    (f"/{aws.REGION}/", "/us-east-1/", INVALID),
    ("aws4_request", "aws5_request", INVALID),
    ("host;", "", INVALID),
    (";x-amz-target", "", INVALID),
    ("Signature=", "Signature=0", INVALID),
    ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", INCOMPLETE),
    ("Credential=", "Cred=", INCOMPLETE),
    (", SignedHeaders=", ", SignedHeads=", INCOMPLETE),
])
def test_altered_authorization(key, old, new, code):
    """Each part of the header counts."""
    request = aws.signed_request(key)
    assert old in request.headers["Authorization"]
    altered = {"Authorization": request.headers["Authorization"].replace(old, new)}
    assert aws.error_of(aws.send(request, headers=altered)) == code


def test_scope_of_another_service_or_no_signature(key):
    """Signed for another service, or not at all."""
    assert aws.error_of(aws.send(aws.signed_request(key, service="sts"))) == INVALID
    assert aws.error_of(aws.send(aws.signed_request(key, service="s3"))) == INVALID
    unsigned = botocore.awsrequest.AWSRequest("POST", key.server.address + "/", data=b"{}", headers={
        "X-Amz-Target": "secretsmanager.GetRandomPassword"})
    assert aws.error_of(aws.send(unsigned)) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "0" * 64])
def test_body_is_always_hashed(key, payload):
    """What a request says of its body must be true; not to say it is no way around."""
    request = aws.signed_request(key, headers={"X-Amz-Content-SHA256": payload})
    assert aws.error_of(aws.send(request)) == INVALID


@pytest.mark.parametrize("seconds, text", [(-3600, "Signature expired"), (3600, "Signature not yet current")])
def test_clock_that_is_off(key, monkeypatch, seconds, text):
    """More than five minutes."""
    sign_at(monkeypatch, seconds)
    answer = aws.send(aws.signed_request(key))
    assert aws.error_of(answer) == INVALID and text in answer.json["message"]
    sign_at(monkeypatch, seconds / 3600 * 240)
    assert aws.error_of(aws.send(aws.signed_request(key))) == PASSED


def test_another_keys_signature(server, key):
    """The secret of one key is none of another's."""
    other = aws.create_key(server)
    mixed = aws.AccessKey(server, key.id, other.secret)
    assert aws.error_of(aws.send(aws.signed_request(mixed))) == INVALID


def test_hostile_requests_to_the_door(server):
    """Whatever is sent, the answer is an error of the client in the protocol's form, and the server lives."""
    for headers, body in [
        ({"Authorization": "AWS4-HMAC-SHA256"}, b""),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;, Signature=="}, b"{}"),
        ({"Authorization": "AWS4-HMAC-SHA256 " + "Credential=" * 1000}, b"{}"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/secretsmanager/aws4_request, SignedHeaders="
          + ";".join(f"x{n:05}" for n in range(5000)) + ", Signature=00"}, b""),
        ({"X-Amz-Target": "secretsmanager." + "A" * 8000}, b"\xff\xfe"),
    ]:
        answer = aws.send(botocore.awsrequest.AWSRequest("POST", server.address + "/", headers=headers, data=body))
        assert answer.status == 400 and answer.json["__type"].endswith("Exception"), answer
    for query in ["X-Amz-Signature=0", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=99999999999999999999", "Action=%"]:
        answer = aws.send(botocore.awsrequest.AWSRequest("GET", f"{server.address}/?{query}"))
        assert answer.status == 400, answer
    assert server.answers() == 200


def test_aws_command_line(key, tmp_path):
    """The AWS CLI, unmodified, told where to go by its environment."""
    command = shutil.which("aws")
    if not command:
        pytest.skip("the AWS CLI is not installed")
    environment = harness.clean_environment(tmp_path) | key.environment()
    done = subprocess.run([command, "sts", "get-caller-identity", "--output", "json"], env=environment,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["Account"] == "000000000000"


def test_revoked_key_is_refused_at_once(server, key):
    """By id, and by the accessor of the token that it stands for."""
    other = aws.create_key(server)
    for used in (key, other):
        assert aws.error_of(aws.send(aws.signed_request(used))) == PASSED
    server.client().delete(f"sys/aws-keys/{key.id}")
    accessor = server.client().read(f"sys/aws-keys/{other.id}")["data"]["accessor"]
    server.client().auth.token.revoke_accessor(accessor)
    for used in (key, other):
        assert aws.error_of(aws.send(aws.signed_request(used))) == UNKNOWN
    assert is_refused(exceptions.InvalidRequest, lambda: server.client().auth.token.lookup_accessor(accessor))
