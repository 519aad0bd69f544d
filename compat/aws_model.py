"""Real AWS clients against a server, and a check of every answer against the service's own model.

The model is botocore's, read when the tests run: what it says of operations, shapes and errors is what a client of AWS
expects. Each call of a client made here is counted, so that a run can say which operations and errors it has seen.
"""

import datetime
import gzip
import json
import uuid
from collections import Counter
from pathlib import Path

import botocore
from botocore.exceptions import ClientError

from aws import create_key

REGION = "us-east-1"
ACCOUNT = "000000000000"

_MODEL = Path(botocore.__file__).parent / "data/secretsmanager/2017-10-17/service-2.json.gz"
MODEL = json.loads(gzip.decompress(_MODEL.read_bytes()))
SHAPES = MODEL["shapes"]

OFFERED = sorted(MODEL["operations"])

# What was seen in this run, by operation and by (operation, error).
OPERATIONS = Counter()
ERRORS = Counter()

_TYPES = {
    "string": str, "integer": int, "long": int, "boolean": bool, "list": list, "map": dict, "structure": dict,
    "blob": bytes, "timestamp": datetime.datetime,
}


def check_shape(name, value, path="$"):
    """Walks the model's shape and asserts that `value` has it: types, bounds, enums, and no member that it lacks."""
    shape = SHAPES[name]
    kind = shape["type"]
    assert isinstance(value, _TYPES[kind]), f"{path}: {type(value).__name__} is not {kind}"
    if kind == "structure":
        for member, below in value.items():
            assert member in shape["members"], f"{path}: the model has no {member}"
            check_shape(shape["members"][member]["shape"], below, f"{path}.{member}")
        missing = set(shape.get("required", ())) - set(value)
        assert not missing, f"{path}: {missing} missing"
    elif kind == "list":
        _check_bounds(shape, len(value), path)
        for index, item in enumerate(value):
            check_shape(shape["member"]["shape"], item, f"{path}[{index}]")
    elif kind == "map":
        for key, item in value.items():
            check_shape(shape["key"]["shape"], key, f"{path} key")
            check_shape(shape["value"]["shape"], item, f"{path}[{key}]")
    elif kind in ("string", "blob"):
        _check_bounds(shape, len(value), path)
        if "enum" in shape:
            assert value in shape["enum"], f"{path}: {value!r} is none of {shape['enum']}"
    elif kind in ("integer", "long"):
        _check_bounds(shape, value, path)


def _check_bounds(shape, size, path):
    assert shape.get("min", size) <= size <= shape.get("max", size), f"{path}: {size} is out of the model's bounds"


def _watch(client):
    """Checks every answer of a client, whoever calls it."""

    def after_call(http_response, parsed, model, **_):
        OPERATIONS[model.name] += 1
        metadata = parsed["ResponseMetadata"]
        assert http_response.headers["content-type"] == "application/x-amz-json-1.1"
        assert metadata["RequestId"] == http_response.headers["x-amzn-requestid"]
        if http_response.status_code == 200:
            body = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
            if model.output_shape is not None:
                check_shape(model.output_shape.name, body)
            raw = json.loads(http_response.content)
            assert None not in raw.values(), f"{model.name}: a field that holds nothing is null: {raw.keys()}"
        else:
            ERRORS[(model.name, parsed["Error"]["Code"])] += 1
            assert parsed["Error"]["Message"], parsed

    client.meta.events.register("after-call.secrets-manager.*", after_call)
    return client


def make_key(server, policies=("root",), **fields):
    """An access key with these policies."""
    return create_key(server, *policies, **fields)


def client(key, region=REGION, **options):
    """A boto3 client of an access key, whose every answer is checked against the model."""
    return _watch(key.client("secretsmanager", region_name=region, **options))


class refused:
    """Expects a `ClientError` of this code, whose message has each fragment; the error's status is 400."""

    def __init__(self, code, *fragments):
        self.code, self.fragments = code, fragments

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert kind is not None, f"expected {self.code}, nothing was refused"
        if not isinstance(error, ClientError):
            return False
        found, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        assert found == self.code, f"expected {self.code}, got {found}: {message}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error.response
        for fragment in self.fragments:
            assert fragment in message, f"{fragment!r} is not in {message!r}"
        self.error = error
        return True


def token():
    """A ClientRequestToken of a test's own."""
    return str(uuid.uuid4())
