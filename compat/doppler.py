"""Doppler's API over plain HTTP, as its clients send it."""

import base64
import json
from dataclasses import dataclass
from urllib.parse import urlencode

import wire
from support import unique


@dataclass
class Doppler:
    """A server and a token for it, by default the root token."""

    server: object
    token: str = None

    def __post_init__(self):
        if self.token is None:
            self.token = self.server.token

    def call(self, method, path, query=None, body=None, headers=None):
        """One request below `/v3/`, taken as it is."""
        sent = {"Accept": "application/json"} | (headers or {})
        if self.token and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        query = f"?{urlencode(query)}" if query else ""
        return wire.call_any(f"{self.server.address}/v3/{path}{query}", method, body, sent)

    def ok(self, method, path, query=None, body=None):
        """The JSON of an answer that must be one of success."""
        answer = self.call(method, path, query, body)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    def refused(self, status, method, path, query=None, body=None, headers=None):
        """The text of a refusal, in the shape that all have."""
        answer = self.call(method, path, query, body, headers)
        assert answer.status == status, (answer.status, answer.body)
        assert answer.headers["content-type"].startswith("application/json")
        refusal = answer.json
        assert refusal["success"] is False and all(isinstance(text, str) for text in refusal["messages"]), refusal
        return "\n".join(refusal["messages"])

    def project(self, *environments):
        """A new project with these environments, each with its root config."""
        name = unique("app")
        self.ok("POST", "projects", body={"name": name, "description": "a test"})
        for slug in environments:
            self.ok("POST", "environments", {"project": name}, {"name": slug.upper(), "slug": slug})
        return name

    def service_token(self, project, config, access="read", **more):
        """A service token, as it is told when it is made."""
        body = {"project": project, "config": config, "name": "test", "access": access} | more
        return self.ok("POST", "configs/config/tokens", body=body)["token"]

    def as_token(self, token):
        """The same server, asked with another token."""
        return Doppler(self.server, token)


def basic(token):
    """The header that sends a token as the name of a user without a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()}
