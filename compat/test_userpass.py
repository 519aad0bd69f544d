"""`/v1/auth/<mount>/{users,login}/…` of a userpass auth method, through hvac."""

import pytest
from hvac import exceptions

from support import refused, status_of, unique, wait_until

LOCKOUT_ATTEMPTS = 5


class Userpass:
    """hvac's userpass, bound to one mount."""

    def __init__(self, client, mount):
        self.client, self.mount = client, mount

    def __getattr__(self, method):
        bound = getattr(self.client.auth.userpass, method)
        return lambda *args, **named: bound(*args, mount_point=self.mount, **named)


@pytest.fixture
def users(client, userpass):
    """The mount as root sees it."""
    return Userpass(client, userpass)


@pytest.fixture
def login(server, userpass):
    """Logs in without a token, and returns the `auth` part of the answer."""
    return lambda name, password: Userpass(server.client(""), userpass).login(name, password)["auth"]


def test_users(users):
    """Write, read, list, delete; the password never comes back."""
    assert status_of(users.create_or_update_user("ann", password="pw", policies="a,b")) == 204
    read = users.read_user("ann")["data"]
    assert read["token_policies"] == ["a", "b"]
    assert not any("password" in field for field in read)
    users.create_or_update_user("bob", password="pw")
    assert users.list_user()["data"]["keys"] == ["ann", "bob"]

    assert status_of(users.delete_user("ann")) == 204
    with refused(exceptions.InvalidPath):
        users.read_user("ann")
    assert status_of(users.delete_user("ann")) == 204
    assert users.list_user()["data"]["keys"] == ["bob"]


def test_no_users_is_404(users):
    """As every empty list."""
    with refused(exceptions.InvalidPath):
        users.list_user()


def test_a_new_user_needs_a_password(users):
    """Without one nothing is made."""
    with refused(exceptions.InvalidRequest, "password"):
        users.create_or_update_user("ann", policies="a")
    with refused(exceptions.InvalidPath):
        users.read_user("ann")


def test_login(server, users, login):
    """The token has the user's policies, and says whose it is."""
    users.create_or_update_user("ann", password="pw", policies=["a"], token_ttl="30m", token_max_ttl="1h")
    auth = login("ann", "pw")
    assert auth["policies"] == auth["token_policies"] == ["a", "default"]
    assert auth["metadata"] == {"username": "ann"}
    assert (auth["lease_duration"], auth["renewable"], auth["orphan"]) == (1800, True, True)
    data = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert (data["path"], data["display_name"]) == (f"auth/{users.mount}/login/ann", f"{users.mount}-ann")
    assert data["meta"] == {"username": "ann"}


def test_names_ignore_case(users, login):
    """A user name is the same in any case."""
    users.create_or_update_user("Ann", password="pw")
    assert login("aNN", "pw")["metadata"] == {"username": "ann"}


def test_renewal_honours_the_maximum(server, users, login):
    """The user's token_max_ttl bounds its tokens."""
    users.create_or_update_user("ann", password="pw", token_ttl="10m", token_max_ttl="20m")
    own = server.client(login("ann", "pw")["client_token"]).auth.token
    assert own.renew_self(increment="5h")["auth"]["lease_duration"] <= 1200


@pytest.mark.parametrize("name, password", [("ann", "wrong"), ("nobody", "pw"), ("ann", "")])
def test_refused_logins_look_alike(users, login, name, password):
    """A wrong password and an unknown user get the same words, so that names cannot be found out."""
    users.create_or_update_user("ann", password="pw")
    with pytest.raises(exceptions.InvalidRequest) as caught:
        login(name, password)
    expected = ["missing password"] if not password else ["invalid username or password"]
    assert caught.value.errors == expected


def test_change_the_password(users, login):
    """The old one ends at once; the policies stay."""
    users.create_or_update_user("ann", password="old", policies="a")
    assert status_of(users.update_password_on_user("ann", "new")) == 204
    with refused(exceptions.InvalidRequest, "invalid username or password"):
        login("ann", "old")
    assert login("ann", "new")["policies"] == ["a", "default"]


def test_password_of_an_unknown_user(users):
    """Changing it makes no user."""
    with pytest.raises(exceptions.VaultError):
        users.update_password_on_user("nobody", "pw")
    with refused(exceptions.InvalidPath):
        users.read_user("nobody")


def test_change_the_policies(server, users, login):
    """They hold from the next login on."""
    users.create_or_update_user("ann", password="pw", policies="a")
    reply = server.call("POST", f"auth/{users.mount}/users/ann/policies", body={"token_policies": "b,c"})
    assert reply.status == 204
    assert login("ann", "pw")["policies"] == ["b", "c", "default"]


def test_update_keeps_the_password(users, login):
    """A write without one changes the rest only."""
    users.create_or_update_user("ann", password="pw", policies="a")
    users.create_or_update_user("ann", policies="b")
    assert login("ann", "pw")["policies"] == ["b", "default"]


def test_deleting_a_user_keeps_others_tokens(server, users, login):
    """A token lives as long as its own time says; the user cannot log in any more."""
    users.create_or_update_user("ann", password="pw")
    login("ann", "pw")
    users.delete_user("ann")
    with refused(exceptions.InvalidRequest, "invalid username or password"):
        login("ann", "pw")


def test_disabling_the_method_revokes_its_tokens(server, client):
    """No way in, no one in."""
    path = unique("userpass")
    client.sys.enable_auth_method("userpass", path=path)
    Userpass(client, path).create_or_update_user("ann", password="pw")
    own = server.client(Userpass(server.client(""), path).login("ann", "pw")["auth"]["client_token"])
    client.sys.disable_auth_method(path)
    wait_until("its tokens are revoked", lambda: not own.is_authenticated())


def test_lockout(users, login):
    """After five wrong passwords in a row even the right one is refused; other users are not."""
    users.create_or_update_user("ann", password="pw")
    users.create_or_update_user("bob", password="pw")
    for _ in range(LOCKOUT_ATTEMPTS):
        with pytest.raises(exceptions.VaultError):
            login("ann", "wrong")
    with refused(exceptions.Forbidden, "permission denied"):
        login("ann", "pw")
    assert login("bob", "pw")["client_token"]


def test_a_good_login_forgets_the_bad_ones(users, login):
    """Only failures in a row count."""
    users.create_or_update_user("ann", password="pw")
    for _ in range(2):
        for _ in range(LOCKOUT_ATTEMPTS - 1):
            with refused(exceptions.InvalidRequest, "invalid username or password"):
                login("ann", "wrong")
        assert login("ann", "pw")["client_token"]


def test_bound_cidrs(users, login):
    """A user bound to another network cannot log in from here."""
    users.create_or_update_user("ann", password="pw", token_bound_cidrs="10.255.0.0/16")
    with pytest.raises((exceptions.Forbidden, exceptions.InvalidRequest)):
        login("ann", "pw")


def test_several_methods_are_apart(server, client, users, login):
    """The same name in two methods is two users."""
    other = unique("userpass")
    client.sys.enable_auth_method("userpass", path=other)
    Userpass(client, other).create_or_update_user("ann", password="there")
    users.create_or_update_user("ann", password="here")
    assert login("ann", "here")["client_token"]
    with refused(exceptions.InvalidRequest):
        login("ann", "there")
    client.sys.disable_auth_method(other)
