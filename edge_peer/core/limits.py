"""
How much a store may hold, of which documents, and what goes when that is reached.

A *group* of documents has a limit of bytes and one of their number, each None for
none. Groups are the whole store, the documents that are carried only for others,
and each collection, by its name:

    {WHOLE: (None, 2000), RELAYED: (20_000, None), "readings": (60_000, 1500)}

The pieces of attachments are a group beside these, ATTACHMENTS: no document goes for
one and none for a document, so both shares together are at most what there is.

The limits hold at every instant: room is made before a document is written. What the
Big Peer has may always go, unless its collection is pinned; what it does not have,
only if its author is this peer and the policy of its collection says so by name:

    refuse              (the default) nothing: writing raises StoreFull
    drop-oldest         the oldest go first
    drop-least-recent   the same, but what was read by its id since stays once
    downsample          every second one goes, the oldest first, again and again
    pin                 nothing ever goes, not even what the Big Peer has

A tombstone goes when the Big Peer has it. The Big Peer itself keeps everything.
"""

from edge_peer.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Limit = tuple[int | None, int | None]  # bytes, documents
    Limits = dict[str, Limit]

WHOLE = "*"
RELAYED = "*relayed"
ATTACHMENTS = "*attachments"
# Collections that hold no documents (core/store/attachments.py): no statement, no neighbour and
# no listener sees them. Their arrival is 0.
PIECES = "*pieces"
KEPT = "*kept"
HIDDEN = (PIECES, KEPT)
PIECE_BYTES = 512  # of an attachment: with what a record adds, seven fill a flash segment
# Collections whose documents prove themselves, whoever has carried them: authors' certificates
# (security/judge.py), some 200 bytes each, and what authors have signed (security/batch.py).
AUTHORS = "__authors"
SIGNED = "__signed"
PROOFS = (AUTHORS, SIGNED)

REFUSE, DROP_OLDEST, DROP_LEAST_RECENT, DOWNSAMPLE, PIN = POLICIES = (
    "refuse",
    "drop-oldest",
    "drop-least-recent",
    "downsample",
    "pin",
)
# and one that nobody configures: goes when the Big Peer has it, and nobody will miss it
TRANSIT = "transit"
LOSING = (DROP_OLDEST, DROP_LEAST_RECENT, DOWNSAMPLE)  # these may take what is nowhere else


class Totals:
    """Documents and their bytes, by group."""

    def __init__(self) -> None:
        self.collections: dict[str, list[int]] = {}
        self._whole = [0, 0]
        self._relayed = [0, 0]
        self._attachments = [0, 0]

    def of(self, group: str) -> "list[int]":
        """Return [documents, bytes]."""
        if group == WHOLE:
            return self._whole
        if group == ATTACHMENTS or group in HIDDEN:
            return self._attachments
        return self._relayed if group == RELAYED else self.collections.get(group, [0, 0])

    def add(self, collection: str, is_relayed: bool, count: int, size: int) -> None:
        """Count documents of one collection, or with numbers below 0 discount them."""
        if collection in HIDDEN:
            self._attachments[0] += count
            self._attachments[1] += size
            return
        whole, named = self._whole, self.collections.get(collection)
        if named is None:
            named = self.collections[collection] = [0, 0]
        whole[0] += count
        whole[1] += size
        named[0] += count
        named[1] += size
        if is_relayed:
            self._relayed[0] += count
            self._relayed[1] += size
        if not named[0] and not named[1]:
            del self.collections[collection]


def groups_of(limits: "Limits", collection: str, is_relayed: bool) -> "list[str]":
    """Return the limited groups of a document, the whole store last."""
    if collection in HIDDEN:
        return [ATTACHMENTS]
    groups = [collection] if collection in limits and collection[0] != "*" else []
    return groups + [RELAYED, WHOLE] if is_relayed and RELAYED in limits else groups + [WHOLE]


def limits_of(settings: "dict[str, Any]") -> "Limits":
    """Return the limits that the settings of a store name; raises ConfigError."""
    limits = {WHOLE: _limit(settings, "storage")}
    if "relayed" in settings:
        limits[RELAYED] = _limit(settings["relayed"], "storage.relayed")
    if "attachments" in settings:
        limits[ATTACHMENTS] = _limit(settings["attachments"], "storage.attachments")
    collections = settings.get("collections", {})
    if not isinstance(collections, dict):
        raise ConfigError("storage.collections is an object with a member per collection")
    for name in collections:
        place = "storage.collections." + name
        if not name or name[0] == "*":
            raise ConfigError("%s is no name of a collection" % place)
        limits[name] = _limit(collections[name], place)
        if collections[name].get("policy") == "pin" and limits[name][0] is None:
            raise ConfigError("%s is pinned and needs a quota_bytes" % place)
    return limits


def policies_of(settings: "dict[str, Any]") -> "dict[str, str]":
    """Return the policy of each collection that names one, of settings that were checked.

    The store's own, "*", is for all others. Raises ConfigError.
    """
    policies = {WHOLE: settings.get("policy", REFUSE)}
    for name, one in settings.get("collections", {}).items():
        policies[name] = one.get("policy", policies[WHOLE])
    for name, policy in policies.items():
        if policy not in POLICIES:
            raise ConfigError(
                "storage: the policy of %s is one of %s" % (name, ", ".join(POLICIES))
            )
    return policies


def pinned_bytes(settings: "dict[str, Any]") -> int:
    """Return the quotas of all pinned collections together, of settings that were checked."""
    collections = settings.get("collections", {})
    pinned = [one for one in collections.values() if one.get("policy") == "pin"]
    return sum([one["quota_bytes"] for one in pinned])


def _limit(settings: "Any", place: str) -> "Limit":
    if not isinstance(settings, dict):
        raise ConfigError("%s is an object" % place)
    limit = (settings.get("quota_bytes"), settings.get("documents_max"))
    for number in limit:
        if number is not None and (not isinstance(number, int) or number <= 0):
            raise ConfigError("%s: quota_bytes and documents_max are whole numbers above 0" % place)
    return limit
