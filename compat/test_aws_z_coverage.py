"""AWS Secrets Manager: what this run has seen of the model's operations and errors. Runs after the door's other tests."""

import pytest

from aws_model import ERRORS, MODEL, OFFERED, OPERATIONS

pytestmark = pytest.mark.keyturn

# Errors of the model that cannot come up here, with the reason.
NEVER = {
    "DecryptionFailure": "a record that does not open is the server's fault: InternalServiceError",
    "EncryptionFailure": "values are sealed by the server's own keys",
    "InternalServiceError": "not provoked on purpose",
    "PreconditionNotMetException": "there are no steps that a client has to take elsewhere first",
}
# Pairs of operation and error that cannot come up here, with the reason.
NEVER_THERE = {
    ("BatchGetSecretValue", "InvalidRequestException"): "told of the one secret, beside the values of the others",
    ("BatchGetSecretValue", "ResourceNotFoundException"): "told of the one secret, beside the values of the others",
    ("CreateSecret", "LimitExceededException"): "there is no bound on secrets",
    ("CreateSecret", "MalformedPolicyDocumentException"): "it takes no policy",
    ("CreateSecret", "ResourceNotFoundException"): "no key has to be there",
    ("DescribeSecret", "InvalidParameterException"): "the model's constraints are ValidationException",
    ("GetRandomPassword", "InvalidRequestException"): "there is no state that it could contradict",
    ("GetSecretValue", "InvalidParameterException"): "the model's constraints are ValidationException",
    ("ListResourcePolicies", "InvalidParameterException"): "the model's constraints are ValidationException",
    ("ListSecretVersionIds", "InvalidParameterException"): "the model's constraints are ValidationException",
    ("StopReplicationToReplica", "InvalidParameterException"): "the model's constraints are ValidationException",
    ("UpdateSecret", "LimitExceededException"): "it adds no label and there is no bound on updates",
    ("UpdateSecret", "MalformedPolicyDocumentException"): "it takes no policy",
    ("ValidateResourcePolicy", "InvalidParameterException"): "the model's constraints are ValidationException",
}


def test_the_run_has_seen_the_model(request, capsys):
    errors = {(name, error["shape"]) for name in OFFERED for error in MODEL["operations"][name]["errors"]}
    expected = {pair for pair in errors if pair[1] not in NEVER} - set(NEVER_THERE)
    missing = sorted(expected - set(ERRORS))
    with capsys.disabled():
        print(f"\noperations called: {len(set(OFFERED) & set(OPERATIONS))} of {len(OFFERED)} offered, "
              f"{len(MODEL['operations'])} in the model")
        print(f"errors provoked: {len(expected) - len(missing)} of {len(expected)} pairs of operation and error that can "
              f"come up, {len(errors)} in the model")
        for pair in missing:
            print("  not provoked:", *pair)
    ran = {item.path.name for item in request.session.items}
    if not {path.name for path in request.path.parent.glob("test_aws_*.py")} <= ran:
        pytest.skip("only a part of the door's tests was run")
    assert set(OFFERED) <= set(OPERATIONS)
    assert not missing
