"""`/v1/cubbyhole/…`: what a token keeps for itself, through hvac."""

import concurrent.futures

import pytest
from hvac import exceptions

from support import is_refused, refused, status_of, unique, wait_until


@pytest.fixture
def someone(server, client):
    """hvac clients with the default policy: `someone(**token_options)`."""
    def make(**options):
        made = client.auth.token.create(**{"policies": ["default"], "ttl": "1h"} | options)
        return server.client(made["auth"]["client_token"])

    return make


def test_write_read_list_delete(someone):
    """hvac's generic verbs; a folder ends with a slash; what is not there is a 404 to read and no error to delete."""
    ann = someone()
    assert status_of(ann.write("cubbyhole/app/db", password="x", port=5432)) == 204
    assert status_of(ann.write("cubbyhole/top", k="v")) == 204
    assert ann.read("cubbyhole/app/db")["data"] == {"password": "x", "port": 5432}
    assert ann.list("cubbyhole")["data"]["keys"] == ["app/", "top"]
    assert ann.list("cubbyhole/app")["data"]["keys"] == ["db"]
    ann.write("cubbyhole/top", k="w")
    assert ann.read("cubbyhole/top")["data"] == {"k": "w"}
    ann.delete("cubbyhole/top")
    ann.delete("cubbyhole/top")
    assert ann.read("cubbyhole/top") is None
    assert ann.list("cubbyhole/nowhere") is None


def test_nobody_else_sees_it(server, client, someone):
    """Another token, a child, the parent and root have cubbyholes of their own, under whatever path they ask."""
    ann, bob = server.client(client.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"]), someone()
    ann.write("cubbyhole/x", k="ann's")
    child = server.client(ann.auth.token.create(policies=["default"])["auth"]["client_token"])
    for other in (bob, child, client):
        assert other.read("cubbyhole/x") is None
        assert "x" not in (other.list("cubbyhole") or {"data": {"keys": []}})["data"]["keys"]
        other.delete("cubbyhole/x")
    assert ann.read("cubbyhole/x")["data"] == {"k": "ann's"}


@pytest.mark.parametrize("path", [
    "cubbyhole/..%2fx", "cubbyhole/%2e%2e/x", "cubbyhole/a%2f..%2fx", "cubbyhole/a%2f%2fx", "cubbyhole/%2fx",
    "cubbyhole//x", "cubbyhole/a/../x", "cubbyhole/.", "cubbyhole/x%00", "cubbyhole/%0ax", "cubbyhole%2f..%2fcubbyhole/x",
])
def test_paths_that_lead_out_are_refused(server, someone, path):
    """Encoded or not: no spelling leaves the caller's own cubbyhole."""
    ann = someone()
    ann.write("cubbyhole/x", k="v")
    for method in ("GET", "POST", "DELETE", "LIST"):
        reply = server.call(method, path, {"k": "w"} if method == "POST" else None, token=ann.token)
        assert reply.status in (400, 403, 404), (method, reply)
    assert ann.read("cubbyhole/x")["data"] == {"k": "v"}


def test_an_encoded_slash_is_a_slash(server, someone):
    """One name has one entry and one rule, however it is spelled."""
    ann = someone()
    ann.write("cubbyhole/a/b", k="v")
    assert server.call("GET", "cubbyhole/a%2Fb", token=ann.token).json["data"] == {"k": "v"}
    assert server.call("GET", "cubbyhole%2Fa%2Fb", token=ann.token).json["data"] == {"k": "v"}
    assert ann.list("cubbyhole/a")["data"]["keys"] == ["b"]


def test_gone_with_the_token(server, client, someone):
    """A token of the same name finds nothing of its predecessor's."""
    name = unique("chosen")
    first = server.client(client.auth.token.create(id=name, policies=["default"], ttl="1h")["auth"]["client_token"])
    first.write("cubbyhole/x", k="old")
    client.auth.token.revoke(name)
    with refused(exceptions.Forbidden):
        first.read("cubbyhole/x")
    again = server.client(client.auth.token.create(id=name, policies=["default"], ttl="1h")["auth"]["client_token"])
    assert again.read("cubbyhole/x") is None and again.list("cubbyhole") is None


def test_gone_when_it_expires(server, client):
    """The same, when nobody revokes it."""
    name = unique("chosen")
    made = client.auth.token.create(id=name, policies=["default"], ttl="1s")["auth"]["client_token"]
    server.client(made).write("cubbyhole/x", k="old")
    wait_until("the token ended", lambda: is_refused(exceptions.Forbidden, lambda: client.auth.token.lookup(name)))

    def free():
        try:
            return client.auth.token.create(id=name, policies=["default"], ttl="1h")
        except exceptions.InvalidRequest:
            return None

    again = server.client(wait_until("its record is gone", free)["auth"]["client_token"])
    assert again.list("cubbyhole") is None


def test_the_last_use_can_read(someone):
    """A counted token has its cubbyhole until its last use is over."""
    ann = someone(num_uses=3)
    ann.write("cubbyhole/x", k="v")
    assert ann.read("cubbyhole/x")["data"] == {"k": "v"}
    assert ann.read("cubbyhole/x")["data"] == {"k": "v"}
    with refused(exceptions.Forbidden):
        ann.read("cubbyhole/x")


def test_batch_tokens_have_none(someone):
    """They are not stored, so nothing can be kept with them."""
    batch = someone(type="batch")
    for action in (lambda: batch.write("cubbyhole/x", k="v"), lambda: batch.read("cubbyhole/x"),
                   lambda: batch.list("cubbyhole"), lambda: batch.delete("cubbyhole/x")):
        with refused(exceptions.InvalidRequest, 'only supported by "service" type tokens'):
            action()


def test_policies_rule_here_too(limited):
    """A token whose policies say nothing of `cubbyhole/` has none; whoever may only create overwrites nothing."""
    with refused(exceptions.Forbidden):
        limited('path "elsewhere" { capabilities = ["read"] }', no_default_policy=True).read("cubbyhole/x")
    creator = limited('path "cubbyhole/*" { capabilities = ["create"] }', no_default_policy=True)
    creator.write("cubbyhole/x", k="v")
    with refused(exceptions.Forbidden):
        creator.write("cubbyhole/x", k="w")


def test_bad_entries(server, someone):
    """No fields, no object, a name too long."""
    ann = someone()
    for body in ({}, b"", b"[1]", b"null"):
        assert server.call("POST", "cubbyhole/x", body, token=ann.token).status == 400
    assert server.call("POST", f"cubbyhole/{'x' * 1025}", {"k": "v"}, token=ann.token).status == 400
    assert ann.list("cubbyhole") is None


def test_the_mount_stays(client):
    """It is listed, and can be neither disabled, moved, tuned nor made anew."""
    mount = client.sys.list_mounted_secrets_engines()["data"]["cubbyhole/"]
    assert (mount["type"], mount["local"]) == ("cubbyhole", True)
    for action in (lambda: client.sys.disable_secrets_engine("cubbyhole"),
                   lambda: client.sys.move_backend("cubbyhole", unique("moved")),
                   lambda: client.sys.enable_secrets_engine("kv", path="cubbyhole/x"),
                   lambda: client.sys.enable_secrets_engine("cubbyhole", path=unique("another")),
                   lambda: client.sys.tune_mount_configuration("cubbyhole", max_lease_ttl="1h")):
        with refused(exceptions.InvalidRequest):
            action()


def test_many_at_once(someone):
    """Concurrent writes of one token lose nothing."""
    ann = someone()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: ann.write(f"cubbyhole/n{number}", n=number), range(64)))
    assert len(ann.list("cubbyhole")["data"]["keys"]) == 64
    assert ann.read("cubbyhole/n7")["data"] == {"n": 7}


@pytest.mark.keyturn
def test_kept_over_a_kill(own_server):
    """An entry that was acknowledged survives `kill -9`; one whose token was revoked does not come back."""
    root = own_server.client()
    made = [root.auth.token.create(id=unique("t"), policies=["default"], ttl="1h")["auth"]["client_token"]
            for _ in range(2)]
    kept, gone = (own_server.client(token) for token in made)
    kept.write("cubbyhole/x", k="v")
    gone.write("cubbyhole/x", k="v")
    root.auth.token.revoke(gone.token)
    own_server.kill()
    own_server.start()
    own_server.unseal()
    assert kept.read("cubbyhole/x")["data"] == {"k": "v"}
    root.auth.token.create(id=gone.token, policies=["default"], ttl="1h")
    assert gone.list("cubbyhole") is None
