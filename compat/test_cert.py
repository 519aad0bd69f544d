"""`/v1/auth/<mount>/{certs,crls,config,login}` of a TLS certificate auth method, through hvac, over TLS."""

import ssl
import subprocess

import hvac
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hvac import exceptions

import harness
from certificates import Authority
from support import refused, status_of, unique

pytestmark = pytest.mark.keyturn

LISTENER = """
[[listener]]
address = "127.0.0.1:{port}"
tls_cert_file = "{certificate}"
tls_key_file = "{key}"
"""


class TlsServer:
    """A server of this file's own: plain HTTP for the operator, TLS for clients with and without certificates."""

    def __init__(self, directory):
        self.root = Authority("Server CA")
        certificate, key = self.root.server_files(directory)
        self.ca = str(directory / "ca.crt")
        (directory / "ca.crt").write_text(self.root.pem)
        ports = [harness.free_port() for _ in range(3)]
        text = harness.CONFIGURATION.format(directory=directory, port=ports[0], log_level="info")
        text += LISTENER.format(port=ports[1], certificate=certificate, key=key)
        text += LISTENER.format(port=ports[2], certificate=certificate, key=key) + "tls_disable_client_certs = true\n"
        (directory / "keyturn.toml").write_text(text)
        command = [str(harness.BINARY), "server", "--config", str(directory / "keyturn.toml")]
        self.process = harness.Process(address=f"http://127.0.0.1:{ports[0]}", command=command, directory=directory)
        self.process.start().initialise()
        self.url, self.deaf = (f"https://127.0.0.1:{port}" for port in ports[1:])

    def client(self, files=None, token="", url=None):
        """hvac over TLS, with a client certificate or without."""
        return hvac.Client(url=url or self.url, token=token, verify=self.ca, cert=files)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The server of this file."""
    made = TlsServer(tmp_path_factory.mktemp("tls"))
    yield made
    made.process.stop()


@pytest.fixture
def root(tls):
    """hvac with the root token."""
    return tls.process.client()


@pytest.fixture
def mount(root):
    """The path of a certificate auth method."""
    path = unique("cert")
    root.sys.enable_auth_method("cert", path=path)
    yield path
    root.sys.disable_auth_method(path)


@pytest.fixture
def authority():
    """A CA that the test may trust."""
    return Authority()


@pytest.fixture
def trust(root, mount, authority):
    """Writes an entry that trusts the CA."""
    def write(name="web", certificate=None, **fields):
        root.auth.cert.create_ca_certificate_role(name, certificate=certificate or authority.pem, mount_point=mount,
                                                  **fields)
    return write


@pytest.fixture
def login(tls, mount, tmp_path):
    """Logs in with a certificate, and returns the `auth` part of the answer."""
    def with_certificate(issued, name="", chain="", url=None):
        certificate, key = issued.files(tmp_path, unique("client"), chain)
        client = tls.client(url=url)
        return client.auth.cert.login(name=name, cacert=tls.ca, cert_pem=certificate, key_pem=key,
                                      mount_point=mount)["auth"]
    return with_certificate


@pytest.fixture(autouse=True)
def _paths_for_verify(monkeypatch):
    """hvac checks that `cacert` is PEM and then hands it to requests as a path; only a path works."""
    monkeypatch.setattr("hvac.api.auth_methods.cert.validate_pem_format", _path_or_pem)


def _path_or_pem(param_name, param_argument):
    if param_name == "verify":
        return True
    from hvac.utils import validate_pem_format
    return validate_pem_format(param_name, param_argument)


# --- entries --------------------------------------------------------------------------------------------------------


def test_entries(root, mount, authority, trust):
    """Write, read, list, delete."""
    trust("Web", allowed_common_names=["a*"], allowed_dns_sans="x,y", allowed_email_sans=["e"], allowed_uri_sans=["u"],
          allowed_organizational_units=["o"], required_extensions=["1.2.3:v"], display_name="shown", token_ttl=600,
          token_max_ttl=1200, token_policies=["p"])
    read = root.auth.cert.read_ca_certificate_role("web", mount_point=mount)["data"]
    expected = {"certificate": authority.pem, "allowed_common_names": ["a*"], "allowed_dns_sans": ["x", "y"],
                "allowed_email_sans": ["e"], "allowed_uri_sans": ["u"], "allowed_organizational_units": ["o"],
                "required_extensions": ["1.2.3:v"], "display_name": "shown", "token_ttl": 600, "token_max_ttl": 1200,
                "token_policies": ["p"]}
    assert {name: read[name] for name in expected} == expected
    assert root.auth.cert.list_certificate_roles(mount_point=mount)["data"]["keys"] == ["web"]
    assert status_of(root.auth.cert.delete_certificate_role("web", mount_point=mount)) == 204
    with refused(exceptions.InvalidPath):
        root.auth.cert.read_ca_certificate_role("web", mount_point=mount)


def test_bad_entries(tls, mount, authority):
    """No certificate, one for servers, an extension without a value."""
    server = authority.issue("x", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    for body, message in [({}, "failed to parse certificate"), ({"certificate": "junk"}, "failed to parse certificate"),
                          ({"certificate": server.pem}, "nonCA certificates should have TLS client authentication"),
                          ({"certificate": authority.pem, "required_extensions": "1.2.3"}, "required_extensions"),
                          ({"certificate": authority.pem, "ocsp_enabled": True}, "ocsp_enabled is not offered"),
                          ({"certificate": authority.pem, "token_ttl": 20, "token_max_ttl": 10}, "max_ttl")]:
        reply = tls.process.call("POST", f"auth/{mount}/certs/bad", body=body)
        assert reply.status == 400 and message in reply.errors[0], body
        assert tls.process.call("GET", f"auth/{mount}/certs/bad").status == 404


# --- login ----------------------------------------------------------------------------------------------------------


def test_login(tls, mount, authority, trust, login):
    """A certificate of the CA, and who it is in the token."""
    trust(token_policies=["p"], token_ttl=600)
    issued = authority.issue("app")
    auth = login(issued)
    assert (auth["policies"], auth["lease_duration"]) == (["default", "p"], 600)
    assert (auth["metadata"]["cert_name"], auth["metadata"]["common_name"]) == ("web", "app")
    assert auth["metadata"]["serial_number"] == str(issued.certificate.serial_number)
    data = tls.client(token=auth["client_token"]).auth.token.lookup_self()["data"]
    assert data["display_name"] == f"{mount}-web"
    assert login(issued, name="WEB")["client_token"]
    with refused(exceptions.InvalidRequest, "invalid certificate or no client certificate supplied"):
        login(issued, name="other")


def test_a_chain(authority, trust, login):
    """An authority between, sent along."""
    trust()
    between = Authority("Between", issuer=authority)
    assert login(between.issue("app"), chain=between.pem)["client_token"]
    with refused(exceptions.InvalidRequest, "invalid certificate"):
        login(between.issue("app"))


def test_a_registered_certificate(authority, trust, login):
    """A client's own; it signs nothing, and no other of its issuer is good."""
    registered = authority.issue("app")
    trust(certificate=registered.pem)
    assert login(registered)["client_token"]
    with refused(exceptions.InvalidRequest, "invalid certificate"):
        login(authority.issue("app"))
    forger = Authority("forger")
    forger.certificate, forger.key = registered.certificate, registered.key
    with refused(exceptions.InvalidRequest, "invalid certificate"):
        login(forger.issue("admin"), chain=registered.pem)


def test_a_certificate_without_its_key(tls, mount, authority, trust, tmp_path):
    """The handshake ends: whoever copies a certificate has nothing."""
    trust()
    certificate, _ = authority.issue("app").files(tmp_path, "stolen")
    _, key = authority.issue("other").files(tmp_path, "own")
    command = ["openssl", "s_client", "-connect", tls.url.removeprefix("https://"), "-cert", certificate, "-key", key]
    assert b"mismatch" in subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False).stderr
    context = ssl.create_default_context(cafile=tls.ca)
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(certificate, key)


@pytest.mark.parametrize("fields, good", [
    ({"allowed_common_names": ["app", "x"]}, True), ({"allowed_common_names": ["ap"]}, False),
    ({"allowed_dns_sans": ["*.example"]}, True), ({"allowed_dns_sans": ["*.other"]}, False),
    ({"allowed_email_sans": ["*@example"]}, True), ({"allowed_email_sans": ["x"]}, False),
    ({"allowed_uri_sans": ["spiffe://example/*"]}, True), ({"allowed_uri_sans": ["spiffe://other/*"]}, False),
    ({"allowed_organizational_units": ["eng"]}, True), ({"allowed_organizational_units": ["ops"]}, False),
    ({"required_extensions": ["1.2.3.4:he*"]}, True), ({"required_extensions": ["1.2.3.4:x"]}, False),
    ({"required_extensions": ["1.2.3.5:*"]}, False),
    ({"allowed_common_names": ["app"], "allowed_dns_sans": ["x"]}, False),
], ids=str)
def test_names(authority, trust, login, fields, good):
    """Each kind that the entry asks for must fit."""
    trust(**fields)
    sans = [x509.DNSName("app.example"), x509.RFC822Name("app@example"),
            x509.UniformResourceIdentifier("spiffe://example/app")]
    issued = authority.issue("app", unit="eng", sans=sans, extensions=[("1.2.3.4", "hello")])
    if good:
        assert login(issued)["client_token"]
        return
    with refused(exceptions.InvalidRequest, "no chain matching all constraints could be found"):
        login(issued)


def test_certificates_that_are_not_good(authority, trust, login):
    """Expired, for servers, of another authority with the same name, of none."""
    trust()
    for issued, message in [(authority.issue("app", days=-1), "expired"),
                            (authority.issue("app", usage=ExtendedKeyUsageOID.SERVER_AUTH), "extended key usage"),
                            (Authority().issue("app"), "invalid certificate")]:
        with refused(exceptions.InvalidRequest, message):
            login(issued)


def test_without_a_certificate(tls, mount, authority, trust, login):
    """None shown, none asked for, or plain HTTP."""
    trust()
    for url in (tls.url, tls.deaf, tls.process.address):
        reply = requests.post(f"{url}/v1/auth/{mount}/login", json={}, verify=tls.ca, timeout=20)
        assert (reply.status_code, reply.json()["errors"]) == (400, ["client certificate must be supplied"])
    with refused(exceptions.InvalidRequest, "client certificate must be supplied"):
        login(authority.issue("app"), url=tls.deaf)


def _version_1(directory):
    """A certificate without extensions, of version 1, as old tools make it."""
    key, certificate = directory / "v1.key", directory / "v1.crt"
    for command in (["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=v1", "-out",
                     directory / "v1.csr"],
                    ["x509", "-req", "-in", directory / "v1.csr", "-signkey", key, "-out", certificate]):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True, timeout=20)
    assert x509.load_pem_x509_certificate(certificate.read_bytes()).version == x509.Version.v1
    return str(certificate), str(key)


def test_strange_certificates_do_not_get_in_the_way(tls, root, mount, authority, tmp_path):
    """Expired, foreign, for servers, version 1, other kinds of keys, TLS 1.2: everything else works with them."""
    token = root.token
    files = {
        "expired": authority.issue("a", days=-1), "foreign": Authority("Foreign").issue("b"),
        "server": authority.issue("c", usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "p384": authority.issue("d", key=ec.generate_private_key(ec.SECP384R1())),
        "p521": authority.issue("e", key=ec.generate_private_key(ec.SECP521R1())),
        "rsa": authority.issue("f", key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "nameless": authority.issue(""),
    }
    paths = {name: issued.files(tmp_path, name) for name, issued in files.items()} | {"v1": _version_1(tmp_path)}
    for name, path in paths.items():
        assert tls.client(path, token).auth.token.lookup_self()["data"]["id"] == token, name
        context = ssl.create_default_context(cafile=tls.ca)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*path)
        session = requests.Session()
        session.mount("https://", _WithContext(context))
        assert session.get(f"{tls.url}/v1/sys/health", timeout=20).status_code == 200, name


class _WithContext(requests.adapters.HTTPAdapter):
    """Connections with a context of the test's own."""

    def __init__(self, context):
        self.context = context
        super().__init__()

    def init_poolmanager(self, *args, **named):
        super().init_poolmanager(*args, ssl_context=self.context, **named)


def test_revocation(tls, root, mount, authority, trust, login):
    """Upload a list: what is on it is refused, the rest is not; read, list, delete it."""
    trust()
    good, bad = authority.issue("good"), authority.issue("bad")
    assert login(bad)["client_token"]
    path = f"auth/{mount}/crls"
    assert tls.process.call("POST", f"{path}/List", body={"crl": authority.revoke(bad)}).status == 204
    with refused(exceptions.InvalidRequest, "no chain matching all constraints could be found"):
        login(bad)
    assert login(good)["client_token"]
    read = tls.process.call("GET", f"{path}/list").json["data"]["serials"]
    assert list(read) == [str(bad.certificate.serial_number)]
    assert root.list(path)["data"]["keys"] == ["list"]
    between = Authority("Between", issuer=authority)
    tls.process.call("POST", f"{path}/list", body={"crl": authority.revoke(between)})
    with refused(exceptions.InvalidRequest, "no chain matching"):
        login(between.issue("app"), chain=between.pem)
    assert tls.process.call("DELETE", f"{path}/list").status == 204
    assert login(bad)["client_token"]
    for method in ("GET", "DELETE"):
        assert tls.process.call(method, f"{path}/list").errors == ["no such CRL list"]
    for body in ({}, {"crl": "junk"}, {"url": "http://x/crl"}):
        assert tls.process.call("POST", f"{path}/list", body=body).status == 400


def test_renewal_shows_the_certificate_again(tls, root, mount, authority, trust, login, tmp_path):
    """The same one, still trusted; unless the mount says that it does not matter."""
    trust(token_ttl=600)
    issued, other = authority.issue("app"), authority.issue("app")
    token = login(issued)["client_token"]
    own, others = issued.files(tmp_path, "own"), other.files(tmp_path, "other")
    assert tls.client(own, token).auth.token.renew_self()["auth"]["lease_duration"] == 600
    for files, message in [(None, "client certificate must be supplied"), (others, "client identity during renewal")]:
        with refused(exceptions.InvalidRequest, message):
            tls.client(files, token).auth.token.renew_self()
    root.auth.cert.configure_tls_certificate(mount_point=mount, disable_binding=True)
    assert tls.client(None, token).auth.token.renew_self()["auth"]["lease_duration"] == 600
    root.auth.cert.configure_tls_certificate(mount_point=mount, disable_binding=False)
    trust(token_ttl=600, token_policies=["other"])
    with refused(exceptions.InvalidRequest, "policies have changed, not renewing"):
        tls.client(own, token).auth.token.renew_self()
    root.auth.cert.delete_certificate_role("web", mount_point=mount)
    with refused(exceptions.InvalidRequest, "not renewing"):
        tls.client(own, token).auth.token.renew_self()


def test_networks(authority, trust, login):
    """An entry may be good from elsewhere only."""
    trust(token_bound_cidrs=["10.0.0.0/8"])
    with refused(exceptions.Forbidden):
        login(authority.issue("app"))


def test_the_command_line(tls, mount, authority, trust, tmp_path):
    """The certificate of the connection logs in."""
    trust()
    certificate, key = authority.issue("app").files(tmp_path)
    arguments = ["login", "--method", "cert", "--path", mount, "--ca-cert", tls.ca]
    server = harness.Server(tls.url)
    done = harness.run_keyturn(server, *arguments, "--client-cert", certificate, "--client-key", key, home=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / ".keyturn-token").read_text().strip()
    assert tls.client(token=kept).auth.token.lookup_self()["data"]["path"] == f"auth/{mount}/login"
    done = harness.run_keyturn(server, *arguments, "--client-cert", certificate, home=tmp_path)
    assert done.returncode != 0 and b"--client-key" in done.stderr
