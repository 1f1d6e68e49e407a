"""
How many documents each group of a host's store has, and their bytes.

They are known in memory, and in the table `total` as they were at some arrival. What
came since is in the rows, so a transaction that only adds leaves the table as it is:
that spares a third of what a single insert writes. Where the table is damaged, all
rows are counted (a second for a million).
"""

from __future__ import annotations

import sqlite3

from edge_peer.core.limits import WHOLE
from edge_peer.host.changes import Changes
from edge_peer.host.eviction import FIRST_PIECE
from edge_peer.host.schema import UNCOUNTED, total_crc

UNCOUNTED_MAX = 1024  # arrivals that the table may lack: the rows to look at when it is opened


class Totals:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._groups: dict[str, tuple[int, int]] = {}
        self._arrival_max = 0
        self._counted_at = 0  # the table has all arrivals up to here
        self._is_damaged = False  # it has rows that nobody wrote

    def load(self) -> int:
        """Read what the file has; return its highest arrival."""
        rows = self._db.execute("SELECT * FROM total").fetchall()
        self._is_damaged = not rows or any(crc != total_crc(*row) for *row, crc in rows)
        if self._is_damaged:
            self._counted_at = FIRST_PIECE - 1
        else:
            self._groups = {row[0]: (row[1], row[2]) for row in rows}
            self._counted_at = max(row[3] for row in rows)
        changes = Changes(self._counted_at)
        for collection, is_relayed, count, size, arrival_max in self._db.execute(
            UNCOUNTED, (self._counted_at,)
        ):
            changes.count(str(collection), bool(is_relayed), count, size)
            changes.arrival_max = max(changes.arrival_max, arrival_max or 0)
        changes.arrival_max = max(changes.arrival_max, 0)
        self.take(changes, self._counted_at)
        return self._arrival_max

    def of(self, group: str) -> tuple[int, int]:
        return self._groups.get(group, (0, 0))

    def write(self, changes: Changes) -> int:
        """Write them, at the end of a transaction, if need be; return what `take` is to know."""
        if self._can_wait(changes):
            return self._counted_at
        totals = {WHOLE: self.of(WHOLE)}
        if self._arrival_max > self._counted_at:
            totals |= self._groups
        totals |= self._after(changes)
        if self._is_damaged:
            self._db.execute("DELETE FROM total")
        self._db.executemany(
            "REPLACE INTO total VALUES (?, ?, ?, ?, ?)",
            [
                (group, *total, changes.arrival_max, total_crc(group, *total, changes.arrival_max))
                for group, total in totals.items()
            ],
        )
        for group, total in totals.items():
            if not total[0] and group != WHOLE:
                self._db.execute("DELETE FROM total WHERE name = ?", (group,))
        return changes.arrival_max

    def take(self, changes: Changes, counted_at: int) -> None:
        """Call when the transaction has been committed."""
        self._groups |= self._after(changes)
        self._arrival_max = changes.arrival_max
        self._is_damaged = self._is_damaged and counted_at == self._counted_at
        self._counted_at = counted_at

    def _can_wait(self, changes: Changes) -> bool:
        """Return whether the table and the rows behind its arrival say it all.

        So it is if a row has the newest arrival, and none went that the table counts.
        """
        return (
            not changes.has_entries
            and self._counted_at < min(changes.gone, default=changes.arrival_max)
            and max(changes.gone, default=0) < changes.arrival_max
            and self._arrival_max < changes.arrival_max <= self._counted_at + UNCOUNTED_MAX
        )

    def _after(self, changes: Changes) -> dict[str, tuple[int, int]]:
        """Return what the groups have that the transaction changes."""
        totals = {}
        for group, more in changes.totals.items():
            before = self.of(group)
            totals[group] = (before[0] + more[0], before[1] + more[1])
        return totals
