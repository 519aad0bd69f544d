"""What a download remembers: a 304 is answered without reading only while nothing has changed, and values that need no
resolving are copied from where they lie."""

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

DOWNLOAD = "configs/config/secrets/download"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def app(doppler):
    """A project with two environments and a branch."""
    app = doppler.project("dev", "prd")
    doppler.ok("POST", "configs", body={"project": app, "environment": "dev", "name": "dev_x"})
    return app


class Reader:
    """A client that keeps what it was told."""

    def __init__(self, doppler, app, config):
        self.doppler, self.place = doppler, {"project": app, "config": config}
        self.etag = None

    def changed(self):
        """Whether there is something new; twice, since what is asked again may be answered another way."""
        answers = [self.doppler.call("GET", DOWNLOAD, self.place, headers={"If-None-Match": self.etag or '"none"'}) for _ in "ab"]
        assert answers[0].status == answers[1].status and answers[0].body == answers[1].body
        assert answers[0].headers["etag"] == answers[1].headers["etag"]
        if answers[0].status == 304:
            assert answers[0].body == b"" and answers[0].headers["etag"] == self.etag
            return False
        assert answers[0].status == 200, answers[0].body
        self.etag, self.told = answers[0].headers["etag"], answers[0].json
        return True


def test_whatever_changes_an_answer_is_told(doppler, client, app):
    """Through any door, of the config, of what it inherits, of who it is."""
    kv = client.secrets.kv.v2
    reader = Reader(doppler, app, "dev_x")
    assert reader.changed() and not reader.changed()

    def write(config, **fields):
        kv.create_or_update_secret(path=f"{app}/{config}", secret=fields, mount_point="secret")

    def expect(**fields):
        assert reader.changed() and not reader.changed()
        assert {name: value for name, value in reader.told.items() if not name.startswith("DOPPLER_")} == fields

    write("dev_x", A="1")
    expect(A="1")
    write("dev", A="root", B="2")
    expect(A="1", B="2")
    kv.delete_secret_versions(path=f"{app}/dev", versions=[1], mount_point="secret")
    expect(A="1")
    kv.undelete_secret_versions(path=f"{app}/dev", versions=[1], mount_point="secret")
    expect(A="1", B="2")
    write("prd", C="3")
    assert not reader.changed(), "it does not concern it"
    doppler.ok("POST", "configs/config/inheritable", {"project": app, "config": "prd"}, {"inheritable": True})
    base = [{"project": app, "config": "prd"}]
    doppler.ok("POST", "configs/config/inherits", {"project": app, "config": "dev_x"}, {"inherits": base})
    expect(A="1", B="2", C="3")
    doppler.ok("POST", "configs/config/inherits", {"project": app, "config": "dev_x"}, {"inherits": []})
    expect(A="1", B="2")
    kv.delete_metadata_and_all_versions(path=f"{app}/dev_x", mount_point="secret")
    expect(A="root", B="2")
    write("dev_x", A="1")
    expect(A="1", B="2")
    write("dev_x", A="${dev.B}!")
    expect(A="2!", B="2")
    write("dev", B="3")
    expect(A="3!", B="3")
    write("dev_x", A="plain")
    expect(A="plain", B="3")


def test_a_version_that_ends_by_itself_is_not_remembered_as_it_was(doppler, client, app):
    """What is deleted after a time is looked at each time."""
    kv = client.secrets.kv.v2
    kv.update_metadata(path=f"{app}/prd", delete_version_after="100h", mount_point="secret")
    kv.create_or_update_secret(path=f"{app}/prd", secret={"A": "1"}, mount_point="secret")
    reader = Reader(doppler, app, "prd")
    assert reader.changed() and not reader.changed() and reader.told["A"] == "1"


def test_a_304_takes_the_right_to_read(doppler, client, app):
    """Who may no longer read is refused, whatever they have."""
    client.secrets.kv.v2.create_or_update_secret(path=f"{app}/prd", secret={"A": "1"}, mount_point="secret")
    policy = unique("reader")
    rule = f'path "secret/data/{app}/prd" {{ capabilities = ["read"] }}'
    client.sys.create_or_update_policy(policy, rule)
    token = client.auth.token.create(policies=[policy])["auth"]["client_token"]
    reader = Reader(doppler.as_token(token), app, "prd")
    assert reader.changed() and not reader.changed()
    client.sys.create_or_update_policy(policy, 'path "secret/nothing" { capabilities = ["read"] }')
    for known in (reader.etag, "*"):
        refused = reader.doppler.call("GET", DOWNLOAD, reader.place, headers={"If-None-Match": known})
        assert refused.status == 403 and "etag" not in refused.headers
    client.sys.create_or_update_policy(policy, rule)
    assert not reader.changed()
    client.auth.token.revoke(token)
    assert reader.doppler.call("GET", DOWNLOAD, reader.place, headers={"If-None-Match": reader.etag}).status == 401


def test_people_and_programs_do_not_share_what_is_remembered(doppler, app):
    """A restricted value is in one's answer and not in the other's, and so are the ETags."""
    change = {"project": app, "config": "prd", "change_requests": [{"name": "R", "value": "x", "visibility": "restricted"}]}
    doppler.ok("POST", "configs/config/secrets", body=change)
    person = doppler.as_token(doppler.ok("POST", "me/tokens", body={"name": "x"})["api_key"])
    program, human = Reader(doppler, app, "prd"), Reader(person, app, "prd")
    assert program.changed() and human.changed() and program.etag != human.etag
    assert program.told["R"] == "x" and "R" not in human.told
    human.etag = program.etag
    assert human.changed()


VALUES = {
    "PLAIN": "x", "EMPTY": "", "QUOTE": 'a"b', "SLASH": "a\\b", "LINES": "a\nb\r\n\t", "UNICODE": "ü🔑\u2028\u0001", "DOLLAR": "$X {y}",
    "NUMBER": 1.50, "BIG": 12345678901234567890, "BOOLEAN": True, "NOTHING": None, "LIST": [1, "a"], "OBJECT": {"b": "\"", "a": 1},
    "lower-case.name": "x", "bad name": "never shown", "1X": "never shown", "DOPPLER_CONFIG": "never shown", "É": "never shown",
}


def test_what_lies_there_is_what_is_computed(doppler, client, app):
    """A download copies; a list works values out. Both say the same of whatever other doors write, one config or several."""
    kv = client.secrets.kv.v2
    written = {"dev": VALUES, "dev_x": {"QUOTE": "own", "ZZ": "\\", "AA": 0}}

    def write(config, **more):
        kv.create_or_update_secret(path=f"{app}/{config}", secret=written[config] | more, mount_point="secret")

    for config in written:
        write(config)
        place = {"project": app, "config": config}
        listed = doppler.ok("GET", "configs/config/secrets", place)["secrets"]
        computed = {name: value["computed"] for name, value in listed.items()}
        assert doppler.ok("GET", DOWNLOAD, place) == computed
        assert not any("never shown" in value for value in computed.values()) and computed["DOPPLER_CONFIG"] == config
        some = place | {"secrets": "QUOTE,NUMBER,DOPPLER_PROJECT,NONE"}
        assert doppler.ok("GET", DOWNLOAD, some) == {name: computed[name] for name in ("QUOTE", "NUMBER", "DOPPLER_PROJECT")}
        # The same with a value that has to be resolved, so that nothing is copied.
        for more, told in (("${PLAIN}", "x"), ("\\${PLAIN}", "${PLAIN}"), ("a${b", "a${b")):
            write(config, MORE=more)
            assert doppler.ok("GET", DOWNLOAD, place) == computed | {"MORE": told}
        write(config)


def test_names_are_transformed_and_sorted(doppler, client, app):
    """By their new names; two that become one are an error in every format."""
    kv, place = client.secrets.kv.v2, {"project": app, "config": "prd"}
    kv.create_or_update_secret(path=f"{app}/prd", secret={"B_A": "1", "AB": 'q"', "Z": "3"}, mount_point="secret")
    query = place | {"name_transformer": "camel", "secrets": "B_A,AB,Z", "format": "json"}
    body = doppler.call("GET", DOWNLOAD, query).body.decode()
    assert body == '{"ab":"q\\"","bA":"1","z":"3"}'
    assert doppler.call("GET", DOWNLOAD, query | {"format": "env"}).body.decode() == 'ab="q\\""\nbA="1"\nz="3"'
    kv.patch(path=f"{app}/prd", secret={"B__A": "4"}, mount_point="secret")
    for form in ("json", "env"):
        text = doppler.refused(400, "GET", DOWNLOAD, query | {"format": form, "secrets": "B_A,B__A"})
        assert "B_A" in text and "B__A" in text
