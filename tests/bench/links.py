"""
What links carry, on their rigs: `make bench-links`; the last line is one JSON object.

*Goodput* is what the documents of an application hold, random bytes that nothing makes shorter;
*raw* is what the same rig carries without us: bytes at the line's rate, or GATT writes of the
largest value. Times are of this computer, where many peers share a processor; the serial line
is a model in virtual time.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "core")]

import links_ble  # noqa: E402
import links_heap  # noqa: E402
import links_ip  # noqa: E402
import links_serial  # noqa: E402

# Figure: the goal, None where a number is only told.
GOALS = {
    "serial_goodput_percent": ">= 85",
    "serial_documents_per_s": None,
    "bus_goodput_percent": ">= 60",
    "ble_247_goodput_percent": ">= 80",
    "ble_23_goodput_percent": ">= 60",
    "ble_documents_per_s": None,
    "ble_first_document_ms": "<= 2000",
    "ble_30_boards_ms": "<= 60000",
    "ble_30_boards_spread_ms": None,
    "lan_documents_per_s": None,
    "mqtt_documents_per_s": None,
    "mqtt_documents_per_message": None,
    "mqtt_times_paho": ">= 3",
    "mqtt_times_paho_cpu": None,
    "lan_first_document_ms": None,
    "mqtt_first_document_ms": None,
    "serial_first_document_ms": None,
    "failover_documents_twice": "<= 64",
    "heap_ble_bytes": None,
    "heap_ble_central_bytes": None,
    "heap_lan_bytes": None,
    "heap_lan_meeting_bytes": None,
    "heap_mqtt_bytes": None,
    "heap_serial_bytes": None,
    "heap_bus_bytes": None,
}


def main():
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for module in (links_heap, links_serial, links_ip, links_ble):
            figures |= asyncio.run(module.measure(Path(folder)))
    result = {name: judged(figures.get(name), goal) for name, goal in GOALS.items()}
    Console().print(table(result))
    print(json.dumps(result))


def judged(number, goal):
    met = None
    if goal is not None:
        sign, bound = goal.split()
        met = number is not None and (
            number <= int(bound) if sign == "<=" else number >= int(bound)
        )
    return {"ours": number, "reference": None, "goal": goal, "met": met}


def table(result):
    rows = Table(title="links")
    for column in ("figure", "edge-peer", "goal", "met"):
        rows.add_column(column, no_wrap=True)
    for name, figure in result.items():
        met = {True: "yes", False: "[bold red]no", None: ""}[figure["met"]]
        rows.add_row(name, str(figure["ours"]), figure["goal"] or "", met)
    return rows


if __name__ == "__main__":
    main()
