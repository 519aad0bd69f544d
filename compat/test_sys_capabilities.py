"""`/v1/sys/capabilities{,-self,-accessor}`, through hvac."""

import pytest
from hvac import exceptions

from support import refused

RULES = '''
    path "kv/read"   { capabilities = ["read", "list"] }
    path "kv/none"   { capabilities = ["deny"] }
    path "kv/sub/*"  { capabilities = ["create", "update"] }
'''


@pytest.fixture
def some(limited):
    """A client that may do a little."""
    return limited(RULES)


def test_of_oneself(some):
    """Each path with what is allowed there, sorted, at the top level too."""
    answer = some.sys.get_capabilities(["kv/read", "kv/none", "kv/sub/x", "elsewhere"])
    expected = {"kv/read": ["list", "read"], "kv/none": ["deny"], "kv/sub/x": ["create", "update"],
                "elsewhere": ["deny"]}
    assert {path: answer["data"][path] for path in expected} == expected
    assert {path: answer[path] for path in expected} == expected


def test_of_one_path(some):
    """A single path stands under `capabilities`, too."""
    answer = some.sys.get_capabilities(["kv/read"])
    assert answer["capabilities"] == answer["data"]["capabilities"] == ["list", "read"]


def test_of_a_token_and_of_an_accessor(client, some):
    """Root asks for another."""
    accessor = some.auth.token.lookup_self()["data"]["accessor"]
    for answer in (client.sys.get_capabilities(["kv/read"], token=some.token),
                   client.sys.get_capabilities(["kv/read"], accessor=accessor)):
        assert answer["data"]["kv/read"] == ["list", "read"]


def test_of_root(client):
    """Root may do everything, everywhere."""
    assert client.sys.get_capabilities(["any/thing"])["data"]["any/thing"] == ["root"]


def test_singular_path(server):
    """The older field `path` names one."""
    reply = server.call("POST", "sys/capabilities-self", body={"path": "any/thing"})
    assert reply.json["data"]["capabilities"] == ["root"]


def test_refusals(client, server):
    """No paths, and a token that is not."""
    reply = server.call("POST", "sys/capabilities-self", body={})
    assert reply.status == 400 and reply.errors
    with pytest.raises(exceptions.VaultError):
        client.sys.get_capabilities(["a"], token="hvs.doesnotexist")
    with pytest.raises(exceptions.VaultError):
        client.sys.get_capabilities(["a"], accessor="doesnotexist")


def test_others_need_permission(some):
    """Asking for another token is not in the default policy."""
    with refused(exceptions.Forbidden, "permission denied"):
        some.sys.get_capabilities(["kv/read"], token=some.token)
