"""One session of each transport, captured, and read by what SPEC.md says alone."""

import ast
import asyncio
import sys
from pathlib import Path

import pytest
from app import device
from peers import Entropy, Peer, running, until
from rigs.boards import SENSOR
from rigs.test_ble import RADIO_HEAP_BYTES, an_air, central

from edge_peer.core.sync.messages import RELAYS, WANTS_ALL, WANTS_UNDURABLE
from edge_peer.host import system
from edge_peer.peer import Links

from . import captures, messages, sealed, wires

FIRST, SECOND = 5, 40  # readings of the session that leaves a ticket, and of the captured one
OURS = {"captures.py", "test_spec.py"}


def tickets_of(peer):
    shelf = peer.links.local.keyring.shelf
    return [shelf.read(name) for name in shelf.names() if name.startswith("t-")]


def restart(peer):
    """Let a peer know no more than what it has written, its ticket among it."""
    local = peer.links.local
    own = local.keyring
    keyring = device(own.certificate.name, local.flags, Entropy(), shelf=own.shelf)
    peer.links = Links(local._replace(keyring=keyring), system)


async def capture(small, big, over):
    """Return the ticket that small had, and the frames of one session, forth and back."""
    async with over as (tap, read, running):
        small.insert(FIRST)
        async with running():
            await until(lambda: len(big.numbers()) == FIRST, "the first readings")
        restart(small)
        (ticket,) = tickets_of(small)
        tap.start()
        for n in range(FIRST, FIRST + SECOND):
            fields = {"n": n, "temp": 20 + n / 10, "site": f"s{n % 3}", "at": {"x": n, "y": None}}
            small.execute_one(fields)
        async with running():
            await until(lambda: small.store.unsynced_count() == 0, "the others")
        return sealed.Ticket(ticket), list(read(tap.forth)), list(read(tap.back))


def expected(small):
    rows = small.executor.execute(f"SELECT * FROM readings WHERE n >= {FIRST}").items
    return {
        ("readings", row["_id"]): {
            "n": row["n"],
            "temp": row["temp"],
            "site": row["site"],
            "at\0x": row["at"]["x"],
            "at\0y": None,
        }
        for row in rows
    }


@pytest.mark.parametrize("wire", ["tcp", "websocket", "serial", "bus", "mqtt"])
def test_a_captured_session_is_read_from_the_specification(wire, tmp_path):
    small, big = Peer("small"), Peer("big", WANTS_ALL)
    more = [tmp_path] if wire == "mqtt" else []
    over = getattr(captures, f"over_{wire}")(small, big, *more)
    ticket, forth, back = asyncio.run(capture(small, big, over))
    ours, theirs = sealed.read_link(ticket, forth, back)
    author = sealed.author_of(small.links.local.keyring.certificate.key, ours.incarnation)
    said = list(messages.read_all(ours.messages, author))
    assert messages.documents_in(said) == expected(small)
    answered = list(
        messages.read_all(theirs.messages, sealed.author_of(ticket.key, theirs.incarnation))
    )
    assert 2 in dict(said) or 0x0F in dict(said), "it says what it wants"
    assert (author, small.store.arrival) in dict(answered).get(3, []), "and hears what is durable"


def test_a_captured_visit_over_bluetooth_is_read_from_the_specification(tmp_path):
    gateway = Peer("gateway", WANTS_UNDURABLE | RELAYS)

    async def capture_visit():
        async with an_air(tmp_path) as (air, boards):
            sensor = await boards.put("sensor", SENSOR % FIRST)
            async with running(await central(air, gateway)):
                await until(lambda: len(gateway.numbers()) == FIRST, "the first readings")
                await until(lambda: not gateway.links.pumps, "the end of the visit")
            sensor.process.kill()
            restart(gateway)
            (ticket,) = tickets_of(gateway)
            before = set(readings_of(gateway))
            tap = captures.AirTap(air)
            sensor.start(RADIO_HEAP_BYTES)
            async with running(await central(air, gateway)):
                await until(lambda: len(gateway.numbers()) == 2 * FIRST, "the others")
            return sealed.Ticket(ticket), before, tap

    ticket, before, tap = asyncio.run(capture_visit())
    forth, back = wires.from_ble(tap.forth), wires.from_ble(tap.back)
    _, theirs = sealed.read_link(ticket, forth, back)
    said = messages.read_all(theirs.messages, sealed.author_of(ticket.key, theirs.incarnation))
    found = {id: fields["n"] for (_, id), fields in messages.documents_in(said).items()}
    after = readings_of(gateway)
    assert found == {id: n for id, n in after.items() if id not in before}
    assert len(found) == FIRST


def readings_of(peer):
    rows = peer.executor.execute("SELECT _id, n FROM readings").items
    return {row["_id"]: row["n"] for row in rows}


def test_the_second_reader_has_nothing_of_ours():
    for path in Path(__file__).parent.glob("*.py"):
        if path.name not in OURS:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module]
                for name in names:
                    assert name.split(".")[0] in sys.stdlib_module_names, f"{path.name}: {name}"
