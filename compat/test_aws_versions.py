"""AWS Secrets Manager: versions and staging labels."""

import pytest

from aws_model import refused, token
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def secret(sm):
    """A secret with two versions: its name, and their ids."""
    name = unique("aws/staged")
    first = sm.create_secret(Name=name, SecretString="one")["VersionId"]
    second = sm.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    return name, first, second


def labels(sm, name):
    return {version: sorted(stages) for version, stages in sm.describe_secret(SecretId=name)["VersionIdsToStages"].items()}


def test_a_write_moves_current_and_previous(sm, secret):
    name, first, second = secret
    assert labels(sm, name) == {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]}
    third = sm.put_secret_value(SecretId=name, SecretString="three")
    assert third["VersionStages"] == ["AWSCURRENT"]
    assert labels(sm, name) == {second: ["AWSPREVIOUS"], third["VersionId"]: ["AWSCURRENT"]}
    assert sm.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "two"
    assert sm.get_secret_value(SecretId=name, VersionId=first)["SecretString"] == "one"


def test_custom_labels_stay_where_they_are(sm, secret):
    name, _, second = secret
    third = sm.put_secret_value(SecretId=name, SecretString="three", VersionStages=["AWSCURRENT", "blue"])["VersionId"]
    fourth = sm.put_secret_value(SecretId=name, SecretString="four")["VersionId"]
    assert labels(sm, name) == {third: ["AWSPREVIOUS", "blue"], fourth: ["AWSCURRENT"]}
    fifth = sm.put_secret_value(SecretId=name, SecretString="five", VersionStages=["blue"])
    assert fifth["VersionStages"] == ["blue"]
    assert labels(sm, name) == {third: ["AWSPREVIOUS"], fourth: ["AWSCURRENT"], fifth["VersionId"]: ["blue"]}
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "four"
    assert second not in labels(sm, name)


def test_current_moves_by_hand(sm, secret):
    name, first, second = secret
    with refused("InvalidParameterException",
                 "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to "
                 f"version {second}, so you must explicitly reference that version in RemoveFromVersionId."):
        sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first)
    answer = sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=second,
                                            MoveToVersionId=first)
    assert set(answer) == {"ARN", "Name", "ResponseMetadata"}
    assert labels(sm, name) == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_a_rotation_by_labels(sm, secret):
    name, _, second = secret
    pending = sm.put_secret_value(SecretId=name, SecretString="next", VersionStages=["AWSPENDING"])["VersionId"]
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["SecretString"] == "next"
    sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=second,
                                   MoveToVersionId=pending)
    assert labels(sm, name) == {pending: ["AWSCURRENT", "AWSPENDING"], second: ["AWSPREVIOUS"]}
    sm.update_secret_version_stage(SecretId=name, VersionStage="AWSPENDING", RemoveFromVersionId=pending)
    assert labels(sm, name) == {pending: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}


def test_labels_come_and_go(sm, secret):
    name, first, second = secret
    move = lambda **to: sm.update_secret_version_stage(SecretId=name, VersionStage="blue", **to)  # noqa: E731
    move(MoveToVersionId=first)
    assert "blue" in labels(sm, name)[first]
    move(MoveToVersionId=first)
    with refused("InvalidParameterException", "RemoveFromVersionId", first):
        move(MoveToVersionId=second, RemoveFromVersionId=second)
    move(RemoveFromVersionId=first)
    assert "blue" not in labels(sm, name)[first]
    with refused("InvalidParameterException", "is not attached to version"):
        move(RemoveFromVersionId=first)
    with refused("InvalidParameterException", "MoveToVersionId"):
        move()
    with refused("ResourceNotFoundException", "specified secret version"):
        move(MoveToVersionId=token())
    with refused("InvalidParameterException", "It can't be completely removed."):
        sm.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=second)


def test_names_of_labels_are_not_mixed_up(sm, secret):
    name, first, second = secret
    sm.update_secret_version_stage(SecretId=name, VersionStage="current", MoveToVersionId=first)
    assert labels(sm, name) == {first: ["AWSPREVIOUS", "current"], second: ["AWSCURRENT"]}


def test_too_many_labels(sm, secret):
    name, first, _ = secret
    for number in range(18):
        sm.update_secret_version_stage(SecretId=name, VersionStage=f"label-{number}", MoveToVersionId=first)
    with refused("LimitExceededException", "at most 20 staging labels"):
        sm.update_secret_version_stage(SecretId=name, VersionStage="one-more", MoveToVersionId=first)
    with refused("LimitExceededException", "at most 20 staging labels"):
        sm.put_secret_value(SecretId=name, SecretString="x", VersionStages=["another"])


def test_versions_are_listed(sm, secret):
    name, first, second = secret
    third = sm.put_secret_value(SecretId=name, SecretString="three")["VersionId"]
    listed = sm.list_secret_version_ids(SecretId=name)
    assert [version["VersionId"] for version in listed["Versions"]] == [second, third]
    assert listed["Versions"][0]["KmsKeyIds"] == ["DefaultEncryptionKey"] and "NextToken" not in listed
    everything = sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
    assert [version["VersionId"] for version in everything] == [first, second, third]
    assert "VersionStages" not in everything[0]


def test_versions_are_listed_in_pages(sm, secret):
    name, first, second = secret
    ids = [first, second] + [sm.put_secret_value(SecretId=name, SecretString=str(n))["VersionId"] for n in range(5)]
    seen, options = [], {}
    while True:
        page = sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, MaxResults=3, **options)
        assert len(page["Versions"]) <= 3
        seen += [version["VersionId"] for version in page["Versions"]]
        if "NextToken" not in page:
            break
        options = {"NextToken": page["NextToken"]}
        # Deprecated versions are another listing, and so is another secret's.
        with refused("InvalidNextTokenException"):
            sm.list_secret_version_ids(SecretId=name, **options)
    assert seen == ids


def test_versions_without_labels_are_collected(sm):
    name = unique("aws/many")
    sm.create_secret(Name=name, SecretString="0")
    kept = sm.put_secret_value(SecretId=name, SecretString="kept", VersionStages=["keep"])["VersionId"]
    for number in range(110):
        sm.put_secret_value(SecretId=name, SecretString=str(number))
    pages = [sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)]
    while "NextToken" in pages[-1]:
        pages.append(sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, NextToken=pages[-1]["NextToken"]))
    ids = [version["VersionId"] for page in pages for version in page["Versions"]]
    assert 100 <= len(ids) <= 101 and kept in ids
    assert sm.get_secret_value(SecretId=name, VersionStage="keep")["SecretString"] == "kept"
