"""
The invariants of sync, each by its name in FAILURES.

Some are looked at whenever a store commits (`committed`), some every few seconds and
after every boot (`step`, `booted`), and what only holds once everything has been
exchanged at the end (`quiet`). To add one: find the latest of these moments at which it
has to hold, look at what applications and the wire can see rather than at what the core
believes, and say `world.fail(name, text)`.
"""

from binascii import crc32

from edge_peer.core.document import dots_of
from edge_peer.core.limits import AUTHORS
from edge_peer.core.sync.sync import ANSWERS_OWED_MAX
from sim.nodes import COUNTER
from sim.oracle import LIFE

FAILURES = (
    "convergence",
    "lost",
    "zombie",
    "evict cost",
    "quota",
    "untold",  # an eviction that no listener heard of
    "selfish",
    "bounded",
    "error",  # an exception that is nobody's but ours
    "storage",
    "not durable",  # D never reached a peer, or promised too much
    "presence",  # somebody sees the mesh otherwise than it is
    "not quiet",
    "deterministic",
)

# What is under way when a subscription is cancelled still arrives: so long, on any wire here.
GRACE_MS = 40_000
CALM_MS = 20_000  # so long after the last link has begun presence has come to all

# name -> (what to measure of an End or a Node, its maximum)
END_BOUNDS = {
    "bytes to send": (lambda end: len(end.session._link._outgoing), 266_240),
    "frames in flight": (lambda end: len(end.session._link._in_flight), 4),
    "answers": (lambda end: len(end.session._link._answers), 16),
    "events": (lambda end: len(end.session._link._events), 4),
    "bytes of a message that comes": (lambda end: len(end.session._link._part), 266_240),
}
SYNC_BOUNDS = {
    "authors told": (lambda sync: _above_known(sync, sync._sender._their_authors), 1),
    "knowledge of a neighbour": (lambda sync: _above_known(sync, sync._sender._their_knowledge), 0),
    "author slots": (lambda sync: len(sync._decoder.authors), 32),
    "dots heard": (lambda sync: len(sync._sender._heard), 8_320),
    "authors asked for": (lambda sync: len(sync._asked) + len(sync._sender._asked), 128),
    "answers owed": (lambda sync: sync._answer_count, ANSWERS_OWED_MAX),
}
STORE_BOUNDS = {
    "knowledge": (lambda store: len(store.knowledge) - store.log.authors_max, 0),
    "evicted": (lambda store: len(store.evicted) - store.log.authors_max, 0),
    "durable": (lambda store: len(store.durable) - store.log.authors_max, 0),
    "cursors": (lambda store: len(store.cursors) - max(1, store.log.authors_max // 4), 0),
    "greetings": (lambda store: len(store.greetings) - max(1, store.log.authors_max // 16), 0),
}


class Watch:
    """What is remembered of one peer beside its store."""

    def __init__(self):
        self.held = {}  # key -> body
        self.deleted = {}  # keys of what it has seen deleted
        self.sent_in = {}  # key -> the epoch of who sent it last
        self.origins = {}  # key -> (the author it came from last, our epoch then)
        self.evicted = {}  # every key that ever was -> (its checksum then, its origin)


class Checks:
    def __init__(self, world):
        self.world = world
        self.watches = [Watch() for _ in world.nodes]

    # While it runs

    def committed(self, node, puts):
        watch = self.watches[node.index]
        sender = self.world.receiving_from(node)
        for collection, id, _, body in puts:
            key = (collection, id)
            if key not in watch.held and not node.writing and not node.is_big():
                self._came(node, watch, key, bytes(body), sender)
            watch.held[key] = bytes(body)
            self._buried(node, watch, key, watch.held[key])
            if node.is_big():
                self.world.oracle.big_peer_has(key, self.world.numbers_of(body))
        self._quota(node)

    def _buried(self, node, watch, key, body):
        if not self.world.fields_of(body):
            watch.deleted[key] = True
        elif key in watch.deleted:
            del watch.deleted[key]
            if not node.writing and not self.world.oracle.may_show_again(key):
                self.world.fail("zombie", "%s shows %s again" % (node.name, key))

    def gone(self, node, keys):
        watch = self.watches[node.index]
        for key in keys:
            body = watch.held.pop(key, None)
            if body is not None:
                watch.evicted[key] = (crc32(body), watch.origins.get(key))
            else:  # it came and went in one commit
                watch.evicted.setdefault(key, None)

    def wiped(self, node):
        self.watches[node.index] = Watch()

    def booted(self, node):
        """What was acknowledged is there, whatever the power did."""
        watch = self.watches[node.index]
        before, watch.held = watch.held, node.dump()
        if node.is_big():  # the power may have failed between storing and saying so
            for key in watch.held:
                self.world.oracle.big_peer_has(key, self.world.numbers_of(watch.held[key]))
        for write in self.world.oracle.pending(node.index):
            if write.key in before:
                self._still_has(node, write, before[write.key], watch.held.get(write.key))
        for key in before:
            if key not in watch.held:  # the power failed between dropping it and saying so
                watch.evicted.setdefault(key, None)
        self._quota(node)

    def _still_has(self, node, write, before, body):
        if body is None and self.world.was_evicted(node, before):
            return  # durable, and the power failed before that was told
        was = self.world.numbers_of(before)
        now = {} if body is None else self.world.numbers_of(body)
        for field in write.saw:
            value = now.get(field)
            if was.get(field) != write.number or value == write.number:
                continue
            oracle = self.world.oracle
            if value is None and (
                oracle.may_be_emptied(write.key)
                or oracle.may_be_gone(write.key)
                or oracle.allowed(write.key, field)[1]
            ):
                continue
            if self.world.oracle.is_older(write.key, field, value, write.number):
                self.world.fail(
                    "lost",
                    "%s has %s.%s = %s after a restart, and had written %d"
                    % (node.name, write.key, field, value, write.number),
                )

    def step(self):
        big = self.world.big
        for node in self.world.honest:
            if not node.is_up():
                continue
            store = node.store
            _bounds(self.world, node.name, STORE_BOUNDS, store)
            for end in node.links.pumps:
                _bounds(self.world, node.name, END_BOUNDS, end)
                if end.session.sync is not None:
                    _bounds(self.world, node.name, SYNC_BOUNDS, end.session.sync)
            if big is not None and big.is_up() and not node.is_big():
                for author in store.durable:
                    if store.durable[author] > big.store.known(author):
                        self.world.fail(
                            "not durable", "%s believes more than the Big Peer has" % node.name
                        )

    def _came(self, node, watch, key, body, sender):
        """A document that was not there before has come from a neighbour."""
        origin = (sender, node.store.epoch)  # another epoch: our knowledge went down
        sender_epoch = self.world.epoch_of(sender)
        if watch.evicted.get(key) == (crc32(body), origin):
            fragments = node.store.fragments if node.store.has_fragments else None
            if fragments is not None and fragments.is_owed(key):
                self.world.count("evicted, and fetched for another")
            elif self.world.is_relay(sender):  # that had to fetch it again itself, for others
                self.world.count("evicted, and sent again by a relay")
            elif watch.sent_in.get(key) != sender_epoch and not self._is_known(node, body):
                # It rolled back before it had said DONE: it is read from `base` again.
                self.world.count("evicted, and sent again after a restart")
            else:
                self.world.fail("evict cost", "%s was sent %s again" % (node.name, key))
        watch.origins[key] = origin
        watch.sent_in[key] = sender_epoch
        if node.role == "relay" or self.world.now_ms < self.world.grace_until.get(node.index, 0):
            return
        zone = self.world.zone_of(body)
        if zone >= 0 and zone not in (node.wants or []):
            self.world.fail(
                "selfish", "%s got %s of zone %d and wants %s" % (node.name, key, zone, node.wants)
            )

    def _is_known(self, node, body):
        return all([seq <= node.store.known(author) for _, author, seq in dots_of(body)])

    def _quota(self, node):
        status = node.store.log.status()
        for name, limit in (("documents", "documents_max"), ("used_bytes", "quota_bytes")):
            if limit in status and status[name] > status[limit]:
                self.world.fail(
                    "quota", "%s: %s %d above %d" % (node.name, name, status[name], status[limit])
                )

    # At the end

    def quiet(self):
        world = self.world
        dumps = {node.index: node.dump() for node in world.honest}
        ends = [end for node in world.honest for end in node.links.pumps]
        is_calm = all([world.now_ms - end.opened_ms > CALM_MS for end in ends])
        is_calm = is_calm and self._has_both_ends()
        for node in world.honest:
            self._counted(node, dumps[node.index])
            self._gone_untold(node, dumps[node.index])
            if is_calm and node.role != "board":
                self._mesh(node)
        if world.big is None:
            return
        server = dumps[world.big.index]
        shown = {key: world.numbers_of(server[key]) for key in server}
        self._nothing_lost(shown)
        self._counters(server)
        for node in world.honest:
            if not node.is_big():
                self._same(node, dumps[node.index], server)
                if node.store.unsynced_count():
                    world.fail(
                        "not durable",
                        "%s believes that %d of its writes did not arrive"
                        % (node.name, node.store.unsynced_count()),
                    )

    def _has_both_ends(self):
        """Return whether no peer still waits for one that has given their link up."""
        nodes = {node.store.author: node for node in self.world.honest}
        pairs = set()
        for author in nodes:
            pairs.update([(author, end.session.neighbour) for end in nodes[author].links.pumps])
        return all([(other, one) in pairs for one, other in pairs if other in nodes])

    def _mesh(self, node):
        """What it has heard of links are links, and it sees all that it could hear of."""
        links = {}
        for one in self.world.honest:
            ends = [end.session.neighbour.hex() for end in one.links.pumps]
            links[one.store.author.hex()] = sorted([author for author in ends if author])
        seen = {}
        for entry in node.links.presence():
            seen[entry["author"]] = sorted([link["author"] for link in entry["links"]])
        for author in seen:
            if author in links and seen[author] != links[author]:
                self.world.fail("presence", "%s sees %s of %s" % (node.name, seen[author], author))
        relays = [one.store.author.hex() for one in self.world.honest if one.role != "board"]
        near = set(links[node.store.author.hex()])
        for author in relays:
            if author in near and len(set(links[author])) > 1 and author not in seen:
                self.world.fail("presence", "%s sees nothing of %s" % (node.name, author))

    def _gone_untold(self, node, dump):
        """What the store let go, it told."""
        watch = self.watches[node.index]
        for key in watch.held:
            if key not in dump:
                self.world.fail("untold", "%s let %s go and told nobody" % (node.name, key))

    def _counted(self, node, dump):
        count = node.store.log.status()["documents"] - node.store.log.totals(AUTHORS)[0]
        if count != len(dump):
            self.world.fail("quota", "%s counts %d of %d" % (node.name, count, len(dump)))

    def _nothing_lost(self, shown):
        oracle = self.world.oracle
        for key in sorted(oracle.keys):
            fields = shown.get(key, {})
            if fields and not oracle.may_exist(key):
                self.world.fail("zombie", "the Big Peer shows %s" % (key,))
            elif not fields and not oracle.may_be_gone(key) and not oracle.may_be_empty(key):
                self.world.fail("lost", "the Big Peer has no %s" % (key,))
            for field in sorted(oracle.keys[key]) if fields else ():
                if field == LIFE:
                    continue
                numbers, may_miss = oracle.allowed(key, field)
                value = fields.get(field)
                if value is None and may_miss or value in numbers:
                    continue
                self.world.fail(
                    "lost",
                    "the Big Peer has %s.%s = %s, not one of %s" % (key, field, value, numbers),
                )

    def _counters(self, server):
        oracle = self.world.oracle
        for key in sorted(oracle.adds):
            sums = oracle.sums(key)
            body = server.get(key)
            if sums is not None and body is not None:
                value = self.world.fields_of(body).get(COUNTER, 0)
                if not sums[0] <= value <= sums[1]:
                    self.world.fail("lost", "%s counts %s, not %d to %d" % ((key, value) + sums))

    def _same(self, node, dump, server):
        """What this peer wants is what the Big Peer has, byte for byte."""
        world = self.world
        watch = self.watches[node.index]
        repairs = world.features.get("repair", True)  # of what is written without its base
        server = {key: server[key] for key in server if not self._is_hostile(server[key])}
        dump = {key: dump[key] for key in dump if not self._is_hostile(dump[key])}
        for key in sorted(server):
            if world.zone_of(server[key]) in (node.wants or []):
                if key not in dump:
                    if key not in watch.evicted:
                        world.fail("convergence", "%s never got %s" % (node.name, key))
                elif (
                    dump[key] != server[key]
                    and (repairs or key not in watch.evicted)
                    and not self._is_hearsay(dump[key])
                ):
                    world.fail(
                        "convergence",
                        "%s has %s as %s, the Big Peer as %s"
                        % (
                            node.name,
                            key,
                            world.fields_of(dump[key]),
                            world.fields_of(server[key]),
                        ),
                    )
        for key in sorted(dump):
            zones = node.wants or []
            gone = key not in server or world.zone_of(server[key]) not in zones
            if gone and world.zone_of(dump[key]) in zones and not self._is_hearsay(dump[key]):
                deleted = key in server and not world.fields_of(server[key])
                name = "zombie" if deleted else "convergence"
                world.fail(name, "%s still shows %s" % (node.name, key))

    def _is_hostile(self, body):
        """Return whether a hostile peer wrote to it: of its own writes it may say what it likes."""
        hostile = self.world.hostile_authors
        return bool(hostile) and any([author in hostile for _, author, _ in dots_of(body)])

    def _is_hearsay(self, body):
        """Return whether writes are in it that nobody is left to tell the Big Peer.

        Who wrote them has lost its flash; from plain devices nobody takes what others wrote.
        """
        big = self.world.big
        here = set([node.store.author for node in self.world.nodes if node.is_up()])
        for _, author, seq in dots_of(body):
            if author not in here and seq > big.store.known(author):
                self.world.count("hearsay")
                return True
        return False


def _above_known(sync, table):
    return len(table) - sync._sender._known_max


def _bounds(world, name, bounds, thing):
    for what in bounds:
        measure, limit = bounds[what]
        size = measure(thing)
        world.peaks[what] = max(world.peaks.get(what, size), size)
        if size > limit:
            world.fail("bounded", "%s: %s is %d, at most %d" % (name, what, size, limit))
