"""
The model that the core is held to; it shares no code with it.

It knows what applications did and saw: a write at a peer, the values that this peer
showed just before, and whether the call returned. Every value is a number of its own,
so a value tells which write it comes from. From that follows, without any clock:

    A value may be what a field has in the end unless a write that is certain was made
    by someone who saw it, or saw one that was made by someone who saw it, and so on.

Of writes that did not see each other any may win, but it has to be the same one
everywhere (checks.py compares bytes). A write is *certain* when its call returned, and
no more than *possible* when the power failed in it, or when its peer lost its flash
before the Big Peer had it.

Where all clocks are right (`clocks_right`) more can be said: a write wins over those
that are SURE_MS older.
"""

SURE_MS = 2_000
LIFE = ""  # the field that says whether a document exists: writes of it create or delete


class Write:
    def __init__(self, number, at_ms, node, key, saw, certain, deletes):
        self.number = number
        self.at_ms = at_ms
        self.node = node
        self.key = key
        self.saw = saw  # field -> the number that was there before, or None
        self.certain = certain
        self.deletes = deletes  # it wrote LIFE, and the document is gone by it
        self.arrived = set()  # fields in which the Big Peer has it, or one that saw it


class Oracle:
    def __init__(self, clocks_right=False):
        self.clocks_right = clocks_right
        self.writes = {}  # number -> Write
        self.keys = {}  # (collection, id) -> {field: [numbers]}
        self.adds = {}  # (collection, id, field) -> [(node, amount, certain)]
        self.refused_count = 0

    # What applications did

    def wrote(self, number, at_ms, node, key, fields, seen, certain, deletes=False):
        """fields: those it wrote, LIFE too where it created or deleted; seen: field -> number."""
        saw = {field: seen.get(field) for field in fields}
        self.writes[number] = Write(number, at_ms, node, key, saw, certain, deletes)
        by_field = self.keys.setdefault(key, {})
        for field in fields:
            by_field.setdefault(field, []).append(number)

    def wiped(self, node):
        """What this peer wrote and the Big Peer does not have may never arrive."""
        for write in self.writes.values():
            if write.node == node and not write.arrived:
                write.certain = False

    def big_peer_has(self, key, fields):
        """Tell what the Big Peer shows of a document: field -> number."""
        for field in fields:
            number = fields[field]
            while number in self.writes and field not in self.writes[number].arrived:
                self.writes[number].arrived.add(field)
                number = self.writes[number].saw.get(field)

    # What may be

    def is_older(self, key, field, value, than):
        """Return whether `value` is what the write `than` replaced, directly or not."""
        number = self.writes[than].saw.get(field)
        while number is not None:
            if number == value:
                return True
            number = self.writes[number].saw.get(field) if number in self.writes else None
        return value is None

    def allowed(self, key, field):
        """Return (numbers that the field may have in the end, whether it may be missing)."""
        numbers = self.keys[key].get(field, [])
        dead = set()
        certain = [number for number in numbers if self.writes[number].certain]
        for number in certain:
            older = self.writes[number].saw[field]
            while older is not None and older not in dead:
                dead.add(older)
                older = self.writes[older].saw.get(field) if older in self.writes else None
        if self.clocks_right and certain:
            newest_ms = max([self.writes[number].at_ms for number in certain])
            for number in numbers:
                if self.writes[number].at_ms < newest_ms - SURE_MS:
                    dead.add(number)
        return [number for number in numbers if number not in dead], not certain

    def pending(self, node):
        """Return the writes of a peer that only it is sure to have."""
        return [
            write
            for write in self.writes.values()
            if write.node == node and write.certain and not write.arrived
        ]
