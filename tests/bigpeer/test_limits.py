"""Floods on loopback: what is too much is refused with a reason, and others are served."""

import select
import socket
import threading

import httpx
import pytest

from edge_peer.bigpeer import connection, people
from edge_peer.bigpeer.limits import ASKED_BURST, WRONG_BURST, WRONG_RATE, Buckets, address_of

LIMIT_S = 20
SELECT = {"statement": "SELECT * FROM nobody"}
PASSWORD = "brick sofa tundra nine"


class Clock:
    """Stands still unless it is told."""

    now_ms = 1_000_000.0

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flooded(start, tmp_path, clock):
    """A Big Peer whose limits go by the clock of the test."""
    server = start(tmp_path, now_ms=clock)
    yield server


def ask(server, key=""):
    return server.ask("POST", "/store/execute", key, json=SELECT)


def refused(response, status, code):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code and error["description"]
    return int(response.headers["Retry-After"])


# Wrong keys and passwords


def test_wrong_keys_are_slowed_down_and_valid_ones_are_not(flooded, clock):
    for _ in range(WRONG_BURST):
        assert ask(flooded, "wrong").status_code == 401
    wait_s = refused(ask(flooded, "wrong"), 429, "rate")
    assert 0 < wait_s <= 1 / WRONG_RATE
    assert ask(flooded).status_code == 200  # of the same address
    clock.now_ms += 1000 * wait_s
    assert ask(flooded, "wrong").status_code == 401
    refused(ask(flooded, "wrong"), 429, "rate")


def sign_in(browser, password):
    form = browser.get("/").text
    token = form.split('name="form_token" value="')[1].split('"')[0]
    fields = {"form_token": token, "name": "ada", "password": password}
    return browser.post("/sign-in", data=fields)


@pytest.fixture
def browser(flooded):
    flooded.do(lambda: flooded.big.people.set_up(flooded.big.people.set_up_token, "ada", PASSWORD))
    with httpx.Client(base_url=flooded.url, timeout=LIMIT_S) as browser:
        yield browser


def test_passwords_are_not_guessed_for_long(browser, clock, monkeypatch):
    monkeypatch.setattr(people, "_fits", lambda password, hashed: password == PASSWORD)
    for _ in range(WRONG_BURST):
        assert sign_in(browser, "guess").status_code == 401
    response = sign_in(browser, PASSWORD)  # not even the right one
    assert response.status_code == 429 and "Too many wrong" in response.text
    clock.now_ms += 1000 * int(response.headers["Retry-After"])
    assert sign_in(browser, PASSWORD).status_code == 303


def test_set_up_addresses_and_keys_in_addresses_count_as_well(flooded, browser):
    for _ in range(WRONG_BURST // 2):
        assert browser.get("/", params={"key": "wrong"}).status_code == 401
        assert browser.get("/set-up", params={"token": "wrong"}).status_code == 401
    for path in ("/?key=wrong", "/set-up?token=wrong"):
        response = browser.get(path)
        assert response.status_code == 429 and int(response.headers["Retry-After"]) > 0


def test_a_flood_of_sign_ins_does_not_pile_up(flooded, browser, monkeypatch):
    """Each takes 32 MiB and a tenth of a second, one at a time."""
    go_on = threading.Event()
    monkeypatch.setattr(people, "_fits", lambda password, hashed: go_on.wait(LIMIT_S) and False)
    monkeypatch.setattr(people, "WAITING_COUNT_MAX", 3)
    page = browser.get("/").text
    token = page.split('name="form_token" value="')[1].split('"')[0]
    cookies = dict(browser.cookies)
    fields = {"form_token": token, "name": "ada", "password": "guess"}
    found = []

    def post():
        response = httpx.post(
            flooded.url + "/sign-in", data=fields, cookies=cookies, timeout=LIMIT_S
        )
        found.append(response.status_code)
        if response.status_code == 503:
            assert int(response.headers["Retry-After"]) >= 0
            go_on.set()

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert 503 in found and set(found) <= {401, 503}


# Requests


def test_a_key_that_asks_too_often_waits_and_others_do_not(flooded, clock, monkeypatch):
    asked = flooded.big.limits.asked
    asked._span_ms = 5 * asked._ms_each  # ASKED_BURST requests would take the test seconds
    assert ASKED_BURST == 2_000
    path = f"/apps/{flooded.big.app_id}/keys"
    other = flooded.ask("POST", path, json={"name": "x", "administrator": True}).json()["key"]
    for _ in range(4):
        assert ask(flooded).status_code == 200
    refused(ask(flooded), 429, "rate")
    assert flooded.ask("GET", path).status_code == 429
    assert ask(flooded, other).status_code == 200
    clock.now_ms += 1000
    assert ask(flooded).status_code == 200


# Connections


def raw(server, data=b""):
    one = socket.create_connection(("127.0.0.1", server.big.http_port), timeout=LIMIT_S)
    one.sendall(data)
    return one


def all_of(one):
    """Return everything until the other side closes."""
    parts = []
    with one:
        while part := one.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /api/v4/store/execute HTT",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost:",
    ],
)
def test_a_head_that_does_not_come_whole_is_not_waited_for(server, monkeypatch, sent):
    monkeypatch.setattr(connection, "HEAD_WAIT_S", 0.05)
    said = all_of(raw(server, sent))
    assert b"HTTP/1.1 408 " in said and b'"code": "request"' in said


def test_a_head_without_end_is_refused(server):
    one = raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n")
    said = b""
    line = b"X-Long: " + b"x" * 8000 + b"\r\n"
    try:
        for _ in range(100):
            one.sendall(line)
        said = all_of(one)
    except OSError:  # it has closed on us while we sent
        said = b""
    assert said == b"" or b" 431 " in said
    assert server.client.get("/health").status_code == 200


def test_a_head_just_within_the_bound_is_served(server):
    headers = {f"X-{n}": "x" * 3000 for n in range(10)}
    assert server.client.get("/health", headers=headers).status_code == 200


def test_what_is_no_http_is_told_so_in_json(server):
    said = all_of(raw(server, b"\x16\x03\x01 hello\r\n\r\n"))
    assert said.startswith(b"HTTP/1.1 400 ") and b'"code": "request"' in said


def test_an_unknown_method_is_told_so_in_json(server):
    response = server.client.request("BREW", "/api/v4/store/execute")
    assert response.status_code in (400, 405) and response.json()["error"]["description"]
    assert server.client.get("/api/v4/store/execute").json()["error"]["code"] == "path"


def test_one_address_does_not_take_all_connections(server, monkeypatch):
    monkeypatch.setattr(connection, "CONNECTIONS_OF_ADDRESS_MAX", 5)
    held = [raw(server, b"GET") for _ in range(10)]
    said = [one.recv(16) for one in held[5:]]
    assert all(one.startswith(b"HTTP/1.1 503") for one in said), said
    for one in held:
        one.close()
    assert httpx.get(server.url + "/health", timeout=LIMIT_S).status_code in (200, 503)


def test_a_proxy_that_is_trusted_may_have_many(start, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "CONNECTIONS_OF_ADDRESS_MAX", 2)
    server = start(tmp_path, trusted_proxies=("127.0.0.1",))
    held = [raw(server, b"GET") for _ in range(5)]
    assert server.client.get("/health").status_code == 200
    for one in held:
        one.close()


def test_who_does_not_read_its_answer_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(connection, "SENT_WAIT_S", 0.05)
    data = bytes(8 << 20)
    token = server.ask("POST", "/attachments/upload", files={"f": ("x", data)}).json()
    request = f"GET /api/v4/attachments/{token['id']} HTTP/1.1\r\nHost: x\r\n"
    request += f"Authorization: Bearer {server.api_key}\r\n\r\n"
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", server.big.http_port))
    one.settimeout(LIMIT_S)
    one.sendall(request.encode())
    poll = select.poll()
    poll.register(one, 0)  # that is, only for the end of the connection
    ((_, events),) = poll.poll(LIMIT_S * 1000)
    assert events & select.POLLHUP
    one.close()


def test_uploads_at_once_are_counted(server, monkeypatch):
    monkeypatch.setattr("edge_peer.bigpeer.blobs.UPLOAD_COUNT_MAX", 0)
    response = server.ask("POST", "/attachments/upload", files={"f": ("x", b"1")})
    refused(response, 503, "busy")


# Behind a proxy, each browser has its own bucket


def test_of_a_trusted_proxy_the_browsers_address_counts(start, tmp_path, clock):
    server = start(tmp_path, trusted_proxies=("127.0.0.1",), now_ms=clock)
    for address, status in (("203.0.113.7", 429), ("203.0.113.8", 401)):
        headers = {"X-Forwarded-For": address, "Authorization": "Bearer wrong"}
        for _ in range(WRONG_BURST + 1 if status == 429 else 1):
            response = server.client.post("/api/v4/store/execute", headers=headers)
        assert response.status_code == status


def test_nobody_else_gets_another_bucket_by_a_header(flooded):
    for n in range(WRONG_BURST + 1):
        headers = {"X-Forwarded-For": f"203.0.113.{n}", "Authorization": "Bearer wrong"}
        response = flooded.client.post("/api/v4/store/execute", headers=headers)
    assert response.status_code == 429


# Buckets alone


def test_a_bucket_gives_its_burst_and_then_its_rate(clock):
    bucket = Buckets(3, 2, clock)
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take("b") == 0
    clock.now_ms += 499
    assert bucket.take("a") == pytest.approx(0.001)
    clock.now_ms += 1
    assert bucket.take("a") == 0 and bucket.take("a") == 0.5
    clock.now_ms += 10_000
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_bounded_and_the_one_that_rests_goes_first(clock):
    bucket = Buckets(1, 1, clock, count_max=3)
    for name in "abcd":
        assert bucket.take(name) == 0
    assert len(bucket) == 3
    assert bucket.take("d") > 0 and bucket.take("b") > 0
    assert bucket.take("a") == 0  # forgotten


def test_a_full_bucket_takes_no_memory(clock):
    bucket = Buckets(1, 1, clock)
    bucket.take("a")
    clock.now_ms += 1000
    assert bucket.wait_s("a") == 0 and len(bucket) == 0


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8::1", 5), "2001:db8::/64"),
        (("2001:db8::2:3:4:5", 5), "2001:db8::/64"),
        (("x" * 999, 5), "x" * 64),
        (None, ""),
    ],
)
def test_addresses_that_are_one_customers_are_one(client, name):
    assert address_of(client) == name
