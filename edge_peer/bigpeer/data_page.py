"""
The portal's page about documents: a box for DQL, the result as a table, and a chart of it.

Whoever is signed in may do everything, so a statement here may, too. A chart is drawn here,
as SVG: the page has no script.
"""

import json
from typing import Any

from starlette.responses import Response

from edge_peer.bigpeer.answers import encode, without_attachments
from edge_peer.bigpeer.feed import TIME_FIELD, is_number
from edge_peer.bigpeer.refusal import Refusal
from edge_peer.bigpeer.shell import Visit
from edge_peer.core.errors import QueryError, StoreFull

ROW_COUNT_MAX = 200  # the page shows no more; LIMIT and OFFSET give others
COLUMN_COUNT_MAX = 30
COLLECTION_COUNT_MAX = 200
CELL_CHARS_MAX = 200
POINT_COUNT_MAX = 2_000
WIDTH, HEIGHT, EDGE = 900, 260, 6  # of the chart, in its own units


async def respond(visit: Visit) -> Response:
    statement = visit.fields.get("statement", "").strip()
    collection = visit.request.query_params.get("collection", "")
    if not visit.is_form() and collection:
        statement = f"SELECT * FROM `{collection.replace('`', '')}` LIMIT 100"
    values: dict[str, Any] = {"statement": statement, "result": None, "message": ""}
    if statement:
        try:
            result = visit.tenant.execute(statement)
        except (QueryError, StoreFull, RecursionError, Refusal) as error:
            values["message"] = str(error) or "this is nested too deep"
        else:
            items = [without_attachments(item) for item in result.items]
            values["result"] = shown(items, visit.fields.get("chart", ""))
            values["result"] |= {"kind": result.kind, "ids": result.ids[:ROW_COUNT_MAX]}
            values["result"] |= {"changed": len(result.ids), "warnings": result.warnings}
    log = visit.tenant.store.log
    names = log.collections()[:COLLECTION_COUNT_MAX]
    collections = [(name, log.totals(name)[0]) for name in names]
    status = 400 if values["message"] else 200
    return visit.shown("data", status, collections=collections, **values)


def shown(items: list[Any], chosen: str) -> dict[str, Any]:
    """Return the table and the chart of a result; chosen: the column to draw, if there is one."""
    rows = [item if isinstance(item, dict) else {"value": item} for item in items]
    columns = list(dict.fromkeys(name for row in rows for name in row))[:COLUMN_COUNT_MAX]
    numeric = [name for name in columns if any(is_number(row.get(name)) for row in rows)]
    field = chosen if chosen in numeric else next((n for n in numeric if n != TIME_FIELD), "")
    table = [[_cell(row, name) for name in columns] for row in rows[:ROW_COUNT_MAX]]
    return {
        "columns": columns,
        "rows": table,
        "count": len(rows),
        "numeric": numeric,
        "field": field,
        "chart": line(rows, field) if field else None,
    }


def line(rows: list[dict[str, Any]], field: str) -> dict[str, Any] | None:
    """Return a line through the values, by `ts` where all have it, else in the rows' order."""
    found = [row for row in rows if is_number(row.get(field))][:POINT_COUNT_MAX]
    if len(found) < 2:
        return None
    by_time = all(is_number(row.get(TIME_FIELD)) for row in found)
    if by_time:
        found.sort(key=lambda row: row[TIME_FIELD])
    across = [float(row[TIME_FIELD]) if by_time else float(i) for i, row in enumerate(found)]
    up = [float(row[field]) for row in found]
    points = " ".join(
        f"{EDGE + x * (WIDTH - 2 * EDGE):.1f},{HEIGHT - EDGE - y * (HEIGHT - 2 * EDGE):.1f}"
        for x, y in zip(_scaled(across), _scaled(up), strict=True)
    )
    return {"points": points, "low": f"{min(up):.7g}", "high": f"{max(up):.7g}",
            "by": TIME_FIELD if by_time else "row"}  # fmt: skip


def _scaled(values: list[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return ""
    value = row[name]
    text = value if isinstance(value, str) else json.loads(encode({"": value}))[""]
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return text if len(text) <= CELL_CHARS_MAX else text[:CELL_CHARS_MAX] + "…"
