"""Webhooks: whatever changes a config, through whichever API, is told, signed, and not lost."""

import hashlib
import hmac
import json

import pytest

import certificates
import harness
from doppler import Doppler
from listeners import Receiver
from support import unique, wait_until

pytestmark = pytest.mark.keyturn


@pytest.fixture
def setting(tmp_path):
    """A server that trusts a receiver of the test's own, and that receiver."""
    authority = certificates.Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    receiver = Receiver("/hook", 200, files=authority.server_files(tmp_path))
    server = harness.configured_server(tmp_path)
    server.stop()
    server.environment["SSL_CERT_FILE"] = str(tmp_path / "ca.pem")
    server.start()
    server.initialise()
    client = server.client()
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    yield server, receiver, client
    server.stop()
    receiver.close()


def write(client, path, **fields):
    """A version, written through Vault's API."""
    client.secrets.kv.v2.create_or_update_secret(path, secret=fields, mount_point="secret")


def test_a_change_through_another_door_is_told(setting):
    """Names and no values, signed with the webhook's secret over the very bytes."""
    server, receiver, client = setting
    doppler = Doppler(server)
    app = doppler.project("dev", "prd")
    write(client, f"{app}/dev", A="old-value", B="gone-value")
    body = {"url": receiver.url, "secret": "s3cret", "name": "deploy", "payload": '{"team": "core"}',
            "authentication": {"type": "Bearer", "token": "t0ken"}}
    made = doppler.ok("POST", "webhooks", {"project": app}, body)["webhook"]
    assert made["enabled"] is True and "s3cret" not in json.dumps(made) and "t0ken" not in json.dumps(made)
    write(client, f"{app}/dev", A="new-value", C="added-value")
    wait_until("the webhook is told", lambda: receiver.got)
    headers, raw = receiver.got[0]
    signature = hmac.new(b"s3cret", raw, hashlib.sha256).hexdigest()
    assert headers["X-Doppler-Signature"] == f"sha256={signature}" and headers["Authorization"] == "Bearer t0ken"
    told = json.loads(raw)
    assert told["type"] == "config.secrets.update" and told["team"] == "core"
    assert told["diff"] == {"added": ["C"], "removed": ["B"], "updated": ["A"]}
    assert (told["config"]["name"], told["project"]["slug"]) == ("dev", app)
    assert b"value" not in raw


def test_only_the_configs_that_are_enabled(setting):
    """Others are not told of, nor is anything while the webhook is off."""
    server, receiver, client = setting
    doppler = Doppler(server)
    app = doppler.project("dev", "prd")
    query = {"project": app}
    made = doppler.ok("POST", "webhooks", query, {"url": receiver.url, "enableConfigs": ["prd"]})["webhook"]
    write(client, f"{app}/dev", A="1")
    doppler.ok("POST", f"webhooks/webhook/{made['id']}/disable", query)
    write(client, f"{app}/prd", A="1")
    doppler.ok("POST", f"webhooks/webhook/{made['id']}/enable", query)
    write(client, f"{app}/prd", A="1", B="2")
    wait_until("the webhook is told", lambda: receiver.got)
    told = [json.loads(body) for _, body in receiver.got]
    assert [(t["config"]["name"], t["diff"]["added"]) for t in told] == [("prd", ["B"])]
    assert "X-Doppler-Signature" not in receiver.got[0][0]
    assert doppler.ok("DELETE", f"webhooks/webhook/{made['id']}", query) == {"success": True}
    doppler.refused(404, "GET", f"webhooks/webhook/{made['id']}", query)


def test_a_message_survives_a_receiver_that_fails_and_a_crash(setting):
    """It is sent again until it is taken; a kill in between loses nothing, and it carries the same id."""
    server, receiver, client = setting
    doppler = Doppler(server)
    app = doppler.project("dev")
    doppler.ok("POST", "webhooks", {"project": app}, {"url": receiver.url})
    receiver.status = 500
    write(client, f"{app}/dev", A="1")
    wait_until("the first attempt", lambda: receiver.got)
    server.kill()
    receiver.status = 200
    server.start()
    server.unseal()
    wait_until("the second attempt", lambda: len(receiver.got) > 1)
    assert len({headers["X-Delivery-Id"] for headers, _ in receiver.got}) == 1


def test_what_changed_while_the_server_was_down_for_it_is_told_after(setting):
    """A change is never between two chairs: killed right after the write, the message still comes."""
    server, receiver, client = setting
    doppler = Doppler(server)
    app = doppler.project("dev")
    doppler.ok("POST", "webhooks", {"project": app}, {"url": receiver.url})
    write(client, f"{app}/dev", A="1")
    server.kill()
    server.start()
    server.unseal()
    wait_until("the webhook is told", lambda: receiver.got)


def test_unfit_webhooks_are_refused(server):
    """Plain HTTP, other schemes, a user in the URL, the host's own cloud, payloads that are no object."""
    doppler = Doppler(server)
    app = doppler.project("dev")
    good = {"url": "https://receiver.example/x"}
    for wrong in ({"url": "http://receiver.example/"}, {"url": "file:///etc/passwd"}, {"url": "https://a:b@c/"},
                  {"url": "https://169.254.169.254/latest"}, {"payload": "[1]"}, {"payload": "{"},
                  {"authentication": {"type": "Other"}}, {"authentication": {"type": "Basic"}}, {"url": None}):
        doppler.refused(400, "POST", "webhooks", {"project": app}, good | wrong)
    assert doppler.ok("GET", "webhooks", {"project": app})["webhooks"] == []
    assert unique("x")
