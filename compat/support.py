"""Small helpers that the tests share: deadlines, unique names, expected refusals."""

import secrets
import time
from contextlib import contextmanager

import pytest

DEADLINE_SECONDS = 20

# The keys of every enveloped answer, present even where they hold nothing.
ENVELOPE = {"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"}


def unique(prefix):
    """A name that no other test uses."""
    return f"{prefix}-{secrets.token_hex(4)}"


def wait_until(what, condition, seconds=DEADLINE_SECONDS):
    """Polls `condition` until it is true and returns its value; fails after the deadline, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


@contextmanager
def refused(error, *fragments):
    """Expects exactly this hvac exception, with each fragment somewhere in its `errors` list."""
    with pytest.raises(error) as caught:
        yield caught
    assert caught.type is error, f"expected {error.__name__}, got {caught.type.__name__}: {caught.value}"
    text = "\n".join(caught.value.errors or [])
    for fragment in fragments:
        assert fragment in text, f"{fragment!r} is not in {text!r}"


def is_refused(error, action):
    """Whether `action` is refused with this hvac exception; for polling."""
    try:
        action()
    except error:
        return True
    return False


def status_of(response):
    """The status of a bodyless answer, which hvac returns as a plain response object."""
    return getattr(response, "status_code", 200)
