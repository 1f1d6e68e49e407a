"""The Big Peer's HTTP API, as a program uses it."""

import json
import secrets
import urllib.error
import urllib.request
from typing import Any

from edge_tools.errors import ApiError

TIMEOUT_S = 10


class Client:
    def __init__(self, url: str, key: str) -> None:
        """`url` without a path, as http://127.0.0.1:8080; `key`: the bearer key."""
        self.url = url
        self.key = key

    def execute(self, statement: str, arguments: dict[str, Any] | None = None) -> list[Any]:
        """Run one DQL statement; return the items of the answer. Raises ApiError."""
        request = urllib.request.Request(
            f"{self.url}/api/v4/store/execute",
            json.dumps({"statement": statement, "args": arguments or {}}).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        items: list[Any] = self._answer(request)["items"]
        return items

    def call(self, method: str, path: str, fields: dict[str, Any] | None = None) -> Any:
        """Ask something of /api/v4 in JSON; return the answer. Raises ApiError."""
        body = None if fields is None else json.dumps(fields).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        url = f"{self.url}/api/v4{path}"
        return self._answer(urllib.request.Request(url, body, headers, method=method))

    def _answer(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ApiError(f"the Big Peer refused ({error.code}): {_reason(error)}") from error
        except (OSError, ValueError) as error:
            raise ApiError(f"no answer from {self.url}: {error}") from error

    def upload(self, data: bytes, type: str) -> dict[str, Any]:
        """Store an attachment; return its token, for a document. Raises ApiError."""
        edge = secrets.token_hex(16)
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        body = f"{head}Content-Type: {type}\r\n\r\n".encode() + data
        request = urllib.request.Request(
            f"{self.url}/api/v4/attachments/upload",
            body + f"\r\n--{edge}--\r\n".encode(),
            {
                "Authorization": f"Bearer {self.key}",
                "Content-Type": f"multipart/form-data; boundary={edge}",
            },
        )
        token: dict[str, Any] = self._answer(request)
        return token

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=TIMEOUT_S) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["description"])
    except (OSError, ValueError, KeyError, TypeError):
        return error.reason
