#!/usr/bin/env python3
"""Measures credentials of databases, their leases, rotations at rest and what rotations cost reads; prints tables in
Markdown.

    benches/database.py [--binary PATH] [--only credentials|leases|rotations|tracking] [--leases N] [--rotations N]
                        [--quick]

Needs wrk, PostgreSQL and Redis (Debian: wrk, postgresql, redis-server), psycopg (compat/requirements.txt), and the
server in the profile that users run (cargo build --release --bin keyturn). Databases and server run on loopback, in
temporary directories. What is compared takes turns, round by round, on the same machine; the tables show medians.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import statistics
import sys
import tempfile
import threading
import time

import server as http
from server import ROOT, medians, wrk

sys.path.insert(0, str(ROOT / "compat"))
import databases  # noqa: E402

# A member of a role: a grant on a table would let two transactions meet on the table's row of the catalogue.
CREATE = ("CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; "
          "GRANT reader TO \"{{name}}\";")
DURABLE = ("log_statement=none", "fsync=on", "synchronous_commit=on", "full_page_writes=on")
FAST = ("log_statement=none",)
# Revocations are limited to 500 a second for each connection.
TARGETS = 4
SAMPLE = re.compile(r"^(keyturn_lease\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
TICKS = os.sysconf("SC_CLK_TCK")
STARTED = []


def dev(binary, data):
    """A server with a store that stays; it is stopped at the end, however that comes."""
    server = http.dev("--data", str(data), binary=binary)
    STARTED.append(server)
    return server


def call(server, method, path, body=None, expect=(200, 202, 204)):
    """One request that has to succeed."""
    status, text = server.call(method, path, body)
    if status not in expect:
        raise SystemExit(f"{method} {path}: {status} {text.decode()}")
    return json.loads(text) if text else None


def postgresql(settings):
    """A PostgreSQL with these settings, and the role that credentials are members of."""
    server = databases.start("postgresql")
    server.command += [part for setting in settings for part in ("-c", setting)]
    server.restart()
    with server.connect() as admin:
        admin.execute("CREATE ROLE reader")
    return server


def floor(target, connections, seconds):
    """One round of what is done without Keyturn: the role's statements by psycopg, in one transaction a credential, on
    connections that stay. Gives credentials a second, p50 and p99 in microseconds."""
    begin = threading.Barrier(connections + 1)
    times = [[] for _ in range(connections)]

    def work(mine):
        with target.connect(autocommit=False) as session:
            begin.wait()
            until = time.perf_counter() + seconds
            while (start := time.perf_counter()) < until:
                values = {"name": f"f-{secrets.token_hex(16)}", "password": secrets.token_hex(16),
                          "expiration": time.strftime("%Y-%m-%d %H:%M:%S+0000", time.gmtime(time.time() + 3600))}
                for statement in CREATE.rstrip(";").split("; "):
                    session.execute(re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], statement))
                session.commit()
                mine.append((time.perf_counter() - start) * 1e6)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    all_times = [one for mine in times for one in mine]
    quantiles = statistics.quantiles(all_times, n=100)
    return len(all_times) / took, quantiles[49], quantiles[98]


def credentials(binary, work, options):
    """Credentials of PostgreSQL beside the same statements by a plain driver."""
    rounds, seconds = (1, 1) if options.quick else (3, 3)
    print("\nCredentials of PostgreSQL, by `wrk -t1`, beside the same statements by psycopg:\n")
    print("| PostgreSQL | connections | who | credentials/s | p50 µs | p99 µs | of psycopg |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for kind, settings in (("durable", DURABLE), ("without fsync", FAST)):
        with contextlib.ExitStack() as running:
            target = postgresql(settings)
            running.callback(target.stop)
            server = dev(binary, work / kind.replace(" ", "-"))
            connect(server, target)
            for connections in (1, 16):
                measured = {"psycopg": [], "keyturn": []}
                wrk(server, connections, 1, path="database/creds/app")
                for _ in range(rounds):
                    measured["psycopg"].append(floor(target, connections, seconds))
                    measured["keyturn"].append(wrk(server, connections, seconds, path="database/creds/app"))
                yardstick = medians(measured["psycopg"])[0]
                for name, columns in measured.items():
                    rate, half, tail = medians(columns)
                    print(f"| {kind} | {connections} | {name} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | "
                          f"{rate / yardstick:.0%} |", flush=True)


def connect(server, target):
    """Gives the server a connection to PostgreSQL and a role."""
    call(server, "POST", "sys/mounts/database", {"type": "database"})
    call(server, "POST", "database/config/pg", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": target.user,
        "password": target.password, "max_open_connections": 16,
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{target.host}:{target.port}/postgres"
                          "?sslmode=disable"})
    call(server, "POST", "database/roles/app", {"db_name": "pg", "creation_statements": CREATE,
                                                "default_ttl": "1h", "max_ttl": "1h"})


def metrics(server):
    """What the server counts of leases; samples of one name are added up."""
    text = server.call("GET", "sys/metrics?format=prometheus")[1].decode()
    found = {}
    for name, value in SAMPLE.findall(text):
        found[name.removesuffix("_total")] = found.get(name.removesuffix("_total"), 0) + float(value)
    return found


def processor_seconds(server):
    """What the process has used of the processor."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle(server, seconds):
    """Per cent of one processor that the server takes when nobody asks anything."""
    before = processor_seconds(server)
    time.sleep(seconds)
    return (processor_seconds(server) - before) / seconds * 100


def power_cut(server):
    """Ends the process at once."""
    server.process.kill()
    server.process.stdout.close()
    server.process.wait()


def start(binary, data):
    """Starts the server; gives it with the milliseconds to its first secret read."""
    server = dev(binary, data)
    while server.call("GET", http.READ)[0] != 200:
        time.sleep(0.001)
    return server, (time.perf_counter() - server.started) * 1000


ISSUE = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", string.format("/v1/database/creds/app%d", n % {targets}))
end
"""


def issue(server, work, count):
    """Has leases issued until there are so many; gives the rate."""
    script = work / "issue.lua"
    script.write_text(ISSUE.format(targets=TARGETS))
    started = time.perf_counter()
    while (active := metrics(server).get("keyturn_leases_active", 0)) < count:
        wrk(server, 64, 3, script)
    return active / (time.perf_counter() - started)


def storm(server):
    """Waits until no lease is left; gives the seconds that took and the most of the queue."""
    started, most = time.perf_counter(), 0
    while True:
        now = metrics(server)
        most = max(most, now["keyturn_lease_revocation_queue"])
        if not now.get("keyturn_leases_active", 0) and not now["keyturn_lease_revocation_queue"]:
            if server.call("LIST", "sys/leases/lookup/database/creds")[0] == 404:
                return time.perf_counter() - started, most
        time.sleep(0.2)


def leases(binary, work, options):
    """Many leases: memory, restart, the processor at rest, and the end of all at once."""
    count, pause = (2_000, 2) if options.quick else (options.leases, 10)
    data, target = work / "leases", databases.start("redis")
    with contextlib.ExitStack() as running:
        running.callback(target.stop)
        prepare(binary, data, target)
        measure_leases(binary, work, target, count, pause)


def prepare(binary, data, target):
    """A secret, and roles of a Redis."""
    server = dev(binary, data)
    call(server, "POST", http.READ, {"data": {"username": "app", "password": "p" * 32}})
    call(server, "POST", "sys/mounts/database", {"type": "database"})
    for number in range(TARGETS):
        call(server, "POST", f"database/config/db{number}", {
            "plugin_name": "redis-database-plugin", "allowed_roles": "*", "host": target.host, "port": target.port,
            "username": target.user, "password": target.password, "max_open_connections": 16})
        call(server, "POST", f"database/roles/app{number}", {
            "db_name": f"db{number}", "creation_statements": '["~app:*", "+get"]', "default_ttl": "24h"})
    server.stop()


def table(what, rows):
    """Prints what was measured before and after restarts."""
    print(f"| {what} | start to the first secret read, ms | resident MiB | % of a processor at rest |")
    print("|---|---:|---:|---:|")
    for name, first, memory, rest in rows:
        cells = [f"{value:.{digits}f}" if value is not None else "" for value, digits in
                 ((first, 0), (memory, 0), (rest, 2))]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def measure_leases(binary, work, target, count, pause):
    """Issues, cuts the power, revokes, cuts the power again, and prints what that took."""
    data, rows = work / "leases", []
    server, first = start(binary, data)
    rows.append(("none", first, server.rss_mib(), idle(server, pause)))
    rate = issue(server, work, count)
    active = int(metrics(server)["keyturn_leases_active"])
    rows.append((f"{active:,}, just issued", None, server.rss_mib(), idle(server, pause)))
    power_cut(server)
    server, first = start(binary, data)
    at_once = server.rss_mib()
    time.sleep(3)
    rows.append((f"{active:,}, after `kill -9`", first, at_once, idle(server, pause)))
    begun = time.perf_counter()
    call(server, "PUT", "sys/leases/revoke-prefix/database/creds", {"sync": False})
    answered = time.perf_counter() - begun
    power_cut(server)
    server, first = start(binary, data)
    rows.append((f"{active:,}, all overdue, after `kill -9`", first, server.rss_mib(), None))
    cleared = []
    waiting = threading.Thread(target=lambda: cleared.append(storm(server)))
    waiting.start()
    reads, half, tail = wrk(server, 1, 2)
    waiting.join()
    calm = wrk(server, 1, 2)
    seconds, _ = cleared[0]
    users = len(target.connect().acl_list()) - 1
    print(f"\nLeases of {TARGETS} connections to one Redis, issued at {rate:,.0f} a second by `wrk -t1 -c64`:\n")
    table("leases", rows)
    print(f"\nRevoking all by their prefix: answered after {answered:.2f} s; after the restart all were revoked in "
          f"{seconds:.0f} s, {active / seconds:,.0f} a second; {users} users left in Redis.")
    print(f"Reads of a secret by one connection meanwhile: {reads:,.0f} a second, p50 {half:,.0f} µs, p99 {tail:,.0f} "
          f"µs; afterwards {calm[0]:,.0f}, {calm[1]:,.0f} µs, {calm[2]:,.0f} µs.")
    server.stop()


SECRETS = ("POST", "secret/data/m/%07d", '{"data":{"password":"p"}}', "secret/metadata/m")
ROTATIONS = ("POST", "sys/rotation/secret/m/%07d", '{"strategy":"generated","schedule":"24h"}', "sys/rotation")
POUR = """
local n = {first} - 1
local headers = {{["Content-Type"] = "application/json", ["X-Vault-Token"] = "{token}"}}
request = function()
  n = n + 1
  return wrk.format("{method}", string.format("/v1/{path}", n), headers, [[{body}]])
end
"""


def pour(server, work, kind, count):
    """Makes things of a kind, numbered, until there are so many; gives how many there are. A round begins a
    little before the end of the last, where some requests were cut off."""
    method, path, body, listing = kind
    script, there = work / "pour.lua", 0
    while there < count:
        script.write_text(POUR.format(first=max(0, there - 256), token=http.TOKEN, method=method, path=path, body=body))
        wrk(server, 64, 3, script)
        there = len(call(server, "LIST", listing)["data"]["keys"])
    return there


def rotations(binary, work, options):
    """Many rotations that are scheduled and not due: the processor at rest, memory, restart."""
    count, pause = (2_000, 3) if options.quick else (options.rotations, 30)
    data, rows = work / "rotations", []
    server = dev(binary, data)
    call(server, "POST", http.READ, {"data": {"username": "app", "password": "p" * 32}})
    server.stop()
    server, first = start(binary, data)
    rows.append(("none", first, server.rss_mib(), idle(server, pause / 3)))
    pour(server, work, SECRETS, count)
    there = pour(server, work, ROTATIONS, count)
    time.sleep(3)
    rows.append((f"{there:,}, just set up", None, server.rss_mib(), idle(server, pause / 3)))
    power_cut(server)
    server, first = start(binary, data)
    at_once = server.rss_mib()
    time.sleep(3)
    rows.append((f"{there:,}, after `kill -9`", first, at_once, idle(server, pause)))
    path = "sys/rotation/secret/m/0000001"
    view = call(server, "GET", path)["data"]
    if view["state"] != "idle" or not view["next_rotation_time"]:
        raise SystemExit(f"the rotations are not what they should be: {view}")
    begun = time.perf_counter()
    call(server, "POST", path.replace("rotation", "rotation-run", 1))
    while call(server, "GET", path)["data"]["rotations"] == 0:
        time.sleep(0.001)
    took = (time.perf_counter() - begun) * 1000
    print(f"\nRotations that are scheduled every 24 hours (`generated`); at rest for {pause} seconds in the end:\n")
    table("rotations", rows)
    print(f"\nOne of them, asked for, was done in {took:.0f} ms.")
    server.stop()


def tracking(binary, work, options):
    """Reads of a secret that is rotated, whose readers are remembered, beside one that is not."""
    rounds, seconds = (1, 1) if options.quick else (3, 2)
    server = dev(binary, work / "tracking")
    for name in ("plain", "rotated"):
        call(server, "POST", f"secret/data/app/{name}", {"data": {"username": "app", "password": "p" * 32}})
    call(server, "POST", "sys/rotation/secret/app/rotated", {"strategy": "generated", "schedule": "24h"})
    print("\nReads of a secret with a rotation beside one without, by `wrk -t1`:\n")
    print("| connections | secret | requests/s | p50 µs | p99 µs | of plain |")
    print("|---:|---|---:|---:|---:|---:|")
    for connections in (1, 16, 64):
        measured = {"plain": [], "rotated": []}
        for _ in range(rounds):
            for name, columns in measured.items():
                columns.append(wrk(server, connections, seconds, path=f"secret/data/app/{name}"))
        yardstick = medians(measured["plain"])[0]
        for name, columns in measured.items():
            rate, half, tail = medians(columns)
            print(f"| {connections} | {name} | {rate:,.0f} | {half:,.0f} | {tail:,.0f} | {rate / yardstick:.1%} |",
                  flush=True)
    if not call(server, "GET", "sys/rotation/secret/app/rotated")["data"]["consumers"]:
        raise SystemExit("the reader of the rotated secret was not remembered: the figures say nothing")
    server.stop()


PARTS = {"credentials": credentials, "leases": leases, "rotations": rotations, "tracking": tracking}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", type=pathlib.Path, default=http.RELEASE / "keyturn", help="the server to measure")
    parser.add_argument("--only", choices=list(PARTS), help="one part alone")
    parser.add_argument("--leases", type=int, default=100_000, metavar="N", help="at least so many leases")
    parser.add_argument("--rotations", type=int, default=100_000, metavar="N", help="at least so many rotations")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a look rather than a figure")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed (Debian: apt install wrk)")
    for name, part in PARTS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as work:
                try:
                    part(options.binary, pathlib.Path(work), options)
                finally:
                    for server in STARTED:
                        if server.process.poll() is None:
                            server.stop()


if __name__ == "__main__":
    main()
