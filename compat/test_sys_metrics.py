"""`/v1/sys/metrics`, and what else tells how the server is doing: host-info, in-flight-req, counters."""

import re
import threading

import pytest
from hvac import exceptions

import aws
import wire
from support import refused, unique, wait_until

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)*)\})? (\S+)$')


def _scrape(server, accept=None):
    headers = {"Accept": accept} if accept else {}
    return server.call("GET", "sys/metrics?format=prometheus", headers=headers)


def _samples(reply):
    """Every sample by its name and labels; the format is checked on the way."""
    found, types = {}, {}
    for line in reply.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert types.setdefault(name, kind) == kind, f"{name} has two types"
        elif not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            key = (name, labels or "")
            assert key not in found, f"{key} stands there twice"
            found[key] = float(value)
    assert types
    return found


def test_prometheus(server, client, kv1):
    """Requests are counted by operation, mount type and status, and their durations fill a histogram."""
    before = _samples(_scrape(server))
    for _ in range(3):
        client.write(f"{kv1}/a", v="1")
        client.read(f"{kv1}/a")
    reply = _scrape(server)
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    after = _samples(reply)

    def grown(name, labels):
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    assert grown("keyturn_requests_total", 'operation="read",mount_type="kv",status="200"') >= 3
    assert grown("keyturn_requests_total", 'operation="update",mount_type="kv",status="204"') >= 3
    assert grown("keyturn_storage_commits_total", "") >= 3 and grown("keyturn_cache_hits_total", "") >= 2
    labels = 'operation="read",mount_type="kv"'
    assert grown("keyturn_request_duration_seconds_count", labels) >= 3
    buckets = [value for (name, key), value in after.items()
               if name == "keyturn_request_duration_seconds_bucket" and key.startswith(labels)]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after[("keyturn_request_duration_seconds_count", labels)]
    assert after[("vault_core_unsealed", "")] == 1 and after[("vault_core_in_flight_requests", "")] >= 1


def test_tokens_and_refusals_are_counted(server, client):
    """Issued, removed, denied."""
    before = _samples(_scrape(server))
    made = client.auth.token.create()["auth"]["client_token"]
    client.auth.token.create(type="batch", ttl="1m", policies=["default"])
    client.auth.token.revoke(made)
    server.call("GET", "sys/mounts", token="invented")
    server.call("GET", "sys/%ff")
    after = _samples(_scrape(server))
    for name, labels in [
        ("keyturn_tokens_created_total", 'token_type="service"'), ("keyturn_tokens_created_total", 'token_type="batch"'),
        ("keyturn_tokens_removed_total", ""),
        ("keyturn_requests_total", 'operation="read",mount_type="system",status="403"'),
        ("keyturn_requests_total", 'operation="invalid",mount_type="none",status="400"'),
    ]:
        assert after.get((name, labels), 0) > before.get((name, labels), 0), (name, labels)


@pytest.mark.keyturn
def test_leases_of_credentials_are_counted(server):
    """The numbers are there from the start, so that an alert can be written before the first credential is made."""
    samples = _samples(_scrape(server))
    for name in ("leases_issued_total", "leases_renewed_total", "leases_revoked_total",
                 "lease_revocation_failures_total", "leases_forced_total", "lease_revocation_queue",
                 "lease_oldest_overdue_seconds", "leases_irrevocable"):
        assert (f"keyturn_{name}", "") in samples, name


@pytest.mark.keyturn
def test_requests_of_the_aws_apis_are_counted(server):
    """By service, operation and class of status; what nobody knows is one operation, whatever it is called."""
    key = aws.create_key(server, "root")
    sm, name = key.client("secretsmanager"), unique("aws")
    before = _samples(_scrape(server))
    sm.create_secret(Name=name, SecretString="x")
    for _ in range(3):
        sm.get_secret_value(SecretId=name)
    with aws.refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId="never")
    key.client("sts").get_caller_identity()
    for _ in range(2):
        aws.send(aws.signed_request(key, f"secretsmanager.{unique('Operation')}"))
        wire.call_any(server.address + "/?Action=" + unique("Action"), "GET", b"", {})
    after = _samples(_scrape(server))

    def grown(name, labels):
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    for service, operation, status, count in [
        ("secretsmanager", "CreateSecret", "2xx", 1), ("secretsmanager", "GetSecretValue", "2xx", 3),
        ("secretsmanager", "GetSecretValue", "4xx", 1), ("sts", "GetCallerIdentity", "2xx", 1),
        ("secretsmanager", "unknown", "4xx", 2), ("sts", "unknown", "4xx", 2),
    ]:
        labels = f'service="{service}",operation="{operation}"'
        assert grown("keyturn_service_requests_total", f'{labels},status="{status}"') == count, (labels, status)
        assert grown("keyturn_service_request_duration_seconds_count", labels) >= count, labels
    assert not [key for key in after if "Operation-" in key[1] or "Action-" in key[1]]


def test_labels_are_words_of_the_server(server, client):
    """However many paths, names and methods are asked for, no new series come of them."""
    def ask():
        for _ in range(30):
            server.call("GET", f"{unique('path')}/{unique('name')}")
            server.call("GET", f"sys/{unique('path')}", token=unique("token"))
            server.call("INVENTED", "sys/mounts")
        return set(_samples(_scrape(server)))

    first = ask()
    assert ask() == first
    assert not [key for key in first if "path-" in key[1] or "name-" in key[1]]


def test_open_metrics(server):
    """For clients that accept it: other family names, and an end."""
    reply = _scrape(server, "application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    text = reply.body.decode()
    assert text.endswith("# EOF\n") and "# TYPE keyturn_requests counter\n" in text
    assert "\nkeyturn_requests_total{" in text


def test_summary(server):
    """Without a format, Vault's own shape, in JSON and without an envelope."""
    reply = server.call("GET", "sys/metrics")
    assert reply.headers["content-type"] == "application/json"
    told = reply.json
    assert set(told) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
    assert {"Name": "vault.core.unsealed", "Value": 1.0, "Labels": {}} in told["Gauges"]
    counted = [one for one in told["Counters"] if one["Name"] == "keyturn.requests"]
    assert counted and all({"Count", "Sum", "Rate", "Mean", "Labels"} <= set(one) for one in counted)
    assert server.call("GET", "sys/metrics?format=xml").status == 400


def test_metrics_need_a_policy(server, limited):
    """Read, and nothing else; no token, no numbers."""
    assert server.call("GET", "sys/metrics", token="").status == 403
    some = limited('path "sys/metrics" { capabilities = ["read"] }')
    assert server.call("GET", "sys/metrics?format=prometheus", token=some.token).status == 200
    with refused(exceptions.Forbidden):
        limited('path "other" { capabilities = ["read"] }').read("sys/metrics")


def test_host_info(client, limited):
    """The machine, in Vault's shape; sudo only."""
    told = client.read("sys/host-info")["data"]
    assert {"timestamp", "cpu", "cpu_times", "disk", "host", "memory"} <= set(told)
    assert told["memory"]["total"] > told["memory"]["used"] > 0 and 0 < told["memory"]["usedPercent"] < 100
    assert told["host"]["os"] == "linux" and told["host"]["uptime"] > 0 and told["host"]["procs"] > 0
    assert len(told["cpu"]) == len(told["cpu_times"]) > 0
    for disk in told["disk"]:
        assert disk["total"] >= disk["used"] >= 0 and disk["path"].startswith("/")
    with refused(exceptions.Forbidden):
        limited('path "sys/host-info" { capabilities = ["read"] }').read("sys/host-info")


@pytest.mark.keyturn
def test_requests_in_flight(server, userpass, client):
    """A login that hashes a password is seen at work; the request that asks is one of them."""
    client.auth.userpass.create_or_update_user("ann", "secret", mount_point=userpass)
    stop = threading.Event()

    def login():
        while not stop.is_set():
            server.call("POST", f"auth/{userpass}/login/ann", body={"password": "secret"}, token="")

    thread = threading.Thread(target=login)
    thread.start()
    try:
        def seen():
            told = server.call("GET", "sys/in-flight-req").json
            assert "/v1/sys/in-flight-req" in {one["request_path"] for one in told.values()}
            return [one for one in told.values() if one["request_path"] == f"/v1/auth/{userpass}/login/ann"]

        found = wait_until("a login is seen at work", seen)
        assert found[0]["request_method"] == "POST" and found[0]["client_remote_address"].startswith("127.0.0.1:")
    finally:
        stop.set()
        thread.join()


def test_counters(client):
    """Tokens in the store; requests by month are told by nobody any more."""
    before = client.read("sys/internal/counters/tokens")["data"]["counters"]["service_tokens"]["total"]
    client.auth.token.create()
    assert client.read("sys/internal/counters/tokens")["data"]["counters"]["service_tokens"]["total"] > before - 5
    with pytest.raises(exceptions.InvalidPath):
        client.adapter.get("/v1/sys/internal/counters/requests")
