"""AWS Secrets Manager: what access keys' policies and secrets' resource policies allow; rotation settings."""

import json

import pytest

from aws_model import ACCOUNT, client, make_key, refused, token
from support import unique

pytestmark = pytest.mark.keyturn


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect="Deny", principal="*", action="secretsmanager:GetSecretValue", **rest):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*", **rest}


@pytest.fixture
def secret(sm):
    name = unique("aws/guarded")
    sm.create_secret(Name=name, SecretString="x")
    return name


# Each operation, and the one rule that it needs; a key without it is refused.
NEEDS = {
    "get_secret_value": ("read", "secret/data/{name}", {}),
    "put_secret_value": ("update", "secret/data/{name}", {"SecretString": "y"}),
    "update_secret": ("update", "secret/metadata/{name}", {"Description": "y"}),
    "describe_secret": ("read", "secret/metadata/{name}", {}),
    "list_secret_version_ids": ("read", "secret/metadata/{name}", {}),
    "get_resource_policy": ("read", "secret/metadata/{name}", {}),
    "list_resource_policies": ("read", "secret/metadata/{name}", {}),
    "put_resource_policy": ("update", "secret/metadata/{name}", {"ResourcePolicy": document(statement("Allow"))}),
    "delete_resource_policy": ("update", "secret/metadata/{name}", {}),
    "tag_resource": ("update", "secret/metadata/{name}", {"Tags": [{"Key": "a", "Value": "b"}]}),
    "untag_resource": ("update", "secret/metadata/{name}", {"TagKeys": ["a"]}),
    "rotate_secret": ("update", "secret/data/{name}", {"RotationLambdaARN": "hook", "RotateImmediately": False}),
    "cancel_rotate_secret": ("update", "secret/metadata/{name}", {}),
    "delete_secret": ("delete", "secret/data/{name}", {}),
    "restore_secret": ("update", "secret/undelete/{name}", {}),
}


@pytest.mark.parametrize("operation", NEEDS)
def test_an_operation_needs_what_its_path_needs_at_the_other_door(sm_limited, secret, operation):
    capability, path, options = NEEDS[operation]
    path = path.format(name=secret)
    everything = '["create", "read", "update", "delete", "list", "patch"]'
    allowed = sm_limited(f'path "{path}" {{ capabilities = ["{capability}"] }}')
    getattr(allowed, operation)(SecretId=secret, **options)
    others = everything.replace(f'"{capability}", ', "").replace(f', "{capability}"', "")
    denied = sm_limited(f"""
        path "secret/*" {{ capabilities = {everything} }}
        path "{path}" {{ capabilities = {others} }}
    """)
    with refused("AccessDeniedException", f"allows {capability} on {path}"):
        getattr(denied, operation)(SecretId=secret, **options)


def test_deleting_at_once_needs_more_than_deleting(sm_limited, secret):
    scheduling = sm_limited(f'path "secret/data/{secret}" {{ capabilities = ["delete"] }}')
    with refused("AccessDeniedException", f"delete on secret/metadata/{secret}"):
        scheduling.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    scheduling.delete_secret(SecretId=secret)


def test_a_value_and_what_is_said_need_both(sm_limited, secret):
    values = sm_limited(f'path "secret/data/{secret}" {{ capabilities = ["update"] }}')
    values.update_secret(SecretId=secret, SecretString="y")
    with refused("AccessDeniedException", "metadata"):
        values.update_secret(SecretId=secret, SecretString="z", Description="z")


def test_making_needs_create(sm_limited):
    name = unique("aws/new")
    maker = sm_limited('path "secret/data/aws/*" { capabilities = ["create"] }')
    maker.create_secret(Name=name, SecretString="x")
    with refused("AccessDeniedException"):
        maker.put_secret_value(SecretId=name, SecretString="y")
    with refused("AccessDeniedException"):
        maker.create_secret(Name=unique("aws/new"))


def test_rules_about_parameters_hold_at_this_door_too(sm_limited, secret):
    limited = sm_limited(f"""path "secret/data/{secret}" {{
        capabilities = ["update"]
        denied_parameters = {{ "data" = [] }}
    }}""")
    with refused("AccessDeniedException"):
        limited.put_secret_value(SecretId=secret, SecretString="y")


def test_passwords_need_a_rule(sm_limited):
    assert sm_limited('path "sys/tools/random" { capabilities = ["update"] }').get_random_password()["RandomPassword"]
    with refused("AccessDeniedException", "sys/tools/random"):
        sm_limited('path "secret/*" { capabilities = ["read"] }').get_random_password()


def test_a_resource_policy_is_kept_as_it_is(sm, secret):
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret)
    assert sm.list_resource_policies(SecretId=secret)["ResourcePolicies"] == []
    text = json.dumps(json.loads(document(statement("Allow", {"AWS": ACCOUNT}))), indent=3)
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=text)
    assert sm.get_resource_policy(SecretId=secret)["ResourcePolicy"] == text
    assert sm.list_resource_policies(SecretId=secret)["ResourcePolicies"] == [{"PolicyName": "default"}]
    sm.delete_resource_policy(SecretId=secret)
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret)


def test_a_resource_policy_denies_what_policies_allow(server, sm, secret):
    key = make_key(server)
    one = client(key)
    arn = key.client("sts").get_caller_identity()["Arn"]
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=document(statement(principal={"AWS": arn})))
    with refused("AccessDeniedException", "explicit deny in the secret's resource policy"):
        one.get_secret_value(SecretId=secret)
    errors = one.batch_get_secret_value(SecretIdList=[secret])["Errors"]
    assert [error["ErrorCode"] for error in errors] == ["AccessDeniedException"]
    assert one.describe_secret(SecretId=secret) and sm.get_secret_value(SecretId=secret)
    sm.delete_resource_policy(SecretId=secret)
    assert one.get_secret_value(SecretId=secret)["SecretString"] == "x"


@pytest.mark.parametrize("condition, denied", [
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
    ({"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]}}, False),
    ({"StringEquals": {"secretsmanager:VersionStage": "AWSPREVIOUS"}}, False),
    ({"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}, True),
    ({"StringEquals": {"secretsmanager:ResourceTag/env": "prod"}}, True),
    ({"Bool": {"aws:SecureTransport": "false"}}, False),
])
def test_conditions(sm, secret, condition, denied):
    sm.tag_resource(SecretId=secret, Tags=[{"Key": "env", "Value": "prod"}])
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=document(statement(Condition=condition)))
    if denied:
        with refused("AccessDeniedException"):
            sm.get_secret_value(SecretId=secret)
    else:
        sm.get_secret_value(SecretId=secret)


def test_an_allow_grants_nothing(sm, sm_limited, secret):
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=document(statement("Allow", action="*")))
    with refused("AccessDeniedException"):
        sm_limited('path "secret/data/other" { capabilities = ["read"] }').get_secret_value(SecretId=secret)


@pytest.mark.parametrize("text, told", [
    ("nothing", "not a JSON object"), ("{}", "Statement"), (document({"Effect": "Maybe"}), "Statement 1: Effect"),
    (document(statement(action="s3:GetObject")), "s3:GetObject"), (document(statement(principal="ann")), "Principal"),
    (document(statement(Condition={"Sounds": {"a": "b"}})), "Sounds"),
    (document(statement(action="*")), "keep you from changing"),
])
def test_policies_that_are_refused(sm, secret, text, told):
    with refused("MalformedPolicyDocumentException", told):
        sm.put_resource_policy(SecretId=secret, ResourcePolicy=text)
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret)


def test_a_policy_for_everybody_is_blocked_if_asked_for(sm, secret):
    text = document(statement("Allow"))
    with refused("PublicPolicyException"):
        sm.put_resource_policy(SecretId=secret, ResourcePolicy=text, BlockPublicPolicy=True)
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=text)
    closed = document(statement("Allow", Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}))
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=closed, BlockPublicPolicy=True)


def test_validating(sm, secret):
    good = sm.validate_resource_policy(SecretId=secret, ResourcePolicy=document(statement("Allow", {"AWS": ACCOUNT})))
    assert (good["PolicyValidationPassed"], good["ValidationErrors"]) == (True, [])
    public = sm.validate_resource_policy(ResourcePolicy=document(statement("Allow")))
    assert not public["PolicyValidationPassed"] and public["ValidationErrors"][0]["CheckName"] == "PUBLIC_POLICY"
    with refused("MalformedPolicyDocumentException"):
        sm.validate_resource_policy(ResourcePolicy="{")
    for call, options in ((sm.put_resource_policy, {"ResourcePolicy": document(statement())}),
                          (sm.get_resource_policy, {}), (sm.delete_resource_policy, {})):
        with refused("InvalidParameterException", "default"):
            call(SecretId=secret, PolicyName="other", **options)


def test_a_rotation_is_set_up_and_opened(sm, secret):
    request, hook = token(), "arn:aws:lambda:us-east-1:000000000000:function:rotate"
    with refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."):
        sm.rotate_secret(SecretId=secret, RotationRules={"AutomaticallyAfterDays": 1})
    assert "RotationEnabled" not in sm.describe_secret(SecretId=secret)
    answer = sm.rotate_secret(SecretId=secret, RotationLambdaARN=hook, ClientRequestToken=request,
                              RotationRules={"AutomaticallyAfterDays": 10, "Duration": "3h"})
    assert answer["VersionId"] == request
    told = sm.describe_secret(SecretId=secret)
    assert (told["RotationEnabled"], told["RotationLambdaARN"]) == (True, hook)
    assert told["RotationRules"] == {"AutomaticallyAfterDays": 10, "Duration": "3h"}
    days = (told["NextRotationDate"] - told["CreatedDate"]).total_seconds() / 86400
    assert 9.9 < days < 10.1 and "LastRotatedDate" not in told
    # The version of the rotation is there, and holds nothing until the rotation puts it.
    assert told["VersionIdsToStages"][request] == ["AWSPENDING"]
    assert request not in [v["VersionId"] for v in sm.list_secret_version_ids(SecretId=secret)["Versions"]]
    with refused("ResourceNotFoundException", "staging label: AWSPENDING"):
        sm.get_secret_value(SecretId=secret, VersionStage="AWSPENDING")
    sm.rotate_secret(SecretId=secret, ClientRequestToken=request)
    with refused("InvalidRequestException", "A previous rotation isn't complete."):
        sm.rotate_secret(SecretId=secret)
    with refused("ResourceNotFoundException"):
        current = sm.get_secret_value(SecretId=secret)["VersionId"]
        sm.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", RemoveFromVersionId=current,
                                       MoveToVersionId=request)
    sm.put_secret_value(SecretId=secret, ClientRequestToken=request, SecretString="new", VersionStages=["AWSPENDING"])
    assert sm.get_secret_value(SecretId=secret, VersionStage="AWSPENDING")["SecretString"] == "new"
    sm.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", RemoveFromVersionId=current,
                                   MoveToVersionId=request)
    assert sm.get_secret_value(SecretId=secret)["SecretString"] == "new"
    sm.rotate_secret(SecretId=secret, ClientRequestToken=token())


def test_a_rotation_later_opens_none(sm, secret):
    sm.rotate_secret(SecretId=secret, RotationLambdaARN="hook", RotateImmediately=False,
                     RotationRules={"ScheduleExpression": "rate(4 hours)"})
    told = sm.describe_secret(SecretId=secret)
    assert "AWSPENDING" not in sum(told["VersionIdsToStages"].values(), [])
    assert told["RotationRules"] == {"ScheduleExpression": "rate(4 hours)"}


def test_cancelling(sm, secret):
    request = token()
    assert "VersionId" not in sm.cancel_rotate_secret(SecretId=secret)
    sm.rotate_secret(SecretId=secret, RotationLambdaARN="hook", ClientRequestToken=request,
                     RotationRules={"ScheduleExpression": "cron(0 8 1 * ? *)"})
    assert sm.cancel_rotate_secret(SecretId=secret)["VersionId"] == request
    told = sm.describe_secret(SecretId=secret)
    assert told["RotationEnabled"] is False and told["RotationRules"]["ScheduleExpression"]
    assert "NextRotationDate" not in told


@pytest.mark.parametrize("rules", [
    {"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"}, {"Duration": "3h"},
    {"ScheduleExpression": "rate(3 hours)"}, {"ScheduleExpression": "cron(5 8 1 * ? *)"}, {"ScheduleExpression": "daily"},
    {"ScheduleExpression": "cron(0 25 1 * ? *)"}, {"ScheduleExpression": "cron(0 8 30 2 ? *)"},
    {"ScheduleExpression": "cron(0 8 1 * ? 2030)"}, {"ScheduleExpression": "rate(1000 days)"},
    {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"}, {"AutomaticallyAfterDays": 1, "Duration": "25h"},
    {"ScheduleExpression": "cron(0 20 * * ? *)", "Duration": "5h"}, {"AutomaticallyAfterDays": 1, "Duration": "0h"},
])
def test_rules_that_cannot_be(sm, secret, rules):
    with refused("InvalidParameterException"):
        sm.rotate_secret(SecretId=secret, RotationLambdaARN="hook", RotationRules=rules)


def test_somebody_elses_rotation(sm, secret):
    role = "arn:aws:iam::000000000000:role/rotate"
    sm.rotate_secret(SecretId=secret, ExternalSecretRotationRoleArn=role, RotateImmediately=False,
                     ExternalSecretRotationMetadata=[{"Key": "a", "Value": "b"}])
    told = sm.describe_secret(SecretId=secret)
    assert told["ExternalSecretRotationMetadata"] == [{"Key": "a", "Value": "b"}]
    assert told["ExternalSecretRotationRoleArn"] == role
