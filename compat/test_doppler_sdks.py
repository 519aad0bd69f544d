"""Doppler's own SDKs for Python and Node, unchanged, with nothing but their base URL set."""

import json
import shutil
import subprocess

import pytest
from dopplersdk import DopplerSDK
from dopplersdk.models import CreateRequest, EnvironmentsCreateRequest, ServiceTokensCreateRequest

from doppler import Doppler
from support import unique

pytestmark = pytest.mark.keyturn

NODE_PACKAGE = "@dopplerhq/node-sdk@1.3.0"

SCRIPT = """
import module from '@dopplerhq/node-sdk'
const DopplerSDK = module.default ?? module
const [url, accessToken, project] = process.argv.slice(2)
const sdk = new DopplerSDK({ accessToken })
sdk.setBaseUrl(url)
const seen = {}
seen.me = (await sdk.auth.me()).name
seen.created = (await sdk.projects.create({ name: project, description: 'by node' })).project.slug
await sdk.environments.create({ name: 'Development', slug: 'dev' }, project)
seen.environments = (await sdk.environments.list(project)).environments.map(e => e.id)
await sdk.configs.create({ project, environment: 'dev', name: 'dev_node' })
seen.configs = (await sdk.configs.list(project)).configs.map(c => c.name)
const made = await sdk.serviceTokens.create({ project, config: 'dev', name: 'ci', access: 'read' })
seen.token = made.token.key.slice(0, 10)
seen.tokens = (await sdk.serviceTokens.list(project, 'dev')).tokens.length
try { await sdk.projects.get('nothing') } catch (error) { seen.missing = error.statusCode }
console.log(JSON.stringify(seen))
"""


def test_the_python_sdk(server):
    """Reads what it makes; its deletes send no body and so cannot name what to delete anywhere."""
    sdk = DopplerSDK(access_token=server.token)
    sdk.set_base_url(server.address)
    assert sdk.auth.me().name == "root"
    app = unique("py")
    assert sdk.projects.create(CreateRequest(name=app, description="by python")).project["slug"] == app
    assert app in [project["slug"] for project in sdk.projects.list(per_page=1000).projects]
    sdk.environments.create(app, EnvironmentsCreateRequest(name="Development", slug="dev"))
    assert [config["name"] for config in sdk.configs.list(app).configs] == ["dev"]
    # Its model of the answer has no member for the token, whoever answers; the list shows that it was made.
    sdk.service_tokens.create(ServiceTokensCreateRequest(project=app, config="dev", name="ci", access="read"))
    assert len(sdk.service_tokens.list("dev", app).tokens) == 1
    assert sdk.activity_logs.list(per_page=1).logs[0]["project"] == app
    Doppler(server).ok("DELETE", "projects/project", {"project": app})


def test_the_node_sdk(server, tmp_path):
    """The same from Node, whose deletes send a body that HTTP does not see. Installed from npm for this test."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("Node is not installed")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "drive.js").write_text(SCRIPT)
    installed = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", NODE_PACKAGE],
                               cwd=tmp_path, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        pytest.skip("the package cannot be had")
    app = unique("node")
    done = subprocess.run(["node", "drive.js", server.address, server.token, app], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen == {"me": "root", "created": app, "environments": ["dev"], "configs": ["dev", "dev_node"],
                    "token": "dp.st.dev.", "tokens": 1, "missing": 404}
