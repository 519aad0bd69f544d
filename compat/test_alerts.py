"""Alerts: rules in keyturn.toml, `sys/alerts`, `/metrics`, signed webhooks, and `keyturn status` with its exit codes."""

import base64
import hashlib
import hmac
import json
import subprocess

import hvac
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import aws_model
import certificates
import harness
import listeners
import wire
from support import refused, unique, wait_until

pytestmark = pytest.mark.keyturn

KEY = "a key that messages are signed with"


class Receiver(listeners.Receiver):
    """Takes messages on a port of its own, which it keeps over its absences."""

    def __init__(self, port=0):
        super().__init__("/alerts", 204, port)

    def bodies(self, kind=None, rule=None):
        """What came, by `type` and rule; each signature is verified on the way."""
        found = []
        for headers, body in list(self.got):
            verify(headers, body)
            message = json.loads(body)
            if kind in (None, message["type"]) and rule in (None, message["data"]["rule"]):
                found.append(message)
        return found


def verify(headers, body, key=KEY):
    """As Standard Webhooks say."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert headers["Content-Type"].startswith("application/json")


def start(tmp_path, more):
    """A server with that configuration, initialised, with `secret/` mounted."""
    server = harness.configured_server(tmp_path, more=more)
    server.initialise()
    server.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    return server


def webhook(tmp_path, receiver, more=""):
    """The section of a receiver whose key lies in a private file."""
    secret = tmp_path / "webhook.key"
    secret.write_text(KEY + "\n")
    secret.chmod(0o600)
    return f'[[alerts.webhook]]\nurl = "{receiver.url}"\nname = "ops"\nsecret_file = "webhook.key"\n{more}\n'


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def told(tmp_path, receiver):
    """A server that looks each second and tells a receiver."""
    server = start(tmp_path, f'[alerts]\ninterval = "1s"\nmetrics_subjects = 10\n{webhook(tmp_path, receiver)}')
    yield server
    server.stop()


def run(server, *arguments, expect=0, token=None):
    done = harness.run_keyturn(server, *arguments, token=token)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout.decode()


def firing(server, rule=None):
    """What fires, as `sys/alerts` says."""
    found = server.client().read("sys/alerts")["data"]["firing"]
    return [alert for alert in found if rule in (None, alert["rule"])]


def fail_a_rotation(server, name):
    """Sets up a rotation whose password policy is gone when it runs, which no further attempt would change."""
    client, policy = server.client(), unique("policy")
    client.secrets.kv.v2.create_or_update_secret(name, {"password": "canary-value"}, mount_point="secret")
    client.write(f"sys/policies/password/{policy}", policy='length = 20\nrule "charset" { charset = "ab" }')
    client.write(f"sys/rotation/secret/{name}", strategy="generated", password_policy=policy)
    client.delete(f"sys/policies/password/{policy}")
    client.write(f"sys/rotation-run/secret/{name}")
    wait_until("the rotation fails", lambda: client.read(f"sys/rotation/secret/{name}")["data"]["state"] == "failed")


def test_a_failed_rotation_fires_once_and_is_over(told, receiver):
    """Over every outlet; no message is repeated while it lasts, and none holds a value."""
    name = unique("db")
    fail_a_rotation(told, name)
    alert = wait_until("it fires", lambda: firing(told, "rotation-failed"))[0]
    assert (alert["subject"], alert["severity"]) == (f"secret/{name}", "critical")
    message = wait_until("it is told", lambda: receiver.bodies("alert.firing", "rotation-failed"))[0]
    data = message["data"]
    assert (data["subject"], data["severity"], data["status"]) == (f"secret/{name}", "critical", "firing")
    assert data["condition"] == "rotation-failed" and data["since"] and data["message"] and data["id"] == alert["id"]
    families = scrape(told)
    assert value(families, "keyturn_alerts_firing", rule="rotation-failed", severity="critical") == 1
    assert value(families, "keyturn_alert", rule="rotation-failed", severity="critical", subject=f"secret/{name}") == 1
    assert value(families, "keyturn_rotations", state="failed") == 1
    assert value(families, "keyturn_condition_subjects", condition="rotation-failed") == 1
    table = run(told, "status", "--fail-on", "failed", expect=7)
    assert f"secret/{name}" in table and "rotation-failed" in table
    run(told, "status", "--fail-on", "overdue,stragglers,irrevocable")
    told.client().delete(f"sys/rotation/secret/{name}")
    over = wait_until("that it is over is told", lambda: receiver.bodies("alert.resolved", "rotation-failed"))[0]
    assert over["data"]["id"] == alert["id"] and over["data"]["resolved"] and over["data"]["since"] == data["since"]
    assert not firing(told) and run(told, "status", "--fail-on", "failed,firing") == "nothing fires\n"
    assert len(receiver.bodies("alert.firing")) == 1 and len(receiver.bodies("alert.resolved")) == 1
    assert b"canary-value" not in b"".join(body for _, body in receiver.got)
    assert "an alert fires" in told.output() and "an alert is over" in told.output()
    assert value(scrape(told), "keyturn_rotations", state="failed") == 0


def test_a_rotation_that_works_again_resolves(told, receiver):
    """With the next run that comes about."""
    name = unique("db")
    client = told.client()
    fail_a_rotation(told, name)
    wait_until("it fires", lambda: firing(told, "rotation-failed"))
    client.write(f"sys/rotation/secret/{name}", password_policy="")
    client.write(f"sys/rotation-run/secret/{name}")
    wait_until("it is over", lambda: receiver.bodies("alert.resolved", "rotation-failed"))
    assert not firing(told)


def test_a_message_survives_the_receiver_and_the_server(tmp_path):
    """Receiver away, server killed, both back: told, and told once."""
    gone = Receiver()
    port, section = gone.server_port, webhook(tmp_path, gone)
    gone.close()
    server = start(tmp_path, f'[alerts]\ninterval = "1s"\n{section}')
    name = unique("db")
    fail_a_rotation(server, name)
    wait_until("it fires", lambda: firing(server, "rotation-failed"))
    server.kill()
    server.start()
    server.unseal()
    wait_until("the alert is still there", lambda: firing(server, "rotation-failed"))
    back = Receiver(port)
    back.status = 500
    wait_until("it is sent", lambda: back.bodies("alert.firing"), seconds=60)
    back.status = 204
    wait_until("it is taken", lambda: any_taken(server), seconds=60)
    ids = {headers["webhook-id"] for headers, _ in back.got}
    assert len(ids) == 1, "one message, however often it came"
    server.kill()
    server.start()
    server.unseal()
    wait_until("the rules were looked at", lambda: server.client().read("sys/alerts")["data"]["evaluated_time"])
    assert firing(server, "rotation-failed")
    server.client().delete(f"sys/rotation/secret/{name}")
    wait_until("that it is over is told", lambda: back.bodies("alert.resolved"))
    assert len({headers["webhook-id"] for headers, _ in back.got}) == 2, "the restart repeated nothing"
    back.close()
    server.stop()


def any_taken(server):
    return value(scrape(server), "keyturn_messages_delivered", "_total") >= 1


def test_a_receiver_is_told_what_it_asks_for(tmp_path, receiver):
    """By condition, by severity, and not of the end."""
    other = Receiver()
    (tmp_path / "other.key").write_text("whsec_" + base64.b64encode(KEY.encode()).decode())
    (tmp_path / "other.key").chmod(0o400)
    section = webhook(tmp_path, receiver, 'conditions = ["secret-expiring"]\nresolved = false')
    section += f'[[alerts.webhook]]\nurl = "{other.url}"\nsecret_file = "other.key"\nseverity = "critical"\n'
    server = start(tmp_path, f'[alerts]\ninterval = "1s"\n{section}')
    client = server.client()
    fail_a_rotation(server, "failing")
    wait_until("the other is told", lambda: other.bodies("alert.firing"))
    assert [message["data"]["rule"] for message in other.bodies()] == ["rotation-failed"]
    client.delete("sys/rotation/secret/failing")
    wait_until("the other is told of the end", lambda: other.bodies("alert.resolved"))
    assert not receiver.bodies()
    other.close()
    server.stop()


def test_what_ends_is_found_by_its_index(tmp_path, receiver):
    """Secrets that are deleted after a time, or scheduled to be; tokens; and what is short-lived by design."""
    rules = "".join(f'[[alerts.rule]]\ncondition = "{kind}-expiring"\nwithin = "168h"\nmin_life = "168h"\n'
                    for kind in ("secret", "token"))
    server = start(tmp_path, f'[alerts]\ninterval = "1s"\n{rules}{webhook(tmp_path, receiver)}')
    client = server.client()
    for name, after in (("week", "168h"), ("hour", "1h"), ("month", "720h")):
        client.secrets.kv.v2.update_metadata(name, mount_point="secret", delete_version_after=after)
    for name in ("week", "hour", "month", "plain"):
        client.secrets.kv.v2.create_or_update_secret(name, {"a": "b"}, mount_point="secret")
    manager = aws_model.client(aws_model.make_key(server))
    manager.create_secret(Name="scheduled", SecretString="x")
    manager.delete_secret(SecretId="scheduled", RecoveryWindowInDays=7)
    for ttl in ("168h", "1h", "720h"):
        client.auth.token.create(policies=["default"], ttl=ttl, display_name=f"ci-{ttl}")

    def subjects(rule):
        return {alert["subject"] for alert in firing(server, rule)}

    wait_until("the secrets fire", lambda: subjects("secret-expiring") == {"secret/week", "secret/scheduled"})
    tokens = wait_until("the token fires", lambda: firing(server, "token-expiring"))
    assert len(tokens) == 1 and "ci-168h" in tokens[0]["message"]
    lease = tokens[0]["subject"]
    assert lease.startswith("auth/token/create/h")
    client.write("sys/leases/revoke", lease_id=lease)
    wait_until("a token that is revoked ends no more", lambda: not firing(server, "token-expiring"))
    manager.restore_secret(SecretId="scheduled")
    client.secrets.kv.v2.update_metadata("week", mount_point="secret", delete_version_after="-1s")
    client.secrets.kv.v2.create_or_update_secret("week", {"a": "c"}, mount_point="secret")
    wait_until("nor do the secrets", lambda: not firing(server))
    over = wait_until("that is told", lambda: len(receiver.bodies("alert.resolved")) == 3)
    assert over and len(receiver.bodies("alert.firing")) == 3
    server.stop()


def test_the_list_of_conditions_is_refused_by_name(server, client, keyturn):
    for wrong in ("expiring", "expiring=soon", "late", "firing=loud"):
        with refused(hvac.exceptions.InvalidRequest, json.dumps(wrong), "expiring=7d"):
            client._adapter.get("/v1/sys/alerts", params={"conditions": wrong})
        done = keyturn("status", "--fail-on", wrong, expect=1)
        assert b"expiring=7d" in done.stderr
    keyturn("status", "--fail-on", " , ", expect=2)


def test_who_may_ask(server, limited):
    """`read` on sys/alerts and sys/metrics, and nothing less."""
    reader = limited('path "sys/alerts" { capabilities = ["read"] }\npath "sys/metrics" { capabilities = ["read"] }')
    nobody = limited('path "secret/*" { capabilities = ["read", "sudo"] }')
    assert "firing" in reader.read("sys/alerts")["data"]
    assert metrics(server, reader.token).status == 200
    with refused(hvac.exceptions.Forbidden):
        nobody.read("sys/alerts")
    assert metrics(server, nobody.token).status == 403
    assert metrics(server, None).status == 403
    run(server, "status", expect=4, token=nobody.token)


def metrics(server, token, accept="application/openmetrics-text;version=1.0.0"):
    """As Prometheus asks."""
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    return wire.call_any(f"{server.address}/metrics", "GET", None, headers)


def scrape(server):
    reply = metrics(server, server.token)
    assert reply.status == 200 and reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    text = reply.body.decode()
    assert text.endswith("# EOF\n")
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families, family, suffix="", **labels):
    found = [sample.value for sample in families[family].samples
             if sample.name == family + suffix and sample.labels == labels]
    assert len(found) == 1, (family, labels, families[family].samples)
    return found[0]


def test_metrics_are_open_metrics_of_few_samples(server):
    """Parsed by Prometheus' own parser, which is strict; no label names a secret unless it is configured."""
    wait_until("the first round", lambda: "keyturn_rotations" in scrape(server))
    families = scrape(server)
    assert families["keyturn_alerts_firing"].type == "gauge" and "keyturn_alert" not in families
    assert len(families["keyturn_rotations"].samples) == 11
    assert {sample.labels["condition"] for sample in families["keyturn_condition_subjects"].samples} == {
        "rotation-overdue", "rotation-failed", "rotation-stragglers", "lease-overdue", "lease-irrevocable"}
    plain = metrics(server, server.token, accept="text/plain")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4") and b"# EOF" not in plain.body


def test_certificates_that_end(tmp_path):
    """That of a listener, before it ends and until it is replaced; that which a `cert` auth method trusts."""
    authority = certificates.Authority()
    certificate, key = authority.server_files(tmp_path)
    port = harness.free_port()
    more = (f'[[listener]]\naddress = "127.0.0.1:{port}"\ntls_cert_file = "{certificate}"\ntls_key_file = "{key}"\n'
            '[alerts]\ninterval = "1s"\n[[alerts.rule]]\ncondition = "certificate-expiring"\nname = "renew"\nwithin = "60d"\n')
    server = start(tmp_path, more)
    subjects = lambda: {alert["subject"] for alert in firing(server, "renew")}
    wait_until("it fires", lambda: f"listener 127.0.0.1:{port}" in subjects())
    client = server.client()
    client.sys.enable_auth_method("cert", path="tls")
    client.write("auth/tls/certs/partners", certificate=authority.pem)
    wait_until("the authority's fires", lambda: "auth/tls/certs/partners" in subjects())
    assert "listener" in run(server, "status", "--fail-on", "certificate-expiring=60d", expect=7)
    told = json.loads(run(server, "status", "--fail-on", "certificate-expiring=60d", "--format", "json", expect=7))
    assert told["failed"] and {alert["subject"] for alert in told["matched"]} == subjects()
    run(server, "status", "--fail-on", "certificate-expiring=1h")
    client.delete("auth/tls/certs/partners")
    wait_until("it is over", lambda: "auth/tls/certs/partners" not in subjects())
    server.stop()


def check(directory, text):
    """What `--check` says of a configuration."""
    file = directory / "checked.toml"
    file.write_text('[storage]\ntype = "memory"\n' + text)
    done = subprocess.run([str(harness.BINARY), "server", "--config", str(file), "--check"], capture_output=True,
                          env=harness.clean_environment(directory), check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_a_wrong_configuration_is_refused_with_its_place(tmp_path):
    """With the line and what is allowed; a key that is short, missing or open to others is refused, too."""
    for text, place, allowed in [
        ('[alerts]\nintervall = "1s"', "4:1", "interval, metrics_subjects"),
        ('[alerts]\ninterval = "0s"', "4:12", "1s to 3600s"),
        ('[[alerts.rule]]\ncondition = "late"', "4:13", '"rotation-overdue"'),
        ('[[alerts.rule]]\nwithin = "1d"', "3:1", "condition is missing"),
        ('[[alerts.rule]]\ncondition = "token-expiring"\nseverity = "loud"', "5:12", '"info", "warning", "critical"'),
        ('[[alerts.rule]]\ncondition = "rotation-failed"\nwithin = "1d"', "5:10", "conditions that have an end"),
        ('[[alerts.rule]]\ncondition = "token-expiring"\nafter = "1d"', "5:9", "rotation-overdue and lease-overdue"),
        ('[[alerts.rule]]\ncondition = "token-expiring"\nwithin = "2d"\nmin_life = "1d"', "6:12", "at least within"),
        ('[[alerts.rule]]\ncondition = "token-expiring"\n[[alerts.rule]]\ncondition = "token-expiring"', "5:1", "twice"),
        ('[[alerts.webhook]]\nurl = "http://192.0.2.1/"\nsecret_env = "X"', "4:7", "http only to loopback"),
        ('[[alerts.webhook]]\nsecret_env = "X"', "3:1", "url is missing"),
        ('[[alerts.webhook]]\nurl = "https://a.example/"', "3:1", "secret_file or secret_env"),
        ('[[alerts.webhook]]\nurl = "https://a.example/"\nsecret = "x"', "5:1", "secret_file, secret_env"),
        ('[[alerts.webhook]]\nurl = "https://a.example/"\nsecret_env = "X"\nconditions = ["x"]', "6:14", "a list of"),
    ]:
        code, said = check(tmp_path, text)
        assert code == 2 and f"checked.toml:{place}: " in said and allowed in said, (text, said)
    hook = '[[alerts.webhook]]\nurl = "https://a.example/"\n'
    (tmp_path / "short.key").write_text("canary-short")
    (tmp_path / "short.key").chmod(0o600)
    (tmp_path / "open.key").write_text(KEY)
    (tmp_path / "open.key").chmod(0o644)
    for text, told in [
        ('secret_file = "short.key"', "at least 24 bytes"), ('secret_file = "open.key"', "chmod 600"),
        ('secret_file = "none.key"', "cannot read"), ('secret_env = "NOT_SET"', "NOT_SET is not set"),
    ]:
        code, said = check(tmp_path, hook + text)
        assert code == 2 and told in said and "canary" not in said, (text, said)
    (tmp_path / "open.key").chmod(0o600)
    code, said = check(tmp_path, hook + 'secret_file = "open.key"\nca_file = "open.key"')
    assert code == 2 and "no certificates" in said
    code, said = check(tmp_path, hook + 'secret_file = "open.key"')
    assert code == 0, said


def test_without_rules_nothing_fires(tmp_path):
    """`enabled = false` tells nobody; asked, it still answers."""
    server = start(tmp_path, '[alerts]\nenabled = false\ninterval = "1s"\n')
    fail_a_rotation(server, "db")
    wait_until("a round", lambda: "keyturn_condition_subjects" in scrape(server))
    wait_until("another", lambda: value(scrape(server), "keyturn_condition_subjects", condition="rotation-failed") == 1)
    assert not firing(server)
    run(server, "status", "--fail-on", "failed", expect=7)
    server.stop()
