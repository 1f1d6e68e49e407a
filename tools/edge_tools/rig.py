"""
The whole system on this computer: what the demo shows and end-to-end tests use.

    board ─ cable ┐                 ┌ forwarder ┐
    board ─ cable ┼─ gateway peer ──┤           ├── Big Peer
    board ─ cable ┘                 └ mosquitto ┘

Boards are MicroPython processes, gateway and Big Peer are `edge-peer run` and
`edge-peer big`; cables and the forwarder live in this process, where they can be
cut. Everything lies in one folder, every program's output in a .log file there.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_peer.host import authority, permissions, private_file, system
from edge_peer.security import certificate, identity
from edge_tools import readings, virtual_board
from edge_tools.api import Client
from edge_tools.cable import Cable, Noise
from edge_tools.errors import ToolError
from edge_tools.forwarder import Forwarder
from edge_tools.places import ROOT
from edge_tools.processes import Process, stop_all
from edge_tools.virtual_board import VirtualBoard

APPLICATION = Path(__file__).parent / "demo_app/app.py"
MOSQUITTO = ROOT / ".cache/bin/mosquitto"
HOST = "127.0.0.1"
START_LIMIT_S = 60.0  # the first start of the Big Peer compiles the portal's libraries
POLL_S = 0.1

GATEWAY_QUOTA_BYTES = 64 << 20
GATEWAY_DOCUMENTS_MAX = 100_000
INFO_INTERVAL_S = 5
STATUS_INTERVAL_S = 0.5

BIG_NAME = "big peer"  # as bigpeer/settings.py calls it


@dataclass(frozen=True)
class Plan:
    board_count: int = 3
    row_count: int = 500  # each board's
    rows_per_s: float = 30.0  # each board's
    uplinks: Sequence[str] = ("lan", "mqtt")
    seed: int | None = None  # of the noise on the serial lines; None: clean lines
    noise_interval_bytes: int = 1_500
    application: Path = APPLICATION


@dataclass
class Snapshot:
    """The system at one moment; what could not be learned is empty."""

    arrived: dict[str, int] = field(default_factory=dict)  # sensor -> readings at the Big Peer
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> its last report
    gateway: dict[str, Any] = field(default_factory=dict)

    def arrived_count(self) -> int:
        return sum(self.arrived.values())

    def inserted_count(self) -> int:
        """Return how many readings the boards have written, by their last reports."""
        return sum(report.get("rows", 0) for report in self.boards.values())

    def uplinks(self) -> list[str]:
        """Return the media over which the gateway reaches the Big Peer."""
        links = self.gateway.get("links", [])
        return sorted(link["medium"] for link in links if link["neighbour"] == BIG_NAME)


class Rig:
    def __init__(self, folder: Path, plan: Plan) -> None:
        """`folder` must exist. Inside a running event loop, which carries the cables."""
        self.folder = folder
        self.plan = plan
        self._app = authority.create(folder / "app")
        self._app.unlock()
        self.app_id = self._app.app_id.hex()
        self.cables: list[Cable] = []
        self.noises: list[Noise] = []
        self.boards: list[VirtualBoard] = []
        self.client = Client("", "")
        self.broker: Process | None = None
        self.big: Process | None = None
        self.gateway: Process | None = None
        self._broker_port = free_port()
        self._sync_port = free_port()
        self._http_port = free_port()
        self._forwarder = Forwarder(HOST, self._sync_port)

    # The whole

    async def start(self, broker: bool = True) -> None:
        """Start everything and wait until the API answers. Raises ToolError when it does not."""
        for program in (virtual_board.MICROPYTHON, MOSQUITTO):
            if not program.exists():
                raise ToolError(f"{program} is missing: run `make setup`")
        if broker:
            self.start_broker()
        self.start_big()
        await self._forwarder.open()
        self.make_boards()
        self.start_gateway()
        for board in self.boards:
            board.start()
        await self.until(self.api_answers, START_LIMIT_S, "the Big Peer's API answers")

    async def stop(self) -> None:
        """Stop everything that was started; may be called at any time, and twice."""
        stop_all(self._processes())
        await self._forwarder.cut()
        for cable in self.cables:
            cable.close()
        self.cables = []
        self._app.close()

    def check(self) -> None:
        """Raise ProcessFailed if a program ended by itself."""
        for process in self._processes():
            process.check()

    async def until(self, condition: Any, limit_s: float, what: str) -> None:
        """Wait until `await condition()`; raise ToolError when it takes too long."""
        try:
            async with asyncio.timeout(limit_s):
                while not await condition():
                    self.check()
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise ToolError(f"gave up after {limit_s:.0f} s of waiting until {what}") from error

    def _processes(self) -> list[Process]:
        boards = [board.process for board in self.boards]
        every = [self.broker, self.big, self.gateway, *boards]
        return [process for process in every if process is not None]

    # Its parts

    def start_broker(self) -> None:
        if "mqtt" not in self.plan.uplinks:
            return
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self._broker_port} {HOST}\n"
            "allow_anonymous true\n"
            "log_dest stderr\n"
            # Started by root it would become somebody else, and outlive us if we are killed.
            "user root\n"
        )
        command = [MOSQUITTO, "-c", config]
        self.broker = Process("mosquitto", command, self.folder / "mosquitto.log")

    def stop_broker(self) -> None:
        if self.broker is not None:
            self.broker.stop()
            self.broker = None

    def start_big(self) -> None:
        """Start the Big Peer, on the same ports and the same data each time."""
        data = self.folder / "big"
        if not data.exists():
            data.mkdir()
            self._admit(BIG_NAME, certificate.BIG_PEER, data / "identity.json")
        command = ["big", f"--data={data}", f"--app={self.app_id}", f"--host={HOST}"]
        command += [f"--port={self._http_port}", f"--sync-port={self._sync_port}"]
        if "mqtt" in self.plan.uplinks:
            command.append(f"--mqtt=mqtt://{HOST}:{self._broker_port}")
        self.big = self._edge_peer("big", *command)

    def kill_big(self) -> None:
        """End it without a warning."""
        assert self.big is not None
        self.big.kill()
        self.big = None

    def make_boards(self) -> None:
        for number in range(self.plan.board_count):
            noise = None
            if self.plan.seed is not None:
                noise = Noise(self.plan.seed + number, self.plan.noise_interval_bytes)
                self.noises.append(noise)
            cable = Cable(noise)
            self.cables.append(cable)
            self.boards.append(self._make_board(number, cable.paths[0]))

    def start_gateway(self) -> None:
        config = self.folder / "gateway.json"
        if not config.exists():
            self._admit("gateway", certificate.RELAY, self.folder / "gateway.identity.json")
            config.write_text(json.dumps(self._gateway_config(), indent=2) + "\n")
        self.gateway = self._edge_peer(
            "gateway", "run", str(config), f"--status-interval={STATUS_INTERVAL_S}"
        )

    def kill_gateway(self) -> None:
        """End it without a warning."""
        assert self.gateway is not None
        self.gateway.kill()
        self.gateway = None

    async def cut_uplink(self) -> None:
        """Take away both ways from the gateway to the Big Peer."""
        self.stop_broker()
        await self._forwarder.cut()

    async def mend_uplink(self) -> None:
        self.start_broker()
        await self._forwarder.open()

    # What it looks like

    def page(self) -> str:
        """Return the address of the Big Peer's page, its key included."""
        return f"{self.client.url}/?key={self.client.key}"

    async def snapshot(self) -> Snapshot:
        """Raises ApiError while the Big Peer does not answer."""
        snapshot = self.reports()
        snapshot.arrived = await self._count_arrived()
        return snapshot

    def reports(self) -> Snapshot:
        """Return what boards and gateway say; it needs no Big Peer."""
        return Snapshot(
            {},
            {board.name: _last_report(board.process) for board in self.boards},
            _last_report(self.gateway),
        )

    def expected(self) -> list[readings.Reading]:
        plan = self.plan
        every = [readings.readings_of(board, plan.row_count) for board in range(plan.board_count)]
        return [one for some in every for one in some]

    async def arrived(self) -> list[dict[str, Any]]:
        """Return all readings from the Big Peer. Raises ApiError."""
        return await asyncio.to_thread(self.client.execute, "SELECT * FROM readings")

    def crash_logs(self) -> list[Path]:
        """Return the logs of programs that met an error which they did not expect."""
        logs = sorted(self.folder.rglob("*.log"))
        return [log for log in logs if "Traceback" in log.read_text(errors="replace")]

    def serial_bytes(self) -> list[int]:
        """Return each cable's bytes, both ways together."""
        return [sum(cable.sent_bytes) for cable in self.cables]

    async def api_answers(self) -> bool:
        """Return whether the Big Peer is up."""
        key = self.folder / "big/api-key"
        if not key.exists():
            return False
        self.client = Client(f"http://{HOST}:{self._http_port}", key.read_text().strip())
        return await asyncio.to_thread(self.client.is_up)

    async def _count_arrived(self) -> dict[str, int]:
        items = await asyncio.to_thread(self.client.execute, "SELECT sensor FROM readings")
        counts = {readings.sensor_name(board): 0 for board in range(self.plan.board_count)}
        for item in items:
            counts[item["sensor"]] = counts.get(item["sensor"], 0) + 1
        return counts

    # Pieces

    def _admit(self, name: str, role: int, path: Path) -> None:
        private_file.write(path, self._admitted(name, role))

    def _admitted(self, name: str, role: int) -> str:
        """Return the identity.json of a new device of the app."""
        now_s = system.wall_ms() // 1000 - certificate.EPOCH_S
        everything = permissions.packed(permissions.EVERYTHING)
        made = self._app.admit(name, role, everything, 0, now_s, replaces=False)
        return identity.to_text(made)

    def _edge_peer(self, name: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", "edge_tools", *arguments]
        return Process(name, command, self.folder / f"{name}.log")

    def _config(
        self, identity_file: str, storage: dict[str, Any], links: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            "identity": identity_file,
            "storage": storage,
            "links": links,
            "info_interval_s": INFO_INTERVAL_S,
        }

    def _gateway_config(self) -> dict[str, Any]:
        links: list[dict[str, Any]] = [
            {"kind": "serial", "port": cable.paths[1]} for cable in self.cables
        ]
        ports = {"lan": self._forwarder.port, "mqtt": self._broker_port}
        links += [{"kind": kind, "host": HOST, "port": ports[kind]} for kind in self.plan.uplinks]
        storage = {
            "path": "gateway.db",
            "quota_bytes": GATEWAY_QUOTA_BYTES,
            "documents_max": GATEWAY_DOCUMENTS_MAX,
        }
        return self._config("gateway.identity.json", storage, links) | {"relay": True}

    def _make_board(self, number: int, uart: str) -> VirtualBoard:
        name = readings.sensor_name(number)
        limits = virtual_board.limits()  # flash for fewer than 500 readings: boards must evict
        storage = {
            "path": "flash.img",
            "blocks": limits["log_block_count"],
            "documents_max": limits["documents_max"],
            "fsync": False,  # no board loses its flash with this computer's power
        }
        config = self._config("identity.json", storage, [{"kind": "serial", "uart": uart}])
        rows = readings.readings_of(number, self.plan.row_count)
        files = {
            "app.json": json.dumps({"sensor": name, "rows_per_s": self.plan.rows_per_s}),
            "identity.json": self._admitted(name, certificate.DEVICE),
            "readings.csv": "".join(f"{row.ts},{row.temp}\n" for row in rows),
        }
        return virtual_board.make(
            self.folder / "boards" / name, config, self.plan.application, files
        )


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _last_report(process: Process | None) -> dict[str, Any]:
    """Return the last line it printed that is a JSON object, or an empty one."""
    for line in reversed(process.tail().splitlines() if process is not None else []):
        if line.startswith("{") and line.endswith("}"):
            report: dict[str, Any] = json.loads(line)
            return report
    return {}
