"""AWS Secrets Manager: the server holds what it is sent to the service's own model, and breaks none of it itself."""

import base64
import json

import pytest

from aws import send, signed_request
from aws_model import MODEL, OFFERED, REGION, SHAPES, make_key
from support import unique

pytestmark = pytest.mark.keyturn

@pytest.fixture(scope="module")
def key(server):
    return make_key(server)


def ask(key, operation, body, target=None):
    """One signed request with a body that boto3 would not send; the answer's code and message, or nothing."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = send(signed_request(key, target or f"secretsmanager.{operation}", text, region=REGION))
    if answer.status == 200:
        return None, None
    assert answer.status == 400, (operation, body, answer)
    assert answer.headers["content-type"] == "application/x-amz-json-1.1" and answer.headers["x-amzn-requestid"]
    return answer.json["__type"], answer.json["Message"]


def good(name):
    """A value that the shape allows."""
    shape = SHAPES[name]
    kind = shape["type"]
    if "enum" in shape:
        return shape["enum"][0]
    if kind == "string":
        if name == "RegionType":
            return "us-west-2"
        if name == "DurationType":
            return "3h"
        return "a" * max(shape.get("min", 1), 1)
    return {
        "integer": lambda: shape.get("min", 1), "long": lambda: max(shape.get("min", 7), 1), "boolean": lambda: True,
        "blob": lambda: base64.b64encode(b"x").decode(),
        "list": lambda: [good(shape["member"]["shape"])] * max(shape.get("min", 1), 1),
        "structure": lambda: {member: good(below["shape"]) for member, below in shape["members"].items()},
    }[kind]()


def required(operation):
    shape = SHAPES[MODEL["operations"][operation]["input"]["shape"]]
    return {member: good(shape["members"][member]["shape"]) for member in shape.get("required", ())}


def violations(name, path):
    """Values that break one constraint each: (value, where it is told, what is told)."""
    shape = SHAPES[name]
    kind, least, most = shape["type"], shape.get("min"), shape.get("max")
    if kind == "string":
        if least:
            yield "a" * (least - 1), path, f"length greater than or equal to {least}"
        if most and most < 100_000:
            yield "a" * (most + 1), path, f"length less than or equal to {most}"
        if "enum" in shape:
            yield "no-such-word", path, "satisfy enum value set: [" + ", ".join(shape["enum"]) + "]"
        if "pattern" in shape:
            yield "§" * max(least or 1, 1), path, f"satisfy regular expression pattern: {shape['pattern']}"
    elif kind == "blob":
        yield "", path, "length greater than or equal to 1"
        yield base64.b64encode(b"x" * (most + 1)).decode(), path, f"length less than or equal to {most}"
    elif kind in ("integer", "long"):
        if least is not None:
            yield least - 1, path, f"value greater than or equal to {least}"
        if most is not None:
            yield most + 1, path, f"value less than or equal to {most}"
    elif kind == "list":
        item = good(shape["member"]["shape"])
        if least:
            yield [item] * (least - 1), path, f"length greater than or equal to {least}"
        if most:
            yield [item] * (most + 1), path, f"length less than or equal to {most}"
        for value, where, told in violations(shape["member"]["shape"], f"{path}.1.member"):
            yield [value], where, told
    elif kind == "structure":
        for member, below in shape["members"].items():
            for value, where, told in violations(below["shape"], f"{path}.{member[0].lower()}{member[1:]}"):
                yield {member: value}, where, told


@pytest.mark.parametrize("operation", OFFERED)
def test_every_constraint_of_the_model_is_held_to(key, operation):
    members = SHAPES[MODEL["operations"][operation]["input"]["shape"]]["members"]
    tried = 0
    for member, below in members.items():
        for value, where, told in violations(below["shape"], member[0].lower() + member[1:]):
            code, message = ask(key, operation, required(operation) | {member: value})
            assert code == "ValidationException", (operation, member, where, told, code, message)
            assert f"'{where}' failed to satisfy constraint: Member must " in message and told in message, message
            tried += 1
    assert tried or not members


@pytest.mark.parametrize("operation", OFFERED)
def test_what_is_required_must_be_there(key, operation):
    for member in required(operation):
        for body in ({}, {member: None}):
            code, message = ask(key, operation, required(operation) | body if body else {})
            assert code == "ValidationException", (operation, member, code)
            assert f"Value null at '{member[0].lower()}{member[1:]}' failed to satisfy constraint" in message


@pytest.mark.parametrize("operation", OFFERED)
def test_other_types_are_another_error(key, operation):
    wrong = {"string": 1, "integer": "1", "long": "1", "boolean": "true", "blob": 1, "list": "a", "structure": []}
    for member, below in SHAPES[MODEL["operations"][operation]["input"]["shape"]]["members"].items():
        code, message = ask(key, operation, required(operation) | {member: wrong[SHAPES[below["shape"]]["type"]]})
        assert code == "SerializationException" and message, (operation, member, code)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"null", b"{", b"\xff", b'"text"', b'{"SecretId":"\\ud800"}', b'{"SecretId":"a"} x',
    b'{"SecretId":"a","SecretId":"b"}', b'{"a":' + b"[" * 100_000,
])
def test_bodies_that_are_no_requests(key, body):
    assert ask(key, "DescribeSecret", body)[0] == "SerializationException"


@pytest.mark.parametrize("target", [
    "secretsmanager.NoSuchOperation", "secretsmanager.", "GetSecretValue", "secretsmanager.getsecretvalue",
    "kms.GetSecretValue", "secretsmanager.AcceptCrossAccountReplication",
])
def test_operations_that_are_not_there(key, target):
    assert ask(key, None, {"SecretId": "a"}, target)[0] == "UnknownOperationException"


def test_members_that_nobody_knows_are_passed_over(key, sm):
    name = unique("aws/unknown")
    sm.create_secret(Name=name, SecretString="x")
    assert ask(key, "GetSecretValue", {"SecretId": name, "Colour": {"a": [1]}, "VersionId": None}) == (None, None)


@pytest.mark.parametrize("operation, code", [
    ("CreateSecret", "InvalidRequestException"), ("PutSecretValue", "InvalidRequestException"),
    ("UpdateSecret", "InvalidRequestException"), ("RotateSecret", "InvalidParameterException"),
])
def test_a_request_token_is_needed(key, operation, code):
    body = required(operation) | ({} if operation == "RotateSecret" else {"SecretString": "x"})
    told = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
    assert ask(key, operation, body) == (code, told)


def test_a_secret_is_in_no_message(key):
    for body in ({"SecretId": "a", "SecretString": "hunter2" * 20_000}, {"SecretId": 1, "SecretString": "hunter2"},
                 {"SecretId": "a", "SecretString": {"hunter2": "hunter2"}}, {"SecretId": "a", "SecretBinary": "hunter2-"}):
        code, message = ask(key, "PutSecretValue", body | {"ClientRequestToken": "a" * 32})
        assert code and "hunter2" not in message


def test_a_message_is_there_in_both_spellings(key):
    answer = send(signed_request(key, "secretsmanager.GetSecretValue", b'{"SecretId":"never"}', region=REGION))
    assert answer.json["Message"] == answer.json["message"]
