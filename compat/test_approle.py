"""`/v1/auth/<mount>/{role,login,tidy}/…` of an AppRole auth method, through hvac."""

import pytest
from hvac import exceptions

from support import is_refused, refused, status_of, wait_until


class AppRole:
    """hvac's AppRole, bound to one mount."""

    def __init__(self, client, mount):
        self.client, self.mount = client, mount

    def __getattr__(self, method):
        bound = getattr(self.client.auth.approle, method)
        return lambda *args, **named: bound(*args, mount_point=self.mount, **named)

    def make(self, name, **fields):
        """Writes a role and returns its role id."""
        self.create_or_update_approle(name, **fields)
        return self.read_role_id(name)["data"]["role_id"]


@pytest.fixture
def roles(client, approle):
    """The mount as root sees it."""
    return AppRole(client, approle)


@pytest.fixture
def login(server, approle):
    """Logs in without a token, and returns the `auth` part of the answer."""
    return lambda *ids: AppRole(server.client(""), approle).login(*ids)["auth"]


# --- roles ----------------------------------------------------------------------------------------------------------


def test_roles(roles):
    """Write, read, list, delete."""
    fields = {"bind_secret_id": True, "secret_id_bound_cidrs": ["127.0.0.0/8"], "secret_id_num_uses": 4,
              "secret_id_ttl": "10m", "token_ttl": "20m", "token_max_ttl": "30m", "token_policies": ["a", "b"],
              "token_bound_cidrs": ["127.0.0.1"], "token_explicit_max_ttl": "40m", "token_num_uses": 5,
              "token_no_default_policy": True, "token_period": "50m", "token_type": "service"}
    assert status_of(roles.create_or_update_approle("web", **fields)) == 204
    read = roles.read_role("web")["data"]
    expected = fields | {"secret_id_ttl": 600, "token_ttl": 1200, "token_max_ttl": 1800,
                         "token_explicit_max_ttl": 2400, "token_period": 3000}
    assert {name: read[name] for name in expected} == expected
    assert read["local_secret_ids"] is False

    roles.create_or_update_approle("api")
    assert roles.list_roles()["data"]["keys"] == ["api", "web"]
    assert status_of(roles.delete_role("web")) == 204
    with refused(exceptions.InvalidPath):
        roles.read_role("web")
    assert status_of(roles.delete_role("web")) == 204


def test_defaults(roles):
    """What a role is when nothing is said."""
    roles.create_or_update_approle("web")
    read = roles.read_role("web")["data"]
    assert (read["bind_secret_id"], read["secret_id_num_uses"], read["secret_id_ttl"]) == (True, 0, 0)
    assert (read["token_ttl"], read["token_max_ttl"], read["token_policies"]) == (0, 0, [])
    assert (read["token_type"], read["token_num_uses"], read["secret_id_bound_cidrs"]) == ("default", 0, None)


def test_update_keeps_what_it_does_not_name(roles):
    """A write is a merge."""
    roles.create_or_update_approle("web", token_policies=["a"], token_ttl="10m")
    roles.create_or_update_approle("web", token_ttl="20m")
    read = roles.read_role("web")["data"]
    assert (read["token_policies"], read["token_ttl"]) == (["a"], 1200)


@pytest.mark.parametrize("endpoint, field, value, read_back, default", [
    ("policies", "token_policies", ["a", "b"], ["a", "b"], []),
    ("secret-id-bound-cidrs", "secret_id_bound_cidrs", ["127.0.0.0/8"], ["127.0.0.0/8"], None),
    ("token-bound-cidrs", "token_bound_cidrs", ["127.0.0.1"], ["127.0.0.1"], []),
    ("bind-secret-id", "bind_secret_id", False, False, True),
    ("secret-id-num-uses", "secret_id_num_uses", 7, 7, 0),
    ("secret-id-ttl", "secret_id_ttl", "5m", 300, 0),
    ("period", "token_period", "5m", 300, 0),
    ("token-num-uses", "token_num_uses", 7, 7, 0),
    ("token-ttl", "token_ttl", "5m", 300, 0),
    ("token-max-ttl", "token_max_ttl", "5m", 300, 0),
])
def test_each_field_has_an_endpoint(server, roles, endpoint, field, value, read_back, default):
    """Write it, read it there and in the role, delete it back to the default."""
    # A bound of another kind, so that a role may go without a secret id.
    roles.create_or_update_approle("web", token_bound_cidrs=["127.0.0.1"] if field == "bind_secret_id" else None)
    path = f"auth/{roles.mount}/role/web/{endpoint}"
    assert server.call("POST", path, body={field: value}).status == 204
    assert server.call("GET", path).json["data"][field] == read_back
    assert roles.read_role("web")["data"][field] == read_back
    assert server.call("DELETE", path).status == 204
    assert roles.read_role("web")["data"][field] == default


def test_endpoints_of_an_unknown_role(server, roles):
    """404, for reading and for making secret ids."""
    for endpoint in ("", "/role-id", "/policies", "/token-ttl"):
        assert server.call("GET", f"auth/{roles.mount}/role/nowhere{endpoint}").status == 404
    with refused(exceptions.InvalidPath, 'role "nowhere" does not exist'):
        roles.generate_secret_id("nowhere")


def test_a_role_needs_some_constraint(roles):
    """No secret id and no network: anyone who saw the role id could log in."""
    with refused(exceptions.InvalidRequest, "at least one constraint"):
        roles.create_or_update_approle("open", bind_secret_id=False)
    with refused(exceptions.InvalidPath):
        roles.read_role("open")


@pytest.mark.parametrize("body", [
    {"secret_id_num_uses": -1}, {"secret_id_bound_cidrs": "not-a-network"}, {"token_ttl": "soon"},
    {"token_ttl": "2h", "token_max_ttl": "1h"}, {"token_type": "strange"},
], ids=lambda body: next(iter(body)))
def test_bad_fields_are_refused(server, roles, body):
    """Wrong types, wrong networks, a TTL above its maximum; nothing is stored."""
    reply = server.call("POST", f"auth/{roles.mount}/role/bad", body=body)
    assert reply.status == 400 and reply.errors
    assert server.call("GET", f"auth/{roles.mount}/role/bad").status == 404


def test_role_id(roles, login):
    """It can be chosen, and two roles cannot share one."""
    first = roles.make("web")
    assert first == roles.read_role_id("web")["data"]["role_id"]
    assert status_of(roles.update_role_id("web", "chosen-id")) == 204
    assert roles.read_role_id("web")["data"]["role_id"] == "chosen-id"
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    assert login("chosen-id", secret_id)["client_token"]
    with refused(exceptions.InvalidRequest):
        login(first, secret_id)

    roles.make("api")
    with pytest.raises(exceptions.VaultError):
        roles.update_role_id("api", "chosen-id")


# --- secret ids -----------------------------------------------------------------------------------------------------


def test_generate_and_look_up(roles):
    """By itself and by its accessor; neither shows the secret id again."""
    roles.make("web", secret_id_ttl="10m", secret_id_num_uses=3)
    made = roles.generate_secret_id("web", metadata={"host": "a"}, cidr_list=["127.0.0.0/8"],
                                    token_bound_cidrs=["127.0.0.1/32"])["data"]
    assert made["secret_id"] != made["secret_id_accessor"]
    assert (made["secret_id_ttl"], made["secret_id_num_uses"]) == (600, 3)

    by_id = roles.read_secret_id("web", made["secret_id"])["data"]
    by_accessor = roles.read_secret_id_accessor("web", made["secret_id_accessor"])["data"]
    assert by_id == by_accessor
    assert by_id["secret_id_accessor"] == made["secret_id_accessor"]
    assert (by_id["metadata"], by_id["secret_id_num_uses"], by_id["secret_id_ttl"]) == ({"host": "a"}, 3, 600)
    assert (by_id["cidr_list"], by_id["token_bound_cidrs"]) == (["127.0.0.0/8"], ["127.0.0.1/32"])
    assert by_id["expiration_time"] > by_id["creation_time"]
    assert made["secret_id"] not in str(by_id)


def test_list_accessors(roles):
    """Accessors only; none is 404."""
    roles.make("web")
    with refused(exceptions.InvalidPath):
        roles.list_secret_id_accessors("web")
    made = {roles.generate_secret_id("web")["data"]["secret_id_accessor"] for _ in range(2)}
    assert set(roles.list_secret_id_accessors("web")["data"]["keys"]) == made


def test_custom_secret_id(roles, login):
    """Root may choose it, once."""
    role_id = roles.make("web")
    made = roles.create_custom_secret_id("web", "chosen-secret", metadata={"a": "b"})["data"]
    assert made["secret_id"] == "chosen-secret"
    assert login(role_id, "chosen-secret")["metadata"] == {"role_name": "web", "a": "b"}
    with pytest.raises(exceptions.VaultError):
        roles.create_custom_secret_id("web", "chosen-secret")


def test_destroy(roles, login):
    """By itself and by its accessor; then it opens nothing."""
    role_id = roles.make("web")
    for destroy, key in ((roles.destroy_secret_id, "secret_id"),
                         (roles.destroy_secret_id_accessor, "secret_id_accessor")):
        made = roles.generate_secret_id("web")["data"]
        assert status_of(destroy("web", made[key])) == 204
        with refused(exceptions.InvalidRequest, "invalid role or secret ID"):
            login(role_id, made["secret_id"])


def test_look_up_the_unknown(server, roles):
    """An unknown secret id: 204. An unknown accessor: 404."""
    roles.make("web")
    assert status_of(roles.read_secret_id("web", "unknown")) == 204
    reply = server.call("POST", f"auth/{roles.mount}/role/web/secret-id-accessor/lookup",
                        body={"secret_id_accessor": "unknown"})
    assert reply.status == 404
    assert "failed to find accessor entry" in reply.json["data"]["error"]


@pytest.mark.parametrize("body", [
    {"num_uses": 4}, {"num_uses": 0}, {"ttl": "20m"}, {"cidr_list": ["10.0.0.0/8"]}, {"metadata": "not json"},
], ids=lambda body: "-".join(map(str, next(iter(body.items())))))
def test_bounds_of_a_secret_id_stay_within_the_role(server, roles, body):
    """More uses, a longer life or a wider network than the role's are refused."""
    roles.make("web", secret_id_num_uses=3, secret_id_ttl="10m", secret_id_bound_cidrs=["127.0.0.0/8"])
    path = f"auth/{roles.mount}/role/web/secret-id"
    reply = server.call("POST", path, body=body)
    assert reply.status == 400 and reply.errors
    assert server.call("LIST", path).status == 404
    made = server.call("POST", path, body={"num_uses": 2, "ttl": "5m"}).json["data"]
    assert (made["secret_id_num_uses"], made["secret_id_ttl"]) == (2, 300)


# --- login ----------------------------------------------------------------------------------------------------------


def test_login(server, roles, login):
    """The token has the role's policies, times and uses, and the secret id's metadata."""
    role_id = roles.make("web", token_policies=["b", "a"], token_ttl="10m", token_max_ttl="20m", token_num_uses=9)
    secret_id = roles.generate_secret_id("web", metadata={"host": "x"})["data"]["secret_id"]
    auth = login(role_id, secret_id)
    assert auth["policies"] == auth["token_policies"] == ["a", "b", "default"]
    assert auth["metadata"] == {"role_name": "web", "host": "x"}
    assert (auth["lease_duration"], auth["renewable"], auth["orphan"], auth["num_uses"]) == (600, True, True, 9)
    data = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert (data["path"], data["display_name"]) == (f"auth/{roles.mount}/login", roles.mount)


def test_login_sets_the_clients_token(server, roles):
    """hvac uses the new token from then on."""
    role_id = roles.make("web")
    application = server.client("")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    application.auth.approle.login(role_id, secret_id, mount_point=roles.mount)
    assert application.is_authenticated()


def test_refused_logins_look_alike(roles, login):
    """A wrong role id, a wrong secret id, and the secret id of another role: the same words."""
    role_id = roles.make("web")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    roles.make("api")
    other = roles.generate_secret_id("api")["data"]["secret_id"]
    for ids in (("wrong", secret_id), (role_id, "wrong"), (role_id, other)):
        with pytest.raises(exceptions.InvalidRequest) as caught:
            login(*ids)
        assert caught.value.errors == ["invalid role or secret ID"], ids
    assert login(role_id, secret_id)["client_token"]


def test_missing_ids(server, roles):
    """What is missing is named."""
    role_id = roles.make("web")
    path = f"auth/{roles.mount}/login"
    reply = server.call("POST", path, body={}, token="")
    assert (reply.status, reply.errors) == (400, ["missing role_id"])
    reply = server.call("POST", path, body={"role_id": role_id}, token="")
    assert (reply.status, reply.errors) == (400, ["missing secret_id"])


def test_uses_of_a_secret_id(roles, login):
    """The last use removes it."""
    role_id = roles.make("web", secret_id_num_uses=2)
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    login(role_id, secret_id)
    assert roles.read_secret_id("web", secret_id)["data"]["secret_id_num_uses"] == 1
    login(role_id, secret_id)
    with refused(exceptions.InvalidRequest, "invalid role or secret ID"):
        login(role_id, secret_id)
    with refused(exceptions.InvalidPath):
        roles.list_secret_id_accessors("web")


def test_expiry_of_a_secret_id(roles, login):
    """After its time it opens nothing."""
    role_id = roles.make("web", secret_id_ttl="1s")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    wait_until("the secret id expired",
               lambda: is_refused(exceptions.InvalidRequest, lambda: login(role_id, secret_id)))


def test_networks(roles, login):
    """A secret id bound to another network is refused here, by its own list and by the role's."""
    bound = roles.make("bound", secret_id_bound_cidrs=["10.255.0.0/16"])
    secret_id = roles.generate_secret_id("bound")["data"]["secret_id"]
    with refused(exceptions.InvalidRequest, "source address", "unauthorized"):
        login(bound, secret_id)

    free = roles.make("free")
    secret_id = roles.generate_secret_id("free", cidr_list=["10.255.0.0/16"])["data"]["secret_id"]
    with refused(exceptions.InvalidRequest, "source address", "unauthorized"):
        login(free, secret_id)
    here = roles.generate_secret_id("free", cidr_list=["127.0.0.0/8"])["data"]["secret_id"]
    assert login(free, here)["client_token"]


def test_without_secret_ids(roles, login):
    """A role may be bound by network alone."""
    role_id = roles.make("net", bind_secret_id=False, token_bound_cidrs=["127.0.0.0/8"])
    assert login(role_id)["client_token"]


def test_deleting_a_role_ends_its_secret_ids(roles, login):
    """A role of the same name made later does not inherit them."""
    role_id = roles.make("web")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    roles.delete_role("web")
    with refused(exceptions.InvalidRequest, "invalid role or secret ID"):
        login(role_id, secret_id)
    roles.make("web")
    roles.update_role_id("web", role_id)
    with refused(exceptions.InvalidRequest, "invalid role or secret ID"):
        login(role_id, secret_id)


def test_batch_tokens(roles, login):
    """A role may hand out batch tokens."""
    role_id = roles.make("web", token_type="batch", token_ttl="10m")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    assert login(role_id, secret_id)["token_type"] == "batch"


def test_periodic_tokens(server, roles, login):
    """A role with a period makes tokens that live while renewed."""
    role_id = roles.make("web", token_period="5m")
    secret_id = roles.generate_secret_id("web")["data"]["secret_id"]
    auth = login(role_id, secret_id)
    assert auth["lease_duration"] == 300
    assert server.client(auth["client_token"]).auth.token.renew_self()["auth"]["lease_duration"] == 300


def test_tidy(server, roles, login):
    """Cleaning up removes what has expired and nothing else."""
    role_id = roles.make("web")
    alive = roles.generate_secret_id("web")["data"]["secret_id"]
    assert server.call("POST", f"auth/{roles.mount}/tidy/secret-id").status in (200, 202, 204)
    assert login(role_id, alive)["client_token"]
