"""Personal tokens: what somebody makes of their own token, by the API and by the command line."""

import json

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

TOKENS = "me/tokens"
MAKES = 'path "auth/token/create" { capabilities = ["create", "update"] }'


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def person(doppler, client):
    """Somebody who reads one config and may make tokens: their token and the config."""
    app = doppler.project("dev")
    which = {"project": app, "config": "dev"}
    requests = [{"name": "A", "value": "1"}, {"name": "R", "value": "2", "visibility": "restricted"}]
    doppler.ok("POST", "configs/config/secrets", body=which | {"change_requests": requests})
    policy = unique("person")
    rule = f'path "secret/data/{app}/dev" {{ capabilities = ["read"] }}'
    client.sys.create_or_update_policy(policy, f"{MAKES}\n{rule}")
    return client.auth.token.create(policies=[policy], ttl="1h")["auth"]["client_token"], which


def test_it_may_what_its_maker_may_and_ends_with_them(doppler, person, client):
    """The same config and no other; what is restricted is hidden from people; one revocation ends both."""
    mine, which = person
    made = doppler.as_token(mine).ok("POST", TOKENS, body={"name": "laptop"})
    key, told = made["api_key"], made["api_token"]
    assert key.startswith("dp.pt.") and len(key) == len("dp.pt.") + 43 and told["name"] == "laptop"
    assert told["expires_at"] is not None, "no longer than the token that it was made with"
    own = doppler.as_token(key)
    me = own.ok("GET", "me")
    assert me["type"] == "personal" and me["token_preview"] == f"dp.pt...{key[-6:]}" and me["name"].startswith("personal-")
    secrets = own.ok("GET", "configs/config/secrets/download", which)
    assert secrets["A"] == "1" and "R" not in secrets
    own.refused(403, "POST", "configs/config/secrets", body=which | {"secrets": {"A": "2"}})
    assert client.auth.token.lookup(key)["data"]["policies"] == client.auth.token.lookup(mine)["data"]["policies"]
    client.auth.token.revoke(mine)
    own.refused(401, "GET", "me")


def test_it_is_listed_and_ended_by_whom_it_belongs_to(doppler, person, client):
    """Listings have no token; somebody else sees and ends nothing of it."""
    mine = doppler.as_token(person[0])
    made = [mine.ok("POST", TOKENS, body={"name": name, "expires_at": 4_000_000_000})["api_key"] for name in ("a", "b")]
    listed = mine.ok("GET", TOKENS)["api_tokens"]
    assert [one["name"] for one in listed] == ["a", "b"] and not any(key in json.dumps(listed) for key in made)
    other = doppler.as_token(client.auth.token.create(policies=["default"])["auth"]["client_token"])
    assert other.ok("GET", TOKENS)["api_tokens"] == []
    other.refused(404, "DELETE", f"{TOKENS}/token/{listed[0]['slug']}")
    assert mine.call("DELETE", f"{TOKENS}/token/{listed[0]['slug']}").status == 204
    doppler.as_token(made[0]).refused(401, "GET", "me")
    doppler.as_token(made[1]).ok("GET", "me")
    mine.refused(404, "DELETE", f"{TOKENS}/token/{listed[0]['slug']}")
    mine.refused(404, "DELETE", f"{TOKENS}/token/..%2F..%2Fx")


def test_an_entity_finds_its_tokens_with_each_of_its_own(doppler, client):
    """Two logins of one person, one list."""
    user, mount, policy = unique("ann"), unique("people"), unique("makes")
    client.sys.create_or_update_policy(policy, MAKES)
    client.sys.enable_auth_method("userpass", path=mount)
    client.auth.userpass.create_or_update_user(user, "pass word", policies=[policy], mount_point=mount)
    first, second = (doppler.as_token(client.auth.userpass.login(user, "pass word", mount_point=mount, use_token=False)
                                      ["auth"]["client_token"]) for _ in range(2))
    made = first.ok("POST", TOKENS, body={"name": "phone"})
    assert [one["slug"] for one in second.ok("GET", TOKENS)["api_tokens"]] == [made["api_token"]["slug"]]
    assert doppler.as_token(made["api_key"]).ok("GET", TOKENS)["api_tokens"][0]["name"] == "phone"
    assert second.call("DELETE", f"{TOKENS}/token/{made['api_token']['slug']}").status == 204


def test_what_cannot_be(doppler, person, client):
    """No name, an end that is past, a token that may have no children, one that may not make tokens."""
    mine = doppler.as_token(person[0])
    for body in ({}, {"name": ""}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": "x", "expires_at": 1}):
        mine.refused(400, "POST", TOKENS, body=body)
    weak = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    doppler.as_token(weak).refused(403, "POST", TOKENS, body={"name": "x"})
    app = doppler.project("dev")
    doppler.as_token(doppler.service_token(app, "dev", "read/write")["key"]).refused(403, "POST", TOKENS, body={"name": "x"})
    assert mine.ok("GET", TOKENS)["api_tokens"] == []


def test_the_command_line(keyturn, doppler):
    """Made, used, listed without itself, ended."""
    made = json.loads(keyturn("doppler-token", "personal", "create", "--name", "cli", "--ttl", "1h", "--format", "json").stdout)
    assert made["token"].startswith("dp.pt.") and made["expire_time"]
    assert doppler.as_token(made["token"]).ok("GET", "me")["type"] == "personal"
    listed = keyturn("doppler-token", "personal", "list").stdout.decode()
    assert made["slug"] in listed and made["token"] not in listed
    assert made["slug"].encode() in keyturn("doppler-token", "personal", "revoke", made["slug"]).stdout
    doppler.as_token(made["token"]).refused(401, "GET", "me")
    keyturn("doppler-token", "personal", "create", "--name", "x", "--ttl", "soon", expect=2)


def test_me_for_each_kind_of_token(server, doppler):
    """The type that clients know it by, with the fields that they assert."""
    app = doppler.project("dev")
    account = doppler.ok("POST", "workplace/service_accounts", body={"name": unique("ci")})["service_account"]["slug"]
    keys = {
        "personal": doppler.ok("POST", TOKENS, body={"name": "x"})["api_key"],
        "service_token": doppler.service_token(app, "dev")["key"],
        "service_account": doppler.ok("POST", f"workplace/service_accounts/service_account/{account}/tokens",
                                      body={"name": "x"})["api_key"],
    }
    for kind, key in keys.items():
        me = doppler.as_token(key).ok("GET", "me")
        assert me["type"] == kind and me["token_preview"] == f"{key[:5]}...{key[-6:]}", (kind, me)
        assert all(isinstance(me[name], str) for name in ("slug", "name", "created_at", "last_seen_at")), me
        assert isinstance(me["workplace"]["slug"], str) and isinstance(me["workplace"]["name"], str)
