"""
Scripts for two boards that are wired to each other, and what they have to say.

    NAME.py     async def instance0(peer), instance1(peer): the applications; what they print
                behind "= " counts, and "= end" is the last
    NAME.exp    the golden transcript, an instance after the other

The same scripts run on MicroPython as a process (tests/boards), on virtual Picos, and on boards
on the desk by their ports (tests/hardware). Boards are told apart by what wait_for() is.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app import APP, EVERYTHING

from edge_peer.security import certificate
from edge_peer.security.identity import Identity
from edge_tools import bundle
from edge_tools.boards import Board
from edge_tools.cable import Cable
from edge_tools.provision import CODE, edge_json
from edge_tools.request import Request

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.exp"))
MARK = "= "
END = "= end"
LOG_BLOCKS = "16"

WaitFor = Callable[[str], str]  # what is to be printed -> what was printed until then


def source(name: str, instance: int) -> str:
    """Return the application of an instance."""
    return f"{(HERE / f'{name}.py').read_text()}\n\nmain = instance{instance}\n"


def identity(instance: int) -> Identity:
    return APP.identity(
        f"instance{instance}",
        certificate.DEVICE,
        EVERYTHING,
        not_before_s=0,
        expiry_s=certificate.NEVER_S,
    )


def made_bundle(name: str, instance: int, board: Board, code: str, folder: Path) -> Path:
    """Make the bundle of an instance, for a board with a serial link."""
    app = folder / f"app{instance}.py"
    app.write_text(source(name, instance))
    request = Request(
        name=f"instance{instance}",
        board=board.name,
        serial=str(board.pins["uart"]),
        blocks=LOG_BLOCKS,
        code=code,
    )
    plan = bundle.Plan(request.name, board, edge_json(request, board), app, CODE[code])
    bundle.make(plan, identity(instance), folder / f"{request.name}.bundle")
    return folder / f"{request.name}.bundle"


def transcript(boards: Sequence[WaitFor]) -> str:
    """Return what two boards that run say, in the form of NAME.exp."""
    text = ""
    for instance, wait_for in enumerate(boards):
        said = wait_for(END)
        said = said if END in said else said + END  # a virtual Pico keeps it to itself
        lines = [line[len(MARK) :] for line in said.splitlines() if line.startswith(MARK)]
        text += "\n".join([f"--- instance{instance}", *lines, ""])
    return text


def golden(name: str) -> str:
    return (HERE / f"{name}.exp").read_text()


@contextlib.contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Yield the ttys of the two ends of a serial cable, which a thread pumps."""

    async def make() -> Cable:
        return Cable()

    loop = asyncio.new_event_loop()
    made = loop.run_until_complete(make())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made.paths
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        made.close()
        loop.close()
