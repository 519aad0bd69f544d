"""The operations of Doppler's published OpenAPI, each asked for once: which of them this server has.

The document is read from the npm package that ships it, when the tests run. docs/compatibility.md says how many operations
answer and names each that does not; the two are held together here.
"""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

PACKAGE = "@dopplerhq/mcp-server@1.0.5"
METHODS = ("get", "post", "put", "patch", "delete")
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "compatibility.md"
UNKNOWN = "this server has no such operation"


@pytest.fixture(scope="module")
def openapi(tmp_path_factory):
    """The document, or no test where npm or its registry cannot be reached."""
    directory = tmp_path_factory.mktemp("openapi")
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    packed = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=directory, capture_output=True, text=True, check=False)
    if packed.returncode != 0:
        pytest.skip("the package cannot be had")
    with tarfile.open(directory / packed.stdout.strip().splitlines()[-1]) as archive:
        return json.load(archive.extractfile("package/doppler-openapi.json"))


def operations(openapi):
    """Each operation: method and path."""
    return [(method.upper(), path) for path, item in openapi["paths"].items() for method in METHODS if method in item]


def documented():
    """What docs/compatibility.md says: how many answer, of how many, and which do not."""
    text = DOCUMENT.read_text()
    answering, total = re.search(r"(\d+) of the (\d+) operations of the published OpenAPI answer", text).groups()
    missing = re.findall(r"^- `(GET|POST|PUT|PATCH|DELETE) (/v3/[^`]+)`$", text, re.MULTILINE)
    return int(answering), int(total), set(missing)


def test_which_operations_answer(server, openapi, record_property):
    """An operation that is not there says so in these words; anything else is an answer."""
    doppler = Doppler(server)
    missing = set()
    for method, path in operations(openapi):
        filled = re.sub(r"\{[^}]+\}", unique("x"), path.removeprefix("/v3/"))
        answer = doppler.call(method, filled, {"project": unique("nothing"), "config": "dev"})
        assert answer.status < 500, (method, path, answer.body)
        if answer.status == 404 and UNKNOWN in answer.body.decode():
            missing.add((method, path))
    total = len(operations(openapi))
    record_property("answering", total - len(missing))
    print(f"{total - len(missing)} of {total} operations answer; missing:", *sorted(missing), sep="\n  ")
    assert (total - len(missing), total, missing) == documented()
