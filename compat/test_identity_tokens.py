"""What tokens get from their entity: logins, inherited policies, merging, templates, through hvac."""

import json

import pytest
from hvac import exceptions

from support import refused, unique


def read(server, auth, path):
    """Reads as the holder of a token; the data."""
    return server.client(auth["client_token"]).read(path)


# --- logins and what tokens inherit ---------------------------------------------------------------------------------


def test_a_login_has_an_entity(server, client, identity, accessor, login):
    """Made at the first login, found at the next; the token says which."""
    auth = login("ann")
    entity = identity.read_entity(auth["entity_id"])["data"]
    assert [(alias["name"], alias["mount_accessor"]) for alias in entity["aliases"]] == [("ann", accessor)]
    assert login("ann")["entity_id"] == auth["entity_id"] != login("bob")["entity_id"]
    found = client.auth.token.lookup(auth["client_token"])["data"]
    assert found["entity_id"] == auth["entity_id"] and "identity_policies" not in found
    itself = server.client(auth["client_token"])
    assert itself.secrets.identity.read_entity(auth["entity_id"])["data"]["name"] == entity["name"]
    assert itself.secrets.identity.read_entity_by_name(entity["name"])["data"]["id"] == auth["entity_id"]
    with refused(exceptions.Forbidden):
        itself.secrets.identity.read_entity(login("bob")["entity_id"])


def test_an_approle_login_is_known_by_its_role_id(client, server, approle, identity):
    """With the role's name as metadata of the alias."""
    client.auth.approle.create_or_update_approle(
        "web", bind_secret_id=False, secret_id_bound_cidrs=["127.0.0.1/32"], mount_point=approle
    )
    role_id = client.auth.approle.read_role_id("web", mount_point=approle)["data"]["role_id"]
    auth = server.client("").auth.approle.login(role_id, mount_point=approle)["auth"]
    alias = identity.read_entity(auth["entity_id"])["data"]["aliases"][0]
    assert (alias["name"], alias["metadata"]) == (role_id, {"role_name": "web"})


def test_policies_are_inherited(server, client, identity, group, login, policy, kv1):
    """From the entity, its groups, and the groups that those are in; at once, and gone at once."""
    client.secrets.kv.v1.create_or_update_secret("a", {"k": "v"}, mount_point=kv1)
    grants = [policy(f'path "{kv1}/{name}" {{ capabilities = ["read"] }}') for name in "abc"]
    auth = login("ann")
    entity_id = auth["entity_id"]
    for name in "abc":
        client.secrets.kv.v1.create_or_update_secret(name, {"k": "v"}, mount_point=kv1)
        with refused(exceptions.Forbidden):
            read(server, auth, f"{kv1}/{name}")
    identity.update_entity(entity_id, policies=[grants[0]])
    inner = group(policies=grants[1], member_entity_ids=[entity_id])
    outer = group(policies=grants[2], member_group_ids=[inner])
    for name in "abc":
        assert read(server, auth, f"{kv1}/{name}")["data"] == {"k": "v"}
    assert identity.read_entity(entity_id)["data"]["inherited_group_ids"] == [outer]

    again = login("ann")
    assert again["identity_policies"] == sorted(grants)
    assert again["token_policies"] == ["default"] and again["policies"] == sorted([*grants, "default"])
    assert client.auth.token.lookup(again["client_token"])["data"]["identity_policies"] == sorted(grants)
    granted = server.client(auth["client_token"]).sys.get_capabilities([f"{kv1}/c"])
    assert granted["data"][f"{kv1}/c"] == ["read"]

    identity.delete_group(outer)
    identity.update_entity(entity_id, policies=[])
    assert read(server, auth, f"{kv1}/b")["data"] == {"k": "v"}
    for name in "ac":
        with refused(exceptions.Forbidden):
            read(server, auth, f"{kv1}/{name}")


def test_a_disabled_entitys_tokens_are_refused(server, client, identity, login):
    """While it is disabled, and for good once it is gone; it cannot log in either."""
    auth = login("ann")
    itself = server.client(auth["client_token"])
    identity.update_entity(auth["entity_id"], disabled=True)
    for action in (itself.auth.token.lookup_self, lambda: login("ann")):
        with refused(exceptions.Forbidden):
            action()
    identity.update_entity(auth["entity_id"], disabled=False)
    assert itself.auth.token.lookup_self()["data"]["entity_id"] == auth["entity_id"]
    identity.delete_entity(auth["entity_id"])
    with refused(exceptions.Forbidden):
        itself.auth.token.lookup_self()
    assert login("ann")["entity_id"] != auth["entity_id"]


def test_children_keep_the_entity(server, client, login, policy):
    """But not orphans."""
    text = 'path "auth/token/create*" { capabilities = ["create", "update", "sudo"] }'
    auth = login("ann", policies=policy(text))
    itself = server.client(auth["client_token"])
    child = itself.auth.token.create(policies=["default"])["auth"]
    assert child["entity_id"] == auth["entity_id"]
    assert itself.auth.token.create(policies=["default"], no_parent=True)["auth"]["entity_id"] == ""
    batch = itself.write("auth/token/create", policies=["default"], type="batch")["auth"]
    assert batch["entity_id"] == auth["entity_id"]
    client.secrets.identity.update_entity(auth["entity_id"], disabled=True)
    for token in (child, batch):
        with refused(exceptions.Forbidden):
            server.client(token["client_token"]).auth.token.lookup_self()


def test_entity_aliases_of_token_roles(client, identity):
    """A token stands for an entity only if its role allows the alias."""
    role = unique("role")
    client.auth.token.create_or_update_role(role, allowed_entity_aliases="Ci-*,deploy")
    auth = client.auth.token.create(role_name=role, entity_alias="CI-web")["auth"]
    entity = identity.read_entity(auth["entity_id"])["data"]
    assert [(alias["name"], alias["mount_type"]) for alias in entity["aliases"]] == [("CI-web", "token")]
    assert client.auth.token.create(role_name=role, entity_alias="ci-web")["auth"]["entity_id"] == auth["entity_id"]
    with refused(exceptions.InvalidRequest, "invalid 'entity_alias' value"):
        client.auth.token.create(role_name=role, entity_alias="other")
    with refused(exceptions.InvalidRequest, "only allowed in combination with token role"):
        client.write("auth/token/create", entity_alias="deploy")
    client.auth.token.delete_role(role)
    identity.delete_entity(auth["entity_id"])


# --- merging --------------------------------------------------------------------------------------------------------


def test_merge(server, client, identity, group, login, policy, kv1):
    """Aliases, policies, memberships and live tokens of the one become the other's."""
    client.secrets.kv.v1.create_or_update_secret("a", {"k": "v"}, mount_point=kv1)
    grant = policy(f'path "{kv1}/a" {{ capabilities = ["read"] }}')
    ann = login("ann")
    made = identity.create_or_update_entity(unique("entity"), policies=[grant])["data"]["id"]
    member = group(member_entity_ids=[ann["entity_id"]])
    identity.merge_entities([ann["entity_id"]], made)
    merged = identity.read_entity(made)["data"]
    assert merged["merged_entity_ids"] == [ann["entity_id"]]
    assert [alias["name"] for alias in merged["aliases"]] == ["ann"]
    assert merged["aliases"][0]["merged_from_canonical_ids"] == [ann["entity_id"]]
    assert merged["direct_group_ids"] == [member]
    with refused(exceptions.InvalidPath):
        identity.read_entity(ann["entity_id"])
    assert read(server, ann, f"{kv1}/a")["data"] == {"k": "v"}
    assert login("ann")["entity_id"] == made
    identity.update_entity(made, disabled=True)
    with refused(exceptions.Forbidden):
        read(server, ann, f"{kv1}/a")


@pytest.mark.keyturn
def test_merging_in_each_others_way(client, identity, login):
    """Two aliases at one mount: nothing happens until it is said which one stays."""
    ann, bob, eve = (login(name)["entity_id"] for name in ("ann", "bob", "eve"))
    alias = {entity: identity.read_entity(entity)["data"]["aliases"][0]["id"] for entity in (ann, bob)}
    with refused(exceptions.InvalidRequest, "same mount accessor", alias[ann], alias[bob]):
        identity.merge_entities([bob], ann)
    with refused(exceptions.InvalidRequest, "found in multiple fromEntities"):
        identity.merge_entities([bob, eve], ann)
    for keep in (["none"], [alias[ann], alias[bob]]):
        with refused(exceptions.InvalidRequest, "conflicting mount accessors"):
            identity.merge_entities([bob], ann, conflicting_alias_ids_to_keep=keep)
    for from_ids, to_id, text in (
        ([ann], ann, "to_entity_id should not be present"),
        (["none"], ann, "merge from is invalid"),
        ([bob], "none", "merge to is invalid"),
    ):
        with refused(exceptions.InvalidRequest, text):
            identity.merge_entities(from_ids, to_id)
    assert identity.read_entity(bob)["data"]["aliases"][0]["id"] == alias[bob]

    identity.merge_entities([bob], ann, conflicting_alias_ids_to_keep=[alias[bob]])
    assert [kept["name"] for kept in identity.read_entity(ann)["data"]["aliases"]] == ["bob"]
    assert login("bob")["entity_id"] == ann != login("ann")["entity_id"]


# --- templates ------------------------------------------------------------------------------------------------------


@pytest.fixture
def secrets(client, kv1):
    """The path of a mount with a secret for everybody in it: `own/NAME` and `team/TEAM`."""
    for name in ("own/ann", "own/bob", "own/x", "team/red", "team/blue", "team/a*b", "open/x"):
        client.secrets.kv.v1.create_or_update_secret(name, {"of": name}, mount_point=kv1)
    return kv1


def test_templates(server, client, identity, group, login, policy, secrets, accessor):
    """Each directive, filled in for each identity."""
    ann, bob = login("ann")["entity_id"], login("bob")["entity_id"]
    team = unique("team")
    group_id = group(team, metadata={"colour": "red"}, member_entity_ids=[ann])
    identity.update_entity(ann, name="ann-e", metadata={"who": "ann"})
    alias = identity.read_entity(ann)["data"]["aliases"][0]["id"]
    client.write(f"identity/entity-alias/id/{alias}", custom_metadata={"dir": "ann"})
    for directive, path in (
        ("own/{{identity.entity.metadata.who}}", "own/ann"),
        (f"own/{{{{ identity.entity.aliases.{accessor}.name }}}}", "own/ann"),
        (f"own/{{{{identity.entity.aliases.{accessor}.custom_metadata.dir}}}}", "own/ann"),
        (f"team/{{{{identity.groups.names.{team}.metadata.colour}}}}", "team/red"),
        (f"team/{{{{identity.groups.ids.{group_id}.metadata.colour}}}}", "team/red"),
    ):
        grant = policy(f'path "{secrets}/{directive}" {{ capabilities = ["read"] }}')
        for entity_id in (ann, bob):
            identity.update_entity(entity_id, policies=[grant])
        assert read(server, login("ann"), f"{secrets}/{path}")["data"] == {"of": path}
        with refused(exceptions.Forbidden):
            read(server, login("ann"), f"{secrets}/own/bob")
        with refused(exceptions.Forbidden):
            read(server, login("bob"), f"{secrets}/{path}")
    identity.update_group(group_id, team, metadata={"colour": "blue"})
    assert read(server, login("ann"), f"{secrets}/team/blue")["data"] == {"of": "team/blue"}
    with refused(exceptions.Forbidden):
        read(server, login("ann"), f"{secrets}/team/red")


@pytest.mark.keyturn
@pytest.mark.parametrize("value", ["*", "a*", "+", "own/ann", "/", "x/*", ""])
def test_no_value_widens_a_path(server, identity, login, policy, secrets, value):
    """Metadata that would be syntax grants nothing at all, and takes nothing away from a denial."""
    auth = login("ann")
    grant = policy(
        f'path "{secrets}/{{{{identity.entity.metadata.k}}}}*" {{ capabilities = ["read"] }}\n'
        f'path "{secrets}/+/{{{{identity.entity.metadata.k}}}}" {{ capabilities = ["read"] }}'
    )
    identity.update_entity(auth["entity_id"], metadata={"k": value}, policies=[grant])
    for name in ("own/ann", "own/x", "team/a*b", "open/x"):
        with refused(exceptions.Forbidden):
            read(server, auth, f"{secrets}/{name}")
    denial = policy(
        f'path "{secrets}/*" {{ capabilities = ["read"] }}\n'
        f'path "{secrets}/own/{{{{identity.entity.metadata.k}}}}" {{ capabilities = ["deny"] }}'
    )
    identity.update_entity(auth["entity_id"], policies=[denial])
    assert read(server, auth, f"{secrets}/open/x")["data"] == {"of": "open/x"}
    with refused(exceptions.Forbidden):
        read(server, auth, f"{secrets}/own/ann")


@pytest.mark.parametrize("name", ["a*", "+", "a/b", "../x", "{{identity.entity.id}}", "%2e%2e", "ü ß"])
def test_strange_names_are_names_and_no_more(server, client, identity, login, policy, secrets, name):
    """An entity may be called anything; a policy about it reaches that one entity."""
    auth = login("ann")
    identity.update_entity(auth["entity_id"], name=name)
    assert client.write("identity/lookup/entity", name=name)["data"]["id"] == auth["entity_id"]
    itself = server.client(auth["client_token"])
    for other in ("own/ann", "own/x", "open/x"):
        with refused(exceptions.Forbidden):
            itself.read(f"{secrets}/{other}")
    with refused(exceptions.Forbidden):
        itself.secrets.identity.list_entities_by_name()
    with refused(exceptions.Forbidden):
        itself.secrets.identity.read_entity(login("bob")["entity_id"])


@pytest.mark.keyturn
def test_another_case_of_a_name_is_the_same_path(server, identity, entity, limited):
    """A denial of one spelling denies all."""
    name = unique("entity")
    entity(name)
    holder = limited(
        'path "identity/entity/name/*" { capabilities = ["read"] }\n'
        f'path "identity/entity/name/{name}" {{ capabilities = ["deny"] }}'
    )
    for spelling in (name, name.upper(), name.title()):
        with refused(exceptions.Forbidden):
            holder.secrets.identity.read_entity_by_name(spelling)


def test_identity_is_part_of_the_server(client):
    """Listed, but neither disabled nor moved."""
    assert client.sys.list_mounted_secrets_engines()["data"]["identity/"]["type"] == "identity"
    with refused(exceptions.InvalidRequest):
        client.sys.disable_secrets_engine("identity")
    with refused(exceptions.InvalidRequest):
        client.sys.move_backend("identity", "other")


@pytest.mark.keyturn
def test_identities_survive_a_restart(own_server):
    """With their groups, aliases and tokens."""
    client = own_server.client()
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("ann", password="pw")
    auth = own_server.client("").auth.userpass.login("ann", "pw")["auth"]
    entity_id = auth["entity_id"]
    group = client.secrets.identity.create_or_update_group("g", policies="p", member_entity_ids=[entity_id])
    own_server.stop()
    own_server.start()
    own_server.unseal()
    found = own_server.client().auth.token.lookup(auth["client_token"])["data"]
    assert (found["entity_id"], found["identity_policies"]) == (entity_id, ["p"])
    again = own_server.client("").auth.userpass.login("ann", "pw")["auth"]
    assert again["entity_id"] == entity_id
    members = own_server.client().secrets.identity.read_group(group["data"]["id"])["data"]["member_entity_ids"]
    assert members == [entity_id]


def test_the_audit_log_says_who_it_was(own_server, tmp_path):
    """The entity and what it inherits, in both entries of a request; no identity token in clear."""
    client, log = own_server.client(), tmp_path / "audit.log"
    client.sys.enable_audit_device("file", path="audit", options={"file_path": str(log)})
    client.sys.create_or_update_policy("p", 'path "identity/oidc/token/r" { capabilities = ["read"] }')
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("ann", password="pw")
    auth = own_server.client("").auth.userpass.login("ann", "pw")["auth"]
    identity, entity_id = client.secrets.identity, auth["entity_id"]
    identity.update_entity(entity_id, policies=["p"])
    identity.create_named_key("k", algorithm="ES256", allowed_client_ids=["*"])
    identity.create_or_update_role("r", "k")
    issued = own_server.client(auth["client_token"]).secrets.identity.generate_signed_id_token("r")["data"]["token"]
    text = log.read_text()
    assert issued not in text and issued.split(".")[1] not in text
    entries = [json.loads(line) for line in text.splitlines()]
    asked = [entry for entry in entries if entry["request"]["path"] == "identity/oidc/token/r"]
    assert [entry["type"] for entry in asked] == ["request", "response"]
    for entry in asked:
        told = entry["auth"]
        assert (told["entity_id"], told["identity_policies"]) == (entity_id, ["p"])
        assert (told["token_policies"], told["policies"]) == (["default"], ["default", "p"])
    logins = [entry for entry in entries if entry["request"]["path"] == "auth/userpass/login/ann"]
    assert logins[-1]["response"]["auth"]["entity_id"] == entity_id
