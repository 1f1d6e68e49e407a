"""Peers, and a broker, for tests of real wires on loopback."""

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

from app import APP, EVERYTHING, device
from memory import open_log

from edge_peer.core.query.execute import Executor
from edge_peer.core.store.store import Store
from edge_peer.core.sync.messages import WANTS_ALL
from edge_peer.core.sync.session import Local
from edge_peer.host import codec, private_file, system
from edge_peer.peer import Links
from edge_peer.security import certificate as certificates
from edge_peer.security.identity import to_text

MOSQUITTO = Path(__file__).parents[1] / ".cache/bin/mosquitto"
DEADLINE_S = 20


class Entropy:
    bytes = staticmethod(system.entropy)


def identity_file(folder, name, role=certificates.DEVICE, signs=False):
    """Write the identity.json of a device of the tests' app; return its path."""
    life = {"not_before_s": 0, "expiry_s": certificates.NEVER_S}
    made = APP.identity(name, role, EVERYTHING, signs=signs, **life)
    path = folder / f"{name}.json"
    private_file.write(path, to_text(made), force=True)
    return str(path)


class Peer:
    """A store and its links, as SmallPeer and BigPeer wire them."""

    def __init__(self, name, flags=0, open_log=open_log):
        keyring = device(name, flags, Entropy())
        key = keyring.certificate.key
        self.store = Store(open_log, key, system.wall_ms, system.entropy, flags == WANTS_ALL)
        self.executor = Executor(self.store, codec)
        local = Local(keyring, flags, self.store, self.executor.matcher, system.entropy)
        self.links = Links(local, system)

    def insert(self, count, first=0):
        documents = [{"n": n} for n in range(first, first + count)]
        self.executor.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": documents})

    def execute_one(self, fields):
        self.executor.execute("INSERT INTO readings DOCUMENTS (:d)", {"d": fields})

    def numbers(self):
        rows = self.executor.execute("SELECT n FROM readings ORDER BY n").items
        return [row["n"] for row in rows]


async def until(condition, what):
    """Wait for a condition that other tasks bring about; fail when it takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(*coroutines):
    """Run these beside the block, and end them with it."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Mosquitto:
    """A real broker on loopback; `port` stays the same when it is started again."""

    def __init__(self, folder, lines=""):
        """lines: of its configuration, after the listener."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            f"user root\n{lines}"
        )
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "mosquitto ended"
            assert time.monotonic() < deadline, "mosquitto does not answer"
            time.sleep(0.01)

    def stop(self):
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    def cpu_s(self):
        """Return what it has taken of processors so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settings(self):
        return {"kind": "mqtt", "host": "127.0.0.1", "port": self.port}
