"""Plain HTTP to a server: exactly the bytes that a test asks for, with no client in between.

hvac (through requests) normalises paths and hides headers; a test of bad input or of the protocol needs neither.
"""

import http.client
import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Reply:
    """One answer: status, headers (names in lower case) and the raw body."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def errors(self):
        """The `errors` list that every refusal carries."""
        assert self.headers.get("content-type") == "application/json", (self.status, self.headers, self.body[:200])
        errors = self.json["errors"]
        assert isinstance(errors, list) and all(isinstance(error, str) for error in errors), errors
        return errors


def call(address, method, path, body=None, token=None, headers=None):
    """Sends one request to `address` + `/v1/` + `path` (taken as it is) and reads the whole answer.

    `body` is sent as it is if it is bytes, and as JSON otherwise.
    """
    sent = dict(headers or {})
    if token:
        sent.setdefault("X-Vault-Token", token)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    return call_any(f"{address}/v1/{path}", method, body, sent)


def call_any(url, method, body=None, headers=None):
    """Sends one request to a URL, path and query taken as they are, and reads the whole answer."""
    host = urlsplit(url)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, url.split(host.netloc, 1)[1] or "/", body=body, headers=headers or {})
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, named, answer.read())
    finally:
        connection.close()


def send_bytes(address, request):
    """Sends raw bytes, for requests that no HTTP library would build; returns what came back before the close."""
    host = urlsplit(address)
    received = b""
    with socket.create_connection((host.hostname, host.port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        while chunk := connection.recv(65536):
            received += chunk
    return received
