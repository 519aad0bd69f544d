"""RotateSecret on secrets that Keyturn rotates by a function: labels at each step, labels that others left, rules."""

import datetime
import json

import pytest

from aws_model import refused, token
from support import unique, wait_until
from test_rotation import STEPS, Function, rotated, rotation_function, status

pytestmark = pytest.mark.keyturn

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:rotate"


class Watched(Function):
    """Notes which labels its version has as each step begins, and whether that version can be read."""

    def __init__(self, sm):
        super().__init__(sm)
        self.seen = []

    def __call__(self, event):
        stages = self.sm.describe_secret(SecretId=event["SecretId"])["VersionIdsToStages"]
        try:
            self.sm.get_secret_value(SecretId=event["SecretId"], VersionId=event["ClientRequestToken"])
            filled = True
        except self.sm.exceptions.ResourceNotFoundException:
            filled = False
        self.seen.append((event["Step"], stages[event["ClientRequestToken"]], filled))
        return super().__call__(event)


@pytest.fixture
def name():
    return unique("rotation")


@pytest.fixture
def function(client, sm, name):
    """A secret that a function rotates, and the function."""
    arn = sm.create_secret(Name=name, SecretString='{"username":"app","password":"first"}')["ARN"]
    function = Watched(sm)
    with rotation_function(function) as url:
        client.write(f"sys/rotation/secret/{name}", strategy="hook", hook_url=url, hook_secret_id=arn)
        yield function


def labels(sm, name):
    return sm.describe_secret(SecretId=name)["VersionIdsToStages"]


def test_the_pending_version_is_there_before_the_first_step_and_its_label_goes_in_the_end(client, sm, name, function):
    [before] = labels(sm, name)
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    rotated(client, name, 1)
    assert function.seen == [("createSecret", ["AWSPENDING"], False), ("setSecret", ["AWSPENDING"], True),
                             ("testSecret", ["AWSPENDING"], True), ("finishSecret", ["AWSPENDING"], True)]
    assert labels(sm, name) == {request: ["AWSCURRENT"], before: ["AWSPREVIOUS"]}


def test_a_function_that_leaves_the_last_step_undone(client, sm, name, function):
    """Keyturn promotes what was tested."""
    function.finishSecret = lambda arn, request: None
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    rotated(client, name, 1)
    assert labels(sm, name)[request] == ["AWSCURRENT"]


def test_another_token_does_not_fill_the_version(client, sm, name, function):
    """A put with a token of its own takes the label away; the step fails, and the rotation heals itself."""
    foreign, create = token(), function.createSecret

    def elsewhere(arn, request):
        sm.put_secret_value(SecretId=arn, ClientRequestToken=foreign, SecretString='{"password":"foreign"}',
                            VersionStages=["AWSPENDING"])

    function.createSecret = elsewhere
    request = token()
    sm.rotate_secret(SecretId=name, ClientRequestToken=request)
    wait_until("a failure", lambda: (status(client, name)["run"] or {"attempts": 0})["attempts"] > 0)
    assert "holds no value" in status(client, name)["run"]["waiting_for"]
    assert json.loads(sm.get_secret_value(SecretId=name)["SecretString"])["password"] == "first"
    function.createSecret = create
    rotated(client, name, 1)
    now = sm.get_secret_value(SecretId=name)
    assert now["VersionId"] == request and json.loads(now["SecretString"])["password"] not in ("first", "foreign")
    assert "AWSPENDING" not in str(labels(sm, name))


@pytest.mark.parametrize("left", ["with a value", "without a value", "on the current version"])
def test_a_label_that_somebody_left_is_no_obstacle(client, sm, name, left):
    """A rotation that somebody else carried out died, or left its label; then Keyturn takes over."""
    arn = sm.create_secret(Name=name, SecretString='{"username":"app","password":"first"}')["ARN"]
    [current], stale = labels(sm, name), token()
    if left == "on the current version":
        sm.update_secret_version_stage(SecretId=name, VersionStage="AWSPENDING", MoveToVersionId=current)
    else:
        sm.rotate_secret(SecretId=name, RotationLambdaARN=LAMBDA, ClientRequestToken=stale)
        if left == "with a value":
            sm.put_secret_value(SecretId=name, ClientRequestToken=stale, VersionStages=["AWSPENDING"],
                                SecretString='{"username":"app","password":"stale"}')
    assert "AWSPENDING" in str(labels(sm, name))
    function = Watched(sm)
    with rotation_function(function) as url:
        client.write(f"sys/rotation/secret/{name}", strategy="hook", hook_url=url, hook_secret_id=arn)
        request = token()
        sm.rotate_secret(SecretId=name, ClientRequestToken=request)
        rotated(client, name, 1)
    assert function.steps == STEPS
    assert labels(sm, name) == {request: ["AWSCURRENT"], current: ["AWSPREVIOUS"]}
    assert json.loads(sm.get_secret_value(SecretId=name)["SecretString"])["password"] not in ("first", "stale")


@pytest.mark.parametrize("rules, days", [
    ({"AutomaticallyAfterDays": 1}, 1), ({"AutomaticallyAfterDays": 1000}, 1000),
    ({"AutomaticallyAfterDays": 30, "Duration": "2h"}, 30),
    ({"ScheduleExpression": "rate(4 hours)", "Duration": "1h"}, 4 / 24), ({"ScheduleExpression": "rate(10 days)"}, 10),
])
def test_rules_of_intervals(client, sm, name, function, rules, days):
    sm.rotate_secret(SecretId=name, RotationRules=rules)
    rotated(client, name, 1)
    told = sm.describe_secret(SecretId=name)
    assert told["RotationRules"] == rules and told["RotationEnabled"] is True
    assert (told["NextRotationDate"] - told["LastRotatedDate"]).total_seconds() == pytest.approx(days * 86400, abs=60)
    ours = status(client, name)
    assert ours["window"] == int(rules.get("Duration", "0h")[:-1]) * 3600
    next_one = datetime.datetime.fromisoformat(ours["next_rotation_time"])
    assert abs((next_one - told["NextRotationDate"]).total_seconds()) < 60


@pytest.mark.parametrize("expression, hours", [
    ("cron(0 8 * * ? *)", {8}), ("cron(0 8 1 * ? *)", {8}), ("cron(0 0/8 * * ? *)", {0, 8, 16}),
    ("cron(0 8 ? * MON-FRI *)", {8}), ("cron(0 8 L * ? *)", {8}), ("cron(0 8 ? * 2#1 *)", {8}),
    ("cron(0 8 ? 1,7 SUN *)", {8}),
])
def test_rules_of_days_and_hours(client, sm, name, function, expression, hours):
    sm.rotate_secret(SecretId=name, RotationRules={"ScheduleExpression": expression, "Duration": "3h"})
    rotated(client, name, 1)
    told = sm.describe_secret(SecretId=name)
    at = told["NextRotationDate"].astimezone(datetime.UTC)
    assert at.hour in hours and (at.minute, at.second) == (0, 0) and at > told["LastRotatedDate"]
    assert datetime.datetime.fromisoformat(status(client, name)["next_rotation_time"]) == at
    if "MON-FRI" in expression:
        assert at.weekday() < 5


def test_rules_without_a_rotation_now(client, sm, name, function):
    """`RotateImmediately=false` keeps the rules and has the present credential tried, on a version that goes again."""
    before = labels(sm, name)
    sm.rotate_secret(SecretId=name, RotateImmediately=False, RotationRules={"AutomaticallyAfterDays": 5})
    wait_until("the test", lambda: status(client, name)["last_run"] is not None)
    assert function.seen == [("testSecret", ["AWSPENDING"], True)]
    told = sm.describe_secret(SecretId=name)
    assert labels(sm, name) == before and told["RotationRules"] == {"AutomaticallyAfterDays": 5}
    assert told["RotationEnabled"] and told["NextRotationDate"] and "LastRotatedDate" not in told
    assert status(client, name)["rotations"] == 0
    # What the test finds wrong is told, and the rules stay.
    function.broken = "testSecret"
    sm.rotate_secret(SecretId=name, RotateImmediately=False)
    wait_until("a failure", lambda: (status(client, name)["run"] or {"attempts": 0})["attempts"] > 0)
    assert "testSecret is broken" in status(client, name)["run"]["waiting_for"]
    function.broken = None
    wait_until("the end", lambda: status(client, name)["state"] == "idle")
    assert labels(sm, name) == before


def test_a_schedule_set_elsewhere_takes_the_place_of_the_rules(client, sm, name, function):
    sm.rotate_secret(SecretId=name, RotationRules={"AutomaticallyAfterDays": 5, "Duration": "2h"})
    rotated(client, name, 1)
    path = f"sys/rotation/secret/{name}"
    client.write(path, jitter="1m")
    assert sm.describe_secret(SecretId=name)["RotationRules"] == {"AutomaticallyAfterDays": 5, "Duration": "2h"}
    client.write(path, schedule="rate(9 days)")
    assert sm.describe_secret(SecretId=name)["RotationRules"] == {"ScheduleExpression": "rate(9 days)"}
    client.write(path, schedule="30 3 * * 1", time_zone="Europe/Berlin")
    told = sm.describe_secret(SecretId=name)
    assert "RotationRules" not in told and told["RotationEnabled"]


def test_cancelling_keeps_the_rules_and_tells_of_no_next_time(client, sm, name, function):
    sm.rotate_secret(SecretId=name, RotationLambdaARN=LAMBDA, RotationRules={"AutomaticallyAfterDays": 5})
    rotated(client, name, 1)
    assert "VersionId" not in sm.cancel_rotate_secret(SecretId=name)
    told = sm.describe_secret(SecretId=name)
    assert told["RotationEnabled"] is False and told["RotationRules"] == {"AutomaticallyAfterDays": 5}
    assert told["RotationLambdaARN"] == LAMBDA and "NextRotationDate" not in told and told["LastRotatedDate"]
    sm.rotate_secret(SecretId=name)
    rotated(client, name, 2)
    told = sm.describe_secret(SecretId=name)
    assert told["RotationEnabled"] and told["RotationRules"] == {"AutomaticallyAfterDays": 5} and told["NextRotationDate"]


def test_rules_that_cannot_be_change_nothing(client, sm, name, function):
    sm.rotate_secret(SecretId=name, RotationRules={"AutomaticallyAfterDays": 5})
    rotated(client, name, 1)

    def described():
        return {key: value for key, value in sm.describe_secret(SecretId=name).items() if key != "ResponseMetadata"}

    before, ours = described(), status(client, name)
    for rules in ({"ScheduleExpression": "cron(0 25 * * ? *)"}, {"ScheduleExpression": "rate(3 hours)"},
                  {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"}, {"Duration": "3h"},
                  {"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"}):
        with refused("InvalidParameterException"):
            sm.rotate_secret(SecretId=name, RotationRules=rules)
    assert described() == before and status(client, name) == ours
