"""The live page: who gets it, what it needs, and that documents show up on it."""

import asyncio
import json
import re

import httpx
import pytest
import socketio
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

LIMIT_S = 20


@pytest.fixture
def browser(server):
    """A browser without cookies."""
    with httpx.Client(base_url=server.url, timeout=LIMIT_S) as client:
        yield client


def sign_in(browser, server):
    response = browser.get("/", params={"key": server.api_key}, follow_redirects=True)
    assert response.status_code == 200
    return response.text


# Who gets it


def test_without_a_session_there_is_only_a_form(server, browser):
    response = browser.get("/")
    assert response.status_code == 401
    assert "<form" in response.text and 'name="password"' in response.text
    assert 'role="alert"' not in response.text
    assert server.big.app_id not in response.text


def test_a_wrong_key_is_told_so(server, browser):
    for key in ("wrong", "", "x" * 5000):
        response = browser.get("/", params={"key": key})
        assert response.status_code == 401 and "not the key of an admin" in response.text
        assert "_form_" in " ".join(browser.cookies)
        assert len(browser.cookies) == 1


def test_the_key_in_the_address_opens_the_page_and_leaves_the_address(server, browser):
    response = browser.get("/", params={"key": server.api_key})
    assert response.status_code == 303
    assert response.headers["Location"] == "./"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert server.api_key not in cookie
    assert "Max-Age" not in cookie and "expires" not in cookie.lower()
    page = browser.get("/")
    assert page.status_code == 200 and server.big.app_id in page.text


def test_a_cookie_that_proves_nothing_opens_nothing(server, browser):
    sign_in(browser, server)
    (name,) = browser.cookies
    for value in ("", "0" * 32, server.api_key, "ü"):
        response = httpx.get(server.url, headers=[(b"cookie", f"{name}={value}".encode())])
        assert response.status_code == 401


@pytest.mark.parametrize("path", ["/_nicegui/x", "/_nicegui_ws/socket.io/", "/any"])
def test_nothing_behind_the_page_is_there_without_a_session(browser, path):
    response = browser.get(path)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_no_websocket_opens_without_a_session(server):
    url = server.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus) as refusal, connect(url, origin=server.url):
        pass
    assert refusal.value.response.status_code == 403


# What it is


def test_the_page_brings_everything_along(server, browser):
    text = sign_in(browser, server)
    addresses = re.findall(r"(?:https?:)?//[\w.:-]+", re.sub(r"data:[^\"]*", "", text))
    assert not {one for one in addresses if "w3.org" not in one and "127.0.0.1" not in one}
    for path in set(re.findall(r"(?:src|href)=\"(/[^\"]+)\"|url\(\"(/[^\"]+)\"\)", text)):
        assert browser.get(path[0] or path[1]).status_code == 200


def test_what_arrives_shows_up_on_the_open_page(server, browser):
    text = sign_in(browser, server)
    assert "attic-sensor" not in text

    async def watch() -> None:
        seen = asyncio.Event()
        page = socketio.AsyncClient()

        def update(message) -> None:
            if "attic-sensor" in json.dumps(message):
                seen.set()

        page.on("update", update)
        client_id = re.search(r"['\"]client_id['\"]: ?['\"]([\w-]+)", text).group(1)
        query = f"client_id={client_id}&next_message_id=0&implicit_handshake=true"
        query += "&tab_id=1&document_id=1"
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        await page.connect(
            f"{server.url}/?{query}",
            headers={"Cookie": cookie, "Origin": server.url},
            socketio_path="/_nicegui_ws/socket.io",
            transports=["websocket"],
        )
        reading = {"sensor": "attic-sensor", "temp": 21.5}
        await asyncio.to_thread(server.execute, "INSERT INTO readings DOCUMENTS (:r)", r=reading)
        async with asyncio.timeout(LIMIT_S):
            await seen.wait()
        await page.disconnect()

    asyncio.run(watch())
