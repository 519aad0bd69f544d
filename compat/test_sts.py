"""STS on the same listener: who one is, by header and by presigned URL."""

import datetime
from urllib.parse import urlsplit

import pytest

import aws
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
