"""`/v1/auth/<mount>/oidc/{auth_url,callback}`: logins through a browser, with a provider of the test's own."""

import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hvac import exceptions

import harness
from provider import Provider
from support import refused, unique

CALLBACK = "http://localhost:8250/oidc/callback"


@pytest.fixture
def provider():
    """An identity provider on loopback."""
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def mount(client, provider):
    """An OIDC auth method that trusts the provider, with the role `people`."""
    path = unique("oidc")
    client.sys.enable_auth_method("oidc", path=path)
    client.auth.oidc.configure(oidc_discovery_url=provider.url, oidc_client_id=Provider.CLIENT_ID,
                               oidc_client_secret=Provider.CLIENT_SECRET, default_role="people", path=path)
    write_role(client, path)
    yield path
    client.sys.disable_auth_method(path)


def write_role(client, path, name="people", **fields):
    """A role for browsers."""
    usual = {"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": [CALLBACK]}
    # hvac does not know of max_age.
    client.write_data(f"auth/{path}/role/{name}", data=usual | fields)


@pytest.fixture
def browser(server, mount):
    """hvac without a token."""
    return Browser(server, mount)


class Browser:
    """The two requests of a login, as hvac sends them."""

    def __init__(self, server, mount):
        self.server, self.mount = server, mount

    def begin(self, role="people", redirect_uri=CALLBACK):
        """The URL that the browser is sent to."""
        oidc = self.server.client("").auth.oidc
        return oidc.oidc_authorization_url_request(role, redirect_uri, path=self.mount)["data"]["auth_url"]

    def end(self, state, code, nonce):
        """The `auth` part of the answer."""
        return self.server.client("").auth.oidc.oidc_callback(state, nonce, code, path=self.mount)["auth"]


def test_login(server, client, mount, provider, browser):
    """auth_url, the provider, callback: a token with the role's policies."""
    write_role(client, mount, token_policies=["p"], oidc_scopes=["email"], claim_mappings={"email": "mail"},
               user_claim="email", max_age=3600)
    url = browser.begin()
    query = parse_qs(urlsplit(url).query)
    assert query["scope"] == ["openid email"] and query["redirect_uri"] == [CALLBACK] and query["max_age"] == ["3600"]
    auth = browser.end(**provider.log_in(url, email="ann@example", auth_time=int(time.time())))
    assert auth["policies"] == ["default", "p"]
    assert auth["metadata"] == {"role": "people", "mail": "ann@example"}
    data = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert data["path"] == f"auth/{mount}/oidc/callback"
    assert data["display_name"] == f"{mount}-ann@example"


def test_the_default_role(provider, browser):
    """A login that names none gets it."""
    assert browser.end(**provider.log_in(browser.begin(role="")))["metadata"] == {"role": "people"}


def test_userinfo_adds_and_does_not_replace(client, mount, provider, browser):
    """What the provider tells besides the token; the token is signed, so it rules."""
    write_role(client, mount, bound_claims={"team": "dev"}, claim_mappings={"team": "team", "name": "name"})
    provider.userinfo = {"sub": "somebody", "team": "dev", "name": "other"}
    assert browser.end(**provider.log_in(browser.begin(), name="Ann"))["metadata"] == {
        "role": "people", "team": "dev", "name": "Ann"}
    provider.userinfo = {"sub": "somebody else", "team": "dev"}
    with refused(exceptions.InvalidRequest, "error validating claims"):
        browser.end(**provider.log_in(browser.begin()))


@pytest.mark.parametrize("uri", [
    "http://localhost:8250/oidc/callback/", "https://localhost:8250/oidc/callback", "http://evil.example/oidc/callback",
    "http://localhost:8250@evil.example/oidc/callback", "http://localhost:8250/oidc/callback?x=1",
])
def test_redirects_that_are_not_allowed(browser, uri):
    """An empty URL: this path is open to everybody, and does not say why."""
    assert browser.begin(redirect_uri=uri) == ""


def test_a_free_port_on_loopback(browser):
    """A command line listens where it can (RFC 8252)."""
    assert browser.begin(redirect_uri="http://localhost:40123/oidc/callback")


def test_missing_and_unknown(server, client, mount, browser):
    """What is missing is named."""
    for body, message in [({"redirect_uri": CALLBACK, "role": "nobody"}, 'role "nobody" could not be found'),
                          ({"role": "people"}, "missing redirect_uri")]:
        reply = server.call("POST", f"auth/{mount}/oidc/auth_url", body=body, token="")
        assert (reply.status, reply.errors) == (400, [message])
    write_role(client, mount, "ci", role_type="jwt", bound_audiences=["x"])
    assert browser.begin(role="ci") == ""


def test_a_state_is_good_once(provider, browser):
    """Again, invented, or at another mount: refused."""
    answer = provider.log_in(browser.begin())
    assert browser.end(**answer)["client_token"]
    for state in (answer["state"], "invented", ""):
        with refused(exceptions.InvalidRequest, "Vault login failed. Expired or missing OAuth state."):
            browser.end(**(answer | {"state": state}))


def test_a_failed_login_uses_its_state_up(provider, browser):
    """There is no second try with another code."""
    answer = provider.log_in(browser.begin())
    with refused(exceptions.InvalidRequest, "Error exchanging oidc code"):
        browser.end(**(answer | {"code": "invented"}))
    with refused(exceptions.InvalidRequest, "Expired or missing OAuth state."):
        browser.end(**answer)


def test_a_state_of_another_mount(server, client, provider, browser):
    """It is none here."""
    path = unique("oidc")
    client.sys.enable_auth_method("oidc", path=path)
    client.auth.oidc.configure(oidc_discovery_url=provider.url, oidc_client_id=Provider.CLIENT_ID,
                               oidc_client_secret=Provider.CLIENT_SECRET, path=path)
    write_role(client, path)
    with refused(exceptions.InvalidRequest, "Expired or missing OAuth state."):
        Browser(server, path).end(**provider.log_in(browser.begin()))
    client.sys.disable_auth_method(path)


@pytest.mark.parametrize("claims, message", [
    ({"nonce": "another"}, "invalid ID token nonce."),
    ({"nonce": None}, "invalid ID token nonce."),
    ({"aud": "another"}, "invalid audience (aud) claim"),
    ({"aud": ["another", Provider.CLIENT_ID], "azp": "another"}, "invalid authorized party (azp) claim"),
    ({"iss": "https://evil"}, "invalid issuer (iss) claim"),
    ({"exp": 1000, "iat": 900}, "token is expired"),
    ({"sub": None}, 'claim "sub" not found in token'),
], ids=str)
def test_id_tokens_that_are_not_the_answer(provider, browser, claims, message):
    """Of another login, for another client, of another issuer."""
    answer = provider.log_in(browser.begin(), **claims)
    with refused(exceptions.InvalidRequest, message):
        browser.end(**answer)


def test_bounds_of_the_role(client, mount, provider, browser):
    """Subject, audiences, claims and the age of the login at the provider."""
    write_role(client, mount, bound_audiences=["wanted"])
    with refused(exceptions.InvalidRequest, "does not match any expected audience"):
        browser.end(**provider.log_in(browser.begin()))
    assert browser.end(**provider.log_in(browser.begin(), aud=["wanted", Provider.CLIENT_ID]))["client_token"]
    write_role(client, mount, bound_audiences=[], max_age=60)
    with refused(exceptions.InvalidRequest, "max_age"):
        browser.end(**provider.log_in(browser.begin(), auth_time=1000))


def test_the_providers_error_and_a_client_nonce(server, mount, provider, browser):
    """The user said no; somebody else ends the login that a client began."""
    state = provider.log_in(browser.begin())["state"]
    path = f"auth/{mount}/oidc/callback"
    reply = server.call("GET", f"{path}?state={state}&error=access_denied&error_description=no", token="")
    assert (reply.status, reply.errors) == (400, ["Vault login failed. access_denied"])
    body = {"role": "people", "redirect_uri": CALLBACK, "client_nonce": "mine"}
    for nonce, status in (("", 400), ("other", 400), ("mine", 200)):
        url = server.call("POST", f"auth/{mount}/oidc/auth_url", body=body, token="").json["data"]["auth_url"]
        answer = provider.log_in(url)
        reply = server.call("GET", f"{path}?state={answer['state']}&code={answer['code']}&client_nonce={nonce}",
                            token="")
        assert reply.status == status, reply.body
        assert status == 200 or reply.errors == ["invalid client_nonce"]


def test_a_mount_without_a_client(client, provider):
    """Keys alone are not enough for a browser."""
    path = unique("oidc")
    client.sys.enable_auth_method("oidc", path=path)
    client.auth.oidc.configure(oidc_discovery_url=provider.url, path=path)
    write_role(client, path)
    with refused(exceptions.InvalidRequest, "OIDC login is not configured for this mount"):
        client.auth.oidc.oidc_authorization_url_request("people", CALLBACK, path=path)
    client.sys.disable_auth_method(path)


@pytest.mark.keyturn
def test_the_command_line(server, mount, provider, tmp_path):
    """It prints where to go, waits on loopback for the browser, and keeps the token."""
    command = [str(harness.BINARY), "login", "--method", "oidc", "--path", mount, "--callback-port", "0"]
    with subprocess.Popen(command, env=harness.client_environment(server, tmp_path), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as child:
        url = child.stdout.readline().strip()
        answer = provider.log_in(url)
        landing = parse_qs(urlsplit(url).query)["redirect_uri"][0].replace("localhost", "127.0.0.1")
        assert requests.get(landing, params=answer, timeout=20).status_code == 200
        rest, errors = child.communicate(timeout=20)
    assert child.returncode == 0, errors
    kept = (tmp_path / ".keyturn-token").read_text().strip()
    assert kept not in url + rest + errors
    assert server.client(kept).auth.token.lookup_self()["data"]["path"] == f"auth/{mount}/oidc/callback"
