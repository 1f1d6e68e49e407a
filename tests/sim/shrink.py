"""
Make a world that fails smaller, as long as it fails in the same way (CPython only).

First the script: leave out halves, quarters, and so on down to single lines (Zeller and
Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002).
Then what is around it: losses, the time after the last operation, peers and wires that
nothing needs. What comes out is a plan like any other, to be replayed as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sim.world import World

Plan = dict[str, Any]
TIME_S_MAX = 30.0
AFTER_MS = 1_000


def shrink(plan: Plan, time_s: float = TIME_S_MAX) -> Plan:
    """Return a plan that fails by the same name as this one, which has to fail."""
    name = World(plan).run().failures[0][0]
    deadline = time.monotonic() + time_s

    def fails(candidate: Plan) -> bool:
        if time.monotonic() > deadline:
            return False
        return any(failure[0] == name for failure in World(candidate).run().failures[:1])

    numbers = plan.get("numbers") or list(range(1, len(plan["script"]) + 1))
    pairs = list(zip(numbers, plan["script"], strict=True))
    pairs = _fewer(pairs, lambda some: fails(_with(plan, some)))
    plan = _with(plan, pairs)
    for change in (_soon, _calm):
        if fails(candidate := change(plan)):
            plan = candidate
    for without in (_without_node, _without_wire):
        for number in reversed(range(len(plan["nodes" if without is _without_node else "wires"]))):
            candidate = without(plan, number)
            if candidate is not None and _is_connected(candidate) and fails(candidate):
                plan = candidate
    return plan


def _fewer(items: list[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
    size = max(1, len(items) // 2)
    while items:
        start = 0
        before = len(items)
        while start < len(items):
            rest = items[:start] + items[start + size :]
            if fails(rest):
                items = rest
            else:
                start += size
        if size == 1 and len(items) == before:
            break
        size = max(1, size // 2)
    return items


def _with(plan: Plan, pairs: list[tuple[int, list[Any]]]) -> Plan:
    return plan | {"numbers": [one[0] for one in pairs], "script": [one[1] for one in pairs]}


def _soon(plan: Plan) -> Plan:
    last_ms = max([operation[0] for operation in plan["script"]], default=0)
    return plan | {"length_ms": last_ms + AFTER_MS}


def _calm(plan: Plan) -> Plan:
    return plan | {"wires": [wire | {"loss": 0} for wire in plan["wires"]]}


def _is_wire(operation: list[Any]) -> bool:
    return operation[1] in ("cut", "noise", "deafen")


def _without_wire(plan: Plan, gone: int) -> Plan | None:
    script = []
    for operation in plan["script"]:
        if _is_wire(operation):
            if operation[2] == gone:
                return None
            operation = operation[:2] + [operation[2] - (operation[2] > gone)] + operation[3:]
        script.append(operation)
    wires = plan["wires"][:gone] + plan["wires"][gone + 1 :]
    return plan | {"wires": wires, "script": script}


def _without_node(plan: Plan, gone: int) -> Plan | None:
    for number in reversed(range(len(plan["wires"]))):
        if gone in plan["wires"][number]["ends"]:
            fewer = _without_wire(plan, number)
            if fewer is None:
                return None
            plan = fewer
    script = []
    for operation in plan["script"]:
        if not _is_wire(operation):
            if operation[2] == gone:
                return None
            operation = operation[:2] + [operation[2] - (operation[2] > gone)] + operation[3:]
        script.append(operation)
    wires = [
        wire | {"ends": [end - (end > gone) for end in wire["ends"]]} for wire in plan["wires"]
    ]
    nodes = plan["nodes"][:gone] + plan["nodes"][gone + 1 :]
    return plan | {"nodes": nodes, "wires": wires, "script": script}


def _is_connected(plan: Plan) -> bool:
    reached = {0}
    for _ in plan["nodes"]:
        for wire in plan["wires"]:
            if reached & set(wire["ends"]):
                reached |= set(wire["ends"])
    return len(reached) == len(plan["nodes"])
