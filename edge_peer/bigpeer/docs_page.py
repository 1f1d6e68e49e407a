"""
GET /docs: the API's description as a page, for people. It is /openapi.json in words, needs
no key as that needs none, and nothing from elsewhere.
"""

import json
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from edge_peer.bigpeer.pages import page

_SHOWN = "/api/v4/"
_METHODS = ("get", "post", "put", "delete")


def show(app: FastAPI) -> Response:
    found = []
    for path, operations in app.openapi()["paths"].items():
        if path.startswith("/api/") and not path.startswith(_SHOWN):
            continue  # the same under another number
        for method in _METHODS:
            if method in operations:
                found.append(_operation(method, path, operations[method]))
    return page("docs", operations=found)


def _operation(method: str, path: str, described: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": one["name"],
            "place": one["in"],
            "required": one.get("required", False),
            "text": one.get("description", ""),
        }
        for one in described.get("parameters", ())
    ]
    bodies = described.get("requestBody", {}).get("content", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": described.get("summary", ""),
        "parameters": parameters,
        "bodies": [(kind, _schema(one)) for kind, one in bodies.items()],
        "answers": [
            (
                status,
                one["description"],
                [(kind, _schema(x)) for kind, x in one.get("content", {}).items()],
            )
            for status, one in sorted(described.get("responses", {}).items())
        ],
    }


def _schema(content: dict[str, Any]) -> str:
    return json.dumps(content.get("schema", {}), indent=1, ensure_ascii=False)
