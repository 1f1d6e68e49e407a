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
before the Big Peer had it. What such a write may have replaced elsewhere, also of
others, is no longer certain in that field either: who has that write has nothing else,
and nobody is left whose word for it counts.

Where all clocks are right (`clocks_right`) more can be said: a write wins over those
that are SURE_MS older, and a creation over deletes.

Deletes and creations are writes of the field LIFE. A delete ends what its writer saw; a
creation ends the delete that its writer knew of, if there was only one. Of those that
are left, and did not see each other, either may win. A removed field is a write too,
after which nothing may be there.
"""

SURE_MS = 2_000
LIFE = ""  # the field that says whether a document exists
CREATES, DELETES = "creates", "deletes"


class Write:
    def __init__(self, number, at_ms, node, key, saw, certain, life, empties):
        self.number = number
        self.at_ms = at_ms
        self.node = node
        self.key = key
        self.saw = saw  # field -> the number that was there before, or None
        self.certain = certain
        self.life = life  # CREATES, DELETES or ""
        self.empties = empties  # what it wrote is that nothing is there
        self.ends = []  # the numbers of what it ended, of the same document's LIFE
        self.arrived = set()  # fields in which the Big Peer has it, or one that saw it
        self.replaced = set()  # fields in which a write may have taken its place that is lost

    def is_certain(self, field):
        return self.certain and field not in self.replaced

    def fields(self):
        return list(self.saw) + ([LIFE] if self.life else [])


class Oracle:
    def __init__(self, clocks_right=False):
        self.clocks_right = clocks_right
        self.writes = {}  # number -> Write
        self.keys = {}  # (collection, id) -> {field: [numbers]}
        self.adds = {}  # (collection, id) -> [[node, amount, certain]]

    # What applications did

    def wrote(self, number, at_ms, node, key, fields, seen, certain, life="", empties=False):
        """fields: those that it wrote; seen: field -> number, just before, on that peer."""
        by_field = self.keys.setdefault(key, {})
        saw = {field: seen.get(field) for field in fields}
        write = Write(number, at_ms, node, key, saw, certain, life, empties or life == DELETES)
        if life == DELETES:
            write.saw = saw = {field: seen[field] for field in seen}
            write.ends = [one for one in by_field.get(LIFE, ()) if self._shows(seen, one)]
        elif life == CREATES and seen.get(LIFE):
            write.ends = [seen[LIFE]]
            write.saw = saw = {field: self._unless_emptied(seen[LIFE], field) for field in fields}
        self.writes[number] = write
        for field in write.fields():
            by_field.setdefault(field, []).append(number)

    def added(self, node, key, amount, certain):
        self.adds.setdefault(key, []).append([node, amount, certain])

    def only_delete(self, key):
        """Return the number of the delete that a peer knows of which shows a document as gone.

        None if there were several: of one that is ended already it may know alone.
        """
        lives = self.keys.get(key, {}).get(LIFE, ())
        numbers = [one for one in lives if self.writes[one].life == DELETES]
        return numbers[0] if len(numbers) == 1 else None

    def _shows(self, seen, number):
        """Return whether who saw these values saw what this write did."""
        for field in self.writes[number].saw:
            shown = seen.get(field)
            if (
                shown == number
                or shown in self.writes
                and self.is_older(None, field, number, shown)
            ):
                return True
        return False

    def _unless_emptied(self, delete, field):
        return delete if field in self.writes[delete].saw else None

    def wiped(self, node):
        """What this peer wrote and the Big Peer does not have may never arrive."""
        for write in self.writes.values():
            if write.node == node and not write.arrived:
                write.certain = False
                self._may_have_replaced(write)
        for key in self.adds:
            for add in self.adds[key]:
                add[2] = add[2] and add[0] != node

    def _may_have_replaced(self, write):
        for field in write.fields():
            for number in self.keys[write.key][field]:
                other = self.writes[number]
                if field not in other.arrived:
                    other.replaced.add(field)

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
        """Return (numbers that the field may have in the end, whether it may be missing).

        Once a document was deleted, a write that did not know may be lost with it.
        """
        numbers = self.keys[key].get(field, [])
        dead = set()
        certain = [number for number in numbers if self.writes[number].is_certain(field)]
        for number in certain:
            older = self.writes[number].saw[field]
            while older is not None and older not in dead:
                dead.add(older)
                older = self.writes[older].saw.get(field) if older in self.writes else None
        if self.clocks_right and certain:
            # A removal takes only what it saw.
            set_ms = [self.writes[one].at_ms for one in certain if not self.writes[one].empties]
            for number in numbers:
                if set_ms and self.writes[number].at_ms < max(set_ms) - SURE_MS:
                    dead.add(number)
        left = [number for number in numbers if number not in dead]
        may_miss = not certain or any([self.writes[number].empties for number in left])
        may_miss = may_miss or any(
            [self.writes[number].life == DELETES for number in self.keys[key].get(LIFE, ())]
        )
        return [number for number in left if not self.writes[number].empties], may_miss

    def alive(self, key):
        """Return the creations and deletes of a document that nobody ended."""
        numbers = self.keys.get(key, {}).get(LIFE, [])
        ended = set()
        for number in numbers:
            if self.writes[number].is_certain(LIFE):
                ended.update(self.writes[number].ends)
        lives = [self.writes[number] for number in numbers]
        certain = [one.at_ms for one in lives if one.is_certain(LIFE)]
        if self.clocks_right and certain:
            sure_ms = max(certain) - SURE_MS
            ended.update([one for one in numbers if self.writes[one].at_ms < sure_ms])
        return [number for number in numbers if number not in ended]

    def may_be_emptied(self, key):
        """Return whether a delete or a removal was under way when some peer lost power."""
        for numbers in self.keys[key].values():
            for number in numbers:
                if self.writes[number].empties and not self.writes[number].certain:
                    return True
        return False

    def may_show_again(self, key):
        """Return whether somebody created the document who is not known to one of its deletes."""
        lives = [self.writes[one] for one in self.keys.get(key, {}).get(LIFE, ())]
        deletes = [one for one in lives if one.life == DELETES]
        creations = [one.number for one in lives if one.life == CREATES]
        return not deletes or any([set(creations) - set(one.ends) for one in deletes])

    def may_exist(self, key):
        alive = self.alive(key)
        return not alive or any([self.writes[one].life == CREATES for one in alive])

    def may_be_gone(self, key):
        alive = [self.writes[one] for one in self.alive(key)]
        return any([one.life == DELETES or not one.is_certain(LIFE) for one in alive])

    def may_be_empty(self, key):
        """Return whether all fields of a document may have been removed."""
        fields = [field for field in self.keys[key] if field != LIFE]
        return all([self.allowed(key, field)[1] for field in fields])

    def sums(self, key):
        """Return (least, most) that the document's counter may show, or None: it may be anything.

        A delete takes with it what it saw.
        """
        adds = self.adds.get(key, [])
        if any([self.writes[one].life == DELETES for one in self.keys[key].get(LIFE, ())]):
            return None
        sure = sum([amount for _, amount, certain in adds if certain])
        return sure, sure + sum([amount for _, amount, certain in adds if not certain])

    def pending(self, node):
        """Return the writes of a peer that only it is sure to have."""
        return [
            write
            for write in self.writes.values()
            if write.node == node and write.certain and not write.arrived and not write.empties
        ]
