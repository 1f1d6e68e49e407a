"""
Draw what happened in a world: one HTML file that needs nothing else (CPython only).

Peers are lanes over virtual time, links are rows beneath, with what went over them; what
one points at explains itself. Who failed is marked where and when it was found, the
document that the failure names is picked out, and its story is told line by line.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from sim.world import World

TEMPLATE = Path(__file__).with_name("picture.html")
BIN_COUNT = 240  # of the bytes on a link, over the whole time
MESSAGES = {1: "KNOW, HELLO", 2: "HELLO", 3: "DURABLE", 4: "DELTA", 5: "DONE", 15: "HELLO"}
MESSAGES |= {17: "PRESENCE", 18: "MOVED"}
FRAMES = {1: "opening", 2: "opening", 4: "ACK", 5: "CLOSE"}
WIRE_FAULTS = {"cut": "cut", "noise": "noise", "deafen": "deaf in one direction"}
Row = tuple[Any, ...]


def draw(plan: dict[str, Any]) -> tuple[World, str]:
    """Run a plan; return the world and its picture."""
    recording: list[Row] = []
    world = World(plan, recording).run()
    data = _data(world, recording)
    text = TEMPLATE.read_text().replace("/*DATA*/null", json.dumps(data).replace("</", "<\\/"))
    return world, text


def _data(world: World, recording: list[Row]) -> dict[str, Any]:
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in recording:
        by_kind[row[1]].append(row)
    plan = world.plan
    end_ms = max(world.now_ms, 1)
    keys = sorted({_label(row[3]) for row in by_kind["write"]})
    failures = [(world.now_ms, name, text, _who(world, text)) for name, text in world.failures]
    suspects = [key for key in keys if any(_tuple(key) in text for _, _, text, _ in failures[:1])]
    operations = [row[2] for row in by_kind["operation"]]
    return {
        "title": f"world {plan.get('world', 'of its own')}, seed {plan['seed']}: "
        f"{len(plan['nodes'])} peers, {world.write_count} writes, {end_ms // 1000} s",
        "nodes": plan["nodes"],
        "wires": _wires(world, by_kind, operations, end_ms),
        "bin_ms": -(-end_ms // BIN_COUNT),
        "end_ms": end_ms,
        "length_ms": min(plan["length_ms"], end_ms),
        "off": _off(by_kind, end_ms),
        "documents": [
            (at_ms, node, sender, _label(key), _text(fields))
            for at_ms, _, node, key, fields, sender in by_kind["document"]
        ],
        "evicted": [
            (at_ms, node, [_label(key) for key in gone])
            for at_ms, _, node, gone in by_kind["evicted"]
        ],
        "writes": [
            (at_ms, node, _label(key), f"write {number} {life}".strip(), life == "deletes")
            for at_ms, _, node, key, number, life in by_kind["write"]
        ],
        "faults": [
            (operation[0], operation[2], " ".join(map(str, operation[1:2] + operation[3:])))
            for operation in operations
            if operation[1] not in WIRE_FAULTS
            and operation[1] not in ("write", "update", "delete", "add", "unset")
        ],
        "failures": failures,
        "refusals": sorted(world.refusals.items()),
        "keys": keys,
        "suspect": suspects[0] if suspects else "",
        "table": _table(world, by_kind),
    }


def _who(world: World, text: str) -> int:
    """Return whom a failure is about, -1 if it names nobody."""
    text = text.split(": ", 1)[1].replace("the Big Peer", world.big.name if world.big else "")
    names = [node.name for node in world.nodes]
    found = [word for word in text.replace(":", " ").split() if word in names]
    return names.index(found[0]) if found else -1


def _label(key: Any) -> str:
    return f"{key[0]}/{key[1]}"


def _tuple(label: str) -> str:
    """Return a key as failures write it."""
    return repr(tuple(label.split("/", 1)))


def _text(fields: dict[str, Any]) -> str:
    return " ".join(f"{name}={fields[name]}" for name in sorted(fields)) or "deleted"


def _off(by_kind: dict[str, list[Row]], end_ms: int) -> list[Row]:
    spans = []
    for at_ms, _, node in by_kind["off"]:
        back = [row[0] for row in by_kind["boot"] if row[2] == node and row[0] > at_ms]
        spans.append((node, at_ms, min(back, default=end_ms)))
    return spans


def _wires(
    world: World, by_kind: dict[str, list[Row]], operations: list[Any], end_ms: int
) -> list[dict[str, Any]]:
    bin_ms = -(-end_ms // BIN_COUNT)
    wires = [spec | {"bins": [0] * BIN_COUNT, "down": []} for spec in world.plan["wires"]]
    for at_ms, _, wire, _, _, size in by_kind["frame"]:
        wires[wire]["bins"][min(at_ms // bin_ms, BIN_COUNT - 1)] += size
    for operation in operations:
        if operation[1] in WIRE_FAULTS:
            until_ms = min(operation[0] + operation[-1], world.plan["length_ms"])
            what = WIRE_FAULTS[operation[1]]
            wires[operation[2]]["down"].append((operation[0], until_ms, what))
    return wires


def _table(world: World, by_kind: dict[str, list[Row]]) -> list[list[Any]]:
    """Return a row for each direction of each link: bytes by kind of message."""
    columns = ["DELTA", "MOVED", "KNOW, HELLO", "HELLO", "DURABLE", "DONE", "PRESENCE", "other"]
    columns += ["ACK", "opening", "CLOSE"]
    counts: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for _, _, wire, side, kind, size in by_kind["message"]:
        counts[wire, side][MESSAGES.get(kind, "other")] += size
        counts[wire, side]["messages"] += size
    for _, _, wire, side, kind, size in by_kind["frame"]:
        counts[wire, side]["all"] += size
        if kind in FRAMES:
            counts[wire, side][FRAMES[kind]] += size
            counts[wire, side]["messages"] += size
    table: list[list[Any]] = [["link", *columns, "frames and repeats", "all bytes"]]
    for wire in world.wires:
        for side in (0, 1):
            one = counts[wire.number, side]
            rest = one["all"] - one["messages"]
            table.append(
                [wire.label(side).replace(">", " → "), *(one[name] for name in columns)]
                + [rest, one["all"]]
            )
    return table
