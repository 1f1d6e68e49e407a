"""What is far too much, or means harm, at a Big Peer that is a process of its own."""

import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

LIMIT_S = 60
GROWN_BYTES_MAX = 128 << 20
BODY_BYTES = 1 << 30
CONNECTION_COUNT = 10_000
PER_ADDRESS_COUNT = 60


class Big:
    """`edge-peer big` on free ports."""

    def __init__(self, data):
        command = [sys.executable, "-m", "edge_tools", "big", f"--data={data}"]
        self._process = subprocess.Popen(
            [*command, "--port=0", "--sync-port=0"], stdout=subprocess.PIPE, text=True
        )
        said = "".join(islice(self._process.stdout, 4))
        self.url = said.split("API    ")[1].split("/api")[0]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.pid = self._process.pid
        self.headers = {"Authorization": f"Bearer {(data / 'api-key').read_text().strip()}"}

    def execute(self, statement, **arguments):
        body = {"statement": statement, "args": arguments}
        url = f"{self.url}/api/v4/store/execute"
        return httpx.post(url, json=body, headers=self.headers, timeout=LIMIT_S)

    def memory_bytes(self):
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, how=signal.SIGTERM):
        self._process.send_signal(how)
        self._process.communicate(timeout=LIMIT_S)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    big = Big(tmp_path_factory.mktemp("big"))
    yield big
    big.stop()


@pytest.mark.parametrize("path", ["/store/execute", "/attachments/upload", "/apps"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_a_gigabyte_is_refused_before_it_is_here(big, path, is_chunked):
    before = big.memory_bytes()
    size = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {BODY_BYTES}"
    head = (
        f"POST /api/v4{path} HTTP/1.1\r\nHost: x\r\n{size}\r\n"
        f"Authorization: {big.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    piece = part + b"x" * ((1 << 20) - len(part))
    framed = b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece
    sent = 0
    with socket.create_connection(("127.0.0.1", big.port), LIMIT_S) as wire:
        try:
            wire.sendall(head.encode())
            while sent < BODY_BYTES and not _has_come(wire):
                wire.sendall(framed)
                sent += len(piece)
            answer = wire.recv(65_536)
        except ConnectionError:  # it was refused while we wrote
            answer = b""
    assert sent < BODY_BYTES // 8
    assert not answer or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert big.memory_bytes() - before < GROWN_BYTES_MAX
    assert big.execute("SELECT * FROM c").status_code == 200


def _has_come(wire):
    with selectors.DefaultSelector() as selector:
        selector.register(wire, selectors.EVENT_READ)
        return bool(selector.select(0))


@pytest.mark.slow
def test_ten_thousand_slow_connections_keep_nobody_out(big):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(CONNECTION_COUNT, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.prlimit(big.pid, resource.RLIMIT_NOFILE, (hard, hard))
    before = big.memory_bytes()
    wires = []
    try:
        for number in range(count):
            block = number // PER_ADDRESS_COUNT
            address = f"127.1.{block // 250}.{block % 250 + 1}"
            wire = socket.create_connection(("127.0.0.1", big.port), LIMIT_S, (address, 0))
            wires.append(wire)
            wire.sendall(b"POST /api/v4/store/execute HTTP/1.1\r\nHost: x\r\nX: ")
            if number % 1000 == 0:
                assert big.execute("SELECT * FROM c").status_code == 200
        assert big.execute("SELECT * FROM c").status_code == 200
        assert big.memory_bytes() - before < 2 * GROWN_BYTES_MAX
    finally:
        for wire in wires:
            wire.close()


def test_a_full_disk_refuses_writes_and_loses_nothing_that_it_took(tmp_path):
    """Files may grow to so much and no further: what a full disk says, too."""
    big = Big(tmp_path)
    grown = (tmp_path / "store.db").stat().st_size + (4 << 20)
    resource.prlimit(big.pid, resource.RLIMIT_FSIZE, (grown, resource.RLIM_INFINITY))
    taken, refused = [], None
    for number in range(200):
        response = big.execute("INSERT INTO c DOCUMENTS (:d)", d={"_id": f"{number}", "t": BLOCK})
        if response.status_code != 200:
            refused = response
            break
        taken.append(f"{number}")
    assert refused is not None and refused.status_code in (500, 507)
    assert refused.json()["error"]["code"] in ("storage", "full")
    found = big.execute("SELECT _id FROM c")
    assert found.status_code == 200 and len(found.json()["items"]) == len(taken)
    big.stop(signal.SIGKILL)
    big = Big(tmp_path)  # somebody has made room
    found = {one["_id"] for one in big.execute("SELECT _id FROM c").json()["items"]}
    assert found >= set(taken) and found <= {*taken, f"{len(taken)}"}
    assert big.execute("INSERT INTO c DOCUMENTS ({'_id': 'more', 'n': 1})").status_code == 200
    big.stop()


BLOCK = "x" * 100_000
EVIL = [
    "'; DROP TABLE doc; --",
    '" OR 1=1 --',
    "`; DELETE FROM doc; --",
    "') UNION SELECT body FROM entry --",
    "%s {0} $1 ?1 :a @b",
    "\\'; VACUUM INTO '/tmp/x'; --",
    "Robert'); DROP TABLE doc;--",
]


def test_sql_in_any_string_is_text(server):
    app = f"/apps/{server.big.app_id}"
    server.execute("INSERT INTO safe DOCUMENTS ({'_id': 'a', 'n': 1})")
    for number, evil in enumerate(EVIL):
        document = {"_id": evil, "t": evil, "m": {evil.replace(".", ""): evil}}
        server.execute("INSERT INTO evil DOCUMENTS (:d)", d=document)
        found = server.execute("SELECT * FROM evil WHERE t = :t", t=evil)["items"]
        assert found == [document]
        server.execute("UPDATE evil SET u = :t WHERE _id = :t", t=evil)
        if "`" not in evil:
            server.execute(f"INSERT INTO `{evil}` DOCUMENTS (:d)", d={"n": number})
            assert len(server.execute(f"SELECT * FROM `{evil}`")["items"]) == 1
            server.execute(f"CREATE INDEX `{evil}` ON evil (`{evil}`)")
            server.execute(f"DROP INDEX `{evil}` ON evil")
        named = {"name": evil, "url": "http://127.0.0.1:9/", "filter": {"everything": True}}
        hook = server.ask("POST", f"{app}/webhooks", json=named).json()
        assert hook["name"] == evil
        assert server.ask("DELETE", f"{app}/webhooks/{hook['id']}").status_code == 204
        rules = {"read": {"queriesByCollection": {evil: ["true"]}}}
        key = {"name": evil, "permissions": rules}
        assert server.ask("POST", f"{app}/keys", json=key).status_code in (201, 400)
        in_path = quote(evil, safe="")
        for method, path in (
            ("DELETE", f"{app}/webhooks/{in_path}"),
            ("GET", f"{app}/webhooks/{in_path}/deliveries"),
            ("DELETE", f"{app}/keys/{in_path}"),
            ("GET", f"{app}/devices/{in_path}"),
            ("GET", f"{app}/devices?after={in_path}"),
            ("GET", f"/apps/{in_path}/devices"),
            ("GET", f"/attachments/{in_path}"),
            ("DELETE", f"/apps/{in_path}"),
            ("DELETE", f"{app}/retention/{in_path}"),
            ("POST", f"{app}/devices/{in_path}/revoke"),
        ):
            assert server.ask(method, path).status_code < 500, path
    assert len(server.execute("SELECT * FROM evil")["items"]) == len(EVIL)
    assert server.execute("SELECT * FROM safe")["items"] == [{"_id": "a", "n": 1}]
