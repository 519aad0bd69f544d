"""`/v1/auth/<mount>/{config,role,login}` of a JWT auth method, through hvac, with a provider of the test's own."""

import base64
import hashlib
import hmac
import json
import time

import jwt as pyjwt
import pytest
from hvac import exceptions

import harness
from provider import Provider, SigningKey, unsigned
from support import refused, status_of, unique


@pytest.fixture
def mount(client):
    """The path of a JWT auth method."""
    path = unique("jwt")
    client.sys.enable_auth_method("jwt", path=path)
    yield path
    client.sys.disable_auth_method(path)


@pytest.fixture
def provider():
    """An identity provider on loopback."""
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def trust(client, mount, provider):
    """The mount trusts the provider's key set; returns a function that writes a role."""
    client.auth.jwt.configure(jwks_url=f"{provider.url}/keys", bound_issuer=provider.url, path=mount)
    return lambda name="ci", **fields: write_role(client, mount, name, **fields)


@pytest.fixture
def login(server, mount):
    """Logs in without a token, and returns the `auth` part of the answer."""
    return lambda token, role="ci": server.client("").auth.jwt.jwt_login(role, token, path=mount)["auth"]


def write_role(client, mount, name, **fields):
    """A role with what every role needs."""
    usual = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keyturn"], "allowed_redirect_uris": []}
    client.auth.jwt.create_role(name, path=mount, **(usual | fields))


# --- configuration --------------------------------------------------------------------------------------------------


def test_config(client, mount, provider):
    """Write, read back; the client's secret is never told."""
    with refused(exceptions.InvalidPath):
        client.auth.jwt.read_config(path=mount)
    fields = {"oidc_discovery_url": provider.url, "oidc_client_id": Provider.CLIENT_ID,
              "oidc_client_secret": Provider.CLIENT_SECRET, "default_role": "ci", "bound_issuer": provider.url,
              "jwt_supported_algs": ["ES256", "RS256"]}
    assert status_of(client.auth.jwt.configure(path=mount, **fields)) == 204
    read = client.auth.jwt.read_config(path=mount)["data"]
    assert {name: read[name] for name in fields if name != "oidc_client_secret"} == {
        name: value for name, value in fields.items() if name != "oidc_client_secret"}
    assert "oidc_client_secret" not in read and Provider.CLIENT_SECRET not in str(read)
    assert (read["jwks_url"], read["jwt_validation_pubkeys"], read["namespace_in_state"]) == ("", [], True)


@pytest.mark.parametrize("fields, message", [
    ({}, "exactly one of"),
    ({"jwks_url": "http://127.0.0.1:9/x", "jwt_validation_pubkeys": ["x"]}, "exactly one of"),
    ({"jwt_validation_pubkeys": ["no key"]}, "error parsing public key"),
    ({"jwks_url": "http://127.0.0.1:9/nobody"}, "error checking jwks URL"),
    ({"oidc_discovery_url": "http://127.0.0.1:9"}, "error checking oidc discovery URL"),
    ({"jwks_url": "file:///etc/passwd"}, "must begin with https"),
    ({"oidc_discovery_url": "https://x", "oidc_client_id": "a"}, "both 'oidc_client_id' and 'oidc_client_secret'"),
    ({"jwks_url": "http://127.0.0.1:9", "jwt_supported_algs": ["HS256"]}, "invalid jwt_supported_algs"),
    ({"jwks_url": "http://127.0.0.1:9", "jwt_supported_algs": ["none"]}, "invalid jwt_supported_algs"),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else None)
def test_bad_config(client, mount, fields, message):
    """Contradictions, keys that are none, addresses without a provider; nothing is stored."""
    with refused(exceptions.InvalidRequest, message):
        client.auth.jwt.configure(path=mount, **fields)
    with refused(exceptions.InvalidPath):
        client.auth.jwt.read_config(path=mount)


def test_a_discovery_document_of_another_issuer(client, mount, provider):
    """It is not the one that was asked for."""
    with refused(exceptions.InvalidRequest, "another issuer"):
        client.auth.jwt.configure(oidc_discovery_url=provider.url + "/", path=mount)


def test_login_needs_a_configuration(mount, login):
    """And says so."""
    with refused(exceptions.InvalidRequest, "could not load configuration"):
        login("a.b.c")


# --- roles ----------------------------------------------------------------------------------------------------------


def test_roles(client, mount):
    """Write, read, list, delete."""
    fields = {"bound_audiences": ["a", "b"], "bound_subject": "x", "bound_claims": {"a": "b", "n": [1, True]},
              "bound_claims_type": "string", "claim_mappings": {"/a/b": "c"}, "user_claim": "/id/name",
              "user_claim_json_pointer": True, "groups_claim": "groups", "clock_skew_leeway": 10,
              "expiration_leeway": -1, "not_before_leeway": 30, "oidc_scopes": ["email"], "token_ttl": 600,
              "token_max_ttl": 1200, "token_policies": ["p"], "token_num_uses": 5, "token_type": "service"}
    assert status_of(client.auth.jwt.create_role("CI", role_type="jwt", allowed_redirect_uris=["http://localhost/x"],
                                                 path=mount, **fields)) == 204
    read = client.auth.jwt.read_role("ci", path=mount)["data"]
    assert {name: read[name] for name in fields} == fields
    assert (read["role_type"], read["allowed_redirect_uris"]) == ("jwt", ["http://localhost/x"])
    assert client.auth.jwt.list_roles(path=mount)["data"]["keys"] == ["ci"]
    assert status_of(client.auth.jwt.delete_role("ci", path=mount)) == 204
    for gone in (lambda: client.auth.jwt.read_role("ci", path=mount), lambda: client.auth.jwt.list_roles(path=mount)):
        with refused(exceptions.InvalidPath):
            gone()


def test_update_keeps_what_it_does_not_name(server, client, mount):
    """A write is a merge."""
    write_role(client, mount, "ci", token_policies=["a"], bound_subject="x")
    assert server.call("POST", f"auth/{mount}/role/ci", body={"token_ttl": "5m"}).status == 204
    read = client.auth.jwt.read_role("ci", path=mount)["data"]
    assert (read["token_policies"], read["bound_subject"], read["token_ttl"]) == (["a"], "x", 300)
    assert read["role_type"] == "jwt"


@pytest.mark.parametrize("fields, message", [
    ({"bound_audiences": None}, "must have at least one bound constraint when creating/updating a role"),
    ({"user_claim": ""}, "a user claim must be defined on the role"),
    ({"role_type": "saml"}, "invalid 'role_type'"),
    ({"role_type": "oidc"}, "'allowed_redirect_uris' must be set"),
    ({"bound_claims_type": "regex"}, "invalid 'bound_claims_type'"),
    ({"bound_claims_type": "glob", "bound_claims": {"a": 5}}, "is not a string"),
    ({"claim_mappings": {"a": "role"}}, "is reserved"),
    ({"claim_mappings": {"a": "x", "b": "x"}}, "multiple keys are mapped"),
    ({"token_ttl": 20, "token_max_ttl": 10}, "token_max_ttl"),
    ({"bound_claims": [1]}, "expected an object"),
], ids=str)
def test_bad_roles(client, mount, fields, message):
    """Refused, and not stored."""
    with refused(exceptions.InvalidRequest, message):
        write_role(client, mount, "bad", **fields)
    with refused(exceptions.InvalidPath):
        client.auth.jwt.read_role("bad", path=mount)


# --- login ----------------------------------------------------------------------------------------------------------


def test_a_pipeline_logs_in_without_a_key(server, client, policy, trust, provider, login):
    """As GitHub Actions does: what was built where, and no secret that lives longer than the job."""
    name = policy('path "secret/*" { capabilities = ["read"] }')
    trust(bound_audiences=["https://github.com/org"], bound_claims_type="glob", token_policies=[name], token_ttl=600,
          bound_claims={"repository": "org/app", "sub": "repo:org/app:ref:refs/heads/*", "environment": ["prod", "st*"]},
          claim_mappings={"actor": "actor", "/nested/run": "run"})
    claims = {"sub": "repo:org/app:ref:refs/heads/main", "aud": "https://github.com/org", "repository": "org/app",
              "environment": "staging", "actor": "ann", "nested": {"run": "17"}}
    auth = login(provider.sign(claims))
    assert auth["policies"] == sorted(["default", name])
    assert auth["metadata"] == {"role": "ci", "actor": "ann", "run": "17"}
    assert (auth["lease_duration"], auth["renewable"]) == (600, True)
    data = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert data["display_name"].endswith("-repo:org/app:ref:refs/heads/main")
    for other in ({"sub": "repo:org/app:pull_request"}, {"repository": "org/other"}, {"environment": "dev"},
                  {"environment": None}):
        with refused(exceptions.InvalidRequest, "error validating claims"):
            login(provider.sign(claims | other))


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "EdDSA"])
def test_algorithms(client, mount, login, algorithm):
    """Each by a key that was given."""
    key = SigningKey(algorithm)
    client.auth.jwt.configure(jwt_validation_pubkeys=[SigningKey().pem, key.pem], path=mount)
    write_role(client, mount, "ci")
    assert login(key.sign(aud="keyturn"))["client_token"]
    with refused(exceptions.InvalidRequest, "error validating token"):
        login(SigningKey(algorithm).sign(aud="keyturn"))
    client.auth.jwt.configure(jwt_validation_pubkeys=[key.pem], jwt_supported_algs=["RS512"], path=mount)
    with refused(exceptions.InvalidRequest, "unexpected algorithm"):
        login(key.sign(aud="keyturn"))


def test_discovery(client, mount, provider, login):
    """The provider says itself where its keys are; the role is the mount's default."""
    client.auth.jwt.configure(oidc_discovery_url=provider.url, default_role="ci", path=mount)
    write_role(client, mount, "ci")
    assert login(provider.sign(aud="keyturn"), role="")["metadata"] == {"role": "ci"}


@pytest.mark.parametrize("claims, message", [
    ({"aud": "other"}, "invalid audience (aud) claim: audience claim does not match any expected audience"),
    ({"aud": None}, "invalid audience (aud) claim"),
    ({"aud": ["other", "keyturn"]}, None),
    ({"iss": "https://evil"}, "invalid issuer (iss) claim"),
    ({"iss": None}, "invalid issuer (iss) claim"),
    ({"sub": None}, 'claim "sub" not found in token'),
    ({"sub": 5}, 'claim "sub" could not be converted to string'),
    ({"exp": 0, "iat": 0}, "no issued at (iat), not before (nbf), or expiration time (exp) claims in token"),
    ({"exp": None, "iat": None, "nbf": None}, "no issued at (iat)"),
    ({"exp": "soon"}, "is not a number"),
], ids=str)
def test_claims_of_every_token(trust, provider, login, claims, message):
    """Whom it is for, who made it, when."""
    trust()
    token = provider.sign({"aud": "keyturn"} | claims)
    if message is None:
        assert login(token)["client_token"]
        return
    with refused(exceptions.InvalidRequest, message):
        login(token)


def test_clock_skew(trust, provider, login):
    """A minute either way, or what the role says."""
    now = int(time.time())
    trust()
    trust("strict", clock_skew_leeway=-1, expiration_leeway=-1, not_before_leeway=-1)
    for claims, message in [({"exp": now - 30, "iat": now - 600}, "token is expired"),
                            ({"nbf": now + 30}, "token not yet valid"),
                            ({"iat": now + 30, "nbf": now - 60}, "token issued in the future")]:
        token = provider.sign({"aud": "keyturn"} | claims)
        assert login(token)["client_token"]
        with refused(exceptions.InvalidRequest, message):
            login(token, role="strict")
    for claims in ({"exp": now - 90, "iat": now - 600}, {"nbf": now + 90}, {"iat": now + 90, "nbf": now}):
        with refused(exceptions.InvalidRequest, "error validating token"):
            login(provider.sign({"aud": "keyturn"} | claims))


def test_an_audience_that_nobody_bound(trust, provider, login):
    """A token for somebody else is not good for a role that says nothing of audiences."""
    trust(bound_audiences=[], bound_subject="somebody")
    with refused(exceptions.InvalidRequest, "audience claim found in JWT but no audiences bound to the role"):
        login(provider.sign(aud="other"))
    assert login(provider.sign())["client_token"]
    with refused(exceptions.InvalidRequest, "invalid subject (sub) claim"):
        login(provider.sign(sub="somebody else"))


def test_missing_and_unknown(server, trust, mount, provider, login):
    """What is missing is named."""
    trust()
    trust("browser", role_type="oidc", allowed_redirect_uris=["http://localhost/x"])
    token = provider.sign(aud="keyturn")
    for body, message in [({"jwt": token}, "missing role"), ({"role": "ci"}, "missing token"),
                          ({"role": "nobody", "jwt": token}, 'role "nobody" could not be found'),
                          ({"role": "browser", "jwt": token}, "role with oidc role_type is not allowed")]:
        reply = server.call("POST", f"auth/{mount}/login", body=body, token="")
        assert (reply.status, reply.errors) == (400, [message])


def test_networks(trust, provider, login):
    """A role may be good from elsewhere only."""
    trust(token_bound_cidrs=["10.0.0.0/8"])
    with refused(exceptions.Forbidden):
        login(provider.sign(aud="keyturn"))


def test_renewal_asks_the_role(server, client, mount, trust, provider, login):
    """With the role gone, the token is not renewed."""
    trust(token_ttl=600)
    application = server.client(login(provider.sign(aud="keyturn"))["client_token"])
    assert application.auth.token.renew_self()["auth"]["lease_duration"] == 600
    client.auth.jwt.delete_role("ci", path=mount)
    with refused(exceptions.InvalidRequest, "role ci does not exist during renewal"):
        application.auth.token.renew_self()


# --- attacks --------------------------------------------------------------------------------------------------------


def test_forged_tokens(client, mount, login):
    """No signature, a secret made of the public key, a key brought along, an altered claim."""
    key = SigningKey("RS256")
    client.auth.jwt.configure(jwt_validation_pubkeys=[key.pem], path=mount)
    write_role(client, mount, "ci")
    good = key.sign(aud="keyturn")
    header, claims, signature = good.split(".")
    payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
    raw = base64.urlsafe_b64decode(signature + "==")
    evil = SigningKey("RS256")
    confused = unsigned({"alg": "HS256"}, payload).rsplit(".", 1)[0]
    by_public_key = hmac.new(key.pem.encode(), confused.encode(), hashlib.sha256).digest()
    forged = {
        "none": unsigned({"alg": "none"}, payload),
        "None": unsigned({"alg": "None"}, payload),
        "no algorithm": unsigned({}, payload, raw),
        "stripped": f"{header}.{claims}.",
        "altered": f"{header}.{unsigned({}, payload | {'sub': 'admin'}).split('.')[1]}.{signature}",
        "confusion": f"{confused}.{base64.urlsafe_b64encode(by_public_key).rstrip(b'=').decode()}",
        "other family": unsigned({"alg": "ES256"}, payload, raw),
        "embedded jwk": evil.sign(payload, headers={"jwk": evil.jwk}),
        "jku": evil.sign(payload, headers={"jku": "http://127.0.0.1:9/keys"}),
        "x5u": evil.sign(payload, headers={"x5u": "http://127.0.0.1:9/cert"}),
        "x5c": evil.sign(payload, headers={"x5c": ["AAAA"]}),
        "kid path": evil.sign(payload, headers={"kid": "../../../dev/null"}),
        "kid sql": evil.sign(payload, headers={"kid": "' UNION SELECT 'key"}),
        "crit": key.sign(payload, headers={"crit": ["exp"]}),
        "json form": json.dumps({"payload": claims, "protected": header, "signature": signature}),
        "four parts": good + ".x",
        "claims no object": unsigned({"alg": "RS256"}, b"[1]", raw),
        "empty": "..",
        "oversized": key.sign(payload, padding="x" * 40_000),
    }
    for what, token in forged.items():
        with pytest.raises(exceptions.InvalidRequest) as caught:
            login(token)
        assert caught.value.errors[0].startswith(("error validating token", "missing")), what
        assert token[:40] not in str(caught.value.errors) or len(token) < 40, what
    assert login(good)["client_token"]


def test_key_ids_cannot_hammer_the_provider(trust, provider, login):
    """Invented key ids: some fetches, then none for a while; the known key goes on to work."""
    trust()
    login(provider.sign(aud="keyturn"))
    before = provider.asked["/keys"]
    evil = SigningKey()
    for number in range(60):
        with pytest.raises(exceptions.InvalidRequest):
            login(evil.sign({"iss": provider.url, "aud": "keyturn"}, headers={"kid": f"invented-{number}"}))
    assert provider.asked["/keys"] - before <= 4
    assert login(provider.sign(aud="keyturn"))["client_token"]
    assert provider.asked["/userinfo"] == 0


def test_a_forged_signature_of_a_known_key_asks_nobody(trust, provider, login):
    """There is nothing new to learn."""
    trust()
    login(provider.sign(aud="keyturn"))
    before = provider.asked["/keys"]
    with refused(exceptions.InvalidRequest, "no known key successfully validated"):
        login(SigningKey().sign({"iss": provider.url, "aud": "keyturn"}, headers={"kid": provider.key.kid}))
    assert provider.asked["/keys"] == before


def test_a_new_key_is_found_and_an_old_one_forgotten(client, mount, trust, provider, login):
    """The provider rotates; nobody has to tell this server."""
    trust()
    old = provider.key
    assert login(provider.sign(aud="keyturn"))["client_token"]
    provider.keys = [SigningKey("RS256")]
    assert login(provider.sign(aud="keyturn"))["client_token"]
    with refused(exceptions.InvalidRequest, "error validating token"):
        login(old.sign({"iss": provider.url, "aud": "keyturn"}))


def test_a_mount_trusts_its_own_provider_only(client, trust, provider, login):
    """A token for one mount is nothing to another."""
    trust()
    other, path = Provider(), unique("jwt")
    try:
        client.sys.enable_auth_method("jwt", path=path)
        client.auth.jwt.configure(jwks_url=f"{other.url}/keys", path=path)
        write_role(client, path, "ci")
        with refused(exceptions.InvalidRequest, "error validating token"):
            login(other.sign(aud="keyturn"))
        with refused(exceptions.InvalidRequest, "error validating token"):
            client.auth.jwt.jwt_login("ci", provider.sign(aud="keyturn"), path=path)
    finally:
        client.sys.disable_auth_method(path)
        other.stop()


def test_a_provider_that_misbehaves(client, mount, provider):
    """Too large, no JSON, not 200: the configuration is refused."""
    for answer in [(200, b"x" * 600_000), (200, b"<html>"), (500, {}), (200, {"keys": "none"})]:
        provider.routes["/keys"] = lambda *_, answer=answer: answer
        with refused(exceptions.InvalidRequest, "error checking jwks URL"):
            client.auth.jwt.configure(jwks_url=f"{provider.url}/keys", path=mount)


def test_tokens_are_not_recorded(server, trust, provider, login):
    """Neither the token that logged in nor the provider's answers are in the server's output."""
    trust()
    token = provider.sign(aud="keyturn")
    login(token)
    assert pyjwt.decode(token, options={"verify_signature": False})["aud"] == "keyturn"
    if server.is_keyturn:
        assert token not in server.output()


@pytest.mark.keyturn
def test_the_command_line(server, trust, mount, provider, tmp_path):
    """The token comes by standard input, and what it got is kept and not shown."""
    trust(token_ttl=600)
    arguments = ["login", "--method", "jwt", "--path", mount, "--role", "ci", "--secret-file", "-"]
    done = harness.run_keyturn(server, *arguments, stdin=provider.sign(aud="keyturn").encode(), token="", home=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / ".keyturn-token").read_text().strip()
    assert kept not in done.stdout.decode() + done.stderr.decode()
    assert server.client(kept).auth.token.lookup_self()["data"]["path"] == f"auth/{mount}/login"
    done = harness.run_keyturn(server, *arguments, stdin=b"a.b.c", token="", home=tmp_path)
    assert done.returncode != 0 and b"error validating token" in done.stderr
