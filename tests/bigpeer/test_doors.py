"""The portal's doors: set-up, sign-in, sessions, and forms that only our pages can send."""

import re

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from edge_peer.bigpeer import sessions
from edge_peer.bigpeer.people import People, check
from edge_peer.bigpeer.sessions import IDLE_MS, LIFE_MS, SESSION_COUNT_MAX, Sessions
from edge_peer.bigpeer.vault import Vault

LIMIT_S = 20
PASSWORD = "brick sofa tundra nine"


class Browser(httpx.Client):
    """Keeps cookies, says where its forms come from, and sends them as they were shown."""

    def __init__(self, server):
        super().__init__(base_url=server.url, timeout=LIMIT_S, follow_redirects=True)
        self.shown = ""

    def open(self, path, **query):
        return self._show(self.get(path, params=query))

    def send_form(self, path, **fields):
        token = re.search(r'name="form_token" value="(\w+)"', self.shown)
        hidden = {"form_token": token.group(1)} if token else {}
        origin = {"Origin": str(self.base_url).rstrip("/")}
        return self._show(self.post(path, data=hidden | fields, headers=origin))

    def sign_in(self, name="ada", password=PASSWORD):
        self.open("/")
        return self.send_form("/sign-in", name=name, password=password)

    def is_in(self):
        return self.get("/keys").status_code == 200

    def cookie_header(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _show(self, response):
        self.shown = response.text
        return response


@pytest.fixture
def browse(server):
    """browse() -> a Browser that nobody knows yet."""
    browsers = []

    def one():
        browsers.append(Browser(server))
        return browsers[-1]

    yield one
    for browser in browsers:
        browser.close()


@pytest.fixture
def browser(browse):
    return browse()


@pytest.fixture(scope="module", autouse=True)
def ada(server):
    """The first person, by the address that the terminal shows."""
    token = server.big.people.set_up_token
    with Browser(server) as browser:
        browser.open("/set-up", token=token)
        response = browser.send_form(
            "/set-up", token=token, name="ada", password=PASSWORD, again=PASSWORD
        )
        assert response.status_code == 200 and server.big.app_id in response.text
    return token


# Set-up


def test_nobody_is_here_before_the_set_up(start, tmp_path):
    """A server of its own, as this one has been set up."""
    server = start(tmp_path)
    token = server.big.people.set_up_token
    with Browser(server) as browser:
        assert "set-up" in browser.open("/").text
        assert browser.sign_in("admin", "admin").status_code == 401
        assert browser.open("/set-up", token="wrong").status_code == 401
        assert "Set up this Big Peer" in browser.open("/set-up", token=token).text
        for name, password, again in (
            ("", PASSWORD, PASSWORD),
            ("ada", "short", "short"),
            ("ada", PASSWORD, PASSWORD + "!"),
            ("ada", "x" * 257, "x" * 257),
            ("ada lovelace", "Ada Lovelace 1815", "Ada Lovelace 1815"),
        ):
            fields = {"name": name, "password": password, "again": again}
            assert browser.send_form("/set-up", token=token, **fields).status_code == 401
            assert 'role="alert"' in browser.shown and password not in browser.shown
        fields = {"name": "ada", "password": PASSWORD, "again": PASSWORD}
        assert browser.send_form("/set-up", token=token, **fields).status_code == 200
        assert browser.is_in()
    assert not server.big.people.set_up_token


def test_the_set_up_address_works_once(ada, browse):
    for browser in (browse(), browse()):
        assert "not valid any more" in browser.open("/set-up", token=ada).text
        fields = {"token": ada, "name": "eve", "password": PASSWORD, "again": PASSWORD}
        assert browser.send_form("/set-up", **fields).status_code == 401
        assert not browser.is_in()
    assert "not valid" in browse().open("/set-up", token="").text


def test_a_start_with_people_has_no_set_up_token(server):
    vault = Vault(server.big.options.data / "doors.db")
    assert People(vault, lambda: 0).set_up_token == ""
    vault.close()


def test_passwords_are_kept_as_scrypt_with_a_salt_of_their_own(server):
    rows = server.do(lambda: server.big.vault.rows("SELECT password FROM person"))
    assert all(re.fullmatch(r"scrypt\$15\$8\$1\$.{24}\$.{44}", row[0]) for row in rows)
    for path in server.big.options.data.glob("doors.db*"):
        assert PASSWORD.encode() not in path.read_bytes()


# Sign-in


def test_name_and_password_open_the_page(server, browser):
    response = browser.sign_in()
    assert response.status_code == 200 and server.big.app_id in response.text


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong"), ("eve", PASSWORD), ("", ""), ("ada", "x" * 5000), ("\udcff", PASSWORD)],
)
def test_a_wrong_name_or_password_is_told_without_which(browser, name, password):
    name = name.encode(errors="surrogateescape")
    assert browser.sign_in(name, password).status_code == 401
    assert "No such name and password" in browser.shown
    assert not browser.is_in()


def test_each_sign_in_is_another_session(browser, browse):
    browser.cookies.set("edge_peer_planted", "x")
    tokens = set()
    for one in (browser, browse()):
        one.sign_in()
        tokens |= {value for name, value in one.cookies.items() if "planted" not in name}
    assert len(tokens) == 2


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    response = browser.get("/")
    header = response.headers["Set-Cookie"]
    assert "HttpOnly" in header and "SameSite=lax" in header
    browser.follow_redirects = False
    for header in browser.sign_in().headers.get_list("Set-Cookie"):
        assert "HttpOnly" in header
        assert "SameSite=lax" in header


def test_signing_out_ends_the_session_here_and_not_only_in_the_browser(browser, server):
    browser.sign_in()
    cookies = dict(browser.cookies)
    browser.open("/keys")
    browser.send_form("/sign-out")
    assert not browser.is_in()
    assert httpx.get(server.url + "/keys", cookies=cookies).status_code == 401


def test_who_is_in_can_end_all_other_sessions(browser, browse):
    other = browse()
    other.sign_in()
    browser.sign_in()
    browser.open("/keys")
    browser.send_form("/keys", action="end")
    assert browser.is_in() and not other.is_in()


def test_a_session_by_a_key_ends_with_the_key(server, browser):
    path = f"/apps/{server.big.app_id}/keys"
    made = server.ask("POST", path, json={"name": "kiosk", "administrator": True}).json()
    response = browser.open("/", key=made["key"])
    assert response.status_code == 200 and made["key"] not in str(response.url)
    assert browser.is_in()
    server.ask("DELETE", f"{path}/{made['id']}")
    assert not browser.is_in()


def test_a_key_that_is_no_administrators_opens_no_page(server, browser):
    permissions = {"read": {"everything": True}, "write": {"everything": True}}
    fields = {"name": "reader", "permissions": permissions}
    made = server.ask("POST", f"/apps/{server.big.app_id}/keys", json=fields).json()
    assert browser.open("/", key=made["key"]).status_code == 401
    assert not browser.is_in()


# Forms and sockets of other sites


@pytest.mark.parametrize("path", ["/keys", "/sign-out"])
def test_a_form_without_its_token_does_nothing(browser, browse, path):
    browser.sign_in()
    other = browse()
    other.open("/")  # has a token, of another cookie
    for shown in ("", other.shown, '<input name="form_token" value="0000">'):
        browser.shown = shown
        response = browser.send_form(path, action="create", name="stolen", may="write")
        assert response.status_code == 403
    assert browser.is_in() and "stolen" not in browser.get("/keys").text


def test_nobody_is_signed_in_by_another_sites_form(browser):
    browser.shown = '<input name="form_token" value="0000">'
    assert browser.send_form("/sign-in", name="ada", password=PASSWORD).status_code == 401
    assert not browser.is_in()


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "http://["]
)
def test_what_says_it_is_from_elsewhere_is_refused(browser, origin):
    browser.sign_in()
    browser.open("/keys")
    token = re.search(r'name="form_token" value="(\w+)"', browser.shown).group(1)
    response = browser.post(
        "/keys", data={"form_token": token, "action": "end"}, headers={"Origin": origin}
    )
    assert response.status_code == 403
    assert browser.post("/_nicegui_ws/socket.io/", headers={"Origin": origin}).status_code == 403


def socket_url(server):
    return server.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
def test_no_other_site_opens_a_websocket(server, browser, origin):
    browser.sign_in()
    headers = {"Cookie": browser.cookie_header()}
    with (
        pytest.raises(InvalidStatus) as refusal,
        connect(socket_url(server), additional_headers=headers, origin=origin),
    ):
        pass
    assert refusal.value.response.status_code == 403


def test_an_open_page_ends_with_its_session(server, browser):
    browser.sign_in()
    headers = {"Cookie": browser.cookie_header()}
    with connect(socket_url(server), additional_headers=headers, origin=server.url) as socket:
        assert socket.recv(LIMIT_S).startswith("0")  # engine.io has opened
        browser.open("/keys")
        browser.send_form("/sign-out")
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(LIMIT_S)


# The page about keys


def test_a_key_made_on_the_page_works_and_shows_once(server, browser):
    browser.sign_in()
    browser.open("/keys")
    browser.send_form("/keys", action="create", name="<b>shop</b>", may="read", days="30")
    plain = re.search(r'id="new-key">(edge_[\w-]+)<', browser.shown).group(1)
    assert "&lt;b&gt;shop" in browser.shown and "<b>shop" not in browser.shown
    statement = {"statement": "SELECT * FROM nobody"}
    assert server.ask("POST", "/store/execute", plain, json=statement).status_code == 200
    assert plain not in browser.open("/keys").text
    row = browser.shown[browser.shown.index("&lt;b&gt;shop") :]
    browser.send_form("/keys", action="revoke", id=re.search(r"<code>(\w+)", row).group(1))
    assert server.ask("POST", "/store/execute", plain, json=statement).status_code == 401
    assert "&lt;b&gt;shop" not in browser.shown


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "may": "read"},
        {"name": "x", "may": "custom", "permissions": "{"},
        {"name": "x", "may": "custom", "permissions": "[" * 20_000},
        {"name": "x", "may": "custom", "permissions": '{"read": {"all": true}}'},
        {"name": "x", "may": "read", "days": "-1"},
        {"name": "x", "may": "read", "days": "9999999999999"},
        {"name": "x", "may": "read", "days": "٣"},
    ],
)
def test_a_key_that_says_nothing_sensible_is_told_so(browser, fields):
    browser.sign_in()
    browser.open("/keys")
    assert browser.send_form("/keys", action="create", **fields).status_code == 400
    assert 'role="alert"' in browser.shown


def test_a_form_that_is_too_large_is_not_read_to_its_end(browser):
    browser.sign_in()
    browser.open("/keys")
    assert browser.send_form("/keys", action="create", name="x" * 100_000).status_code == 403


# One's own password


def test_a_changed_password_ends_all_sessions_of_its_person(server, browser, browse):
    path = "/keys"
    server.do(lambda: server.big.people.change("ada", PASSWORD))
    other = browse()
    for one in (browser, other):
        one.sign_in()
        one.open(path)
    new = "velvet orbit cement four"
    for current, password, again in (
        ("wrong", new, new),
        (PASSWORD, new, new + "!"),
        (PASSWORD, "short", "short"),
    ):
        fields = {"current": current, "password": password, "again": again}
        assert browser.send_form(path, action="password", **fields).status_code == 400
        assert 'role="alert"' in browser.shown and browser.is_in()
    browser.send_form(path, action="password", current=PASSWORD, password=new, again=new)
    assert not browser.is_in() and not other.is_in()
    assert browser.sign_in().status_code == 401
    assert browser.sign_in(password=new).status_code == 200
    server.do(lambda: server.big.people.change("ada", PASSWORD))


def test_who_came_with_a_key_has_no_password_to_change(server, browser):
    browser.open("/", key=server.api_key)
    assert "Your password" not in browser.open("/keys").text
    before = server.do(lambda: server.big.vault.rows("SELECT * FROM person"))
    browser.send_form("/keys", action="password", current="", password="x" * 20, again="x" * 20)
    assert server.do(lambda: server.big.vault.rows("SELECT * FROM person")) == before


# On a clock of its own


@pytest.fixture
def own(tmp_path):
    vault = Vault(tmp_path / "doors.db")
    own = Sessions(vault, lambda: own.now_ms)
    own.now_ms = LIFE_MS
    yield own
    vault.close()


def test_a_session_that_nobody_uses_ends(own):
    token = own.begin("ada")
    for _ in range(3):
        own.now_ms += IDLE_MS - 1
        assert own.find(token).who == "ada"
    own.now_ms += IDLE_MS
    assert own.find(token) is None


def test_a_session_ends_some_day_however_it_is_used(own):
    token = own.begin("ada")
    for _ in range(LIFE_MS // IDLE_MS * 2 - 1):
        own.now_ms += IDLE_MS // 2
        assert own.find(token)
    own.now_ms += IDLE_MS // 2
    assert own.find(token) is None


def test_of_too_many_sessions_the_one_that_rested_longest_ends(own, monkeypatch):
    monkeypatch.setattr(sessions, "SESSION_COUNT_MAX", 3)
    tokens = []
    for _ in range(4):
        own.now_ms += 1
        tokens.append(own.begin("ada"))
    assert [bool(own.find(token)) for token in tokens] == [False, True, True, True]
    assert SESSION_COUNT_MAX == 1_000


@pytest.mark.parametrize("token", ["", "x" * 65, "\0", "ü"])
def test_what_is_no_token_finds_no_session(own, token):
    own.begin("ada")
    assert own.find(token) is None


def test_neither_a_session_nor_its_digest_shows_in_a_repr(own):
    token = own.begin("ada")
    session = own.find(token)
    assert token not in repr(session) and "digest" not in repr(session)


def test_a_password_of_unicode_is_one():
    check("ada", "пароль длинный")
    with pytest.raises(ValueError, match="12 to 256"):
        check("ada", "x" * 11)
