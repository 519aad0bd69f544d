"""The AWS SDK for Rust, unmodified, with credentials of an access key and by web identity.

`compat/rust-sdk` is a program of its own, built here by cargo: 150 crates, about a minute on two cores the first time.
Where it cannot be built, the tests fail; they are not skipped.
"""

import subprocess

import pytest

import aws
from aws_model import REGION
from harness import ROOT, clean_environment
from provider import Provider
from support import unique

pytestmark = pytest.mark.keyturn

CRATE = ROOT / "compat" / "rust-sdk"
TARGET = ROOT / "target" / "rust-sdk"


@pytest.fixture(scope="module")
def program():
    """The program, built as its lock file says."""
    command = ["cargo", "build", "--locked", "--manifest-path", str(CRATE / "Cargo.toml"), "--target-dir", str(TARGET)]
    try:
        built = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except FileNotFoundError:
        pytest.fail("cargo is not installed, so that the AWS SDK for Rust cannot be tried")
    if built.returncode != 0:
        pytest.fail(f"the AWS SDK for Rust cannot be built (it needs crates.io once):\n{built.stderr[-4000:]}")
    return TARGET / "debug" / "keyturn-compat-rust-sdk"


@pytest.fixture
def sdk(program, server, tmp_path):
    """Runs it with these variables; returns what it saw, by name, or what it said when it failed."""

    def run(name, environment, fails=False):
        common = {"AWS_ENDPOINT_URL": server.address, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        done = subprocess.run([program, name], env=clean_environment(tmp_path) | common | environment,
                              capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else dict(line.split("\t", 1) for line in done.stdout.splitlines())

    return run


def keys(key):
    return {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret}


def check(saw, name):
    """What the program must have seen."""
    assert saw["created"].startswith(f"arn:aws:secretsmanager:{REGION}:") and f":secret:{name}-" in saw["created"]
    assert saw["request id"] != "-" and int(saw["created date"]) > 1_700_000_000
    assert (saw["text"], saw["previous"], saw["bytes"]) == ("zwei ü", "one", "[0, 255]")
    assert (saw["stages"], saw["tag"]) == ("AWSCURRENT", "a")
    assert saw["listed"] == f"{name},{name}-binary"
    assert (saw["error"], saw["is not found"]) == ("ResourceNotFoundException", "true")
    assert (saw["invalid"], saw["status"]) == ("ValidationException", "400")


def test_with_an_access_key(sdk, aws_key):
    name = unique("rust")
    check(sdk(name, keys(aws_key)), name)


def test_with_temporary_credentials(server, sdk, aws_key):
    made = aws_key.client("sts").get_session_token()["Credentials"]
    session = aws.AccessKey(server, made["AccessKeyId"], made["SecretAccessKey"])
    name = unique("rust")
    check(sdk(name, keys(session) | {"AWS_SESSION_TOKEN": made["SessionToken"]}), name)


def test_by_web_identity(sdk, server, client, policy, tmp_path):
    """The chain finds the token's file and the role in the environment, and asks STS by itself."""
    provider, path = Provider(), unique("jwt")
    try:
        client.sys.enable_auth_method("jwt", path=path)
        client.auth.jwt.configure(jwks_url=f"{provider.url}/keys", bound_issuer=provider.url, path=path)
        rules = policy('path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }')
        client.auth.jwt.create_role("ci", path=path, role_type="jwt", user_claim="sub", bound_audiences=["keyturn"],
                                    allowed_redirect_uris=[], token_policies=[rules])
        (tmp_path / "token").write_text(provider.sign(sub="pipeline", aud="keyturn"))
        role = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_SESSION_NAME": "job-1",
                "AWS_ROLE_ARN": f"arn:aws:iam::000000000000:role/{path}/ci"}
        name = unique("rust")
        check(sdk(name, role), name)
        (tmp_path / "token").write_text(provider.sign(sub="pipeline", aud="somebody-else"))
        assert "AccessDenied" in sdk(name, role, fails=True)
    finally:
        client.sys.disable_auth_method(path)
        provider.stop()


def test_refusals(sdk, aws_key):
    """A wrong secret is told as AWS tells it."""
    wrong = keys(aws_key) | {"AWS_SECRET_ACCESS_KEY": "x" * 40}
    assert "InvalidSignatureException" in sdk(unique("rust"), wrong, fails=True)
