"""Access keys and real AWS clients for tests of the AWS door."""

from dataclasses import dataclass

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

import wire

REGION = "eu-west-1"


@dataclass
class AccessKey:
    """An access key of a server; `client` gives real boto3 clients that use it."""

    server: object
    id: str
    secret: str
    session_token: str = None

    def client(self, service, **options):
        """An unmodified boto3 client that points at the server and does not try again."""
        options = {"region_name": REGION, "endpoint_url": self.server.address, "aws_access_key_id": self.id,
                   "aws_secret_access_key": self.secret, "aws_session_token": self.session_token,
                   "config": botocore.config.Config(retries={"total_max_attempts": 1})} | options
        return boto3.client(service, **options)

    @property
    def credentials(self):
        """For botocore's own signers."""
        return botocore.credentials.Credentials(self.id, self.secret, self.session_token)

    def environment(self):
        """For the AWS command line."""
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.server.address, "AWS_PAGER": ""}


def create_key(server, *policies, **fields):
    """Makes an access key with these policies, as root."""
    made = server.client().write("sys/aws-keys", policies=",".join(policies or ("default",)), **fields)["data"]
    return AccessKey(server, made["access_key_id"], made["secret_access_key"])


def signed_request(key, target="secretsmanager.NoSuchOperation", body=b"{}", service="secretsmanager", region=REGION,
                   method="POST", path="/", headers=()):
    """A request to the server as botocore signs it, to be altered before it is sent."""
    sent = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target} | dict(headers)
    request = botocore.awsrequest.AWSRequest(method, key.server.address + path, headers=sent, data=body)
    botocore.auth.SigV4Auth(key.credentials, service, region).add_auth(request)
    return request


def send(request, **altered):
    """Sends a signed request, altered, byte for byte; returns the answer."""
    prepared = request.prepare()
    # The length is that of what is sent, not of what was signed.
    headers = {name: value.decode() if isinstance(value, bytes) else value
               for name, value in prepared.headers.items() if name.lower() != "content-length"}
    url = altered.get("url", prepared.url)
    return wire.call_any(url, altered.get("method", prepared.method), altered.get("body", prepared.body),
                         headers | altered.get("headers", {}))


def error_of(answer):
    """The code of a JSON error, which is always a 400."""
    assert answer.status == 400 and answer.headers["content-type"] == "application/x-amz-json-1.1", answer
    assert answer.json["message"] and answer.headers["x-amzn-requestid"], answer
    return answer.json["__type"]


class refused:
    """Expects boto3 to raise a `ClientError` with exactly this code, and a status of the answer."""

    def __init__(self, code, status=400, fragment=""):
        self.code, self.status, self.fragment = code, status, fragment

    def __enter__(self):
        self._raises = pytest.raises(botocore.exceptions.ClientError)
        self.caught = self._raises.__enter__()
        return self.caught

    def __exit__(self, *exception):
        raised = self._raises.__exit__(*exception)
        answer = self.caught.value.response
        assert answer["Error"]["Code"] == self.code, answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == self.status, answer
        assert self.fragment in answer["Error"]["Message"], answer
        return raised
