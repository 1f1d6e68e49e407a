"""
What a flash log has found that may go, and where it looked for that.

Each group near its limit (core/limits.py) is looked through from the oldest document
on, at first for what is elsewhere too and, if that is not enough, for what would be
lost. Both remember where they were, so that a full log does not ask all over again.
"""

from edge_peer.core.limits import Totals

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[int, int]  # segment number, offset


class Eviction:
    def __init__(self) -> None:
        self.locations: list[int] = []  # what may go, in the order in which it was found
        self.covered = 0  # so many of them before_erase() has been called for
        self.totals = Totals()  # of all of them
        self.looked_at: dict[tuple[str, bool], Place] = {}  # (group, may_lose): nothing before

    def add(self, location: int, collection: str, is_relayed: bool, size: int) -> None:
        self.locations.append(location)
        self.totals.add(collection, is_relayed, 1, size)

    def forget(self, location: int, collection: str, is_relayed: bool, size: int) -> None:
        """Call when what is there no longer counts."""
        if location in self.locations:
            self.covered -= self.is_covered(location)
            self.locations.remove(location)
            self.totals.add(collection, is_relayed, -1, -size)

    def is_covered(self, location: int) -> bool:
        return location in self.locations[: self.covered]

    def has(self, group: str, count: int, size: int) -> bool:
        """Return whether so many documents and bytes of a group were found."""
        found = self.totals.of(group)
        return found[0] >= count and found[1] >= size
