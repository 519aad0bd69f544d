"""`/v1/auth/<mount>/{config,role,login}` of a Kubernetes auth method, through hvac, with an API server of the test's own."""

import pytest
from hvac import exceptions

from certificates import Authority
from provider import Cluster, SigningKey
from support import refused, status_of, unique


@pytest.fixture
def mount(client):
    """The path of a Kubernetes auth method."""
    path = unique("kubernetes")
    client.sys.enable_auth_method("kubernetes", path=path)
    yield path
    client.sys.disable_auth_method(path)


@pytest.fixture
def cluster(tmp_path):
    """An API server on loopback, over TLS."""
    made = Cluster(tmp_path, Authority("Cluster CA"))
    yield made
    made.stop()


@pytest.fixture
def trust(client, mount, cluster):
    """The mount trusts the cluster; returns a function that writes a role."""
    client.auth.kubernetes.configure(cluster.url, kubernetes_ca_cert=cluster.ca_pem, mount_point=mount)
    return lambda name="app", **fields: write_role(client, mount, name, **fields)


@pytest.fixture
def login(server, mount):
    """Logs in without a token, and returns the `auth` part of the answer."""
    return lambda token, role="app": server.client("").auth.kubernetes.login(role, token, mount_point=mount)["auth"]


def write_role(client, mount, name="app", names=("app",), namespaces=("dev",), **fields):
    """A role for pods."""
    client.auth.kubernetes.create_role(name, list(names), list(namespaces), mount_point=mount, **fields)


def test_config(client, mount, cluster):
    """Write, read back; the reviewer's token is never told."""
    with refused(exceptions.InvalidPath):
        client.auth.kubernetes.read_config(mount_point=mount)
    # hvac takes certificates alone for keys.
    key = Authority("Signer")
    assert status_of(client.auth.kubernetes.configure(
        cluster.url, kubernetes_ca_cert=cluster.ca_pem, token_reviewer_jwt="reviewer.s3cret.x", pem_keys=[key.pem],
        issuer="https://kubernetes.default.svc", mount_point=mount)) == 204
    read = client.auth.kubernetes.read_config(mount_point=mount)
    assert (read["kubernetes_host"], read["kubernetes_ca_cert"]) == (cluster.url, cluster.ca_pem)
    assert (read["pem_keys"], read["issuer"]) == ([key.pem], "https://kubernetes.default.svc")
    assert (read["disable_local_ca_jwt"], read["disable_iss_validation"]) == (False, True)
    assert read["token_reviewer_jwt_set"] is True and "s3cret" not in str(read)


def test_bad_config(server, client, mount):
    """What hvac's users meet."""
    path = f"auth/{mount}/config"
    for body, message in [({}, "no host provided"), ({"kubernetes_host": "x", "pem_keys": ["junk"]}, "public keys"),
                          ({"kubernetes_host": "file:///x"}, "kubernetes_host must be a URL")]:
        reply = server.call("POST", path, body=body)
        assert reply.status == 400 and message in reply.errors[0], body
    with refused(exceptions.InvalidRequest,
                 "kubernetes_ca_cert must be given when disable_local_ca_jwt is true"):
        client.auth.kubernetes.configure("https://x", disable_local_ca_jwt=True, mount_point=mount)


def test_roles(client, mount):
    """Write, read, list, delete."""
    write_role(client, mount, "App", names=["app", "web-*"], namespaces=["*"], audience="keyturn", ttl="10m",
               max_ttl="20m", policies=["p"], alias_name_source="serviceaccount_name", token_type="service")
    read = client.auth.kubernetes.read_role("app", mount_point=mount)
    assert (read["bound_service_account_names"], read["bound_service_account_namespaces"]) == (["app", "web-*"], ["*"])
    assert (read["audience"], read["alias_name_source"]) == ("keyturn", "serviceaccount_name")
    assert (read["token_ttl"], read["ttl"], read["token_policies"], read["policies"]) == (600, 600, ["p"], ["p"])
    assert client.auth.kubernetes.list_roles(mount_point=mount)["keys"] == ["app"]
    assert status_of(client.auth.kubernetes.delete_role("app", mount_point=mount)) == 204
    with refused(exceptions.InvalidPath):
        client.auth.kubernetes.read_role("app", mount_point=mount)


@pytest.mark.parametrize("body, message", [
    ({"bound_service_account_namespaces": "dev"}, '"bound_service_account_names" can not be empty'),
    ({"bound_service_account_names": "app"}, '"bound_service_account_namespaces" can not be empty'),
    ({"bound_service_account_names": "*,app", "bound_service_account_namespaces": "dev"}, 'can not mix "*"'),
    ({"bound_service_account_names": "app", "bound_service_account_namespaces": "dev", "alias_name_source": "x"},
     "invalid alias_name_source"),
    ({"bound_service_account_names": "app", "bound_service_account_namespace_selector": "{}"}, "not offered"),
], ids=str)
def test_bad_roles(server, mount, body, message):
    """Refused, and not stored."""
    reply = server.call("POST", f"auth/{mount}/role/bad", body=body)
    assert reply.status == 400 and message in reply.errors[0]
    assert server.call("GET", f"auth/{mount}/role/bad").status == 404


def test_login(server, trust, cluster, mount, login):
    """The API server is asked, over TLS, by the token itself."""
    trust(policies=["p"], ttl="10m")
    token = cluster.token()
    auth = login(token)
    assert (auth["policies"], auth["lease_duration"]) == (["default", "p"], 600)
    assert auth["metadata"] == {
        "role": "app", "service_account_name": "app", "service_account_namespace": "dev",
        "service_account_uid": "uid-1", "service_account_secret_name": ""}
    assert cluster.reviews == [token]
    data = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert data["display_name"] == f"{mount}-dev-app"


def test_a_reviewer_of_its_own(client, mount, cluster, login):
    """Its token asks, not the one that logs in."""
    cluster.reviewers.append("reviewer.jwt.x")
    client.auth.kubernetes.configure(cluster.url, kubernetes_ca_cert=cluster.ca_pem,
                                     token_reviewer_jwt="reviewer.jwt.x", mount_point=mount)
    write_role(client, mount)
    assert login(cluster.token())["client_token"]
    assert cluster.reviews == ["reviewer.jwt.x"]


@pytest.mark.parametrize("account, message", [
    ({"name": "other"}, "service account name not authorized"),
    ({"namespace": "prod"}, "namespace not authorized"),
    ({"namespace": "dev2"}, "namespace not authorized"),
    ({"exp": 1000, "iat": 900}, "token is expired"),
    ({"kubernetes.io": {}}, "could not parse"),
], ids=str)
def test_accounts_that_no_role_names(trust, cluster, login, account, message):
    """403, and the cluster is not even asked."""
    trust()
    with refused(exceptions.Forbidden, message):
        login(cluster.token(**account))
    assert cluster.reviews == []


def test_globs_and_audiences(trust, cluster, login):
    """Names by globs, and a token for somebody else."""
    trust(names=["web-*"], namespaces=["team-*", "dev"], audience="keyturn")
    assert login(cluster.token(name="web-1", namespace="team-a"))["client_token"]
    with refused(exceptions.Forbidden, "invalid audience (aud) claim"):
        login(cluster.token(name="web-1", namespace="team-a", audience=["other"]))


def test_tokens_that_the_cluster_does_not_know(trust, cluster, login):
    """Forged, deleted, or of an account that was made anew."""
    trust()
    token = cluster.token()
    username, _, audiences = cluster.live[token]
    cluster.live[token] = (username, "uid-2", audiences)
    with refused(exceptions.Forbidden, "permission denied"):
        login(token)
    del cluster.live[token]
    with refused(exceptions.Forbidden, "permission denied"):
        login(token)
    bound = {"namespace": "dev", "serviceaccount": {"name": "app", "uid": "uid-1"}}
    with refused(exceptions.Forbidden, "permission denied"):
        login(SigningKey("RS256").sign({"kubernetes.io": bound, "aud": "keyturn"}))


def test_keys_and_issuer(server, client, mount, cluster, login):
    """With keys, a forged signature is found out without the cluster; with an issuer, a foreign token is."""
    body = {"kubernetes_host": cluster.url, "kubernetes_ca_cert": cluster.ca_pem, "pem_keys": [cluster.key.pem],
            "disable_iss_validation": False, "issuer": "https://kubernetes.default.svc"}
    assert server.call("POST", f"auth/{mount}/config", body=body).status == 204
    write_role(client, mount)
    assert login(cluster.token())["client_token"]
    asked = len(cluster.reviews)
    with refused(exceptions.Forbidden, "invalid issuer (iss) claim"):
        login(cluster.token(iss="https://evil"))
    bound = {"namespace": "dev", "serviceaccount": {"name": "app", "uid": "uid-1"}}
    forged = SigningKey("RS256").sign({"iss": "https://kubernetes.default.svc", "kubernetes.io": bound})
    with refused(exceptions.Forbidden, "permission denied"):
        login(forged)
    assert len(cluster.reviews) == asked


@pytest.mark.keyturn
def test_keys_alone(server, client, mount, cluster, login):
    """Without a host the keys decide; a token that does not end could never be taken back."""
    assert server.call("POST", f"auth/{mount}/config", body={"pem_keys": [cluster.key.pem]}).status == 204
    write_role(client, mount, audience="keyturn")
    assert login(cluster.token())["client_token"]
    with refused(exceptions.Forbidden, "no expiration time"):
        login(cluster.token(exp=None))
    assert cluster.reviews == []


def test_the_clusters_certificate_counts(client, mount, cluster, login):
    """A server that cannot prove itself by the configured authority is not asked."""
    client.auth.kubernetes.configure(cluster.url, kubernetes_ca_cert=Authority("Other").pem, mount_point=mount)
    write_role(client, mount)
    with refused(exceptions.Forbidden, "permission denied"):
        login(cluster.token())
    assert cluster.reviews == []


def test_missing_and_unknown(server, trust, mount, cluster):
    """What is missing is named."""
    trust()
    for body, message in [({"jwt": "x"}, "missing role"), ({"role": "app"}, "missing jwt"),
                          ({"role": "nobody", "jwt": cluster.token()}, 'invalid role name "nobody"')]:
        reply = server.call("POST", f"auth/{mount}/login", body=body, token="")
        assert (reply.status, reply.errors) == (400, [message])


def test_renewal_asks_the_role(server, client, mount, trust, cluster, login):
    """With the role gone, the token is not renewed."""
    trust(ttl="10m")
    application = server.client(login(cluster.token())["client_token"])
    assert application.auth.token.renew_self()["auth"]["lease_duration"] == 600
    client.auth.kubernetes.delete_role("app", mount_point=mount)
    with refused(exceptions.InvalidRequest, "role app does not exist during renewal"):
        application.auth.token.renew_self()
