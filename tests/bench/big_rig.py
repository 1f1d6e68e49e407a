"""
What the measurements of a Big Peer are made with: the process itself, devices, HTTP clients.

Devices are peers with a store in memory, so that what they cost is the protocol.
"""

import asyncio
import json
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the helpers of the tests
from peers import Peer, identity_file  # noqa: E402

from edge_peer.host import lan  # noqa: E402
from edge_peer.peer import RECONNECT_MS_MAX, RECONNECT_MS_MIN  # noqa: E402
from edge_peer.security import certificate as certificates  # noqa: E402

LIMIT_S = 300  # for what can only hang when something is broken
CLOCK_TICKS = 100  # of /proc/PID/stat, a second


class BigProcess:
    """`edge-peer big`, of the tests' app; started again it keeps its ports."""

    def __init__(self, folder, port=0, sync_port=0):
        folder.mkdir(exist_ok=True)
        if not (folder / "identity.json").exists():
            identity_file(folder, "identity", certificates.BIG_PEER)
        command = [sys.executable, "-m", "edge_tools", "big", f"--data={folder}"]
        command += [f"--port={port}", f"--sync-port={sync_port}"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said = "".join(islice(self._process.stdout, 4))
        self.port = int(re.search(r"page   http://[^:]+:(\d+)", said).group(1))
        self.sync_port = int(re.search(r"TCP port (\d+)", said).group(1))
        self.app_id = re.search(r"app (\w+)", said).group(1)
        self.key = (folder / "api-key").read_text().strip()

    def stop(self):
        self._process.terminate()
        self._process.wait(LIMIT_S)

    def memory_mb(self):
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def cpu_s(self):
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Client:
    """One HTTP connection that stays open: as little as a client can cost."""

    def __init__(self, port, key=""):
        self._port, self._key = port, key

    async def __aenter__(self):
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error):
        self._writer.close()

    async def ask(self, method, path, fields=None, **headers):
        """Return status and body."""
        body = b"" if fields is None else json.dumps(fields).encode()
        lines = {"Host": "x", "Authorization": f"Bearer {self._key}", "Content-Length": len(body)}
        head = "".join(
            f"{name.replace('_', '-')}: {value}\r\n" for name, value in (lines | headers).items()
        )
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
        return int(head[9:12]), await self._reader.readexactly(size)

    async def execute(self, statement, **args):
        status, body = await self.ask(
            "POST", "/api/v4/store/execute", {"statement": statement, "args": args}
        )
        assert status == 200, body
        return json.loads(body)

    async def reached(self, transaction):
        """Return when the store has it."""
        body = {"statement": "SELECT * FROM nothing WHERE _id = 'x'"}
        status = 412
        while status == 412:
            status, _ = await self.ask(
                "POST", "/api/v4/store/execute", body, X_EDGE_TXN_ID=transaction
            )
        assert status == 200


class Device:
    def __init__(self, number):
        self.peer = Peer(f"device {number}")
        self.link_count = 0  # links that were ended
        self._task = None

    def write(self, count, first=0):
        documents = [
            {"n": n, "temp": 20 + n % 7, "site": "A", "device": "attic"}
            for n in range(first, first + count)
        ]
        return self.peer.executor.execute(
            "INSERT INTO readings DOCUMENTS (:d)", {"d": documents}
        ).ids

    def is_linked(self):
        return bool(self.peer.links.status())

    def start(self, port):
        self._task = asyncio.create_task(self._keep({"host": "127.0.0.1", "port": port}))

    def stop(self):
        self._task.cancel()

    async def _keep(self, settings):
        """As SmallPeer does."""
        delay_ms = RECONNECT_MS_MIN
        while True:
            try:
                medium, channel = await lan.connect(settings, self.peer.links.local)
                await self.peer.links.run(medium, channel, hint=1)
                delay_ms = RECONNECT_MS_MIN
            except OSError:
                pass
            await asyncio.sleep(delay_ms / 1000)
            delay_ms = min(2 * delay_ms, RECONNECT_MS_MAX)


async def until(condition, pause_s=0.02):
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(pause_s)
