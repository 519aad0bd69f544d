"""The stream that tells of changes, read as the command line reads it: what one read gives is one event."""

import json
import signal
import socket
from urllib.parse import urlencode, urlsplit

import pytest

from aws import create_key
from doppler import Doppler
from support import wait_until
from test_doppler_secrets import SECRETS, Config

pytestmark = pytest.mark.keyturn


@pytest.fixture
def doppler(server):
    """Doppler's API with the root token."""
    return Doppler(server)


@pytest.fixture
def dev(doppler):
    """The config `dev` of a project with two environments."""
    return Config(doppler, doppler.project("dev", "prd"), "dev")


class Stream:
    """An open stream. Its events come chunk by chunk, each of which must hold exactly one."""

    def __init__(self, config, token=None):
        host = urlsplit(config.doppler.server.address)
        self.socket = socket.create_connection((host.hostname, host.port), timeout=20)
        path = f"/v3/{SECRETS}/watch?{urlencode(config.place)}"
        token = token or config.doppler.token
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n"
        self.socket.sendall(request.encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, value = line.decode().split(": ", 1)
            self.headers[name.lower()] = value

    def __enter__(self):
        assert self.status == 200, self.status
        assert self.headers["content-type"] == "text/event-stream"
        assert self.event() == "connected"
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def chunk(self):
        """The next chunk; empty: the stream has ended, as it should or by force."""
        size = int(self.file.readline().strip() or b"0", 16)
        chunk = self.file.read(size)
        self.file.readline()
        return chunk

    def event(self):
        """The type of the next event, or None at the end. Its framing is what the command line takes."""
        chunk = self.chunk()
        if not chunk:
            return None
        assert len(chunk) < 1024
        first, second, *rest = chunk.decode().split("\n")
        assert first == "event: message" and second.startswith("data: ") and rest == ["", ""], chunk
        return json.loads(second.removeprefix("data: "))["type"]

    def update(self):
        """Waits for an update; pings may come before it."""
        while (event := self.event()) == "ping":
            pass
        return event == "secrets.update"

    def ends(self):
        """Waits for the end; nothing but pings and updates may come before it."""
        while (event := self.event()) in ("ping", "secrets.update"):
            pass
        return event is None


def test_a_write_through_any_door_is_told(dev, client, server, policy):
    """Doppler's own, Vault's and AWS's; what changes nothing is not told."""
    dev.set(A="1")
    name = f"{dev.project}/dev"
    with Stream(dev) as stream:
        dev.set(A="2")
        assert stream.update()
        dev.set(A="2")
        dev.sibling("prd").set(A="x")
        client.secrets.kv.v2.patch(name, {"A": "3"}, mount_point="secret")
        assert stream.update()
        everything = policy('path "secret/*" { capabilities = ["create", "read", "update"] }')
        create_key(server, everything).client("secretsmanager").put_secret_value(
            SecretId=name, SecretString='{"A": "4"}')
        assert stream.update() and dev.raw() == {"A": "4"}
        client.secrets.kv.v2.delete_latest_version_of_secret(name, mount_point="secret")
        assert stream.update() and dev.raw() == {}


def test_no_write_is_missed(dev, client):
    """A stream is told at once, and so before the writer is answered: also then it sees what was written."""
    dev.set(A="0")
    with Stream(dev) as stream:
        stream.socket.settimeout(5)
        for number in range(1, 31):
            client.secrets.kv.v2.create_or_update_secret(
                f"{dev.project}/dev", secret={"A": str(number)}, mount_point="secret")
            assert stream.update(), number


def test_what_is_inherited_and_referred_to_is_followed(dev, doppler):
    """A root's change and a far target's reach those who show them; new references are followed as well."""
    far = Config(doppler, doppler.project("stg"), "stg")
    far.set(NAME="one", OTHER="1")
    doppler.ok("POST", "configs", body={"project": dev.project, "name": "dev_x", "environment": "dev"})
    with Stream(dev.sibling("dev_x")) as stream:
        dev.set(A=f"${{{far.project}.stg.NAME}}")
        assert stream.update()
        far.set(NAME="two")
        assert stream.update()


def test_a_stream_is_for_those_who_may_read(dev, doppler):
    """As any other read."""
    other = doppler.service_token(dev.project, "prd")["key"]
    for token, status in ((other, 403), ("dp.st.dev.x", 401)):
        stream = Stream(dev, token)
        assert stream.status == status
        stream.socket.close()
    doppler.refused(404, "GET", f"{SECRETS}/watch", dev.place | {"config": "nope"})


def test_a_stream_ends_with_its_token_and_its_right(dev, doppler, client, policy):
    """Revocation ends it, as does a policy that is another, without a change of the config."""
    dev.set(A="1")
    made = doppler.service_token(dev.project, "dev")
    with Stream(dev, made["key"]) as stream:
        answer = doppler.call("DELETE", "configs/config/tokens/token", body=dev.place | {"slug": made["slug"]})
        assert answer.status in (200, 204)
        assert stream.ends()
    name = policy(f'path "secret/data/{dev.project}/dev" {{ capabilities = ["read"] }}')
    token = client.auth.token.create(policies=[name])["auth"]["client_token"]
    with Stream(dev, token) as stream:
        client.sys.create_or_update_acl_policy(name, 'path "secret/data/other" { capabilities = ["read"] }')
        assert stream.ends()


def test_a_stream_ends_with_its_config(dev, doppler):
    """A config that is deleted has no more to tell."""
    with Stream(dev.sibling("prd")) as stream:
        doppler.call("DELETE", "environments/environment", {"project": dev.project, "environment": "prd"})
        assert stream.ends()


def test_a_seal_and_a_stop_end_streams(own_server):
    """Sealing is not put off by a stream, and neither is the end of the process."""
    client = own_server.client()
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    doppler = Doppler(own_server)
    dev = Config(doppler, doppler.project("dev"), "dev")
    with Stream(dev) as stream:
        client.sys.seal()
        assert stream.ends()
    own_server.unseal()
    with Stream(dev) as stream:
        own_server.signal(signal.SIGTERM)
        assert stream.ends()
    wait_until("the process has ended", lambda: own_server.answers() is None)


def test_streams_that_are_left_make_room(dev):
    """A client that goes away takes its stream with it; many may follow one config."""
    dev.set(A="1")
    for _ in range(3):
        streams = [Stream(dev).__enter__() for _ in range(40)]
        dev.set(A=str(len(streams)))
        for stream in streams:
            assert stream.event() in ("secrets.update", "ping")
            stream.socket.close()
        dev.set(A="0")
