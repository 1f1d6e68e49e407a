"""What browsers are told not to do, and where keys and passwords never show."""

import logging
import re

import httpx
import pytest

PASSWORD = "brick sofa tundra nine"
LIMIT_S = 20


@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/api/v4/nothing", "/none"])
def test_every_answer_says_what_a_browser_must_not_do(server, path):
    headers = server.client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert "Strict-Transport-Security" not in headers
    assert "Server" not in headers


def test_a_plain_page_allows_no_script(server):
    policy = server.client.get("/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "script-src" not in policy
    assert "unsafe" not in policy


def test_answers_of_the_api_are_kept_by_nobody(server):
    response = server.ask("POST", "/store/execute", json={"statement": "SELECT * FROM c"})
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in response.headers


def ask(server, key, statement):
    return server.ask("POST", "/store/execute", key, json={"statement": statement})


@pytest.fixture
def logged(caplog):
    """Everything that anybody logs."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.CRITICAL, logger=name)  # the asker's own
    for name in ("uvicorn", "uvicorn.error", "edge_peer", "nicegui", "asyncio", "websockets"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def test_no_key_password_or_token_is_in_logs_errors_or_reprs(start, tmp_path, logged):
    server = start(tmp_path, mqtt={"host": "127.0.0.1", "port": 1, "password": "mqtt-secret"})
    big = server.big
    secrets = {server.api_key, PASSWORD, "mqtt-secret", big.people.set_up_token, "wrong-key-1"}
    told = []
    path = f"/apps/{big.app_id}/keys"
    made = server.ask("POST", path, json={"name": "x", "administrator": True}).json()
    secrets.add(made["key"])

    with httpx.Client(base_url=server.url, timeout=LIMIT_S) as browser:  # opens no live page
        token = big.people.set_up_token
        form = browser.get("/set-up", params={"token": token}).text
        fields = {"form_token": re.search(r'form_token" value="(\w+)', form).group(1)}
        fields |= {"token": token, "name": "ada", "password": PASSWORD}
        told.append(browser.post("/set-up", data=fields | {"again": "x"}).text.replace(token, ""))
        browser.post("/set-up", data=fields | {"again": PASSWORD})
        told.append(browser.get("/keys").text)
        secrets |= set(browser.cookies.values())
        browser.get("/", params={"key": made["key"]})
        server.client.get("/nothing", params={"key": made["key"]})
    for key in (made["key"], server.api_key, "wrong-key-1"):
        for statement in ("SELECT * FROM c", "SELEC", "INSERT INTO c DOCUMENTS (:a)"):
            told.append(
                server.ask("POST", "/store/execute", key, json={"statement": statement}).text
            )
        told.append(server.ask("GET", path, key).text)
        told.append(server.ask("GET", f"/{key}", key).text)

    def damage():
        big.store.log._db.execute("DROP TABLE doc")
        big.vault._db.execute("DROP TABLE session")

    server.do(damage)
    for key in (made["key"], "wrong-key-1"):
        told.append(
            server.ask("POST", "/store/execute", key, json={"statement": "SELECT * FROM c"}).text
        )
    told.append(server.client.get("/", params={"key": made["key"]}).text)
    assert "Traceback" in logged.text  # what failed is in the log, with its place

    reprs = [big, big.options, big.keys, big.keys, big.people, big.sessions, big.limits, big.vault]
    reprs += server.do(big.keys.all)
    told += [repr(one) for one in reprs]
    for secret in secrets:
        assert secret not in logged.text
        assert not [text for text in told if secret in text]
