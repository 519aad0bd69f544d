"""`/v1/identity/oidc/…`: identity tokens, through hvac, verified by PyJWT as another system would."""

import base64
import json

import jwt
import pytest
from hvac import exceptions

from support import refused, status_of, unique

DAY = 86400
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
CHEAP = "ES256"


@pytest.fixture
def key(client, identity):
    """Makes keys that vanish after the test: `key(**fields)` returns the new one's name."""
    made = []

    def make(**fields):
        name = unique("key")
        fields = {"algorithm": CHEAP, "allowed_client_ids": ["*"], **fields}
        client.write(f"identity/oidc/key/{name}", **fields)
        made.append(name)
        return name

    yield make
    for name in made:
        for role in listed(identity.list_roles):
            if identity.read_role(role)["data"]["key"] == name:
                identity.delete_role(role)
        identity.delete_named_key(name)


@pytest.fixture
def role(client):
    """Makes roles: `role(key, **fields)` returns the new one's name."""

    def make(key_name, **fields):
        name = unique("role")
        client.write(f"identity/oidc/role/{name}", key=key_name, **fields)
        return name

    return make


@pytest.fixture
def login(server, client, userpass, policy, identity):
    """Logs a user in who may ask for tokens: an hvac client and the entity's id."""
    grants = policy('path "identity/oidc/token/*" { capabilities = ["read"] }')
    made = []

    def log_in(name):
        client.auth.userpass.create_or_update_user(name, password="pw", policies=grants, mount_point=userpass)
        auth = server.client("").auth.userpass.login(name, "pw", mount_point=userpass)["auth"]
        made.append(auth["entity_id"])
        return server.client(auth["client_token"]), auth["entity_id"]

    yield log_in
    for entity_id in made:
        identity.delete_entity(entity_id)


def listed(listing):
    """The keys of a listing that may be empty."""
    try:
        return listing()["data"]["keys"]
    except exceptions.InvalidPath:
        return []


def public_keys(server):
    """The published keys by their ids, read without a token."""
    keys = server.client("").secrets.identity.read_active_public_keys()["keys"]
    return {told["kid"]: told for told in keys}


def verify(server, token, audience):
    """The claims of a token that another system would believe."""
    discovered = server.client("").secrets.identity.read_well_known_configurations()
    told = public_keys(server)[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token, jwt.PyJWK(told).key, algorithms=[told["alg"]], audience=audience, issuer=discovered["issuer"]
    )


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token(server, identity, key, role, login, algorithm):
    """Whoever reads the discovery documents can verify who somebody is."""
    name = role(key(algorithm=algorithm), ttl="1h")
    itself, entity_id = login("ann")
    issued = itself.secrets.identity.generate_signed_id_token(name)["data"]
    audience = identity.read_role(name)["data"]["client_id"]
    assert (issued["client_id"], issued["ttl"]) == (audience, 3600)
    header = jwt.get_unverified_header(issued["token"])
    assert (header["alg"], header["typ"]) == (algorithm, "JWT")
    claims = verify(server, issued["token"], audience)
    assert (claims["sub"], claims["aud"], claims["namespace"]) == (entity_id, audience, "root")
    assert claims["iss"] == f"{server.address}/v1/identity/oidc"
    assert claims["exp"] - claims["iat"] == 3600
    assert identity.introspect_signed_id_token(issued["token"], audience) == {"active": True}


def test_discovery_is_open_and_raw(server):
    """No token, no envelope; nothing private."""
    told = server.call("GET", "identity/oidc/.well-known/openid-configuration", token="").json
    assert told["issuer"] == f"{server.address}/v1/identity/oidc"
    assert told["jwks_uri"] == f"{told['issuer']}/.well-known/keys"
    assert told["id_token_signing_alg_values_supported"] == ALGORITHMS
    assert (told["response_types_supported"], told["subject_types_supported"]) == (["id_token"], ["public"])
    for published in public_keys(server).values():
        assert published["use"] == "sig" and not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(published)
    for path in ("config", "key", "token/x", "role/x"):
        assert server.call("GET", f"identity/oidc/{path}", token="").status == 403


@pytest.mark.keyturn
def test_a_host_is_believed_only_if_it_is_one(server):
    """A header that is no host is no part of an issuer."""
    path = "identity/oidc/.well-known/openid-configuration"
    for host in ("a b", "a/b", "u@a", 'a"b', "a?b"):
        answer = server.call("GET", path, token="", headers={"Host": host})
        assert answer.status == 400 or answer.json["issuer"] == "/v1/identity/oidc", host


def test_issuer(server, identity, key, role, login):
    """One that is set holds for all."""
    name = role(key())
    assert identity.read_tokens_backend_configuration()["data"]["issuer"] == ""
    try:
        assert "explicitly" in identity.configure_tokens_backend(issuer="https://id.example:8200")["warnings"][0]
        assert identity.read_tokens_backend_configuration()["data"]["issuer"] == "https://id.example:8200"
        issued = login("ann")[0].secrets.identity.generate_signed_id_token(name)["data"]
        assert verify(server, issued["token"], issued["client_id"])["iss"] == "https://id.example:8200/v1/identity/oidc"
        for issuer in ("id.example", "https://id.example/path", "ftp://id.example", "https://u@id.example"):
            with refused(exceptions.InvalidRequest, "invalid issuer"):
                identity.configure_tokens_backend(issuer=issuer)
    finally:
        identity.configure_tokens_backend(issuer="")


def test_template(server, client, identity, key, role, login, userpass):
    """Claims from the identity; in base64 too."""
    accessor = client.sys.list_auth_methods()[f"{userpass}/"]["accessor"]
    template = (
        '{"who": {{identity.entity.name}}, "of": {"team": {{identity.entity.metadata.team}}, "all": '
        '{{identity.entity.metadata}}}, "as": {{identity.entity.aliases.%s.name}}, "no": '
        '{{identity.entity.metadata.none}}, "groups": {{identity.entity.groups.names}}, "nbf": {{time.now}}}' % accessor
    )
    itself, entity_id = login("ann")
    group = unique("group")
    group_id = identity.create_or_update_group(group, member_entity_ids=[entity_id])["data"]["id"]
    hostile = 'x", "sub": "root'
    identity.update_entity(entity_id, name="ann-e", metadata={"team": hostile})
    for given in (template, base64.b64encode(template.encode()).decode()):
        name = role(key(), template=given)
        assert identity.read_role(name)["data"]["template"] == template
        issued = itself.secrets.identity.generate_signed_id_token(name)["data"]
        claims = verify(server, issued["token"], issued["client_id"])
        assert (claims["who"], claims["as"], claims["no"], claims["groups"]) == ("ann-e", "ann", "", [group])
        assert claims["of"] == {"team": hostile, "all": {"team": hostile}}
        assert claims["sub"] == entity_id and claims["nbf"] == claims["iat"]
    identity.delete_group(group_id)


def test_who_gets_no_token(server, client, identity, key, role, login):
    """Without an entity, without a role, or if the key may not sign for it."""
    key_name = key()
    name = role(key_name)
    with refused(exceptions.InvalidRequest, "no entity associated with the request's token"):
        identity.generate_signed_id_token(name)
    itself, entity_id = login("ann")
    with refused(exceptions.InvalidRequest, "not found"):
        itself.secrets.identity.generate_signed_id_token("none")
    client.write(f"identity/oidc/key/{key_name}", allowed_client_ids="other")
    with refused(exceptions.InvalidRequest, "allowed client ID"):
        itself.secrets.identity.generate_signed_id_token(name)
    client.write(f"identity/oidc/key/{key_name}", allowed_client_ids=identity.read_role(name)["data"]["client_id"])
    assert itself.secrets.identity.generate_signed_id_token(name)["data"]["token"]
    identity.update_entity(entity_id, disabled=True)
    with refused(exceptions.Forbidden):
        itself.secrets.identity.generate_signed_id_token(name)


# --- introspection --------------------------------------------------------------------------------------------------


def test_introspection(identity, key, role, login):
    """What is wrong is said; a disabled entity's tokens are not active."""
    name = role(key())
    itself, entity_id = login("ann")
    issued = itself.secrets.identity.generate_signed_id_token(name)["data"]
    look = identity.introspect_signed_id_token
    assert look(issued["token"]) == {"active": True}
    assert look(issued["token"], "other")["active"] is False
    identity.update_entity(entity_id, disabled=True)
    assert look(issued["token"]) == {"active": False, "error": "entity is disabled"}
    identity.delete_entity(entity_id)
    assert look(issued["token"]) == {"active": False, "error": "entity was not found"}


def test_forged_tokens(server, identity, key, role, login):
    """No header, key or algorithm of somebody's choosing makes a token active."""
    name = role(key(algorithm="RS256"))
    itself, _ = login("ann")
    issued = itself.secrets.identity.generate_signed_id_token(name)["data"]["token"]
    header, claims = jwt.get_unverified_header(issued), jwt.decode(issued, options={"verify_signature": False})
    published = public_keys(server)[header["kid"]]

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head, body, signature = issued.split(".")
    forged = {
        "another subject": f"{head}.{part(claims | {'sub': 'x'})}.{signature}",
        "none": f"{part({'alg': 'none', 'kid': header['kid']})}.{body}.",
        "HMAC with the public key": jwt.encode(
            claims, published["n"], algorithm="HS256", headers={"kid": header["kid"]}
        ),
        "an own key": jwt.encode(claims, "k" * 32, algorithm="HS256", headers={"kid": "../key", "jwk": published}),
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "nothing": "",
        "no base64": "!.!.!",
    }
    for what, token in forged.items():
        assert identity.introspect_signed_id_token(token)["active"] is False, what


# --- keys -----------------------------------------------------------------------------------------------------------


def test_key(identity):
    """Made by hvac with all its fields, read, listed, removed."""
    name = unique("key")
    created = identity.create_named_key(name, rotation_period="1h", verification_ttl="2h", algorithm="EdDSA")
    assert status_of(created) == 204
    assert identity.read_named_key(name)["data"] == {
        "rotation_period": 3600, "verification_ttl": 7200, "algorithm": "EdDSA", "allowed_client_ids": [],
    }
    assert name in identity.list_named_keys()["data"]["keys"]
    # hvac writes to the key itself, which sets its time.
    assert status_of(identity.rotate_named_key(name, "1h")) == 204
    assert identity.read_named_key(name)["data"]["verification_ttl"] == 3600
    assert status_of(identity.delete_named_key(name)) == 204
    with refused(exceptions.InvalidPath):
        identity.read_named_key(name)


def test_rotation(server, client, key, role, login):
    """Old tokens verify as long as was said; the next key is published before it signs."""
    key_name = key()
    name = role(key_name)
    itself, _ = login("ann")
    first = itself.secrets.identity.generate_signed_id_token(name)["data"]
    before = public_keys(server)
    client.write(f"identity/oidc/key/{key_name}/rotate")
    second = itself.secrets.identity.generate_signed_id_token(name)["data"]
    kids = [jwt.get_unverified_header(issued["token"])["kid"] for issued in (first, second)]
    assert kids[0] != kids[1] and kids[1] in before
    for issued in (first, second):
        verify(server, issued["token"], issued["client_id"])
    client.write(f"identity/oidc/key/{key_name}/rotate", verification_ttl=0)
    assert kids[0] in public_keys(server) and kids[1] not in public_keys(server)


def test_another_algorithm(server, client, key, role, login):
    """What was signed before still verifies."""
    key_name = key()
    name = role(key_name)
    itself, _ = login("ann")
    first = itself.secrets.identity.generate_signed_id_token(name)["data"]
    client.write(f"identity/oidc/key/{key_name}", algorithm="ES384")
    second = itself.secrets.identity.generate_signed_id_token(name)["data"]
    assert [jwt.get_unverified_header(issued["token"])["alg"] for issued in (first, second)] == [CHEAP, "ES384"]
    for issued in (first, second):
        verify(server, issued["token"], issued["client_id"])


@pytest.mark.keyturn
def test_key_errors(client, identity, key, role):
    """What cannot be is refused and changes nothing."""
    key_name = key()
    name = role(key_name, ttl="12h")
    for fields, text in (
        ({"rotation_period": "30s"}, "at least one minute"),
        ({"rotation_period": "1h", "verification_ttl": "11h"}, "10x rotation_period"),
        ({"algorithm": "HS256"}, "unknown signing algorithm"),
        ({"algorithm": "none"}, "unknown signing algorithm"),
        ({"verification_ttl": "1h"}, "roles with a token ttl greater than 3600 seconds"),
    ):
        with refused(exceptions.InvalidRequest, text):
            client.write(f"identity/oidc/key/{key_name}", **fields)
    assert identity.read_named_key(key_name)["data"]["rotation_period"] == DAY
    with refused(exceptions.InvalidRequest, name):
        identity.delete_named_key(key_name)
    with refused(exceptions.InvalidRequest, "no named key found"):
        client.write("identity/oidc/key/none/rotate")
    with refused(exceptions.InvalidRequest, "a name must have"):
        client.write("identity/oidc/key/a b")


# --- roles ----------------------------------------------------------------------------------------------------------


def test_role(client, identity, key):
    """Made, read, changed in part, listed, removed."""
    name, key_name = unique("role"), key()
    assert status_of(identity.create_or_update_role(name, key_name, ttl="1h", client_id="me")) == 204
    assert identity.read_role(name)["data"] == {"client_id": "me", "key": key_name, "template": "", "ttl": 3600}
    client.write(f"identity/oidc/role/{name}", ttl="2h")
    assert identity.read_role(name)["data"]["ttl"] == 7200
    assert name in identity.list_roles()["data"]["keys"]
    assert status_of(identity.delete_role(name)) == 204
    with refused(exceptions.InvalidPath):
        identity.read_role(name)


def test_the_default_key_is_made_when_it_is_needed(identity, role, login):
    """It signs for anybody and stays."""
    name = role("default", ttl="1m")
    assert identity.read_named_key("default")["data"]["allowed_client_ids"] == ["*"]
    assert login("ann")[0].secrets.identity.generate_signed_id_token(name)["data"]["token"]
    with refused(exceptions.InvalidRequest, "not allowed"):
        identity.delete_named_key("default")
    identity.delete_role(name)


def test_role_errors(client, identity, key):
    """What cannot be is refused and changes nothing."""
    name, key_name = unique("role"), key()
    for fields, text in (
        ({}, "the key parameter is required"),
        ({"key": "none"}, "cannot find key"),
        ({"key": key_name, "ttl": "25h"}, "cannot be longer than the verification_ttl"),
        ({"key": key_name, "template": '{"a": {{identity.entity.name}'}, "error parsing template"),
        ({"key": key_name, "template": '{"a": {{identity.unknown}}}'}, "error parsing template"),
        ({"key": key_name, "template": '{"a": "{{identity.entity.name}}"}'}, "error parsing template JSON"),
        ({"key": key_name, "template": '["a"]'}, "error parsing template JSON"),
        ({"key": key_name, "template": '{"sub": "root"}'}, 'top level key "sub" not allowed'),
        ({"key": key_name, "template": '{"iss": {{identity.entity.name}}}'}, "not allowed"),
    ):
        with refused(exceptions.InvalidRequest, text):
            client.write(f"identity/oidc/role/{name}", **fields)
    with refused(exceptions.InvalidPath):
        identity.read_role(name)
