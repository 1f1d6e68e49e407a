"""
What one transaction on a host's store does to its figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_peer.core.limits import ATTACHMENTS, HIDDEN, RELAYED, WHOLE

NAMELESS = (WHOLE, RELAYED, ATTACHMENTS)  # collections called so have no group of their own


@dataclass
class Changes:
    """They count when the transaction has been committed."""

    arrival_max: int
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # to add: documents, bytes
    gone: set[int] = field(default_factory=set)  # arrivals
    evicted: list[tuple[str, str]] = field(default_factory=list)  # collection, id
    has_entries: bool = False  # of the store's own, or pieces: what no arrival leads to

    def count(self, collection: str, is_relayed: bool, documents: int, size: int) -> None:
        if collection in HIDDEN:
            groups = [ATTACHMENTS]
        elif collection in NAMELESS:
            groups = [WHOLE]
        else:
            groups = [WHOLE, collection]
        if is_relayed:
            groups.append(RELAYED)
        for group in groups:
            before = self.totals.get(group, (0, 0))
            self.totals[group] = (before[0] + documents, before[1] + size)
