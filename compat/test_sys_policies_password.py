"""`/v1/sys/policies/password`: password policies, through hvac's plain reads and writes, which is all that it has."""

import base64
import string

import pytest
from hvac import exceptions

from support import refused, status_of, unique

POLICY = """
length = 20
rule "charset" {
  charset   = "abcdefghijklmnopqrstuvwxyz"
  min-chars = 1
}
rule "charset" {
  charset   = "0123456789"
  min-chars = 3
}
"""


@pytest.fixture
def name(client):
    """The name of a password policy that is removed after the test."""
    chosen = unique("passwords")
    yield chosen
    client.delete(f"sys/policies/password/{chosen}")


def _write(client, name, text):
    return client.write_data(f"sys/policies/password/{name}", data={"policy": text})


def test_create_read_list_delete(client, name):
    """A policy reads back as it was written."""
    assert status_of(_write(client, name, POLICY)) == 204
    assert client.read(f"sys/policies/password/{name}")["data"]["policy"] == POLICY
    assert name in client.list("sys/policies/password")["data"]["keys"]
    assert status_of(client.adapter.delete(f"/v1/sys/policies/password/{name}")) == 204
    assert status_of(client.adapter.delete(f"/v1/sys/policies/password/{name}")) == 204
    for path in (name, f"{name}/generate"):
        with pytest.raises(exceptions.InvalidPath):
            client.adapter.get(f"/v1/sys/policies/password/{path}")


def test_base64_and_json(client, name):
    """The text may come in base64, and in JSON."""
    _write(client, name, base64.b64encode(POLICY.encode()).decode())
    assert client.read(f"sys/policies/password/{name}")["data"]["policy"] == POLICY
    _write(client, name, '{"length": 8, "rule": [{"charset": {"charset": "ab", "min-chars": 1}}]}')
    password = client.read(f"sys/policies/password/{name}/generate")["data"]["password"]
    assert len(password) == 8 and set(password) <= {"a", "b"}


def test_generated_passwords_keep_the_policy(client, name):
    """Length, characters, and at least so many of each; no two alike."""
    _write(client, name, POLICY)
    made = [client.read(f"sys/policies/password/{name}/generate")["data"]["password"] for _ in range(50)]
    assert len(set(made)) == 50
    for password in made:
        assert len(password) == 20
        assert set(password) <= set(string.ascii_lowercase + string.digits)
        assert sum(character.isdigit() for character in password) >= 3


@pytest.mark.parametrize("text, fragment", [
    ("", "missing policy"),
    ("length = 3\nrule \"charset\" { charset = \"abc\" }", "between 4 and 100"),
    ("length = 101\nrule \"charset\" { charset = \"abc\" }", "between 4 and 100"),
    ("length = 8", "no charset"),
    ("length = 8\nrule \"charset\" { charset = \"abc\" min-chars = 9 }", "at least 9 characters"),
    ("length = 8\nrule \"charset\" { charset = \"a\\tb\" }", "non-printable"),
    ("length = 8\nrule \"unknown\" { }", "unknown"),
    ("length = 8\nrule \"charset\" {", "invalid password policy"),
])
def test_a_policy_that_cannot_generate_is_refused(client, name, text, fragment):
    """And nothing is stored."""
    with refused(exceptions.InvalidRequest, fragment):
        _write(client, name, text)
    with pytest.raises(exceptions.InvalidPath):
        client.adapter.get(f"/v1/sys/policies/password/{name}")


@pytest.mark.keyturn
def test_what_hardly_any_password_keeps_is_refused(client, name):
    """Vault takes it and times out when it is asked for a password."""
    wide = string.ascii_letters + string.digits
    text = f'length = 40\nrule "charset" {{ charset = "{wide}" }}\nrule "charset" {{ charset = "-" min-chars = 30 }}'
    with refused(exceptions.InvalidRequest, "are the rules impossible?"):
        _write(client, name, text)


@pytest.mark.keyturn
def test_bombs(client, name):
    """Much text, many characters, many rules, deep nesting, and what would be a class in a regular expression."""
    many = "".join(chr(0x4E00 + number) for number in range(300))
    for text in (
        'length = 8\nrule "charset" { charset = "' + "a" * 200_000 + '" }',
        f'length = 8\nrule "charset" {{ charset = "{many}" }}',
        "length = 8\n" + 'rule "charset" { charset = "a" }\n' * 1000,
        "length = 8\nrule = " + "[" * 1000 + "]" * 1000,
    ):
        with refused(exceptions.InvalidRequest):
            _write(client, name, text)
    _write(client, name, 'length = 8\nrule "charset" { charset = "[a-z]{9999999999}" }')
    password = client.read(f"sys/policies/password/{name}/generate")["data"]["password"]
    assert len(password) == 8 and set(password) <= set("[a-z]{9}")


def test_names_and_permissions(server, client, limited, name):
    """Names are words; generating is a read of its own path."""
    _write(client, name, POLICY)
    for bad in ("-a", "a-", "a b", "x" * 200):
        assert server.call("POST", f"sys/policies/password/{bad.replace(' ', '%20')}",
                           body={"policy": POLICY}).status == 400, bad
    some = limited(f'path "sys/policies/password/{name}/generate" {{ capabilities = ["read"] }}')
    assert some.read(f"sys/policies/password/{name}/generate")["data"]["password"]
    with refused(exceptions.Forbidden):
        some.read(f"sys/policies/password/{name}")
    with refused(exceptions.Forbidden):
        _write(some, name, POLICY)
