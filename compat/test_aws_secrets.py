"""AWS Secrets Manager: making, reading and writing secrets, as boto3 sees it."""

import datetime

import pytest

from aws_model import ACCOUNT, REGION, refused, token
from support import unique

pytestmark = pytest.mark.keyturn

GONE = "Secrets Manager can't find the specified secret."
POLICY = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}'
MARKED = "You can't perform this operation on the secret because it was marked for deletion."


def test_a_secret_is_made_and_read(sm):
    name, before = unique("aws/made"), datetime.datetime.now(datetime.timezone.utc)
    made = sm.create_secret(Name=name, SecretString="hunter2", Description="for a test", KmsKeyId="alias/mine",
                            Tags=[{"Key": "z", "Value": "1"}, {"Key": "a", "Value": ""}])
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-")
    assert len(made["ARN"].rsplit("-", 1)[1]) == 6 and made["Name"] == name
    read = sm.get_secret_value(SecretId=name)
    assert read["SecretString"] == "hunter2" and "SecretBinary" not in read
    assert (read["ARN"], read["VersionId"], read["VersionStages"]) == (made["ARN"], made["VersionId"], ["AWSCURRENT"])
    assert abs((read["CreatedDate"] - before).total_seconds()) < 60
    told = sm.describe_secret(SecretId=name)
    assert (told["Description"], told["KmsKeyId"]) == ("for a test", "alias/mine")
    assert told["Tags"] == [{"Key": "z", "Value": "1"}, {"Key": "a", "Value": ""}]
    assert told["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
    for absent in ("RotationEnabled", "RotationRules", "DeletedDate", "OwningService", "PrimaryRegion"):
        assert absent not in told


def test_what_was_never_said_is_left_out(sm):
    name = unique("aws/empty")
    made = sm.create_secret(Name=name)
    assert set(made) == {"ARN", "Name", "ResponseMetadata"}
    told = sm.describe_secret(SecretId=name)
    assert set(told) == {"ARN", "Name", "CreatedDate", "LastChangedDate", "ResponseMetadata"}
    assert sm.list_secret_version_ids(SecretId=name)["Versions"] == []
    with refused("ResourceNotFoundException", "specified secret value for staging label: AWSCURRENT"):
        sm.get_secret_value(SecretId=name)
    put = sm.put_secret_value(SecretId=name, SecretString="first", VersionStages=["blue"])
    assert sorted(put["VersionStages"]) == ["AWSCURRENT", "blue"]


def test_the_day_of_the_last_read_is_told(sm):
    name = unique("aws/accessed")
    sm.create_secret(Name=name, SecretString="x")
    assert "LastAccessedDate" not in sm.describe_secret(SecretId=name)
    sm.get_secret_value(SecretId=name)
    accessed = sm.describe_secret(SecretId=name)["LastAccessedDate"].astimezone(datetime.timezone.utc)
    assert (accessed.hour, accessed.minute, accessed.second) == (0, 0, 0)


@pytest.mark.parametrize("value", [
    "plain", "{\"user\": \"ann\",  \"n\": 1.50}", "{\"twice\": 1, \"twice\": 2}", "[1]", "not { json", "ü\u0000\n\"\\ 😀",
    "x" * 65536,
])
def test_text_comes_back_as_it_was(sm, value):
    name = unique("aws/text")
    sm.create_secret(Name=name, SecretString=value)
    assert sm.get_secret_value(SecretId=name)["SecretString"] == value


@pytest.mark.parametrize("value", [b"\x00", bytes(range(256)), b"x" * 65536])
def test_bytes_come_back_as_they_were(sm, value):
    name = unique("aws/bytes")
    sm.create_secret(Name=name, SecretBinary=value)
    read = sm.get_secret_value(SecretId=name)
    assert read["SecretBinary"] == value and "SecretString" not in read


def test_a_secret_is_found_by_name_and_arn(sm):
    name = unique("aws/named")
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    for secret_id in (name, arn, arn[:-7]):
        assert sm.get_secret_value(SecretId=secret_id)["ARN"] == arn
    other = arn[:-6] + ("AAAAAA" if not arn.endswith("AAAAAA") else "BBBBBB")
    for secret_id in (other, arn.replace(REGION, "eu-west-9"), arn.replace(ACCOUNT, "1" * 12), name + "x", name[:-1]):
        with refused("ResourceNotFoundException", GONE):
            sm.get_secret_value(SecretId=secret_id)


def test_a_name_that_ends_like_an_arn(sm):
    name = f"{unique('aws/tail')}-a1b2c3"
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    for secret_id in (name, arn):
        assert sm.get_secret_value(SecretId=secret_id)["Name"] == name
    with refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId=arn[:-7])
    for tail in ("-a1b2", "-a1b2c3-"):
        other = unique("aws/tail") + tail
        arn = sm.create_secret(Name=other, SecretString="x")["ARN"]
        assert sm.get_secret_value(SecretId=arn[:-7])["Name"] == other


def test_a_name_may_start_with_a_slash(sm):
    name = "/" + unique("aws/slash")
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    assert sm.get_secret_value(SecretId=name)["ARN"] == sm.get_secret_value(SecretId=arn)["ARN"] == arn


@pytest.mark.parametrize("name", ["with space", "q?", "a*", "ü", "a:b", "x" * 513, "a/", "a/../b"])
def test_bad_names(sm, name):
    with refused("ValidationException"):
        sm.create_secret(Name=name, SecretString="x")


def test_a_bad_name_cannot_be_there(sm):
    for call in (sm.get_secret_value, sm.describe_secret, sm.delete_secret, sm.restore_secret, sm.cancel_rotate_secret,
                 sm.get_resource_policy, sm.list_secret_version_ids):
        with refused("ValidationException", "Invalid name. Must be a valid name"):
            call(SecretId="not a name")


def test_a_secret_made_anew_has_another_arn(sm):
    name = unique("aws/anew")
    first = sm.create_secret(Name=name, SecretString="x")["ARN"]
    sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert sm.create_secret(Name=name, SecretString="x")["ARN"] != first
    with refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId=first)


def test_making_twice(sm):
    name, request = unique("aws/twice"), token()
    made = sm.create_secret(Name=name, SecretString="x", ClientRequestToken=request)
    again = sm.create_secret(Name=name, SecretString="x", ClientRequestToken=request)
    assert (again["ARN"], again["VersionId"]) == (made["ARN"], request)
    with refused("ResourceExistsException", f"You can't use ClientRequestToken {request} because that value is already "
                                            f"in use for a version of secret {made['ARN']}."):
        sm.create_secret(Name=name, SecretString="y", ClientRequestToken=request)
    with refused("ResourceExistsException", f"The operation failed because the secret {name} already exists."):
        sm.create_secret(Name=name, SecretString="x")


@pytest.mark.parametrize("write", ["put_secret_value", "update_secret"])
def test_writing_twice(sm, write):
    name, request = unique("aws/again"), token()
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    call = getattr(sm, write)
    first = call(SecretId=name, SecretString="y", ClientRequestToken=request)
    sm.put_secret_value(SecretId=name, SecretString="z")
    again = call(SecretId=name, SecretString="y", ClientRequestToken=request)
    assert first["VersionId"] == again["VersionId"] == request
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "z"
    for other in ({"SecretString": "other"}, {"SecretBinary": b"y"}):
        with refused("ResourceExistsException", f"already in use for a version of secret {arn}."):
            call(SecretId=name, ClientRequestToken=request, **other)


def test_updating_what_is_said(sm):
    name = unique("aws/said")
    made = sm.create_secret(Name=name, SecretString="x", Description="old")
    changed = sm.update_secret(SecretId=name, Description="new", KmsKeyId="k")
    assert set(changed) == {"ARN", "Name", "ResponseMetadata"}
    told = sm.describe_secret(SecretId=name)
    assert (told["Description"], told["KmsKeyId"]) == ("new", "k")
    assert sm.get_secret_value(SecretId=name)["VersionId"] == made["VersionId"]
    changed = sm.update_secret(SecretId=name, Description="newer", SecretString="y")
    assert sm.get_secret_value(SecretId=name)["VersionId"] == changed["VersionId"]
    assert sm.describe_secret(SecretId=name)["Description"] == "newer"
    sm.update_secret(SecretId=name, Description="")
    assert "Description" not in sm.describe_secret(SecretId=name)


def test_two_values_or_none(sm):
    name = unique("aws/values")
    both = {"SecretString": "x", "SecretBinary": b"x"}
    text = "You can't specify both a binary secret value and a string secret value in the same secret."
    with refused("InvalidParameterException", text):
        sm.create_secret(Name=name, **both)
    sm.create_secret(Name=name, SecretString="x")
    with refused("InvalidParameterException", text):
        sm.put_secret_value(SecretId=name, **both)
    with refused("InvalidParameterException", text):
        sm.update_secret(SecretId=name, **both)
    with refused("InvalidRequestException", "SecretString or SecretBinary"):
        sm.put_secret_value(SecretId=name)


def test_versions_and_labels_that_are_not_there(sm):
    name, request = unique("aws/absent"), token()
    made = sm.create_secret(Name=name, SecretString="x")
    with refused("ResourceNotFoundException", "specified secret value for staging label: AWSPENDING"):
        sm.get_secret_value(SecretId=name, VersionStage="AWSPENDING")
    with refused("ResourceNotFoundException", f"specified secret value for VersionId: {request}"):
        sm.get_secret_value(SecretId=name, VersionId=request)
    with refused("InvalidRequestException",
                 "You provided a VersionStage that is not associated to the provided VersionId."):
        sm.get_secret_value(SecretId=name, VersionId=made["VersionId"], VersionStage="AWSPREVIOUS")
    read = sm.get_secret_value(SecretId=name, VersionId=made["VersionId"], VersionStage="AWSCURRENT")
    assert read["SecretString"] == "x"


def test_what_is_not_there_cannot_be_changed(sm):
    name = unique("aws/nothing")
    for call in (
        lambda: sm.put_secret_value(SecretId=name, SecretString="x"), lambda: sm.update_secret(SecretId=name, Description="x"),
        lambda: sm.describe_secret(SecretId=name), lambda: sm.delete_secret(SecretId=name),
        lambda: sm.restore_secret(SecretId=name), lambda: sm.tag_resource(SecretId=name, Tags=[]),
        lambda: sm.untag_resource(SecretId=name, TagKeys=[]), lambda: sm.cancel_rotate_secret(SecretId=name),
        lambda: sm.rotate_secret(SecretId=name, RotationLambdaARN="arn:aws:lambda:x:y:function:z"),
        lambda: sm.get_resource_policy(SecretId=name), lambda: sm.delete_resource_policy(SecretId=name),
        lambda: sm.list_secret_version_ids(SecretId=name), lambda: sm.list_resource_policies(SecretId=name),
        lambda: sm.put_resource_policy(SecretId=name, ResourcePolicy=POLICY),
        lambda: sm.validate_resource_policy(SecretId=name, ResourcePolicy=POLICY),
        lambda: sm.update_secret_version_stage(SecretId=name, VersionStage="a", MoveToVersionId=token()),
        lambda: sm.stop_replication_to_replica(SecretId=name),
    ):
        with refused("ResourceNotFoundException", GONE):
            call()


def test_deleting_and_restoring(sm):
    name = unique("aws/deleted")
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    deleted = sm.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    days = (deleted["DeletionDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
    assert 6.9 < days < 7.1
    assert "DeletedDate" in sm.describe_secret(SecretId=name)
    for call in (
        lambda: sm.get_secret_value(SecretId=name), lambda: sm.put_secret_value(SecretId=name, SecretString="y"),
        lambda: sm.update_secret(SecretId=name, Description="y"), lambda: sm.untag_resource(SecretId=name, TagKeys=["a"]),
        lambda: sm.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: sm.rotate_secret(SecretId=name, RotationLambdaARN="x"), lambda: sm.cancel_rotate_secret(SecretId=name),
        lambda: sm.get_resource_policy(SecretId=name), lambda: sm.list_resource_policies(SecretId=name),
        lambda: sm.put_resource_policy(SecretId=name, ResourcePolicy=POLICY),
        lambda: sm.delete_resource_policy(SecretId=name),
        lambda: sm.validate_resource_policy(SecretId=name, ResourcePolicy=POLICY),
        lambda: sm.update_secret_version_stage(SecretId=name, VersionStage="a", MoveToVersionId=token()),
    ):
        with refused("InvalidRequestException", MARKED):
            call()
    with refused("InvalidRequestException", "already scheduled for deletion"):
        sm.delete_secret(SecretId=name)
    with refused("InvalidRequestException",
                 "You can't create this secret because a secret with this name is already scheduled for deletion."):
        sm.create_secret(Name=name, SecretString="y")
    assert sm.restore_secret(SecretId=name)["ARN"] == arn
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "x"
    assert "DeletedDate" not in sm.describe_secret(SecretId=name)
    assert sm.restore_secret(SecretId=name)["ARN"] == arn


def test_deleting_at_once(sm):
    name = unique("aws/forced")
    arn = sm.create_secret(Name=name, SecretString="x")["ARN"]
    sm.delete_secret(SecretId=name)
    assert sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)["ARN"] == arn
    with refused("ResourceNotFoundException"):
        sm.describe_secret(SecretId=name)
    invented = sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert invented["ARN"].startswith(arn[:-6])


@pytest.mark.parametrize("window, told", [
    ({"RecoveryWindowInDays": 6}, "between 7 and 30 days"), ({"RecoveryWindowInDays": 31}, "between 7 and 30 days"),
    ({"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True}, "in conjunction with"),
])
def test_windows_that_cannot_be(sm, window, told):
    with refused("InvalidParameterException", told):
        sm.delete_secret(SecretId="any", **window)


def test_tags(sm):
    name = unique("aws/tags")
    sm.create_secret(Name=name)
    tag = lambda key, value: {"Key": key, "Value": value}  # noqa: E731
    answer = sm.tag_resource(SecretId=name, Tags=[tag("z", "1"), tag("a", "2")])
    assert set(answer) == {"ResponseMetadata"}
    sm.tag_resource(SecretId=name, Tags=[tag("z", "3"), tag("m", "4")])
    assert sm.describe_secret(SecretId=name)["Tags"] == [tag("z", "3"), tag("a", "2"), tag("m", "4")]
    sm.untag_resource(SecretId=name, TagKeys=["a", "never"])
    sm.untag_resource(SecretId=name, TagKeys=["z", "m"])
    assert sm.describe_secret(SecretId=name)["Tags"] == []
    with refused("InvalidParameterException", "aws:"):
        sm.tag_resource(SecretId=name, Tags=[tag("aws:x", "1")])
    with refused("InvalidParameterException", "at most 50 tags"):
        sm.tag_resource(SecretId=name, Tags=[tag(str(n), "") for n in range(51)])


def test_random_passwords(sm):
    drawn = {sm.get_random_password()["RandomPassword"] for _ in range(10)}
    assert len(drawn) == 10 and all(len(password) == 32 for password in drawn)
    digits = sm.get_random_password(PasswordLength=4096, ExcludePunctuation=True, ExcludeUppercase=True,
                                    ExcludeLowercase=True, ExcludeCharacters="012")["RandomPassword"]
    assert len(digits) == 4096 and set(digits) == set("3456789")
    assert " " in sm.get_random_password(PasswordLength=5, IncludeSpace=True)["RandomPassword"]
    with refused("InvalidParameterException", "Password length is too short based on the required types."):
        sm.get_random_password(PasswordLength=3)
    with refused("InvalidParameterException"):
        sm.get_random_password(ExcludeNumbers=True, ExcludePunctuation=True, ExcludeUppercase=True,
                               ExcludeLowercase=True)


def test_a_type_is_remembered(sm):
    name = unique("aws/type")
    sm.create_secret(Name=name, SecretString="x", Type="partner")
    assert sm.describe_secret(SecretId=name)["Type"] == "partner"
