"""What a config holds, over Doppler's API: list, set, delete, upload, download; names, notes, visibility, types."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from doppler import Doppler
from support import wait_until
from test_doppler_login import approve, poll

pytestmark = pytest.mark.keyturn

SECRETS = "configs/config/secrets"
MANAGED = {"DOPPLER_PROJECT", "DOPPLER_ENVIRONMENT", "DOPPLER_CONFIG"}


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def app(doppler):
    """A project with two environments and a branch."""
    name = doppler.project("dev", "prd")
    doppler.ok("POST", "configs", body={"project": name, "name": "dev_x", "environment": "dev"})
    return name


@pytest.fixture
def dev(doppler, app):
    """The config `dev` of the project, to be read and written."""
    return Config(doppler, app, "dev")


class Config:
    """One config at one server, asked with one token."""

    def __init__(self, doppler, project, name):
        self.doppler, self.project, self.name = doppler, project, name
        self.place = {"project": project, "config": name}

    def sibling(self, name):
        """Another config of the project."""
        return Config(self.doppler, self.project, name)

    def as_token(self, token):
        """The same config, asked with another token."""
        return Config(self.doppler.as_token(token), self.project, self.name)

    def set(self, **values):
        """Sets values in the map form; None deletes."""
        return self.doppler.ok("POST", SECRETS, body=self.place | {"secrets": values})["secrets"]

    def change(self, *requests):
        """Sets values in the form of the command line, whose project and config stand in the query."""
        return self.doppler.ok("POST", SECRETS, self.place, {"change_requests": list(requests)})["secrets"]

    def refuses(self, status, *requests):
        """What is said of change requests that are refused."""
        return self.doppler.refused(status, "POST", SECRETS, self.place, {"change_requests": list(requests)})

    def list(self, **query):
        """All secrets."""
        return self.doppler.ok("GET", SECRETS, self.place | query)["secrets"]

    def raw(self):
        """Values by name, without the managed ones."""
        return {name: value["raw"] for name, value in self.list(include_managed_secrets="false").items()}

    def computed(self):
        """Computed values by name, without the managed ones."""
        return {name: value["computed"] for name, value in self.list(include_managed_secrets="false").items()}

    def download(self, etag=None, **query):
        """A download, as it comes."""
        headers = {"If-None-Match": etag} if etag else None
        return self.doppler.call("GET", f"{SECRETS}/download", self.place | query, headers=headers)

    def text(self, **query):
        """A download's text."""
        answer = self.download(**query)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.body.decode()


def test_secrets_are_set_listed_and_deleted(dev):
    """The map form; every answer shows the whole config, in the shape that clients look for."""
    shown = dev.set(URL="https://x", EMPTY="", LINES="a\nb")
    assert set(shown) == {"URL", "EMPTY", "LINES"} | MANAGED
    assert shown == dev.list()
    assert shown["LINES"] == {
        "raw": "a\nb", "computed": "a\nb", "note": "", "rawVisibility": "masked", "computedVisibility": "masked",
        "rawValueType": {"type": "string"}, "computedValueType": {"type": "string"}}
    assert shown["DOPPLER_ENVIRONMENT"]["raw"] == "dev" and shown["DOPPLER_PROJECT"]["computed"] == dev.project
    assert "URL" not in dev.set(URL=None, NEVER=None)
    assert dev.raw() == {"EMPTY": "", "LINES": "a\nb"}
    assert set(dev.list(secrets="LINES,NONE,DOPPLER_CONFIG")) == {"LINES", "DOPPLER_CONFIG"}


def test_names_and_single_secrets(dev, doppler):
    """Names without values; one by name; one that goes."""
    dev.set(B="2", A="1")
    assert doppler.ok("GET", f"{SECRETS}/names", dev.place)["names"] == sorted({"A", "B"} | MANAGED)
    assert doppler.ok("GET", f"{SECRETS}/names", dev.place | {"include_managed_secrets": "false"})["names"] == ["A", "B"]
    one = doppler.ok("GET", "configs/config/secret", dev.place | {"name": "A"})
    assert (one["name"], one["value"]["raw"]) == ("A", "1")
    assert "'C'" in doppler.refused(404, "GET", "configs/config/secret", dev.place | {"name": "C"})
    assert doppler.call("DELETE", "configs/config/secret", dev.place | {"name": "A"}).status == 204
    doppler.refused(404, "DELETE", "configs/config/secret", dev.place | {"name": "A"})
    assert dev.raw() == {"B": "2"}


def test_a_service_token_needs_no_names_and_reads_only_its_config(dev, doppler):
    """What the config of a token is need not be said; its access is held to."""
    dev.set(A="1")
    reader = doppler.as_token(doppler.service_token(dev.project, "dev")["key"])
    assert reader.ok("GET", SECRETS, {"project": "", "config": ""})["secrets"]["A"]["raw"] == "1"
    assert reader.call("GET", f"{SECRETS}/download").json["A"] == "1"
    reader.refused(403, "POST", SECRETS, body={"secrets": {"A": "2"}})
    reader.refused(403, "GET", SECRETS, {"config": "prd"})
    writer = doppler.as_token(doppler.service_token(dev.project, "dev", "read/write")["key"])
    assert writer.ok("POST", SECRETS, body={"secrets": {"A": "2"}})["secrets"]["A"]["raw"] == "2"
    assert writer.call("DELETE", "configs/config/secret", {"name": "A"}).status == 204


def test_the_command_lines_form_of_setting(dev):
    """`originalName` is null whether or not the secret is there."""
    for value in ("one", "two"):
        shown = dev.change({"name": "A", "originalName": None, "value": value, "shouldConverge": False})
        assert shown["A"]["raw"] == value


def test_rename_delete_and_keep(dev):
    """A rename keeps value and visibility; several changes are one."""
    dev.change({"name": "OLD", "value": "v", "visibility": "unmasked"}, {"name": "GO", "value": "x"})
    shown = dev.change({"name": "NEW", "originalName": "OLD"}, {"name": "GO", "shouldDelete": True})
    assert set(shown) - MANAGED == {"NEW"} and shown["NEW"]["raw"] == "v" and shown["NEW"]["rawVisibility"] == "unmasked"
    dev.set(OTHER="o")
    assert "exists already" in dev.refuses(400, {"name": "OTHER", "originalName": "NEW"})
    assert "no such secret" in dev.refuses(400, {"name": "A", "originalName": "MISSING"})
    assert "more than one change" in dev.refuses(400, {"name": "A", "value": "1"}, {"name": "A", "value": "2"})
    assert "no value" in dev.refuses(400, {"name": "A"})
    assert dev.raw() == {"NEW": "v", "OTHER": "o"}


def test_a_change_that_was_overtaken_changes_nothing(dev):
    """`original…` must be so; one stale change refuses all."""
    dev.set(A="1", B="1")
    for stale in ({"originalValue": "0"}, {"originalVisibility": "unmasked"}, {"originalValueType": {"type": "json"}}):
        said = dev.refuses(409, {"name": "B", "value": "2"}, {"name": "A", "value": "2"} | stale)
        assert "changed meanwhile" in said and "'" not in said
    assert "changed meanwhile" in dev.refuses(409, {"name": "NEW", "value": "2", "originalValue": "1"})
    assert dev.raw() == {"A": "1", "B": "1"}
    dev.change({"name": "A", "value": "2", "originalValue": "1", "originalVisibility": "masked",
                "originalValueType": {"type": "string"}})
    assert dev.raw()["A"] == "2"


def test_of_two_writers_with_the_same_original_one_wins(dev):
    """Compare-and-set under a race; changes of other names lose nothing to each other."""
    dev.set(COUNT="0")

    def count(writer):
        answer = dev.doppler.call("POST", SECRETS, dev.place, {"change_requests": [
            {"name": "COUNT", "originalValue": "0", "value": f"by {writer}"}]})
        return answer.status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(count, range(4))) == [200, 409, 409, 409]

        def add(writer):
            return dev.doppler.call("POST", SECRETS, body=dev.place | {"secrets": {f"W{writer}": "x"}}).status

        assert set(pool.map(add, range(4))) == {200}
    assert {f"W{writer}" for writer in range(4)} < set(dev.raw())


def test_a_download_is_a_fetch_of_the_config(dev):
    """Reading it as a list is none. The time is written down by and by."""

    def fetched():
        return dev.doppler.ok("GET", "configs/config", dev.place)["config"]["last_fetch_at"]

    dev.set(A="1")
    dev.list()
    assert fetched() is None
    dev.download()
    assert wait_until("the fetch is written down", fetched)


def test_visibility_is_kept_and_restricted_is_for_programs(dev, server):
    """People's tokens are shown nothing of a restricted value, nor by way of a reference, nor by guessing."""
    person = dev.as_token(_token_of_a_person(server))
    dev.change({"name": "A", "value": "hunter2", "visibility": "restricted"},
               {"name": "B", "value": "<${A}>"}, {"name": "C", "value": "open", "visibility": "unmasked"})
    shown = dev.list()
    assert shown["A"]["raw"] == "hunter2" and shown["B"]["computed"] == "<hunter2>"
    assert (shown["B"]["rawVisibility"], shown["B"]["computedVisibility"]) == ("masked", "restricted")
    assert shown["C"]["rawVisibility"] == "unmasked"
    shown = person.list()
    assert (shown["A"]["raw"], shown["A"]["computed"], shown["A"]["rawVisibility"]) == (None, None, "restricted")
    assert (shown["B"]["raw"], shown["B"]["computed"]) == ("<${A}>", None)
    assert "hunter2" not in person.text() and set(json.loads(person.text())) == {"C"} | MANAGED
    assert dev.download().headers["etag"] != person.download().headers["etag"]
    person.refuses(409, {"name": "A", "originalValue": "hunter2", "value": "x"})
    person.change({"name": "A", "value": "new"})
    assert dev.list()["A"]["raw"] == "new" and person.list()["A"]["raw"] is None


def test_the_log_hides_what_is_or_was_restricted(dev, server):
    """Loosening, deleting and taking back show no person a value that was restricted when it was there."""
    person = dev.as_token(_token_of_a_person(server))
    logs = "configs/config/logs"

    def told(config, newest=0):
        log = config.doppler.ok("GET", logs, config.place)["logs"][newest]["id"]
        return log, config.doppler.ok("GET", f"{logs}/log", config.place | {"log": log})["log"]["diff"]

    dev.change({"name": "A", "value": "hunter2", "visibility": "restricted"}, {"name": "B", "value": "open"})
    assert told(dev)[1] == [{"name": "A", "added": "hunter2"}, {"name": "B", "added": "open"}]
    assert told(person)[1] == [{"name": "A", "added": None}, {"name": "B", "added": "open"}]
    dev.change({"name": "A", "value": "free", "visibility": "masked"})
    loosened, diff = told(person)
    assert diff == [{"name": "A", "added": "free", "removed": None}]
    assert told(dev)[1] == [{"name": "A", "added": "free", "removed": "hunter2"}]
    dev.set(A=None)
    assert told(person)[1] == [{"name": "A", "removed": "free"}] and told(person, 2)[1][0] == {"name": "A", "added": None}
    back = person.doppler.ok("POST", f"{logs}/log/rollback", person.place | {"log": loosened})["log"]
    assert back["diff"] == [{"name": "A", "added": None, "removed": "free"}]
    assert (person.list()["A"]["raw"], person.list()["A"]["rawVisibility"]) == (None, "restricted")
    assert dev.list()["A"]["raw"] == "hunter2" and "hunter2" not in person.text()


def test_a_clone_restricts_what_its_source_does(dev, server):
    """Copying a config shows nobody more."""
    dev.change({"name": "A", "value": "hunter2", "visibility": "restricted"})
    dev.doppler.ok("POST", "configs/config/clone", body=dev.place | {"name": "dev_copy"})
    copy = dev.sibling("dev_copy")
    assert copy.list()["A"]["raw"] == "hunter2"
    assert copy.as_token(_token_of_a_person(server)).list()["A"]["raw"] is None


def _token_of_a_person(server):
    """A token as `doppler login` gets one, which may do what the root token may."""
    nobody = Doppler(server, "")
    started = nobody.ok("GET", "auth/cli/generate/2", {"hostname": "x", "version": "3", "os": "linux", "arch": "x"})
    assert approve(nobody, code=started["code"], token=server.token)[0] == 200
    return poll(nobody, started).json["token"]


def test_restricted_is_loosened_only_with_a_new_value(dev):
    """Nobody gets to see a value by loosening."""
    dev.change({"name": "A", "value": "v", "visibility": "restricted"})
    assert "only with a new value" in dev.refuses(400, {"name": "A", "visibility": "masked"})
    assert "only with a new value" in dev.refuses(400, {"name": "A", "value": "v", "visibility": "unmasked"})
    assert dev.change({"name": "A", "value": "w", "visibility": "masked"})["A"]["rawVisibility"] == "masked"


def test_values_are_held_to_their_type(dev):
    """A value, or a type, that does not fit is refused; what a reference leads to counts."""
    dev.change({"name": "PORT", "value": "5432", "valueType": {"type": "integer"}})
    assert dev.list()["PORT"]["rawValueType"] == {"type": "integer"}
    said = dev.refuses(400, {"name": "PORT", "value": "hunter2"})
    assert "integer" in said and "hunter2" not in said
    dev.set(HOST="h")
    assert "boolean" in dev.refuses(400, {"name": "HOST", "valueType": {"type": "boolean"}})
    dev.change({"name": "COPY", "value": "${PORT}", "valueType": {"type": "integer"}})
    assert "does not know" in dev.refuses(400, {"name": "A", "value": "1", "valueType": {"type": "number"}})


def test_notes_are_for_the_name_in_the_whole_project(dev, doppler):
    """Both paths write them; every config of the project shows them."""
    dev.set(A="1")
    dev.sibling("prd").set(A="2")
    body = {"secret": "A", "note": "ask Ann"}
    assert doppler.ok("POST", f"{SECRETS}/note", dev.place, body)["note"] == "ask Ann"
    assert dev.sibling("prd").list()["A"]["note"] == "ask Ann"
    doppler.ok("POST", "projects/project/note", {"project": dev.project}, {"secret": "A", "note": ""})
    assert dev.list()["A"]["note"] == ""
    doppler.refused(400, "POST", f"{SECRETS}/note", dev.place, {"secret": "A", "note": "x" * 5000})


def test_uploads_are_lines_or_json(dev, doppler):
    """What was downloaded in either form can be uploaded to another config."""
    dev.set(A="a \"quoted\" \\ value\nof two lines", B="$x #y", C="")
    for form in ("env", "json"):
        other = dev.sibling("prd")
        other.set(A=None, B=None, C=None)
        shown = doppler.ok("POST", f"{SECRETS}/upload", other.place, {"file": dev.text(format=form)})["secrets"]
        assert {name: value["raw"] for name, value in shown.items() if name not in MANAGED} == dev.raw()
        assert shown["DOPPLER_CONFIG"]["raw"] == "prd"
    said = doppler.refused(400, "POST", f"{SECRETS}/upload", dev.place, {"file": "A=1\nhunter2\n"})
    assert "line 2" in said and "hunter2" not in said
    doppler.refused(400, "POST", f"{SECRETS}/upload", dev.place, {"file": "lower=1"})


def test_formats_and_transformers(dev):
    """The bytes of each format, and names as each tool has them."""
    dev.set(SMTP__USER_NAME="ü \"x\" \\", API_KEY="1\n2")
    only = {"secrets": "SMTP__USER_NAME,API_KEY"}
    for form, kind, expected in (
        ("json", "application/json", '{"API_KEY":"1\\n2","SMTP__USER_NAME":"ü \\"x\\" \\\\"}'),
        ("dotnet-json", "application/json", '{"ApiKey":"1\\n2","Smtp:UserName":"ü \\"x\\" \\\\"}'),
        ("env", "text/plain", 'API_KEY="1\n2"\nSMTP__USER_NAME="ü \\"x\\" \\\\"'),
        ("env-no-quotes", "text/plain", 'API_KEY=1\\n2\nSMTP__USER_NAME=ü "x" \\'),
        ("docker", "text/plain", 'API_KEY=1\\n2\nSMTP__USER_NAME=ü "x" \\'),
        ("yaml", "text/yaml", 'API_KEY: "1\\n2"\nSMTP__USER_NAME: "ü \\"x\\" \\\\"'),
    ):
        answer = dev.download(format=form, **only)
        assert answer.body.decode() == expected and answer.headers["content-type"].startswith(kind), form
    for transformer, names in (
        ("camel", {"apiKey", "smtpUserName"}), ("upper-camel", {"ApiKey", "SmtpUserName"}),
        ("lower-snake", {"api_key", "smtp__user_name"}), ("lower-kebab", {"api-key", "smtp--user-name"}),
        ("tf-var", {"TF_VAR_api_key", "TF_VAR_smtp__user_name"}), ("dotnet", {"ApiKey", "Smtp:UserName"}),
        ("dotnet-env", {"ApiKey", "Smtp__UserName"}),
    ):
        assert set(json.loads(dev.text(name_transformer=transformer, **only))) == names, transformer
    dev.set(A_B="1", A__B="2")
    assert b"would both be called" in dev.download(name_transformer="camel").body
    assert dev.download(format="toml").status == dev.download(name_transformer="x").status == 400


def test_an_etag_says_what_an_answer_was_made_from(dev):
    """It is another for each way of writing, the same as long as nothing changes, and good for a 304 without a body."""
    dev.set(A="1", B="2")
    ways = ({}, {"format": "env"}, {"name_transformer": "camel"}, {"secrets": "A"}, {"secrets": "A,B"})
    tags = [dev.download(**way).headers["etag"] for way in ways]
    assert len(set(tags)) == len(ways) and all(tag.startswith('"') for tag in tags)
    for way, tag in zip(ways, tags):
        for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = dev.download(etag=sent, **way)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert dev.download(etag=tags[ways.index(way) - 1], **way).status == 200
    assert dev.download(etag=tags[0].upper()).status == dev.download(etag=tags[0][1:-1]).status == 200
    dev.set(A="1")
    assert dev.download(etag=tags[0]).status == 304, "nothing became another"
    dev.set(A="3")
    assert dev.download(etag=tags[0]).status == 200
    dev.set(A="1")
    assert dev.download(etag=tags[0]).status == 200, "another version with the same values"
    assert dev.sibling("prd").download(etag=tags[0]).status == 200


def test_a_304_is_for_those_who_may_read(dev, doppler):
    """An ETag is no ticket."""
    dev.set(A="1")
    tag = dev.download().headers["etag"]
    other = doppler.as_token(doppler.service_token(dev.project, "prd")["key"])
    assert other.call("GET", f"{SECRETS}/download", dev.place, headers={"If-None-Match": tag}).status == 403
    nobody = doppler.as_token("dp.st.dev.x")
    assert nobody.call("GET", f"{SECRETS}/download", dev.place, headers={"If-None-Match": tag}).status == 401


def test_a_branch_overrides_and_inherits(dev):
    """It shows its root's secrets, follows their changes, and can promote and converge."""
    branch = dev.sibling("dev_x")
    dev.set(A="root", B="root", HOST="root")
    dev.set(URL="http://${HOST}")
    assert branch.set(A="own", HOST="own")["B"]["raw"] == "root"
    assert branch.computed() == {"A": "own", "B": "root", "HOST": "own", "URL": "http://own"}
    tag = branch.download().headers["etag"]
    dev.set(B="new")
    assert branch.raw()["B"] == "new" and branch.download(etag=tag).status == 200
    assert "is inherited" in branch.refuses(400, {"name": "B", "shouldDelete": True})
    assert branch.change({"name": "A", "shouldConverge": True})["A"]["raw"] == "root"
    branch.change({"name": "NEW", "value": "both", "shouldPromote": True})
    assert dev.raw()["NEW"] == "both" and branch.raw()["NEW"] == "both"
    assert "no branch" in dev.refuses(400, {"name": "A", "value": "x", "shouldPromote": True})
    branch.set(OWN="1")
    assert "inherited from nowhere" in branch.refuses(400, {"name": "OWN", "shouldConverge": True})
    assert dev.raw() == {"A": "root", "B": "new", "HOST": "root", "NEW": "both", "URL": "http://${HOST}"}


def test_a_branchs_token_sees_what_it_inherits_and_cannot_promote(dev, doppler):
    """What a branch inherits belongs to its readers; its root does not."""
    dev.set(A="root")
    key = doppler.service_token(dev.project, "dev_x", "read/write")["key"]
    branch = dev.sibling("dev_x").as_token(key)
    assert branch.raw() == {"A": "root"}
    dev.as_token(key).doppler.refused(403, "GET", SECRETS, dev.place)
    branch.refuses(403, {"name": "A", "value": "x", "shouldPromote": True})
    assert dev.raw() == {"A": "root"} and branch.raw() == {"A": "root"}


def test_a_config_inherits_from_others_in_order(dev, doppler):
    """Of several, the last is the strongest; its own are stronger still."""
    bases = [doppler.project("dev") for _ in range(2)]
    for index, base in enumerate(bases):
        Config(doppler, base, "dev").set(A=f"base {index}", B=f"base {index}", **{f"ONLY_{index}": "x"})
        doppler.ok("POST", "configs/config/inheritable", {"project": base, "config": "dev"}, {"inheritable": True})
    inherits = [{"project": base, "config": "dev"} for base in bases]
    doppler.ok("POST", "configs/config/inherits", dev.place, {"inherits": inherits})
    dev.set(A="own")
    assert dev.raw() == {"A": "own", "B": "base 1", "ONLY_0": "x", "ONLY_1": "x"}
    key = doppler.service_token(dev.project, "dev")["key"]
    assert dev.as_token(key).raw()["B"] == "base 1", "whoever reads the config needs no right to its bases"
    tag = dev.download().headers["etag"]
    Config(doppler, bases[0], "dev").set(ONLY_0="y")
    assert dev.download(etag=tag).status == 200


@pytest.mark.parametrize("name", ["lower", "1A", "A-B", "A B", "", "Ü", "A=B\nC", "A" * 201, "DOPPLER_PROJECT", "a.b"])
def test_names_that_cannot_be_are_refused(dev, name):
    """In both forms, with nothing changed."""
    dev.set(A="1")
    dev.doppler.refused(400, "POST", SECRETS, body=dev.place | {"secrets": {name: "x", "B": "2"}})
    dev.refuses(400, {"name": name, "value": "x"})
    assert dev.raw() == {"A": "1"}


@pytest.mark.parametrize("body", [
    {"secrets": []}, {"secrets": {"A": 1}}, {"secrets": {"A": ["x"]}}, {"secrets": "A"}, {}, {"secrets": None},
    {"change_requests": {}}, {"change_requests": [1]}, {"change_requests": [{"value": "x"}]},
    {"change_requests": [{"name": 1, "value": "x"}]}, {"change_requests": [{"name": "A", "value": 5}]},
    {"change_requests": [{"name": "A", "value": "x", "visibility": "secret"}]},
    {"change_requests": [{"name": "A", "value": "x", "valueType": "json"}]},
    {"change_requests": [{"name": "A", "shouldDelete": "yes"}]},
    {"change_requests": [{"name": "A", "shouldDelete": True, "shouldConverge": True}]},
    {"change_requests": [{"name": "A", "shouldDelete": True, "shouldPromote": True}]},
    {"secrets": {"A": "x"}, "change_requests": []},
])
def test_bodies_of_another_shape_are_refused(dev, body):
    """Wrong types change nothing, and the answer quotes nothing."""
    dev.set(KEPT="1")
    dev.doppler.refused(400, "POST", SECRETS, dev.place, body)
    assert dev.raw() == {"KEPT": "1"}


def test_a_body_that_is_too_large_is_refused(dev):
    """A config has a size that cannot be passed, and so has a request."""
    dev.doppler.refused(400, "POST", SECRETS, body=dev.place | {"secrets": {"A": "x" * (1 << 20)}})
    answer = dev.doppler.call("POST", SECRETS, dev.place, b"{", {"Content-Length": str(40 << 20)})
    assert answer.status == 413
    assert dev.raw() == {}


def test_what_is_not_there_is_told(doppler, app):
    """Configs and projects that nobody made."""
    assert "'nope'" in doppler.refused(404, "GET", SECRETS, {"project": app, "config": "nope"})
    doppler.refused(404, "POST", SECRETS, body={"project": app, "config": "nope", "secrets": {"A": "1"}})
    doppler.refused(404, "GET", SECRETS, {"project": "../x", "config": "dev"})
