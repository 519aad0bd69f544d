"""AWS Secrets Manager: many clients at one secret, and a power cut in the middle: a label is on one version, always."""

import threading

import botocore.exceptions
import pytest

import aws_model
from support import unique, wait_until

pytestmark = pytest.mark.keyturn

CLIENTS = 32
LABELS = ["blue", "green"]
# What a client may be told when another was faster, or when the server went away.
LOST = {"InvalidParameterException", "ResourceNotFoundException", "InternalServiceError"}


def check(sm, name):
    """The labels as they are told: each on one version, the same at both operations; current and previous differ."""
    stages = sm.describe_secret(SecretId=name)["VersionIdsToStages"]
    flat = [label for labels in stages.values() for label in labels]
    assert len(flat) == len(set(flat)), stages
    assert flat.count("AWSCURRENT") == 1, stages
    current = sm.get_secret_value(SecretId=name)
    assert current["VersionStages"].count("AWSCURRENT") == 1 and "AWSPREVIOUS" not in current["VersionStages"]
    return stages


def work(sm, name, index, rounds, done):
    """Puts versions and moves labels; every read in between must hold."""
    for number in range(rounds):
        try:
            label = LABELS[index % len(LABELS)]
            if index % 3 == 0:
                sm.put_secret_value(SecretId=name, SecretString=f"{index}-{number}")
            elif index % 3 == 1:
                sm.put_secret_value(SecretId=name, SecretString=f"{index}-{number}", VersionStages=[label])
            else:
                stages = check(sm, name)
                holder = {each: version for version, labels in stages.items() for each in labels}
                moved = label if number % 2 else "AWSCURRENT"
                target = holder.get("AWSPREVIOUS") if moved == "AWSCURRENT" else holder["AWSCURRENT"]
                if target:
                    held = {"RemoveFromVersionId": holder[moved]} if moved in holder else {}
                    sm.update_secret_version_stage(SecretId=name, VersionStage=moved, MoveToVersionId=target, **held)
            check(sm, name)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in LOST:
                raise
        except botocore.exceptions.BotoCoreError:
            return
        done[index] += 1


def start(clients, name, rounds):
    """Starts a thread for each client; returns them with their failures and their progress."""
    failures, done = [], [0] * len(clients)

    def guarded(index, client):
        try:
            work(client, name, index, rounds, done)
        except BaseException as error:  # noqa: BLE001, every failure is to be told by the test
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    return threads, failures, done


def test_labels_stay_whole_among_many(aws_key, sm):
    name = unique("aws/crowd")
    sm.create_secret(Name=name, SecretString="first")
    threads, failures, done = start([aws_model.client(aws_key) for _ in range(CLIENTS)], name, 6)
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    assert min(done) > 0
    stages = check(sm, name)
    current = sm.get_secret_value(SecretId=name)
    assert "AWSCURRENT" in stages[current["VersionId"]]


def test_a_power_cut_leaves_labels_whole(own_server):
    """Killed while clients put and move, the server comes back with every label on one version, all of them readable."""
    own_server.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    key = aws_model.make_key(own_server)
    sm = aws_model.client(key)
    name = unique("aws/crash")
    sm.create_secret(Name=name, SecretString="first")
    for _ in range(3):
        threads, failures, done = start([aws_model.client(key) for _ in range(8)], name, 1000)
        wait_until("all clients are at work", lambda: min(done) > 1)
        own_server.kill()
        for thread in threads:
            thread.join()
        assert not failures, failures[0]
        own_server.start()
        own_server.unseal()
        for version, labels in check(sm, name).items():
            read = sm.get_secret_value(SecretId=name, VersionId=version)
            assert sorted(read["VersionStages"]) == sorted(labels) and read["SecretString"]
