"""`/v1/auth/token/…`, through hvac."""

import pytest
from hvac import exceptions

from support import is_refused, refused, status_of, unique, wait_until

HOUR = 3600
READ_SELF = 'path "auth/token/lookup-self" { capabilities = ["read"] }'


@pytest.fixture
def tokens(client):
    """hvac's token methods, as root."""
    return client.auth.token


@pytest.fixture
def make(tokens):
    """Creates a token and returns the `auth` part of the answer."""
    return lambda **options: tokens.create(**options)["auth"]


@pytest.fixture
def role(tokens):
    """Writes roles that vanish after the test: `role(**fields)` returns the new one's name."""
    written = []

    def write(**fields):
        name = unique("role")
        tokens.create_or_update_role(name, **fields)
        written.append(name)
        return name

    yield write
    for name in written:
        tokens.delete_role(name)


# --- create and look up ---------------------------------------------------------------------------------------------


def test_create(server, make):
    """All that clients read from a created token."""
    auth = make(policies=["b", "a"], ttl="1h", meta={"team": "x"}, display_name="ci")
    assert auth["client_token"] and auth["accessor"] and auth["client_token"] != auth["accessor"]
    assert auth["policies"] == auth["token_policies"] == ["a", "b", "default"]
    assert auth["metadata"] == {"team": "x"}
    assert (auth["lease_duration"], auth["renewable"]) == (HOUR, True)
    assert (auth["token_type"], auth["orphan"], auth["entity_id"]) == ("service", False, "")


@pytest.mark.keyturn
def test_token_prefixes(make):
    """The prefix tells a scanner what it has found."""
    assert make(policies=["default"])["client_token"].startswith("hvs.")
    assert make(policies=["default"], type="batch", ttl="1h")["client_token"].startswith("hvb.")


def test_create_warns_of_unknown_policies(tokens):
    """A policy that does not exist is no error, but worth a word."""
    name = unique("nowhere")
    answer = tokens.create(policies=[name], ttl="1m")
    assert f'Policy "{name}" does not exist' in answer["warnings"]


def test_lookup(tokens, make):
    """All that clients read from a lookup."""
    made = make(policies=["default"], ttl="1h", explicit_max_ttl="2h", meta={"a": "b"}, display_name="ci", num_uses=9)
    data = tokens.lookup(made["client_token"])["data"]
    assert data["id"] == made["client_token"]
    assert data["accessor"] == made["accessor"]
    assert (data["policies"], data["path"], data["meta"]) == (["default"], "auth/token/create", {"a": "b"})
    assert (data["display_name"], data["num_uses"], data["orphan"]) == ("token-ci", 9, False)
    assert (data["creation_ttl"], data["explicit_max_ttl"]) == (HOUR, 2 * HOUR)
    assert 0 < data["ttl"] <= HOUR
    assert data["type"] == "service" and data["renewable"] is True and data["entity_id"] == ""
    assert data["expire_time"] > data["issue_time"]
    assert isinstance(data["creation_time"], int)


def test_lookup_self(server, make):
    """A token may look at itself."""
    made = make(policies=["default"], ttl="1h")
    data = server.client(made["client_token"]).auth.token.lookup_self()["data"]
    assert data["id"] == made["client_token"]


def test_lookup_of_root(client):
    """The root token never expires and is not renewable."""
    data = client.auth.token.lookup_self()["data"]
    assert data["policies"] == ["root"]
    assert (data["ttl"], data["creation_ttl"], data["expire_time"]) == (0, 0, None)
    assert data["orphan"] is True
    assert client.is_authenticated()


def test_lookup_by_accessor_hides_the_token(tokens, make):
    """An accessor names a token without giving it away."""
    made = make(policies=["default"], ttl="1h")
    data = tokens.lookup_accessor(made["accessor"])["data"]
    assert (data["id"], data["accessor"]) == ("", made["accessor"])


def test_unknown_tokens_and_accessors(server, tokens):
    """A token that is not: 403; an accessor that is not: 400."""
    with refused(exceptions.Forbidden, "bad token"):
        tokens.lookup("hvs.doesnotexist")
    with refused(exceptions.InvalidRequest, "invalid accessor"):
        tokens.lookup_accessor("doesnotexist")
    assert not server.client("hvs.doesnotexist").is_authenticated()


def test_no_token_and_a_wrong_token(server):
    """Both are refused with the same status, whatever the path."""
    for path in ("auth/token/lookup-self", "sys/mounts", "nowhere/at/all"):
        for token in ("", "hvs.doesnotexist"):
            reply = server.call("GET", path, token=token)
            assert reply.status == 403, (path, token)
            assert "permission denied" in reply.errors[0]


def test_custom_id(server, tokens):
    """Root may choose a token's value, once."""
    chosen = unique("chosen")
    made = tokens.create(id=chosen, policies=["default"], ttl="1h")["auth"]
    assert made["client_token"] == chosen
    assert server.client(chosen).is_authenticated()
    with refused(exceptions.InvalidRequest):
        tokens.create(id=chosen, policies=["default"])
    for bad in ("with.dot", "hvs.abc", "s.abc"):
        with refused(exceptions.InvalidRequest):
            tokens.create(id=bad, policies=["default"])


def test_display_name_is_made_safe(server, tokens, make):
    """Whatever is no letter, digit or dash becomes a dash."""
    made = make(policies=["default"], display_name="a b/c")
    assert tokens.lookup(made["client_token"])["data"]["display_name"] == "token-a-b-c"
    plain = server.call("POST", "auth/token/create", body={"policies": ["default"]}).json["auth"]
    assert tokens.lookup(plain["client_token"])["data"]["display_name"] == "token"


def test_no_default_policy(make):
    """`default` is added unless it is unwanted."""
    assert make(policies=["a"], no_default_policy=True)["policies"] == ["a"]


# --- what a token may create ----------------------------------------------------------------------------------------


CREATE = 'path "auth/token/create" { capabilities = ["update"] }'


def test_children_get_no_more_than_their_parent(limited, policy):
    """Policies of a child are among the parent's, and none given means the parent's."""
    parent = limited(CREATE)
    own = parent.auth.token.lookup_self()["data"]["policies"]
    assert parent.auth.token.create()["auth"]["policies"] == own
    with refused(exceptions.InvalidRequest, "child policies must be subset of parent"):
        parent.auth.token.create(policies=[policy(READ_SELF)])
    with refused(exceptions.InvalidRequest):
        parent.auth.token.create(policies=["root"])


def test_only_sudo_makes_orphans_and_chooses_ids(limited):
    """Both are for those who administer."""
    parent = limited(CREATE)
    with refused(exceptions.InvalidRequest, "root or sudo privileges required"):
        parent.auth.token.create(no_parent=True)
    with refused(exceptions.InvalidRequest, "root or sudo privileges required"):
        parent.auth.token.create(id=unique("chosen"))
    with refused(exceptions.Forbidden, "permission denied"):
        parent.auth.token.create_orphan()


def test_a_token_with_limited_uses_has_no_children(limited):
    """Otherwise the limit would mean nothing."""
    parent = limited(CREATE, num_uses=5)
    with refused(exceptions.InvalidRequest, "restricted use token cannot generate child tokens"):
        parent.auth.token.create()


def test_root_policy_stands_alone(tokens):
    """`root` can be given by root, and cannot be mixed."""
    made = tokens.create(policies=["root"], ttl="1m")["auth"]
    assert made["policies"] == ["root"]
    assert made["lease_duration"] == 60


def test_an_expiring_root_makes_no_eternal_root(server, tokens):
    """A root token with a TTL must not escape it."""
    expiring = server.client(tokens.create(policies=["root"], ttl="1h")["auth"]["client_token"])
    with refused(exceptions.InvalidRequest, "expiring root tokens cannot create non-expiring root tokens"):
        expiring.auth.token.create(policies=["root"])


def test_response_wrapping_policy_is_not_assignable(tokens):
    """It belongs to wrapping tokens alone."""
    with refused(exceptions.InvalidRequest):
        tokens.create(policies=["response-wrapping"])


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given, seconds", [("90", 90), ("30m", 1800), ("1h30m", 5400), (120, 120), ("1d", 86400)])
def test_ttl_forms(make, given, seconds):
    """Seconds as number or text, or Go's form with days."""
    assert make(policies=["default"], ttl=given)["lease_duration"] == seconds


def test_ttl_is_capped(tokens):
    """By the explicit maximum, and by the mount's maximum with a warning."""
    assert tokens.create(policies=["default"], ttl="30m", explicit_max_ttl="5m")["auth"]["lease_duration"] == 300
    answer = tokens.create(policies=["default"], ttl="1000h")
    assert answer["auth"]["lease_duration"] == 768 * HOUR
    assert any("exceeded the effective max_ttl" in warning for warning in answer["warnings"])


def test_bad_ttl_is_refused(tokens):
    """Text that is no duration, and negative time."""
    for wrong in ("soon", "-1h"):
        with refused(exceptions.InvalidRequest):
            tokens.create(policies=["default"], ttl=wrong)


def test_expiry(server, make):
    """After its time a token is as good as unknown, and so is its child."""
    parent = make(policies=["root"], ttl="2s")["client_token"]
    child = server.client(parent).auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    for token in (parent, child):
        lookup = server.client(token).auth.token.lookup_self
        wait_until("the token expired", lambda: is_refused(exceptions.Forbidden, lookup))


def test_renew(server, tokens, make):
    """By the token, by itself and by its accessor; the increment counts from now."""
    made = make(policies=["default"], ttl="1m")
    token, own = made["client_token"], server.client(made["client_token"]).auth.token
    assert tokens.renew(token, increment="10m")["auth"]["lease_duration"] == 600
    assert own.renew_self(increment="20m")["auth"]["lease_duration"] == 1200
    answer = tokens.renew_accessor(made["accessor"], increment="30m")
    assert answer["auth"]["lease_duration"] == 1800
    assert 1200 < tokens.lookup(token)["data"]["ttl"] <= 1800
    assert tokens.renew(token)["auth"]["client_token"] == token


def test_renewing_by_accessor_hides_the_token(tokens, make):
    """The answer must not turn an accessor into a token."""
    made = make(policies=["default"], ttl="1m")
    assert tokens.renew_accessor(made["accessor"])["auth"]["client_token"] == ""


def test_explicit_maximum_bounds_renewal(tokens, make):
    """No renewal reaches past it."""
    made = make(policies=["default"], ttl="1m", explicit_max_ttl="5m")
    assert tokens.renew(made["client_token"], increment="1h")["auth"]["lease_duration"] <= 300


def test_not_renewable(tokens, make):
    """A token may be made to end on time; root has no end to move."""
    made = make(policies=["default"], ttl="1m", renewable=False)
    assert made["renewable"] is False
    with refused(exceptions.InvalidRequest, "lease is not renewable"):
        tokens.renew(made["client_token"])


def test_period(tokens, make):
    """A periodic token lives on for as long as it is renewed."""
    made = make(policies=["default"], period="30m")
    assert made["lease_duration"] == 1800
    assert tokens.lookup(made["client_token"])["data"]["period"] == 1800
    assert tokens.renew(made["client_token"], increment="5h")["auth"]["lease_duration"] == 1800


def test_uses(server, make):
    """The last use ends the token."""
    counted = server.client(make(policies=["default"], num_uses=2)["client_token"]).auth.token
    assert counted.lookup_self()["data"]["num_uses"] in (1, 2)
    counted.lookup_self()
    with refused(exceptions.Forbidden, "permission denied"):
        counted.lookup_self()


# --- revoke ---------------------------------------------------------------------------------------------------------


def _family(server, make):
    """A parent and its child, as clients."""
    parent = server.client(make(policies=["root"], ttl="1h")["client_token"])
    child = server.client(parent.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"])
    return parent, child


def test_revoke_takes_the_tree(server, tokens, make):
    """Children and their children end with the token."""
    parent, child = _family(server, make)
    grandchild = server.client(child.auth.token.create(policies=["default"])["auth"]["client_token"])
    assert status_of(tokens.revoke(parent.token)) == 204
    for each in (parent, child, grandchild):
        assert not each.is_authenticated()
    with refused(exceptions.Forbidden):
        tokens.lookup(parent.token)


def test_revoke_spares_orphans(server, make, tokens):
    """An orphan has no parent to fall with."""
    parent, _ = _family(server, make)
    orphan = parent.auth.token.create_orphan(policies=["default"])["auth"]
    assert orphan["orphan"] is True
    tokens.revoke(parent.token)
    assert server.client(orphan["client_token"]).is_authenticated()


def test_revoke_and_orphan_children(server, make, tokens):
    """The children live on, as orphans."""
    parent, child = _family(server, make)
    assert status_of(tokens.revoke_and_orphan_children(parent.token)) == 204
    assert not parent.is_authenticated()
    assert child.auth.token.lookup_self()["data"]["orphan"] is True


def test_revoke_self(server, make):
    """A token may end itself, and its tree."""
    parent, child = _family(server, make)
    assert status_of(parent.auth.token.revoke_self()) == 204
    assert not parent.is_authenticated() and not child.is_authenticated()


def test_revoke_by_accessor(server, tokens, make):
    """Who holds the accessor alone can end a token; then the accessor is unknown."""
    made = make(policies=["default"], ttl="1h")
    assert status_of(tokens.revoke_accessor(made["accessor"])) == 204
    assert not server.client(made["client_token"]).is_authenticated()
    with refused(exceptions.InvalidRequest, "invalid accessor"):
        tokens.lookup_accessor(made["accessor"])


def test_revoke_of_an_unknown_token(tokens):
    """There is nothing left to do."""
    assert status_of(tokens.revoke("hvs.doesnotexist")) == 204


def test_accessors(server, tokens, make):
    """All accessors, for those with sudo."""
    made = make(policies=["default"], ttl="1h")
    assert made["accessor"] in tokens.list_accessors()["data"]["keys"]
    with refused(exceptions.Forbidden):
        server.client(made["client_token"]).auth.token.list_accessors()


def test_revoke_orphan_needs_sudo(limited, make):
    """`update` alone does not reach it."""
    some = limited('path "auth/token/revoke-orphan" { capabilities = ["update"] }')
    victim = make(policies=["default"], ttl="1h")["client_token"]
    with refused(exceptions.InvalidRequest, "root or sudo privileges required to revoke and orphan"):
        some.auth.token.revoke_and_orphan_children(victim)


# --- batch tokens ---------------------------------------------------------------------------------------------------


def test_batch_tokens(server, tokens, make):
    """Light: no accessor, no renewal, no children, no revocation."""
    made = make(policies=["default"], type="batch", ttl="1h")
    assert (made["token_type"], made["accessor"], made["renewable"]) == ("batch", "", False)
    batch = server.client(made["client_token"])
    assert batch.auth.token.lookup_self()["data"]["type"] == "batch"
    with refused(exceptions.InvalidRequest):
        tokens.renew(made["client_token"])
    with refused(exceptions.InvalidRequest):
        tokens.revoke(made["client_token"])


def test_batch_tokens_have_no_children(limited):
    """They are not stored, so nothing can hang on them."""
    batch = limited(CREATE, type="batch", ttl="1h")
    with refused(exceptions.InvalidRequest, "batch tokens cannot create more tokens"):
        batch.auth.token.create()


@pytest.mark.parametrize("field", [{"num_uses": 3}, {"period": "1h"}, {"explicit_max_ttl": "1h"}])
def test_batch_tokens_refuse_what_needs_storing(tokens, field):
    """Uses, periods and explicit maxima need a record."""
    with refused(exceptions.InvalidRequest):
        tokens.create(policies=["default"], type="batch", ttl="1h", **field)


def test_batch_token_expires(server, make):
    """Its time is sealed into it."""
    batch = server.client(make(policies=["default"], type="batch", ttl="1s")["client_token"])
    wait_until("the batch token expired", lambda: is_refused(exceptions.Forbidden, batch.auth.token.lookup_self))


def test_batch_child_falls_with_its_parent(server, make, tokens):
    """A batch token is good only as long as its parent."""
    parent, _ = _family(server, make)
    batch = server.client(parent.auth.token.create(policies=["default"], type="batch", ttl="1h")["auth"]["client_token"])
    assert batch.is_authenticated()
    tokens.revoke(parent.token)
    assert not batch.is_authenticated()


# --- roles ----------------------------------------------------------------------------------------------------------


def test_roles(tokens):
    """Write, read, list, delete."""
    name = unique("role")
    fields = {"allowed_policies": ["a", "b"], "disallowed_policies": ["c"], "orphan": True, "renewable": False,
              "path_suffix": "ci-job", "token_period": "1h", "token_explicit_max_ttl": "2h"}
    assert status_of(tokens.create_or_update_role(name, **fields)) == 204
    read = tokens.read_role(name)["data"]
    assert read["name"] == name
    assert (read["allowed_policies"], read["disallowed_policies"]) == (["a", "b"], ["c"])
    assert (read["orphan"], read["renewable"], read["path_suffix"]) == (True, False, "ci-job")
    assert (read["token_period"], read["token_explicit_max_ttl"]) == (HOUR, 2 * HOUR)
    assert name in tokens.list_roles()["data"]["keys"]

    assert status_of(tokens.delete_role(name)) == 204
    with refused(exceptions.InvalidPath):
        tokens.read_role(name)
    assert status_of(tokens.delete_role(name)) == 204


def test_role_shapes_its_tokens(tokens, role):
    """Policies sorted with `default`, orphan, the path with its suffix, the period."""
    name = role(allowed_policies=["testpolicy"], orphan=True, path_suffix="ci-job", token_period="30m")
    made = tokens.create(role_name=name)["auth"]
    assert made["policies"] == ["default", "testpolicy"]
    assert (made["orphan"], made["lease_duration"]) == (True, 1800)
    data = tokens.lookup(made["client_token"])["data"]
    assert (data["role"], data["path"]) == (name, f"auth/token/create/{name}/ci-job")
    assert tokens.renew(made["client_token"], increment="5h")["auth"]["lease_duration"] == 1800


def test_role_bounds_policies(tokens, role):
    """What is not allowed, or is disallowed, is refused even to root."""
    name = role(allowed_policies=["a", "b"])
    assert tokens.create(role_name=name, policies=["a"])["auth"]["policies"] == ["a", "default"]
    with refused(exceptions.InvalidRequest):
        tokens.create(role_name=name, policies=["c"])
    with refused(exceptions.InvalidRequest):
        tokens.create(role_name=role(disallowed_policies=["d"]), policies=["d"])


def test_role_globs(server, tokens, role):
    """Both lists exist with globs, too."""
    name = unique("role")
    body = {"allowed_policies_glob": ["team-*"], "disallowed_policies_glob": ["*-admin"]}
    assert server.call("POST", f"auth/token/roles/{name}", body=body).status == 204
    assert tokens.create(role_name=name, policies=["team-x"])["auth"]["policies"] == ["default", "team-x"]
    for wrong in ("other", "team-admin"):
        with refused(exceptions.InvalidRequest):
            tokens.create(role_name=name, policies=[wrong])
    tokens.delete_role(name)


def test_role_fields_by_their_new_names(server, tokens):
    """The `token_…` fields shared by all auth methods."""
    name = unique("role")
    body = {"token_num_uses": 3, "token_no_default_policy": True, "token_bound_cidrs": ["127.0.0.1"],
            "token_type": "service", "allowed_policies": ["a"]}
    assert server.call("POST", f"auth/token/roles/{name}", body=body).status == 204
    made = tokens.create(role_name=name)["auth"]
    assert (made["policies"], made["num_uses"]) == (["a"], 3)
    assert tokens.lookup(made["client_token"])["data"]["bound_cidrs"] == ["127.0.0.1"]
    tokens.delete_role(name)


def test_bound_cidrs_hold(server, tokens):
    """A token bound to another network is worthless here."""
    name = unique("role")
    server.call("POST", f"auth/token/roles/{name}", body={"token_bound_cidrs": ["10.255.0.0/16"]})
    token = tokens.create(role_name=name, policies=["default"])["auth"]["client_token"]
    with refused(exceptions.Forbidden, "permission denied"):
        server.client(token).auth.token.lookup_self()
    tokens.delete_role(name)


def test_unknown_role(tokens):
    """A role must exist to be used."""
    with refused(exceptions.InvalidRequest, "unknown role"):
        tokens.create(role_name=unique("nowhere"))


def test_tidy(tokens):
    """Cleaning up is asked for and answered; nothing alive goes."""
    answer = tokens.tidy()
    assert status_of(answer) in (200, 202, 204)
    assert tokens.lookup_self()["data"]["policies"] == ["root"]
