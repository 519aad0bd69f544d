"""Projects, environments and configs over Doppler's API, and what other doors make of them."""

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


def names(listing):
    """The names of what is listed."""
    return [item["name"] for item in listing]


def test_a_project_from_its_making_to_its_end(doppler):
    """Made, described, renamed, removed; clients find id, slug and name to be one."""
    name = unique("My App")
    made = doppler.ok("POST", "projects", body={"name": name, "description": "first"})["project"]
    slug = name.lower().replace(" ", "-")
    assert {made[key] for key in ("id", "slug", "name")} == {slug} and made["description"] == "first"
    assert made["created_at"].endswith("Z") and len(made["created_at"]) == len("2019-11-19T07:19:01.073Z")
    assert "already exists" in doppler.refused(409, "POST", "projects", body={"name": slug})
    body = {"project": slug, "name": f"{slug}-2", "description": "second"}
    assert doppler.ok("POST", "projects/project", body=body)["project"]["description"] == "second"
    assert "Could not find" in doppler.refused(404, "GET", "projects/project", {"project": slug})
    assert doppler.ok("DELETE", "projects/project", {"project": f"{slug}-2"}) == {"success": True}
    doppler.refused(404, "GET", "projects/project", {"project": f"{slug}-2"})


def test_environments_have_root_configs_and_branches(doppler):
    """An environment's root has its name; branches begin with it."""
    app = doppler.project("dev", "prd")
    environments = doppler.ok("GET", "environments", {"project": app})["environments"]
    assert [(e["id"], e["name"], e["project"]) for e in environments] == [("dev", "DEV", app), ("prd", "PRD", app)]
    made = doppler.ok("POST", "configs", {"project": app}, {"name": "dev_x", "environment": "dev"})["config"]
    assert (made["root"], made["environment"], made["locked"], made["inherits"]) == (False, "dev", False, [])
    doppler.refused(400, "POST", "configs", body={"project": app, "name": "prd_x", "environment": "dev"})
    doppler.refused(409, "POST", "configs", body={"project": app, "name": "dev_x", "environment": "dev"})
    configs = doppler.ok("GET", "configs", {"project": app})["configs"]
    assert [(c["name"], c["root"]) for c in configs] == [("dev", True), ("dev_x", False), ("prd", True)]
    assert names(doppler.ok("GET", "configs", {"project": app, "environment": "dev"})["configs"]) == ["dev", "dev_x"]
    assert names(doppler.ok("GET", "configs", {"project": app, "page": 2, "per_page": 2})["configs"]) == ["prd"]
    assert "environment" in doppler.refused(400, "DELETE", "configs/config", {"project": app, "config": "dev"})
    doppler.ok("DELETE", "environments/environment", {"project": app, "environment": "dev"})
    assert names(doppler.ok("GET", "configs", {"project": app})["configs"]) == ["prd"]


def test_what_another_door_wrote_is_there(doppler, client):
    """A secret `PROJECT/CONFIG` makes a project, an environment and a config by being there."""
    app = unique("app")
    client.secrets.kv.v2.create_or_update_secret(f"{app}/prd_eu", secret={"A": "1"}, mount_point="secret")
    assert app in names(doppler.ok("GET", "projects", {"per_page": 1000})["projects"])
    config = doppler.ok("GET", "configs/config", {"project": app, "config": "prd_eu"})["config"]
    assert (config["environment"], config["root"]) == ("prd", False)
    assert names(doppler.ok("GET", "environments", {"project": app})["environments"]) == ["prd"]
    doppler.ok("POST", "projects/project", body={"project": app, "description": "found"})
    assert doppler.ok("GET", "projects/project", {"project": app})["project"]["description"] == "found"


def test_a_rename_takes_secrets_history_and_tokens_along(doppler, client):
    """What was read under the old name is read under the new one, and no longer under the old one."""
    app = doppler.project("dev")
    doppler.ok("POST", "configs", body={"project": app, "name": "dev_x", "environment": "dev"})
    kv = client.secrets.kv.v2
    for value in "12":
        kv.create_or_update_secret(f"{app}/dev_x", secret={"A": value}, mount_point="secret")
    token = doppler.as_token(doppler.service_token(app, "dev_x")["key"])
    doppler.ok("POST", "configs/config", body={"project": app, "config": "dev_x", "name": "dev_y"})
    read = lambda path, **more: kv.read_secret_version(path, mount_point="secret", raise_on_deleted_version=True, **more)
    assert read(f"{app}/dev_y")["data"]["data"] == {"A": "2"}
    assert read(f"{app}/dev_y", version=1)["data"]["data"] == {"A": "1"}
    assert token.ok("GET", "configs/config")["config"]["name"] == "dev_y"
    doppler.refused(404, "GET", "configs/config", {"project": app, "config": "dev_x"})
    doppler.ok("PUT", "environments/environment", body={"project": app, "environment": "dev", "slug": "development"})
    assert names(doppler.ok("GET", "configs", {"project": app})["configs"]) == ["development", "development_y"]
    doppler.ok("POST", "projects/project", body={"project": app, "name": f"{app}-2"})
    assert token.ok("GET", "configs/config")["config"]["project"] == f"{app}-2"
    assert read(f"{app}-2/development_y", version=1)["data"]["data"] == {"A": "1"}


def test_clone_and_lock(doppler, client):
    """A copy has what was there and no history; a locked config stays."""
    app = doppler.project("dev")
    kv = client.secrets.kv.v2
    for value in "12":
        kv.create_or_update_secret(f"{app}/dev", secret={"A": value}, mount_point="secret")
    doppler.ok("POST", "configs/config/clone", body={"project": app, "config": "dev", "name": "dev_copy"})
    copied = kv.read_secret_version(f"{app}/dev_copy", mount_point="secret", raise_on_deleted_version=True)["data"]
    assert (copied["data"], copied["metadata"]["version"]) == ({"A": "2"}, 1)
    which = {"project": app, "config": "dev_copy"}
    assert doppler.ok("POST", "configs/config/lock", which)["config"]["locked"] is True
    assert "locked" in doppler.refused(400, "POST", "configs/config", body=which | {"name": "dev_z"})
    assert "locked" in doppler.refused(400, "DELETE", "configs/config", body=which)
    assert "locked" in doppler.refused(400, "DELETE", "projects/project", body=which)
    doppler.ok("POST", "configs/config/unlock", which)
    doppler.ok("DELETE", "configs/config", body=which)


def test_the_log_of_a_config_shows_and_takes_back(doppler, client):
    """Each version is a line; taking one back leaves what others changed."""
    app = doppler.project("dev")
    kv = client.secrets.kv.v2
    for fields in ({"A": "1"}, {"A": "2", "B": "x"}, {"A": "2", "B": "x", "C": "3"}):
        kv.create_or_update_secret(f"{app}/dev", secret=fields, mount_point="secret")
    which = {"project": app, "config": "dev"}
    logs = doppler.ok("GET", "configs/config/logs", which)["logs"]
    assert len(logs) == 3 and all(log["user"]["name"] == "root" and "diff" not in log for log in logs)
    log = doppler.ok("GET", "configs/config/logs/log", which | {"log": logs[1]["id"]})["log"]
    assert log["diff"] == [{"name": "A", "added": "2", "removed": "1"}, {"name": "B", "added": "x"}]
    back = doppler.ok("POST", "configs/config/logs/log/rollback", which | {"log": logs[1]["id"]})["log"]
    assert back["rollback"] is True and {"name": "B", "removed": "x"} in back["diff"]
    now = kv.read_secret_version(f"{app}/dev", mount_point="secret", raise_on_deleted_version=True)["data"]["data"]
    assert now == {"A": "1", "C": "3"}
    doppler.refused(404, "GET", "configs/config/logs/log", which | {"log": "nothing"})


def test_the_activity_log(doppler):
    """What happened to structure, the newest first, with the names that the command line looks for."""
    app = doppler.project("dev")
    logs = doppler.ok("GET", "logs", {"per_page": 2})["logs"]
    assert [log["text"] for log in logs] == ["Created environment dev", f"Created project {app}"]
    assert (logs[0]["project"], logs[0]["enclave_environment"], logs[0]["enclave_config"]) == (app, "dev", "")
    assert doppler.ok("GET", "logs/log", {"log": logs[0]["id"]})["log"] == logs[0]


def test_inheritance_is_for_those_who_may_read_the_base(doppler, client):
    """A base must be inheritable, and whoever names it must be able to read it."""
    app = doppler.project("dev", "prd")
    base = {"project": app, "config": "prd"}
    named = {"project": app, "config": "dev", "inherits": [base]}
    assert "not inheritable" in doppler.refused(400, "POST", "configs/config/inherits", body=named)
    doppler.ok("POST", "configs/config/inheritable", body=base | {"inheritable": True})
    policy = unique("dev-only")
    client.sys.create_or_update_policy(policy, f'''
        path "secret/data/{app}/dev*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}
        path "secret/metadata/{app}/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}''')
    weak = doppler.as_token(client.auth.token.create(policies=[policy])["auth"]["client_token"])
    weak.refused(403, "POST", "configs/config/inherits", body=named)
    weak.refused(403, "POST", "configs", body={"project": app, "name": "prd_x", "environment": "prd"})
    weak.refused(403, "POST", "configs/config/tokens", body=base | {"name": "x", "access": "read"})
    inherits = doppler.ok("POST", "configs/config/inherits", body=named)["config"]
    assert inherits["inherits"] == [base] and inherits["inheriting"] is True
