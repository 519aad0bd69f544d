"""How the command line gets a token through a browser, and how a pipeline gets one for its identity token."""

import json
from urllib.parse import urlencode, urlsplit

import pytest

import wire
from doppler import Doppler
from provider import SigningKey
from support import unique

pytestmark = pytest.mark.keyturn

PAGE = "auth/cli/approve"


@pytest.fixture
def nobody(server):
    """Doppler's API without a token."""
    return Doppler(server, "")


@pytest.fixture
def started(nobody):
    """A login that has begun."""
    return nobody.ok("GET", "auth/cli/generate/2", {"hostname": "<b>box</b>", "version": "3", "os": "linux", "arch": "x"})


def approve(nobody, headers=None, **fields):
    """Sends the page's form as a browser does; status and text of the page that comes."""
    host = urlsplit(nobody.server.address).netloc
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": nobody.server.address, "Host": host}
    answer = wire.call_any(f"{nobody.server.address}/v3/{PAGE}", "POST", urlencode(fields).encode(), sent | (headers or {}))
    assert answer.headers["content-type"].startswith("text/html"), answer
    return answer.status, answer.body.decode()


def poll(nobody, started):
    """Asks as the command line does."""
    return nobody.call("POST", "auth/cli/authorize", body={"code": started["polling_code"]})


def test_a_login_is_approved_once(server, nobody, started):
    """Pending is 409; after somebody approved it, the token comes once and may do what they may."""
    assert started["auth_url"] == f"{server.address}/v3/{PAGE}" and started["code"] not in started["auth_url"]
    assert poll(nobody, started).status == 409
    status, page = approve(nobody, code=started["code"].lower(), token=server.token)
    assert status == 200 and "Approved" in page and "&lt;b&gt;box" in page and "<b>box" not in page
    given = poll(nobody, started).json
    assert given["token"].startswith("dp.ct.") and isinstance(given["name"], str) and isinstance(given["dashboard_url"], str)
    assert set(poll(nobody, started).json) == {"error"}, "the token is given once"
    assert approve(nobody, code=started["code"], token=server.token)[0] == 404, "the code is good once"
    me = Doppler(server, given["token"]).ok("GET", "me")
    assert me["type"] == "cli" and me["token_preview"] == f"dp.ct...{given['token'][-6:]}"


def test_it_ends_with_the_token_of_whoever_approved(server, nobody, started, client):
    """It is a child: one revocation ends both."""
    policy = unique("approver")
    client.sys.create_or_update_policy(policy, 'path "auth/token/create" { capabilities = ["create", "update"] }')
    mine = client.auth.token.create(policies=[policy])["auth"]["client_token"]
    assert approve(nobody, code=started["code"], token=mine)[0] == 200
    token = poll(nobody, started).json["token"]
    assert sorted(client.auth.token.lookup(token)["data"]["policies"]) == sorted(["default", policy])
    client.auth.token.revoke(mine)
    Doppler(server, token).refused(401, "GET", "me")


def test_a_username_and_password_approve(server, nobody, started, client):
    """What it gets is what that user would get; a wrong password gets nothing."""
    user, mount = unique("ann"), unique("people")
    client.sys.enable_auth_method("userpass", path=mount)
    client.auth.userpass.create_or_update_user(user, "pass word", mount_point=mount)
    fields = {"code": started["code"], "username": user, "mount": mount}
    assert approve(nobody, **fields, password="wrong")[0] == 403
    assert poll(nobody, started).status == 409
    assert approve(nobody, **fields, password="pass word")[0] == 200
    token = poll(nobody, started).json["token"]
    assert client.auth.token.lookup(token)["data"]["policies"] == ["default"]


def test_who_may_not_approve(server, nobody, started, client):
    """A token that may have no children, none at all, a wrong code, a form of another site."""
    weak = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    code = started["code"]
    assert approve(nobody, code=code, token=weak)[0] == 403
    assert approve(nobody, code=code, token="hvs.nothing")[0] == 401
    assert approve(nobody, code=code)[0] == 400
    assert approve(nobody, code="AAAA-AAAA", token=server.token)[0] == 404
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert approve(nobody, headers, code=code, token=server.token)[0] == 403
    assert poll(nobody, started).status == 409


def test_the_page_holds_nothing_from_elsewhere(server):
    """No script, no cookie, no frame around it."""
    answer = wire.call_any(f"{server.address}/v3/{PAGE}", "GET")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "no-store"
    page = answer.body.decode()
    assert "<script" not in page and "http" not in page and "set-cookie" not in answer.headers


def test_the_page_after_a_mistake(server, nobody, started):
    """What was typed is still there, but no secret; it says what was wrong in words for people, and nothing of it is markup."""
    status, page = approve(nobody, code=started["code"], token="hvs.mistyped")
    assert status == 401 and f'value="{started["code"]}"' in page and "is not good here" in page and "hvs.mistyped" not in page
    status, page = approve(nobody, code='"><b>x', token=server.token)
    assert status == 404 and "<b>" not in page and "&quot;&gt;&lt;b&gt;x" in page
    status, page = approve(nobody, code=started["code"], username="ann", password="hunter2")
    assert status == 403 and "hunter2" not in page and "<details open>" in page
    page = wire.call_any(f"{server.address}/v3/{PAGE}", "GET").body.decode()
    assert "prefers-color-scheme:dark" in page and page.count("<form") == 1 and page.endswith("</html>")


def test_codes_tell_nothing(server, nobody, started):
    """The code for people is none for the program, and unknown codes say nothing more."""
    assert set(nobody.ok("POST", "auth/cli/authorize", body={"code": started["code"]})) == {"error"}
    assert set(nobody.ok("POST", "auth/cli/authorize", body={"code": "x" * 43})) == {"error"}
    nobody.refused(400, "POST", "auth/cli/authorize", body={})


def test_a_token_is_rolled_and_revoked_by_itself(server, nobody, started):
    """The command line sends it in the body; the old one is over."""
    approve(nobody, code=started["code"], token=server.token)
    old = poll(nobody, started).json["token"]
    new = nobody.ok("POST", "auth/cli/roll", body={"token": old})["token"]
    assert new.startswith("dp.ct.") and new != old
    Doppler(server, old).refused(401, "GET", "me")
    assert nobody.ok("POST", "auth/cli/revoke", body={"token": new}) == {"success": True}
    for path in ("auth/cli/roll", "auth/cli/revoke", "auth/revoke"):
        nobody.refused(401, "POST", path, body={"token": new})
        nobody.refused(401, "POST", path, body={})
    nobody.refused(400, "POST", "auth/cli/roll", body={"token": server.token})


def test_an_identity_is_a_role_of_a_jwt_method(server, nobody, client):
    """The token of an identity provider for a short-lived one, by the role's rules."""
    key, mount = SigningKey(), unique("jwt")
    client.sys.enable_auth_method("jwt", path=mount)
    client.write_data(f"auth/{mount}/config", data={"jwt_validation_pubkeys": [key.pem]})
    client.write_data(f"auth/{mount}/role/ci", data={
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["doppler"], "token_policies": ["default"],
        "token_ttl": "5m"})
    body = {"identity": f"{mount}/ci", "token": key.sign(aud="doppler")}
    made = nobody.ok("POST", "auth/oidc", body=body)
    assert made["token"].startswith("dp.said.")
    assert isinstance(made["expires_at"], str) and isinstance(made["dashboard_url"], str)
    assert Doppler(server, made["token"]).ok("GET", "me")["type"] == "service_account_identity"
    for wrong in ({"token": key.sign(aud="other")}, {"token": SigningKey().sign(aud="doppler")}, {"token": "x"},
                  {"identity": f"{mount}/other"}, {"identity": unique("nothing")}):
        nobody.refused(403, "POST", "auth/oidc", body=body | wrong)
    assert nobody.ok("POST", "auth/revoke", body={"token": made["token"]}) == {"success": True}
    Doppler(server, made["token"]).refused(401, "GET", "me")


def test_nothing_of_it_is_in_the_log(tmp_path):
    """Neither codes nor tokens nor passwords are in any file."""
    import harness
    own = harness.configured_server(tmp_path, more='[[audit.device]]\ntype = "file"\nname = "log"\npath = "'
                                    f'{tmp_path}/audit.log"\n')
    try:
        own.initialise()
        nobody = Doppler(own, "")
        started = nobody.ok("GET", "auth/cli/generate/2", {"hostname": "box"})
        approve(nobody, code=started["code"], token=own.token)
        given = poll(nobody, started).json["token"]
        log = (tmp_path / "audit.log").read_text() + own.output()
        assert "sys/doppler/device-login" in log
        for secret in (started["polling_code"], given, own.token):
            assert secret not in log
        assert all(json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines())
    finally:
        own.stop()
