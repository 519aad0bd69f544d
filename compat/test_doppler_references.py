"""References to other secrets: followed for those who may read what they lead to, and never without an end."""

import json

import pytest

from aws import create_key
from doppler import Doppler
from support import unique
from test_doppler_secrets import SECRETS, Config

pytestmark = pytest.mark.keyturn


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def app(doppler):
    """A project with two environments."""
    return doppler.project("dev", "prd")


@pytest.fixture
def dev(doppler, app):
    """The config `dev` of the project."""
    return Config(doppler, app, "dev")


def write(client, config, fields):
    """Writes a config's secret through the Vault API, where nobody looks at references."""
    name = f"{config.project}/{config.name}"
    client.secrets.kv.v2.create_or_update_secret(name, fields, mount_point="secret")


def test_three_forms_and_a_literal(dev, doppler):
    """Raw stays as it is written; computed is what programs get."""
    other = Config(doppler, doppler.project("stg"), "stg")
    other.set(NAME="far", DEEP="${NAME}er")
    dev.sibling("prd").set(NAME="near")
    raw = {"A": "a", "B": "<${A}>", "C": "${prd.NAME}", "D": f"${{{other.project}.stg.DEEP}}", "E": "${B}${C}",
           "F": r"\${A} $A ${a} ${} ${A", "G": "${DOPPLER_CONFIG}"}
    dev.set(**raw)
    assert dev.raw() == raw
    assert dev.computed() == {
        "A": "a", "B": "<a>", "C": "near", "D": "farer", "E": "<a>near", "F": "${A} $A ${a} ${} ${A", "G": "dev"}
    assert json.loads(dev.text(secrets="E")) == {"E": "<a>near"}


def test_a_change_of_the_target_changes_the_etag(dev, doppler):
    """Directly and from afar; what is not referred to does not."""
    other = Config(doppler, doppler.project("stg"), "stg")
    other.set(NAME="one", UNUSED="x")
    dev.sibling("prd").set(VIA=f"${{{other.project}.stg.NAME}}")
    dev.set(A="${prd.VIA}", B="plain")
    tag, plain = dev.download().headers["etag"], dev.download(secrets="B").headers["etag"]
    assert dev.download(etag=tag).status == 304
    other.set(NAME="two")
    answer = dev.download(etag=tag)
    assert answer.status == 200 and answer.json["A"] == "two"
    assert dev.download(etag=plain, secrets="B").status == 304


def test_what_cannot_be_resolved_is_refused_when_it_is_written(dev, doppler):
    """Missing targets and circles; nothing changes, and what is wrong is named."""
    dev.set(A="1")
    for value, said in (("${NONE}", "${NONE}"), ("${prd.NONE}", "${prd.NONE}"), ("${nope.x.A}", "does not exist"),
                        ("${B}", "refers to itself"), ("x${dev.B}", "refers to itself")):
        text = dev.doppler.refused(400, "POST", SECRETS, body=dev.place | {"secrets": {"B": value}})
        assert said in text, text
    text = dev.doppler.refused(400, "POST", SECRETS, body=dev.place | {"secrets": {"A": "${B}", "B": "${A}"}})
    assert "refers to itself" in text
    assert dev.raw() == {"A": "1"}
    dev.set(A="${B}", B="2")
    assert dev.computed() == {"A": "2", "B": "2"}


def test_a_target_that_vanishes_leaves_the_reference(dev):
    """As it is written; when the target comes back it is followed again."""
    dev.set(A="1", B="<${A}>")
    dev.set(A=None)
    assert dev.computed() == {"B": "<${A}>"}
    dev.set(A="2")
    assert dev.computed()["B"] == "<2>"


def test_a_reader_gets_nothing_by_way_of_a_reference(dev, doppler, client):
    """Who may not read the target is told so, whether or not it is there; the rest is theirs."""
    dev.sibling("prd").set(SECRET="hunter2")
    dev.set(PLAIN="1", PEEK="${prd.SECRET}")
    key = doppler.service_token(dev.project, "dev", "read/write")["key"]
    reader = dev.as_token(key)
    assert reader.list()["PEEK"]["computed"] is None and reader.list()["PLAIN"]["computed"] == "1"
    answer = reader.download()
    assert answer.status == 403 and b"${prd.SECRET}" in answer.body and b"hunter2" not in answer.body
    assert json.loads(reader.text(secrets="PLAIN")) == {"PLAIN": "1"}
    text = reader.doppler.refused(403, "POST", SECRETS, body={"secrets": {"NEW": "${prd.SECRET}"}})
    assert text == reader.doppler.refused(403, "POST", SECRETS, body={"secrets": {"NEW": "${prd.SECRET}"}})
    missing = reader.doppler.refused(403, "POST", SECRETS, body={"secrets": {"NEW": "${prd.NOTHERE}"}})
    assert missing.replace("NOTHERE", "SECRET") == text, "what is there is not told"
    assert dev.text() and json.loads(dev.text())["PEEK"] == "hunter2"


def test_a_right_that_is_taken_away_is_gone_at_once(dev, doppler, client, policy):
    """A 304 is no way around it, and another right makes another ETag."""
    name = policy(f'path "secret/data/{dev.project}/*" {{ capabilities = ["read"] }}')
    token = client.auth.token.create(policies=[name])["auth"]["client_token"]
    dev.sibling("prd").set(A="far")
    dev.set(A="${prd.A}")
    reader = dev.as_token(token)
    tag = reader.download().headers["etag"]
    assert reader.download(etag=tag).status == 304
    client.sys.create_or_update_acl_policy(name, f'path "secret/data/{dev.project}/dev" {{ capabilities = ["read"] }}')
    assert reader.download(etag=tag).status == 403


def test_each_config_that_is_drawn_from_is_in_the_audit_log(own_server, tmp_path):
    """A reference is a read of its own."""
    log = tmp_path / "audit.log"
    client = own_server.client()
    client.sys.enable_audit_device("file", options={"file_path": str(log)})
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    doppler = Doppler(own_server)
    dev = Config(doppler, doppler.project("dev", "prd"), "dev")
    dev.sibling("prd").set(A="hunter2")
    dev.set(A="${prd.A}")
    before = len(log.read_text().splitlines())
    assert json.loads(dev.text())["A"] == "hunter2"
    entries = [json.loads(line) for line in log.read_text().splitlines()[before:]]
    reads = {entry["request"]["path"] for entry in entries if entry["request"]["operation"] == "read"}
    assert reads == {f"secret/data/{dev.project}/{name}" for name in ("dev", "prd")}
    assert "hunter2" not in log.read_text()


def test_chains_and_circles_of_ten_thousand(dev, client):
    """Written where nobody looks at references, they end, with an answer."""
    names = [f"N{index:05}" for index in range(10_000)]
    circle = {name: f"${{{names[index - 1]}}}" for index, name in enumerate(names)}
    write(client, dev, circle | {"PLAIN": "1"})
    shown = dev.list(secrets=f"{names[0]},{names[5000]},PLAIN")
    assert {name: value["computed"] for name, value in shown.items()} == {names[0]: None, names[5000]: None, "PLAIN": "1"}
    answer = dev.download(secrets=names[0])
    assert answer.status == 400 and b"refers to itself" in answer.body
    assert json.loads(dev.text(secrets="PLAIN")) == {"PLAIN": "1"}
    write(client, dev, circle | {names[0]: "end"})
    shown = dev.list(secrets=f"{names[64]},{names[65]},{names[9999]}")
    assert [shown[name]["computed"] for name in (names[64], names[65], names[9999])] == ["end", None, None]


def test_references_that_multiply_are_stopped(dev, client):
    """A billion laughs cost no more than one bounded value."""
    levels = {f"L{level:02}": f"${{L{level - 1:02}}}" * 10 for level in range(1, 30)}
    write(client, dev, levels | {"L00": "ha" * 50})
    shown = dev.list()
    assert len(shown["L03"]["computed"]) == 100_000 and shown["L29"]["computed"] is None
    answer = dev.download()
    assert answer.status == 400 and b"grows beyond" in answer.body


def test_one_answer_draws_from_so_many_configs_and_no_more(dev, client, doppler):
    """References cannot make one request read a whole store."""
    for index in range(70):
        name = f"{dev.project}/c{index}"
        client.secrets.kv.v2.create_or_update_secret(name, {"A": "x"}, mount_point="secret")
    write(client, dev, {f"R{index}": f"${{c{index}.A}}" for index in range(70)})
    answer = dev.download()
    assert answer.status == 400 and b"more than 64 configs" in answer.body
    assert json.loads(dev.text(secrets="R3")) == {"R3": "x"}


def test_bytes_are_no_target(dev, doppler, server, policy):
    """A config that holds bytes is refused, and so is a reference into it."""
    name = unique("blob")
    everything = policy('path "secret/*" { capabilities = ["create", "read", "update"] }')
    create_key(server, everything).client("secretsmanager").create_secret(Name=f"{dev.project}/{name}", SecretBinary=b"\0\1")
    text = doppler.refused(400, "GET", SECRETS, {"project": dev.project, "config": name})
    assert "holds bytes" in text
    doppler.refused(400, "POST", SECRETS, body={"project": dev.project, "config": name, "secrets": {"A": "1"}})
    text = doppler.refused(400, "POST", SECRETS, body=dev.place | {"secrets": {"A": f"${{{name}.VALUE}}"}})
    assert "bytes" in text
