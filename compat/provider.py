"""An identity provider and a Kubernetes API server of a test's own, on loopback, and the tokens that they sign."""

import base64
import hashlib
import json
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support import unique

MAKERS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS384": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class SigningKey:
    """A key pair, its id, and the tokens that it signs."""

    def __init__(self, algorithm="ES256"):
        self.algorithm, self.kid, self.private = algorithm, unique("key"), MAKERS[algorithm]()

    @property
    def pem(self):
        """The public key."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def jwk(self):
        """The public key, as a JSON Web Key."""
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return made | {"kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims=None, headers=None, **more):
        """A token that is good for five minutes, with these claims; `None` takes one out."""
        now = int(time.time())
        all_claims = {"iat": now, "exp": now + 300, "sub": "somebody"} | (claims or {}) | more
        all_claims = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(all_claims, self.private, self.algorithm, {"kid": self.kid} | (headers or {}))


def unsigned(header, claims, signature=b""):
    """A token whose parts are as given."""
    parts = [json.dumps(part).encode() if isinstance(part, dict) else part for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing: the test reads `asked`."""

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body):
        path = urlsplit(self.path).path
        self.server.owner.asked[path] += 1
        route = self.server.owner.routes.get(path)
        status, answer = route(self.headers, body) if route else (404, {})
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Elsewhere:
    """A server of the test's own: `routes` answers by path, `asked` counts."""

    def __init__(self, context=None):
        self.routes, self.asked = {}, Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.owner, self._server.daemon_threads = self, True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Closes the port."""
        self._server.shutdown()
        self._server.server_close()


class Provider(Elsewhere):
    """An OpenID provider: discovery, keys, and the token endpoint of the authorization code flow."""

    CLIENT_ID, CLIENT_SECRET = "keyturn-client", "s3cr3t&provider"

    def __init__(self, algorithm="ES256"):
        super().__init__()
        self.keys = [SigningKey(algorithm)]
        self.codes, self.userinfo = {}, {}
        self.routes |= {
            "/.well-known/openid-configuration": lambda *_: (200, self.configuration),
            "/keys": lambda *_: (200, {"keys": [key.jwk for key in self.keys]}),
            "/token": self._token,
            "/userinfo": lambda *_: (200, self.userinfo) if self.userinfo else (404, {}),
        }

    @property
    def key(self):
        """The newest key."""
        return self.keys[-1]

    @property
    def configuration(self):
        """The discovery document."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "userinfo_endpoint": f"{self.url}/userinfo"}

    def sign(self, claims=None, **more):
        """A token of this issuer."""
        return self.key.sign({"iss": self.url} | (claims or {}), **more)

    def log_in(self, auth_url, **claims):
        """What a browser would do: logs somebody in, and returns the parameters that it is sent back with."""
        assert auth_url.startswith(f"{self.url}/authorize?"), auth_url
        asked = {name: values[0] for name, values in parse_qs(urlsplit(auth_url).query).items()}
        assert asked["response_type"] == "code" and asked["client_id"] == self.CLIENT_ID
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = unique("code")
        self.codes[code] = asked | {"claims": {"aud": self.CLIENT_ID, "nonce": asked["nonce"]} | claims}
        return {"state": asked["state"], "code": code, "nonce": asked["nonce"]}

    def _token(self, headers, body):
        """Gives an ID token for a code, once, to who shows the client's secret and the verifier of the challenge."""
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        if [unquote(part) for part in pair.split(":")] != [self.CLIENT_ID, self.CLIENT_SECRET]:
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(given.get("code"), None)
        if not asked or asked["redirect_uri"] != given["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
        if challenge.decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"id_token": self.sign(asked["claims"]), "access_token": unique("access"), "token_type": "Bearer"}


class Cluster(Elsewhere):
    """The API server of a Kubernetes cluster, over TLS with a certificate of its own authority."""

    def __init__(self, directory, authority):
        certificate, key = authority.server_files(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        super().__init__(context)
        self.key, self.ca_pem = SigningKey("RS256"), authority.pem
        self.reviewers, self.live, self.reviews = [], {}, []
        self.routes["/apis/authentication.k8s.io/v1/tokenreviews"] = self._review

    def token(self, name="app", namespace="dev", uid="uid-1", audience=("keyturn",), **claims):
        """A pod's token, which the cluster knows."""
        bound = {"namespace": namespace, "pod": {"name": "pod", "uid": "p"},
                 "serviceaccount": {"name": name, "uid": uid}}
        token = self.key.sign({"iss": "https://kubernetes.default.svc", "aud": list(audience), "kubernetes.io": bound,
                               "sub": f"system:serviceaccount:{namespace}:{name}"} | claims)
        self.live[token] = (f"system:serviceaccount:{namespace}:{name}", uid, list(audience))
        return token

    def _review(self, headers, body):
        bearer = headers["Authorization"].removeprefix("Bearer ")
        self.reviews.append(bearer)
        if bearer not in self.live and bearer not in self.reviewers:
            return 401, {"kind": "Status", "status": "Failure", "code": 401}
        spec = json.loads(body)["spec"]
        username, uid, audiences = self.live.get(spec["token"], (None, None, []))
        wanted = [audience for audience in audiences if audience in spec.get("audiences", audiences)]
        status = {"authenticated": False, "error": "unknown token"}
        if username and wanted:
            status = {"authenticated": True, "user": {"username": username, "uid": uid}, "audiences": wanted}
        return 201, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
