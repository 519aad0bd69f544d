"""Dynamic secrets: names of a config whose readers get credentials of a real PostgreSQL, under leases."""

import json
import shutil
import subprocess
from datetime import datetime, timezone

import pytest
from dopplersdk import DopplerSDK
from dopplersdk.models import IssueLeaseRequest

from doppler import Doppler
from support import unique, wait_until
from test_doppler_sdks import NODE_PACKAGE
from test_database import CREATE, can_log_in, connect, issue, make_role, users

pytestmark = pytest.mark.keyturn

DYNAMIC = "configs/config/dynamic_secrets"
LEASES = f"{DYNAMIC}/dynamic_secret/leases"
LEASE = f"{LEASES}/lease"


@pytest.fixture
def database(client, postgresql):
    """The path of a database mount with the role `app`."""
    with postgresql.connect() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS accounts (name text)")
    path = unique("database")
    client.sys.enable_secrets_engine("database", path=path)
    connect(client, path, postgresql)
    make_role(client, path, default_ttl="1h", max_ttl="2h")
    yield path
    client.sys.disable_secrets_engine(path)


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def where(doppler, database):
    """A project's `dev`, whose `DB` is dynamic."""
    app = doppler.project("dev")
    doppler.ok("POST", "configs/config/secrets", body={"project": app, "config": "dev", "secrets": {"PLAIN": "x"}})
    return add(doppler, {"project": app, "config": "dev"}, f"{database}/creds/app")


def add(doppler, where, path, name="DB"):
    """Makes a name dynamic; answers where it is."""
    made = doppler.ok("POST", DYNAMIC, body=where | {"name": name, "path": path})["dynamic_secret"]
    assert (made["name"], made["path"]) == (name, path)
    return where


def lease(doppler, where, ttl=600, name="DB"):
    """One lease, as it is told."""
    return doppler.ok("POST", LEASES, body=where | {"dynamic_secret": name, "ttl_sec": ttl})


def end(doppler, where, slug, name="DB"):
    """Revokes a lease."""
    return doppler.call("DELETE", LEASE, body=where | {"dynamic_secret": name, "slug": slug})


def of_values(values, name="DB"):
    """The credential among a config's values."""
    return {"username": values[f"{name}_USERNAME"], "password": values[f"{name}_PASSWORD"]}


def seconds_left(told):
    """How long a lease lives."""
    end = datetime.fromisoformat(told["expires_at"])
    return (end - datetime.now(timezone.utc)).total_seconds()


def test_a_lease_is_issued_used_and_revoked(doppler, where, database, postgresql, client):
    """Its credential logs in until it is revoked; the server's own list of leases has it."""
    told = lease(doppler, where)
    assert told["success"] is True and set(told["value"]) == {"username", "password"}
    assert told["expires_at"].endswith("Z") and 590 < seconds_left(told) < 601
    assert can_log_in(postgresql, told["value"])
    full = f"{database}/creds/app/{told['id']}"
    assert told["id"] in client.sys.list_leases(f"{database}/creds/app")["data"]["keys"]
    assert client.sys.read_lease(full)["data"]["id"] == full
    assert end(doppler, where, told["id"]).json == {"success": True}
    assert not can_log_in(postgresql, told["value"])
    assert end(doppler, where, told["id"]).status == 404


def test_a_lease_ends_by_itself(doppler, where, postgresql):
    """As soon as its seconds are over; a role's longest life is the longest that can be had."""
    told = lease(doppler, where, ttl=2)
    wait_until("the lease ends", lambda: told["value"]["username"] not in users(postgresql))
    assert not can_log_in(postgresql, told["value"])
    assert 7190 < seconds_left(lease(doppler, where, ttl=100_000)) < 7201


def test_a_lease_dies_with_the_token_that_got_it(doppler, where, postgresql):
    """A token for the config is enough to get one; its end is that of the lease."""
    token = doppler.service_token(where["project"], "dev")
    told = lease(doppler.as_token(token["key"]), {})
    assert can_log_in(postgresql, told["value"])
    assert doppler.call("DELETE", "configs/config/tokens/token", body=where | {"slug": token["slug"]}).status == 200
    wait_until("the credential is revoked", lambda: not can_log_in(postgresql, told["value"]))


def test_who_may_end_a_lease(doppler, where, database, postgresql, client):
    """Who got it, and who may revoke tokens of the config; nobody reaches leases that are not of this secret."""
    reader, other = (doppler.as_token(doppler.service_token(where["project"], "dev")["key"]) for _ in "ab")
    told = lease(reader, {})
    other.refused(403, "DELETE", LEASE, body={"dynamic_secret": "DB", "slug": told["id"]})
    assert can_log_in(postgresql, told["value"])
    assert end(reader, {}, told["id"]).status == 200
    by_root = lease(reader, {})
    assert end(doppler, where, by_root["id"]).status == 200
    assert not can_log_in(postgresql, by_root["value"])
    # The role's other leases are not the config's.
    direct = issue(client, database)
    assert end(doppler, where, direct["lease_id"].rsplit("/", 1)[1]).status == 404
    for slug in (direct["lease_id"], "../x", "", "a/b", "x" * 5000):
        assert end(doppler, where, slug).status in (400, 404), slug
    assert can_log_in(postgresql, direct["data"])
    # A name that is given again does not reach leases of before.
    told = lease(reader, {})
    assert doppler.ok("DELETE", f"{DYNAMIC}/dynamic_secret", body=where | {"dynamic_secret": "DB"}) == {"success": True}
    add(doppler, where, f"{database}/creds/app")
    assert end(doppler, where, told["id"]).status == 404
    assert can_log_in(postgresql, told["value"])


def test_downloads_and_lists_lease_when_they_are_asked_to(doppler, where, postgresql, database):
    """Each answer has a credential of its own and cannot be cached; without the wish there is none."""
    before = users(postgresql)
    plain = doppler.call("GET", "configs/config/secrets/download", where)
    assert "DB_USERNAME" not in plain.json and plain.json["PLAIN"] == "x" and "etag" in plain.headers
    names = doppler.ok("GET", "configs/config/secrets/names", where | {"include_dynamic_secrets": "true"})["names"]
    assert {"DB_USERNAME", "DB_PASSWORD", "PLAIN"} <= set(names)
    assert "DB_USERNAME" not in doppler.ok("GET", "configs/config/secrets/names", where)["names"]
    assert not users(postgresql) - before, "names are no values"
    wish = where | {"include_dynamic_secrets": "true", "dynamic_secrets_ttl_sec": "900"}
    seen = []
    for _ in range(2):
        answer = doppler.call("GET", "configs/config/secrets/download", wish, headers={"If-None-Match": "*"})
        assert answer.status == 200 and "etag" not in answer.headers
        assert answer.json["PLAIN"] == "x" and can_log_in(postgresql, of_values(answer.json))
        seen.append(answer.json["DB_USERNAME"])
    listed = doppler.ok("GET", "configs/config/secrets", wish)["secrets"]
    assert listed["PLAIN"]["raw"] == "x" and listed["DB_PASSWORD"]["rawVisibility"] == "masked"
    assert can_log_in(postgresql, {"username": listed["DB_USERNAME"]["computed"], "password": listed["DB_PASSWORD"]["raw"]})
    assert len({*seen, listed["DB_USERNAME"]["computed"]}) == 3
    # Only what is wanted is leased.
    before = users(postgresql)
    only = doppler.ok("GET", "configs/config/secrets/download", wish | {"secrets": "PLAIN"})
    assert only == {"PLAIN": "x"} and not users(postgresql) - before
    only = doppler.ok("GET", "configs/config/secrets/download", wish | {"secrets": "DB_USERNAME"})
    assert list(only) == ["DB_USERNAME"]
    text = doppler.call("GET", "configs/config/secrets/download", wish | {"format": "env", "name_transformer": "lower-snake"})
    assert b'db_username="' in text.body


def test_what_fails_leaves_nothing_behind(doppler, where, postgresql, database, client):
    """Of several that are leased for one answer, all or none; what can be known before is said before."""
    make_role(client, database, "broken", statements="CREATE ROLE \"{{name}}\" WITH NONSENSE")
    add(doppler, where, f"{database}/creds/broken", "ZZ")
    before = users(postgresql)
    wish = where | {"include_dynamic_secrets": "true"}
    text = doppler.refused(400, "GET", "configs/config/secrets/download", wish)
    assert text.startswith("Dynamic secret ZZ cannot be issued: statement 1 failed")
    wait_until("all is revoked", lambda: not users(postgresql) - before)
    doppler.ok("POST", "configs/config/secrets", body=where | {"secrets": {"DB__USERNAME": "x"}})
    clash = wish | {"name_transformer": "camel", "secrets": "DB__USERNAME,DB_USERNAME"}
    assert "would both be called" in doppler.refused(400, "GET", "configs/config/secrets/download", clash)
    assert not users(postgresql) - before
    for seconds in ("0", "-1", "x", "1.5", "99999999999", "4294967297"):
        doppler.refused(400, "GET", "configs/config/secrets/download", wish | {"dynamic_secrets_ttl_sec": seconds})
        doppler.refused(400, "GET", "configs/config/secrets", wish | {"dynamic_secrets_ttl_sec": seconds})
    for seconds in (0, -1, "x", 1.5, 2**31, [1], {}):
        doppler.refused(400, "POST", LEASES, body=where | {"dynamic_secret": "DB", "ttl_sec": seconds})
    assert not users(postgresql) - before
    client.delete(f"{database}/roles/app")
    text = doppler.refused(400, "POST", LEASES, body=where | {"dynamic_secret": "DB", "ttl_sec": 60})
    assert "unknown role: app" in text


def test_a_database_that_is_down(doppler, where, client, database):
    """Says so with a status that lets the command line fall back to what it kept."""
    client.secrets.database.configure("dead", plugin_name="postgresql-database-plugin", mount_point=database,
                                      allowed_roles=["*"], username="u", password="hidden", verify_connection=False,
                                      connection_url="postgresql://{{username}}:{{password}}@127.0.0.1:1/x?sslmode=disable")
    make_role(client, database, "dead", db_name="dead")
    add(doppler, where, f"{database}/creds/dead", "DEAD")
    for method, path, query, body in [("POST", LEASES, None, where | {"dynamic_secret": "DEAD", "ttl_sec": 60}),
                                      ("GET", "configs/config/secrets/download", where | {"include_dynamic_secrets": "true"}, None)]:
        text = doppler.refused(503, method, path, query, body)
        assert "Dynamic secret DEAD cannot be issued: target is not reachable" in text and "hidden" not in text
    assert doppler.ok("GET", "configs/config/secrets/download", where)["PLAIN"] == "x"
    # What may have been made where nobody answers is waited for, unless somebody says otherwise.
    client.sys.revoke_force(f"{database}/creds/dead")


def test_nobody_hands_on_what_is_not_theirs(doppler, where, database, client, postgresql):
    """Making a name needs the role's credentials; leasing one needs the config alone, and that."""
    app = where["project"]
    client.sys.create_or_update_policy("maker", f'path "secret/metadata/{app}/dev" {{ capabilities = ["read", "create", "update"] }}')
    maker = doppler.as_token(client.auth.token.create(policies=["maker"])["auth"]["client_token"])
    body = where | {"name": "MORE", "path": f"{database}/creds/app"}
    maker.refused(403, "POST", DYNAMIC, body=body)
    client.sys.create_or_update_policy("reads", f'path "{database}/creds/app" {{ capabilities = ["read"] }}')
    both = doppler.as_token(client.auth.token.create(policies=["maker", "reads"])["auth"]["client_token"])
    assert both.ok("POST", DYNAMIC, body=body)["dynamic_secret"]["name"] == "MORE"
    both.refused(403, "POST", LEASES, body=where | {"dynamic_secret": "MORE", "ttl_sec": 60})
    service = doppler.as_token(doppler.service_token(app, "dev")["key"])
    service.refused(403, "POST", DYNAMIC, body={"name": "X", "path": f"{database}/creds/app"})
    service.refused(403, "DELETE", f"{DYNAMIC}/dynamic_secret", body={"dynamic_secret": "DB"})
    assert [each["name"] for each in service.ok("GET", DYNAMIC)["dynamic_secrets"]] == ["DB", "MORE"]
    assert can_log_in(postgresql, lease(service, {}, name="MORE")["value"])
    doppler.as_token("dp.st.dev.nothing").refused(401, "POST", LEASES, body={"dynamic_secret": "DB", "ttl_sec": 60})
    other = doppler.as_token(doppler.service_token(doppler.project("dev"), "dev")["key"])
    other.refused(403, "POST", LEASES, body=where | {"dynamic_secret": "DB", "ttl_sec": 60})
    other.refused(404, "POST", LEASES, body={"dynamic_secret": "DB", "ttl_sec": 60})


def test_names_and_paths_that_cannot_be(doppler, where, database, client):
    """Each is refused, and nothing is there afterwards."""
    good = f"{database}/creds/app"
    for name in ("", "db", "1X", "A-B", "A B", "A/B", "A\"B", "Ä", "X" * 192, "../X", "A\0B"):
        doppler.refused(400, "POST", DYNAMIC, body=where | {"name": name, "path": good})
    for path in ("", "secret/data/x", f"{database}/creds/none", f"{database}/roles/app", f"{database}/creds/", "sys/seal",
                 f"{database}/creds/app/x", f"{database}/creds/../roles/app", "nothing/creds/app", f"/{good}"):
        doppler.refused(400, "POST", DYNAMIC, body=where | {"name": "OK", "path": path})
    doppler.refused(409, "POST", DYNAMIC, body=where | {"name": "DB", "path": good})
    doppler.refused(409, "POST", DYNAMIC, body=where | {"name": "DB_USERNAME", "path": good})
    doppler.refused(409, "POST", DYNAMIC, body=where | {"name": "PLAIN", "path": good})
    doppler.refused(404, "POST", DYNAMIC, body={"project": where["project"], "config": "none", "name": "OK", "path": good})
    for name in ("none", "db", "PLAIN", "../DB", "DB\0", "x" * 5000):
        doppler.refused(404, "POST", LEASES, body=where | {"dynamic_secret": name, "ttl_sec": 60})
        doppler.refused(404, "DELETE", f"{DYNAMIC}/dynamic_secret", body=where | {"dynamic_secret": name})
    assert [each["name"] for each in doppler.ok("GET", DYNAMIC, where)["dynamic_secrets"]] == ["DB"]
    # No plain secret takes its names; what another API writes by them stands behind the lease.
    for name in ("DB", "DB_USERNAME", "DB_PASSWORD"):
        text = doppler.refused(400, "POST", "configs/config/secrets", body=where | {"secrets": {name: "x"}})
        assert "belongs to the dynamic secret DB" in text
    rename = [{"name": "DB_USERNAME", "originalName": "PLAIN", "value": None}]
    doppler.refused(400, "POST", "configs/config/secrets", body=where | {"change_requests": rename})
    client.secrets.kv.v2.patch(f"{where['project']}/dev", {"DB_PASSWORD": "by another door"})
    plain = doppler.ok("GET", "configs/config/secrets/download", where)
    assert plain["DB_PASSWORD"] == "by another door"
    leased = doppler.ok("GET", "configs/config/secrets/download", where | {"include_dynamic_secrets": "true"})
    assert leased["DB_PASSWORD"] != "by another door"
    doppler.ok("POST", "configs/config/secrets", body=where | {"secrets": {"DB_PASSWORD": None}})


def test_branches_bases_renames_and_clones(doppler, where, database, postgresql):
    """Inherited as values are, overridden by a plain value, and following their config."""
    app, wish = where["project"], {"include_dynamic_secrets": "true"}
    branch = {"project": app, "config": "dev_x"}
    doppler.ok("POST", "configs", body={"project": app, "environment": "dev", "name": "dev_x"})
    assert can_log_in(postgresql, of_values(doppler.ok("GET", "configs/config/secrets/download", branch | wish)))
    reader = doppler.as_token(doppler.service_token(app, "dev_x")["key"])
    assert can_log_in(postgresql, lease(reader, {})["value"])
    # Half of it by the branch itself: the other half would be of no use.
    doppler.ok("POST", "configs/config/secrets", body=branch | {"secrets": {"DB_PASSWORD": "own"}})
    values = doppler.ok("GET", "configs/config/secrets/download", branch | wish)
    assert values["DB_PASSWORD"] == "own" and "DB_USERNAME" not in values
    reader.refused(404, "POST", LEASES, body={"dynamic_secret": "DB", "ttl_sec": 60})
    doppler.ok("POST", "configs/config/secrets", body=branch | {"secrets": {"DB_PASSWORD": None}})
    add(doppler, branch, f"{database}/creds/app", "OWN")
    told = lease(reader, {}, name="OWN")
    doppler.ok("POST", "configs/config", body=branch | {"name": "dev_y"})
    assert end(reader, {}, told["id"], "OWN").status == 200
    assert not can_log_in(postgresql, told["value"])
    moved = {"project": app, "config": "dev_y"}
    told = lease(doppler, moved, name="OWN")
    doppler.ok("POST", "configs/config/clone", body=moved | {"name": "dev_z"})
    copy = {"project": app, "config": "dev_z"}
    assert can_log_in(postgresql, lease(doppler, copy, name="OWN")["value"])
    assert end(doppler, copy, told["id"], "OWN").status == 404
    # One that is deleted with its config does not come back with another of its name.
    assert doppler.call("DELETE", "configs/config", body=moved).status in (200, 204)
    doppler.ok("POST", "configs", body={"project": app, "environment": "dev", "name": "dev_y"})
    assert doppler.ok("GET", DYNAMIC, moved)["dynamic_secrets"] == []


def test_a_mount_that_goes_takes_its_leases(doppler, database, client, postgresql, where):
    """And what stood for its roles stands for nothing, also where another is mounted in its place."""
    told = lease(doppler, where)
    client.sys.disable_secrets_engine(database)
    wait_until("the credential is revoked", lambda: not can_log_in(postgresql, told["value"]))
    client.sys.enable_secrets_engine("database", path=database)
    connect(client, database, postgresql)
    make_role(client, database, statements=CREATE)
    doppler.refused(404, "POST", LEASES, body=where | {"dynamic_secret": "DB", "ttl_sec": 60})
    assert doppler.ok("GET", DYNAMIC, where)["dynamic_secrets"][0]["path"] == ""
    assert doppler.ok("GET", "configs/config/secrets/download", where | {"include_dynamic_secrets": "true"})["PLAIN"] == "x"


def test_each_lease_is_recorded(server, doppler, where, database, client, tmp_path):
    """At the path of its role, before it is made, with whose token it was; no password in clear."""
    log = tmp_path / "audit.log"
    client.sys.enable_audit_device("file", options={"file_path": str(log)}, path="dynamic")
    try:
        values = doppler.ok("GET", "configs/config/secrets/download", where | {"include_dynamic_secrets": "true"})
        told = lease(doppler, where)
        end(doppler, where, told["id"])
    finally:
        client.sys.disable_audit_device("dynamic")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    at_role = [(e["type"], e["request"]["operation"]) for e in entries if e["request"]["path"] == f"{database}/creds/app"]
    assert at_role == [("request", "read"), ("response", "read")] * 2
    ended = [e["request"]["operation"] for e in entries if e["request"]["path"] == f"{database}/creds/app/{told['id']}"]
    assert ended == ["delete", "delete"]
    assert values["DB_PASSWORD"] not in log.read_text() and told["value"]["password"] not in log.read_text()


def test_the_command_line(keyturn, doppler, database, postgresql):
    """Makes, lists and takes away; what it makes is leased."""
    app = doppler.project("dev")
    config = ["--project", app, "--config", "dev"]
    assert b"DB_USERNAME" in keyturn("doppler-dynamic", "create", *config, "DB", "--path", f"{database}/creds/app").stdout
    assert f"{database}/creds/app".encode() in keyturn("doppler-dynamic", "list", *config).stdout
    told = json.loads(keyturn("doppler-dynamic", "list", *config, "--format", "json").stdout)
    assert [one["name"] for one in told] == ["DB"]
    leased = lease(doppler, {"project": app, "config": "dev"})
    full = f"{database}/creds/app/{leased['id']}"
    assert leased["id"].encode() in keyturn("lease", "list", f"{database}/creds/app").stdout
    keyturn("lease", "revoke", full)
    wait_until("the credential is revoked", lambda: not can_log_in(postgresql, leased["value"]))
    keyturn("doppler-dynamic", "delete", *config, "DB")
    assert json.loads(keyturn("doppler-dynamic", "list", *config, "--format", "json").stdout) == []


def test_the_python_sdk(server, where, postgresql):
    """Issues and lists; it sends no body with a delete, so that it can revoke nowhere."""
    sdk = DopplerSDK(access_token=server.token)
    sdk.set_base_url(server.address)
    told = sdk.dynamic_secrets.issue_lease(IssueLeaseRequest(**where, dynamic_secret="DB", ttl_sec=600))
    assert told.success is True and can_log_in(postgresql, told.value)
    listed = sdk.secrets.list(config="dev", project=where["project"], include_dynamic_secrets=True,
                              dynamic_secrets_ttl_sec=600).secrets
    credential = {"username": listed["DB_USERNAME"]["computed"], "password": listed["DB_PASSWORD"]["computed"]}
    assert can_log_in(postgresql, credential)


NODE = """
import module from '@dopplerhq/node-sdk'
const DopplerSDK = module.default ?? module
const [url, accessToken, project] = process.argv.slice(2)
const sdk = new DopplerSDK({ accessToken })
sdk.setBaseUrl(url)
const which = { project, config: 'dev', dynamic_secret: 'DB' }
const lease = await sdk.dynamicSecrets.issueLease({ ...which, ttl_sec: 600 })
console.log(JSON.stringify(lease))
"""


def test_the_node_sdk(server, where, postgresql, tmp_path):
    """Issues from Node. Installed from npm for this test."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("Node is not installed")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "drive.js").write_text(NODE)
    installed = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", NODE_PACKAGE],
                               cwd=tmp_path, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        pytest.skip("the package cannot be had")
    done = subprocess.run(["node", "drive.js", server.address, server.token, where["project"]], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert can_log_in(postgresql, json.loads(done.stdout)["value"])
