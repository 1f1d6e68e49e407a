"""The portal's plain pages: each app's own, and nothing without a session or its token."""

import re
from html import unescape

import httpx
import pytest

LIMIT_S = 20
PAGES = ("apps", "devices", "updates", "data", "webhooks", "keys")


@pytest.fixture
def browser(server):
    with httpx.Client(base_url=server.url, timeout=LIMIT_S, follow_redirects=True) as client:
        client.get("/", params={"key": server.api_key})
        yield client


def send(browser, page, app="", **fields):
    """Fill in a form of a page, as a browser would."""
    token = re.search('name="form_token" value="([^"]+)"', browser.get(f"/{page}").text).group(1)
    return browser.post(f"/{page}", data={"form_token": token, "app": app} | fields)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_a_session_and_its_form_a_token(server, browser, page):
    assert httpx.get(f"{server.url}/{page}").status_code == 401
    assert httpx.post(f"{server.url}/{page}", data={"name": "x"}).status_code == 401
    assert browser.get(f"/{page}").status_code == 200
    assert browser.post(f"/{page}", data={"name": "x"}).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_an_unknown_app_shows_the_first_one(server, browser, page):
    assert server.big.app_id in browser.get(f"/{page}", params={"app": "nobody's"}).text


def test_an_app_that_is_made_here_has_pages_of_its_own(server, browser):
    made = send(browser, "apps", name="mill <b>")
    assert made.status_code == 201 and "mill &lt;b&gt;" in made.text and "<b>" not in made.text
    app_id = re.search('id="new-app">([0-9a-f]{32})<', made.text).group(1)
    send(browser, "data", app_id, statement="INSERT INTO parts DOCUMENTS ({'n': 1})")
    assert ">parts<" in browser.get("/data", params={"app": app_id}).text
    assert ">parts<" not in browser.get("/data").text
    assert "two passphrases" in send(browser, "apps", name="x", passphrase="a", again="b").text


def test_a_statement_shows_a_table_and_a_chart(server, browser):
    rows = [{"_id": str(n), "ts": n, "temp": n * n, "<i>": "<script>"} for n in range(5)]
    server.execute("INSERT INTO drawn DOCUMENTS (:rows)", rows=rows)
    page = send(browser, "data", statement="SELECT * FROM drawn").text
    assert "5 found" in page and "<polyline" in page and "temp by ts" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    wrong = send(browser, "data", statement="SELECT FROM")
    assert wrong.status_code == 400 and 'role="alert"' in wrong.text
    done = send(browser, "data", statement="DELETE FROM drawn WHERE temp > 3").text
    assert "delete: 3 changed" in done


def test_a_device_is_admitted_and_revoked(server, browser):
    made = send(browser, "devices", name="pump", role="device", days="30")
    assert made.status_code == 201 and "data:application/zip" in made.text
    again = send(browser, "devices", name="pump")
    assert again.status_code == 409 and "pump already" in unescape(again.text)
    assert "revoked " not in browser.get("/devices").text
    assert "revoked " in send(browser, "devices", action="revoke", name="pump").text
    assert send(browser, "devices", name="x", permissions="{").status_code == 400
    assert send(browser, "devices", name="x", days="soon").status_code == 400


def test_a_webhook_is_made_replayed_and_ended(server, browser):
    made = send(
        browser, "webhooks", name="shop", url="http://127.0.0.1:9/", filter='{"everything": true}'
    )
    assert made.status_code == 201 and "whsec_" in made.text
    page = browser.get("/webhooks").text
    assert "whsec_" not in page and "shop" in page
    (id,) = re.findall('name="id" value="([0-9a-f]+)"', page)[:1]
    assert send(browser, "webhooks", action="replay", id=id, **{"from": "0"}).status_code == 200
    assert send(browser, "webhooks", action="replay", id=id, **{"from": "x"}).status_code == 400
    assert "no webhook yet" in send(browser, "webhooks", action="remove", id=id).text
    assert send(browser, "webhooks", name="a", url="x", filter="{}").status_code == 400


def test_an_app_is_deleted_by_who_types_its_name(server, browser):
    made = send(browser, "apps", name="brief")
    id = re.search('id="new-app">([0-9a-f]{32})<', made.text).group(1)
    wrong = send(browser, "apps", action="delete", id=id, confirm="other")
    assert wrong.status_code == 400 and id in browser.get("/apps").text
    assert id not in send(browser, "apps", action="delete", id=id, confirm="brief").text
    own = server.big.app_id
    assert f'confirm-{own}"' not in browser.get("/apps").text
    refused = send(browser, "apps", action="delete", id=own, confirm=server.big.name)
    assert refused.status_code == 409
