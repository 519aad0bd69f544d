#!/usr/bin/env python3
"""Measures the server over HTTP and prints a table in Markdown.

    benches/server.py [--quick] [--million] [--only PART] [--against BINARY]

Needs wrk (Debian: apt install wrk) and cargo. Everything runs on loopback, in a temporary directory. What is compared
takes turns, round by round, on the same machine; the table shows medians. `--million` adds the store of a million
secrets (some minutes, 2 GB of disk); `--against` lets another build of the server take its turns at the reads;
`--quick` shortens every round, for a look rather than a figure.
"""
import argparse
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
TOKEN = "bench-root"
READ = "secret/data/app/db"
CONNECTIONS = (1, 16, 64)
# How far behind the newest write one may be that was cut off: a slow one, at some ten thousand writes a second.
IN_FLIGHT = 10_000


def build():
    """The server and the yardstick, in the profile that users run."""
    for what in (["-p", "keyturn-cli"], ["-p", "keyturn-testing", "--example", "bare_axum"]):
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *what], cwd=ROOT, check=True)


class Server:
    """A process that prints its address and is ended by its own process id."""

    def __init__(self, *command):
        environment = {**os.environ, "KEYTURN_DEV_ROOT_TOKEN": TOKEN}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                                        text=True)
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise SystemExit(f"{command[0]} did not start")

    def call(self, method, path, body=None, token=TOKEN):
        """One request; gives status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, f"/v1/{path}", json.dumps(body) if body is not None else None,
                           {"X-Vault-Token": token})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def rss_mib(self):
        """Resident memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        self.process.wait(timeout=30)


def dev(*options, binary=RELEASE / "keyturn"):
    return Server(binary, "dev", "--listen", "127.0.0.1:0", "--log-level", "error", *options)


def wrk(server, connections, seconds, script=None, path=READ):
    """One round of load: requests a second, p50 and p99 in microseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"X-Vault-Token: {TOKEN}"]
    if script:
        command += ["-s", str(script)]
    out = subprocess.run([*command, f"http://127.0.0.1:{server.port}/v1/{path}"], capture_output=True, text=True,
                         check=True).stdout
    if bad := re.search(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", out):
        raise SystemExit(f"the load failed: {bad[1]}")
    quantile = {name: micros(value) for name, value in re.findall(r"\s(50|99)%\s+([\d.]+\w+)", out)}
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), quantile["50"], quantile["99"]


def micros(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def medians(rounds):
    return [statistics.median(column) for column in zip(*rounds)]


def compare(servers, connections, rounds, seconds, logs=(), **load):
    """Lets servers take turns; gives each one's medians. The logs that they write are emptied before each turn, as a
    rotation would: they would grow into memory that the host of a virtual machine has yet to give, page by page, which
    takes longer than writing an entry does."""
    results = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            for log in logs:
                os.truncate(log, 0)
            results[name].append(wrk(server, connections, seconds, **load))
    return {name: medians(columns) for name, columns in results.items()}


def reads(work, rounds, seconds, against=None):
    """KV v2 reads beside a bare axum server with an answer of the same size."""
    plain, audited, chained = dev(), dev(), dev()
    logs = {"false": work / "plain.log", "true": work / "chained.log"}
    for server, chain in ((audited, "false"), (chained, "true")):
        options = {"file_path": str(logs[chain]), "chain": chain}
        assert server.call("PUT", "sys/audit/file", {"type": "file", "options": options})[0] == 204
    other = {"the other build": dev(binary=against)} if against else {}
    for server in (plain, audited, chained, *other.values()):
        assert server.call("POST", READ, {"data": {"username": "app", "password": "p" * 32}})[0] == 200
    size = len(plain.call("GET", READ)[1])
    bare = Server(RELEASE / "examples" / "bare_axum", str(size))
    servers = {"bare axum": bare, **other, "keyturn": plain, "keyturn, file audit without chain": audited,
               "keyturn, file audit": chained}
    print(f"\nReads of one KV v2 secret, {size} bytes an answer, by `wrk -t1`:\n")
    print("| connections | server | requests/s | p50 µs | p99 µs | of bare |")
    print("|---:|---|---:|---:|---:|---:|")
    for connections in CONNECTIONS:
        measured = compare(servers, connections, rounds, seconds, logs.values())
        yardstick = measured["bare axum"][0]
        for name, (rate, half, tail) in measured.items():
            print(f"| {connections} | {name} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | {rate / yardstick:.0%} |")
    for server in servers.values():
        server.stop()


SIGNED = """
local requests, n = {{}}, 0
init = function()
  for line in io.lines("{file}") do
    local headers = {{["Content-Type"] = "{kind}", ["X-Amz-Target"] = "{target}", ["Host"] = "{host}"}}
    headers["X-Amz-Date"], headers["Authorization"] = line:match("^(%S+) (.*)$")
    requests[#requests + 1] = wrk.format("POST", "/", headers, '{body}')
  end
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
"""


AWS_JSON = "application/x-amz-json-1.1"


def authorization(key, host, target, body, date):
    """The header that signs a request (AWS Signature Version 4)."""
    names = "content-type;host;x-amz-date;x-amz-target"
    scope = f"{date[:8]}/eu-west-1/secretsmanager/aws4_request"
    canonical = "\n".join(["POST", "/", "", f"content-type:{AWS_JSON}", f"host:{host}", f"x-amz-date:{date}",
                           f"x-amz-target:{target}", "", names, hashlib.sha256(body.encode()).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = f"AWS4{key['secret_access_key']}".encode()
    for part in [*scope.split("/"), text]:
        signing = hmac.digest(signing, part.encode(), "sha256")
    return (f"AWS4-HMAC-SHA256 Credential={key['access_key_id']}/{scope}, SignedHeaders={names}, "
            f"Signature={signing.hex()}")


def signed_requests(server, key, work):
    """A script that plays requests for one secret which were signed just now, each at a second of its own."""
    host, target, body = f"127.0.0.1:{server.port}", "secretsmanager.GetSecretValue", '{"SecretId":"app/db"}'
    lines, now = [], int(time.time())
    for age in range(200):
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - age))
        lines.append(f"{date} {authorization(key, host, target, body, date)}\n")
    requests, script = work / f"signed-{server.port}.txt", work / f"signed-{server.port}.lua"
    requests.write_text("".join(lines))
    script.write_text(SIGNED.format(file=requests, kind=AWS_JSON, target=target, host=host, body=body))
    return script


def aws_reads(work, rounds, seconds):
    """GetSecretValue with its signature verified, beside a bare axum server that is sent the same."""
    plain, audited = dev(), dev()
    log = work / "aws-audit.log"
    options = {"file_path": str(log)}
    assert audited.call("PUT", "sys/audit/file", {"type": "file", "options": options})[0] == 204
    policy = 'path "secret/*" { capabilities = ["read"] }'
    keys = {}
    for server in (plain, audited):
        assert server.call("PUT", "sys/policies/acl/app", {"policy": policy})[0] == 204
        assert server.call("POST", READ, {"data": {"username": "app", "password": "p" * 32}})[0] == 200
        keys[server] = json.loads(server.call("POST", "sys/aws-keys", {"policies": "app"})[1])["data"]
    size = answer_size(plain, signed_requests(plain, keys[plain], work))
    bare = Server(RELEASE / "examples" / "bare_axum", str(size))
    servers = {"bare axum": bare, "keyturn": plain, "keyturn, file audit": audited}
    print(f"\nGetSecretValue of one secret, SigV4 verified, {size} bytes an answer, by `wrk -t1`:\n")
    print("| connections | server | requests/s | p50 µs | p99 µs | of bare |")
    print("|---:|---|---:|---:|---:|---:|")
    for connections in CONNECTIONS:
        measured = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                if log.exists():
                    os.truncate(log, 0)
                script = signed_requests(server, keys.get(server, keys[plain]), work)
                measured[name].append(wrk(server, connections, seconds, script))
        yardstick = medians(measured["bare axum"])[0]
        for name, columns in measured.items():
            rate, half, tail = medians(columns)
            print(f"| {connections} | {name} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | {rate / yardstick:.0%} |")
    for server in servers.values():
        server.stop()


def doppler_downloads(work, rounds, seconds):
    """Downloads of a config of 100 secrets, and 304s for who has them, beside a bare axum server with answers as large."""
    plain, audited = dev(), dev()
    log = work / "doppler-audit.log"
    assert audited.call("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})[0] == 204
    path = "/v3/configs/config/secrets/download?project=app&config=db&format=json"
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    for server in (plain, audited):
        secrets = {f"SECRET_{number:03}": f"{number:03}" + "x" * 29 for number in range(100)}
        assert server.call("POST", READ, {"data": secrets})[0] == 200
    scripts, sizes = {}, {}
    for server in (plain, audited):
        first = download(server, path, headers)
        again = headers | {"If-None-Match": first.headers["ETag"]}
        assert (first.status, download(server, path, again).status) == (200, 304)
        sizes[server] = first.length
        for kind, sent in (("download", headers), ("304", again)):
            scripts[server, kind] = work / f"{server.port}-{kind}.lua"
            lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in sent.items()]
            request = f"request = function() return wrk.format('GET', '{path}') end"
            scripts[server, kind].write_text("\n".join([*lines, request]))
    print(f"\nDownloads of 100 secrets, {sizes[plain]} bytes an answer, and 304s, by `wrk -t1`:\n")
    print("| what | connections | server | requests/s | p50 µs | p99 µs | of bare |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for kind, size in (("download", sizes[plain]), ("304", 0)):
        bare = Server(RELEASE / "examples" / "bare_axum", str(size))
        servers = {"bare axum": bare, "keyturn": plain, "keyturn, file audit": audited}
        for connections in CONNECTIONS:
            measured = {name: [] for name in servers}
            for _ in range(rounds):
                for name, server in servers.items():
                    os.truncate(log, 0)
                    script = scripts.get((server, kind), scripts[plain, kind])
                    measured[name].append(wrk(server, connections, seconds, script))
            yardstick = medians(measured["bare axum"])[0]
            for name, columns in measured.items():
                rate, half, tail = medians(columns)
                print(f"| {kind} | {connections} | {name} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | "
                      f"{rate / yardstick:.0%} |")
        bare.stop()
    plain.stop()
    audited.stop()


def download(server, path, headers):
    """One answer, read whole; `length` is that of its body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    length = len(answer.read())
    connection.close()
    answer.length = length
    return answer


def aws_pages(work, count=100_000):
    """ListSecrets, page by page, over a hundred thousand secrets."""
    server = dev("--data", str(work / "pages"))
    fill(server, work, count)
    policy = 'path "secret/*" { capabilities = ["read", "list"] }'
    assert server.call("PUT", "sys/policies/acl/app", {"policy": policy})[0] == 204
    key = json.loads(server.call("POST", "sys/aws-keys", {"policies": "app"})[1])["data"]
    print("\nListSecrets, pages of 100, one after the other on one connection, SigV4 verified:\n")
    print("| order | secrets | first page | first tenth p50 | middle tenth p50 | last tenth p50 | p99 of all |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, order in (("date of creation", {}), ("name", {"SortBy": "name"})):
        times, listed = page_times(server, key, {"MaxResults": 100, **order})
        tenth, middle = len(times) // 10, len(times) // 2
        parts = [times[:1], times[1:tenth], times[middle:middle + tenth], times[-tenth - 1:-1]]
        figures = [statistics.median(part) for part in parts] + [statistics.quantiles(times[1:], n=100)[98]]
        print(f"| {name} | {listed:,} | " + " | ".join(f"{figure:.2f} ms" for figure in figures) + " |")
    server.stop()


def page_times(server, key, ask):
    """How long each page takes, in milliseconds, and how many secrets there are."""
    host, target = f"127.0.0.1:{server.port}", "secretsmanager.ListSecrets"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    times, listed, token = [], 0, None
    while True:
        body = json.dumps(ask | ({"NextToken": token} if token else {}))
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"Content-Type": AWS_JSON, "X-Amz-Target": target, "X-Amz-Date": date,
                   "Authorization": authorization(key, host, target, body, date)}
        begin = time.perf_counter()
        connection.request("POST", "/", body, headers)
        text = connection.getresponse().read()
        times.append((time.perf_counter() - begin) * 1000)
        page = json.loads(text)
        listed, token = listed + len(page["SecretList"]), page.get("NextToken")
        if not token:
            connection.close()
            return times, listed


def answer_size(server, script):
    """The bytes of one answer to a signed request; ends the run if it is refused."""
    first = script.with_suffix(".txt").read_text().splitlines()[0]
    date, signature = first.split(" ", 1)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/", '{"SecretId":"app/db"}', {
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue",
        "X-Amz-Date": date, "Authorization": signature})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"GetSecretValue: {answer.status} {text.decode()}")
    return len(text)


WRITES = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", string.format("/v1/secret/data/w/%d", n % 50000), nil, '{"data":{"password":"hunter2"}}')
end
"""


def writes(work, rounds, seconds):
    """Durable writes: each is answered after its fsync."""
    script = work / "writes.lua"
    script.write_text(WRITES)
    server = dev("--data", str(work / "writes"))
    print("\nDurable KV v2 writes, one request a write:\n")
    print("| connections | writes/s | p50 µs | p99 µs | of one connection |")
    print("|---:|---:|---:|---:|---:|")
    one = None
    for connections in (1, 64, 256):
        rate, half, tail = medians([wrk(server, connections, seconds, script) for _ in range(rounds)])
        one = one or rate
        print(f"| {connections} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | {rate / one:.1f}× |")
    server.stop()


def start_and_rest(work, rounds):
    """From the start of the process to the first answer of a secret; memory at rest."""
    data = str(work / "cold")
    server = dev("--data", data)
    server.call("POST", READ, {"data": {"password": "x"}})
    server.stop()
    times, memory = [], []
    for _ in range(rounds * 3):
        server = dev("--data", data)
        assert server.call("GET", READ)[0] == 200
        times.append((time.perf_counter() - server.started) * 1000)
        memory.append(server.rss_mib())
        server.stop()
    print(f"\nCold start to the first secret read: median {statistics.median(times):.0f} ms "
          f"(max {max(times):.0f} ms). Resident memory then: {statistics.median(memory):.1f} MiB.")


FILL = """
local at = {first} - 2
request = function()
  at = at + 1
  return wrk.format("POST", string.format("/v1/secret/data/m/%07d", at), nil, '{{"data":{{"password":"{value}"}}}}')
end
"""

READS = """
math.randomseed(os.time())
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", string.format("/v1/secret/data/m/%07d", {choice}))
end
"""

CONFIGURATION = """
[storage]
type = "embedded"
path = "{directory}/store"
cache_size = "{cache}"
[[listener]]
address = "127.0.0.1:0"
[seal]
type = "static"
key_file = "{directory}/key"
[log]
level = "info"
"""


def configured(directory, cache):
    """The real server on a store that stays, with a cache of that size."""
    directory.mkdir(exist_ok=True)
    key = directory / "key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(os.urandom(32))
    configuration = directory / "keyturn.toml"
    configuration.write_text(CONFIGURATION.format(directory=directory, cache=cache))
    server = Server(RELEASE / "keyturn", "server", "--config", configuration)
    if not json.loads(server.call("GET", "sys/init")[1])["initialized"]:
        made = json.loads(server.call("PUT", "sys/init", {})[1])
        for path, body in (("sys/mounts/secret", {"type": "kv-v2"}), ("auth/token/create-orphan", {"id": TOKEN})):
            assert server.call("POST", path, body, made["root_token"])[0] in (200, 204)
    return server


def fill(server, work, count):
    """Writes at least `count` secrets, in order. A round goes on a little before where the last one was cut off; wrk
    makes its first request twice and sends it once, hence the early start."""
    script, done = work / "fill.lua", 0

    def is_there(number):
        return server.call("GET", f"secret/metadata/m/{number:07d}")[0] == 200

    while not is_there(count + IN_FLIGHT):
        script.write_text(FILL.format(first=done, value="p" * 32))
        wrk(server, 128, 10, script)
        low, high = done, count + 10 * IN_FLIGHT
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if is_there(middle) else (low, middle - 1)
        done = max(done, low - IN_FLIGHT)


def million(work, rounds, seconds):
    """Reads at random over a thousand secrets and over a million, with a small cache and a large one."""
    counts, script = (1_000, 1_000_000), work / "reads.lua"
    for count in counts:
        server = configured(work / f"store-{count}", "64MiB")
        fill(server, work, count)
        server.stop()
    print("\nReads at random, 64 connections, each after one pass over all secrets:\n")
    print("| cache | secrets | requests/s | p50 µs | p99 µs | resident MiB | of the small store |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for cache in ("64MiB", "1GiB"):
        servers = {count: configured(work / f"store-{count}", cache) for count in counts}
        for count, server in servers.items():
            script.write_text(READS.format(choice=f"n % {count}"))
            wrk(server, 64, 5 if count < 10_000 else 40, script)
        rows = {count: [] for count in counts}
        for _ in range(rounds):
            for count, server in servers.items():
                script.write_text(READS.format(choice=f"math.random(0, {count} - 1)"))
                rows[count].append(wrk(server, 64, seconds, script))
        small = medians(rows[counts[0]])[0]
        for count, server in servers.items():
            rate, half, tail = medians(rows[count])
            print(f"| {cache} | {count:,} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | {server.rss_mib():.0f} "
                  f"| {rate / small:.0%} |")
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--million", action="store_true", help="also a store of a million secrets")
    parser.add_argument("--against", type=pathlib.Path, metavar="BINARY", help="another build, for the reads")
    parser.add_argument("--only", choices=["reads", "aws", "doppler", "pages", "writes", "start", "million"], help="one part alone")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed (Debian: apt install wrk)")
    build()
    rounds, seconds = (1, 1) if options.quick else (5, 3)
    parts = {
        "reads": lambda work: reads(work, rounds, seconds, options.against),
        "aws": lambda work: aws_reads(work, rounds, seconds),
        "doppler": lambda work: doppler_downloads(work, rounds, seconds),
        "pages": lambda work: aws_pages(work, 10_000 if options.quick else 100_000),
        "writes": lambda work: writes(work, rounds, seconds),
        "start": lambda work: start_and_rest(work, rounds),
        "million": lambda work: million(work, rounds, seconds),
    }
    for name, part in parts.items():
        if options.only == name or not options.only and (name != "million" or options.million):
            with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as work:
                part(pathlib.Path(work))


if __name__ == "__main__":
    main()
