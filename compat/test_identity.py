"""`/v1/identity/{entity,entity-alias,group,group-alias,lookup}/…`, through hvac."""

import pytest
from hvac import exceptions

from support import refused, status_of, unique


# --- entities -------------------------------------------------------------------------------------------------------


def test_entity(identity, entity):
    """Made, read by id and by name, changed in part, removed."""
    name = unique("Entity")
    entity_id = entity(name, metadata={"team": "x"}, policies=["B", "a"])
    read_back = identity.read_entity(entity_id)["data"]
    assert (read_back["id"], read_back["name"], read_back["disabled"]) == (entity_id, name, False)
    assert (read_back["metadata"], read_back["policies"]) == ({"team": "x"}, ["a", "b"])
    assert (read_back["aliases"], read_back["group_ids"], read_back["namespace_id"]) == ([], [], "root")
    assert read_back["creation_time"] == read_back["last_update_time"]
    assert identity.read_entity_by_name(name)["data"]["id"] == entity_id
    assert identity.read_entity_by_name(name.upper())["data"]["id"] == entity_id

    assert status_of(identity.update_entity(entity_id, metadata={"k": "v"}, disabled=True)) == 204
    changed = identity.read_entity(entity_id)["data"]
    assert (changed["name"], changed["metadata"], changed["disabled"]) == (name, {"k": "v"}, True)
    assert changed["policies"] == ["a", "b"]

    assert status_of(identity.delete_entity(entity_id)) == 204
    with refused(exceptions.InvalidPath):
        identity.read_entity(entity_id)
    assert status_of(identity.delete_entity(entity_id)) == 204


def test_entity_by_name(identity):
    """What a name in the path means: the one of that name, or a new one."""
    name = unique("entity")
    made = identity.create_or_update_entity_by_name(name, metadata={"a": "1"})["data"]
    assert (made["name"], made["aliases"]) == (name, None)
    assert status_of(identity.create_or_update_entity_by_name(name, metadata={"a": "2"})) == 204
    assert identity.read_entity_by_name(name)["data"]["metadata"] == {"a": "2"}
    assert status_of(identity.delete_entity_by_name(name)) == 204
    with refused(exceptions.InvalidPath):
        identity.read_entity_by_name(name)


def test_entities_are_listed(identity, entity):
    """By id and by name, with what is told of each."""
    name = unique("entity")
    entity_id = entity(name)
    for method in ("LIST", "GET"):
        by_id = identity.list_entities(method=method)["data"]
        assert entity_id in by_id["keys"] and by_id["key_info"][entity_id]["name"] == name
        assert name in identity.list_entities_by_name(method=method)["data"]["keys"]


def test_entities_are_removed_together(client, identity, entity):
    """Those that are not there do not matter."""
    one, other = entity(), entity()
    client.write("identity/entity/batch-delete", entity_ids=[one, other, "none"])
    for gone in (one, other):
        with refused(exceptions.InvalidPath):
            identity.read_entity(gone)
    with refused(exceptions.InvalidRequest, "missing entity ids to delete"):
        client.write("identity/entity/batch-delete", entity_ids=[])


@pytest.mark.keyturn
def test_entity_errors(identity, entity):
    """What cannot be is refused and changes nothing."""
    name = unique("entity")
    one, other = entity(name), entity()
    with refused(exceptions.InvalidRequest, "entity not found from id"):
        identity.create_or_update_entity("x", entity_id="none")
    with refused(exceptions.InvalidRequest, "entity name is already in use"):
        identity.update_entity(other, name=name.upper())
    with refused(exceptions.InvalidRequest, "policies cannot contain root"):
        identity.update_entity(one, policies=["Root"])
    with refused(exceptions.InvalidRequest, "cannot assign policy"):
        identity.update_entity(one, policies=["response-wrapping"])
    for metadata in ({"a b": "x"}, {"": "x"}, {"k": "x" * 513}, {f"k{i}": "x" for i in range(65)}):
        with refused(exceptions.InvalidRequest, "metadata"):
            identity.update_entity(one, metadata=metadata)
    with refused(exceptions.InvalidRequest, "control characters"):
        identity.create_or_update_entity("a\nb")
    assert identity.read_entity(one)["data"]["metadata"] is None


# --- aliases --------------------------------------------------------------------------------------------------------


def test_alias(identity, entity, accessor, userpass):
    """Made for an entity, read, changed, listed, looked up, removed."""
    entity_id, name = entity(), unique("alias")
    made = identity.create_or_update_entity_alias(name, entity_id, accessor)["data"]
    assert made["canonical_id"] == entity_id
    alias = identity.read_entity_alias(made["id"])["data"]
    assert (alias["name"], alias["canonical_id"], alias["mount_accessor"]) == (name, entity_id, accessor)
    assert (alias["mount_path"], alias["mount_type"], alias["local"]) == (f"auth/{userpass}/", "userpass", False)
    assert identity.read_entity(entity_id)["data"]["aliases"][0]["id"] == made["id"]
    assert made["id"] in identity.list_entity_aliases()["data"]["keys"]
    for asked in ({"alias_id": made["id"]}, {"alias_name": name.upper(), "alias_mount_accessor": accessor}):
        assert identity.lookup_entity(**asked)["data"]["id"] == entity_id

    other = entity()
    moved = identity.update_entity_alias(made["id"], name, other, accessor)["data"]
    assert moved == {"id": made["id"], "canonical_id": other}
    assert identity.read_entity(entity_id)["data"]["aliases"] == []
    assert identity.read_entity(other)["data"]["aliases"][0]["id"] == made["id"]

    assert status_of(identity.delete_entity_alias(made["id"])) == 204
    with refused(exceptions.InvalidPath):
        identity.read_entity_alias(made["id"])
    assert identity.read_entity(other)["data"]["aliases"] == []


def test_alias_metadata(client, identity, entity, accessor):
    """What administrators note, as an object or as the command line has it."""
    entity_id, name = entity(), unique("alias")
    fields = {"name": name, "canonical_id": entity_id, "mount_accessor": accessor}
    made = client.write("identity/entity-alias", custom_metadata={"team": "x"}, **fields)["data"]
    client.write(f"identity/entity-alias/id/{made['id']}", custom_metadata=["team=y", "k=a=b"])
    assert identity.read_entity_alias(made["id"])["data"]["custom_metadata"] == {"team": "y", "k": "a=b"}


def test_alias_errors(identity, entity, accessor):
    """What cannot be is refused and changes nothing."""
    one, other, name = entity(), entity(), unique("alias")
    made = identity.create_or_update_entity_alias(name, one, accessor)["data"]["id"]
    second = identity.create_or_update_entity_alias(unique("alias"), other, accessor)["data"]["id"]
    with refused(exceptions.InvalidRequest, "Alias already exists for requested entity and mount accessor"):
        identity.create_or_update_entity_alias(unique("alias"), one, accessor)
    with refused(exceptions.InvalidRequest, "invalid mount accessor"):
        identity.create_or_update_entity_alias(name, one, "auth_userpass_none")
    with refused(exceptions.InvalidRequest, "invalid canonical ID"):
        identity.create_or_update_entity_alias(unique("alias"), "none", accessor)
    with refused(exceptions.InvalidRequest, "invalid alias ID provided"):
        identity.create_or_update_entity_alias(name, one, accessor, alias_id="none")
    with refused(exceptions.InvalidRequest, "already has an alias for this mount"):
        identity.update_entity_alias(made, name, other, accessor)
    with refused(exceptions.InvalidRequest, "combination of mount accessor and name already exists"):
        identity.update_entity_alias(second, name.upper(), other, accessor)
    with refused(exceptions.InvalidRequest, "'id' or 'mount_accessor' and 'name' must be provided"):
        identity.create_or_update_entity_alias("", one, accessor)
    assert identity.read_entity_alias(made)["data"]["canonical_id"] == one


# --- groups ---------------------------------------------------------------------------------------------------------


def test_group(identity, group, entity):
    """Made, read by id and by name, changed in part, removed."""
    name, member, inner = unique("group"), entity(), group()
    group_id = group(name, policies="p", metadata={"k": "v"}, member_entity_ids=[member], member_group_ids=[inner])
    read_back = identity.read_group(group_id)["data"]
    assert (read_back["name"], read_back["type"], read_back["policies"]) == (name, "internal", ["p"])
    assert (read_back["member_entity_ids"], read_back["member_group_ids"]) == ([member], [inner])
    assert (read_back["metadata"], read_back["alias"]) == ({"k": "v"}, {})
    assert identity.read_group(inner)["data"]["parent_group_ids"] == [group_id]
    assert identity.read_group_by_name(name)["data"]["id"] == group_id
    assert identity.read_entity(member)["data"]["direct_group_ids"] == [group_id]
    assert identity.lookup_group(name=name)["data"]["id"] == group_id

    assert status_of(identity.update_group(group_id, name, member_entity_ids=[], member_group_ids=[])) == 204
    changed = identity.read_group(group_id)["data"]
    assert (changed["policies"], changed["member_entity_ids"], changed["member_group_ids"]) == (["p"], [], [])
    assert identity.read_group(inner)["data"]["parent_group_ids"] == []
    for keys, wanted in ((identity.list_groups(), group_id), (identity.list_groups_by_name(), name)):
        assert wanted in keys["data"]["keys"]

    assert status_of(identity.delete_group(group_id)) == 204
    with refused(exceptions.InvalidPath):
        identity.read_group(group_id)


def test_group_by_name(identity):
    """What a name in the path means: the one of that name, or a new one."""
    name = unique("group")
    made = identity.create_or_update_group_by_name(name, policies="a")["data"]
    assert made["name"] == name
    assert status_of(identity.create_or_update_group_by_name(name, policies="b")) == 204
    assert identity.read_group(made["id"])["data"]["policies"] == ["b"]
    assert status_of(identity.delete_group_by_name(name)) == 204


def test_groups_never_run_in_circles(identity, group):
    """Neither directly nor through others."""
    low = group()
    middle = group(member_group_ids=[low])
    high = group(member_group_ids=[middle])
    for above, below in ((low, high), (low, middle), (middle, high)):
        name = identity.read_group(above)["data"]["name"]
        with refused(exceptions.InvalidRequest, "cyclic relationship detected"):
            identity.update_group(above, name, member_group_ids=[below])
    with refused(exceptions.InvalidRequest, "same as the ID of the group"):
        identity.update_group(low, identity.read_group(low)["data"]["name"], member_group_ids=[low])
    assert identity.read_group(low)["data"]["member_group_ids"] == []


@pytest.mark.keyturn
def test_group_errors(client, identity, group):
    """What cannot be is refused and changes nothing."""
    name = unique("group")
    group_id, other = group(name), group()
    with refused(exceptions.InvalidRequest, "group type cannot be changed"):
        client.write(f"identity/group/id/{group_id}", type="external")
    with refused(exceptions.InvalidRequest, "invalid group type"):
        client.write("identity/group", name=unique("group"), type="strange")
    with refused(exceptions.InvalidRequest, "group name is already in use"):
        client.write(f"identity/group/id/{other}", name=name)
    with refused(exceptions.InvalidRequest, "invalid entity ID"):
        client.write(f"identity/group/id/{group_id}", member_entity_ids=["none"])
    with refused(exceptions.InvalidRequest, "invalid member group ID"):
        client.write(f"identity/group/id/{group_id}", member_group_ids=["none"])
    with refused(exceptions.InvalidRequest, "invalid group ID"):
        client.write("identity/group/id/none", policies="a")
    with refused(exceptions.InvalidRequest, "policies cannot contain root"):
        client.write(f"identity/group/id/{group_id}", policies="root")


def test_group_alias(client, identity, accessor, group):
    """An external group and what a mount calls it."""
    group_id, name = group(group_type="external"), unique("alias")
    made = identity.create_or_update_group_alias(name, mount_accessor=accessor, canonical_id=group_id)["data"]
    assert made["canonical_id"] == group_id
    assert identity.read_group_alias(made["id"])["data"]["name"] == name
    assert made["id"] in identity.list_group_aliases()["data"]["keys"]
    assert identity.lookup_group(alias_name=name, alias_mount_accessor=accessor)["data"]["id"] == group_id
    assert identity.read_group(group_id)["data"]["alias"]["mount_accessor"] == accessor
    renamed = unique("alias")
    identity.update_group_alias(made["id"], renamed, mount_accessor=accessor, canonical_id=group_id)
    assert identity.lookup_group(alias_id=made["id"])["data"]["alias"]["name"] == renamed
    name = renamed
    with refused(exceptions.InvalidRequest, "combination of mount and group alias name is already in use"):
        identity.create_or_update_group_alias(name.upper(), mount_accessor=accessor)
    with refused(exceptions.InvalidRequest, "alias can't be set on an internal group"):
        identity.create_or_update_group_alias(unique("alias"), mount_accessor=accessor, canonical_id=group())
    with refused(exceptions.InvalidRequest, "member entities can't be set manually for external groups"):
        client.write(f"identity/group/id/{group_id}", member_entity_ids=[])
    assert status_of(identity.delete_group_alias(made["id"])) == 204
    assert identity.read_group(group_id)["data"]["alias"] == {}


def test_lookup_errors(client, identity, entity):
    """One way to find what is asked for, and no second."""
    entity_id = entity()
    with refused(exceptions.InvalidRequest, "query parameter not supplied"):
        identity.lookup_entity()
    with refused(exceptions.InvalidRequest, "query parameter conflict"):
        client.write("identity/lookup/entity", name="x", id=entity_id)
    with refused(exceptions.InvalidRequest, "'alias_name' and 'alias_mount_accessor'"):
        client.write("identity/lookup/group", alias_name="x")
    assert status_of(identity.lookup_entity(entity_id="none")) == 204


# --- attacks --------------------------------------------------------------------------------------------------------


@pytest.mark.keyturn
def test_a_name_in_the_path_cannot_be_traded_for_an_id(client, identity, entity, group, limited):
    """Who may change one entity or group by its name changes no other."""
    for area, make, read in (("entity", entity, identity.read_entity), ("group", group, identity.read_group)):
        own, victim = unique("own"), make(unique("victim"))
        make(own)
        holder = limited(f'path "identity/{area}/name/{own}" {{ capabilities = ["create", "update"] }}')
        with refused(exceptions.InvalidRequest, "leave 'id' out"):
            holder.write(f"identity/{area}/name/{own}", id=victim, policies=["admin"])
        assert read(victim)["data"]["policies"] == []
        holder.write(f"identity/{area}/name/{own}", policies=["mine"])


@pytest.mark.keyturn
def test_a_slash_in_a_name_is_one_spelling(server, identity, limited):
    """Encoded or not, the policy is asked about the same path."""
    name = unique("a") + "/b"
    encoded = name.replace("/", "%2F")
    assert server.call("POST", f"identity/entity/name/{encoded}", {"metadata": {"k": "v"}}).status == 200
    assert server.call("GET", f"identity/entity/name/{name}").json["data"]["name"] == name
    holder = limited(
        'path "identity/entity/name/*" { capabilities = ["read"] }\n'
        f'path "identity/entity/name/{name}" {{ capabilities = ["deny"] }}'
    )
    for spelling in (name, encoded, encoded.lower(), encoded.upper()):
        assert server.call("GET", f"identity/entity/name/{spelling}", token=holder.token).status == 403
    for spelling in (name.replace("/", "//"), name.replace("/", "/%2e%2e/"), name.replace("/", "/./")):
        assert server.call("GET", f"identity/entity/name/{spelling}").status == 400
    identity.delete_entity_by_name(name)


@pytest.mark.keyturn
def test_bad_input(client, identity, entity):
    """Wrong types are refused and change nothing."""
    entity_id = entity(metadata={"k": "v"})
    for fields in (
        {"metadata": "no pair"}, {"metadata": 5}, {"metadata": {"k": {"deep": 1}}}, {"policies": {"a": 1}},
        {"disabled": "perhaps"}, {"name": ["x"]}, {"name": "x" * 513},
    ):
        with refused(exceptions.InvalidRequest):
            client.write(f"identity/entity/id/{entity_id}", **fields)
    for fields in ({"member_entity_ids": {"a": 1}}, {"type": ["internal"]}, {"policies": ["a,b", "\0"]}):
        with refused(exceptions.InvalidRequest):
            client.write("identity/group", **fields)
    assert identity.read_entity(entity_id)["data"]["metadata"] == {"k": "v"}
