"""Project templates (`doppler import`): projects with everything in them from one file, all or nothing."""

import pytest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

IMPORT = "workplace/template/import"


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


def template(app, secrets="dev: {A: '1'}"):
    """A template of one project."""
    return f"""
# an example
projects:
  - name: {app}
    description: what it is
    environments:
      - slug: dev
        name: Development
        configs: [{{slug: dev}}, {{slug: dev_ann}}]
      - slug: prd
    secrets: {{{secrets}}}
"""


def test_a_template_makes_what_it_says(doppler, client):
    """Environments, branches that inherit, secrets that are versions like all others, and one line in the log for each."""
    app, other = unique("app"), unique("other")
    text = template(app, f"dev: {{A: one, N: 1.50, REF: '${{A}}/${{{other}.prd.B}}'}}, dev_ann: {{OWN: 'x'}}")
    text += f"""  - name: {other}
    environments: [{{slug: prd}}]
    secrets:
      prd:
        B: |-
          two
          lines
"""
    made = doppler.ok("POST", IMPORT, body={"template": text})
    assert [project["name"] for project in made["projects"]] == [app, other]
    assert made["projects"][0]["description"] == "what it is" and set(made["projects"][0]) >= {"id", "slug", "created_at"}
    environments = doppler.ok("GET", "environments", {"project": app})["environments"]
    assert [(one["slug"], one["name"]) for one in environments] == [("dev", "Development"), ("prd", "prd")]
    configs = {one["name"]: one["root"] for one in doppler.ok("GET", "configs", {"project": app})["configs"]}
    assert configs == {"dev": True, "dev_ann": False, "prd": True}
    branch = doppler.ok("GET", "configs/config/secrets/download", {"project": app, "config": "dev_ann"})
    assert branch["OWN"] == "x" and branch["REF"] == "one/two\nlines" and branch["N"] == "1.50"
    read = client.secrets.kv.v2.read_secret_version(path=f"{app}/dev", mount_point="secret", raise_on_deleted_version=True)["data"]
    assert read["metadata"]["version"] == 1 and read["data"]["A"] == "one"
    logs = doppler.ok("GET", "configs/config/logs", {"project": app, "config": "dev"})["logs"]
    assert len(logs) == 1
    assert any(line["text"] == f"Imported project {app}" for line in doppler.ok("GET", "logs")["logs"])


def test_all_or_nothing(doppler):
    """One project that cannot be, and none is made."""
    taken, fresh = doppler.project("dev"), unique("app")
    both = template(fresh) + f"  - name: {taken}\n"
    assert taken in doppler.refused(409, "POST", IMPORT, body={"template": both})
    doppler.refused(404, "GET", "projects/project", {"project": fresh})
    for secrets in ("dev: {A: '${NONE}'}", "dev: {A: '${A}'}", "dev: {lower: x}", "dev: {DOPPLER_CONFIG: x}", "stg: {A: x}",
                    "dev: {A: [x]}", f"dev: {{A: '${{{taken}.dev.B}}'}}"):
        status = 404 if secrets.startswith("stg") else 400
        doppler.refused(status, "POST", IMPORT, body={"template": template(fresh, secrets)})
        doppler.refused(404, "GET", "projects/project", {"project": fresh})
    doppler.ok("POST", IMPORT, body={"template": template(fresh)})
    assert "already exists" in doppler.refused(409, "POST", IMPORT, body={"template": template(fresh)})


def test_what_is_no_template_is_told_with_its_line_and_without_its_values(doppler):
    """Bad input is 400, says where, and repeats nothing."""
    for text, said in (("projects:\n  - name: a\n    hunter2: x\n", "line 3"), ("projects: [", "line"), ("x: 1", "no such member"),
                       ("projects: []", "no projects"), ("projects:\n  - name: &a b\n  - name: *a\n", "aliases"),
                       ("projects:\n  - name: a\n    environments: [{slug: 'a b'}]\n", "environment slug"),
                       ("projects:\n  - name: a\n    environments: [{slug: dev, configs: [{slug: prd_x}]}]\n", "begin with"),
                       ("projects:\n  - name: a\n    environments: [{slug: dev}, {slug: dev}]\n", "already exists")):
        status = 409 if said == "already exists" else 400
        refusal = doppler.refused(status, "POST", IMPORT, body={"template": text})
        assert said in refusal and "hunter2" not in refusal, (text, refusal)
    for body in ({}, {"template": 1}, {"template": None}, {"template": ""}):
        doppler.refused(400, "POST", IMPORT, body=body)


def test_who_may_import(doppler, client):
    """It takes what making the project and writing its secrets would take, and making a branch means reading its root."""
    app = unique("app")
    rules = {
        "project": f'path "secret/metadata/{app}/" {{ capabilities = ["create", "update"] }}',
        "secrets": f'path "secret/data/{app}/dev" {{ capabilities = ["create", "update"] }}',
        "branch": f'path "secret/data/{app}/dev" {{ capabilities = ["create", "update", "read"] }}',
    }

    def holder(*names):
        policy = unique("importer")
        client.sys.create_or_update_policy(policy, "\n".join(rules[name] for name in names))
        return doppler.as_token(client.auth.token.create(policies=[policy])["auth"]["client_token"])

    body = {"template": template(app)}
    for names in (["project"], ["secrets"], ["branch"], ["project", "secrets"]):
        holder(*names).refused(403, "POST", IMPORT, body=body)
        doppler.refused(404, "GET", "projects/project", {"project": app})
    assert holder("project", "branch").ok("POST", IMPORT, body=body)["projects"][0]["name"] == app


def test_a_service_token_imports_nothing(doppler):
    """It is for one config."""
    app = doppler.project("dev")
    token = doppler.service_token(app, "dev", "read/write")["key"]
    doppler.as_token(token).refused(403, "POST", IMPORT, body={"template": template(unique("app"))})
