"""
A person at the Big Peer's page, in a real browser: set up, make a key, leave.

`make test-browser` runs it, with Chromium from the system (BROWSER names another). The
Big Peer is a process of its own: NiceGUI knows one event loop in each.
"""

import os
import re
import shutil
import subprocess
import sys
from itertools import islice

import httpx
import pytest

BROWSER = os.environ.get("BROWSER", "")
PASSWORD = "brick sofa tundra nine"

pytestmark = pytest.mark.skipif(not BROWSER, reason="`make test-browser` runs it")


class BigPeer:
    """`edge-peer big`, as its own process; `first` is the address that it prints."""

    def __init__(self, data):
        command = [sys.executable, "-m", "edge_tools", "big", f"--data={data}"]
        command += ["--port=0", "--sync-port=0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = "".join(islice(self._process.stdout, 4))
        self.first = re.search(r"page   (\S+)", said).group(1)
        self.url = self.first.split("/set-up")[0]
        self.app_id = re.search(r"app (\w+)", said).group(1)
        self.key = (data / "api-key").read_text().strip()

    def ask(self, method, path, key="", **more):
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.request(method, f"{self.url}/api/v4{path}", headers=headers, **more)

    def execute(self, statement, key="", **arguments):
        body = {"statement": statement, "args": arguments}
        return self.ask("POST", "/store/execute", key, json=body)

    def stop(self):
        self._process.terminate()
        self._process.communicate(timeout=20)


@pytest.fixture
def big(tmp_path):
    big = BigPeer(tmp_path)
    yield big
    big.stop()


@pytest.fixture
def page():
    """A page of a fresh browser; what the page complains of fails the test."""
    from playwright.sync_api import sync_playwright

    complaints = []
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which(BROWSER), args=options)
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.on("console", lambda one: one.type == "error" and complaints.append(one.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        browser.close()
    # Chromium itself says so of a page that is answered with 401, and of a WebSocket refused.
    expected = ("status of 401", "WebSocket connection")
    assert [one for one in complaints if not any(text in one for text in expected)] == []


def test_a_person_sets_up_makes_a_key_and_leaves(big, page):
    page.goto(big.url)
    assert "set-up" in page.inner_text("form")
    page.goto(big.first)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, again").fill(PASSWORD)
    page.get_by_role("button", name="Set up").click()

    page.wait_for_selector("text=Nothing has arrived yet")
    big.execute("INSERT INTO readings DOCUMENTS (:r)", r={"sensor": "attic", "temp": 21.5})
    page.wait_for_selector(".chart canvas")  # it came by itself

    page.get_by_role("link", name="Keys").click()
    page.get_by_label("Name: who or what it is for").fill("shop")
    page.get_by_label("It may").select_option("custom")
    page.get_by_label("Permissions").fill(
        '{"read": {"queriesByCollection": {"readings": ["sensor == \'attic\'"]}}}'
    )
    page.get_by_role("button", name="Make the key").click()
    plain = page.inner_text("#new-key")
    count = "SELECT COUNT(*) AS n FROM readings"
    assert big.execute(count, plain).json()["items"] == [{"n": 1}]

    page.get_by_role("link", name="Back").click()
    page.wait_for_selector(".chart canvas")
    assert plain not in page.content()
    page.get_by_role("link", name="Keys").click()
    assert plain not in page.content()
    page.get_by_role("button", name="Revoke shop").click()
    page.get_by_role("button", name="Revoke shop").wait_for(state="detached")
    assert big.execute(count, plain).status_code == 401

    page.get_by_role("link", name="Back").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").inner_text() == "No such name and password."
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".chart canvas")


def test_a_page_that_is_open_goes_with_its_session(big, page):
    page.goto(f"{big.url}/?key={big.key}")
    assert page.url == f"{big.url}/"
    page.wait_for_selector("text=Nothing has arrived yet")
    other = page.context.new_page()
    other.goto(f"{big.url}/keys")
    other.get_by_role("button", name="Sign out").click()
    page.wait_for_selector('#popup[aria-hidden="false"]')  # it says that it has lost us
    page.reload()
    page.get_by_role("button", name="Sign in").wait_for()
