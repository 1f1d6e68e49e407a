"""
How long documents stay: by collection, then they are rolled up, or just go.

    DATA/retention.json    {collection: {"keepDays": 30, "rollUp": null | {"everyS": 3600,
                            "fields": ["temp"], "by": ["device"], "into": "readings_hourly"}}}

A document's age is that of its `ts` (Unix seconds), else of its newest write. What is older
than `keepDays` is deleted as DELETE does: the tombstone goes to every peer, so none brings
the document back. With `rollUp` it is first counted in the document of its stretch of time:

    {"_id": "readings 1795000000 3600 [\"attic\"]", "ts": 1795000000, "everyS": 3600,
     "device": "attic", "temp": {"min": 20, "max": 24, "mean": 21.8, "count": 60}}

Counting and deleting are one commit, so each document counts once, also after kill -9, and
one that comes late is added to a stretch that was rolled up before. A look goes through the
whole collection, once in LOOK_S, a little at a time.
"""

import asyncio
import json
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_peer.bigpeer.feed import TIME_FIELD, is_number, time_of
from edge_peer.core import document as documents
from edge_peer.core.clock import unix_ms_of
from edge_peer.core.errors import ConfigError, EdgeError
from edge_peer.core.ids import COLLECTION_BYTES_MAX
from edge_peer.core.limits import HIDDEN
from edge_peer.core.query.view import view
from edge_peer.host import codec, private_file, system

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

FILE = "retention.json"
LOOK_S = 600
BATCH_COUNT = 200  # documents of one commit: some 20 ms, while everybody else waits
STEP_S = 0.005  # of looking, between two turns of the event loop
POLICY_COUNT_MAX = 64
FIELD_COUNT_MAX = 32
DAY_MS = 86_400_000
ID_BYTES_MAX = 128  # longer ones end with a digest
_SUMS = ("min", "max", "mean", "count")
_MEMBERS = {"keepDays", "rollUp"}
_ROLL_UP = {"everyS", "fields", "by", "into"}

Found = tuple[str, float, dict[str, Any]]  # id, time in ms, fields


class Retention:
    def __init__(self, tenant: "Tenant", wall_ms: Callable[[], int] = system.wall_ms) -> None:
        """Raises ConfigError for a file that holds something else."""
        self._tenant = tenant
        self._wall_ms = wall_ms
        self._path: Path = tenant.folder / FILE
        self.policies: dict[str, dict[str, Any]] = {}
        self.gone_count = 0  # since the start
        try:
            if self._path.exists():
                found = json.loads(self._path.read_text())
                self.policies = {name: checked(name, one) for name, one in found.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"{self._path} cannot be used: {error}") from error

    def set(self, collection: str, policy: Any) -> None:
        """policy: as in the file, or None to keep everything. Raises ValueError."""
        policies = dict(self.policies)
        policies.pop(collection, None)
        if policy is not None:
            policies[collection] = checked(collection, policy)
        if len(policies) > POLICY_COUNT_MAX:
            raise ValueError(f"there are {POLICY_COUNT_MAX} policies already")
        private_file.write(self._path, json.dumps(policies, indent=1) + "\n", force=True)
        self.policies = policies

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except EdgeError as error:  # the store is full, or gone: later
                system.log(f"retention: {error}")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Let go what is too old now. Raises StorageError, StoreFull."""
        for collection, policy in list(self.policies.items()):
            limit_ms = self._wall_ms() - policy["keepDays"] * DAY_MS
            old: list[Found] = []
            turn_s = time.monotonic()
            for id, body in self._tenant.store.scan(collection):
                found = _older(id, body, limit_ms)
                if found is not None:
                    old.append(found)
                if len(old) >= BATCH_COUNT:
                    self._let_go(collection, policy, old)
                    old = []
                if time.monotonic() - turn_s > STEP_S:
                    await asyncio.sleep(0)
                    turn_s = time.monotonic()
            self._let_go(collection, policy, old)

    def _let_go(self, collection: str, policy: dict[str, Any], old: list[Found]) -> None:
        if not old:
            return
        execute = self._tenant.execute
        with self._tenant.store.batch():
            if policy["rollUp"] is not None:
                for stretch in self._rolled_up(collection, policy["rollUp"], old):
                    execute(
                        f"INSERT INTO `{policy['rollUp']['into']}` DOCUMENTS (:d)"
                        " ON ID CONFLICT DO UPDATE",
                        {"d": stretch},
                    )
            for id, _, _ in old:
                execute(f"DELETE FROM `{collection}` WHERE _id = :id", {"id": id})
        self.gone_count += len(old)

    def _rolled_up(
        self, collection: str, rule: dict[str, Any], old: list[Found]
    ) -> list[dict[str, Any]]:
        """Return the documents of the stretches, as they are with these added."""
        stretches: dict[str, dict[str, Any]] = {}
        for _, time_ms, fields in old:
            begin_s = int(time_ms / 1000 // rule["everyS"]) * rule["everyS"]
            named = {name: fields[name] for name in rule["by"] if name in fields}
            key = json.dumps([named.get(name) for name in rule["by"]], default=str)
            id = _short(f"{collection} {begin_s} {rule['everyS']} {key}")
            if id not in stretches:
                stretches[id] = self._stretch(rule, id) or {
                    "_id": id, TIME_FIELD: begin_s, "everyS": rule["everyS"], **named,
                }  # fmt: skip
            for name in rule["fields"]:
                if is_number(fields.get(name)):
                    stretches[id][name] = _with(stretches[id].get(name), fields[name])
        return list(stretches.values())

    def _stretch(self, rule: dict[str, Any], id: str) -> dict[str, Any] | None:
        found = self._tenant.execute(f"SELECT * FROM `{rule['into']}` WHERE _id = :id", {"id": id})
        return dict(found.items[0]) if found.items else None


def checked(collection: str, policy: Any) -> dict[str, Any]:
    """Return a policy with all its members. Raises ValueError with a sentence."""
    _check_name(collection)
    if not isinstance(policy, dict) or not set(policy) <= _MEMBERS:
        raise ValueError('a policy has "keepDays" and maybe "rollUp"')
    days, rule = policy.get("keepDays"), policy.get("rollUp")
    if not is_number(days) or not 0 < days <= 36_500:
        raise ValueError('"keepDays" is a number above 0')
    return {"keepDays": days, "rollUp": None if rule is None else _checked_rule(collection, rule)}


def _checked_rule(collection: str, rule: Any) -> dict[str, Any]:
    if not isinstance(rule, dict) or not set(rule) <= _ROLL_UP:
        raise ValueError('"rollUp" has "everyS", "fields", "by" and "into"')
    every, into = rule.get("everyS"), rule.get("into")
    if isinstance(every, bool) or not isinstance(every, int) or not 0 < every <= 366 * 86_400:
        raise ValueError('"rollUp.everyS" is a whole number of seconds')
    _check_name(into)
    if into == collection:
        raise ValueError('"rollUp.into" is another collection')
    lists = {name: rule.get(name, []) for name in ("fields", "by")}
    for name, fields in lists.items():
        if not isinstance(fields, list) or len(fields) > FIELD_COUNT_MAX:
            raise ValueError(f'"rollUp.{name}" is a list of at most {FIELD_COUNT_MAX} fields')
        if not all(isinstance(one, str) and one not in ("", "_id", TIME_FIELD) for one in fields):
            raise ValueError(f'"rollUp.{name}" names fields')
    if not lists["fields"] or set(lists["fields"]) & {*lists["by"], "everyS"}:
        raise ValueError('"rollUp.fields" names numbers to keep, none of them in "by"')
    return {"everyS": every, **lists, "into": into}


def _check_name(name: Any) -> None:
    is_name = isinstance(name, str) and name.isprintable() and "`" not in name
    if not is_name or not 0 < len(name.encode(errors="replace")) <= COLLECTION_BYTES_MAX:
        raise ValueError("no collection is called so")
    if name in HIDDEN or name.startswith("__"):
        raise ValueError(f"{name} is the system's own")


def _older(id: str, body: bytes, limit_ms: float) -> Found | None:
    """Return a document that is older; None of others, and of what is deleted."""
    document = documents.decode(body)
    if documents.is_deleted(document):
        return None
    fields = view(document, codec.unpack)
    stamp_ms = unix_ms_of(max(cell.stamp for cell in document.values()))
    value = fields.get(TIME_FIELD)
    time_ms = (time_of(value) if is_number(value) else None) or stamp_ms
    return (id, time_ms, fields) if time_ms < limit_ms else None


def _short(id: str) -> str:
    raw = id.encode(errors="replace")
    if len(raw) <= ID_BYTES_MAX:
        return raw.decode()
    return raw[: ID_BYTES_MAX - 40].decode(errors="ignore") + " " + sha256(raw).hexdigest()[:32]


def _with(sums: Any, value: float) -> dict[str, float]:
    """Return {min, max, mean, count} with one value more."""
    if not isinstance(sums, dict) or not all(is_number(sums.get(name)) for name in _SUMS):
        return {"min": value, "max": value, "mean": value, "count": 1}
    count = sums["count"] + 1
    return {
        "min": min(sums["min"], value),
        "max": max(sums["max"], value),
        "mean": sums["mean"] + (value - sums["mean"]) / count,
        "count": count,
    }
