"""`X-Vault-Wrap-TTL` and `/v1/sys/wrapping/…`, through hvac."""

import concurrent.futures
import json
import threading

import pytest
import requests
from hvac import exceptions

from support import ENVELOPE, is_refused, refused, unique, wait_until

WRAP = {"X-Vault-Wrap-TTL": "60"}


@pytest.fixture
def secret(client, kv2):
    """The path of a secret to be read wrapped."""
    client.secrets.kv.v2.create_or_update_secret("db", {"password": "hunter2", "n": 10}, mount_point=kv2)
    return f"{kv2}/data/db"


@pytest.fixture
def wrap(server, secret):
    """Wraps the secret's answer and returns `wrap_info`."""
    def make(ttl="60", token=None):
        reply = server.call("GET", secret, headers={"X-Vault-Wrap-TTL": ttl}, token=token)
        assert reply.status == 200, reply
        return reply.json["wrap_info"]

    return make


def _unwrap(server, token):
    """Unwraps with the wrapping token as the client's own, as most clients do."""
    return server.client(token).sys.unwrap()


# --- wrapping an answer -----------------------------------------------------------------------------------------------


def test_a_read_is_wrapped(server, wrap, secret):
    """All that clients read from `wrap_info`, and nothing of the answer."""
    reply = server.call("GET", secret, headers={"X-Vault-Wrap-TTL": "5m"})
    assert b"hunter2" not in reply.body
    answer = reply.json
    assert ENVELOPE <= answer.keys()
    assert (answer["data"], answer["auth"], answer["request_id"], answer["lease_id"]) == (None, None, "", "")
    info = answer["wrap_info"]
    assert set(info) == {"token", "accessor", "ttl", "creation_time", "creation_path"}
    assert (info["ttl"], info["creation_path"]) == (300, secret)
    assert info["creation_time"].endswith("Z") and info["token"] != info["accessor"]


def test_the_answer_is_the_one_that_was_wrapped(server, wrap, secret):
    """The envelope of the original, with its request id."""
    for unwrap in (lambda info: _unwrap(server, info["token"]),
                   lambda info: server.client().sys.unwrap(info["token"])):
        answer = unwrap(wrap())
        assert answer["data"]["data"] == {"password": "hunter2", "n": 10}
        assert ENVELOPE <= answer.keys() and answer["wrap_info"] is None and len(answer["request_id"]) == 36


def test_whoever_has_no_other_token_can_unwrap(server, client, wrap):
    """A client with the default policy names the token; the wrapping token alone is enough as well."""
    plain = server.client(client.auth.token.create(policies=["default"])["auth"]["client_token"])
    assert plain.sys.unwrap(wrap()["token"])["data"]["data"]["n"] == 10
    info = wrap()
    with refused(exceptions.Forbidden):
        server.client("").sys.unwrap(info["token"])
    same = server.client(info["token"]).sys.unwrap(info["token"])
    assert same["data"]["data"]["n"] == 10, "named in both places it is still one token"


def test_a_token_is_wrapped(server, client):
    """hvac's own `wrap_ttl`, and the accessor of the token inside."""
    wrapped = client.auth.token.create(policies=["default"], ttl="1h", wrap_ttl="60s")["wrap_info"]
    answer = _unwrap(server, wrapped["token"])
    assert answer["auth"]["accessor"] == wrapped["wrapped_accessor"]
    assert server.client(answer["auth"]["client_token"]).is_authenticated()
    assert wrapped["creation_path"] == "auth/token/create"


def test_a_secret_id_is_wrapped(server, client, approle):
    """Delivered so that whoever intercepts it is noticed."""
    roles = client.auth.approle
    roles.create_or_update_approle("web", mount_point=approle)
    role_id = roles.read_role_id("web", mount_point=approle)["data"]["role_id"]
    made = [roles.generate_secret_id("web", mount_point=approle, wrap_ttl="60s"),
            roles.create_custom_secret_id("web", "chosen", mount_point=approle, wrap_ttl="60s")]
    for wrapped in (each["wrap_info"] for each in made):
        inside = _unwrap(server, wrapped["token"])["data"]
        assert inside["secret_id_accessor"] == wrapped["wrapped_accessor"]
        login = server.client("").auth.approle.login(role_id, inside["secret_id"], mount_point=approle)
        assert login["auth"]["client_token"]


def test_a_login_is_wrapped(server, client, userpass):
    """A path without a token, too."""
    client.auth.userpass.create_or_update_user("ann", "pw", policies="default", mount_point=userpass)
    path = f"auth/{userpass}/login/ann"
    reply = server.call("POST", path, {"password": "pw"}, token="", headers=WRAP)
    info = reply.json["wrap_info"]
    assert reply.json["auth"] is None and info["creation_path"] == path
    auth = _unwrap(server, info["token"])["auth"]
    assert auth["accessor"] == info["wrapped_accessor"] and server.client(auth["client_token"]).is_authenticated()
    refused_login = server.call("POST", path, {"password": "wrong"}, token="", headers=WRAP)
    assert refused_login.status == 400 and "wrap_info" not in refused_login.json


def test_the_wrapped_token_can_be_revoked_before(server, client):
    """By the accessor that `wrap_info` tells: the answer is still had, its token is dead."""
    wrapped = client.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]
    client.auth.token.revoke_accessor(wrapped["wrapped_accessor"])
    inside = _unwrap(server, wrapped["token"])["auth"]["client_token"]
    with refused(exceptions.Forbidden):
        server.client(inside).auth.token.lookup_self()


def test_the_token_that_wrapped_may_be_gone(server, client, wrap, limited, secret):
    """A wrapped answer outlives the token that asked for it; a wrapped child does not outlive its parent."""
    asker = limited(f'path "{secret}" {{ capabilities = ["read"] }}')
    info = wrap(token=asker.token)
    parent = server.client(client.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"])
    child = parent.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]
    client.auth.token.revoke(asker.token)
    client.auth.token.revoke(parent.token)
    assert _unwrap(server, info["token"])["data"]["data"]["n"] == 10
    assert not server.client(_unwrap(server, child["token"])["auth"]["client_token"]).is_authenticated()


def test_batch_tokens_wrap_too(server, client, policy, wrap, secret):
    """The one who asks needs no record of their own; a wrapped batch token has no accessor to tell."""
    name = policy(f'path "{secret}" {{ capabilities = ["read"] }}')
    batch = client.auth.token.create(policies=[name], type="batch", ttl="1h")["auth"]["client_token"]
    assert _unwrap(server, wrap(token=batch)["token"])["data"]["data"]["n"] == 10
    wrapped = client.auth.token.create(policies=["default"], type="batch", ttl="1h", wrap_ttl="60s")["wrap_info"]
    assert "wrapped_accessor" not in wrapped
    assert _unwrap(server, wrapped["token"])["auth"]["token_type"] == "batch"


def test_what_is_not_wrapped(server, kv2, secret):
    """A refusal, nothing there, an empty listing, and an answer without a body come as they are."""
    assert server.call("GET", "auth/token/lookup-self", token="bad", headers=WRAP).status == 403
    for method, path in (("GET", f"{kv2}/data/nothing"), ("LIST", f"{kv2}/metadata/nothing"), ("GET", "sys/nowhere")):
        reply = server.call(method, path, headers=WRAP)
        assert reply.status == 404 and "wrap_info" not in reply.json, path
    assert server.call("POST", secret, {"no": "data"}, headers=WRAP).status == 400
    empty = server.call("DELETE", secret, headers=WRAP)
    assert (empty.status, empty.body) == (204, b"")


def test_a_listing_and_a_write_are_wrapped(server, kv2, secret):
    """Whatever has a body."""
    listed = server.call("LIST", f"{kv2}/metadata/", headers=WRAP).json["wrap_info"]
    assert _unwrap(server, listed["token"])["data"]["keys"] == ["db"]
    written = server.call("POST", secret, {"data": {"v": 2}}, headers=WRAP).json["wrap_info"]
    assert _unwrap(server, written["token"])["data"]["version"] == 2


def test_a_deleted_version_stays_a_404(server, client, kv2, secret):
    """The status is kept with the answer."""
    client.secrets.kv.v2.delete_latest_version_of_secret("db", mount_point=kv2)
    info = server.call("GET", secret, headers=WRAP).json["wrap_info"]
    reply = server.call("POST", "sys/wrapping/unwrap", token=info["token"])
    assert reply.status == 404 and reply.json["data"]["metadata"]["deletion_time"]


def test_an_unwrapped_answer_can_be_wrapped_again(server, wrap):
    """`unwrap` with a wrap TTL hands the answer on unseen."""
    outer = server.call("POST", "sys/wrapping/unwrap", {"token": wrap()["token"]}, headers=WRAP).json["wrap_info"]
    assert _unwrap(server, outer["token"])["data"]["data"]["n"] == 10


@pytest.mark.keyturn
@pytest.mark.parametrize("ttl", ["-1", "-5s", "soon", "1x", "500ms", "0.5", "9" * 30])
def test_bad_ttls(server, secret, ttl):
    """What is no time is refused, never answered in clear."""
    reply = server.call("GET", secret, headers={"X-Vault-Wrap-TTL": ttl})
    assert reply.status == 400 and b"hunter2" not in reply.body


def test_no_ttl_is_no_wrapping(server, secret):
    """Zero means what it says."""
    for ttl in ("0", "0s", ""):
        assert server.call("GET", secret, headers={"X-Vault-Wrap-TTL": ttl}).json["data"]["data"]["n"] == 10


@pytest.mark.keyturn
def test_what_is_not_offered(server, secret):
    """JWT as the token's format, and wrapping what needs no open store."""
    reply = server.call("GET", secret, headers=WRAP | {"X-Vault-Wrap-Format": "jwt"})
    assert reply.status == 400 and "X-Vault-Wrap-Format" in reply.errors[0]
    assert server.call("PUT", "sys/init", {}, headers=WRAP).status == 400
    assert server.call("GET", "sys/health", headers=WRAP).status == 200
    long = "x" * 1950
    assert server.call("GET", f"secret/{long}", headers=WRAP).status == 400


# --- once ------------------------------------------------------------------------------------------------------------


def test_unwrapping_twice(server, client, wrap):
    """Whichever way it was done first, and is tried again."""
    for first in (lambda token: _unwrap(server, token), client.sys.unwrap):
        token = wrap()["token"]
        first(token)
        for again in (lambda token: _unwrap(server, token), client.sys.unwrap):
            with refused(exceptions.InvalidRequest, "wrapping token is not valid or does not exist"):
                again(token)


def test_64_at_once(server, wrap):
    """Exactly one gets the answer."""
    info = wrap()
    barrier = threading.Barrier(64)

    def attempt(number):
        body = {"token": info["token"]} if number % 2 else None
        token = None if number % 2 else info["token"]
        barrier.wait()
        return server.call("POST", "sys/wrapping/unwrap", body, token=token)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(attempt, range(64)))
    good = [reply for reply in replies if reply.status == 200]
    assert len(good) == 1 and good[0].json["data"]["data"]["password"] == "hunter2"
    assert {reply.status for reply in replies if reply is not good[0]} == {400}


@pytest.mark.keyturn
def test_kill_9_while_unwrapping(own_server):
    """Of many answers that are unwrapped while the server dies, none is had twice."""
    root = own_server.client()
    tokens = [root.sys.wrap({"number": number}, ttl=600)["wrap_info"]["token"] for number in range(400)]
    had, asked, failures = set(), set(), []

    def unwrap(number):
        asked.add(number)
        try:
            if number % 2:
                answer = own_server.client(tokens[number]).sys.unwrap()
            else:
                answer = own_server.client().sys.unwrap(tokens[number])
            if answer["data"] != {"number": number}:
                failures.append(answer)
            had.add(number)
        except requests.exceptions.ConnectionError:
            pass
        except Exception as failure:  # noqa: BLE001 -- any other end fails the test
            failures.append(failure)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number in range(len(tokens)):
            pool.submit(unwrap, number)
        wait_until("some answers are unwrapped", lambda: failures or len(had) >= 40)
        own_server.kill()
    assert not failures, failures[:3]
    own_server.start()
    own_server.unseal()
    had_before = set(had)
    assert 40 <= len(had_before) < len(tokens)
    for number, token in enumerate(tokens):
        if number in had_before:
            assert is_refused(exceptions.InvalidRequest, lambda token=token: root.sys.unwrap(token)), number
    left = [token for number, token in enumerate(tokens) if number not in had_before]
    assert root.sys.unwrap(left[-1])["data"] == {"number": tokens.index(left[-1])}


def test_the_older_way(server, wrap):
    """Reading `cubbyhole/response` with the wrapping token: the answer as text, once."""
    info = wrap()
    reply = server.call("GET", "cubbyhole/response", token=info["token"])
    assert json.loads(reply.json["data"]["response"])["data"]["data"] == {"password": "hunter2", "n": 10}
    assert "deprecated" in reply.json["warnings"][0]
    assert server.call("GET", "cubbyhole/response", token=info["token"]).status == 403
    assert is_refused(exceptions.InvalidRequest, lambda: server.client().sys.unwrap(info["token"]))


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "auth/token/lookup-self"), ("POST", "auth/token/renew-self"), ("POST", "auth/token/create"),
    ("POST", "cubbyhole/response"), ("POST", "cubbyhole/x"), ("GET", "cubbyhole/x"), ("LIST", "cubbyhole/"),
    ("GET", "sys/mounts"), ("POST", "sys/wrapping/rewrap"), ("POST", "sys/wrapping/wrap"),
    ("POST", "auth/token/revoke-self"), ("POST", "sys/capabilities-self"), ("GET", "cubbyhole/response%2f..%2fx"),
])
def test_a_wrapping_token_does_nothing_but_unwrap(server, wrap, method, path):
    """Whoever tries anything else with it has lost it, and gets nothing."""
    info = wrap()
    reply = server.call(method, path, {"k": "v"} if method == "POST" else None, token=info["token"], headers=WRAP)
    assert reply.status in (400, 403), reply
    assert b"hunter2" not in reply.body and b"wrap_info" not in reply.body


def test_what_can_be_known_of_a_wrapping_token(client, wrap):
    """Its accessor leads to it, as to any other token; it can be revoked and not renewed."""
    info = wrap()
    known = client.auth.token.lookup_accessor(info["accessor"])["data"]
    assert (known["policies"], known["num_uses"], known["orphan"]) == (["response-wrapping"], 1, True)
    assert (known["explicit_max_ttl"], known["renewable"], known["path"]) == (60, False, info["creation_path"])
    with refused(exceptions.InvalidRequest):
        client.auth.token.renew(info["token"])
    client.auth.token.revoke_accessor(info["accessor"])
    with refused(exceptions.InvalidRequest, "wrapping token is not valid"):
        client.sys.unwrap(info["token"])


def test_the_policy_is_built_in(client):
    """It can be read, and is listed, changed and given away to nobody."""
    assert "sys/wrapping/unwrap" in client.sys.read_acl_policy("response-wrapping")["data"]["policy"]
    assert "response-wrapping" not in client.sys.list_acl_policies()["data"]["keys"]
    with refused(exceptions.InvalidRequest):
        client.sys.create_or_update_acl_policy("response-wrapping", 'path "*" { capabilities = ["read"] }')


def test_a_wrapping_token_ends(server, wrap):
    """After its TTL the answer is gone."""
    info = wrap(ttl="1")
    lookup = {"token": info["token"]}
    wait_until("the token ended", lambda: server.call("POST", "sys/wrapping/lookup", lookup).status == 400)
    with refused(exceptions.InvalidRequest):
        server.client().sys.unwrap(info["token"])


def test_disabling_the_mount_takes_its_wrapped_answers_along(server, client):
    """What was read there is not had from a wrapping token later."""
    path = unique("kv")
    client.sys.enable_secrets_engine("kv", path=path, options={"version": "1"})
    client.secrets.kv.v1.create_or_update_secret("a", {"k": "v"}, mount_point=path)
    info = server.call("GET", f"{path}/a", headers=WRAP).json["wrap_info"]
    client.sys.disable_secrets_engine(path)
    with refused(exceptions.InvalidRequest):
        client.sys.unwrap(info["token"])


# --- sys/wrapping ----------------------------------------------------------------------------------------------------


def test_wrap_lookup_unwrap(server, client):
    """hvac's `wrap`; looking at the token, with it or without any, does not use it."""
    info = client.sys.wrap({"three": 2, "nested": {"a": [1, "x"]}}, ttl=180)["wrap_info"]
    assert info["creation_path"] == "sys/wrapping/wrap"
    nobody = server.client("")
    for known in (nobody.write("sys/wrapping/lookup", token=info["token"]),
                  server.client(info["token"]).write("sys/wrapping/lookup"),
                  server.client(info["token"]).read("sys/wrapping/lookup")):
        data = known["data"]
        assert (data["creation_ttl"], data["creation_path"]) == (180, "sys/wrapping/wrap")
        assert data["creation_time"] == info["creation_time"]
    assert client.sys.unwrap(info["token"])["data"] == {"three": 2, "nested": {"a": [1, "x"]}}
    with refused(exceptions.InvalidRequest, "not valid"):
        nobody.write("sys/wrapping/lookup", token=info["token"])


def test_wrap_without_a_ttl(client):
    """The endpoint does nothing but wrap."""
    with refused(exceptions.InvalidRequest, "endpoint requires response wrapping to be used"):
        client.write("sys/wrapping/wrap", k="v")


def test_rewrap(server, client, wrap):
    """A new token for the same answer, with the same TTL; the old one is gone. A wrapping token cannot do it itself."""
    info = wrap(ttl="100")
    new = client.write("sys/wrapping/rewrap", token=info["token"])["wrap_info"]
    assert (new["ttl"], new["creation_path"]) == (100, info["creation_path"]) and new["token"] != info["token"]
    with refused(exceptions.InvalidRequest):
        client.sys.unwrap(info["token"])
    with refused(exceptions.InvalidRequest):
        client.write("sys/wrapping/rewrap", token=info["token"])
    assert _unwrap(server, new["token"])["data"]["data"]["n"] == 10
    with refused(exceptions.Forbidden):
        server.client(wrap()["token"]).write("sys/wrapping/rewrap")


@pytest.mark.parametrize("path", ["unwrap", "lookup", "rewrap"])
def test_tokens_that_are_none(server, client, path):
    """Another token, an unknown one, a number; and no token at all."""
    other = client.auth.token.create(policies=["default"])["auth"]["client_token"]
    for body in ({"token": other}, {"token": server.token}, {"token": "hvs.unknown"}, {"token": "hvb.x"}, {}, None):
        reply = server.call("POST", f"sys/wrapping/{path}", body)
        assert reply.status == 400 and "wrapping token is not valid" in reply.errors[0], body
    assert server.call("POST", f"sys/wrapping/{path}", {"token": 5}).status in (400, 403)
    assert server.call("POST", f"sys/wrapping/{path}", {}, token="").status == 403
    assert server.client(other).is_authenticated(), "it was looked at, not used"


def test_a_counted_token_that_is_no_wrapping_token_keeps_its_use(server, client):
    """Trying to unwrap it costs it nothing."""
    once = client.auth.token.create(policies=["default"], num_uses=1)["auth"]["client_token"]
    assert server.call("POST", "sys/wrapping/unwrap", token=once).status == 400
    assert server.client(once).is_authenticated()


# --- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bounds", "good", "bad"), [
    ('min_wrapping_ttl = "1m"', ["60", "2h"], ["59", None]),
    ('max_wrapping_ttl = "2m"', ["1", "120"], ["121", None]),
    ('min_wrapping_ttl = "1m" max_wrapping_ttl = "2m"', ["60", "120"], ["59", "121", "0", None]),
])
def test_a_policy_bounds_the_ttl(server, limited, kv2, secret, bounds, good, bad):
    """Reading and writing, creating included, under a rule that demands wrapping."""
    held = limited(f'path "{kv2}/data/*" {{ capabilities = ["create", "read", "update"] {bounds} }}')
    for method, path in (("GET", secret), ("POST", secret), ("POST", f"{kv2}/data/{unique('new')}")):
        body = {"data": {"n": 10}} if method == "POST" else None
        for ttl in bad:
            headers = {"X-Vault-Wrap-TTL": ttl} if ttl else {}
            assert server.call(method, path, body, token=held.token, headers=headers).status == 403, (method, ttl)
        for ttl in good:
            reply = server.call(method, path, body, token=held.token, headers={"X-Vault-Wrap-TTL": ttl})
            assert _unwrap(server, reply.json["wrap_info"]["token"])["data"], (method, ttl)


def test_a_policy_may_bound_the_creation_of_secret_ids(server, client, limited, approle):
    """The usual use: a pipeline gets secret ids wrapped or not at all."""
    client.auth.approle.create_or_update_approle("web", mount_point=approle)
    path = f"auth/{approle}/role/web/secret-id"
    pipeline = limited(f'path "{path}" {{ capabilities = ["create", "update"] min_wrapping_ttl = "1s" }}')
    assert server.call("POST", path, {}, token=pipeline.token).status == 403
    assert server.call("POST", path, {}, token=pipeline.token, headers=WRAP).json["wrap_info"]["wrapped_accessor"]


# --- the audit log ---------------------------------------------------------------------------------------------------


@pytest.mark.keyturn
def test_audit(own_server, tmp_path):
    """Tokens as hashes from which one can tell who used what; nothing of the answer; once unwrapped, its hashes."""
    root = own_server.client()
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    root.secrets.kv.v2.create_or_update_secret("db", {"password": "hunter2-canary"}, mount_point="kv")
    log = tmp_path / "wrapping-audit.log"
    root.sys.enable_audit_device("file", path="audit", options={"file_path": str(log)})

    def hashed(text):
        return root.sys.calculate_hash("audit", text)["data"]["hash"]

    info = own_server.call("GET", "kv/data/db", headers=WRAP).json["wrap_info"]
    made = root.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]
    root.sys.unwrap(info["token"])
    inside = own_server.client(made["token"]).sys.unwrap()["auth"]
    text = log.read_text()
    for secret in ("hunter2-canary", info["token"], made["token"], inside["client_token"], inside["accessor"]):
        assert secret not in text
    entries = [json.loads(line) for line in text.splitlines()]
    read = next(entry for entry in entries if entry["request"]["path"] == "kv/data/db" and entry["type"] == "response")
    assert read["request"]["wrap_ttl"] == 60 and "data" not in read["response"]
    assert read["response"]["wrap_info"] == {
        "ttl": 60, "token": hashed(info["token"]), "accessor": hashed(info["accessor"]),
        "creation_time": info["creation_time"], "creation_path": "kv/data/db"}
    created = next(entry for entry in entries
                   if entry["request"]["path"] == "auth/token/create" and entry["type"] == "response")
    assert "auth" not in created["response"]
    assert created["response"]["wrap_info"]["wrapped_accessor"] == hashed(made["wrapped_accessor"])
    named, own = (entry for entry in entries
                  if entry["request"]["path"] == "sys/wrapping/unwrap" and entry["type"] == "response")
    assert named["request"]["data"]["token"] == hashed(info["token"])
    assert named["response"]["data"]["data"]["password"] == hashed("hunter2-canary")
    assert own["auth"]["client_token"] == hashed(made["token"])
    assert own["response"]["auth"]["client_token"] == hashed(inside["client_token"])
    assert own["response"]["auth"]["policies"] == ["default"]
