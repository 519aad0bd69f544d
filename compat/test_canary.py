"""No secret value ever reaches a disk or a terminal: known values go through every path, then all files are searched.

The search proves itself: a control value that is written in clear, in each encoding, must be found by the same code.
"""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from hvac import exceptions

import aws
import harness

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Canaries:
    """The secret values of one run, by what each was used for."""

    values: dict = field(default_factory=dict)

    def new(self, use, alphabet="abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789/+&="):
        """A fresh random value of 32 characters."""
        value = "".join(secrets.choice(alphabet) for _ in range(32))
        return self.add(use, value)

    def add(self, use, value):
        """Remembers a value that the server made."""
        assert len(value) >= 16 and use not in self.values, use
        self.values[use] = value
        return value


def encodings(value):
    """The forms in which a value could lie in a file, as bytes by name."""
    raw = value.encode()
    forms = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode(), "url": quote(value, "").encode(),
             "utf-16": value.encode("utf-16-le"), "reversed": raw[::-1]}
    for encode, name in ((base64.b64encode, "base64"), (base64.urlsafe_b64encode, "base64url")):
        for shift in range(3):
            # Inside longer text the value may begin at any of three alignments; keep what does not depend on its
            # neighbours.
            encoded = encode(b"\0" * shift + raw).rstrip(b"=")
            first = (shift * 8 + 5) // 6
            forms[f"{name}+{shift}"] = encoded[first:-1]
    return forms


def find(values, places):
    """Each (use, encoding, place) at which one of `values` lies; `places` are bytes by name."""
    forms = {use: encodings(value) for use, value in values.items()}
    return [(use, name, place) for place, content in places.items()
            for use, each in forms.items() for name, form in each.items() if form in content]


def files_below(directory):
    """The content of every file, by path."""
    return {str(path): path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", sorted(encodings("0123456789abcdef")))
def test_the_search_finds_what_is_there(tmp_path, form):
    """A control value, in the midst of a file and in every encoding."""
    control = {"control": Canaries().new("control")}
    (tmp_path / "deep").mkdir()
    clear = tmp_path / "deep" / "clear.bin"
    clear.write_bytes(b"before " + encodings(control["control"])[form] + b" after")
    assert ("control", form, str(clear)) in find(control, files_below(tmp_path))


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_the_search_sees_into_base64(tmp_path, before):
    """A value inside a longer encoded text, at each alignment."""
    control = {"control": Canaries().new("control")}
    encoded = base64.b64encode(f"{before}{control['control']} and more".encode())
    assert find(control, {"text": b"..." + encoded})


@pytest.fixture
def canaries():
    """The values of one run."""
    return Canaries()


@pytest.fixture
def watched(tmp_path, canaries):
    """A server that logs all it can, with a file audit device and mounts of every kind."""
    server = harness.configured_server(tmp_path, log_level="trace")
    made = server.initialise(shares=3, threshold=2)
    canaries.add("root token", server.token)
    for number, (in_hex, in_base64) in enumerate(zip(made["keys"], made["keys_base64"], strict=True)):
        canaries.add(f"share {number} in hex", in_hex)
        canaries.add(f"share {number} in base64", in_base64)
    root = server.client()
    root.sys.enable_audit_device("file", path="audit", options={"file_path": str(tmp_path / "audit.log")})
    root.sys.enable_secrets_engine("kv", path="kv1", options={"version": "1"})
    root.sys.enable_secrets_engine("kv", path="kv2", options={"version": "2"})
    root.sys.enable_auth_method("userpass")
    root.sys.enable_auth_method("approle")
    yield server
    server.stop()


def _through_kv(server, new):
    """Values in every kind of write, kept, replaced, deleted, destroyed and refused."""
    root = server.client()
    v1, v2 = root.secrets.kv.v1, root.secrets.kv.v2
    for use in ("kv1 replaced", "kv1 current"):
        v1.create_or_update_secret("a", {"value": new(use)}, mount_point="kv1")
    v1.create_or_update_secret("gone", {"value": new("kv1 deleted")}, mount_point="kv1")
    v1.delete_secret("gone", mount_point="kv1")

    for use in ("kv2 destroyed", "kv2 deleted", "kv2 old", "kv2 current"):
        v2.create_or_update_secret("a", {"value": new(use), "nested": {"deep": [new(f"{use}, nested")]}},
                                   mount_point="kv2")
    v2.destroy_secret_versions("a", [1], mount_point="kv2")
    v2.delete_secret_versions("a", [2], mount_point="kv2")
    server.call("PATCH", "kv2/data/a", body={"data": {"patched": new("kv2 patched")}}, headers=MERGE_PATCH)
    v2.create_or_update_secret("large", {"value": new("kv2 large") + "x" * 300_000}, mount_point="kv2")
    v2.create_or_update_secret("gone", {"value": new("kv2 removed")}, mount_point="kv2")
    v2.delete_metadata_and_all_versions("gone", mount_point="kv2")
    for version in (None, 3):
        v2.read_secret_version("a", version=version, mount_point="kv2", raise_on_deleted_version=True)

    assert server.call("POST", "kv2/data/a", body={"data": {"v": new("lost")}, "options": {"cas": 99}}).status == 400
    assert server.call("POST", "kv2/data/a", body={"data": new("wrong type")}).status == 400
    broken = f'{{"data": {{"v": "{new("broken JSON")}"'.encode()
    assert server.call("POST", "kv2/data/a", body=broken).status == 400
    assert server.call("POST", "kv1/x", body={"v": new("without token")}, token="").status == 403


def _through_logins(server, canaries):
    """Passwords, secret ids and tokens: right ones, wrong ones, old ones."""
    new, root, nobody = canaries.new, server.client(), server.client("")
    root.auth.userpass.create_or_update_user("ann", password=new("old password"))
    password = new("password")
    root.auth.userpass.update_password_on_user("ann", password)
    canaries.add("userpass token", nobody.auth.userpass.login("ann", password)["auth"]["client_token"])
    with pytest.raises(exceptions.InvalidRequest):
        nobody.auth.userpass.login("ann", new("wrong password"))

    root.auth.approle.create_or_update_approle("web")
    role_id = root.auth.approle.read_role_id("web")["data"]["role_id"]
    secret_id = canaries.add("secret id", root.auth.approle.generate_secret_id("web")["data"]["secret_id"])
    custom = new("custom secret id")
    root.auth.approle.create_custom_secret_id("web", custom)
    canaries.add("approle token", nobody.auth.approle.login(role_id, secret_id)["auth"]["client_token"])
    canaries.add("second approle token", nobody.auth.approle.login(role_id, custom)["auth"]["client_token"])
    root.auth.approle.read_secret_id("web", secret_id)
    root.auth.approle.destroy_secret_id("web", custom)
    with pytest.raises(exceptions.InvalidRequest):
        nobody.auth.approle.login(role_id, new("wrong secret id"))

    for kind in ("service", "batch"):
        token = canaries.add(f"{kind} token", root.auth.token.create(
            policies=["default"], ttl="1h", type=kind)["auth"]["client_token"])
        server.client(token).auth.token.lookup_self()
        root.auth.token.lookup(token)
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    chosen = new("chosen token", alphabet=letters)
    root.auth.token.create(id=chosen, policies=["default"], ttl="1h")
    root.auth.token.renew(chosen)
    root.auth.token.revoke(chosen)
    assert not server.client(new("unknown token", alphabet=letters)).is_authenticated()


def _through_wrapping(server, canaries):
    """Answers that are wrapped, unwrapped, rewrapped, revoked and left; entries of a cubbyhole."""
    new, root = canaries.new, server.client()
    wrapped = {use: root.sys.wrap({"value": new(use)}, ttl=600)["wrap_info"]["token"]
               for use in ("wrapped", "unwrapped", "rewrapped", "wrapped and revoked")}
    for use, token in wrapped.items():
        canaries.add(f"token of what is {use}", token)
    root.sys.unwrap(wrapped["unwrapped"])
    canaries.add("new token", root.write("sys/wrapping/rewrap", token=wrapped["rewrapped"])["wrap_info"]["token"])
    root.auth.token.revoke(wrapped["wrapped and revoked"])
    inside = server.client(root.auth.token.create(policies=["default"], wrap_ttl="600s")["wrap_info"]["token"]).sys.unwrap()
    token = canaries.add("wrapped token", inside["auth"]["client_token"])
    kept = server.client(token)
    kept.write("cubbyhole/a", value=new("cubbyhole"))
    kept.write("cubbyhole/gone", value=new("cubbyhole, deleted"))
    kept.delete("cubbyhole/gone")
    kept.read("cubbyhole/a")


def _through_access_keys(server, canaries):
    """The halves of access keys that are secret: a key's own, those of a session, a signature by a wrong one."""
    made = aws.create_key(server)
    canaries.add("access key", made.secret)
    session = made.client("sts").get_session_token()["Credentials"]
    canaries.add("access key of a session", session["SecretAccessKey"])
    canaries.add("session token", session["SessionToken"])
    aws.AccessKey(server, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]).client(
        "sts").get_caller_identity()
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    wrong = aws.AccessKey(server, made.id, canaries.new("wrong access key", alphabet=letters))
    assert aws.error_of(aws.send(aws.signed_request(wrong))) == "InvalidSignatureException"


def _listings(server):
    """What the command line prints where no value was asked for, by command."""
    printed = {}
    for command in (["list", "kv2/"], ["history", "kv2/a"], ["mount", "list"], ["auth", "list"], ["policy", "list"],
                    ["operator", "status"], ["aws-key", "list"]):
        for form in ("table", "json"):
            done = harness.run_keyturn(server, *command, "--format", form)
            assert done.returncode == 0, (command, done.stderr)
            printed[f"keyturn {' '.join(command)} ({form})"] = done.stdout + done.stderr
    return printed


def test_no_secret_in_any_file(watched, canaries, tmp_path):
    """After all of it, and a restart: data, configuration, logs, audit files and listings hold no value."""
    _through_kv(watched, canaries.new)
    _through_logins(watched, canaries)
    _through_wrapping(watched, canaries)
    if watched.is_keyturn:
        _through_access_keys(watched, canaries)
    printed = _listings(watched) if watched.is_keyturn else {}
    watched.kill()
    after_kill = files_below(tmp_path)
    assert find(canaries.values, after_kill | printed) == []

    watched.start()
    watched.unseal()
    watched.client().sys.seal()
    watched.stop()
    places = files_below(tmp_path)
    assert any("audit" in place for place in places) and len(b"".join(places.values())) > 10_000
    assert find(canaries.values, places) == []
