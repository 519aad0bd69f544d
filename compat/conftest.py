"""Fixtures: a server for the whole run, fresh servers for tests that seal or kill one, mounts of a test's own."""

import pytest

import api_table
import aws_model
import harness
from differences import DIFFERENCES
from support import unique

OTHER_SERVER = bool(harness.OTHER_ADDRESS)
# The fixtures `postgresql`, `mariadb` and `redis`.
pytest_plugins = ["databases"]


def pytest_addoption(parser):
    """`--write-table`: see `api_table.py`."""
    parser.addoption("--write-table", action="store_true", help="write the table of hvac's methods to the documentation")


def pytest_configure(config):
    """Records which of hvac's methods the tests see working."""
    config.pluginmanager.register(api_table.Plugin(config.getoption("--write-table"), OTHER_SERVER), "api-table")


def pytest_collection_modifyitems(items):
    """Against another server: skips what only Keyturn promises, and expects the known differences to show."""
    if not OTHER_SERVER:
        return
    for item in items:
        name = f"{item.path.name}::{item.name}"
        if item.get_closest_marker("keyturn"):
            item.add_marker(pytest.mark.skip(reason="a promise of Keyturn alone"))
        elif "fresh_server" in item.fixturenames and not harness.OTHER_UNINITIALISED:
            item.add_marker(pytest.mark.skip(reason="KEYTURN_COMPAT_UNINITIALISED is not set"))
        elif name in DIFFERENCES:
            item.add_marker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server under test: unsealed, `secret/` mounted as KV v2, with a root token."""
    if OTHER_SERVER:
        yield harness.Server(harness.OTHER_ADDRESS, harness.OTHER_TOKEN, is_keyturn=False)
        return
    process = harness.dev_server(tmp_path_factory.mktemp("dev"))
    yield process
    process.stop()


@pytest.fixture
def fresh_server(tmp_path):
    """An uninitialised server of the test's own, with file storage, plain HTTP and no seal but shares."""
    process = harness.configured_server(tmp_path)
    yield process
    process.stop()


@pytest.fixture
def own_server(fresh_server):
    """A server of the test's own, initialised with one share and unsealed."""
    fresh_server.initialise()
    return fresh_server


@pytest.fixture
def keyturn(server, tmp_path):
    """Runs the command line as root, in a home of its own, and expects an exit code."""

    def run(*arguments, expect=0, **options):
        done = harness.run_keyturn(server, *arguments, home=tmp_path, **options)
        assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def client(server):
    """hvac with the root token."""
    return server.client()


@pytest.fixture
def kv1(client):
    """The path of an empty KV v1 mount."""
    yield from _mounted(client, "kv", {"version": "1"})


@pytest.fixture
def kv2(client):
    """The path of an empty KV v2 mount."""
    yield from _mounted(client, "kv", {"version": "2"})


def _mounted(client, kind, options):
    path = unique(kind)
    client.sys.enable_secrets_engine(kind, path=path, options=options)
    yield path
    client.sys.disable_secrets_engine(path)


@pytest.fixture
def approle(client):
    """The path of an AppRole auth method."""
    yield from _auth_method(client, "approle")


@pytest.fixture
def userpass(client):
    """The path of a userpass auth method."""
    yield from _auth_method(client, "userpass")


def _auth_method(client, kind):
    path = unique(kind)
    client.sys.enable_auth_method(kind, path=path)
    yield path
    client.sys.disable_auth_method(path)


@pytest.fixture
def policy(client):
    """Writes policies that vanish after the test: `policy(text)` returns the new one's name."""
    written = []

    def write(text):
        name = unique("policy")
        client.sys.create_or_update_acl_policy(name, text)
        written.append(name)
        return name

    yield write
    for name in written:
        client.sys.delete_acl_policy(name)


@pytest.fixture
def limited(server, client, policy):
    """hvac clients that may do little: `limited(policy_text, **token_options)`."""

    def make(text, **options):
        made = client.auth.token.create(policies=[policy(text)], **options)
        return server.client(made["auth"]["client_token"])

    return make


@pytest.fixture
def identity(client):
    """hvac's identity methods, as root."""
    return client.secrets.identity


@pytest.fixture
def entity(identity):
    """Makes entities that vanish after the test: `entity(**fields)` returns the new one's id."""
    made = []

    def make(name=None, **fields):
        answer = identity.create_or_update_entity(name or unique("entity"), **fields)
        made.append(answer["data"]["id"])
        return made[-1]

    yield make
    for entity_id in made:
        identity.delete_entity(entity_id)


@pytest.fixture
def group(identity):
    """Makes groups that vanish after the test: `group(**fields)` returns the new one's id."""
    made = []

    def make(name=None, **fields):
        answer = identity.create_or_update_group(name or unique("group"), **fields)
        made.append(answer["data"]["id"])
        return made[-1]

    yield make
    for group_id in made:
        identity.delete_group(group_id)


@pytest.fixture
def accessor(client, userpass):
    """The accessor of a userpass mount."""
    return client.sys.list_auth_methods()[f"{userpass}/"]["accessor"]


@pytest.fixture
def login(server, client, userpass, identity):
    """Logs a user in, made at the first time: `login(name)` returns the `auth` part of the answer."""
    made = {}

    def log_in(name, policies=""):
        if name not in made:
            client.auth.userpass.create_or_update_user(name, password="pw", policies=policies, mount_point=userpass)
        auth = server.client("").auth.userpass.login(name, "pw", mount_point=userpass)["auth"]
        made[name] = auth["entity_id"]
        return auth

    yield log_in
    for entity_id in made.values():
        identity.delete_entity(entity_id)


@pytest.fixture(scope="session")
def aws_key(server):
    """An access key that may do everything."""
    return aws_model.make_key(server)


@pytest.fixture(scope="session")
def sm(server, aws_key):
    """boto3's client of Secrets Manager; its every answer is checked against the service's model."""
    return aws_model.client(aws_key)


@pytest.fixture
def sm_limited(server, policy):
    """Such clients that may do little: `sm_limited(policy_text)`."""
    return lambda text: aws_model.client(aws_model.make_key(server, [policy(text)]))
