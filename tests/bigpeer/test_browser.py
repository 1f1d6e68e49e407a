"""
A person at the Big Peer's page, in a real browser: set up, make a key, leave; create an
app, admit a device, see its reading come, look at its page, revoke it, and see no more; see
how a webhook's deliveries go. They make the pictures of README.md, docs/*.png.

`make test-browser` runs it, with Chromium from the system (BROWSER names another). The
Big Peer is a process of its own: NiceGUI knows one event loop in each.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from itertools import islice
from pathlib import Path

import httpx
import pytest
from consumers import Consumer

BROWSER = os.environ.get("BROWSER", "")
DOCS = Path(__file__).parents[2] / "docs"
LIMIT_S = 30
_WRITE = """
import json, sys
from edge_peer import SmallPeer

peer = SmallPeer.open("edge.json")
peer.execute("INSERT INTO readings DOCUMENTS (:r)", {"r": json.loads(sys.argv[1])})
"""
DESK = {"width": 1180, "height": 900}
PHONE = {"width": 390, "height": 800}
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

    page.get_by_role("link", name="Live").click()
    page.wait_for_selector(".chart canvas")
    assert plain not in page.content()
    page.get_by_role("link", name="Keys").click()
    assert plain not in page.content()
    page.get_by_role("button", name="Revoke shop").click()
    page.get_by_role("button", name="Revoke shop").wait_for(state="detached")
    assert big.execute(count, plain).status_code == 401

    page.get_by_role("link", name="Live").click()
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


class Device:
    """`edge-peer run`, with what a person has downloaded."""

    def __init__(self, folder, name):
        with zipfile.ZipFile(folder / f"{name}.zip") as archive:
            archive.extractall(folder)
        self._folder = folder / name
        (self._folder / "identity.json").chmod(0o600)
        config = json.loads((self._folder / "edge.json").read_text()) | {"info_interval_s": 1}
        (self._folder / "edge.json").write_text(json.dumps(config))
        self._process = None

    def write(self, readings):
        """Write readings while nothing is linked, then sync them."""
        self.stop()
        (self._folder / "write.py").write_text(_WRITE)
        command = [sys.executable, "write.py", json.dumps(readings)]
        subprocess.run(command, cwd=self._folder, check=True, timeout=LIMIT_S)
        command = [sys.executable, "-m", "edge_tools", "run", "edge.json"]
        self._process = subprocess.Popen(command, cwd=self._folder, stderr=subprocess.DEVNULL)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=LIMIT_S)
            self._process = None


def choose(page, label, value):
    """Choose from one of the live page's lists."""
    page.get_by_label(label).click()
    page.get_by_role("option", name=value, exact=True).click()


def test_a_person_creates_an_app_and_sees_a_device_come_and_go(big, page, tmp_path):
    page.set_viewport_size(DESK)
    page.goto(f"{big.url}/?key={big.key}")
    page.get_by_role("link", name="Apps").click()
    page.get_by_label("Name").fill("greenhouse")
    page.get_by_role("button", name="Create the app").click()
    app_id = page.inner_text("#new-app")
    assert re.fullmatch("[0-9a-f]{32}", app_id)
    assert (tmp_path / "apps" / app_id / "big.app").is_dir()

    page.get_by_role("link", name="Admit its first device").click()
    page.get_by_label("Name").fill("attic")
    page.get_by_role("button", name="Admit it").click()
    with page.expect_download() as download:
        page.click("#bundle")
    download.value.save_as(tmp_path / "device" / "attic.zip")
    page.screenshot(path=DOCS / "portal-devices.png")

    device = Device(tmp_path / "device", "attic")
    try:
        page.get_by_role("link", name="Live").click()
        readings = [
            {
                "sensor": "attic",
                "ts": 1_795_000_000 + 60 * minute,
                "temp": 20 + minute % 5,
                "air": {"hum": 40 + minute},
            }
            for minute in range(12)
        ]
        device.write(readings)
        page.wait_for_selector(".chart canvas")
        page.wait_for_selector(".table .name:has-text('attic')")
        page.wait_for_timeout(1_500)  # the map settles, for the picture
        page.screenshot(path=DOCS / "portal.png", full_page=True)
        choose(page, "Field", "air.hum")  # any numeric field, also one in a map
        page.wait_for_selector("text=air.hum")

        page.get_by_role("link", name="Data").click()
        page.get_by_label("A statement").fill("SELECT ts, temp FROM readings ORDER BY ts")
        page.get_by_role("button", name="Run").click()
        page.wait_for_selector("#line polyline")
        assert "12 found" in page.inner_text("#result")
        page.screenshot(path=DOCS / "portal-data.png", full_page=True)

        page.get_by_role("link", name="Devices").click()
        page.get_by_role("link", name="attic").click()
        assert page.get_by_text("CPython").is_visible()
        assert page.get_by_role("heading", name="attic linked now").is_visible()
        assert page.get_by_role("cell", name="lan", exact=True).first.is_visible()
        page.screenshot(path=DOCS / "portal-device.png", full_page=True)
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.set_viewport_size(DESK)

        page.get_by_role("link", name="Devices").click()
        page.get_by_role("button", name="Revoke attic").click()
        page.wait_for_selector("text=revoked")
        device.write([{"sensor": "attic", "ts": 1_795_100_000, "temp": 99}])
        page.get_by_role("link", name="Live").click()
        page.wait_for_selector("text=0 linked directly")
        page.wait_for_timeout(3_000)  # it tries, and is refused
        page.get_by_role("link", name="Data").click()
        page.get_by_label("A statement").fill("SELECT * FROM readings WHERE temp = 99")
        page.get_by_role("button", name="Run").click()
        assert "0 found" in page.inner_text("#result")
    finally:
        device.stop()


def test_a_person_sees_how_deliveries_go_and_replays_them(big, page, tmp_path):
    consumer = Consumer()
    consumer.answer = lambda body: 410 if body["change"]["newValue"]["temp"] > 30 else 200
    page.set_viewport_size(DESK)
    page.goto(f"{big.url}/?key={big.key}")
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_label("Name").fill("shop")
    page.get_by_label("URL").fill(consumer.url)
    page.get_by_role("button", name="Create it").click()
    assert page.inner_text("#secret").startswith("whsec_")
    big.execute("INSERT INTO readings DOCUMENTS (:r)", r={"sensor": "attic", "temp": 21.5})
    consumer.until(lambda c: len(c.told) == 1)
    big.execute("INSERT INTO readings DOCUMENTS (:r)", r={"sensor": "attic", "temp": 31})
    consumer.until(lambda c: len(c.asked) == 2)
    while not big.ask("GET", f"/apps/{big.app_id}/webhooks").json()["webhooks"][0]["paused"]:
        pass
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_text("The last deliveries").click()
    assert page.get_by_role("cell", name="told").is_visible()
    assert page.get_by_text("rests: it wants no more").is_visible()
    page.screenshot(path=DOCS / "portal-webhooks.png", full_page=True)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    consumer.answer = lambda body: 200
    page.get_by_role("button", name="Replay shop").click()
    consumer.until(lambda c: {one["change"]["newValue"]["temp"] for one in c.told} == {21.5, 31})
    consumer.stop()


@pytest.mark.parametrize("path", ["", "devices", "updates", "data", "webhooks", "keys", "apps"])
def test_a_page_fits_a_phone(big, page, path):
    page.set_viewport_size(PHONE)
    page.goto(f"{big.url}/?key={big.key}")
    big.execute("INSERT INTO readings DOCUMENTS (:r)", r={"sensor": "attic", "temp": 21.5})
    page.goto(f"{big.url}/{path}")
    page.wait_for_selector("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
