"""STS on the same listener: who one is, by header and by presigned URL."""

import datetime
from urllib.parse import urlsplit

import pytest
from botocore import UNSIGNED
from botocore.config import Config

import aws
from provider import Provider
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def key(server):
    """An access key named `who`."""
    return aws.create_key(server, name="who")


def presign(key, expires=60):
    """A URL for `GetCallerIdentity`, as other services hand them on to prove who somebody is."""
    return key.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=expires, HttpMethod="GET")


def get(url, method="GET"):
    """Fetches a URL as it is."""
    return aws.wire.call_any(url, method)


def error(answer):
    """Status and code of an XML error."""
    assert answer.headers["content-type"] == "text/xml", answer
    return answer.status, answer.body.decode().split("<Code>")[1].split("</Code>")[0]


def test_caller_identity(key):
    """Needs no policy; says which key it is, and never its secret."""
    answer = key.client("sts").get_caller_identity()
    assert {name: answer[name] for name in ("Account", "Arn", "UserId")} == {
        "Account": "000000000000", "Arn": "arn:aws:iam::000000000000:user/who", "UserId": "AIDA" + key.id[4:]}
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]


def test_a_key_without_any_policy_of_use_is_known_too(server):
    """The identity is asked of no policy."""
    key = aws.create_key(server, unique("nothing"), no_default_policy=True)
    assert key.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_session_token(server, key):
    """Temporary credentials with the key's rights; without the session token they are worth nothing."""
    made = key.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert made["AccessKeyId"].startswith("ASIA") and len(made["SecretAccessKey"]) == 40
    left = (made["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 0 < left <= 900
    session = aws.AccessKey(server, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert session.client("sts").get_caller_identity()["UserId"] == "AIDA" + key.id[4:]
    with aws.refused("InvalidClientTokenId", 403):
        aws.AccessKey(server, session.id, session.secret).client("sts").get_caller_identity()
    with aws.refused("AccessDenied", 403):
        session.client("sts").get_session_token()
    assert aws.error_of(aws.send(aws.signed_request(session))) == "UnknownOperationException"
    server.client().delete(f"sys/aws-keys/{key.id}")
    with aws.refused("InvalidClientTokenId", 403):
        session.client("sts").get_caller_identity()


def test_refusals_have_the_names_of_sts(key):
    """Other names than the JSON services', and 403."""
    client = lambda **options: key.client("sts", **options)
    with aws.refused("SignatureDoesNotMatch", 403):
        client(aws_secret_access_key="x" * 40).get_caller_identity()
    with aws.refused("InvalidClientTokenId", 403):
        client(aws_access_key_id="AKIAAAAAAAAAAAAAAAAA").get_caller_identity()
    with aws.refused("InvalidAction", 400):
        client().get_access_key_info(AccessKeyId=key.id)


def test_presigned_url(key):
    """Good as it is, not with anything altered, and for no other method."""
    url = presign(key)
    answer = get(url)
    assert answer.status == 200 and b"user/who" in answer.body
    for altered in (url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"), url.replace("Version=2011-06-15&", "") +
                    "&Version=2011-06-15&x=1", url[:-1] + ("0" if url[-1] != "0" else "1"), url[:-1]):
        assert error(get(altered)) == (403, "SignatureDoesNotMatch"), altered
    assert error(get(url.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=x"))) == (403, "SignatureDoesNotMatch")
    assert error(get(url + "&X-Amz-Signature=" + "0" * 64)) == (400, "MalformedQueryString")
    assert get(url, method="POST").status in (400, 403)
    assert urlsplit(url).path == "/"


def test_presigned_url_has_an_end_within_a_week(key):
    """Longer is refused before anything else is looked at."""
    assert error(get(presign(key, expires=604_801))) == (400, "IncompleteSignature")
    assert get(presign(key, expires=604_800)).status == 200


def test_no_signature(server):
    """Nobody is told so."""
    answer = get(f"{server.address}/?Action=GetCallerIdentity&Version=2011-06-15")
    assert error(answer) == (403, "MissingAuthenticationToken")


# --- web identities ---------------------------------------------------------------------------------------------------


@pytest.fixture
def provider():
    """An identity provider on loopback."""
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def trust(client, provider):
    """A JWT mount that trusts the provider; writes a role and returns its ARN."""
    path = f"team/{unique('jwt')}"
    client.sys.enable_auth_method("jwt", path=path)
    client.auth.jwt.configure(jwks_url=f"{provider.url}/keys", bound_issuer=provider.url, path=path)

    def write(name="ci", **fields):
        usual = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keyturn"], "allowed_redirect_uris": []}
        client.auth.jwt.create_role(name, path=path, **(usual | fields))
        return f"arn:aws:iam::000000000000:role/{path}/{name}"

    write.path = path
    yield write
    client.sys.disable_auth_method(path)


@pytest.fixture
def assume(server):
    """Assumes a role with no credentials at all, as an SDK does in a pipeline."""
    nobody = aws.AccessKey(server, None, None).client("sts", config=Config(
        signature_version=UNSIGNED, retries={"total_max_attempts": 1}))

    def call(arn, token, **fields):
        fields = {"RoleSessionName": "job-42", "DurationSeconds": 900} | fields
        return nobody.assume_role_with_web_identity(RoleArn=arn, WebIdentityToken=token, **fields)

    return call


def session_of(server, answer):
    """The access key that an answer has."""
    made = answer["Credentials"]
    return aws.AccessKey(server, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def test_web_identity(server, client, provider, trust, assume):
    """A provider's token is worth temporary credentials with the role's policies; the answer says whose they are."""
    arn = trust(token_policies=["app"], token_ttl="2h")
    answer = assume(arn, provider.sign(sub="repo:a", aud="keyturn"))
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"], answer["Provider"]) == (
        "repo:a", "keyturn", provider.url)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/ci/job-42"
    who = session_of(server, answer).client("sts").get_caller_identity()
    assert (who["Arn"], who["UserId"]) == (answer["AssumedRoleUser"]["Arn"], answer["AssumedRoleUser"]["AssumedRoleId"])
    known = client.read(f"sys/aws-keys/{answer['Credentials']['AccessKeyId']}")["data"]
    assert (known["policies"], known["temporary"], known["name"]) == (["app", "default"], True, "ci/job-42")
    again = assume(arn, provider.sign(sub="repo:b", aud="keyturn"), RoleSessionName="job-43")
    ids = [each["AssumedRoleUser"]["AssumedRoleId"].split(":") for each in (answer, again)]
    assert ids[0][0] == ids[1][0] and [each[1] for each in ids] == ["job-42", "job-43"]


@pytest.mark.parametrize("ttl, granted", [("2h", 3600), ("20m", 1200), ("90s", 90)])
def test_web_identity_lives_no_longer_than_its_role_allows(provider, trust, assume, ttl, granted):
    """The shorter of what is asked and the TTL of the role's tokens."""
    answer = assume(trust(token_ttl=ttl), provider.sign(sub="a", aud="keyturn"), DurationSeconds=3600)
    left = (answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert granted - 60 < left <= granted


@pytest.mark.parametrize("claims, code, status", [
    ({"aud": "elsewhere"}, "AccessDenied", 403),
    ({"iss": "https://elsewhere"}, "AccessDenied", 403),
    ({"iat": 1, "exp": 2}, "ExpiredTokenException", 400),
    ({"sub": None}, "AccessDenied", 403),
])
def test_web_identity_that_is_not_trusted(provider, trust, assume, claims, code, status):
    """A token that the role does not take."""
    with aws.refused(code, status):
        assume(trust(), provider.sign({"sub": "a", "aud": "keyturn"} | claims))


def test_web_identity_that_is_none(client, provider, trust, assume):
    """Something else than a token, another's signature, a role or mount that is not there: no key is made."""
    arn, token = trust(), provider.sign(sub="a", aud="keyturn")
    before = client.list("sys/aws-keys")
    head, body, signature = token.split(".")
    for forged in ("not.a.token", f"{head}.{body}.{signature[::-1]}", f"{head}.{body}."):
        with aws.refused("InvalidIdentityToken", 400):
            assume(arn, forged)
    for absent in (arn + "x", arn.replace("/team/", "/nobody/"), "arn:aws:iam::000000000000:role/token/ci"):
        with aws.refused("AccessDenied", 403):
            assume(absent, token)
    for arn_of_none in ("arn:aws:iam::123456789012:role/jwt/ci", "arn:aws:iam::000000000000:user/ci/ab"):
        with aws.refused("ValidationError", 400, "RoleArn must be"):
            assume(arn_of_none, token)
    for fields in ({"Policy": "{}"}, {"DurationSeconds": 43_201}, {"RoleSessionName": "a b"}, {"ProviderId": "graph.x"}):
        with aws.refused("ValidationError", 400):
            assume(arn, token, **fields)
    after = client.list("sys/aws-keys")
    assert (before and before["data"]["keys"]) == (after and after["data"]["keys"])


def test_web_identity_ends_with_its_mount(server, client, provider, trust, assume):
    """What a mount gave is revoked when the mount goes."""
    session = session_of(server, assume(trust(), provider.sign(sub="a", aud="keyturn")))
    assert session.client("sts").get_caller_identity()
    client.sys.disable_auth_method(trust.path)
    with aws.refused("InvalidClientTokenId", 403):
        session.client("sts").get_caller_identity()


def test_sdk_chain_finds_its_identity_by_itself(server, provider, trust, tmp_path, monkeypatch):
    """`AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` are enough for an unmodified SDK."""
    (tmp_path / "token").write_text(provider.sign(sub="a", aud="keyturn"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_WEB_IDENTITY_TOKEN_FILE": tmp_path / "token", "AWS_ROLE_ARN": trust(),
                        "AWS_ROLE_SESSION_NAME": "pipeline", "AWS_ENDPOINT_URL": server.address,
                        "AWS_REGION": aws.REGION, "AWS_DEFAULT_REGION": aws.REGION,
                        "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, str(value))
    session = aws.boto3.Session()
    assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/ci/pipeline")
