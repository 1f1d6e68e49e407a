"""
edge.json: what makes one device this device (README.md shows two).

    {"identity": "identity.json",    who it is (security/identity.py); what has links needs it
     "relay": false,             true for a gateway: carry what others wrote, too
     "storage": {…},             board/storage.py, host/storage.py
     "links": [{"kind": "serial" | "ble" | "lan" | "mqtt", …}, …],     the file of that name
     "info_interval_s": 60}      how often the device reports on itself, 0 for never

A peer without links may do without an identity; then it says who it is itself:

     "app_id": 32 hex digits, "device": {"id": 2 to 64 hex digits, "name": up to 64 bytes}

Relative paths in it are relative to its own folder.
"""

import json
from binascii import unhexlify

from edge_peer.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

APP_ID_SIZE = 16
NAME_BYTES_MAX = 64
LINK_COUNT_MAX = 16
LINK_KINDS = ("serial", "ble", "lan", "mqtt")
DEVICE_ID_BYTES_MAX = 32
INFO_INTERVAL_S = 60


class Config:
    """The checked contents of edge.json; raises ConfigError with what to mend."""

    def __init__(self, fields: "dict[str, Any]") -> None:
        self.identity: str = _take(fields, "identity", str, "")
        self.device_id = b""
        self.name = ""
        if not self.identity:
            self._take_device(fields)
        elif "device" in fields or "app_id" in fields:
            raise ConfigError("app_id and device follow from the identity: leave them out")
        self.relay: bool = _take(fields, "relay", bool, False)
        self.storage: dict[str, Any] = _take(fields, "storage", dict)
        self.links: list[dict[str, Any]] = _take(fields, "links", list)
        self.info_interval_s: int = _take(fields, "info_interval_s", int, INFO_INTERVAL_S)
        if self.links and not self.identity:
            raise ConfigError("links need an identity; `edge-peer device create` makes one")
        if len(self.links) > LINK_COUNT_MAX:
            raise ConfigError("at most %d links" % LINK_COUNT_MAX)
        for link in self.links:
            if not isinstance(link, dict) or link.get("kind") not in LINK_KINDS:
                raise ConfigError("each of links needs a kind: " + ", ".join(LINK_KINDS))

    def _take_device(self, fields: "dict[str, Any]") -> None:
        device = _take(fields, "device", dict)
        _hex(_take(fields, "app_id", str), "app_id", APP_ID_SIZE, APP_ID_SIZE)
        self.device_id = _hex(_take(device, "id", str), "device.id", 1, DEVICE_ID_BYTES_MAX)
        self.name = _take(device, "name", str)
        if not 0 < len(self.name.encode()) <= NAME_BYTES_MAX:
            raise ConfigError("device.name must have 1 to %d bytes" % NAME_BYTES_MAX)


def load(path: str) -> Config:
    """Read and check a file."""
    try:
        with open(path) as source:
            fields = json.load(source)
    except OSError as error:
        raise ConfigError("cannot read %s (%s); README.md shows how to write one" % (path, error))
    except ValueError as error:
        raise ConfigError("%s is not JSON: %s" % (path, error))
    if not isinstance(fields, dict):
        raise ConfigError("%s must be a JSON object" % path)
    folder = path[: path.rindex("/") + 1] if "/" in path else ""
    identity = fields.get("identity")
    if isinstance(identity, str) and identity and not identity.startswith("/"):
        fields["identity"] = folder + identity
    storage = fields.get("storage")
    file = storage.get("path") if isinstance(storage, dict) else None
    if isinstance(file, str) and not file.startswith("/"):
        fields["storage"]["path"] = folder + file
    return Config(fields)


def _take(fields: "dict[str, Any]", name: str, kind: type, default: "Any" = None) -> "Any":
    value = fields.get(name, default)
    if value is None:
        raise ConfigError("%s is missing" % name)
    if not isinstance(value, kind):
        raise ConfigError("%s must be a %s" % (name, kind.__name__))
    return value


def _hex(text: str, name: str, size_min: int, size_max: int) -> bytes:
    try:
        data = unhexlify(text)
    except ValueError:
        data = b""
    if not size_min <= len(data) <= size_max:
        raise ConfigError("%s must be %d to %d hex digits" % (name, 2 * size_min, 2 * size_max))
    return data
