"""`keyturn doppler-token`: service tokens from the command line, and what they open."""

import json

import pytest

from doppler import Doppler

pytestmark = pytest.mark.keyturn

DONE, FAILED, USAGE, NOT_FOUND, DENIED = range(5)
DOWNLOAD = "configs/config/secrets/download"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def config(doppler):
    """The options that name a config which holds one secret."""
    project = doppler.project("dev")
    doppler.ok("POST", "configs/config/secrets", body={"project": project, "config": "dev", "secrets": {"A": "1"}})
    return ["--project", project, "--config", "dev"]


def test_a_token_is_made_listed_and_revoked(keyturn, doppler, config):
    """It is shown once, opens its config at once, and nothing after it was revoked."""
    made = json.loads(keyturn("doppler-token", "create", *config, "--name", "ci", "--format", "json").stdout)
    assert made["token"].startswith("dp.st.dev.") and made["access"] == "read" and made["expire_time"] is None
    holder = doppler.as_token(made["token"])
    assert holder.ok("GET", DOWNLOAD)["A"] == "1"
    holder.refused(403, "POST", "configs/config/secrets", body={"secrets": {"A": "2"}})
    listed = keyturn("doppler-token", "list", *config).stdout.decode()
    assert made["slug"] in listed and "ci" in listed and made["token"] not in listed
    told = keyturn("doppler-token", "list", *config, "--format", "json").stdout
    assert [token["slug"] for token in json.loads(told)] == [made["slug"]] and made["token"].encode() not in told
    assert made["slug"].encode() in keyturn("doppler-token", "revoke", *config, made["slug"]).stdout
    holder.refused(401, "GET", DOWNLOAD)
    assert json.loads(keyturn("doppler-token", "list", *config, "--format", "json").stdout) == []
    keyturn("doppler-token", "revoke", *config, made["slug"], expect=NOT_FOUND)


def test_a_token_that_writes_and_ends(keyturn, doppler, config):
    """Access and end are as they were asked for, and shown as they are."""
    shown = keyturn("doppler-token", "create", *config, "--access", "read-write", "--ttl", "12h").stdout.decode()
    fields = dict(line.split(None, 1) for line in shown.splitlines() if len(line.split(None, 1)) == 2)
    assert fields["access"].strip() == "read/write" and "never" not in fields["expires"]
    holder = doppler.as_token(fields["token"].strip())
    holder.ok("POST", "configs/config/secrets", body={"secrets": {"A": "2"}})
    assert holder.ok("GET", DOWNLOAD)["A"] == "2"


def test_what_cannot_be_is_refused(keyturn, config):
    """A wrong duration, a config that is not there, a caller who may not."""
    said = keyturn("doppler-token", "create", *config, "--ttl", "soon", expect=USAGE).stderr
    assert b"--ttl" in said and b"soon" in said
    nowhere = [*config[:3], "nothing"]
    keyturn("doppler-token", "create", *nowhere, expect=NOT_FOUND)
    keyturn("doppler-token", "list", *nowhere, expect=NOT_FOUND)
    keyturn("doppler-token", "list", *config, expect=DENIED, token="wrong")
