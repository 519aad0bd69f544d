"""AWS Secrets Manager: listing, filters, order, pages, and reading many at once."""

import base64

import pytest

from aws_model import refused
from support import unique

pytestmark = pytest.mark.keyturn


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def listed(client, **options):
    """All entries over all pages."""
    return [entry for page in client.get_paginator("list_secrets").paginate(**options) for entry in page["SecretList"]]


def names(client, key, *values, **options):
    found = listed(client, Filters=[{"Key": key, "Values": list(values)}], **options)
    return {entry["Name"] for entry in found}


@pytest.fixture(scope="module")
def shelf(sm):
    """Secrets whose names share a prefix that no other test has."""
    prefix = unique("shelf")
    sm.create_secret(Name=f"{prefix}/orders/db", SecretString="1", Description="Password of the Orders database",
                     Tags=tags(team="payments", **{f"{prefix}-Env": "prod"}))
    sm.create_secret(Name=f"{prefix}/orders/apiKey", SecretString="2", Description="key for the orders gateway")
    sm.create_secret(Name=f"{prefix}/users/db", SecretString="3", Tags=tags(team="identity"))
    sm.create_secret(Name=f"{prefix}/old", SecretString="4")
    sm.delete_secret(SecretId=f"{prefix}/old")
    return prefix


def test_entries_say_what_describe_says(sm, shelf):
    entry, = listed(sm, Filters=[{"Key": "name", "Values": [f"{shelf}/orders/db"]}])
    told = sm.describe_secret(SecretId=f"{shelf}/orders/db")
    told.pop("ResponseMetadata")
    told["SecretVersionsToStages"] = told.pop("VersionIdsToStages")
    assert entry == told


def test_filters(sm, shelf):
    mine = f"{shelf}/"
    within = lambda key, *values: {  # noqa: E731
        name.removeprefix(mine)
        for name in {e["Name"] for e in listed(sm, Filters=[{"Key": "name", "Values": [mine]},
                                                            {"Key": key, "Values": list(values)}])}
    }
    assert within("name", f"{mine}orders") == {"orders/db", "orders/apiKey"}
    assert within("name", f"!{mine}orders") == {"users/db"}
    assert within("name", mine.upper()) == set()
    assert within("name", f"{mine}users", f"{mine}orders/d") == {"users/db", "orders/db"}
    assert within("tag-key", f"{shelf}-E") == {"orders/db"}
    assert within("tag-key", "!team") == {"orders/apiKey"}
    assert within("tag-value", "pay", "ident") == {"orders/db", "users/db"}
    assert within("tag-value", "Pay") == set()
    assert within("description", "ORDERS pass") == {"orders/db"}
    assert within("description", "rders") == set()
    assert within("all", "payments") == {"orders/db"}
    assert within("all", "gateway KEY") == {"orders/apiKey"}
    assert within("primary-region", "eu") == set()
    assert within("owning-service", "!rds") == {"orders/db", "orders/apiKey", "users/db"}


def test_a_slash_finds_names_that_start_with_one(sm, shelf):
    name = "/" + unique("front")
    sm.create_secret(Name=name)
    found = names(sm, "name", "/")
    assert name in found and all(found_name.startswith("/") for found_name in found)


def test_deleted_secrets_are_listed_if_asked_for(sm, shelf):
    assert f"{shelf}/old" not in names(sm, "name", shelf)
    entry, = listed(sm, Filters=[{"Key": "name", "Values": [f"{shelf}/old"]}], IncludePlannedDeletion=True)
    assert entry["DeletedDate"]


def test_orders(sm):
    prefix = unique("order")
    made = [f"{prefix}/{letter}" for letter in "bdac"]
    for name in made:
        sm.create_secret(Name=name, SecretString="x")
    only = {"Filters": [{"Key": "name", "Values": [prefix]}]}
    in_order = lambda **options: [entry["Name"] for entry in listed(sm, **only, **options)]  # noqa: E731
    assert in_order() == in_order(SortBy="created-date") == made
    assert in_order(SortOrder="desc") == made[::-1]
    assert in_order(SortBy="name") == sorted(made)
    assert in_order(SortBy="name", SortOrder="desc") == sorted(made)[::-1]
    sm.put_secret_value(SecretId=made[0], SecretString="y")
    assert in_order(SortBy="last-changed-date") == made[1:] + made[:1]
    assert in_order(SortBy="last-changed-date", SortOrder="desc")[0] == made[0]
    assert set(in_order(SortBy="last-accessed-date")) == set(made)


@pytest.mark.parametrize("order", ["created-date", "name"])
def test_pages_hold_still_while_others_write(sm, order):
    """Every secret that is there all the while is seen once, whatever comes and goes in between."""
    prefix = unique("pages")
    stay = [f"{prefix}/{number:03}" for number in range(0, 60, 2)]
    for name in stay:
        sm.create_secret(Name=name, SecretString="x")
    seen, options, round_number = [], {}, 0
    while True:
        page = sm.list_secrets(MaxResults=7, SortBy=order, Filters=[{"Key": "name", "Values": [prefix]}], **options)
        seen += [entry["Name"] for entry in page["SecretList"]]
        assert len(page["SecretList"]) <= 7
        if "NextToken" not in page:
            break
        options = {"NextToken": page["NextToken"]}
        sm.create_secret(Name=f"{prefix}/{round_number * 2 + 1:03}", SecretString="x")
        if round_number:
            sm.delete_secret(SecretId=f"{prefix}/{round_number * 2 - 1:03}", ForceDeleteWithoutRecovery=True)
        round_number += 1
    assert [name for name in seen if name in stay] == stay
    assert len(seen) == len(set(seen))


def test_tokens_of_pages_cannot_be_made_or_carried_elsewhere(sm, shelf):
    for number in range(3):
        sm.create_secret(Name=f"{unique(shelf)}/{number}")
    page = sm.list_secrets(MaxResults=1, SortBy="name")
    good = page["NextToken"]
    sm.list_secrets(MaxResults=2, SortBy="name", NextToken=good)
    raw = bytearray(base64.urlsafe_b64decode(good + "=="))
    raw[2] ^= 1
    altered = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    filters = [{"Key": "name", "Values": ["a"]}]
    for options in (
        {"NextToken": altered, "SortBy": "name"}, {"NextToken": "x", "SortBy": "name"},
        {"NextToken": good[:-4], "SortBy": "name"}, {"NextToken": good}, {"NextToken": good, "SortBy": "created-date"},
        {"NextToken": good, "SortBy": "name", "SortOrder": "desc"}, {"NextToken": good, "SortBy": "name", "Filters": filters},
        {"NextToken": good, "SortBy": "name", "IncludePlannedDeletion": True},
    ):
        with refused("InvalidNextTokenException"):
            sm.list_secrets(**options)
    with refused("InvalidNextTokenException"):
        sm.batch_get_secret_value(Filters=filters, NextToken=good)
    with refused("InvalidNextTokenException"):
        sm.list_resource_policies(SecretId=f"{shelf}/orders/db", NextToken=good)


def test_a_listing_shows_what_the_policy_shows(sm, sm_limited, shelf):
    """Folders that may not be listed stay hidden; of what may not be read, the name alone is told."""
    some = sm_limited(f"""
        path "secret/metadata/" {{ capabilities = ["list"] }}
        path "secret/metadata/{shelf}/orders/" {{ capabilities = ["list"] }}
        path "secret/metadata/{shelf}/orders/db" {{ capabilities = ["read"] }}
    """)
    entries = {entry["Name"]: entry for entry in listed(some) if entry["Name"].startswith(shelf)}
    assert set(entries) == {f"{shelf}/orders/db", f"{shelf}/orders/apiKey"}
    assert "Description" in entries[f"{shelf}/orders/db"]
    assert set(entries[f"{shelf}/orders/apiKey"]) == {"ARN", "Name"}
    # What is not told cannot be guessed by a filter.
    found = listed(some, Filters=[{"Key": "description", "Values": ["gateway"]}])
    assert not [entry for entry in found if entry["Name"].startswith(shelf)]
    with refused("AccessDeniedException", "list on secret/metadata/"):
        sm_limited('path "secret/metadata/a/" { capabilities = ["list"] }').list_secrets()


def test_many_are_read_at_once(sm, shelf):
    ids = [f"{shelf}/orders/db", f"{shelf}/users/db", f"{shelf}/never", f"{shelf}/old", "not a name"]
    answer = sm.batch_get_secret_value(SecretIdList=ids)
    assert {value["Name"]: value["SecretString"] for value in answer["SecretValues"]} == {ids[0]: "1", ids[1]: "3"}
    errors = {error["SecretId"]: error["ErrorCode"] for error in answer["Errors"]}
    assert errors == {ids[2]: "ResourceNotFoundException", ids[3]: "InvalidRequestException",
                      ids[4]: "ValidationException"}


def test_many_are_read_by_a_filter(sm, shelf):
    filters = [{"Key": "name", "Values": [f"{shelf}/"]}]
    first = sm.batch_get_secret_value(Filters=filters, MaxResults=2)
    rest = sm.batch_get_secret_value(Filters=filters, MaxResults=2, NextToken=first["NextToken"])
    values = [value["SecretString"] for page in (first, rest) for value in page["SecretValues"]]
    assert values == ["1", "2", "3"] and first["Errors"] == rest["Errors"] == []


def test_a_batch_reads_what_the_policy_allows(sm_limited, shelf):
    some = sm_limited(f'path "secret/data/{shelf}/orders/*" {{ capabilities = ["read"] }}')
    answer = some.batch_get_secret_value(SecretIdList=[f"{shelf}/orders/db", f"{shelf}/users/db"])
    assert [value["SecretString"] for value in answer["SecretValues"]] == ["1"]
    error, = answer["Errors"]
    assert (error["SecretId"], error["ErrorCode"]) == (f"{shelf}/users/db", "AccessDeniedException")
    with refused("AccessDeniedException"):
        some.batch_get_secret_value(Filters=[{"Key": "name", "Values": [shelf]}])


@pytest.mark.parametrize("options", [
    {}, {"SecretIdList": ["a"], "Filters": [{"Key": "name", "Values": ["a"]}]}, {"Filters": []},
    {"SecretIdList": ["a"], "MaxResults": 2}, {"SecretIdList": ["a"], "NextToken": "x"},
])
def test_a_batch_is_by_names_or_by_filters(sm, options):
    with refused("InvalidParameterException"):
        sm.batch_get_secret_value(**options)


def test_a_filter_needs_a_key_and_values(sm):
    for broken in ({"Values": ["a"]}, {"Key": "name"}):
        with refused("InvalidParameterException"):
            sm.list_secrets(Filters=[broken])
