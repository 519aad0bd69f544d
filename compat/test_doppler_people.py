"""Users and groups over Doppler's API: the entities and groups of the identity engine."""

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

USERS, GROUPS = "workplace/users", "workplace/groups"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def entity(client):
    """Somebody, made by the Vault API: the id."""
    name = unique("ann")
    made = client.secrets.identity.create_or_update_entity(name, metadata={"email": f"{name}@example.com"})
    return made["data"]["id"]


def test_users_are_entities(doppler, client, entity):
    """Found by id and by their address; their access is a policy that their tokens have at once."""
    user = doppler.ok("GET", f"{USERS}/{entity}")["workplace_user"]
    assert user["id"] == entity and user["access"] == "no_access" and user["user"]["email"].endswith("@example.com")
    found = doppler.ok("GET", USERS, {"email": user["user"]["email"]})["workplace_users"]
    assert found == [user]
    policy = unique("role")
    client.sys.create_or_update_policy(policy, 'path "secret/metadata/" { capabilities = ["list"] }')
    changed = doppler.ok("PATCH", f"{USERS}/{entity}", body={"access": policy})["workplace_user"]
    assert changed == user | {"access": policy}
    assert client.secrets.identity.read_entity(entity)["data"]["policies"] == [policy]
    assert doppler.ok("PATCH", f"{USERS}/{entity}", body={"access": "no_access"})["workplace_user"]["access"] == "no_access"
    for method, body in (("GET", None), ("PATCH", {"access": policy})):
        doppler.refused(404, method, f"{USERS}/{unique('nobody')}", body=body)
    doppler.refused(400, "PATCH", f"{USERS}/{entity}", body={"access": "root"})
    doppler.refused(400, "PATCH", f"{USERS}/{entity}", body={})


def test_a_group_from_its_making_to_its_end(doppler, client, entity):
    """Its role is a policy that its members have; both APIs see the same group."""
    policy, name = unique("role"), unique("team")
    client.sys.create_or_update_policy(policy, 'path "secret/metadata/" { capabilities = ["list"] }')
    made = doppler.ok("POST", GROUPS, body={"name": name, "default_project_role": policy})["group"]
    assert made["name"] == name and made["default_project_role"] == {"identifier": policy}
    assert made["members"] == [] and made["projects"] == []
    doppler.refused(409, "POST", GROUPS, body={"name": name})
    one = f"{GROUPS}/group/{made['slug']}"
    member = {"type": "workplace_user", "slug": entity}
    assert doppler.call("POST", f"{one}/members", body=member).status == 204
    doppler.refused(409, "POST", f"{one}/members", body=member)
    assert doppler.ok("GET", one)["group"]["members"] == [member]
    assert client.secrets.identity.read_group(made["slug"])["data"]["member_entity_ids"] == [entity]
    assert doppler.call("GET", f"{one}/members/workplace_user/{entity}").status == 204
    assert doppler.call("DELETE", f"{one}/members/workplace_user/{entity}").status == 204
    for method in ("GET", "DELETE"):
        doppler.refused(404, method, f"{one}/members/workplace_user/{entity}")
    renamed = doppler.ok("PATCH", one, body={"name": f"{name}-2"})["group"]
    assert renamed["name"] == f"{name}-2" and renamed["default_project_role"] == {"identifier": policy}
    assert doppler.ok("PATCH", one, body={"default_project_role": "no_access"})["group"]["default_project_role"] == {
        "identifier": "no_access"}
    listed = doppler.ok("GET", GROUPS, {"per_page": "1000"})["groups"]
    assert any(group["slug"] == made["slug"] and "members" not in group for group in listed)
    assert doppler.call("DELETE", one).status == 204
    for method in ("GET", "PATCH"):
        doppler.refused(404, method, one, body={"name": "x"} if method == "PATCH" else None)


def test_what_cannot_be(doppler, client, entity):
    """Members of another kind, of nowhere, of a group that an auth method fills."""
    group = doppler.ok("POST", GROUPS, body={"name": unique("team")})["group"]["slug"]
    members = f"{GROUPS}/group/{group}/members"
    doppler.refused(400, "POST", members, body={"type": "invite", "slug": entity})
    doppler.refused(400, "POST", members, body={"type": "workplace_user"})
    doppler.refused(404, "POST", members, body={"type": "workplace_user", "slug": unique("nobody")})
    doppler.refused(404, "POST", f"{GROUPS}/group/{unique('none')}/members", body={"type": "workplace_user", "slug": entity})
    outside = client.secrets.identity.create_or_update_group(unique("ldap"), group_type="external")["data"]["id"]
    body = {"type": "workplace_user", "slug": entity}
    assert "auth method" in doppler.refused(400, "POST", f"{GROUPS}/group/{outside}/members", body=body)
    doppler.refused(400, "POST", GROUPS, body={"name": unique("x"), "default_project_role": "root"})


def test_policies_of_the_identity_engine_decide(doppler, client, entity):
    """Who may not handle an entity or a group through the Vault API may not here."""
    group = doppler.ok("POST", GROUPS, body={"name": unique("team")})["group"]["slug"]
    policy = unique("reader")
    client.sys.create_or_update_policy(policy, f'path "identity/group/id/{group}" {{ capabilities = ["read"] }}')
    holder = doppler.as_token(client.auth.token.create(policies=[policy])["auth"]["client_token"])
    assert holder.ok("GET", f"{GROUPS}/group/{group}")["group"]["slug"] == group
    body = {"type": "workplace_user", "slug": entity}
    for method, path, sent in (("GET", GROUPS, None), ("GET", USERS, None), ("GET", f"{USERS}/{entity}", None),
                               ("PATCH", f"{USERS}/{entity}", {"access": policy}), ("POST", GROUPS, {"name": unique("x")}),
                               ("PATCH", f"{GROUPS}/group/{group}", {"name": "x"}), ("DELETE", f"{GROUPS}/group/{group}", None),
                               ("POST", f"{GROUPS}/group/{group}/members", body)):
        holder.refused(403, method, path, body=sent)
